"""The bytes that cross the process boundary, so that both sides agree and neither trusts the other.

Theory of operation
-------------------
Two kinds of socket carry messages; a message is one JSON object on both.

- A *context* socket is a stream. Its other end is held by model-written code, so every byte that
  the host reads from it is chosen by an attacker. A frame is a 4-byte little-endian length, then
  that many bytes of ASCII JSON. ``FrameReader`` looks at the length before it waits for the body,
  so that the host never holds more than one frame and one chunk.
- A *control* socket is AF_UNIX SOCK_SEQPACKET between trusted processes (host, zygote, init). A
  packet is one JSON object and up to a few descriptors (SCM_RIGHTS). The kernel keeps packet
  borders, hence no length.

JSON, because it can express data and nothing else: no pickle, no class is looked up, nothing is
imported. What JSON leaves open is closed here: NaN and Infinity are refused; nesting and the number
of items are bounded *before* the parser builds anything (3 bytes of ``[],`` become 64 bytes of
list); integers are bounded (``int()`` of a long text is quadratic, CVE-2020-10735). Of equal keys
the last wins, as in every JSON parser.

Text is escaped to ASCII. So a lone surrogate, which Python code can make and UTF-8 cannot carry,
arrives as it left; whoever shows it must make it printable.

Once a ``FrameReader`` has refused something it refuses everything: a peer that broke the protocol
is killed, and nothing that it says later is believed.
"""

from __future__ import annotations

import array
import json
import os
import socket
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_DEPTH = 32
MAX_ITEMS = 10_000
"""Strings, commas and opening brackets in a message: as many objects as it can become."""
MAX_INTEGER_CHARACTERS = 20  # a signed 64-bit integer, minus sign included
MAX_FLOAT_CHARACTERS = 64
MAX_PACKET_BYTES = 192 * 1024  # below the default SO_SNDBUF of 208 KiB, see socket(7) wmem_default
MAX_DESCRIPTORS = 8

_LENGTH_BYTES = 4
_MAX_LENGTH = 2**32 - 1


class WireError(ValueError):
    """The peer sent something that is not a message; it broke the protocol, and should be ended."""

    before: tuple[dict[str, Any], ...] = ()
    """Messages that came with it, ahead of it."""


def encode(message: Mapping[str, object]) -> bytes:
    """One frame for a context socket: the length, then ASCII JSON.

    Raises:
        WireError: the message has NaN or Infinity in it, or itself.
        TypeError: the message has something in it that JSON cannot express.
    """
    body = encode_packet(message)
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body


class FrameReader:
    """Cuts a hostile stream of bytes into messages, in memory that is bounded whatever arrives."""

    __slots__ = ("_buffer", "_max_frame_bytes", "_refusal")

    def __init__(self, max_frame_bytes: int) -> None:
        if not 0 < max_frame_bytes <= _MAX_LENGTH:
            raise ValueError(f"max_frame_bytes is {max_frame_bytes}; allowed is 1 to {_MAX_LENGTH}")
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._refusal: str | None = None

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet; at end of file anything but 0 is a torn frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Takes the next bytes and returns the messages that are complete now, in order.

        Raises:
            WireError: the bytes are not frames; every later call raises the same.
        """
        if self._refusal is not None:
            raise WireError(self._refusal)
        self._buffer += data
        messages: list[dict[str, Any]] = []
        try:
            self._take_messages(messages)
        except WireError as refused:
            self._refusal = str(refused)
            refused.before = tuple(messages)
            self._buffer.clear()
            raise
        return messages

    def _take_messages(self, messages: list[dict[str, Any]]) -> None:
        buffer, end, start = self._buffer, len(self._buffer), 0
        while end - start >= _LENGTH_BYTES:
            body = start + _LENGTH_BYTES
            length = int.from_bytes(buffer[start:body], "little")
            if length > self._max_frame_bytes:
                raise WireError(
                    f"frame says it has {length} bytes; at most {self._max_frame_bytes} are allowed"
                )
            if end - body < length:
                break
            start = body + length
            messages.append(decode_packet(bytes(buffer[body:start])))
        if start:
            del buffer[:start]  # once for each chunk and without a copy: the total stays linear


def decode_packet(body: bytes) -> dict[str, Any]:
    """The message in the body of a packet or frame; for who has received the bytes already.

    Raises:
        WireError: the bytes are not a message.
    """
    _check_shape(body)
    try:
        message = _DECODER.decode(body.decode("ascii"))
    except json.JSONDecodeError as odd:  # neither text quotes the peer's bytes
        raise WireError(f"message is not JSON: {odd.msg} at byte {odd.pos}") from None
    except UnicodeDecodeError as odd:
        raise WireError(f"message is not ASCII: {odd.reason} at byte {odd.start}") from None
    except RecursionError:  # 32 levels were too many for a stack that was nearly full before
        raise WireError("message is nested too deep for this stack") from None
    if type(message) is not dict:
        raise WireError(f"message is a JSON {type(message).__name__}, not an object")
    return message


def encode_packet(message: Mapping[str, object]) -> bytes:
    """The body of a packet, for who sends or keeps the bytes otherwise; raises as ``encode``."""
    try:
        return _ENCODER.encode(message).encode("ascii")
    except (ValueError, RecursionError) as odd:
        raise WireError(f"message cannot be sent: {odd}") from odd


def send_packet(
    sock: socket.socket, message: Mapping[str, object], fds: Sequence[int] = ()
) -> None:
    """Sends one message, with copies of these descriptors, over a SEQPACKET socket.

    Raises:
        WireError: the message is longer than a packet can be.
        OSError: as of sendmsg(2); BrokenPipeError means that the peer is gone.
    """
    body = encode_packet(message)
    if len(body) > MAX_PACKET_BYTES:
        raise WireError(f"message has {len(body)} bytes; a packet holds at most {MAX_PACKET_BYTES}")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([body], rights, socket.MSG_NOSIGNAL)


def recv_packet(
    sock: socket.socket, max_fds: int = MAX_DESCRIPTORS
) -> tuple[dict[str, Any] | None, list[int]]:
    """Receives a message and its descriptors (close-on-exec, now the caller's).

    At end of file it is ``(None, [])``.

    Raises:
        WireError: the packet is no message, or was cut; what came with it is closed.
        OSError: as of recvmsg(2); BlockingIOError on a non-blocking socket with nothing to read.
    """
    body, ancillary, flags = _receive(sock, max_fds)
    fds, foreign = _descriptors(ancillary)
    try:
        if flags & socket.MSG_CTRUNC or foreign:
            # Also how the kernel says that this process has no free descriptor left: unix(7).
            raise WireError(f"packet came with something other than at most {max_fds} descriptors")
        if flags & socket.MSG_TRUNC:
            raise WireError(f"packet is longer than {MAX_PACKET_BYTES} bytes")
        if not body and not fds:
            return None, []
        return decode_packet(body), fds
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise


def _receive(sock: socket.socket, max_fds: int) -> tuple[bytes, list[tuple[int, int, bytes]], int]:
    # CMSG_LEN, not CMSG_SPACE: its padding would let one descriptor more through than asked for.
    space = socket.CMSG_LEN(max_fds * array.array("i").itemsize) if max_fds else 0
    try:
        received = sock.recvmsg(MAX_PACKET_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        # The peer went without having read all of ours. Linux says so once, ahead of what the peer
        # had sent before it went; the second call gets that, or end of file.
        received = sock.recvmsg(MAX_PACKET_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    return received[0], received[1], received[2]


def _descriptors(ancillary: Iterable[tuple[int, int, bytes]]) -> tuple[list[int], bool]:
    fds: list[int] = []
    foreign = False
    for level, kind, data in ancillary:
        if (level, kind) != (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            foreign = True
            continue
        numbers = array.array("i")
        numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
        fds.extend(numbers)
    return fds, foreign


def _check_shape(body: bytes) -> None:
    """Refuses what would become too many or too deeply nested objects, before one is made."""
    opened = body.count(b"[") + body.count(b"{")
    if opened <= MAX_DEPTH and opened + body.count(b",") + body.count(b'"') <= MAX_ITEMS:
        return  # even if none of them is inside a string: the common case costs four quick scans
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if bare.count(b'"') > 2 * MAX_ITEMS:  # before split(), which makes an object of each piece
        raise WireError(f"message has more than {MAX_ITEMS} strings")
    outside = b"".join(bare.split(b'"')[::2])
    items = outside.count(b"[") + outside.count(b"{") + outside.count(b",") + bare.count(b'"') // 2
    if items > MAX_ITEMS:
        raise WireError(f"message has {items} items; at most {MAX_ITEMS} are allowed")
    if _depth(outside) > MAX_DEPTH:
        raise WireError(f"message is nested deeper than {MAX_DEPTH}")


def _depth(outside_strings: bytes) -> int:
    # The slice, and a count below 0, matter for what is a syntax error only; the parser says so.
    depth = deepest = 0
    for bracket in outside_strings.translate(None, _NOT_BRACKETS)[: 2 * MAX_ITEMS]:
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_constant(name: str) -> float:
    raise WireError(f"message has {name} in it, which is not JSON")


def _bounded_int(text: str) -> int:
    if len(text) > MAX_INTEGER_CHARACTERS:
        raise WireError(
            f"message has an integer of {len(text)} characters; at most {MAX_INTEGER_CHARACTERS}"
        )
    return int(text)


def _bounded_float(text: str) -> float:
    if len(text) > MAX_FLOAT_CHARACTERS:
        raise WireError(
            f"message has a number of {len(text)} characters; at most {MAX_FLOAT_CHARACTERS}"
        )
    number = float(text)
    if not isfinite(number):
        raise WireError("message has a number in it that is too large for a float")
    return number


_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_int=_bounded_int, parse_float=_bounded_float
)
