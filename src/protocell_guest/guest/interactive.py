"""Charts that a browser draws: those of plotly and altair, as their specification and a summary.

Their own display hooks fail where no notebook is: plotly asks for nbformat, or opens a browser.
The specification is JSON under the MIME type that notebooks know it by. HTML, which holds the
specification a second time and a script besides, comes only with small ones.
"""

from __future__ import annotations

import builtins
import functools
import sys
from collections.abc import Callable
from typing import Any

from protocell_guest.guest.clipping import clip
from protocell_guest.guest.mime_bundles import texts_of
from protocell_guest.guest.on_import import when_imported
from protocell_guest.guest.representation import ENDINGS, described, is_instance
from protocell_guest.guest.strict_json import encode_any, well_formed

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

Show = Callable[[object], None]

PLOTLY = "application/vnd.plotly.v1+json"
HTML_BYTES = 64 * 1024
"""HTML longer than this is left out; the specification says the same."""

_SUMMARY_BYTES = 1_000
_MOST_TRACES = 20
# What holds the points of a trace, by kind of trace.
_POINTS = ("x", "y", "values", "z", "lat", "locations", "labels", "r", "open", "a")

_show: list[Show] = []


def install(show: Show) -> None:
    """A cell begins: ``fig.show()`` of plotly calls ``show`` with something to be displayed."""
    _show[:] = [show]
    when_imported("plotly.io._renderers", _take_plotly_show)


def is_interactive(value: object) -> bool:
    """Whether it is a chart of plotly or altair."""
    return _is_plotly(value) or _is_altair(value)


def formats_of_interactive(value: Any) -> dict[str, str]:
    """The chart by MIME type; if it cannot be made, the text says why (altair refuses over 5,000 rows).

    Raises:
        KeyboardInterrupt, SystemExit: only those.
    """
    name = "plotly" if _is_plotly(value) else "altair"
    try:
        return _plotly_forms(value) if name == "plotly" else _altair_forms(value)
    except ENDINGS:
        raise
    except BaseException as error:  # noqa: BLE001  (charts hold the code's objects: anything can come)
        return {"text/plain": f"<{name} chart that could not be made: {described(error)}>"}


# -- plotly ------------------------------------------------------------------------------------------


def _is_plotly(value: object) -> bool:
    return is_instance(value, "plotly.basedatatypes", "BaseFigure")


def _plotly_forms(figure: Any) -> dict[str, str]:
    specification = well_formed(figure.to_json())
    forms = {"text/plain": _plotly_summary(figure), PLOTLY: specification}
    if len(specification) < HTML_BYTES:
        html = well_formed(figure.to_html(full_html=False, include_plotlyjs="cdn"))
        forms |= {"text/html": html} if len(html) <= HTML_BYTES else {}
    return forms


def _plotly_summary(figure: Any) -> str:
    traces = [_trace(trace) for trace in figure.data[:_MOST_TRACES]]
    more = len(figure.data) - len(traces)
    title = figure.layout.title.text
    text = f"<plotly figure{f' {title!r}' if title else ''}: {', '.join(traces) or 'no traces'}"
    return clip(well_formed(f"{text} and {more} more>" if more else f"{text}>"), _SUMMARY_BYTES)


def _trace(trace: Any) -> str:
    held = (trace[name] for name in _POINTS if name in trace)
    counts = [len(points) for points in held if points is not None]
    name = f" {trace.name!r}" if trace.name else ""
    return f"{trace.type}{name} ({max(counts, default=0):,} points)"


class _PlotlyShown:
    """A figure on its way to the display, without the hook by which it would show itself."""

    def __init__(self, figure: Any) -> None:
        self._figure = figure

    def __repr__(self) -> str:
        return _plotly_summary(self._figure)

    def _repr_mimebundle_(self, **_bounds: object) -> dict[str, str]:
        return formats_of_interactive(self._figure)


def _take_plotly_show(renderers: Any) -> None:
    original = renderers.show
    if hasattr(original, "__protocell__"):
        return

    @functools.wraps(original)
    def show(fig: Any, *args: Any, **kwargs: Any) -> None:
        if not _show:
            original(fig, *args, **kwargs)
            return
        figure = fig if _is_plotly(fig) else sys.modules["plotly.graph_objs"].Figure(fig)
        _show[0](_PlotlyShown(figure))

    show.__protocell__ = True  # type: ignore[attr-defined]
    renderers.show = show


# -- altair ------------------------------------------------------------------------------------------


def _is_altair(value: object) -> bool:
    return is_instance(value, "altair", "TopLevelMixin")


def _altair_forms(chart: Any) -> dict[str, str]:
    # As altair's own hook does: a specification with its data as the code gave them.
    specification = chart.to_dict(context={"pre_transform": False})
    forms = {
        "text/plain": _altair_summary(specification),
        _altair_type(): encode_any(specification),
    }
    renderer = sys.modules["altair"].renderers.get()
    drawn = renderer(specification) if renderer is not None else {}
    known = texts_of(drawn) if isinstance(drawn, dict) else {}
    if len(known.get("text/html", "")) > HTML_BYTES:
        del known["text/html"]
    return {**known, **forms}


def _altair_type() -> str:
    version = str(getattr(sys.modules["altair"], "SCHEMA_VERSION", "v6")).partition(".")[0]
    return f"application/vnd.vegalite.{version}+json"


def _altair_summary(specification: dict[str, Any]) -> str:
    mark = specification.get("mark")
    kind = mark.get("type") if isinstance(mark, dict) else mark
    if kind is None:
        known = ("layer", "hconcat", "vconcat", "concat", "facet", "repeat")
        kind = next((name for name in known if name in specification), "chart")
    channels = [
        f"{channel}={field.get('field', field.get('aggregate'))}"
        for channel, field in specification.get("encoding", {}).items()
        if isinstance(field, dict)
    ]
    rows = sum(len(rows) for rows in specification.get("datasets", {}).values())
    text = ", ".join([f"<altair chart: {kind}", *channels, f"{rows:,} rows>"])
    return clip(well_formed(text), _SUMMARY_BYTES)
