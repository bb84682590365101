"""Answers to calls of tools, for threads that wait for them and for tasks that do."""

from __future__ import annotations

import builtins
import contextlib
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any

from protocell_guest import values
from protocell_guest.guest.tool_errors import error_of
from protocell_guest.parcels import ERROR, HEAD, PART, PIECE, VALUE, Arrival, Parcel

if TYPE_CHECKING:
    import asyncio

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_GIVEN_UP = "this call was cancelled when who waited for it gave it up: call the tool once more"


class Reply:
    """One answer: it is taken once, opened when somebody wants it, and then given to whoever asks."""

    def __init__(self, tool: str, number: int) -> None:
        self.tool = tool
        self.number = number
        self.is_here = False
        self.has_thread = False  # that waits, or is about to
        self._kind = b""
        self._parcel: Parcel | None = None  # until somebody wants to know what is in it
        self._told: Any = None
        self._opening, self._bell = allocate_lock(), allocate_lock()
        self._bell.acquire()
        self._futures: list[asyncio.Future[None]] = []

    def take(self, kind: bytes, parcel: Parcel) -> None:
        """Here it is; from any thread."""
        self._kind, self._parcel = kind, parcel
        self.is_here = True
        self.wake()
        for future in list(self._futures):
            self._tell(future)

    def wake(self) -> None:
        """Let the thread that waits look again."""
        with contextlib.suppress(RuntimeError):  # it is awake, or another thread wakes it as well
            self._bell.release()

    def sleep(self) -> None:
        """Until somebody wakes this thread."""
        self._bell.acquire()
        if self.is_here:  # others may wait for the same answer
            self.wake()

    def future(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Done when the answer is here."""
        future: asyncio.Future[None] = loop.create_future()
        self._futures.append(future)
        if self.is_here:
            self._tell(future)
        return future

    def value(self) -> Any:
        """What the tool gave.

        Raises:
            ToolError: it gave none.
        """
        with self._opening:
            if self._parcel is not None:
                self._told = values.unpack(self._parcel, most_items=None)
                self._parcel = None
        if self._kind == VALUE:
            return self._told
        raise error_of({"tool": self.tool, **self._told})

    @staticmethod
    def _tell(future: asyncio.Future[None]) -> None:
        loop = future.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(_finish, future)


class Replies:
    """The answers that somebody waits for; what comes is cut into them, by one thread at a time."""

    def __init__(self) -> None:
        self._waiting: dict[int, Reply] = {}
        self._arrivals: dict[int, Arrival] = {}
        self._buffer = bytearray()

    def expect(self, tool: str, number: int) -> Reply:
        """One more, to the call of this number."""
        reply = self._waiting[number] = Reply(tool, number)
        return reply

    def feed(self, data: bytes) -> None:
        """Take in bytes that came."""
        self._buffer += data
        place = 0
        with memoryview(self._buffer) as view:
            while len(view) - place >= HEAD.size:
                size, number, kind = HEAD.unpack_from(view, place)
                if len(view) - place < HEAD.size + size:
                    break
                place += HEAD.size + size
                with view[place - size : place] as body:
                    self._take(number, kind, body)
        del self._buffer[:place]

    def _take(self, number: int, kind: bytes, body: memoryview) -> None:
        """One frame of an answer, which nobody may be waiting for any more."""
        if number not in self._waiting:
            self._arrivals.pop(number, None)
        elif kind in (PIECE, PART):
            self._arrivals.setdefault(number, Arrival()).add(kind, body)
        else:
            arrival = self._arrivals.pop(number, None)
            last = bytes(body)
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                waiting.take(kind, Parcel(last) if arrival is None else arrival.parcel(last))

    def wake_another(self, last: Reply | None) -> None:
        """The thread that read has what it wanted: another one reads on."""
        for reply in list(self._waiting.values()):
            if reply is not last and reply.has_thread:
                reply.wake()
                return

    def give_up(self, reply: Reply) -> bool:
        """Wait for it no longer; False if it was there already. Whoever else waits for it is told."""
        if self._waiting.pop(reply.number, None) is None:
            return False
        self._arrivals.pop(reply.number, None)
        reply.take(ERROR, values.pack({"kind": "transport", "message": _GIVEN_UP}))
        return True

    def end(self, message: str) -> None:
        """None of them will come."""
        self._arrivals.clear()
        while self._waiting:
            told = values.pack({"kind": "transport", "message": message})
            self._waiting.popitem()[1].take(ERROR, told)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
