"""Weighs one call in tokens, for the account of its execution: never for long in the loop that all tools share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from protocell._broker.requests import CallRequest
from protocell._catalogue import weight
from protocell._catalogue.tokens import Count
from protocell_guest import values
from protocell_guest.parcels import Parcel

T = TypeVar("T")
_BYTES_OF_A_TOKEN = 4


class Scales:
    """What a call and its answer had been for a model that makes it directly; None where nobody wants to know."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self.arguments: int | None = None
        self.result: int | None = None

    async def weigh_call(self, request: CallRequest) -> None:
        """Name and arguments."""
        if self._wanted:
            self.arguments = (await _apart(_call, request, request.size)).tokens

    async def weigh_result(self, answer: Parcel) -> None:
        """The value, as it is sent."""
        if self._wanted:
            self.result = (await _apart(_parcel, answer, len(answer))).tokens

    def weigh_error(self, message: str) -> None:
        """In place of a value."""
        if self._wanted:
            self.result = weight.weigh_text(message).tokens


def _call(request: CallRequest) -> Count:
    name = weight.weigh_text(request.tool)
    try:
        arguments = _parcel(values.pack(request.arguments))
    except values.UnfitError:  # what nests too deep to be sent back
        arguments = Count(request.size // _BYTES_OF_A_TOKEN, "estimate")
    return Count(name.tokens + arguments.tokens, arguments.tokenizer)


def _parcel(parcel: Parcel) -> Count:
    return weight.weigh(parcel.body, (part for part in parcel.parts if isinstance(part, str)))


async def _apart(work: Callable[[T], Count], given: T, size: int) -> Count:
    if size <= weight.SMALL_BYTES:
        return work(given)
    return await asyncio.to_thread(work, given)
