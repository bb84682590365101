"""Nothing of ours shall be at work when a sample is taken: waits until every sandbox is ready, warm or gone.

Theory of operation
-------------------
The zygotes of this process are known, and a sandbox is a child of its zygote that lies in a pid namespace of its own
(init), with a child (the context), and more where that has frozen copies or branches. Quiet means: every pool is full
and its sandboxes have answered; no other sandbox is there but the live ones that were announced; every zygote sleeps;
every context has done its idle warm-up; and every copy sleeps.

The warm-up leaves no mark that a host could see. But before it a context sleeps for at most 5 ms (guest/loop.py), and
whenever it falls asleep its count of voluntary context switches grows (proc_pid_status(5)). So one that is asleep with
the same count for longer than that has done it.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from protocell import Environment
from protocell._boxes.pending import Pending
from protocell._boxes.zygote import Zygote
from protocell._boxes.zygotes import ZYGOTES

PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.002
_LONGER_THAN_IDLE_SECONDS = 0.010


class NotQuietError(Exception):
    """The machine, or something of ours, did not come to rest."""


class Household:
    """The sandboxes of this process, seen from outside."""

    def __init__(self) -> None:
        self.live: Counter[Environment] = Counter()  # those that are not in a pool
        self._warm: set[int] = set()
        self._asleep: dict[int, tuple[str, float]] = {}

    def settle(self) -> None:
        """Wait until nothing of ours is at work.

        Raises:
            NotQuietError: that took too long.
        """
        for zygote in running_zygotes().values():
            for policy, _ in list(zygote._pools):
                zygote.top_up(policy)  # one that was opened and not used left its place empty
        _wait(self._is_quiet, "every sandbox is ready, warm or gone")

    def wait_until_gone(self) -> None:
        """Wait until the sandboxes that were used are no more; others may be on their way."""
        _wait(self._are_used_gone, "the used sandboxes are gone")

    def _are_used_gone(self) -> bool:
        return all(
            len(inits(zygote)) <= self._expected(environment, zygote)
            for environment, zygote in running_zygotes().items()
        )

    def _is_quiet(self) -> bool:
        return all(
            self._is_at_rest(environment, zygote)
            for environment, zygote in running_zygotes().items()
        )

    def _expected(self, environment: Environment, zygote: Zygote) -> int:
        return self.live[environment] + len(_pool(zygote))

    def _is_at_rest(self, environment: Environment, zygote: Zygote) -> bool:
        pool = _pool(zygote)
        if len(pool) < environment.ready or not all(_has_answered(pending) for pending in pool):
            return False
        found = inits(zygote)
        if len(found) != self._expected(environment, zygote) or not _sleeps(zygote.pid):
            return False
        below = [children(init) for init in found]
        return all(below) and all(self._is_warm(pid) for pids in below for pid in pids)

    def _is_warm(self, pid: int) -> bool:
        if pid in self._warm:
            return True
        status, now = _status(pid), time.monotonic()
        switches = _field(status, "voluntary_ctxt_switches")
        if _field(status, "State")[:1] != "S":
            self._asleep.pop(pid, None)
        elif self._asleep.get(pid, ("", 0.0))[0] != switches:
            self._asleep[pid] = (switches, now)
        elif now - self._asleep[pid][1] > _LONGER_THAN_IDLE_SECONDS:
            self._warm.add(pid)
            del self._asleep[pid]
        return pid in self._warm


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise NotQuietError(f"waited {PATIENCE_SECONDS:g} s in vain until {what}")
        pause.wait(_POLL_SECONDS)


def running_zygotes() -> dict[Environment, Zygote]:
    """The zygotes of this process."""
    return dict(ZYGOTES._by_environment)


def inits(zygote: Zygote) -> list[int]:
    """The first process of each sandbox that came from a zygote, ended ones included until they were waited for."""
    return [pid for pid in children(zygote.pid) if _is_in_a_sandbox(pid)]


def children(pid: int) -> list[int]:
    """The children of a process; none if it has ended."""
    return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]


def descendants(pid: int) -> list[int]:
    """A process and all that comes from it."""
    return [pid, *(below for child in children(pid) for below in descendants(child))]


def _pool(zygote: Zygote) -> list[Pending]:
    return [pending for pool in zygote._pools.values() for pending in pool]


def _has_answered(pending: Pending) -> bool:
    return pending.is_answered()


def _is_in_a_sandbox(pid: int) -> bool:
    # One number for each pid namespace that it is in, seen from ours; the zygote's janitor has one.
    return len(_field(_status(pid), "NSpid").split()) > 1


def _sleeps(pid: int) -> bool:
    return _field(_status(pid), "State").startswith("S")


def _status(pid: int) -> str:
    return _read(f"/proc/{pid}/status")


def _field(status: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(.*)$", status, re.MULTILINE)
    return found[1] if found else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it has ended
