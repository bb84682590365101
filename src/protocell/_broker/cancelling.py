"""Waits for what others wrote as one who may leave: what swallows that it was cancelled is given up.

Theory of operation
-------------------
``await`` leaves it to a coroutine when, and whether, a cancellation of it ends: one that goes on holds up all who wait
for it.  So what is not ours runs in a task of its own.  Whoever waits for that is cancelled for certain, a bounded
time later: nothing of what comes after that is used, nor is it an error.  The task that goes on is remembered until it
ends, since an event loop holds its tasks weakly.

For the code in it such a task is no other one: all that belong to one call share their context variables, as if there
were one task alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")
GIVE_UP_SECONDS = 1.0
"""That something may take to come to its end, once it was cancelled."""

_SHARED: ContextVar[tuple[Context, asyncio.AbstractEventLoop] | None]
_SHARED = ContextVar("of one call", default=None)
_given_up: set[asyncio.Task[Any]] = set()


def shared_context() -> Context:
    """For a task of the running loop: what it joins runs in it too."""
    context = copy_context()
    context.run(_SHARED.set, (context, asyncio.get_running_loop()))
    return context


async def joined(
    work: Callable[[], Awaitable[T]], given_up: Callable[[], None] = lambda: None
) -> T:
    """What it comes to; ``given_up`` is called if who waits is cancelled, and it goes on all the same."""
    loop = asyncio.get_running_loop()
    context, home = _SHARED.get() or (None, loop)
    # A context is in one place at a time: not in two threads, nor in a task that begins inside of another one,
    # as those of some loops do that one asks for it.
    ended = loop.create_future()
    coroutine = _outcome(work, ended)
    task = asyncio.Task(coroutine, loop=loop, context=context if home is loop else None)
    # It says so itself, a turn of the loop earlier; but not one that is cancelled before it begins.
    task.add_done_callback(lambda _: _say(ended))
    try:
        await ended
    except asyncio.CancelledError:
        task.cancel()
        if not await _has_ended(task):
            _given_up.add(task)
            task.add_done_callback(_given_up.discard)
            given_up()
        raise
    value: T
    value, failure = task.result()
    if failure is not None:
        raise failure
    return value


async def _has_ended(task: asyncio.Task[Any]) -> bool:
    """Whether it does, in the time that it has; who is cancelled again waits for no longer than that."""
    ends_at = time.monotonic() + GIVE_UP_SECONDS
    while not task.done() and (left := ends_at - time.monotonic()) > 0:
        with contextlib.suppress(asyncio.CancelledError):  # who waits raises the first of them
            await asyncio.wait([task], timeout=left)
    return task.done()


async def _outcome(
    work: Callable[[], Awaitable[T]], ended: asyncio.Future[None]
) -> tuple[Any, BaseException | None]:
    """What came of it as data: an exit would end the loop, and what nobody asks for any more would be complained of."""
    try:
        return await work(), None
    except asyncio.CancelledError:
        raise
    except BaseException as failure:  # noqa: BLE001 - see above
        return None, failure
    finally:
        _say(ended)


def _say(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
