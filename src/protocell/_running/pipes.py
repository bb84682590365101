"""Standard output and error of what runs inside, read as they come: kept within bounds, and told to listeners.

The pipes lead to model code: they are read without waiting, and what comes is bytes and nothing more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from protocell._running.output import HeadTail

_READ_BYTES = 1 << 16
_MAX_PIPE_BYTES = 1 << 20  # /proc/sys/fs/pipe-max-size: more cannot be waiting in one

OnOutput = Callable[[bytes], None]


class Pipes:
    """The read ends of two pipes; they stay their owner's."""

    def __init__(
        self,
        descriptors: tuple[int, int],
        limit_bytes: int,
        on_stdout: OnOutput | None,
        on_stderr: OnOutput | None,
    ) -> None:
        self.stdout = HeadTail(limit_bytes)
        self.stderr = HeadTail(limit_bytes)
        self._kept = dict(zip(descriptors, (self.stdout, self.stderr), strict=True))
        self._listeners = dict(zip(descriptors, (on_stdout, on_stderr), strict=True))
        self.open = set(descriptors)  # that are worth waiting for

    @property
    def total_bytes(self) -> int:
        """How much has come from both."""
        return self.stdout.total_bytes + self.stderr.total_bytes

    @property
    def has_listeners(self) -> bool:
        """Whether anybody is told of what comes."""
        return any(self._listeners.values())

    def read(self, ready: Collection[int]) -> None:
        """Take in what is there in those that are ready."""
        # A pipe that the code closed stays readable for ever: it is not waited on any more.
        self.open -= {pipe for pipe in self.open.intersection(ready) if not self._read(pipe)}

    def drain(self) -> None:
        """Read what is in them; what others go on writing meanwhile is the next one's."""
        for pipe in self._kept:
            left = _MAX_PIPE_BYTES
            while left > 0 and (count := self._read(pipe)) > 0:
                left -= count

    def _read(self, pipe: int) -> int:
        """Take in what is there; the number of bytes, 0 at end of file, -1 if there is nothing."""
        try:
            data = os.read(pipe, _READ_BYTES)
        except BlockingIOError:
            return -1
        self._kept[pipe].feed(data)
        listener = self._listeners[pipe]
        if listener is not None and data:
            listener(data)
        return len(data)

    def finish(self) -> None:
        """Tell the listeners that nothing more comes: what they have of a character is all of it."""
        for listener in self._listeners.values():
            if listener is not None:
                listener(b"")

    def mute(self) -> None:
        """From now on nobody is told."""
        self._listeners = dict.fromkeys(self._listeners)
