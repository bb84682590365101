"""The box plots and violins that axes of matplotlib hold, by the statistics they were made from."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

from protocell_guest.guest import chart_memory
from protocell_guest.guest.chart_axis import ChartAxis, label_of
from protocell_guest.guest.chart_series import Element, Plot, Series
from protocell_guest.guest.chart_strokes import Stroke
from protocell_guest.guest.strict_json import number

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_MOST_OUTLIERS = 100


def boxes(plot: Plot) -> Iterator[Series]:
    """Box plots, one series for each call that made some."""
    for statistics, drawn in chart_memory.boxes_of(plot.axes):
        medians = [
            (list(m.get_xdata(orig=False)), list(m.get_ydata(orig=False))) for m in drawn["medians"]
        ]
        # The line of a median lies across its box.
        horizontal = any(
            across[0] == across[-1] and along[0] != along[-1] for across, along in medians
        )
        axis = plot.y if horizontal else plot.x
        places = [sum((m[1] if horizontal else m[0])[:2]) / 2 for m in medians]
        names = [axis.name_near(place) for place in places]
        groups = [plot.legend.name(box) for box in drawn["boxes"][: len(statistics)]]
        elements = _boxes(statistics, names, groups)
        yield _series("box_and_whisker", len(statistics), elements, horizontal)


def violins(plot: Plot) -> Iterator[Series]:
    """Violins: matplotlib's by what they were made from, seaborn's by the boxes within them."""
    for statistics, bodies in chart_memory.violins_of(plot.axes):
        horizontal, names = _places(plot, statistics, bodies)
        yield _series("violin", len(statistics), _violins(statistics, names), horizontal)
    bodies = [one for one in plot.axes.collections if type(one).__name__.endswith("PolyCollection")]
    inner = plot.strokes.inner_boxes() if bodies else []
    if inner:
        groups = [plot.legend.name(body) for body in bodies] if len(bodies) == len(inner) else []
        horizontal = inner[0][0].horizontal
        axis = plot.y if horizontal else plot.x
        yield _series("violin", len(inner), _inner(inner, axis, groups), horizontal)


def _series(
    kind: str,
    count: int,
    elements: Callable[[int], Iterator[Element]],
    horizontal: bool,  # noqa: FBT001
) -> Series:
    return Series(
        kind=kind,
        label="",
        named=True,
        count=count,
        members=count,
        elements=elements,
        horizontal=horizontal,
    )


def _boxes(
    statistics: list[Any], names: list[str | None], groups: list[str | None]
) -> Callable[[int], Iterator[Element]]:
    def elements(most: int) -> Iterator[Element]:
        together = zip_longest(statistics[:most], names[:most], groups[:most])
        for position, (box, name, group) in enumerate(together, 1):
            outliers = box.get("fliers", ())
            element = {
                "label": name or label_of(str(box.get("label", ""))) or str(position),
                **({} if group is None else {"group": group}),
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


def _places(plot: Plot, statistics: list[Any], bodies: list[Any]) -> tuple[bool, list[str | None]]:
    """Whether the violins lie on their side, and what stands at the axis beside each."""
    outlines = [body.get_paths()[0].vertices for body in bodies]
    lengths = [float(one["coords"][-1]) - float(one["coords"][0]) for one in statistics]
    # A body is as long along the values as its coordinates.
    horizontal = any(
        abs(_span(outline, 0) - length) < abs(_span(outline, 1) - length)
        for length, outline in zip(lengths, outlines, strict=False)
    )
    axis, column = (plot.y, 1) if horizontal else (plot.x, 0)
    middles = [(outline[:, column].min() + outline[:, column].max()) / 2 for outline in outlines]
    return horizontal, [axis.name_near(float(middle)) for middle in middles]


def _span(outline: Any, column: int) -> float:
    return float(outline[:, column].max() - outline[:, column].min())


def _violins(statistics: list[Any], names: list[str | None]) -> Callable[[int], Iterator[Element]]:
    def elements(most: int) -> Iterator[Element]:
        for position, (one, name) in enumerate(zip_longest(statistics[:most], names[:most]), 1):
            fields = {field: number(one[field]) for field in ("min", "median", "max", "mean")}
            yield {"label": name or str(position), **fields}

    return elements


def _inner(
    inner: list[tuple[Stroke, Stroke, float]], axis: ChartAxis, groups: list[str | None]
) -> Callable[[int], Iterator[Element]]:
    def elements(most: int) -> Iterator[Element]:
        together = zip_longest(inner[:most], groups[:most])
        for position, ((whiskers, quartiles, median), group) in enumerate(together, 1):
            yield {
                "label": axis.name_near(whiskers.place) or str(position),
                **({} if group is None else {"group": group}),
                "min": number(whiskers.low),
                "first_quartile": number(quartiles.low),
                "median": number(median),
                "third_quartile": number(quartiles.high),
                "max": number(whiskers.high),
            }

    return elements
