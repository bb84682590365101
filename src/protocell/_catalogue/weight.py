"""Tokens of what a tool gave, had it gone to the model: by its encoding, in bounded time however large it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from protocell._catalogue import tokens
from protocell._catalogue.tokens import Count

MOST_BYTES = 1 << 20
"""Of one value are looked at; what is larger is counted by its beginning, as an estimate."""
SMALL_BYTES = 1 << 16
"""Up to here counting takes a few milliseconds at most: less than it takes to let a thread do it."""

# Pictures, sounds and bytes: what they cost as content of a result differs from model to model, so it is none.
# Texts that stand beside the JSON are counted by themselves.
_ELSEWHERE = re.compile(r'\{"\$(?:image|audio|bytes|part|text)":[^}]*(?:\}|$)')
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")


def weigh(body: bytes, texts: Iterable[str] = ()) -> Count:
    """Of a value as ``protocell_guest.values`` packs it: JSON in ASCII, and large texts beside it.

    A value that is a text counts without its quotes.
    """
    counted = _weigh_json(body)
    room, size, seen, number = MOST_BYTES, 0, 0, counted.tokens
    for text in texts:
        piece = text[:room]
        size, seen, room = size + len(text), seen + len(piece), room - len(piece)
        number += tokens.count(piece).tokens if piece else 0
    if size == seen:
        return Count(number, counted.tokenizer)
    return Count(counted.tokens + (number - counted.tokens) * size // seen, "estimate")


def weigh_text(text: str) -> Count:
    """Of a text, bounded in the same way."""
    counted = tokens.count(text[:MOST_BYTES])
    if len(text) <= MOST_BYTES:
        return counted
    return Count(counted.tokens * len(text) // MOST_BYTES, "estimate")


def _weigh_json(body: bytes) -> Count:
    text = _ELSEWHERE.sub("null", body[:MOST_BYTES].decode("ascii", "replace"))
    if len(body) <= MOST_BYTES:
        return tokens.count(_as_shown(text))
    counted = tokens.count(_ESCAPED.sub(_character, text))
    return Count(counted.tokens * len(body) // MOST_BYTES, "estimate")


def _as_shown(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))
