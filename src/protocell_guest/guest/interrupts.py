"""SIGINT as KeyboardInterrupt in the code while it runs, and nowhere in between.

Theory of operation
-------------------
The host sends a request, and may have init send SIGINT from then on.  So one that comes when something is asked
and the code does not run yet is kept, and raised when it begins; one that comes when nothing is asked is nobody's.

"Asked" means that there is something to be read in the channel, or that it has been read; before the first
answer it is always so.  Before an interrupt is sent its request is in the channel; and the next request is not
sent before init has sent what it was to send for the last one.  But if this process does not get a processor in
between, it finds both, the late signal of the last execution and the new request, and cannot know which came
first.  That is for the host to say ("after_interrupt" in the request, see ``loop.py``); who is not told takes it
for late.
"""

from __future__ import annotations

import select
import signal
from _thread import get_ident, interrupt_main
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from types import FrameType, TracebackType


class Interrupts:
    """SIGINT reaches the code while it runs and nobody in between.  Made before the host hears of the context."""

    def __init__(self) -> None:
        self.running = False
        self.asked = True
        """Whether there is a request that is not answered yet. Before the first one there is nothing to interrupt."""
        self.channel: socket.socket | None = None
        """Where requests come."""
        self._held = self._waiting = False
        self._main_thread = get_ident()
        signal.signal(signal.SIGINT, self._handle)
        signal.signal(signal.SIGURG, lambda _number, _frame: None)  # ends a wait, see init

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._held:
            self._waiting = True
        elif self.running:
            raise KeyboardInterrupt
        elif self.asked or self._is_something_to_read():
            self._waiting = True

    def _is_something_to_read(self) -> bool:
        return self.channel is not None and bool(select.select([self.channel], [], [], 0)[0])

    def begin(self) -> None:
        """The code runs from now on.

        Raises:
            KeyboardInterrupt: an interrupt came before that, or comes now.
        """
        self.running = True
        if self._waiting:
            self._waiting = False
            raise KeyboardInterrupt

    def end(self) -> None:
        """The code has come to its end; what comes from now on is for the next request, if that is there."""
        self.running = self.asked = self._waiting = False

    def forget(self) -> None:
        """What has come so far is for nobody."""
        self._waiting = False

    def __enter__(self) -> None:
        """What stands in this ``with`` is done as a whole: an interrupt comes after it."""
        self._held = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held = False
        if self._waiting:
            self._waiting = not self.running and self._is_something_to_read()
            if get_ident() != self._main_thread:
                interrupt_main()
            elif self.running and kind is None:
                raise KeyboardInterrupt
