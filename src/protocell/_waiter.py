"""How the one implementation waits: blocking in a thread, or in an asyncio event loop.

Everything in the host that may have to wait is a coroutine that waits through a ``Waiter`` and
nowhere else.  With ``BlockingWaiter`` such a coroutine never suspends, so ``drive`` runs it to its
end in one step; with ``AsyncioWaiter`` it suspends like any other, and work that takes long is done
in a thread of the loop's executor.  There is no second copy.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Waiter(Protocol):
    """Waits until descriptors can be read or written."""

    async def wait(
        self, readers: Collection[int], writers: Collection[int], deadline: float | None
    ) -> set[int]:
        """The descriptors that are ready; none at ``deadline`` (of ``time.monotonic``)."""
        ...

    async def apart(self, work: Callable[[], T]) -> T:
        """The result of work that may take long, while others go on where there are any."""
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

    async def apart(self, work: Callable[[], T]) -> T:
        return work()


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
        try:
            for descriptor in readers:
                loop.add_reader(descriptor, wake)
            for descriptor in writers:
                loop.add_writer(descriptor, wake)
            await awaken
        finally:
            if timer is not None:
                timer.cancel()
            for descriptor in readers:
                loop.remove_reader(descriptor)
            for descriptor in writers:
                loop.remove_writer(descriptor)
        return await BlockingWaiter().wait(readers, writers, time.monotonic())

    async def apart(self, work: Callable[[], T]) -> T:
        import asyncio  # noqa: PLC0415  (as above)

        running: asyncio.Future[T] = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            return await asyncio.shield(running)
        finally:
            # It uses the sandbox: whoever was cancelled must not let go of that before it has ended.
            while not running.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([running])


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits through a ``BlockingWaiter`` only."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking call suspended; this is a bug in protocell, please report it")
