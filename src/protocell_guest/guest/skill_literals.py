"""Values as Python writes them: only what is data, down to its last item, and of bounded size."""

from __future__ import annotations

import builtins
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Functions of this module keep these builtins when the code assigns to builtins.repr or the like.
globals()["__builtins__"] = dict(vars(builtins))

MOST_CHARACTERS = 16 * 1024
_DEEPEST = 20
_MOST_BITS = 4_096  # int() of a long text is quadratic, and refused


class UnwritableError(Exception):
    """It is no data, or too much of it."""


def literal(value: Any) -> str:
    """An expression that gives an equal value; raises UnwritableError."""
    room = [MOST_CHARACTERS]
    return _written(value, room, _DEEPEST)


def _written(value: Any, room: list[int], depth: int) -> str:
    if depth == 0:
        raise UnwritableError
    kind = type(value)
    if kind in _COLLECTIONS:
        room[0] -= 2 * len(value) + 2
        _check(room)
        return _COLLECTIONS[kind](value, lambda item: _written(item, room, depth - 1))
    text = _atom(value)
    room[0] -= len(text)
    _check(room)
    return text


def _check(room: list[int]) -> None:
    if room[0] < 0:
        raise UnwritableError


def _atom(value: Any) -> str:
    kind = type(value)
    if kind is bool or value is None or value is Ellipsis:
        return repr(value)
    if kind is int and value.bit_length() <= _MOST_BITS:
        return repr(value)
    if kind is float:
        return repr(value) if isfinite(value) else f"float({repr(value)!r})"
    if kind is complex and isfinite(value.real) and isfinite(value.imag):
        return repr(value)
    if kind in (str, bytes) and len(value) <= MOST_CHARACTERS:
        # What is invisible in it is not to be invisible in the file.
        return ascii(value) if kind is bytes or not value.isprintable() else repr(value)
    raise UnwritableError


def _tuple(value: tuple[Any, ...], write: Callable[[Any], str]) -> str:
    inner = ", ".join(map(write, value))
    return f"({inner},)" if len(value) == 1 else f"({inner})"


def _dict(value: dict[Any, Any], write: Callable[[Any], str]) -> str:
    return f"{{{', '.join(f'{write(key)}: {write(item)}' for key, item in value.items())}}}"


def _set(value: set[Any], write: Callable[[Any], str]) -> str:
    return f"{{{', '.join(sorted(map(write, value)))}}}" if value else "set()"


_COLLECTIONS: dict[type, Callable[[Any, Callable[[Any], str]], str]] = {
    list: lambda value, write: f"[{', '.join(map(write, value))}]",
    tuple: _tuple,
    dict: _dict,
    set: _set,
    frozenset: lambda value, write: f"frozenset({_set(set(value), write) if value else ''})",
}
