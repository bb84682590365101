"""The answers of one execution on their way to its code: cut into frames, and mixed, so that none holds up the others.

Theory of operation
-------------------
Whoever has an answer sends a frame of it, and stands in line again: a large answer takes turns with all others.  An
answer that nobody waits for any more ends between two frames; within one it would spoil all that comes after it.
Where the code does not read, whoever sends waits, and what was to be sent is held by it, not copied here.

How large an answer gets is known when it is there, and then it is too late.  So each call that is begun counts as
large as the largest answer of its tool so far, and as a middling one before there is any.  The latter only for a
moment: a tool that has not answered then waits, for a person, a slow service or another call, and nobody may wait for
all of its calls one after the other.  How many of them there are at most is ``ToolLimits.at_once``.
"""

from __future__ import annotations

import asyncio
import socket

from protocell_guest.parcels import VALUE, Parcel

_MOST_BYTES = 64 << 20  # beside the largest answer that is here; beyond, no tool is called
_UNKNOWN_BYTES = 4 << 20  # that a tool is taken to give which has given nothing yet
_MOMENT = 0.25  # seconds for which it is


class Answers:
    """Used in one event loop."""

    def __init__(self, line: socket.socket, largest: dict[str, int]) -> None:
        """``largest``: bytes of the largest answer so far of each tool; written to."""
        self._line = line
        self._largest = largest
        self._turn = asyncio.Lock()
        self._going: set[int] = set()
        self._held: dict[int, int] = {}  # bytes of each answer that is here, withdrawn or not
        self._awaited: dict[int, str] = {}  # the tool of each call that is begun
        self._has_changed = asyncio.Event()

    async def room(self, number: int, tool: str) -> None:
        """Until the tool may be called; ``send`` or ``leave`` ends what is kept free for its answer."""
        while not self._fits(tool):
            self._has_changed.clear()
            await self._has_changed.wait()
        self._awaited[number] = tool
        if tool not in self._largest:
            asyncio.get_running_loop().call_later(_MOMENT, self._is_slow, number)

    def _is_slow(self, number: int) -> None:
        tool = self._awaited.get(number)
        if tool is not None:
            self._largest.setdefault(tool, 0)
            self._has_changed.set()

    def leave(self, number: int) -> None:
        """No answer to this call will come."""
        self._awaited.pop(number, None)
        self._has_changed.set()

    def _fits(self, tool: str) -> bool:
        # But for the largest one: while it is read, what is small goes on.
        here = sum(self._held.values()) - max(self._held.values(), default=0)
        awaited = sum(map(self._expected, (tool, *self._awaited.values()))) if self._awaited else 0
        return here + awaited <= _MOST_BYTES

    def _expected(self, tool: str) -> int:
        return self._largest.get(tool, _UNKNOWN_BYTES)

    async def send(self, number: int, kind: bytes, parcel: Parcel) -> None:
        """Send the answer to the call of this number, if there is still somebody who reads."""
        loop = asyncio.get_running_loop()
        tool = self._awaited.pop(number, None)
        if tool is not None and kind == VALUE:  # an error says nothing of how large values are
            self._largest[tool] = max(len(parcel), self._largest.get(tool, 0))
        self._has_changed.set()
        self._going.add(number)
        self._held[number] = len(parcel)
        try:
            for frame in parcel.frames(number, kind):
                async with self._turn:
                    if number not in self._going:
                        return
                    await loop.sock_sendall(self._line, frame)
        except OSError:  # nobody is there any more
            return
        finally:
            self._going.discard(number)
            del self._held[number]
            self._has_changed.set()

    def withdraw(self, number: int) -> bool:
        """Send no more of this answer; False if none of it was to be sent yet."""
        is_going = number in self._going
        self._going.discard(number)
        return is_going
