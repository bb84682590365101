"""The processes of a sandbox, seen by pid 1: who has ended, and what all of them use together.

Theory of operation
-------------------
A sandbox's pid namespace holds init, one context, and whatever the code started.  Orphans come to
init, which reaps them, so the use of all living processes (with their reaped children) and init's own
reaped children is the use of the whole tree.
"""

from __future__ import annotations

import os

from protocell_guest import plan, usage

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAX_REAPED_AT_ONCE = 512
_TMPFS = (plan.HOME, "/tmp", "/dev/shm")


def has_exited(pid: int) -> bool:
    """Whether a child is a zombie; it stays one."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def reap_orphans(spare: int | None) -> None:
    """Collect dead children; ``spare`` is collected by somebody else."""
    for _ in range(_MAX_REAPED_AT_ONCE):
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if dead is None or dead.si_pid == spare:
            return
        os.waitpid(dead.si_pid, 0)


class Table:
    """Reads the use of the whole tree from init's private /proc: for the watch, not for every call."""

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self.peak_memory = 0

    def _pids(self) -> list[str]:
        return [name for name in os.listdir(self._proc) if name.isdigit() and name != "1"]

    def cpu_total(self) -> float:
        """Processor seconds of every process of the sandbox since it began, the dead included."""
        own = os.times()
        total = own.children_user + own.children_system
        for pid in self._pids():
            total += sum(usage.times(self._read(f"{pid}/stat"))) * _TICK
        return total

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
