"""Where tools run: one event loop, a thread's own for the blocking face, the caller's for the asyncio face.

Theory of operation
-------------------
Sources of tools (connections, processes) belong to the loop in which they were started.  The blocking face has
none, so the first toolset in it starts a thread with one, for all of the process.  It ends with the interpreter,
before which all that runs in it is cancelled, and waited for as long as ``cancelling`` says; functions that block
run in a pool of threads of the loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from protocell._broker.cancelling import GIVE_UP_SECONDS
from protocell._running.bell import Bell
from protocell._waiter import Waiter

T = TypeVar("T")


class Runtime:
    """An event loop that tools run in."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    @classmethod
    def here(cls) -> Runtime:
        """The running loop of the caller."""
        return cls(asyncio.get_running_loop())

    async def result(self, work: Coroutine[Any, Any, T], waiter: Waiter) -> T:
        """What it comes to; whoever asks waits in its own way, and who is torn away has it cancelled."""
        errand = _Errand(work)
        self.post(errand.run())
        try:
            await waiter.wait([errand.bell.fileno()], [], None)
        except BaseException:
            self.loop.call_soon_threadsafe(errand.abandon)
            raise
        errand.bell.close()
        return errand.result()

    def post(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let it run there; from any thread. Whoever wants to know how it ended has it say so."""
        self.loop.call_soon_threadsafe(self._start, work)

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self.loop.create_task(work)
        _running.add(task)
        task.add_done_callback(_running.discard)


class _Errand(Generic[T]):
    """Work in the loop for somebody who waits for a bell; but for that bell it lives in the loop's thread."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.bell = Bell()
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._is_wanted = True

    async def run(self) -> None:
        """Do it, and say so, if anybody is there to hear."""
        self._task = asyncio.ensure_future(self._work)
        if not self._is_wanted:
            self._task.cancel()
        await asyncio.wait([self._task])
        if self._is_wanted:
            self.bell.ring()
        else:
            self.bell.close()

    def abandon(self) -> None:
        """Nobody waits any more."""
        self._is_wanted = False
        if self._task is not None and self._task.done():
            self.bell.close()
        elif self._task is not None:
            self._task.cancel()

    def result(self) -> T:
        """What it came to, once the bell has rung."""
        assert self._task is not None  # noqa: S101  (it has run)
        return self._task.result()


class OwnRuntime(Runtime):
    """A loop in a thread of its own."""

    def __init__(self) -> None:
        loop = asyncio.new_event_loop()
        super().__init__(loop)
        self._owner = os.getpid()
        self._thread = threading.Thread(
            target=_run, args=(loop,), name="protocell tools", daemon=True
        )
        self._thread.start()
        self._end = weakref.finalize(self, _stop, loop, self._thread, self._owner)

    @property
    def is_usable(self) -> bool:
        """Whether it is this process's, and goes on."""
        return self._end.alive and self._owner == os.getpid()

    def close(self) -> None:
        """End what runs there, and the thread."""
        self._end()


_own: list[OwnRuntime] = []
_making = threading.Lock()


def of_this_process() -> OwnRuntime:
    """The one of the blocking face, started if it is not there."""
    with _making:
        if not _own or not _own[0].is_usable:
            _own[:] = [OwnRuntime()]
        return _own[0]


_running: set[asyncio.Task[Any]] = set()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                ended = asyncio.gather(*tasks, return_exceptions=True)
                # Longer than whoever waits there for what does not end.
                loop.run_until_complete(asyncio.wait([ended], timeout=2 * GIVE_UP_SECONDS))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, owner: int) -> None:
    if os.getpid() != owner:  # a forked child has the loop's descriptors, and not its thread
        return
    with contextlib.suppress(RuntimeError):  # closed
        loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join()
