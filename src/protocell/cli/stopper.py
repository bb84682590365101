"""Ctrl-C and SIGTERM: the first Ctrl-C interrupts the code, the second ends it, SIGTERM ends it at once.

Theory of operation
-------------------
The handlers run in the main thread, between two bytecodes or when a wait is interrupted.  While code
runs they only tell the sandbox, with one packet that is sent whole or not at all, and the execution
comes to its end by itself, with what was printed and a truthful status.  Before and after, nothing
needs to be told, so they raise.

A signal that comes when Python has looked for signals and not yet gone to sleep does not interrupt
the sleep, and its handler would run whenever that is over.  So whatever waits here waits for
``wake`` too, which is readable after every signal (signal.set_wakeup_fd).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Collection, Iterator
from types import FrameType, TracebackType
from typing import Protocol, Self

from protocell._waiter import BlockingWaiter
from protocell.errors import ProtocellError

TERMINATED = 128 + signal.SIGTERM


class Stoppable(Protocol):
    """What runs code."""

    def interrupt(self) -> object:
        """KeyboardInterrupt in the code."""

    def close(self) -> None:
        """The end of the code and everything around it."""


class Stopper(BlockingWaiter):
    """Holds the handlers of one run."""

    def __init__(self) -> None:
        self.ending = False
        """Whether the code is being ended: nobody wants to see more of it."""
        self.terminated = False
        self._target: Stoppable | None = None
        self._count = 0

    def __enter__(self) -> Self:
        self.wake, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before = {number: signal.getsignal(number) for number in _HANDLED}
        for number, before in self._before.items():
            if before is not signal.SIG_IGN:  # nohup, or a shell's background job: so it shall stay
                signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        signal.set_wakeup_fd(-1)
        os.close(self.wake)
        os.close(self._writer)

    @contextlib.contextmanager
    def running(self, target: Stoppable) -> Iterator[None]:
        """While this lasts, signals go to the code and not to us."""
        self._target = target
        try:
            yield
        finally:
            self._target = None

    async def wait(
        self, readers: Collection[int], writers: Collection[int], deadline: float | None
    ) -> set[int]:
        """As ``BlockingWaiter.wait``; handlers of signals run meanwhile, and without delay."""
        while True:
            ready = await BlockingWaiter().wait([*readers, self.wake], writers, deadline)
            if self.wake not in ready:
                return ready
            self.look_up()
            ready.discard(self.wake)
            if ready:
                return ready

    def wait_to_read(self, descriptor: int) -> None:
        """Wait until there is something to read, or the end."""
        poll = select.poll()
        for each in (descriptor, self.wake):
            poll.register(each, select.POLLIN)
        while descriptor not in {ready for ready, _ in poll.poll()}:
            self.look_up()

    def look_up(self) -> None:
        """Take note that there was a signal; its handler has run."""
        os.read(self.wake, 4096)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self.terminated = True
            if self._target is None:
                raise SystemExit(TERMINATED)
            self._end(self._target)
            return
        self._count += 1
        if self._target is None or self._count > 2:
            raise KeyboardInterrupt
        if self._count == 1:
            with contextlib.suppress(ProtocellError):  # it has just ended by itself
                self._target.interrupt()
        else:
            self._end(self._target)

    def _end(self, target: Stoppable) -> None:
        self.ending = True
        with contextlib.suppress(ProtocellError):
            target.close()


_HANDLED = (signal.SIGINT, signal.SIGTERM)
