"""The event loop of a session: the same for all of its cells, and there for those that do not await.

Theory of operation
-------------------
In a notebook a loop runs all the time.  Here it runs while a cell awaits, and for a moment as each cell begins
and ends, in which the tasks of earlier cells do what is due.  So nothing of the code's runs between two
executions, ``asyncio.run()`` works, which a running loop would refuse, and ``asyncio.create_task()``, which
finds no running loop in a cell that does not await, is given this one.

KeyboardInterrupt can come in the midst of the loop's own lines.  ``_run_once`` takes a callback from its queue
and then calls it: in between, the next step of a task is lost, nothing will ever wake that task, and
``cancel()`` is in vain.  The coroutine is none the worse for it, so another task takes it up.  A loop that was
hit while it began or ended says for ever that it is running, and is replaced.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import sys
import warnings
from _thread import get_ident
from os import getpid
from typing import TYPE_CHECKING, Any

from protocell_guest.guest.on_import import when_imported

if TYPE_CHECKING:
    import asyncio
    import contextvars
    from collections.abc import Callable, Coroutine

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_MOST_ROUNDS = 1000
_ROUNDS_UNSEEN = 10  # of a loop that does not let see whether anything is due
_ROUNDS_TO_CANCEL = 3


def _nobody(_loop: asyncio.AbstractEventLoop | None) -> None:
    """Nobody else has to know of the loop."""


class EventLoop:
    """A loop that is made when it is first needed, and again when the code has closed it."""

    def __init__(
        self,
        context: contextvars.Context,
        tell: Callable[[asyncio.AbstractEventLoop | None], None] = _nobody,
    ) -> None:
        self._context = context
        self._tell = tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_copy = False

    def ready(self) -> asyncio.AbstractEventLoop:
        """The loop, which is also what ``asyncio.get_event_loop()`` gives."""
        import asyncio  # noqa: PLC0415  (see interpreter.py)

        if asyncio._get_running_loop() is not None or (self._loop and self._loop.is_running()):
            asyncio._set_running_loop(None)
            self._loop = asyncio.new_event_loop()
        if self._loop is None or self._loop.is_closed():
            self._loop = self._current() or asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._tell(self._loop)
        return self._loop

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run it to its end, in a task of its own and in the context of the cells.

        Raises:
            KeyboardInterrupt: it came while the loop waited; the coroutine has been cancelled.
            SystemExit: as KeyboardInterrupt, or that of another task.
        """
        loop = self.ready()
        task: asyncio.Task[None] | None = None
        try:
            task = loop.create_task(coroutine, context=self._context)
            loop.run_until_complete(task)
        except BaseException:
            if task is None or loop.is_running():
                with contextlib.suppress(RuntimeError):  # it awaits in a ``finally``
                    coroutine.close()
            elif not task.done():
                self._cancel(loop, task, coroutine)
            raise

    def go_on(self) -> None:
        """Let the tasks of earlier cells, if there are any, do what is due by now.

        Raises:
            KeyboardInterrupt, SystemExit: as ``run``.
        """
        if self._loop is None:
            return
        import asyncio  # noqa: PLC0415

        if asyncio.all_tasks(self.ready()):
            self.run(_rounds(self._loop))

    def become_copy(self) -> None:
        """Go on in a fork of the process in which this was made: the loop is the original's."""
        self._is_copy = True
        self._tell(None)
        if self._loop is not None:
            theirs, self._loop = self._loop, None
            with contextlib.suppress(
                OSError, RuntimeError
            ):  # the descriptors of it that are here, not when it is collected
                theirs.close()
            self.ready()

    def _current(self) -> asyncio.AbstractEventLoop | None:
        """What ``asyncio.get_event_loop()`` has given the code already, so that its tasks live on."""
        import asyncio  # noqa: PLC0415

        if self._is_copy:  # it would be the original's
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                loop = asyncio.get_event_loop()
            except RuntimeError:
                return None
        return None if loop.is_closed() else loop

    def _cancel(
        self,
        loop: asyncio.AbstractEventLoop,
        task: asyncio.Task[None],
        coroutine: Coroutine[Any, Any, None],
    ) -> None:
        """End a task by CancelledError; its own ``finally`` blocks still run. A second interrupt ends this too."""
        import asyncio  # noqa: PLC0415

        task.cancel()
        for _ in range(_ROUNDS_TO_CANCEL):
            loop.run_until_complete(asyncio.sleep(0))
        # Until its next step the wish to cancel it is noted in a task that does not wait for another.
        if not task.done() and getattr(task, "_must_cancel", False):
            asyncio._unregister_task(task)
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            task = loop.create_task(coroutine, context=self._context)
            task.cancel()
        loop.run_until_complete(asyncio.wait([task]))


async def _rounds(loop: asyncio.AbstractEventLoop) -> None:
    """Give way until nothing is due any more, and not for ever."""
    import asyncio  # noqa: PLC0415

    due = getattr(loop, "_ready", None)
    for _ in range(_ROUNDS_UNSEEN if due is None else _MOST_ROUNDS):
        await asyncio.sleep(0)
        if due is not None and not due:
            return


# -- tasks of cells that do not await ------------------------------------------------------------------


_of_this_cell: list[tuple[EventLoop, int, int]] = []


def install(loop: EventLoop) -> None:
    """A cell begins: the tasks that it makes while no loop runs are this one's."""
    _of_this_cell[:] = [(loop, getpid(), get_ident())]
    when_imported("asyncio.tasks", _take_create_task)


def _take_create_task(tasks: Any) -> None:
    original = tasks.create_task
    if hasattr(original, "__protocell__"):
        return

    @functools.wraps(original)
    def create_task(coro: Any, **options: Any) -> Any:
        loop, *owner = _of_this_cell[0]
        # Another thread, and a child of the code's, have a loop of their own or none.
        if tasks.events._get_running_loop() is None and owner == [getpid(), get_ident()]:
            return loop.ready().create_task(coro, **options)
        return original(coro, **options)

    create_task.__protocell__ = True  # type: ignore[attr-defined]
    tasks.create_task = create_task
    if (package := sys.modules.get("asyncio")) is not None:  # else it is about to take the new one
        vars(package)["create_task"] = create_task
