"""A clock that goes while at least one of several things goes on, those beside each other counted once."""

from __future__ import annotations

import time


class Clock:
    """Started and stopped in one thread; read from any."""

    def __init__(self) -> None:
        self._state = (0.0, 0.0, 0)  # seconds until the last change, when that was, how many go on

    def start(self) -> None:
        """One more goes on."""
        self._change(1)

    def stop(self) -> None:
        """One of them is over."""
        self._change(-1)

    @property
    def seconds(self) -> float:
        """In all, until now."""
        total, since, count = self._state
        return total + (time.monotonic() - since if count else 0.0)

    def _change(self, step: int) -> None:
        self._state = (self.seconds, time.monotonic(), self._state[2] + step)
