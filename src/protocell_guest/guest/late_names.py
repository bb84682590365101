"""Whether functions that earlier code has made may give a name a meaning: then code is not refused for want of one."""

from __future__ import annotations

import builtins
import opcode
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from protocell_guest.code_names import HIDDEN_BINDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_STORE_GLOBAL = opcode.opmap["STORE_GLOBAL"]
_UNIT = 2  # bytes of an instruction
_MOST = 10_000
"""Functions and classes that are looked at; of more it is not known what they do."""


def may_appear(namespace: Mapping[str, Any], name: str) -> bool:
    """Whether what is there already can bind the name when it is called."""
    for count, function in enumerate(_functions(namespace)):
        if count == _MOST or any(_binds(code, name) for code in _codes(function.__code__)):
            return True
    return False


def _functions(namespace: Mapping[str, Any]) -> Iterator[FunctionType]:
    """Those of the code's own, its methods, and what is wrapped in them."""
    todo, seen = list(namespace.values()), set()
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if type(thing) is FunctionType:
            if thing.__globals__ is namespace:
                yield thing
            todo.extend(_kept(thing))
        elif type(thing) is MethodType:
            todo += [thing.__func__, thing.__self__]
        elif isinstance(thing, type):
            if thing.__module__ == "__main__":
                todo.extend(_unwrapped(vars(thing).values()))
        else:
            todo += [type(thing), *_wrapped(thing)]


def _kept(function: FunctionType) -> Iterator[Any]:
    """What a function that was made in another one kept of it."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # nothing yet
            continue


def _wrapped(thing: Any) -> Iterator[Any]:
    """What a partial or a cache calls; nothing of the code's own is asked for it."""
    if type(thing).__module__ == "functools":
        yield from (getattr(thing, name, None) for name in ("func", "__wrapped__"))


def _unwrapped(members: Iterable[Any]) -> Iterator[Any]:
    for member in members:
        yield from (getattr(member, name, None) for name in ("__func__", "fget"))
        yield member


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's, and those of functions in it."""
    todo = [code]
    while todo:
        each = todo.pop()
        yield each
        todo += [inner for inner in each.co_consts if type(inner) is CodeType]


def _binds(code: CodeType, name: str) -> bool:
    if not HIDDEN_BINDERS.isdisjoint(code.co_names):
        return True
    return name in code.co_names and _STORE_GLOBAL in code.co_code[::_UNIT]
