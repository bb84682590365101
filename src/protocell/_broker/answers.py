"""The answers of one execution on their way to its code: cut into frames, and mixed, so that none holds up the others.

Theory of operation
-------------------
Whoever has an answer sends a frame of it, and stands in line again: a large answer takes turns with all others.  An
answer that nobody waits for any more ends between two frames; within one it would spoil all that comes after it.
Where the code does not read, whoever sends waits, and what was to be sent is held by it, not copied here.
"""

from __future__ import annotations

import asyncio
import socket

from protocell_guest.parcels import Parcel

_MOST_BYTES = 64 << 20  # that wait behind the largest answer; beyond that no further call is begun


class Answers:
    """Used in one event loop."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._turn = asyncio.Lock()
        self._going: set[int] = set()
        self._held: dict[int, int] = {}  # bytes of each answer that is here, withdrawn or not
        self._are_few = asyncio.Event()
        self._are_few.set()

    async def read_out(self) -> None:
        """Until the code has read most of what it was answered."""
        while not self._are_few.is_set():
            await self._are_few.wait()

    async def send(self, number: int, kind: bytes, parcel: Parcel) -> None:
        """Send the answer to the call of this number, if there is still somebody who reads."""
        loop = asyncio.get_running_loop()
        self._going.add(number)
        self._held[number] = len(parcel)
        self._weigh()
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
            self._weigh()

    def _weigh(self) -> None:
        # But for the largest one: while it is read, what is small goes on.
        if sum(self._held.values()) - max(self._held.values(), default=0) > _MOST_BYTES:
            self._are_few.clear()
        else:
            self._are_few.set()

    def withdraw(self, number: int) -> bool:
        """Send no more of this answer; False if none of it was to be sent yet."""
        is_going = number in self._going
        self._going.discard(number)
        return is_going
