"""What a matplotlib figure shows, as data: kind, titles, axes, units, scales and series.

The field names are those of e2b-charts, whose users can read this as they are used to; why it is
not that package is told in docs/adr/0010. Beyond it: axes that hold several kinds give one chart for
each; a series says how many points it has (``count``) where only some are listed; positions, widths
and bases of bars; lines at a fixed value apart from the data. Everything is bounded, and strict JSON.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from protocell_guest.guest.chart_axis import label_of
from protocell_guest.guest.chart_bars import bars
from protocell_guest.guest.chart_boxes import boxes, violins
from protocell_guest.guest.chart_series import Plot, Series, pie, points, references
from protocell_guest.guest.representation import ENDINGS
from protocell_guest.guest.strict_json import encode

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

CHART = "application/vnd.protocell.chart+json"
"""The MIME type of chart data."""

MOST_POINTS = 5_000
"""Points, bars and boxes listed in one figure, and ..."""
MOST_POINTS_OF_SERIES = 1_000
MOST_CHARTS = 50

Chart = dict[str, Any]


def chart_of(figure: Any) -> str | None:
    """Chart data of a figure as JSON; None for a figure without data. It has been drawn before.

    Raises:
        KeyboardInterrupt, SystemExit: only those, of what the figure's artists may raise.
    """
    try:
        charts = _charts(figure)
        return encode(_together(figure, charts)) if charts else None
    except ENDINGS:
        raise
    except BaseException:  # noqa: BLE001  (artists can be the code's own classes; the picture is still there)
        return None


def _charts(figure: Any) -> list[Chart]:
    charts: list[Chart] = []
    with_data = [axes for axes in figure.axes if _is_plot(axes)][:MOST_CHARTS]
    left = MOST_POINTS
    for done, axes in enumerate(with_data):
        found = _of_axes(axes, left // (len(with_data) - done))
        left -= sum(_size(chart) for chart in found)
        charts += found
    return charts[:MOST_CHARTS]


def _is_plot(axes: Any) -> bool:
    return axes.get_visible() and axes.has_data() and not hasattr(axes, "_colorbar")


def _together(figure: Any, charts: list[Chart]) -> Chart:
    title = label_of(figure.get_suptitle() if hasattr(figure, "get_suptitle") else "")
    if len(charts) > 1:
        return {"type": "superchart", "title": title, "elements": charts}
    return {**charts[0], "title": charts[0]["title"] or title}


def _size(chart: Chart) -> int:
    return sum(len(element.get("points", " ")) for element in chart["elements"])


def _of_axes(axes: Any, most: int) -> list[Chart]:
    """One chart for each kind of thing that these axes hold."""
    try:
        return list(_kinds(axes, most))
    except ENDINGS:
        raise
    except BaseException:  # noqa: BLE001  (as above; the other axes may be fine)
        return [{"type": "unknown", "title": None, "elements": []}]


def _kinds(axes: Any, most: int) -> Iterator[Chart]:
    plot = Plot.of(axes)
    # What artists in 3D hold once they are drawn are places on the paper.
    finders = () if axes.name == "3d" else _FINDERS
    series = [found for find in finders for found in find(plot)]
    _name_by_legend(plot, series)
    lines = references(plot) if finders else []
    kinds = list(dict.fromkeys(one.kind for one in series if one.count)) or ["unknown"]
    room = max(0, min(MOST_POINTS_OF_SERIES, most))
    share = max(1, min(room, most // max(1, len(series))))
    for kind in kinds:
        mine = [one for one in series if one.kind == kind and one.count]
        chart = _frame(plot, kind, swap=any(one.horizontal for one in mine))
        if lines:
            chart["reference_lines"] = lines
        _fill(chart, mine, share, room)
        yield chart


# In this order: what is found to belong to bars or violins is no line of its own.
_FINDERS: tuple[Callable[[Plot], Iterator[Series]], ...] = (bars, boxes, violins, pie, points)


def _frame(plot: Plot, kind: str, *, swap: bool) -> Chart:
    axes, x, y, *_ = plot
    chart: Chart = {"type": kind, "title": label_of(axes.get_title()), "elements": []}
    if kind == "pie":
        return chart
    # As in e2b-charts: the x fields are those of the categories, also where bars lie on their side.
    across, along = (y, x) if swap else (x, y)
    chart |= {**across.fields("x"), **along.fields("y")}
    if kind in {"bar", "box_and_whisker", "violin"}:
        chart["orientation"] = "horizontal" if swap else "vertical"
    if axes.name != "rectilinear":
        chart["projection"] = label_of(axes.name)
    return chart


def _fill(chart: Chart, series: list[Series], share: int, room: int) -> None:
    left_out = 0
    for one in series:
        elements = list(islice(one.elements(share), room))
        chart["elements"] += elements
        room -= len(elements)
        left_out += one.members - len(elements)
    if left_out:
        chart["elements_left_out"] = left_out


def _name_by_legend(plot: Plot, series: list[Series]) -> None:
    """Names that were given to the legend alone, as by ``plt.legend(["north", "south"])``."""
    texts = plot.legend.names
    drawn = sorted((one for one in series if one.count), key=lambda one: one.order)
    if len(texts) == len(drawn) and not any(one.named for one in drawn):
        for one, text in zip(drawn, texts, strict=True):
            one.label = text or one.label
