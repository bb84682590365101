"""Short lines without a name that belong to something else: error bars, and the boxes within violins.

seaborn draws both by ``Axes.plot``, where they would be taken for series of two points.  A line is taken for an
error bar only if all bars of a group, or all points of a line, have just such a line at their place.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from itertools import islice
from math import isnan
from typing import Any, NamedTuple

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_MOST = 5_000
_WITH_CAPS = 8  # a cap, a gap, the bar, a gap, a cap

Range = tuple[float, float]


class Stroke(NamedTuple):
    """An unnamed line along one axis: from where to where, and where it crosses the other one."""

    line: Any
    place: float
    low: float
    high: float
    horizontal: bool


class Strokes:
    """The strokes in some axes, and which of them were found to belong to something."""

    def __init__(self, axes: Any) -> None:
        self.spent: set[int] = set()
        """The ids of lines that are no data of their own."""
        self._found: dict[int, list[Stroke]] = {}
        self._at: dict[tuple[bool, str], list[Stroke]] = {}
        self._lines = list(islice(axes.lines, _MOST))
        for line in self._lines:
            self._found[id(line)] = strokes = list(_strokes(line))
            for stroke in strokes:
                self._at.setdefault((stroke.horizontal, _key(stroke.place)), []).append(stroke)

    def claim(
        self, ends: Sequence[tuple[float, float]], *, horizontal: bool, within: bool
    ) -> list[Range]:
        """The range around each of these (place, value), if each has one; they are no data then.

        With ``within`` the value has to lie between its ends, not at one of them.
        """
        found = [self._around(end, horizontal, within) for end in ends] if self._at else []
        strokes = [stroke for stroke in found if stroke is not None]
        if not strokes or len(strokes) < len(found):
            return []
        self.spent.update(id(stroke.line) for stroke in strokes)
        return [(stroke.low, stroke.high) for stroke in strokes]

    def may_have_errors(self, line: Any) -> bool:
        """Whether there are strokes for all points of this line, and it is none itself."""
        strokes = sum(map(len, self._at.values()))
        return not self._found.get(id(line)) and 0 < len(line.get_xdata(orig=False)) <= strokes

    def inner_boxes(self) -> list[tuple[Stroke, Stroke, float]]:
        """Whiskers, quartiles and median, each three lines in a row at one place, as in seaborn's violins."""
        boxes = []
        for whiskers, quartiles, median in zip(
            self._lines, self._lines[1:], self._lines[2:], strict=False
        ):
            box = self._inner_box(whiskers, quartiles, median)
            if box is not None:
                boxes.append(box)
                self.spent.update(map(id, (whiskers, quartiles, median)))
        return boxes

    def _inner_box(
        self, whiskers: Any, quartiles: Any, median: Any
    ) -> tuple[Stroke, Stroke, float] | None:
        point = _point(median)
        if point is None or not is_unnamed(median):
            return None
        for outer in self._found[id(whiskers)]:
            across, along = point[::-1] if outer.horizontal else point
            for inner in self._found[id(quartiles)]:
                nested = outer.low <= inner.low <= along <= inner.high <= outer.high
                if nested and outer.horizontal == inner.horizontal:
                    at_one_place = _key(outer.place) == _key(inner.place) == _key(across)
                    return (outer, inner, along) if at_one_place else None
        return None

    def _around(self, end: tuple[float, float], horizontal: bool, within: bool) -> Stroke | None:  # noqa: FBT001
        place, value = end
        for stroke in self._at.get((horizontal, _key(place)), ()):
            at_an_end = (stroke.low == value) != (stroke.high == value)
            outside = not (stroke.low <= value <= stroke.high) or (within and at_an_end)
            if id(stroke.line) not in self.spent and (isnan(stroke.low) or not outside):
                return stroke
        return None


def is_unnamed(line: Any) -> bool:
    """Whether the code gave it no name."""
    return str(line.get_label()).startswith("_")


def _strokes(line: Any) -> Iterable[Stroke]:
    """The line as a stroke; both upright and level if its ends are the same."""
    xs, ys = line.get_xdata(orig=False), line.get_ydata(orig=False)
    if len(xs) not in (2, _WITH_CAPS) or len(xs) != len(ys) or not is_unnamed(line):
        return
    middle = slice(0, 2)
    if len(xs) == _WITH_CAPS:
        if not (isnan(xs[2]) and isnan(xs[5])):
            return
        middle = slice(3, 5)
    x, y = sorted(map(float, xs[middle])), sorted(map(float, ys[middle]))
    if x[0] == x[1]:
        yield Stroke(line, x[0], y[0], y[1], horizontal=False)
    if y[0] == y[1]:
        yield Stroke(line, y[0], x[0], x[1], horizontal=True)


def _point(line: Any) -> tuple[float, float] | None:
    xs, ys = line.get_xdata(orig=False), line.get_ydata(orig=False)
    return (float(xs[0]), float(ys[0])) if len(xs) == len(ys) == 1 else None


def _key(place: float) -> str:
    """A place but for the last digits, in which the middle of a bar differs from where it was put."""
    return f"{place:.9g}"
