"""The unit that the label of an axis names: "s" of "time (s)", and none of "Sales (2024)".

What stands in brackets at an axis is as often a year, a group or a remark.  So it is taken for a unit only if
each of its words is one that is known, or a power of ten; in square brackets, where little else is written, a
single word that is not known is one as well.
"""

from __future__ import annotations

import builtins
import re

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_IN_BRACKETS = re.compile(r"\s\(([^()]*)\)|\[([^\[\]]*)\]")
_LONGEST = 60
_MATH = re.compile(r"\$([^$]+)\$")
_MARKUP = re.compile(r"\\(?:mathrm|mathdefault|text|rm)\b|[{}\\]")
_PARTS = re.compile(r"[\s/*·⋅×^]+|(?<=[^\W\d])-(?=[^\W\d])")  # noqa: RUF001
_POWER = re.compile(r"[-−+⁻]?(?:10*|1(?:,000)+|1?e\d+|[2-9]|[⁰¹²³⁴-⁹]+)")  # noqa: RUF001
_EXPONENT = r"(?:[-−⁻]?[1-9²³⁴¹]+)?"  # noqa: RUF001
_SYMBOL = re.compile(
    r"(?:[yzafpnuµμmcdhkKMGTPEZY]|da)?"
    r"(?:m|g|s|A|K|mol|cd|Hz|N|Pa|J|W|C|V|F|Ω|S|Wb|T|H|lm|lx|Bq|Gy|Sv|kat|"
    r"l|L|eV|Wh|B|b|iB|bit|bps|Bps|cal|bar|pc|Da|M|t|ohm)" + _EXPONENT
)
_OTHER = re.compile(
    r"(?:%|‰|°|[°º][CFK]|℃|℉|['\"′″]|[$€£¥₹][kKMB]?|[kKM]?[$€£¥₹]|bn|mn|US\$|a\.u\.|arb\.|"  # noqa: RUF001
    r"min|hr?s?|secs?|msecs?|d|wk|mo|yrs?|a|ft|in|mi|yd|lbs?|oz|gal|mph|kph|kmh|knots?|"
    r"psi|hp|rpm|fps|dpi|px|pts?|dB[am]?|pp[mbt]|pp|rad|deg|sr|IU|mmHg|ha|acres?|k|K|B|Å|au|AU|"
    r"USDm?|EURm?|GBPm?|JPY|CNY|INR|CHF|CAD|AUD|SEK|NOK|DKK|PLN|BRL|MXN|KRW|ZAR|RUB|TRY|HKD|SGD|NZD)"
    + _EXPONENT
)
_WORD = re.compile(
    r"(?:nano|micro|milli|centi|deci|hecto|kilo|mega|giga|tera)?"
    r"(?:(?:second|minute|hour|day|week|month|quarter|year|decade|met(?:er|re)|gram|ton|tonne|lit(?:er|re)|"
    r"watt|watt-?hour|volt|ampere|amp|ohm|joule|newton|pascal|hertz|mole|calorie|byte|bit|pixel|"
    r"dollar|euro|pound|cent|mile|yard|ounce|gallon|barrel|radian|degree|percentage|point|"
    r"thousand|million|billion|trillion|person|unit|kelvin|decibel)s?|"
    r"inch(?:es)?|feet|foot|people|percent|celsius|fahrenheit|capita|units)",
    re.IGNORECASE,
)
_BETWEEN = frozenset({"in", "per", "of", "us", "arb", "squared", "cubed"})
_LONE_WORD = re.compile(r"[^\W\d]{1,12}")


def unit_of(label: str | None) -> str | None:
    """The unit in a label, as it is written there; None if it names none."""
    for found in _IN_BRACKETS.finditer(label or ""):
        text = (found[1] or found[2] or "").strip()
        if _is_unit(text) or (found[2] and _LONE_WORD.fullmatch(text)):
            return text
    return None


def _is_unit(text: str) -> bool:
    if len(text) > _LONGEST:
        return False
    words = [word for word in _PARTS.split(_MARKUP.sub("", _MATH.sub(r"\1", text))) if word]
    named = [word for word in words if _names_unit(word)]
    return bool(named) and all(
        word in named or word.lower() in _BETWEEN or _POWER.fullmatch(word) for word in words
    )


def _names_unit(word: str) -> bool:
    return any(known.fullmatch(word) for known in (_SYMBOL, _OTHER, _WORD))
