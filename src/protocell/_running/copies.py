"""Copies of an interpreter as the host knows them: numbers of processes, on the word of the code itself.

They are only ever used to ask init for something: to spare a process, to let it go on.  init does so for
processes of that sandbox alone, and stops what it spares; so code that lies about them deceives itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
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
class Moment:
    """A state of the variables: which execution left it, and out of which other state."""

    execution: int
    serial: int  # no other state's of this context, however often executions are counted anew
    before: int | None = None  # the serial of the state that the execution began with
    note: str = ""

    def __str__(self) -> str:
        return f"execution {self.execution}{self.note}"


BEGINNING = Moment(0, 0)


@dataclass(frozen=True, slots=True)
class Copy:
    """A frozen copy: its process, the state that it is of, and the streams that it has."""

    pid: int
    moment: Moment
    order: int  # of making
    line: int = 0


class Copies:
    """The frozen copies of one context: one before each of the last executions, and those with names.

    Either kind has a bound of its own: what the caller has given a name is not pushed out by what is made
    by itself.
    """

    def __init__(self, most: int, most_named: int) -> None:
        self._most, self._most_named = most, most_named
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
    def spendable(self) -> tuple[int, ...]:
        """Those that go when memory runs out, the first first: all but the named and the latest."""
        return tuple(copy.pid for copy in self._recent[:-1])

    @property
    def names(self) -> tuple[str, ...]:
        """Of those that have one, the oldest first."""
        return tuple(self._named)

    def add(self, copy: Copy, name: str | None) -> None:
        """Keep one; the oldest of its kind goes for it where there are too many."""
        if name is None:
            self._recent = [*self._recent, copy][-self._most :]
            return
        self._named.pop(name, None)
        self._named[name] = copy
        if len(self._named) > self._most_named:
            self._named.popitem(last=False)

    def latest(self) -> Copy | None:
        """The one that was made last by itself."""
        return self._recent[-1] if self._recent else None

    def named(self, name: str) -> Copy | None:
        """The one with this name."""
        return self._named.get(name)

    def take(self, copy: Copy) -> None:
        """It is the live one from now on; what was made after it belongs to a state that is gone."""
        self._recent = [other for other in self._recent if other.order < copy.order]
        self._drop_named(lambda other: other is copy)

    def drop(self, pids: Collection[int]) -> int:
        """These processes have ended; returns how many copies were among them."""
        before = len(self.pids)
        self._recent = [copy for copy in self._recent if copy.pid not in pids]
        self._drop_named(lambda copy: copy.pid in pids)
        return before - len(self.pids)

    def _drop_named(self, is_gone: Callable[[Copy], bool]) -> None:
        for name in [name for name, copy in self._named.items() if is_gone(copy)]:
            del self._named[name]

    def begin_anew(self, note: str) -> None:
        """Only what has a name is left, and is told with this note: executions are counted anew."""
        self._recent.clear()
        for name, copy in self._named.items():
            self._named[name] = replace(copy, moment=replace(copy.moment, note=note))
