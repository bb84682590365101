"""Streams of interpreters that have ended, kept for as long as a frozen copy that has them can go on."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from typing import NamedTuple


class Line(NamedTuple):
    """The host's ends of one interpreter's channel and pipes, which its copies have as well."""

    channel: socket.socket
    stdout: int
    stderr: int

    def close(self) -> None:
        """Give them back."""
        self.channel.close()
        for descriptor in (self.stdout, self.stderr):
            if descriptor >= 0:
                os.close(descriptor)


class Lines:
    """Lines that are set aside, by number."""

    def __init__(self) -> None:
        self._aside: dict[int, Line] = {}

    def put(self, number: int, line: Line) -> None:
        """Set one aside."""
        self._aside[number] = line

    def take(self, number: int) -> Line:
        """Have one back."""
        return self._aside.pop(number)

    def keep(self, numbers: Collection[int]) -> None:
        """Close those that nobody can go back to any more."""
        for number in self._aside.keys() - set(numbers):
            self._aside.pop(number).close()
