"""What the code writes, on to our own two outputs: made visible on a terminal, unchanged elsewhere.

Theory of operation
-------------------
On a terminal everything that it would obey (escape sequences, carriage returns, bidirectional
controls) is made visible, see ``_printable``.  Into a file or a pipe the text goes as it is: bytes
that are no UTF-8 have been replaced by U+FFFD before, control characters stay, since there they
command nobody.

A reader may stop reading (``| less``), and then writing blocks, and with it whoever runs the code.
So writing waits for three things: room, a signal, and the deadline of the run.  After the deadline
it gives up for the moment and keeps what is unsent (no more than the run's output limit) until the
run is over: the reader holds up the code, and not the clock.  Once the run is being ended by a
signal nothing waits any more, and what finds no room is lost.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator
from typing import TextIO

from protocell._printable import printable
from protocell.cli.stopper import Stopper

# A pipe or terminal that has room at all has room for this much (PIPE_BUF, pipe(7)).
_PIECE = 4096
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class _Place:
    """Where a file or terminal stands; both outputs are often one."""

    def __init__(self) -> None:
        self.at_start_of_line = True


class Stream:
    """Standard output or standard error."""

    def __init__(self, file: TextIO, place: _Place, stopper: Stopper) -> None:
        self._descriptor = file.fileno()
        self._encoding = file.encoding or "utf-8"
        self._place = place
        self._stopper = stopper
        self._unsent = bytearray()
        self.is_terminal = os.isatty(self._descriptor)
        self.deadline: float | None = None

    def write(self, text: str) -> None:
        """Text of whatever origin.

        Raises:
            BrokenPipeError: nobody reads it any more.
        """
        self._emit(printable(text) if self.is_terminal else text)

    def write_line(self, text: str) -> None:
        """A text that begins on a line of its own and ends it."""
        self.end_line()
        self.write(text if text.endswith("\n") else f"{text}\n")

    def write_dim(self, text: str) -> None:
        """A line of ours, less bright than what the code wrote."""
        self.end_line()
        bright = not self.is_terminal or "NO_COLOR" in os.environ
        shown = printable(text)
        self._emit(f"{shown}\n" if bright else f"{_DIM}{shown}{_PLAIN}\n")

    def end_line(self) -> None:
        """Go to the start of a line, if we are not there."""
        if not self._place.at_start_of_line:
            self._emit("\n")

    def flush(self) -> None:
        """Write what could not be written before."""
        while self._unsent and self._has_room():
            with contextlib.suppress(BlockingIOError):  # not all that poll(2) promised
                written = os.write(self._descriptor, self._unsent[:_PIECE])
                del self._unsent[:written]

    def _emit(self, text: str) -> None:
        if text:
            self._place.at_start_of_line = text.endswith("\n")
            # A lone surrogate, or a character that this terminal's encoding lacks.
            self._unsent += text.encode(self._encoding, "backslashreplace")
            self.flush()

    def _has_room(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.register(self._stopper.wake, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._patience())}
            if self._descriptor in ready:
                return True
            if self._stopper.ending:
                self._unsent.clear()
                return False
            if not ready:
                return False
            self._stopper.look_up()

    def _patience(self) -> float | None:
        if self._stopper.ending:
            return 0
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - time.monotonic()) * 1000


class Screen:
    """Both outputs together."""

    def __init__(self, stopper: Stopper) -> None:
        place = _Place()
        one = os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
        self.out = Stream(sys.stdout, place, stopper)
        self.err = Stream(sys.stderr, place if one else _Place(), stopper)

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """While this lasts, a reader that does not read is not waited for beyond this time."""
        self.out.deadline = self.err.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self.out.deadline = self.err.deadline = None

    def flush(self) -> None:
        """Write what the reader was too slow for."""
        self.out.flush()
        self.err.flush()

    def complain(self, text: str) -> None:
        """A message of ours about what went wrong."""
        self.err.write_line(f"protocell: {text}")
