"""Copies of an interpreter as the host knows them: numbers of processes, on the word of the code itself.

They are only ever used to ask init for something: to spare a process, to let it go on.  init does so for
processes of that sandbox alone, and stops what it spares; so code that lies about them deceives itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from protocell._printable import printable_line
from protocell.errors import ProtocolError

MOST_PID = 1 << 22  # PID_MAX_LIMIT
MOST_BRANCHES = 32
_MOST_DETAIL = 300


@dataclass(frozen=True, slots=True)
class CopyMessage:
    """The code has left frozen copies or branches, or says why it could not."""

    pids: tuple[int, ...]
    detail: str


def read_copy(frame: Mapping[str, Any], number: int) -> CopyMessage:
    """The answer to a wish for copies.

    Raises:
        ProtocolError: it is none, or not to this question.
    """
    if frame.get("event") != "copied" or frame.keys() != {"event", "id", "pids", "detail"}:
        raise ProtocolError("no answer to a wish for copies")
    pids, detail = frame["pids"], frame["detail"]
    if type(frame["id"]) is not int or frame["id"] != number:
        raise ProtocolError("copies for another question")
    if type(pids) is not list or len(pids) > MOST_BRANCHES or type(detail) is not str:
        raise ProtocolError("an answer to a wish for copies with odd fields")
    if any(type(pid) is not int or not 1 < pid <= MOST_PID for pid in pids):
        raise ProtocolError("a copy that is no process")
    return CopyMessage(tuple(pids), printable_line(detail, _MOST_DETAIL))


@dataclass(frozen=True, slots=True)
class Copy:
    """A frozen copy: its process, and the execution after which it was made."""

    pid: int
    count: int


class Copies:
    """The frozen copies of one context: one before each of the last executions, and those with names."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._recent: list[Copy] = []
        self._named: OrderedDict[str, Copy] = OrderedDict()

    def __iter__(self) -> Iterator[Copy]:
        yield from self._recent
        yield from self._named.values()

    @property
    def pids(self) -> tuple[int, ...]:
        """All of them."""
        return tuple(copy.pid for copy in self)

    @property
    def names(self) -> tuple[str, ...]:
        """Of those that have one, the oldest first."""
        return tuple(self._named)

    def add(self, copy: Copy, name: str | None) -> None:
        """Keep one; the oldest goes for it where there are too many."""
        full = len(self.pids) >= self._most
        if name is not None:
            full = full and name not in self._named
            self._named.pop(name, None)
            self._named[name] = copy
        else:
            self._recent.append(copy)
        if full:
            self._drop_oldest(spared=copy)

    def _drop_oldest(self, spared: Copy) -> None:
        oldest = min((copy for copy in self if copy is not spared), key=lambda copy: copy.count)
        self._recent = [copy for copy in self._recent if copy is not oldest]
        for name in [name for name, copy in self._named.items() if copy is oldest]:
            del self._named[name]

    def latest(self) -> Copy | None:
        """The one that was made last by itself."""
        return self._recent[-1] if self._recent else None

    def named(self, name: str) -> Copy | None:
        """The one with this name."""
        return self._named.get(name)

    def take(self, copy: Copy) -> None:
        """It is the live one from now on; what was made after it belongs to a state that is gone."""
        self._recent = [other for other in self._recent if other.count < copy.count]
        for name in [name for name, other in self._named.items() if other is copy]:
            del self._named[name]

    def forget_recent(self) -> None:
        """None was made this time: an older one would be another state than is said."""
        self._recent.clear()

    def clear(self) -> None:
        """They are gone."""
        self._recent.clear()
        self._named.clear()
