"""SIGINT as KeyboardInterrupt in the code while it runs, and nowhere in between."""

from __future__ import annotations

import signal
from _thread import get_ident, interrupt_main
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType


class Interrupts:
    """SIGINT reaches the code while it runs and nobody in between.  Made before the host hears of the context."""

    def __init__(self) -> None:
        self.running = False
        self._held = self._waiting = False
        self._main_thread = get_ident()
        signal.signal(signal.SIGINT, self._handle)
        signal.signal(signal.SIGURG, lambda _number, _frame: None)  # ends a wait, see init

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._held:
            self._waiting = True
        elif self.running:
            raise KeyboardInterrupt

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
            self._waiting = False
            if get_ident() != self._main_thread:
                interrupt_main()
            elif self.running and kind is None:
                raise KeyboardInterrupt
