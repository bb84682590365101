"""Keeps the head and the tail of what a stream wrote, so that a flood costs the host a fixed memory.

The first half of the limit and the last half are kept exactly; what lies between is counted and
dropped as it comes. A line that says so stands in its place. Guest code can print such a line too:
what really happened is in ``left_out_bytes``.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

_CONTINUATION = range(0x80, 0xC0)
_MOST_CONTINUATIONS = 3
_FIRST_BYTES = ((2, range(0xC2, 0xE0)), (3, range(0xE0, 0xF0)), (4, range(0xF0, 0xF5)))  # RFC 3629


class HeadTail:
    """A bounded buffer for bytes in any chunks, decoded once, at the end."""

    __slots__ = ("_head", "_head_limit", "_tail", "_tail_limit", "_total")

    def __init__(self, limit_bytes: int) -> None:
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes is {limit_bytes}; it cannot be negative")
        self._head_limit = limit_bytes // 2
        self._tail_limit = limit_bytes - self._head_limit
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    @property
    def total_bytes(self) -> int:
        """How much was fed."""
        return self._total

    @property
    def truncated(self) -> bool:
        """Whether something had to be left out."""
        return self._total > len(self._head) + len(self._tail)

    @property
    def left_out_bytes(self) -> int:
        """How much ``text()`` leaves out, with what it trims to whole characters."""
        if not self.truncated:
            return 0
        head, tail = self._kept()
        return self._total - len(head) - len(tail)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the stream."""
        self._total += len(data)
        room = self._head_limit - len(self._head)
        if room:
            self._head += data[:room]
            data = data[room:]
        if len(data) >= self._tail_limit:
            self._tail[:] = data[len(data) - self._tail_limit :]
            return
        self._tail += data
        # A bytearray drops its beginning without moving the rest, so small chunks cost no copies.
        del self._tail[: max(0, len(self._tail) - self._tail_limit)]

    def text(self) -> str:
        """What was kept, with a line between head and tail if something was left out."""
        if not self.truncated:
            return (self._head + self._tail).decode("utf-8", "replace")
        head, tail = self._kept()
        above = head.decode("utf-8", "replace")
        start = "" if not above or above.endswith("\n") else "\n"
        line = f"[... {self._total - len(head) - len(tail):,} bytes left out ...]\n"
        return above + start + line + tail.decode("utf-8", "replace")

    def lines(self) -> list[str]:
        r"""The same as lines with their ends; a line ends at ``\n`` only."""
        parts = self.text().split("\n")
        last = parts.pop()
        return [part + "\n" for part in parts] + ([last] if last else [])

    def _kept(self) -> tuple[bytes, bytes]:
        """Head and tail without the pieces of characters that the cut went through."""
        return bytes(_without_torn_end(self._head)), bytes(_without_torn_start(self._tail))


def _without_torn_end(data: bytearray) -> bytearray:
    """Without the incomplete UTF-8 sequence at the end; bytes that are no UTF-8 at all are kept."""
    for back in range(1, min(_MOST_CONTINUATIONS, len(data)) + 1):
        byte = data[-back]
        if byte not in _CONTINUATION:
            return data[:-back] if _sequence_length(byte) > back else data
    return data


def _without_torn_start(data: bytearray) -> bytearray:
    """Without the continuation bytes at the start, of which one sequence has at most three."""
    torn = 0
    while torn < min(_MOST_CONTINUATIONS, len(data)) and data[torn] in _CONTINUATION:
        torn += 1
    return data[torn:]


def _sequence_length(first: int) -> int:
    for length, firsts in _FIRST_BYTES:
        if first in firsts:
            return length
    return 1


def decoded(callback: Callable[[str], object] | None) -> Callable[[bytes], None] | None:
    """A callback for bytes in any pieces from one for text; no bytes are the end."""
    if callback is None:
        return None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(data: bytes) -> None:
        if text := decoder.decode(data, final=not data):
            callback(text)

    return feed
