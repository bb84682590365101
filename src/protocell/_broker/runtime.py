"""Where tools run: one event loop, a thread's own for the blocking face, the caller's for the asyncio face.

Theory of operation
-------------------
Sources of tools (connections, processes) belong to the loop in which they were started.  The blocking face has
none, so the first toolset in it starts a thread with one, for all of the process.  It ends with the interpreter,
before which all that runs in it is cancelled; functions that block run in a pool of threads of the loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

from protocell._running.bell import Bell
from protocell._waiter import Waiter

T = TypeVar("T")
_START_SECONDS = 10.0


class Runtime:
    """An event loop that tools run in."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    @classmethod
    def here(cls) -> Runtime:
        """The running loop of the caller."""
        return cls(asyncio.get_running_loop())

    async def result(self, work: Coroutine[Any, Any, T], waiter: Waiter) -> T:
        """What it comes to; whoever asks waits in its own way."""
        bell, ended = Bell(), list[asyncio.Future[T]]()

        async def ring() -> None:
            task = asyncio.ensure_future(work)
            await asyncio.wait([task])
            ended.append(task)
            bell.ring()

        try:
            self.post(ring())
            await waiter.wait([bell.fileno()], [], None)
            return ended[0].result()
        finally:
            bell.close()

    def post(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let it run there; from any thread. Whoever wants to know how it ended has it say so."""
        self.loop.call_soon_threadsafe(self._start, work)

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self.loop.create_task(work)
        _running.add(task)
        task.add_done_callback(_running.discard)

    def close(self) -> None:
        """Nothing: the loop is its owner's."""


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
        with contextlib.suppress(Exception):
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, owner: int) -> None:
    if os.getpid() != owner:  # a forked child has the loop's descriptors, and not its thread
        return
    with contextlib.suppress(RuntimeError):  # closed
        loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join()
