"""A value on its way between code and tools: JSON, what is large beside it, and all of it cut into frames.

Theory of operation
-------------------
A frame is a length, the number of a call, a kind, and so many bytes: at most ``FRAME_BYTES``.  Most calls and most
answers are one frame (``c``, ``v`` or ``e``) with JSON in it.  Bytes and texts of ``PART_BYTES`` and more do not stand
in the JSON: they go ahead of it as *parts*, raw, in frames of kind ``p``, the last of each part in one of kind
``P``.  JSON that is longer than a frame goes as the last part, and the frame of the call itself is empty then.
Frames of different calls may be mixed, so what is small overtakes what is large.

Nothing is copied as a whole.  A part is a view of the bytes that it is sent from, a text is encoded frame by frame,
and what comes grows in one place, which becomes the value.  So bytes are held once on each side, and a text once where
it comes from, and twice for the moment in which it is decoded.

Both sides use this file; the side that reads what an attacker wrote bounds it (``protocell._broker.requests``).
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HEAD = struct.Struct("<IIc")  # bytes in the frame after this, number of the call, kind
CALL, CANCEL, VALUE, ERROR = b"c", b"x", b"v", b"e"
PIECE, PART = b"p", b"P"
FRAME_BYTES = 1 << 18
PART_BYTES = 1 << 16
"""Bytes and texts from this length on are parts."""

_ERRORS = "surrogatepass"  # Python's texts may hold halves of a pair, and arrive as they are


class Parcel:
    """A value as it is sent, or as it came: its JSON, and its parts in order."""

    __slots__ = ("_size", "body", "parts")

    def __init__(self, body: bytes, parts: Sequence[bytes | str] = ()) -> None:
        self.body = body
        self.parts = list(parts)
        self._size = len(body) + sum(map(_length, self.parts))

    def __len__(self) -> int:
        """Bytes in all, as they are sent."""
        return self._size

    def frames(self, number: int, kind: bytes) -> Iterator[bytes]:
        """What is to be sent, one frame after the other; at least one."""
        parts, last = self.parts, self.body
        if len(last) > FRAME_BYTES:
            parts, last = [*parts, last], b""
        for part in parts:
            yield from _frames_of(part, number)
        yield HEAD.pack(len(last), number, kind) + last


class Arrival:
    """A parcel of which some frames have come."""

    __slots__ = ("_open", "count", "parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes | str] = []
        self.size = 0
        self._open = BytesIO()

    def add(self, kind: bytes, piece: memoryview) -> None:
        """One frame more, of kind ``PIECE`` or ``PART``."""
        self.size += self._open.write(piece)
        if kind == PART:
            # Not a copy: it is what the bytes were written into, which nobody else has any more.
            self.parts.append(self._open.getvalue())
            self._open = BytesIO()

    def parcel(self, last: bytes) -> Parcel:
        """All of it, with what the frame of the call itself holds."""
        body = last or (self.parts.pop() if self.parts else b"")
        assert isinstance(body, bytes)  # noqa: S101  (what comes is bytes)
        return Parcel(body, self.parts)


def text_of(part: bytes | str) -> str:
    """The text that a part is.

    Raises:
        UnicodeDecodeError: it is none.
    """
    return part if isinstance(part, str) else str(part, "utf-8", _ERRORS)


def _frames_of(part: bytes | str, number: int) -> Iterator[bytes]:
    step = _step(part)
    view = memoryview(part) if isinstance(part, bytes) else part
    for start in range(0, len(part), step):
        piece = view[start : start + step]
        if isinstance(piece, str):
            piece = memoryview(piece.encode("utf-8", _ERRORS))
        is_last = start + step >= len(part)
        yield b"".join((HEAD.pack(len(piece), number, PART if is_last else PIECE), piece))


def _length(part: bytes | str) -> int:
    if isinstance(part, bytes) or part.isascii():
        return len(part)
    step = _step(part)
    pieces = (part[start : start + step] for start in range(0, len(part), step))
    return sum(len(piece.encode("utf-8", _ERRORS)) for piece in pieces)


def _step(part: bytes | str) -> int:
    """So many bytes or characters surely fit into a frame."""
    return FRAME_BYTES if isinstance(part, bytes) or part.isascii() else FRAME_BYTES // 4
