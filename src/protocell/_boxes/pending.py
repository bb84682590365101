"""A sandbox that has been asked for: ready, on its way, or refused; what the pool holds."""

from __future__ import annotations

import contextlib
import select
import socket

from protocell._boxes.kernel_box import KernelBox
from protocell._waiter import BlockingWaiter, Waiter, drive
from protocell.errors import ProtocellError


class Pending:
    """A sandbox that has been asked for."""

    def __init__(self, control: socket.socket, name: int) -> None:
        self._control = control
        self._name = name
        self._box: KernelBox | None = None

    def is_usable(self) -> bool:
        """False when it has ended while it waited to be used."""
        return self._control.fileno() >= 0 and not self._events() & (
            select.POLLHUP | select.POLLERR
        )

    def is_answered(self) -> bool:
        """Whether it is ready, or has said why not."""
        return self._box is not None or bool(self._events() & select.POLLIN)

    def _events(self) -> int:
        poll = select.poll()
        poll.register(self._control.fileno(), select.POLLIN)
        return next((events for _, events in poll.poll(0)), 0)

    def prepare(self) -> None:
        """Take what has come, if it has, so that ``open`` has nothing to do; does not wait."""
        if self._box is None and self._control.fileno() >= 0 and self._events() == select.POLLIN:
            with contextlib.suppress(ProtocellError):  # closed then; whoever wants one asks anew
                self._box = drive(self.open(BlockingWaiter()))

    async def open(self, waiter: Waiter) -> KernelBox:
        """Wait until it is built.

        Raises:
            UnsupportedError, SetupError: it could not be built.
            SandboxDiedError: it ended before it was used.
        """
        if self._box is not None:
            return self._box
        try:
            box = KernelBox(self._control, self._name)
        except OSError:
            self.close()
            raise
        try:
            await box.receive_context(waiter)
        except BaseException:
            box.close()
            raise
        return box

    def close(self) -> None:
        """Give it up."""
        if self._box is not None:
            self._box.close()
        self._control.close()
