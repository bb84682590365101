"""What a process and everything it started have used, read from a descriptor of its /proc folder.

Used on both sides: by init, which is told when a context has ended, and by the host, which reads the
same files through a descriptor that init hands out, since asking init would cost every call two turns
of the scheduler.

The kernel adds the times and bytes of a process to its parent's when it is reaped (proc_pid_stat(5):
utime, stime, cutime, cstime; proc_pid_io(5)).  Ticks are 10 ms; what the first thread used is known to
the nanosecond (schedstat).

How many processes and threads were started is the last pid of the pid namespace (proc_loadavg(5)) - of the
reader's own, whichever /proc it reads.  So only init can say, and the host asks when it sees that there is
something to count: other threads, children, or page faults of children that were waited for.
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
    written: int  # bytes given to write(2) and the like, reaped children included
    reaped: int  # page faults of children that it has waited for: each has some
    others: bool  # it has children or other threads now


def read(folder: int, path: str) -> bytes:
    """A small file of /proc below a descriptor; raises OSError when the process is gone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(descriptor, _ENOUGH_BYTES)
    finally:
        os.close(descriptor)


def times(stat: bytes) -> Sequence[int]:
    """utime, stime, cutime, cstime of a stat line; the name in it is the code's own choice."""
    return [int(field) for field in _after_name(stat)[11:15]]


def _after_name(stat: bytes) -> Sequence[bytes]:
    """The fields of a stat line from the third on."""
    return stat.rpartition(b")")[2].split()


def read_totals(folder: int) -> Totals:
    """The counters now.

    Raises:
        OSError: the process has been reaped.
    """
    stat = read(folder, "stat")
    user, system, children_user, children_system = times(stat)
    return Totals(
        user=(user + children_user) * _TICK,
        system=(system + children_system) * _TICK,
        exact=int(read(folder, "schedstat").split()[0]) / 1e9,
        written=_written(folder),
        reaped=int(_after_name(stat)[8]),
        others=_has_others(folder, stat),
    )


def read_last_pid(proc: int) -> int:
    """Of the calling process's own pid namespace."""
    return int(read(proc, "loadavg").split()[-1])


def _has_others(folder: int, stat: bytes) -> bool:
    if int(_after_name(stat)[17]) > 1:
        return True
    try:
        pid = stat.split(None, 1)[0].decode()
        return bool(read(folder, f"task/{pid}/children"))
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return True


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


def have_started(before: Totals, after: Totals) -> bool:
    """Whether there may be processes or threads that were started in between."""
    return after.others or after.reaped != before.reaped


def spent(before: Totals, after: Totals) -> dict[str, float]:
    """User and system seconds, and bytes written in between."""
    user, system = max(0.0, after.user - before.user), max(0.0, after.system - before.system)
    ticks = user + system
    total = max(ticks, after.exact - before.exact)
    share = system / ticks if ticks else 0.0
    return {
        "user": total * (1 - share),
        "system": total * share,
        "bytes_written": max(0, after.written - before.written),
    }
