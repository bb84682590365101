"""One axis of a chart: its label, unit, scale and ticks, and what a position on it stands for.

matplotlib draws numbers. What they were (days, months, words) is known to the axis alone, by its
converter, so numbers are turned back here; the objects that the code plotted are not touched.
"""

from __future__ import annotations

import builtins
import contextlib
import re
import sys
from itertools import pairwise
from math import isfinite
from typing import Any

from protocell_guest.guest.chart_units import unit_of
from protocell_guest.guest.clipping import clip
from protocell_guest.guest.strict_json import number, well_formed

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

Value = str | float | None

LABEL_BYTES = 300
_MOST_TICKS = 60
_MOST_NAMES = 1_000  # bars have their names from ticks
# How matplotlib itself writes the numbers at ticks of a logarithmic axis: $\mathdefault{2\times10^{3}}$.
_MATHTEXT = re.compile(r"\$\\mathdefault\{(.*)\}\$")
_DATE_CONVERTERS = {"_SwitchableDateConverter", "DateConverter", "DatetimeConverter"}


class ChartAxis:
    """What is to be known of an XAxis or YAxis of matplotlib."""

    def __init__(self, axis: Any) -> None:
        self._axis = axis
        self.label = label_of(axis.get_label_text())
        self._names = _class_names(_converter(axis))
        self._freq = getattr(axis, "freq", None)
        self._words = _words(axis, self._names)
        self._ticks = _ticks(axis)
        self._marks = _marks(axis, self._ticks)
        self._gap = _smallest_gap(sorted(self._marks))
        self.scale = self._find_scale()

    def value(self, position: float) -> Value:
        """A position as what was plotted: a number, ISO 8601 text, or a category; None for none."""
        position = float(position)
        if not isfinite(position):
            return None
        with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError, OverflowError):
            if self.scale == "datetime":
                return self._date(position)
            if self._words:
                return self._words[position]
        return position

    def name_near(self, position: float) -> str | None:
        """The category at a position, or the word of the tick next to it; None if ticks are numbers."""
        if self._words:
            return self._words.get(round(position) if isfinite(position) else position)
        if not self._marks or not isfinite(position):
            return None
        if position in self._marks:
            return self._marks[position]
        nearest = min(self._marks, key=lambda place: abs(place - position))
        return self._marks[nearest] if abs(nearest - position) < self._gap / 2 else None

    def fields(self, letter: str) -> dict[str, Any]:
        """The fields of this axis in a chart, as in e2b-charts; only ticks that are seen."""
        ticks = self._ticks[:_MOST_TICKS]
        return {
            f"{letter}_label": self.label,
            f"{letter}_unit": unit_of(self.label),
            f"{letter}_ticks": [self.value(short(place)) for place, _ in ticks],
            f"{letter}_tick_labels": [text for _, text in ticks],
            f"{letter}_scale": self.scale,
        }

    def _find_scale(self) -> str:
        if "PeriodConverter" in self._names or self._names & _DATE_CONVERTERS:
            return "datetime"
        scale = str(self._axis.get_scale())
        named = self._words or self._marks
        return "categorical" if scale == "linear" and named else clip(scale, LABEL_BYTES)

    def _date(self, position: float) -> str:
        if "PeriodConverter" in self._names and self._freq is not None:
            # pandas plots a regular index as ordinals: 648 is the January of 2024, counted in months.
            period = sys.modules["pandas"].Period(ordinal=round(position), freq=self._freq)
            return clip(str(period), LABEL_BYTES)
        # The axis has the time zone of what was plotted; naive times are plotted as if they were UTC.
        zone = self._axis.units if hasattr(self._axis.units, "utcoffset") else None
        moment = sys.modules["matplotlib.dates"].num2date(position, zone)
        return str((moment if zone is not None else moment.replace(tzinfo=None)).isoformat())


def label_of(text: object) -> str | None:
    """A label as bounded text; None if it is empty."""
    return clip(well_formed(text), LABEL_BYTES) or None if isinstance(text, str) else None


def plain_label(text: object) -> str | None:
    """A label as ``label_of`` has it; a number that matplotlib itself wrote as a formula without markup."""
    label = label_of(text)
    found = _MATHTEXT.fullmatch(label or "")
    return label if found is None else _without_markup(found[1])


def short(place: float) -> float:
    """A place that was computed, without the noise of that: 0.4 for 0.4000000000000001."""
    return float(f"{place:.12g}") if abs(place) < 1e9 else place


def _converter(axis: Any) -> Any:
    # axis.converter is deprecated since matplotlib 3.10, which has the method.
    return axis.get_converter() if hasattr(axis, "get_converter") else axis.converter


def _class_names(value: Any) -> set[str]:
    return set() if value is None else {kind.__name__ for kind in type(value).__mro__}


def _words(axis: Any, names: set[str]) -> dict[float, str]:
    """Categories by their number, for an axis on which words were plotted."""
    if "StrCategoryConverter" not in names:
        return {}
    known = getattr(axis.units, "_mapping", {})
    return {float(place): label_of(str(word)) or "" for word, place in known.items()}


def _ticks(axis: Any) -> list[tuple[float, str]]:
    """Place and text of the major ticks that are in view, of a bounded number of them."""
    low, high = sorted(float(limit) for limit in axis.get_view_interval())
    slack = (high - low) * 1e-9
    places = [float(place) for place in axis.get_majorticklocs()[:_MOST_NAMES]]
    # Box plots leave numbers there, which become text only when they are drawn.
    texts = [plain_label(str(text)) or "" for text in axis.major.formatter.format_ticks(places)]
    pairs = zip(places, texts, strict=True)
    return [pair for pair in pairs if low - slack <= pair[0] <= high + slack]


def _without_markup(text: str) -> str:
    text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2", text)
    text = re.sub(r"\^\{([^{}]*)\}", r"^\1", text)
    return text.replace(r"\times", "\N{MULTIPLICATION SIGN}").replace(r"\cdot", "\N{MIDDLE DOT}")


def _marks(axis: Any, ticks: list[tuple[float, str]]) -> dict[float, str]:
    """The words that the code wrote at fixed ticks, if they are not just the ticks' numbers."""
    if "FixedLocator" not in _class_names(axis.get_major_locator()):
        return {}
    marks = {place: text for place, text in ticks if text}
    return marks if any(_read(text) != number(place) for place, text in marks.items()) else {}


def _smallest_gap(places: list[float]) -> float:
    return min((after - place for place, after in pairwise(places)), default=1.0)


def _read(text: str) -> float | None:
    try:
        return float(text.replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        return None
