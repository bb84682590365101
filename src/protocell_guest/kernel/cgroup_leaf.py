"""The cgroup of one sandbox: its limits, its counters, and the way in.

Theory of operation
-------------------
The zygote makes a leaf and opens its files.  The child moves *itself* in by writing ``0`` to a file
that the zygote opened: on v1 that takes some 0.1 ms, and moving it from outside 13 ms, because only
a thread that moves itself can do without the kernel's global lock (cgroup_procs_write_start() in
kernel/cgroup/cgroup.c).  The right to move goes by who *opened* the file (CVE-2021-4197), so it is
no matter that the child has another uid by then.  init keeps the descriptors, since /sys is gone
once it has a root of its own, and reads the counters through them; model code never gets one.

A cgroup namespace must be unshared after ``enter``, or our names show in /proc/self/cgroup.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

# (controller, file, value, must this kernel have it), in the order of writing.
_SETTINGS = {
    1: (
        ("memory", "memory.limit_in_bytes", "{memory_bytes}", True),
        # Memory and swap together.  It may not be below the former, so it comes after it.
        ("memory", "memory.memsw.limit_in_bytes", "{memory_bytes}", False),
        ("memory", "memory.swappiness", "0", False),
        # Inherited: where the host's own cgroup waits instead of killing, the code would hang.
        ("memory", "memory.oom_control", "0", True),
        ("pids", "pids.max", "{processes}", True),
    ),
    2: (
        ("memory", "memory.max", "{memory_bytes}", True),
        ("memory", "memory.swap.max", "0", False),
        # Kill one process, not all: init has to live on and say what happened.
        ("memory", "memory.oom.group", "0", False),
        ("pids", "pids.max", "{processes}", True),
    ),
}
# v1: ``tasks`` takes a thread.  On v2 only whole processes move between cgroups like ours.
_DOORS = {1: "tasks", 2: "cgroup.procs"}
# What else stays open: (our name for it, controller or "" for any, file, mode).
_COUNTERS = {
    1: (
        ("peak", "memory", "memory.max_usage_in_bytes", os.O_RDWR),
        ("current", "memory", "memory.usage_in_bytes", os.O_RDONLY),
        ("events", "memory", "memory.oom_control", os.O_RDONLY),
        ("processes", "pids", "pids.peak", os.O_RDONLY),
    ),
    2: (
        ("peak", "memory", "memory.peak", os.O_RDWR),
        ("current", "memory", "memory.current", os.O_RDONLY),
        ("events", "memory", "memory.events", os.O_RDONLY),
        ("processes", "pids", "pids.peak", os.O_RDONLY),
        ("kill", "", "cgroup.kill", os.O_WRONLY),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a leaf's processes use and have used, all together."""

    peak_bytes: int | None  # None: v2 before Linux 5.19 does not say
    current_bytes: int
    oom_kills: int
    peak_processes: int | None  # threads too; None where the kernel does not say


class Leaf:
    """One sandbox's cgroup, held by descriptors that stay good when /sys is out of sight."""

    def __init__(self, version: int, directories: Mapping[str, str]) -> None:
        self.layer = f"cgroup-v{version}"
        self.directories = distinct(directories.values())
        self._doors: list[int] = []
        self._counters: dict[str, int] = {}
        places = {"": self.directories[0], **directories}
        try:
            for directory in self.directories:
                self._doors.append(_open(f"{directory}/{_DOORS[version]}", os.O_WRONLY))
            for name, controller, file, mode in _COUNTERS[version]:
                if controller in places:
                    self._keep(name, f"{places[controller]}/{file}", mode)
        except OSError:
            self.close()
            raise

    def _keep(self, name: str, path: str, mode: int) -> None:
        try:
            self._counters[name] = _open(path, mode)
        except FileNotFoundError:
            return  # this kernel does not have it yet
        except PermissionError:  # memory.peak can be written since Linux 6.12 only
            self._counters[name] = _open(path, os.O_RDONLY)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All descriptors held, for whoever closes the others."""
        return (*self._doors, *self._counters.values())

    def enter(self) -> None:
        """Move the calling process in, which must have one thread; its children will be in too."""
        for door in self._doors:
            os.write(door, b"0")

    def usage(self) -> Usage:
        """The counters now.

        Raises:
            OSError: ENODEV, the leaf has been removed.
        """
        return Usage(
            peak_bytes=self._number("peak"),
            current_bytes=int(self._read("current")),
            oom_kills=_value_of(b"oom_kill", self._read("events")),
            peak_processes=self._number("processes"),
        )

    def reset_peak(self) -> bool:
        """Let the peak begin anew from what is in use now; False where it goes on from the start."""
        try:
            os.write(self._counters["peak"], b"0")
        except (KeyError, OSError):  # v2: no such file before Linux 5.19, read-only before 6.12
            return False
        return True

    def kill(self) -> bool:
        """SIGKILL to all processes in the leaf at once; False where the kernel cannot (v1)."""
        if "kill" not in self._counters:
            return False
        os.write(self._counters["kill"], b"1")
        return True

    def close(self) -> None:
        """Close the descriptors; ``remove`` still works."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self._doors.clear()
        self._counters.clear()

    def remove(self) -> bool:
        """Remove the cgroup; False while a process is in it (ask again when it is reaped)."""
        return remove(self.directories)

    def _read(self, name: str) -> bytes:
        return os.pread(self._counters[name], 4096, 0)

    def _number(self, name: str) -> int | None:
        return int(self._read(name)) if name in self._counters else None


def create(
    version: int, directories: Mapping[str, str], *, memory_bytes: int, processes: int
) -> Leaf:
    """Make a leaf with its limits; ``directories`` says where, for each controller."""
    make(distinct(directories.values()))
    try:
        limit(version, directories, memory_bytes=memory_bytes, processes=processes)
        return Leaf(version, directories)
    except OSError:
        remove(distinct(directories.values()))
        raise


def limit(
    version: int, directories: Mapping[str, str], *, memory_bytes: int, processes: int
) -> None:
    """Write the limits into a cgroup's files."""
    for controller, file, value, needed in _SETTINGS[version]:
        if controller not in directories:
            continue
        text = value.format(memory_bytes=memory_bytes, processes=processes)
        try:
            write(f"{directories[controller]}/{file}", text)
        except FileNotFoundError:
            if needed:
                raise


def distinct(directories: Iterable[str]) -> tuple[str, ...]:
    """Each directory once: several controllers may share one."""
    return tuple(dict.fromkeys(directories))


def make(directories: Collection[str]) -> None:
    """Make all of the directories, or none."""
    made: list[str] = []
    try:
        for directory in directories:
            os.mkdir(directory, 0o755)
            made.append(directory)
    except OSError:
        remove(made)
        raise


def remove(directories: Iterable[str]) -> bool:
    """Remove cgroups; whether none of them is there any more."""
    gone = True
    for directory in directories:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:  # EBUSY: processes or cgroups are in it; EACCES: another user's
            gone = False
    return gone


def write(path: str, text: str) -> None:
    """Write to a file that must be there; one write, as the kernel wants it."""
    descriptor = _open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _open(path: str, mode: int) -> int:
    return os.open(path, mode | os.O_CLOEXEC)


def _value_of(name: bytes, text: bytes) -> int:
    """A value from lines of ``name value``; 0 where the kernel has no such line (before 4.13)."""
    for line in text.splitlines():
        key, _, value = line.partition(b" ")
        if key == name:
            return int(value)
    return 0
