"""JSON that every parser takes: no NaN, no unpaired surrogates, nothing that JSON has no word for."""

from __future__ import annotations

import builtins
from json import JSONEncoder
from math import isfinite
from typing import Any

from protocell_guest.guest.clipping import clip
from protocell_guest.guest.representation import represented

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_ENCODER = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DEEPEST = 50
_TEXT_SHOWN = 2_000
_LARGEST = 2**64
# int() and str() of more digits than 4,300 are refused by CPython since CVE-2020-10735.


def encode(value: Any) -> str:
    """Plain data as compact JSON.

    Raises:
        ValueError: NaN or infinity, or a value that holds itself.
        TypeError: something that JSON has no word for.
        RecursionError: too deep.
    """
    return well_formed(_ENCODER.encode(value))


def encode_any(value: Any) -> str:
    """The same for data that a display hook gave: what JSON has no word for becomes null or text."""
    try:
        return encode(value)
    except (ValueError, TypeError, RecursionError):
        return encode(_plain(value, _DEEPEST))


def well_formed(text: str) -> str:
    """The text as an exact str, with "?" for halves of surrogate pairs, which UTF-8 has no form for."""
    text = str.__str__(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def number(value: float) -> float | None:
    """An exact float, or None for what JSON cannot say."""
    value = float(value)
    return value if isfinite(value) else None


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if value is None or kind is bool:
        return value
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        value = int.__index__(value)
        return value if -_LARGEST < value < _LARGEST else f"<int of {value.bit_length()} bits>"
    if issubclass(kind, float):
        return number(value)
    return _composed(value, depth)


def _composed(value: Any, depth: int) -> Any:
    if depth and isinstance(value, dict):
        return {_key(key): _plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth - 1) for item in value]
    convert = getattr(type(value), "tolist", None)  # an array or a number of numpy
    if depth and callable(convert):
        return _plain(convert(value), depth - 1)
    return clip(represented(value), _TEXT_SHOWN)


def _key(key: object) -> str:
    return str.__str__(key) if isinstance(key, str) else clip(represented(key), _TEXT_SHOWN)
