"""Callbacks of an asyncio caller: called in order, and awaited where they are coroutine functions.

The code is listened to by a task that never waits for a callback; what it hears goes through a queue, and is told
by whoever waits for the end of that task.  An exception of a callback cancels the task, which stops the code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from protocell._session import checks

T = TypeVar("T")
V = TypeVar("V")


class Relay:
    """What is heard of one execution or command, on its way to the callbacks."""

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415  (see _waiter)

        self._queue: asyncio.Queue[tuple[Callable[[Any], object], Any] | None] = asyncio.Queue()
        self._is_used = False

    def of(self, name: str, callback: Callable[[V], object] | None) -> Callable[[V], object] | None:
        """What is to be told in place of this callback; raises PolicyError if it is none."""
        checks.callback(name, callback, awaited=True)
        if callback is None:
            return None
        self._is_used = True
        return lambda value: self._queue.put_nowait((callback, value))

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work comes to; the callbacks are called meanwhile, the last before this returns."""
        import asyncio  # noqa: PLC0415  (see _waiter)

        if not self._is_used:
            return await work
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _task: self._queue.put_nowait(None))
        try:
            while (item := await self._queue.get()) is not None:
                callback, value = item
                if inspect.isawaitable(given := callback(value)):
                    await given
            return task.result()
        finally:
            while not task.done():  # who is cancelled again leaves nothing running either
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
