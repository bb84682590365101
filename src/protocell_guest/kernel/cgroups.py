"""Control groups: one limit for all of a sandbox's memory, one for all its processes and threads.

Theory of operation
-------------------
A cgroup is the only counter that sees everything a sandbox uses: page cache and tmpfs pages, pipe
buffers and page tables are charged to it, and no rlimit knows them.  It is also how a kill for want
of memory is told from any other SIGKILL.

The *zygote* looks for a place once (cgroup_tree.py), removes what a killed zygote left there, and
makes a directory of its own, ``protocell-<pid>-<start time>``.  In that directory each sandbox gets a
leaf (cgroup_leaf.py).  The directory itself has no processes: on v2 it may not have any.  Whoever
outlives the zygote removes it; if nobody does, the next zygote's ``sweep`` does.

Owed: a machine with memory and pids on version 2 in CI.  tests/kernel/test_cgroups.py takes
whichever version it finds and has passed on a 6.1 kernel with version 2, as root and as a user with
a delegated cgroup; where only version 1 has these controllers, the version 2 tree is tested with
another one, and memory.peak, memory.events and the like on made-up files.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Collection, Iterable

from protocell_guest.kernel import cgroup_leaf
from protocell_guest.kernel.cgroup_leaf import Leaf, Usage, distinct
from protocell_guest.kernel.cgroup_tree import REFUGE, Absent, Hierarchy, find

__all__ = ["Absent", "Group", "Hierarchy", "Leaf", "Usage", "find", "open_group", "stale", "sweep"]

_GROUP_NAME = re.compile(r"protocell-([0-9]{1,10})-([0-9]{1,20})")
_LEAF_NAME = re.compile(r"box-[0-9]{1,20}")


class Group:
    """The zygote's own directory, in which each sandbox has a leaf."""

    def __init__(self, hierarchy: Hierarchy, name: str) -> None:
        self.name = name
        self.hierarchy = hierarchy
        self._directories = {key: f"{place}/{name}" for key, place in hierarchy.places.items()}
        self.locks: list[int] = []  # open as long as the zygote lives: no sweep touches the group

    @classmethod
    def claim(cls, hierarchy: Hierarchy) -> Group:
        """Make the directory; on v2 move ``hierarchy.crowd`` aside and hand the controllers on.

        Raises:
            OSError: EBUSY, somebody else's process has come into the place since ``find`` looked.
        """
        name = f"protocell-{os.getpid()}-{start_time(os.getpid())}"
        group = cls(hierarchy, name)
        if hierarchy.version == 2:
            _clear_the_place(hierarchy)
        cgroup_leaf.make(group.directories)
        group.locks = [_hold(directory) for directory in group.directories]
        if hierarchy.version == 2:
            try:
                _hand_on(group.directories[0], hierarchy.places)
            except OSError:
                group.remove()
                raise
        return group

    @property
    def directories(self) -> tuple[str, ...]:
        """Where it is: one directory, or on v1 one in each tree."""
        return distinct(self._directories.values())

    def create(self, name: str, *, memory_bytes: int, processes: int) -> Leaf:
        """A leaf with its limits, nobody in it yet; ``name`` is ``box-<n>``."""
        if not _LEAF_NAME.fullmatch(name):
            raise ValueError(f"a leaf is called box-<n>, so that sweep knows it, and not {name!r}")
        return cgroup_leaf.create(
            self.hierarchy.version,
            self._places_of(name),
            memory_bytes=memory_bytes,
            processes=processes,
        )

    def reopen(self, name: str) -> Leaf:
        """A leaf that was created before and is still there, limits and all.

        Raises:
            OSError: it is not.
        """
        return Leaf(self.hierarchy.version, self._places_of(name))

    def _places_of(self, name: str) -> dict[str, str]:
        return {key: f"{place}/{name}" for key, place in self._directories.items()}

    def remove(self) -> bool:
        """Remove all leaves and the directory; False while a process is left in one."""
        for lock in self.locks:
            os.close(lock)
        self.locks.clear()
        gone = [_remove_group(directory) for directory in self.directories]
        return all(gone)


def open_group(*, movable: Collection[int] = ()) -> Group | None:
    """The zygote's own directory, after removing those of dead zygotes; None where none can be had.

    ``find`` says why there is none.

    Raises:
        OSError: it looked possible and was not.
    """
    hierarchy = find(movable=movable)
    if isinstance(hierarchy, Absent):
        return None
    sweep(hierarchy)
    return Group.claim(hierarchy)


def sweep(hierarchy: Hierarchy) -> int:
    """Remove the directories of zygotes that are gone; returns how many were removed.

    The kernel refuses to remove a cgroup that has a process in it.
    """
    return sum(map(_remove_group, stale(hierarchy)))


def stale(hierarchy: Hierarchy) -> list[str]:
    """The directories of zygotes that are gone.

    Only names that a zygote of ours makes are looked at, and links are not followed.
    """
    found = []
    for place in distinct(hierarchy.places.values()):
        for name in _folders(place):
            owner = _GROUP_NAME.fullmatch(name)
            path = f"{place}/{name}"
            if owner and _is_gone(int(owner[1]), int(owner[2])) and not _is_held(path):
                found.append(path)
    return found


def has_groups_of(hierarchy: Hierarchy, pid: int) -> bool:
    """Whether anything that the zygote of this pid made is left, in any tree."""
    return any(
        owner is not None and int(owner[1]) == pid
        for place in distinct(hierarchy.places.values())
        for owner in map(_GROUP_NAME.fullmatch, _folders(place))
    )


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot: tells it from a later one of that pid."""
    return int(_after_name(pid)[19])  # field 22 is the 20th after the name


def _after_name(pid: int) -> list[bytes]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()  # the name in brackets may hold anything


def _is_gone(pid: int, started: int) -> bool:
    try:
        # A zombie has ended: its host may not look after it for long.
        return start_time(pid) != started or _after_name(pid)[0] == b"Z"
    except (FileNotFoundError, ProcessLookupError):
        pass  # gone, or hidden from us by /proc's hidepid option
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _hold(directory: str) -> int:
    """A lock on the directory for as long as the descriptor is open.

    The number of a process means nothing to whoever shares our cgroups but not our pid namespace.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _is_held(directory: str) -> bool:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _remove_group(directory: str) -> bool:
    try:
        names = _folders(directory)
    except FileNotFoundError:
        return True
    leaves = [f"{directory}/{name}" for name in names if _LEAF_NAME.fullmatch(name)]
    return cgroup_leaf.remove(leaves) and cgroup_leaf.remove([directory])


def _folders(place: str) -> list[str]:
    with os.scandir(place) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _clear_the_place(hierarchy: Hierarchy) -> None:
    """v2: let the place hand its controllers on, which it may not while processes are in it."""
    (place,) = distinct(hierarchy.places.values())
    refuge = f"{place}/{REFUGE}"
    if hierarchy.crowd:
        os.makedirs(refuge, exist_ok=True)
        _move(hierarchy.crowd, refuge)
    try:
        _hand_on(place, hierarchy.places)
    except OSError:
        _move(hierarchy.crowd, place)
        cgroup_leaf.remove([refuge])
        raise


def _move(processes: Iterable[int], place: str) -> None:
    for pid in processes:
        try:
            cgroup_leaf.write(f"{place}/cgroup.procs", str(pid))
        except ProcessLookupError:
            continue  # it has ended meanwhile


def _hand_on(place: str, controllers: Iterable[str]) -> None:
    text = " ".join(f"+{name}" for name in controllers)
    cgroup_leaf.write(f"{place}/cgroup.subtree_control", text)
