"""How the one implementation waits: blocking in a thread, or in an asyncio event loop.

Everything in the host that may have to wait is a coroutine that waits in ``Waiter.wait`` and
nowhere else.  With ``BlockingWaiter`` such a coroutine never suspends, so ``drive`` runs it to its
end in one step; with ``AsyncioWaiter`` it suspends like any other.  No thread, no second copy.
"""

from __future__ import annotations

import select
import time
from collections.abc import Collection, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Waiter(Protocol):
    """Waits until descriptors can be read or written."""

    async def wait(
        self, readers: Collection[int], writers: Collection[int], deadline: float | None
    ) -> set[int]:
        """The descriptors that are ready; none at ``deadline`` (of ``time.monotonic``)."""
        ...


class BlockingWaiter:
    """Waits with poll(2); signals and KeyboardInterrupt come through."""

    async def wait(
        self, readers: Collection[int], writers: Collection[int], deadline: float | None
    ) -> set[int]:
        poll = select.poll()
        for descriptor in readers:
            poll.register(descriptor, select.POLLIN)
        for descriptor in writers:
            poll.register(
                descriptor, select.POLLOUT | (select.POLLIN if descriptor in readers else 0)
            )
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        return {descriptor for descriptor, _ in poll.poll(timeout)}


class AsyncioWaiter:
    """Waits in the running event loop."""

    async def wait(
        self, readers: Collection[int], writers: Collection[int], deadline: float | None
    ) -> set[int]:
        import asyncio  # noqa: PLC0415  (it takes longer to load than the rest of us together)

        ready = await BlockingWaiter().wait(readers, writers, time.monotonic())
        if ready:  # often there already; a turn of the loop costs more than a poll
            await asyncio.sleep(0)
            return ready
        loop = asyncio.get_running_loop()
        awaken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not awaken.done():
                awaken.set_result(None)

        timer = None
        if deadline is not None:
            timer = loop.call_later(max(0.0, deadline - time.monotonic()), wake)
        for descriptor in readers:
            loop.add_reader(descriptor, wake)
        for descriptor in writers:
            loop.add_writer(descriptor, wake)
        try:
            await awaken
        finally:
            if timer is not None:
                timer.cancel()
            for descriptor in readers:
                loop.remove_reader(descriptor)
            for descriptor in writers:
                loop.remove_writer(descriptor)
        return await BlockingWaiter().wait(readers, writers, time.monotonic())


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits through a ``BlockingWaiter`` only."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking call suspended; this is a bug in protocell, please report it")
