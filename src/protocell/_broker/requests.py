"""Reads what model code sends over the line of its calls: hostile bytes, cut into requests, within bounds."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from protocell.errors import ProtocolError
from protocell_guest import values

# As in the guest (``tool_line``): bytes of the body, number of the call, kind.
HEAD = struct.Struct("<IIc")
CALL, CANCEL, VALUE, ERROR = b"c", b"x", b"v", b"e"
_SLACK_BYTES = 4096  # around the arguments
_MOST_NAME_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """The code wants a tool to be called. The name may be that of none, and the arguments may be anything."""

    number: int
    tool: str
    arguments: dict[str, Any]
    raw: bool
    size: int
    """Bytes that came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """Nobody inside waits for that one any more."""

    number: int


Request = CallRequest | CancelRequest


class RequestReader:
    """Cuts the bytes of one execution into requests; numbers must go up, so that no answer can be confused."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes + _SLACK_BYTES
        self._buffer = bytearray()
        self._last = 0

    def feed(self, data: bytes) -> list[Request]:
        """The requests that are complete now, in order.

        Raises:
            ProtocolError: that is no request; nothing more is to be read from there.
        """
        self._buffer += data
        found: list[Request] = []
        while len(self._buffer) >= HEAD.size:
            size, number, kind = HEAD.unpack_from(self._buffer)
            if size > self._most_bytes:
                raise ProtocolError(f"a call of {size} bytes; at most {self._most_bytes} are taken")
            if len(self._buffer) < HEAD.size + size:
                break
            body = bytes(memoryview(self._buffer)[HEAD.size : HEAD.size + size])
            del self._buffer[: HEAD.size + size]
            found.append(self._request(number, kind, body))
        return found

    def _request(self, number: int, kind: bytes, body: bytes) -> Request:
        if kind == CANCEL and not body:
            return CancelRequest(number=number)
        if kind != CALL or number <= self._last:
            raise ProtocolError("neither a call nor its end, or a number that was there before")
        self._last = number
        try:
            told = values.loads(body)
        except (values.UnfitError, ValueError) as error:
            raise ProtocolError(f"a call that cannot be read: {error}") from error
        if type(told) is not dict or told.keys() != {"tool", "arguments", "raw"}:
            raise ProtocolError("a call without tool, arguments and raw, or with more")
        tool, arguments, raw = told["tool"], told["arguments"], told["raw"]
        fits = type(tool) is str and type(arguments) is dict and type(raw) is bool
        if not fits or not all(type(key) is str for key in arguments):
            raise ProtocolError("a call whose tool is no text, or whose arguments have no names")
        return CallRequest(
            number=number,
            tool=tool[:_MOST_NAME_CHARACTERS],
            arguments=arguments,
            raw=raw,
            size=len(body),
        )
