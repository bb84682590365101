"""Wakes whoever waits for code, from another thread: a descriptor that can be waited on with the others."""

from __future__ import annotations

import contextlib
import os

from protocell._boxes.box import out_of_descriptors

_ONE = (1).to_bytes(8, "little")  # what an eventfd is rung with; a pipe takes it as well


class Bell:
    """Rung by any thread; heard by the one that waits."""

    def __init__(self) -> None:
        try:
            self._reader, self._writer = _wires()
        except OSError as error:
            raise out_of_descriptors() from error

    def fileno(self) -> int:
        """Readable when it has been rung."""
        return self._reader

    def ring(self) -> None:
        """Never waits; rung twice it is heard once."""
        with contextlib.suppress(BlockingIOError):  # as full as it gets: it will be heard
            os.write(self._writer, _ONE)

    def silence(self) -> bool:
        """Whether it had been rung; from here on it has not."""
        try:
            return bool(os.read(self._reader, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Give the descriptors back."""
        wires = {self._reader, self._writer}
        self._reader = self._writer = -1
        for descriptor in wires - {-1}:
            os.close(descriptor)


def _wires() -> tuple[int, int]:
    """Where it is heard and where it is rung: one descriptor (eventfd(2)), or a pipe where there is no such thing."""
    if hasattr(os, "eventfd"):
        both = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return both, both
    reader, writer = os.pipe()
    for descriptor in (reader, writer):
        os.set_blocking(descriptor, False)
    return reader, writer
