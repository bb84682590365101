"""The series that axes of matplotlib hold: lines, points, bars, boxes, slices, each with a true count."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from protocell_guest.guest.chart_axis import ChartAxis, label_of, short
from protocell_guest.guest.strict_json import number

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

Element = dict[str, Any]

_MOST_OUTLIERS = 100
_MOST_REFERENCES = 50
# What matplotlib calls an artist that was given no name.
_AUTOMATIC = re.compile(r"_(?:child|container)([0-9]{1,9})|_nolegend_|_+|")


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


class Boxes:
    """The statistics of box plots, kept with the axes that show them."""

    @staticmethod
    def add(axes: Any, statistics: list[Any], artists: Any) -> None:
        """Keep what ``Axes.bxp`` was given and what it drew."""
        kept = vars(axes).setdefault("_protocell_boxes", [])
        kept.append((statistics, artists))

    @staticmethod
    def of(axes: Any) -> list[tuple[list[Any], Any]]:
        """Statistics and artists of the plots that are still there: ``cla()`` removes artists."""
        kept = vars(axes).get("_protocell_boxes", [])
        return [
            (stats, drawn) for stats, drawn in kept if all(m.axes is axes for m in drawn["medians"])
        ]


def bars(axes: Any, x: ChartAxis, y: ChartAxis) -> Iterator[Series]:
    """Groups of bars; the bins of a histogram are bars that touch."""
    for container in axes.containers:
        if type(container).__name__ != "BarContainer":
            continue
        horizontal = container.orientation == "horizontal"
        label, named = _name(container, "Group", 0)
        patches = list(container)
        series = Series(
            kind="bar",
            label=label,
            named=named,
            count=len(patches),
            members=len(patches),
            elements=lambda _most: iter(()),
            horizontal=horizontal,
        )
        axis = y if horizontal else x
        series.elements = _bars(series, [_sides(patch, horizontal) for patch in patches], axis)
        yield series


def _sides(patch: Any, horizontal: bool) -> tuple[float, float, float, float]:  # noqa: FBT001
    """Start and width along the categories, base and length along the values."""
    across, along = (patch.get_x(), patch.get_width()), (patch.get_y(), patch.get_height())
    if horizontal:
        across, along = along, across
    return (*map(float, across), *map(float, along))  # type: ignore[return-value]


def _bars(
    series: Series, sides: list[tuple[float, float, float, float]], axis: ChartAxis
) -> Callable[[int], Iterator[Element]]:
    def elements(most: int) -> Iterator[Element]:
        touch = _touch(sides)
        for start, width, base, length in sides[:most]:
            name = axis.name_near(start + width / 2)
            element = {"label": name, "group": series.label, "value": number(length)}
            if name is None:
                element["label"] = _place(axis, start, width, touch)
                element |= {"position": axis.value(start + width / 2), "width": short(width)}
            if base:
                element["base"] = number(base)
            yield element

    return elements


def _touch(sides: list[tuple[float, float, float, float]]) -> bool:
    ends = [start + width for start, width, _, _ in sides[:-1]]
    starts = [start for start, _, _, _ in sides[1:]]
    return bool(ends) and all(
        abs(end - start) <= 1e-6 * abs(sides[0][1]) for end, start in zip(ends, starts, strict=True)
    )


def _place(axis: ChartAxis, start: float, width: float, touch: bool) -> str:  # noqa: FBT001
    ends = axis.value(start), axis.value(start + width)
    if touch:
        return " to ".join(end if isinstance(end, str) else f"{end:g}" for end in ends)
    middle = axis.value(start + width / 2)
    return middle if isinstance(middle, str) else f"{start + width / 2:.10g}"


def boxes(axes: Any, x: ChartAxis, y: ChartAxis) -> Iterator[Series]:
    """Box plots, by the statistics they were made from."""
    for statistics, drawn in Boxes.of(axes):
        medians = [
            (list(m.get_xdata(orig=False)), list(m.get_ydata(orig=False))) for m in drawn["medians"]
        ]
        # The line of a median lies across its box.
        horizontal = any(
            across[0] == across[-1] and along[0] != along[-1] for across, along in medians
        )
        axis = y if horizontal else x
        places = [sum((m[1] if horizontal else m[0])[:2]) / 2 for m in medians]
        names = [axis.name_near(place) for place in places] + [None] * len(statistics)
        yield Series(
            kind="box_and_whisker",
            label="",
            named=True,
            count=len(statistics),
            members=len(statistics),
            elements=_boxes(statistics, names),
            horizontal=horizontal,
        )


def _boxes(statistics: list[Any], names: list[str | None]) -> Callable[[int], Iterator[Element]]:
    def elements(most: int) -> Iterator[Element]:
        for position, (box, name) in enumerate(zip(statistics[:most], names, strict=False), 1):
            outliers = box.get("fliers", ())
            element = {
                "label": name or label_of(str(box.get("label", ""))) or str(position),
                "min": number(box["whislo"]),
                "first_quartile": number(box["q1"]),
                "median": number(box["med"]),
                "third_quartile": number(box["q3"]),
                "max": number(box["whishi"]),
                "outliers": [number(value) for value in outliers[:_MOST_OUTLIERS]],
            }
            if len(outliers) > _MOST_OUTLIERS:
                element["outliers_count"] = len(outliers)
            yield element

    return elements


def pie(axes: Any, _x: ChartAxis, _y: ChartAxis) -> Iterator[Series]:
    """The slices of a pie, as angles in degrees."""
    wedges = [patch for patch in axes.patches if type(patch).__name__ == "Wedge"]

    def elements(most: int) -> Iterator[Element]:
        for position, wedge in enumerate(wedges[:most]):
            label, _ = _name(wedge, "Slice", position)
            # Angles are kept in single precision: 90.00000250447 is 90.
            angle = float(f"{abs(float(wedge.theta2) - float(wedge.theta1)):.6g}")
            yield {"label": label, "angle": number(angle), "radius": number(wedge.r)}

    if wedges:
        yield Series(
            kind="pie",
            label="",
            named=True,
            count=len(wedges),
            members=len(wedges),
            elements=elements,
        )


def points(axes: Any, x: ChartAxis, y: ChartAxis) -> Iterator[Series]:
    """Lines and clouds of points; markers without a line between them are points."""
    names, skipped = _of_containers(axes)
    order = {id(artist): place for place, artist in enumerate(axes.get_children())}
    for position, line in enumerate(axes.lines):
        if id(line) in skipped or not _is_data(axes, line):
            continue
        drawn = line.get_linestyle() not in {"None", "none", "", " "} or id(line) in names
        kind = "line" if drawn else "scatter"
        label, named = _name(names.get(id(line), line), kind.capitalize(), position)
        data = line.get_xdata(orig=False), line.get_ydata(orig=False)
        series = _points(kind, label, data, (x, y), named=named)
        series.order = order[id(line)]
        yield series
    clouds = [one for one in axes.collections if type(one).__name__ == "PathCollection"]
    for position, cloud in enumerate(clouds):
        offsets = cloud.get_offsets()
        label, named = _name(cloud, "Scatter", position)
        series = _points("scatter", label, (offsets[:, 0], offsets[:, 1]), (x, y), named=named)
        series.order = order[id(cloud)]
        yield series


def _points(
    kind: str, label: str, data: tuple[Any, Any], axes: tuple[ChartAxis, ChartAxis], *, named: bool
) -> Series:
    count = min(len(data[0]), len(data[1]))

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
    for _, drawn in Boxes.of(axes):
        skipped |= {id(artist) for artists in drawn.values() for artist in artists}
    return names, skipped


def _is_data(axes: Any, line: Any) -> bool:
    return all(line.get_transform().contains_branch_seperately(axes.transData))


def references(axes: Any, x: ChartAxis, y: ChartAxis) -> list[Element]:
    """Lines at one value across the axes, as of ``axhline``: a limit, a mean, a date."""
    found: list[Element] = []
    for line in axes.lines[:1_000]:
        in_x, in_y = line.get_transform().contains_branch_seperately(axes.transData)
        if in_x == in_y or len(found) == _MOST_REFERENCES:
            continue
        axis, data = (x, line.get_xdata(orig=False)) if in_x else (y, line.get_ydata(orig=False))
        label, named = _name(line, "Line", 0)
        element = {"label": label if named else None, "axis": "x" if in_x else "y"}
        found.append({**element, "value": axis.value(_float(data[0]))})
    return found


def _name(artist: Any, kind: str, position: int) -> tuple[str, bool]:
    """The label of an artist, and whether the code gave it."""
    text = label_of(artist.get_label()) or ""
    automatic = _AUTOMATIC.fullmatch(text)
    if automatic is None:
        return text, True
    return f"{kind} {automatic[1] or position}", False
