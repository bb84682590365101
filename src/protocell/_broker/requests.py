"""Reads what model code sends over the line of its calls: hostile bytes, cut into requests, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from protocell.errors import ProtocolError
from protocell_guest import values
from protocell_guest.parcels import (
    CALL,
    CANCEL,
    FRAME_BYTES,
    HEAD,
    PART,
    PART_BYTES,
    PIECE,
    Arrival,
    Parcel,
)

_SLACK_BYTES = 4096  # around the arguments
_MOST_NAME_CHARACTERS = 300
# Of memory, roughly, that each comma and bracket of JSON, and each byte of a text, may come to.
_BYTES_OF_AN_ITEM, _BYTES_OF_A_CHARACTER = 80, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """The code wants a tool to be called. The name may be that of none, and the arguments may be anything."""

    number: int
    tool: str
    arguments: dict[str, Any]
    raw: bool
    size: int
    """Bytes that came."""
    weight: int
    """Bytes of memory that it may take here, at most and roughly."""
    too_large: str = ""
    """Its arguments were not sent, since they are larger than may be; says how large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """Nobody inside waits for that one any more."""

    number: int


Request = CallRequest | CancelRequest


class RequestReader:
    """Cuts the bytes of one execution into requests; numbers must go up, so that no answer can be confused.

    Of calls that are larger than a frame only one may be on its way at a time, so that what is half there is
    never more than one call may be.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes + _SLACK_BYTES
        self._most_items = values.most_items(most_bytes)
        self._most_parts = self._most_bytes // PART_BYTES + 1
        self._buffer = bytearray()
        self._last = 0
        self._cancelled = 0
        self._arrival: Arrival | None = None  # of the call that is half there
        self._last_large = 0  # its number

    def feed(self, data: bytes) -> list[Request]:
        """The requests that are complete now, in order.

        Raises:
            ProtocolError: that is no request; nothing more is to be read from there.
        """
        self._buffer += data
        found: list[Request] = []
        place = 0
        with memoryview(self._buffer) as view:
            while len(view) - place >= HEAD.size:
                size, number, kind = HEAD.unpack_from(view, place)
                if size > FRAME_BYTES:
                    raise ProtocolError(f"{size} bytes in a frame; at most {FRAME_BYTES} are taken")
                if len(view) - place < HEAD.size + size:
                    break
                place += HEAD.size + size
                with view[place - size : place] as body:
                    found += self._take(number, kind, body)
        del self._buffer[:place]
        return found

    def _take(self, number: int, kind: bytes, body: memoryview) -> Iterator[Request]:
        if kind == CALL:
            yield self._request(number, self._parcel(number, bytes(body)))
        elif kind in (PIECE, PART) and body:
            self._add(number, kind, body)
        elif kind == CANCEL and not body and self._cancelled < self._last:
            self._cancelled += 1  # so that it is no more than once for each call
            if self._arrival is not None and number == self._last_large:
                self._arrival = None
            yield CancelRequest(number=number)
        else:
            raise ProtocolError("neither a call nor its end")

    def _add(self, number: int, kind: bytes, piece: memoryview) -> None:
        if self._arrival is None:
            self._begin(number)
            self._last_large, self._arrival = number, Arrival()
        elif number != self._last_large:
            raise ProtocolError("two large calls at a time, each in pieces")
        self._check_size(self._arrival.size + len(piece))
        self._arrival.add(kind, piece)
        if len(self._arrival.parts) > self._most_parts:
            raise ProtocolError(f"a call in more than {self._most_parts} parts")

    def _parcel(self, number: int, last: bytes) -> Parcel:
        """The call that is whole with these bytes."""
        arrival, before = self._arrival, 0
        if arrival is not None and number == self._last_large:
            self._arrival, before = None, arrival.size
        else:
            arrival = None
            self._begin(number)
        self._check_size(before + len(last))
        return Parcel(last) if arrival is None else arrival.parcel(last)

    def _begin(self, number: int) -> None:
        if number <= self._last:
            raise ProtocolError("the number of a call that was there before")
        self._last = number

    def _check_size(self, size: int) -> None:
        if size > self._most_bytes:
            raise ProtocolError(f"a call of {size} bytes; at most {self._most_bytes} are taken")

    def _request(self, number: int, parcel: Parcel) -> CallRequest:
        size, weight = len(parcel), _weight(parcel)
        try:
            told = values.unpack(parcel, most_items=self._most_items)
        except (values.UnfitError, ValueError) as error:
            raise ProtocolError(f"a call that cannot be read: {error}") from error
        if type(told) is not dict or told.keys() - {"too_large"} != {"tool", "arguments", "raw"}:
            raise ProtocolError("a call without tool, arguments and raw, or with more")
        tool, arguments, raw = told["tool"], told["arguments"], told["raw"]
        too_large = told.get("too_large", "")
        fits = (
            type(tool) is type(too_large) is str and type(arguments) is dict and type(raw) is bool
        )
        if not fits or not all(type(key) is str for key in arguments):
            raise ProtocolError("a call whose tool is no text, or whose arguments have no names")
        return CallRequest(
            number=number,
            tool=tool[:_MOST_NAME_CHARACTERS],
            arguments=arguments,
            raw=raw,
            size=size,
            weight=weight,
            too_large=too_large[:_MOST_NAME_CHARACTERS],
        )


def _weight(parcel: Parcel) -> int:
    # Those in texts count as well: what is no comma in JSON's eyes is a byte that costs little here.
    items = sum(map(parcel.body.count, (b",", b"[", b"{")))
    return _BYTES_OF_A_CHARACTER * len(parcel) + _BYTES_OF_AN_ITEM * items
