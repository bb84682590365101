"""Figures of matplotlib: each comes out once, as a picture and as chart data, and is closed then.

Theory of operation
-------------------
Nothing here imports matplotlib. ``install`` has what it needs done right after the code's import of
it: ``plt.show`` and ``Figure.show`` hand figures to the cell's ``show``; the backend of ``%matplotlib
inline`` does the same and no longer flushes by itself after a cell, or figures would come out twice.
What pyplot still has open when a cell ends is asked for by ``take_open``. So the figures of a cell
take one way, with the backend that the sandbox sets (agg), with inline, or with any other.

A figure that was displayed and is still open (``display(fig)``, ``fig.show()``) comes out again only
if its picture is another one by then.
"""

from __future__ import annotations

import builtins
import functools
import io
import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from protocell_guest.guest.chart_memory import remember
from protocell_guest.guest.charts import CHART, chart_of
from protocell_guest.guest.mime_bundles import base64_of
from protocell_guest.guest.on_import import when_imported
from protocell_guest.guest.representation import ENDINGS, described, is_instance, represented

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

Show = Callable[[object], None]

MOST_PIXELS = 16_000_000
"""Larger figures are drawn with fewer dots per inch. Agg takes 4 bytes for each pixel, and up to 2**46 of them."""


class _Cell:
    """What the cell that runs has shown, and how."""

    def __init__(self) -> None:
        self.number = 0
        self.show: Show | None = None
        # The number of the cell in which a figure was last drawn for display, how large, and its picture's hash.
        self.shown: WeakKeyDictionary[Any, tuple[int, float, int]] = WeakKeyDictionary()


_cell = _Cell()


def install(show: Show) -> None:
    """A cell begins: ``show`` is called for each figure that it shows, in order."""
    _cell.number += 1
    _cell.show = show
    when_imported("matplotlib.pyplot", _take_pyplot_show)
    when_imported("matplotlib.figure", _take_figure_show)
    when_imported("matplotlib_inline.backend_inline", _take_inline)
    when_imported("matplotlib.axes._axes", remember)


def take_open() -> list[Any]:
    """The figures that a cell has left open, in order of creation, to be shown; they are closed now.

    Without those that were shown as they are. With ``InlineBackend.close_figures = False`` they stay open.
    """
    try:
        figures = [figure for figure in _open() if not _is_shown(figure)]
        _close(_open())
        return figures
    except ENDINGS:
        raise
    except BaseException:  # noqa: BLE001  (pyplot's registry is the code's to break; then nothing is open)
        return []


def is_figure(value: object) -> bool:
    """Whether it is a figure of matplotlib."""
    return is_instance(value, "matplotlib.figure", "Figure")


def is_shown(figure: Any) -> bool:
    """Whether this cell has shown the figure already, as it is now."""
    return _cell.shown.get(figure, (0, 0, 0))[0] == _cell.number and _is_shown(figure)


def formats_of_figure(figure: Any, scale: float | None = 1.0) -> dict[str, str]:
    """A figure as text, PNG (base64) and chart data; if it cannot be drawn, the text says why.

    The PNG has ``scale`` times the figure's dots per inch; without one there is none.

    Raises:
        KeyboardInterrupt, SystemExit: only those.
    """
    text = represented(figure)
    if _is_empty(figure):
        return {"text/plain": text}
    try:
        picture = _drawn(figure, scale or 1.0)
    except ENDINGS:
        raise
    except BaseException as error:  # noqa: BLE001  (figures hold the code's objects: anything can come)
        return {"text/plain": f"{text}\nThis figure could not be drawn: {described(error)}"}
    _cell.shown[figure] = (_cell.number, scale or 1.0, hash(picture))
    forms = {"text/plain": text}
    if scale is not None:
        forms["image/png"] = base64_of(picture)
    chart = chart_of(figure)
    return forms if chart is None else {**forms, CHART: chart}


# -- pictures ----------------------------------------------------------------------------------------


def _is_empty(figure: Any) -> bool:
    """Whether there is nothing to see; a notebook shows only the text then."""
    try:
        held = (
            figure.axes,
            figure.lines,
            figure.images,
            figure.texts,
            figure.legends,
            figure.artists,
        )
        return not any([*held, figure.patches, getattr(figure, "subfigs", ())])
    except AttributeError:
        return False


def _is_shown(figure: Any) -> bool:
    known = _cell.shown.get(figure)
    if known is None:
        return False
    try:
        # figure.stale says nothing: saving sets it, and interactive mode clears it after each cell.
        return hash(_drawn(figure, known[1])) == known[2]
    except ENDINGS:
        raise
    except BaseException:  # noqa: BLE001  (it will be shown, with the reason as text)
        return False


def _drawn(figure: Any, scale: float) -> bytes:
    """PNG of a figure, as IPython.core.pylabtools.print_figure makes it, of a bounded size."""
    dpi = figure.dpi
    try:
        # Set only if need be: it marks the figure as changed.
        bounded = _bounded(scale * dpi, *figure.get_size_inches())
        if bounded != dpi:
            figure.set_dpi(bounded)
        return _printed(figure, bounded)
    finally:
        if figure.dpi != dpi:
            figure.set_dpi(dpi)


def _printed(figure: Any, dpi: float) -> bytes:
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    padding = sys.modules["matplotlib"].rcParams["savefig.pad_inches"]
    # A text far out, or at NaN, would make it huge: then the page as it is.
    fits = _bounded(dpi, box.width, box.height) == dpi
    area = box.padded(padding) if fits else figure.bbox_inches.frozen()
    buffer = io.BytesIO()
    colours = {"facecolor": figure.get_facecolor(), "edgecolor": figure.get_edgecolor()}
    figure.canvas.print_figure(buffer, format="png", dpi=dpi, bbox_inches=area, **colours)
    return buffer.getvalue()


def _bounded(dpi: float, width: float, height: float) -> float:
    """The resolution at which so many inches have no more than MOST_PIXELS."""
    area = float(width) * float(height)
    if area * dpi * dpi <= MOST_PIXELS:
        return dpi
    return float((MOST_PIXELS / area) ** 0.5)


# -- pyplot ------------------------------------------------------------------------------------------


def _open() -> list[Any]:
    """The figures that pyplot holds. Its own order is that of last use, its numbers that of creation."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    managers = helpers.Gcf.get_all_fig_managers() if helpers is not None else []
    return [one.canvas.figure for one in sorted(managers, key=lambda manager: int(manager.num))]


def _close(figures: list[Any]) -> None:
    if not _closes():
        return
    for figure in figures:
        sys.modules["matplotlib._pylab_helpers"].Gcf.destroy_fig(figure)


def _closes() -> bool:
    """Whether figures are closed when they have been shown: %config InlineBackend.close_figures."""
    backend = getattr(sys.modules.get("matplotlib_inline.config"), "InlineBackend", None)
    return backend is None or not backend.initialized() or bool(backend.instance().close_figures)


def _show_all() -> None:
    figures = _open()
    try:
        for figure in figures:
            if _cell.show is not None and not is_shown(figure):
                _cell.show(figure)
    finally:
        _close(figures)


def _take_pyplot_show(pyplot: Any) -> None:
    original = pyplot.show
    if hasattr(original, "__protocell__"):
        return

    @functools.wraps(original)
    def show(*args: Any, **kwargs: Any) -> None:
        if _cell.show is None:
            original(*args, **kwargs)
        else:
            _show_all()

    show.__protocell__ = True  # type: ignore[attr-defined]
    pyplot.show = show


def _take_figure_show(module: Any) -> None:
    original = module.Figure.show
    if hasattr(original, "__protocell__"):
        return

    @functools.wraps(original)
    def show(self: Any, warn: Any = True) -> None:  # noqa: FBT002  (matplotlib's own signature)
        if _cell.show is None:
            original(self, warn)
        elif not is_shown(self):
            _cell.show(self)

    show.__protocell__ = True  # type: ignore[attr-defined]
    module.Figure.show = show


class _InlineShow:
    """In place of backend_inline.show, which also holds what that backend would flush after a cell."""

    _draw_called = property(lambda _self: False, lambda _self, _value: None)
    _to_draw: Any = property(lambda _self: [], lambda _self, _value: None)

    def __call__(self, close: object = None, block: object = None) -> None:  # noqa: ARG002  (theirs)
        """Show all open figures; they are closed if the backend is set to."""
        _show_all()


def _take_inline(backend: Any) -> None:
    backend.show = _InlineShow()
