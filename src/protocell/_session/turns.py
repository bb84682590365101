"""Whose turn it is in a context: one at a time; who comes meanwhile is refused, or queued in order.

A thread that has the turn and asks for it again, from a callback, an iterator of events or a signal's handler,
would wait for itself: it is refused.  Tasks of an event loop are told apart by that, so they may all wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from protocell._running.bell import Bell
from protocell._waiter import BlockingWaiter, Waiter
from protocell.errors import BusyError

_OWN = (
    "this context is running code for this very thread (a callback, an iterator of events), "
    "which would wait for itself; ask when that has ended, or from another thread"
)


class Turns:
    """A lock whose waiters can be of any thread and any event loop."""

    def __init__(self) -> None:
        # Held for moments only; a signal's handler may come in between.
        self._lock = threading.RLock()
        self._taken = False
        self._queue: deque[Bell] = deque()
        self._threads: set[int] = set()  # that have it, or wait for it without an event loop

    @property
    def taken(self) -> bool:
        """Whether somebody has it."""
        return self._taken

    def try_take(self) -> bool:
        """Take it if it is free."""
        with self._lock:
            if self._taken:
                return False
            self._taken = True
            return True

    def give(self) -> None:
        """To the first in the queue, or back."""
        with self._lock:
            if self._queue:
                self._queue.popleft().ring()  # it stays taken: it is that one's now
            else:
                self._taken = False

    @asynccontextmanager
    async def turn(self, waiter: Waiter, *, wait: bool, advice: str) -> AsyncIterator[None]:
        """Have it for the time of the block.

        Raises:
            BusyError: somebody else has it, and the caller does not want to wait; or the caller has it.
        """
        thread = threading.get_ident() if isinstance(waiter, BlockingWaiter) else None
        if thread is not None and thread in self._threads:
            raise BusyError(_OWN)
        if not wait and not self.try_take():
            raise BusyError(f"this context is running code; {advice}")
        if thread is not None:
            self._threads.add(thread)
        try:
            if wait and not self.try_take():
                await self._queued(waiter)
            try:
                yield
            finally:
                self.give()
        finally:
            if thread is not None:
                self._threads.discard(thread)

    async def _queued(self, waiter: Waiter) -> None:
        bell = Bell()
        try:
            with self._lock:
                if not self._taken:
                    self._taken = True
                    return
                self._queue.append(bell)
            try:
                await waiter.wait([bell.fileno()], [], None)
            except BaseException:
                self._leave(bell)
                raise
        finally:
            bell.close()

    def _leave(self, bell: Bell) -> None:
        with self._lock:
            if bell in self._queue:
                self._queue.remove(bell)
                return
        self.give()  # it had just become ours
