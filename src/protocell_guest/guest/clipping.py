"""Long text cut to size in the middle, so that its head, its tail and what is missing are all seen."""

from __future__ import annotations

import builtins

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))


def clip(text: str, limit: int, *, around: str = "") -> str:
    """Head and tail of a long text and how much is missing between: at most ``limit`` UTF-8 bytes."""
    if len(text) <= limit and len(_encoded(text)) <= limit:
        return text
    room = limit - len(_gap(len(text), around))
    if room <= 0:  # no space to say it
        return _head(text, max(0, limit))
    head = _head(text, room - room // 2)
    tail = _tail(text, room // 2)
    return head + _gap(len(text) - len(head) - len(tail), around) + tail


def _gap(count: int, around: str) -> str:
    return f"{around}[... {count:,} characters left out ...]{around}"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _head(text: str, size: int) -> str:
    data = _encoded(text[:size])
    end = min(size, len(data))
    while 0 < end < len(data) and data[end] & 0xC0 == 0x80:  # inside a character
        end -= 1
    return data[:end].decode("utf-8", "surrogatepass")


def _tail(text: str, size: int) -> str:
    data = _encoded(text[max(0, len(text) - size) :])
    start = max(0, len(data) - size)
    while start < len(data) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:].decode("utf-8", "surrogatepass")
