"""What a process and everything it started have used, read from a descriptor of its /proc folder.

Used on both sides: by init, which is told when a context has ended, and by the host, which reads the
same files through a descriptor that init hands out, since asking init would cost every call two turns
of the scheduler.

The kernel adds the times and bytes of a process to its parent's when it is reaped (proc_pid_stat(5):
utime, stime, cutime, cstime; proc_pid_io(5)).  Ticks are 10 ms; what the first thread used is known to
the nanosecond (schedstat).  Processes and threads started are counted by the pid namespace's last pid
(proc_loadavg(5), last field).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_ENOUGH_BYTES = 8192


class Totals(NamedTuple):
    """Counters since the process began; only differences mean something."""

    user: float  # seconds, in ticks, reaped children included
    system: float
    exact: float  # seconds of the first thread, both kinds, to the nanosecond
    started: int  # last pid of the namespace
    written: int  # bytes given to write(2) and the like, reaped children included


def read(folder: int, path: str) -> bytes:
    """A small file of /proc below a descriptor; raises OSError when the process is gone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(descriptor, _ENOUGH_BYTES)
    finally:
        os.close(descriptor)


def times(stat: bytes) -> Sequence[int]:
    """utime, stime, cutime, cstime of a stat line; the name in it is the code's own choice."""
    return [int(field) for field in stat.rpartition(b")")[2].split()[11:15]]


def read_totals(folder: int) -> Totals:
    """The counters now.

    Raises:
        OSError: the process has been reaped.
    """
    user, system, children_user, children_system = times(read(folder, "stat"))
    return Totals(
        user=(user + children_user) * _TICK,
        system=(system + children_system) * _TICK,
        exact=int(read(folder, "schedstat").split()[0]) / 1e9,
        started=int(read(folder, "../loadavg").split()[-1]),
        written=_written(folder),
    )


def _written(folder: int) -> int:
    try:
        return int(read(folder, "io").partition(b"wchar: ")[2].split()[0])
    except PermissionError:  # a zombie has no readable counters any more
        return 0


def read_peak(folder: int) -> int:
    """The most memory that the process has had resident since ``reset_peak``, in bytes."""
    text = read(folder, "status").partition(b"VmHWM:")[2]
    return int(text.split(None, 1)[0]) * 1024 if text else 0


def reset_peak(folder: int) -> None:
    """Let the peak begin anew (proc_pid_clear_refs(5), value 5)."""
    descriptor = os.open("clear_refs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(descriptor, b"5")
    finally:
        os.close(descriptor)


def spent(before: Totals, after: Totals) -> dict[str, float]:
    """User and system seconds, processes and threads started, and bytes written in between."""
    user, system = max(0.0, after.user - before.user), max(0.0, after.system - before.system)
    ticks = user + system
    total = max(ticks, after.exact - before.exact)
    share = system / ticks if ticks else 0.0
    return {
        "user": total * (1 - share),
        "system": total * share,
        "processes": max(0, after.started - before.started),
        "bytes_written": max(0, after.written - before.written),
    }
