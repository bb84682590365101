"""``typing.TypedDict`` on Python 3.11, which pydantic refuses there: made anew as that of typing_extensions."""

from __future__ import annotations

import functools
import operator
import sys
import types
import typing
from typing import Any

import typing_extensions


def readable(hint: Any) -> Any:
    """The hint with such classes in it replaced, also in lists, unions and the like of them.

    One that contains itself, and one in a field of another class, stay; pydantic says what to do.
    """
    return hint if sys.version_info >= (3, 12) else _replaced(hint, ())


def _replaced(hint: Any, outer: tuple[Any, ...]) -> Any:
    if typing.is_typeddict(hint) and type(hint).__module__ == "typing" and hint not in outer:
        return _made_anew(hint, (*outer, hint))
    args = typing.get_args(hint)
    new = tuple(_replaced(arg, outer) for arg in args)
    if all(map(operator.is_, args, new)):
        return hint
    if isinstance(hint, types.UnionType):
        return functools.reduce(operator.or_, new)
    if typing.get_origin(hint) is typing.Annotated:
        return hint.copy_with(new[:1])
    return hint.copy_with(new) if hasattr(hint, "copy_with") else typing.get_origin(hint)[new]


def _made_anew(hint: Any, outer: tuple[Any, ...]) -> Any:
    fields = {}
    for name, inner in typing.get_type_hints(hint, include_extras=True).items():
        while typing.get_origin(inner) in (typing.Required, typing.NotRequired):
            (inner,) = typing.get_args(inner)  # noqa: PLW2901  (what it marks stands in the class too)
        mark: Any = typing.Required if name in hint.__required_keys__ else typing.NotRequired
        fields[name] = mark[_replaced(inner, outer)]
    make: Any = typing_extensions.TypedDict
    made = make(hint.__name__, fields)
    made.__doc__ = hint.__doc__
    config = getattr(hint, "__pydantic_config__", None)
    if config is not None:
        made.__pydantic_config__ = config
    return made
