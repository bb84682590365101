"""The bars that axes of matplotlib hold, with their groups, their categories and their errors."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from protocell_guest.guest.chart_axis import ChartAxis, short
from protocell_guest.guest.chart_series import Element, Plot, Series, name_of
from protocell_guest.guest.chart_strokes import Range
from protocell_guest.guest.strict_json import number

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_MOST_COLOURS = 1_000


class _Sides(NamedTuple):
    """Start and width along the categories, base and length along the values."""

    start: float
    width: float
    base: float
    length: float

    @property
    def end(self) -> tuple[float, float]:
        """The middle of its end, across and along."""
        return self.start + self.width / 2, self.base + self.length


def bars(plot: Plot) -> Iterator[Series]:
    """Groups of bars; the bins of a histogram are bars that touch."""
    for container in plot.axes.containers:
        if type(container).__name__ != "BarContainer":
            continue
        horizontal = container.orientation == "horizontal"
        patches = list(container)
        sides = [_sides(patch, horizontal) for patch in patches]
        errors = _errors(plot, container, sides, horizontal)
        label, named = name_of(container, "Group", 0)
        groups = [] if named else [plot.legend.name(patch) for patch in patches[:_MOST_COLOURS]]
        if len(set(groups)) == 1 and groups[0] is not None:
            label, named, groups = groups[0], True, []
        series = Series(
            kind="bar",
            label=label,
            named=named or any(groups),
            count=len(patches),
            members=len(patches),
            elements=lambda _most: iter(()),
            horizontal=horizontal,
        )
        axis = plot.y if horizontal else plot.x
        series.elements = _elements(series, sides, axis, groups, errors)
        yield series


def _sides(patch: Any, horizontal: bool) -> _Sides:  # noqa: FBT001
    across, along = (patch.get_x(), patch.get_width()), (patch.get_y(), patch.get_height())
    if horizontal:
        across, along = along, across
    return _Sides(*map(float, across), *map(float, along))


def _errors(plot: Plot, container: Any, sides: list[_Sides], horizontal: bool) -> list[Range]:  # noqa: FBT001
    """The range that is drawn at the end of each bar: by ``bar(yerr=...)``, or by lines of their own."""
    drawn = getattr(container, "errorbar", None)
    if drawn is None:
        ends = [one.end for one in sides]
        return plot.strokes.claim(ends, horizontal=horizontal, within=False)
    across, along = (1, 0) if horizontal else (0, 1)
    for lines in drawn[2]:
        segments = [list(one) for one in lines.get_segments()]
        upright = all(one and one[0][across] == one[-1][across] for one in segments)
        if upright and len(segments) == len(sides):
            return [(float(one[0][along]), float(one[-1][along])) for one in segments]
    return []


def _elements(
    series: Series,
    sides: list[_Sides],
    axis: ChartAxis,
    groups: list[str | None],
    errors: list[Range],
) -> Callable[[int], Iterator[Element]]:
    def elements(most: int) -> Iterator[Element]:
        touch = _touch(sides)
        for place, bar in enumerate(sides[:most]):
            middle, _ = bar.end
            name = axis.name_near(middle)
            group = next(chain(groups[place : place + 1], [None])) or series.label
            element: Element = {"label": name, "group": group, "value": number(bar.length)}
            if name is None:
                element["label"] = _place(axis, bar, touch)
                element |= {"position": axis.value(middle), "width": short(bar.width)}
            if bar.base:
                element["base"] = number(bar.base)
            if errors:
                element["error"] = [number(end) for end in errors[place]]
            yield element

    return elements


def _touch(sides: list[_Sides]) -> bool:
    ends = [bar.start + bar.width for bar in sides[:-1]]
    starts = [bar.start for bar in sides[1:]]
    return bool(ends) and all(
        abs(end - start) <= 1e-6 * abs(sides[0].width)
        for end, start in zip(ends, starts, strict=True)
    )


def _place(axis: ChartAxis, bar: _Sides, touch: bool) -> str:  # noqa: FBT001
    ends = axis.value(bar.start), axis.value(bar.start + bar.width)
    if touch:
        return " to ".join(end if isinstance(end, str) else f"{end:g}" for end in ends)
    middle = axis.value(bar.end[0])
    return middle if isinstance(middle, str) else f"{bar.end[0]:.10g}"
