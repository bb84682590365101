"""What a Python callable says of itself: its name, its docstring, its parameters and their hints.

Functions, methods, builtins, instances with ``__call__`` and ``functools.partial`` of all of these. What a
partial has bound is state: neither shown nor to be given, even where Python would let a caller replace it.
"""

from __future__ import annotations

import asyncio
import collections.abc
import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from protocell.errors import PolicyError
from protocell.tools.docstrings import parse
from protocell.tools.thread_call import ThreadCall
from protocell.tools.tool import Call, Kind
from protocell.tools.typed_dicts import readable

_KINDS: Mapping[int, Kind] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional_only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "normal",
    inspect.Parameter.VAR_POSITIONAL: "variadic",
    inspect.Parameter.KEYWORD_ONLY: "keyword_only",
    inspect.Parameter.VAR_KEYWORD: "keywords",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Formal:
    """One parameter as it was defined."""

    name: str
    kind: Kind
    hint: Any
    default: Any = inspect.Parameter.empty
    description: str = ""

    @property
    def is_required(self) -> bool:
        """Whether Python insists on it."""
        optional = self.kind in ("variadic", "keywords")
        return not optional and self.default is inspect.Parameter.empty


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """A callable, read."""

    function: Callable[..., Any]
    name: str
    description: str
    formals: tuple[Formal, ...]
    returns: Any
    """The hint; Any where there is none."""
    is_async: bool
    call: str | None
    """The parameter that takes the ``Call``."""


def read(function: Callable[..., Any], names: Mapping[str, Any] | None = None) -> Callee:
    """What there is to know about a callable; ``names`` are further ones that its hints may use.

    Raises:
        PolicyError: it is not callable, is a class, yields, or its hints or signature cannot be read.
    """
    bound: set[str] = set()
    target: Any = function
    while isinstance(target, functools.partial):
        bound.update(target.keywords)
        target = target.func
    name = _name(target)
    body = target if inspect.isroutine(target) else _call_of(target, name)
    _refuse_generators(body, name)
    hints = _hints(body, name, names)
    description, told = parse(_doc(target, body), [*_parameters(function, name)])
    formals = [
        Formal(
            name=each.name,
            kind=_KINDS[each.kind],
            hint=readable(hints.get(each.name, Any)),
            default=each.default,
            description=told.get(each.name, ""),
        )
        for each in _parameters(function, name).values()
        if each.name not in bound
    ]
    calls = [each.name for each in formals if _is_call(each.hint)]
    return Callee(
        function=function,
        name=name,
        description=description,
        formals=tuple(each for each in formals if each.name not in calls[:1]),
        returns=readable(_awaited(hints.get("return", Any))),
        is_async=_is_async(body),
        call=calls[0] if calls else None,
    )


def _name(target: Any) -> str:
    name = getattr(target, "__name__", None)
    if isinstance(name, str):
        return name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(target).__name__).lower()


def _call_of(target: Any, name: str) -> Any:
    if isinstance(target, type):
        raise PolicyError(
            f"{name} is a class; hand over an instance that has __call__, one of its methods, or a "
            "function that makes one"
        )
    if not callable(target):
        raise PolicyError(f"a {type(target).__name__} is not callable, so it is no tool")
    return target.__call__


def _refuse_generators(body: Any, name: str) -> None:
    inner = inspect.unwrap(body)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise PolicyError(f"{name} yields; a tool gives one value, so let it return a list")


def _parameters(function: Callable[..., Any], name: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError) as odd:
        raise PolicyError(
            f"{name} does not tell its parameters ({odd}); wrap it in a function with hints"
        ) from odd


def _hints(body: Any, name: str, names: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        try:
            return typing.get_type_hints(body, include_extras=True)
        except (
            NameError
        ):  # only then: a name of the caller's must not hide one of the function's own
            return typing.get_type_hints(body, localns=dict(names or {}), include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as odd:
        raise PolicyError(
            f"the type hints of {name} cannot be read ({odd}); what they name has to be where it "
            "is defined"
        ) from odd


def _doc(target: Any, body: Any) -> str:
    """Of an instance, what its ``__call__`` says, else its class; not what dataclass writes itself."""
    if target is body:
        return inspect.getdoc(target) or ""
    of_class = inspect.getdoc(type(target)) or ""
    written = not of_class.startswith(f"{type(target).__name__}(")
    own = inspect.cleandoc(body.__doc__ or "")  # getdoc would find that of type.__call__
    return own or (of_class if written else "")


def _is_call(hint: Any) -> bool:
    return hint in (Call, ThreadCall) or any(
        each in (Call, ThreadCall) for each in typing.get_args(hint)
    )


def _is_async(body: Any) -> bool:
    return inspect.iscoroutinefunction(body) or asyncio.iscoroutinefunction(body)


def _awaited(hint: Any) -> Any:
    """Of a function that is not async but gives something to be awaited, what that gives."""
    waited = (collections.abc.Awaitable, collections.abc.Coroutine)
    args = typing.get_args(hint)
    return args[-1] if typing.get_origin(hint) in waited and args else hint
