"""One interpreter or command under init's eye, from its start to its end, and the host's line to it.

A *life* is a process that init ends and measures by itself: the interpreter of a context, a copy of it
that runs on its own (a branch), or a command.  Each has a control socket of its own, so that whoever waits
for one of them on the host need not know of the others.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from protocell_guest import wire

WATCH_SECONDS = 0.05
IDLE_SECONDS = 0.25
_NUDGE_MILLISECONDS = 20
_NUDGES = 3


@dataclass(slots=True)
class Watch:
    """What the running execution may still use; looked at only if it takes more than a moment."""

    cpu_total: float = float("inf")
    active: bool = False  # an execution is going on
    used: bool = False  # one has been going on: what it started may be there still
    due: float = 0.0  # when to look next (time.monotonic)


@dataclass(slots=True)
class Life:
    """What init knows of it.  ``pid`` is None between its end and its next beginning."""

    control: socket.socket
    pid: int | None = None
    number: int = 0  # of the request that it answers
    is_command: bool = False
    is_careful: bool = False  # when it ends by itself, the host says what is to be spared
    ends_at: float = float("inf")  # of time.monotonic
    kept: frozenset[int] = frozenset()  # its frozen copies, on its own word
    spendable: tuple[int, ...] = ()  # of these, those that go when memory runs out, the first first
    fallen: list[int] = field(default_factory=list)  # that went so, and the host was not told yet
    killed_copies: list[int] = field(default_factory=list)  # that somebody else has ended
    cpu_of_dead: float = 0.0  # seconds of what was collected
    watch: Watch = field(default_factory=Watch)
    nudges: int = 0
    is_waking: bool = False  # a frozen copy that was not sent its signal yet
    end: dict[str, Any] | None = None  # what was told of it

    def tell(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Tell the host; raises ConnectionError if it has let go of this life."""
        wire.send_packet(self.control, message, descriptors)

    def tell_end(self) -> None:
        """How it ended, once more where the host may have missed it; nothing while it lives."""
        if self.end is not None:
            self.tell(self.end)

    def begin(self, pid: int, number: int) -> None:
        """It lives, as the answer to this request."""
        self.end = None
        self.pid, self.number, self.nudges, self.is_waking = pid, number, 0, False
        self.watch = Watch()

    def interrupt(self) -> None:
        """KeyboardInterrupt in the code, also if it is just about to wait for something.

        CPython only notes the signal; a system call that begins a moment later would not end by it.
        SIGURG, to which the context has a handler that does nothing, ends that.  A command gets the signal
        as from a terminal: all of its foreground group does.
        """
        if self.pid is None:
            return
        if self.is_command:
            os.kill(self.pid, signal.SIGUSR1)  # command.py passes it on
            return
        os.kill(self.pid, signal.SIGINT)
        self.nudges = _NUDGES

    def nudge(self) -> None:
        """The next of the signals after an interrupt."""
        if self.nudges and self.pid is not None:
            self.nudges -= 1
            os.kill(self.pid, signal.SIGURG)

    def pause(self) -> int | None:
        """Milliseconds until there is something to do by itself; None when nothing can happen."""
        if self.pid is None:
            return None
        if self.nudges or self.is_waking:
            return _NUDGE_MILLISECONDS
        if not self.watch.used:
            return None
        due = min(self.watch.due, self.ends_at)
        return max(0, int(1000 * (due - time.monotonic())) + 1)

    def is_due(self) -> bool:
        """Whether what it uses is to be looked at now."""
        due = min(self.watch.due, self.ends_at)
        return self.pid is not None and self.watch.used and time.monotonic() >= due
