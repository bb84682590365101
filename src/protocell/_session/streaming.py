"""Turns an execution with listeners into an iterator of events, for both faces.

Blocking: the execution is a coroutine that is stepped from one event to the next; its waiter hands control
back whenever something has come, instead of waiting on.  No thread.  asyncio: the execution is a task, and
the events come through a queue.  Who leaves the iterator early ends the code, by the ladder.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Generator, Iterator
from typing import Any

from protocell._session.listeners import Listeners
from protocell._waiter import BlockingWaiter, Waiter
from protocell.events import Event, Output
from protocell.execution import Execution

Run = Callable[[Listeners, Waiter], Coroutine[Any, Any, Execution]]


def listening(tell: Callable[[Event], object]) -> Listeners:
    """Listeners that tell everything to one."""
    return Listeners(
        on_stdout=lambda text: tell(Output("stdout", text)),
        on_stderr=lambda text: tell(Output("stderr", text)),
        on_result=tell,
        on_error=tell,
    )


class _Step:
    """Awaited, it hands control to whoever steps the coroutine."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class _SteppingWaiter(BlockingWaiter):
    """Waits only when there is nothing to tell."""

    def __init__(self, queue: deque[Event]) -> None:
        self._queue = queue
        self.steps = True

    async def wait(
        self, readers: Collection[int], writers: Collection[int], deadline: float | None
    ) -> set[int]:
        if self._queue and self.steps:
            await _Step()
        return await super().wait(readers, writers, deadline)


def stream(run: Run) -> Iterator[Event]:
    """The events of an execution, as they come."""
    queue: deque[Event] = deque()
    waiter = _SteppingWaiter(queue)
    coroutine = run(listening(queue.append), waiter)
    try:
        while True:
            try:
                coroutine.send(None)
            except StopIteration as end:
                yield from queue
                yield end.value
                return
            while queue:
                yield queue.popleft()
    finally:
        waiter.steps = False  # from here on it must come to its end in one step
        coroutine.close()


async def stream_async(run: Run, waiter: Waiter) -> AsyncIterator[Event]:
    """As ``stream``, in the running event loop."""
    import asyncio  # noqa: PLC0415  (see _waiter)

    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    task = asyncio.ensure_future(run(listening(queue.put_nowait), waiter))
    task.add_done_callback(lambda _task: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            yield event
        yield task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
