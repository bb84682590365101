"""The processes of a sandbox, seen by pid 1: who has ended, and what all of them use together.

Theory of operation
-------------------
A sandbox's pid namespace holds init, one context, and whatever the code started.  Orphans come to
init, which reaps them, so the use of all living processes (with their reaped children) and init's own
reaped children is the use of the whole tree.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from protocell_guest import plan, usage

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TMPFS = (plan.HOME, "/tmp", "/dev/shm")


class Process(NamedTuple):
    """What /proc says of one process."""

    parent: int
    session: int
    is_dead: bool  # a zombie
    is_stopped: bool
    cpu: float  # seconds, with its reaped children


class Dead(NamedTuple):
    """A child that was collected."""

    pid: int
    status: int  # as of waitpid(2)
    cpu: float  # seconds, with its reaped children

    @property
    def is_killed(self) -> bool:
        """Whether SIGKILL has ended it."""
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL


def has_exited(pid: int) -> bool:
    """Whether a child is a zombie; it stays one."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def ended() -> int | None:
    """A child that has ended and is still to be collected; None if there is none."""
    try:
        dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if dead is None else dead.si_pid


def collect(pid: int) -> Dead:
    """Wait for a child, or for any (-1), and take its status and times."""
    pid, status, used = os.wait4(pid, 0)
    return Dead(pid, status, used.ru_utime + used.ru_stime)


def root_of(pid: int, processes: Mapping[int, Process], roots: Collection[int]) -> int | None:
    """The nearest of the roots at or above a process, or the one whose session it is in; else None."""
    at = pid
    # The list was not read in one moment, so parents could lead in a circle.
    for _ in range(len(processes)):
        if at in roots:
            return at
        if at not in processes:
            break
        at = processes[at].parent
    session = processes[pid].session
    return session if session in roots else None


class Table:
    """Reads the use of the whole tree from init's private /proc: for the watch, not for every call."""

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self.peak_memory = 0

    def _pids(self) -> list[str]:
        return [name for name in os.listdir(self._proc) if name.isdigit() and name != "1"]

    def processes(self) -> dict[int, Process]:
        """All but init, by pid; those that end meanwhile may be missing."""
        found = {}
        for pid in self._pids():
            stat = self._read(f"{pid}/stat")
            if stat:
                state, parent, _, session = stat.rpartition(b")")[2].split(None, 4)[:4]
                cpu = sum(usage.times(stat)) * _TICK
                dead, stopped = state in b"ZX", state in b"Tt"
                found[int(pid)] = Process(int(parent), int(session), dead, stopped, cpu)
        return found

    def has_pending(self, pid: int, number: signal.Signals) -> bool:
        """Whether such a signal, sent to the process as a whole, was not taken yet."""
        for line in self._read(f"{pid}/status").splitlines():
            if line.startswith(b"ShdPnd:"):
                return bool(int(line.split()[1], 16) >> number - 1 & 1)
        return False

    def resident(self, pids: Iterable[int]) -> int:
        """Bytes that these processes have in memory, shared pages each time."""
        return sum(self._resident(str(pid)) for pid in pids)

    def memory(self) -> int:
        """Bytes that the sandbox holds: the processes' memory and the files in its tmpfs.

        Resident sizes count shared pages many times, so a sum under the last exact figure is
        enough; only when it looks too large is the proportional size read, which is slow.
        """
        files = sum(_used_bytes(path) for path in _TMPFS) + self._segments()
        pids = self._pids()
        total = files + sum(self._resident(pid) for pid in pids)
        if total > self.peak_memory and len(pids) > 1:
            total = files + sum(self._proportional(pid) for pid in pids)
        self.peak_memory = max(self.peak_memory, total)
        return total

    def _read(self, path: str) -> bytes:
        try:
            return usage.read(self._proc, path)
        except (FileNotFoundError, ProcessLookupError):
            return b""  # ended since it was listed

    def _segments(self) -> int:
        """Bytes in System V segments, which nobody needs to have mapped (sysvipc(7)).

        The last two columns are what is in memory and in swap; who has one mapped pays twice.
        """
        with open(
            os.open("sysvipc/shm", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc), "rb"
        ) as table:
            return sum(sum(map(int, line.split()[14:16])) for line in table.readlines()[1:])

    def _resident(self, pid: str) -> int:
        fields = self._read(f"{pid}/statm").split()
        return int(fields[1]) * _PAGE if fields else 0

    def _proportional(self, pid: str) -> int:
        try:
            text = self._read(f"{pid}/smaps_rollup")
        except PermissionError:  # it made itself unreadable (PR_SET_DUMPABLE): then it pays in full
            return self._resident(pid)
        for line in text.split(b"\n"):
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
        return 0


def _used_bytes(path: str) -> int:
    space = os.statvfs(path)
    return (space.f_blocks - space.f_bfree) * space.f_frsize
