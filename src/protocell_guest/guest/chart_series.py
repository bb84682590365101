"""The series that axes of matplotlib hold: lines, points, slices, each with a true count."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from protocell_guest.guest import chart_memory
from protocell_guest.guest.chart_axis import ChartAxis, label_of
from protocell_guest.guest.chart_legend import Legend
from protocell_guest.guest.chart_strokes import Strokes
from protocell_guest.guest.strict_json import number

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

Element = dict[str, Any]

_MOST_REFERENCES = 50
# What matplotlib calls an artist that was given no name.
_AUTOMATIC = re.compile(r"_(?:child|container)([0-9]{1,9})|_nolegend_|_+|")


class Plot(NamedTuple):
    """Axes of matplotlib, and what else is to be known for reading them."""

    axes: Any
    x: ChartAxis
    y: ChartAxis
    legend: Legend
    strokes: Strokes

    @classmethod
    def of(cls, axes: Any) -> Plot:
        """Read what all finders need."""
        return cls(axes, ChartAxis(axes.xaxis), ChartAxis(axes.yaxis), Legend(axes), Strokes(axes))


@dataclass(slots=True, kw_only=True)
class Series:
    """One line, cloud of points, group of bars, row of boxes, or pie."""

    kind: str
    label: str
    named: bool
    count: int
    """Points, bars, boxes or slices, all of them."""
    members: int
    """Elements that the whole would give: one for a line, one for each bar."""
    elements: Callable[[int], Iterator[Element]]
    """The elements, with or of at most so many points or bars."""
    horizontal: bool = False
    order: int = 1 << 30
    """Place among the artists of the axes, in which legends take them; containers come after."""


def pie(plot: Plot) -> Iterator[Series]:
    """The slices of a pie: angles in degrees, shares of the whole circle, and values where they are known."""
    wedges = [patch for patch in plot.axes.patches if type(patch).__name__ == "Wedge"]

    def elements(most: int) -> Iterator[Element]:
        for position, wedge in enumerate(wedges[:most]):
            label, _ = name_of(wedge, "Slice", position)
            # Angles are kept in single precision: 90.00000250447 is 90.
            angle = float(f"{abs(float(wedge.theta2) - float(wedge.theta1)):.6g}")
            element = {"label": label, "angle": number(angle), "radius": number(wedge.r)}
            value = chart_memory.value_of(wedge)
            yield {**element, "share": number(float(f"{angle / 360:.6g}"))} | (
                {} if value is None else {"value": number(value)}
            )

    if wedges:
        yield Series(
            kind="pie",
            label="",
            named=True,
            count=len(wedges),
            members=len(wedges),
            elements=elements,
        )


def points(plot: Plot) -> Iterator[Series]:
    """Lines and clouds of points; markers without a line between them are points."""
    axes = plot.axes
    order = {id(artist): place for place, artist in enumerate(axes.get_children())}
    for series, artist in (*_lines(plot), *_clouds(plot)):
        series.order = order[id(artist)]
        yield series


def _lines(plot: Plot) -> Iterator[tuple[Series, Any]]:
    names, skipped = _of_containers(plot.axes)
    lines = [
        (position, line)
        for position, line in enumerate(plot.axes.lines)
        if id(line) not in skipped and _is_data(plot.axes, line)
    ]
    for _, line in lines:
        _claim_errors(plot, line)
    for position, line in lines:
        if id(line) in plot.strokes.spent:
            continue
        drawn = line.get_linestyle() not in {"None", "none", "", " "} or id(line) in names
        kind = "line" if drawn else "scatter"
        label, named = name_of(names.get(id(line), line), kind.capitalize(), position)
        if not named and (known := plot.legend.name(line)) is not None:
            label, named = known, True
        data = line.get_xdata(orig=False), line.get_ydata(orig=False)
        yield _points(kind, label, data, plot, named=named), line


def _claim_errors(plot: Plot, line: Any) -> None:
    """Find the error bars of a line's points, which are lines too, as in seaborn's ``pointplot``."""
    if id(line) in plot.strokes.spent or not plot.strokes.may_have_errors(line):
        return
    x, y = line.get_xdata(orig=False), line.get_ydata(orig=False)
    ends = [(_float(a), _float(b)) for a, b in zip(x, y, strict=False)]
    if not plot.strokes.claim(ends, horizontal=False, within=True):
        plot.strokes.claim([end[::-1] for end in ends], horizontal=True, within=True)


def _clouds(plot: Plot) -> Iterator[tuple[Series, Any]]:
    clouds = [one for one in plot.axes.collections if type(one).__name__ == "PathCollection"]
    for position, cloud in enumerate(clouds):
        offsets = cloud.get_offsets()
        label, named = name_of(cloud, "Scatter", position)
        parts = [] if named else plot.legend.parts(cloud)
        for name, mask in parts:
            data = offsets[mask, 0], offsets[mask, 1]
            yield _points("scatter", name, data, plot, named=True), cloud
        if not parts:
            data = offsets[:, 0], offsets[:, 1]
            yield _points("scatter", label, data, plot, named=named), cloud


def _points(kind: str, label: str, data: tuple[Any, Any], plot: Plot, *, named: bool) -> Series:
    count = min(len(data[0]), len(data[1]))
    axes = plot.x, plot.y

    def elements(most: int) -> Iterator[Element]:
        listed = [
            [axis.value(_float(column[at])) for axis, column in zip(axes, data, strict=True)]
            for at in _spread(count, most)
        ]
        element: Element = {"label": series.label, "points": listed}
        yield element if len(listed) == count else {**element, "count": count}

    series = Series(kind=kind, label=label, named=named, count=count, members=1, elements=elements)
    return series


def _float(cell: Any) -> float:
    # float() of numpy's "masked" gives NaN as well, and a warning.
    return float("nan") if type(cell).__name__ == "MaskedConstant" else float(cell)


def _spread(count: int, most: int) -> Iterator[int]:
    """Evenly spread positions, the first and the last among them."""
    if count <= most:
        return iter(range(count))
    return (round(step * (count - 1) / max(1, most - 1)) for step in range(most))


def _of_containers(axes: Any) -> tuple[dict[int, Any], set[int]]:
    """Lines that have their name from an error bar or stem plot, and lines that only decorate these."""
    names: dict[int, Any] = {}
    skipped: set[int] = set()
    for container in axes.containers:
        kind = type(container).__name__
        if kind == "ErrorbarContainer":
            line, caps, _ = container
            names |= {id(line): container} if line is not None else {}
            skipped |= {id(cap) for cap in caps}
        elif kind == "StemContainer":
            names[id(container.markerline)] = container
            skipped.add(id(container.baseline))
    for _, drawn in chart_memory.boxes_of(axes):
        skipped |= {id(artist) for artists in drawn.values() for artist in artists}
    return names, skipped


def _is_data(axes: Any, line: Any) -> bool:
    return all(line.get_transform().contains_branch_seperately(axes.transData))


def references(plot: Plot) -> list[Element]:
    """Lines at one value across the axes, as of ``axhline``: a limit, a mean, a date."""
    axes, x, y, *_ = plot
    found: list[Element] = []
    for line in axes.lines[:1_000]:
        in_x, in_y = line.get_transform().contains_branch_seperately(axes.transData)
        if in_x == in_y or len(found) == _MOST_REFERENCES:
            continue
        axis, data = (x, line.get_xdata(orig=False)) if in_x else (y, line.get_ydata(orig=False))
        label, named = name_of(line, "Line", 0)
        element = {"label": label if named else None, "axis": "x" if in_x else "y"}
        found.append({**element, "value": axis.value(_float(data[0]))})
    return found


def name_of(artist: Any, kind: str, position: int) -> tuple[str, bool]:
    """The label of an artist, and whether the code gave it."""
    text = label_of(artist.get_label()) or ""
    automatic = _AUTOMATIC.fullmatch(text)
    if automatic is None:
        return text, True
    return f"{kind} {automatic[1] or position}", False
