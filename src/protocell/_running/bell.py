"""Wakes whoever waits for code, from another thread: a descriptor that can be waited on with the others."""

from __future__ import annotations

import contextlib
import os

from protocell._boxes.box import out_of_descriptors


class Bell:
    """Rung by any thread; heard by the one that waits."""

    def __init__(self) -> None:
        try:
            self._reader, self._writer = os.pipe()
        except OSError as error:
            raise out_of_descriptors() from error
        for descriptor in (self._reader, self._writer):
            os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """Readable when it has been rung."""
        return self._reader

    def ring(self) -> None:
        """Never waits; rung twice it is heard once."""
        with contextlib.suppress(BlockingIOError):  # as full as it gets: it will be heard
            os.write(self._writer, b"!")

    def silence(self) -> bool:
        """Whether it had been rung; from here on it has not."""
        try:
            return bool(os.read(self._reader, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Give the descriptors back."""
        for name in ("_reader", "_writer"):
            descriptor = getattr(self, name)
            setattr(self, name, -1)
            if descriptor >= 0:
                os.close(descriptor)
