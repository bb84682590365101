"""Cells of a data frame as plain JSON values.

None, NaN, NaT and NA become null; infinities "Infinity" and "-Infinity"; dates, times and durations
ISO 8601 text, with offset if they have a time zone; bytes the text of their literal (b'...');
lists, tuples, sets, arrays and dicts stay what they are, as deep and long as the bounds allow; all
else (Decimal, Period, Interval, complex, objects) its ``str``. What was cut is remembered.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from protocell_guest.guest.clipping import clip
from protocell_guest.guest.representation import ENDINGS, described
from protocell_guest.guest.strict_json import well_formed

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_DEEPEST = 4
_LARGEST = 2**64
_MISSING = {"NaTType", "NAType"}
_NUMPY_TIMES = {"datetime64", "timedelta64"}  # in nanoseconds their tolist() is an int
_LISTS = (list, tuple, set, frozenset)

Convert = Callable[[Any, int], Any]


class Cells:
    """Makes cells plain, none of them longer than so many bytes of text or members.

    All of them together get no longer than ``room``: cells can share what they hold, so that a small frame has
    a huge text. What comes after that is empty, and counts as cut.
    """

    def __init__(self, *, longest: int, members: int, room: int = 1 << 62) -> None:
        self.cut = False
        """Whether a cell was cut so far."""
        self._room = room
        self._longest = longest
        self._members = members
        self._ways: dict[type, Convert] = {
            type(None): lambda value, _: value,
            bool: lambda value, _: value,
            str: lambda value, _: self.text(value),
            int: lambda value, _: self._int(value),
            float: lambda value, _: self._float(value),
            dict: self._dict,
            bytes: lambda value, _: self._bytes(value),
            bytearray: lambda value, _: self._bytes(value),
            **dict.fromkeys(_LISTS, self._list),
        }

    def plain(self, value: Any, depth: int = 0) -> Any:
        """A cell as JSON value.

        Raises:
            KeyboardInterrupt, SystemExit: only those, of what a cell's own methods may raise.
        """
        kind = type(value)
        try:
            way = self._ways.get(kind) or self._way(kind)
            return way(value, depth)
        except ENDINGS:
            raise
        except BaseException as error:  # noqa: BLE001  (cells can be the code's own objects)
            return self.text(f"<{kind.__name__} object whose str raised {described(error)}>")

    def text(self, value: str) -> str:
        """Text of bounded length."""
        value = str.__str__(value)
        text = clip(value, self._longest)
        self.cut = self.cut or text is not value
        return well_formed(text[: self._take(len(text))])

    def _take(self, length: int) -> int:
        """How much of so much there is still room for."""
        taken = min(length, self._room)
        self._room -= taken
        self.cut = self.cut or taken < length
        return taken

    def _way(self, kind: type) -> Convert:
        """How cells of a class go; found once for each class, by the nearest ancestor that is known."""
        way: Convert
        known = next((self._ways[base] for base in kind.__mro__ if base in self._ways), None)
        if kind.__name__ in _MISSING:
            way = _none
        elif kind.__name__ == "timedelta":
            way = _duration
        elif known is not None:
            way = known
        elif callable(getattr(kind, "isoformat", None)):
            way = self._iso
        elif callable(getattr(kind, "tolist", None)) and kind.__name__ not in _NUMPY_TIMES:
            way = self._array
        else:
            way = self._object
        self._ways[kind] = way
        return way

    def _int(self, value: int) -> int | str:
        value = int.__index__(value)
        if -_LARGEST < value < _LARGEST:
            return value
        # CPython refuses to write out more than 4,300 digits (CVE-2020-10735).
        return self.text(str(value) if value.bit_length() < 10_000 else f"{value:#x}")

    def _float(self, value: float) -> float | str | None:
        value = float.__pos__(value)
        if value != value:  # noqa: PLR0124  (NaN, and nothing else)
            return None
        if value in {float("inf"), float("-inf")}:
            return "Infinity" if value > 0 else "-Infinity"
        return value

    def _bytes(self, value: bytes | bytearray) -> str:
        self.cut = self.cut or len(value) > self._longest
        return self.text(repr(bytes(value[: self._longest])))

    def _list(self, value: Iterable[Any], depth: int) -> Any:
        if depth == _DEEPEST:
            return self._object(value, depth)
        most = self._take(min(self._members, len(value)))  # type: ignore[arg-type]
        items = [self.plain(item, depth + 1) for item in islice(iter(value), most)]
        self.cut = self.cut or len(value) > len(items)  # type: ignore[arg-type]
        return items

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        if depth == _DEEPEST:
            return self._object(value, depth)
        items = islice(dict.items(value), self._take(min(self._members, len(value))))
        self.cut = self.cut or len(value) > self._members
        return {self.text(str(key)): self.plain(item, depth + 1) for key, item in items}

    def _array(self, value: Any, depth: int) -> Any:
        if getattr(value, "ndim", 1) == 0:
            return self.plain(value.item() if hasattr(value, "item") else str(value), depth)
        self.cut = self.cut or len(value) > self._members
        return self._list(value[: self._members].tolist(), depth)

    def _iso(self, value: Any, _depth: int) -> str:
        return self.text(value.isoformat())

    def _object(self, value: Any, _depth: int) -> str:
        return self.text(str(value))


def _none(_value: object, _depth: int) -> None:
    return None


def _duration(value: Any, _depth: int) -> str:
    """ISO 8601, as pandas writes it."""
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    return f"P{value.days}DT{hours}H{minutes}M{seconds}{fraction}S"
