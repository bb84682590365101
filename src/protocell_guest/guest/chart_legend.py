"""What the legend of a plot calls its parts, by their colours and by their order.

Who draws one group after the other with nothing but a colour (seaborn's ``hue`` does) gives the names to
the legend alone, where each stands beside its colour.
"""

from __future__ import annotations

import builtins
import sys
from itertools import islice
from typing import Any

from protocell_guest.guest.chart_axis import plain_label

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

Colour = tuple[float, float, float]

_MOST_ENTRIES = 100
_SAME = 1e-3


class Legend:
    """The names of a legend: that of the axes, or the one of the figure if they have none."""

    def __init__(self, axes: Any) -> None:
        legend = axes.get_legend() or next(iter(axes.figure.legends), None)
        handles = legend.legend_handles if legend else []
        texts = legend.get_texts() if legend else []
        self.names = [plain_label(text.get_text()) for text in texts]
        self._by_colour: dict[Colour, str | None] = {}
        for handle, name in islice(zip(handles, self.names, strict=False), _MOST_ENTRIES):
            colour = colour_of(handle)
            if name is not None and colour is not None:
                # Two names for one colour tell different things apart, as dashes or markers.
                known = self._by_colour.get(colour, name)
                self._by_colour[colour] = name if known == name else None

    def name(self, artist: Any) -> str | None:
        """What is called by the colour of this artist."""
        colour = colour_of(artist) if self._by_colour else None
        return None if colour is None else self._by_colour.get(colour)

    def parts(self, cloud: Any) -> list[tuple[str, Any]]:
        """Names in a cloud of points, each with the mask of its points; none unless all points have one."""
        colours, count = cloud.get_facecolors(), len(cloud.get_offsets())
        if not self._by_colour or len(colours) != count or count < 2:
            return []
        masks = [
            (name, (abs(colours[:, :3] - colour) < _SAME).all(axis=1))
            for colour, name in self._by_colour.items()
            if name is not None
        ]
        found = [(name, mask) for name, mask in masks if mask.any()]
        return (
            found if len(found) > 1 and sum(int(mask.sum()) for _, mask in found) == count else []
        )


def colour_of(artist: Any) -> Colour | None:
    """The colour that an artist is known by: of its face, or of its line if that is empty."""
    try:
        return _rgb(_face(artist))
    except (AttributeError, IndexError, TypeError, ValueError):
        return None  # an artist of another kind; then it has no name by colour


def _face(artist: Any) -> Any:
    if not hasattr(artist, "get_facecolor"):
        drawn = artist.get_linestyle() not in {"None", "none", "", " "}
        return artist.get_color() if drawn else artist.get_markerfacecolor()
    face = artist.get_facecolor()
    return face if _opaque(face) else artist.get_edgecolor()


def _opaque(colours: Any) -> bool:
    return bool(getattr(colours, "ndim", 1) == 2 and len(colours)) or (
        getattr(colours, "ndim", 1) == 1 and colours[3] > 0
    )


def _rgb(colour: Any) -> Colour:
    first = colour[0] if getattr(colour, "ndim", 1) == 2 else colour
    red, green, blue, _ = sys.modules["matplotlib.colors"].to_rgba(first)
    return round(float(red), 3), round(float(green), 3), round(float(blue), 3)
