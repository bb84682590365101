"""What the processes of a sandbox use, read by pid 1 from its private /proc; and reaping.

Theory of operation
-------------------
A sandbox's pid namespace holds init, one context, and whatever the code started.  The kernel adds
the times and bytes of a process to its parent's when it is reaped, and orphans are reaped by init,
so the sum over all living processes (with their reaped children) plus init's reaped children is the
use of the whole tree (proc_pid_stat(5): utime, stime, cutime, cstime; proc_pid_io(5)).  Ticks are
10 ms; the context's own processor time comes from its CPU clock in nanoseconds
(clock_getcpuclockid(3) describes the encoding of a pid in a clock id).  Processes and threads
started are counted by the namespace's last pid (proc_loadavg(5), last field).
"""

from __future__ import annotations

import os
import time
from typing import Any

from protocell_guest import plan

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CPUCLOCK_SCHED = 2
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


def _processor_clock(pid: int) -> int:
    return (~pid << 3) | _CPUCLOCK_SCHED


class Meter:
    """Reads the use of a context and of everything it started."""

    def __init__(self, proc: int, pid: int) -> None:
        self._proc = proc
        self._pid = pid
        self._stat = self._open(f"{pid}/stat")
        self._io = self._open(f"{pid}/io")
        self._status = self._open(f"{pid}/status")
        self._clear = self._open(f"{pid}/clear_refs", os.O_WRONLY)
        self._load = self._open("loadavg")
        self._seen_memory = 0
        self._written = 0
        self._base = self._totals()

    def _open(self, path: str, flags: int = os.O_RDONLY) -> int:
        return os.open(path, flags | os.O_CLOEXEC, dir_fd=self._proc)

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in (self._stat, self._io, self._status, self._clear, self._load):
            os.close(descriptor)

    def begin(self) -> float:
        """Start counting anew; returns the processor seconds used so far by the whole tree."""
        os.write(self._clear, b"5")  # resets VmHWM (proc_pid_clear_refs(5))
        self._seen_memory = 0
        self._base = self._totals()
        return self.cpu_total()

    def read(self) -> dict[str, Any]:
        """What was used since ``begin``."""
        now = self._totals()
        used = {name: max(0, now[name] - self._base[name]) for name in now}
        total, ticks = used.pop("clock"), used["user"] + used["system"]
        precise = max(total, ticks)
        share = used["system"] / ticks if ticks else 0.0
        used["user"], used["system"] = precise * (1 - share), precise * share
        used["peak_memory"] = max(self._seen_memory, self._peak_of_context())
        return used

    def _totals(self) -> dict[str, Any]:
        user, system = self._ticks()
        return {
            "user": user * _TICK,
            "system": system * _TICK,
            "clock": self._clock(),
            "processes": int(os.pread(self._load, 256, 0).split()[-1]),
            "bytes_written": self._bytes_written(),
        }

    def _clock(self) -> float:
        try:
            return time.clock_gettime(_processor_clock(self._pid))
        except OSError:  # the context has ended: its clock is gone, its ticks are not
            return 0.0

    def _ticks(self) -> tuple[int, int]:
        # The name in brackets is the code's own choice and may hold brackets and blanks.
        fields = os.pread(self._stat, 4096, 0).rpartition(b")")[2].split()
        user, system, children_user, children_system = (int(field) for field in fields[11:15])
        return user + children_user, system + children_system

    def _bytes_written(self) -> int:
        try:
            text = os.pread(self._io, 4096, 0)
        except OSError:  # a zombie has no readable counters: what was seen last stands
            return self._written
        self._written = int(text.partition(b"wchar: ")[2].split()[0])
        return self._written

    def _peak_of_context(self) -> int:
        for line in os.pread(self._status, 8192, 0).split(b"\n"):
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    # -- the whole tree: slower, for the watch -----------------------------------------------------

    def _pids(self) -> list[str]:
        return [name for name in os.listdir(self._proc) if name.isdigit() and name != "1"]

    def cpu_total(self) -> float:
        """Processor seconds of every process of the sandbox since it began, the dead included."""
        own = os.times()
        total = own.children_user + own.children_system
        for pid in self._pids():
            fields = self._read(f"{pid}/stat").rpartition(b")")[2].split()
            total += sum(int(field) for field in fields[11:15]) * _TICK
        return total

    def memory(self) -> int:
        """Bytes that the sandbox holds: the processes' memory and the files in its tmpfs.

        Resident sizes count shared pages many times, so a sum under the last exact figure is
        enough; only when it looks too large is the proportional size read, which is slow.
        """
        files = sum(_used_bytes(path) for path in _TMPFS)
        pids = self._pids()
        total = files + sum(self._resident(pid) for pid in pids)
        if total > self._seen_memory and len(pids) > 1:
            total = files + sum(self._proportional(pid) for pid in pids)
        self._seen_memory = max(self._seen_memory, total)
        return total

    def _read(self, path: str) -> bytes:
        try:
            descriptor = self._open(path)
        except (FileNotFoundError, ProcessLookupError):
            return b""  # ended since it was listed; a zombie has no smaps_rollup to open (6.18: ESRCH)
        try:
            return os.read(descriptor, 8192)
        except ProcessLookupError:
            return b""
        finally:
            os.close(descriptor)

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
