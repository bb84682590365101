"""The answer to one call of a tool, for a thread that waits for it and for tasks that do."""

from __future__ import annotations

import builtins
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any

from protocell_guest import values
from protocell_guest.guest.tool_errors import error_of
from protocell_guest.parcels import VALUE

if TYPE_CHECKING:
    import asyncio

    from protocell_guest.parcels import Parcel

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))


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
        if self._bell.locked():
            self._bell.release()

    def sleep(self) -> None:
        """Until somebody wakes this thread."""
        self._bell.acquire()

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


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
