"""What a cgroup counts and limits, on the real files of version 1 or 2, whichever this machine has."""

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocell_guest.kernel import _libc, cgroups, syscalls
from tests.features import require
from tests.kernel.children import (
    EndedError,
    become_nobody,
    end,
    eventually,
    fork,
    in_child,
    needs_root,
    outcome,
)

MIB = 1 << 20
CLONE_NEWUSER = 0x10000000

_numbers = itertools.count(1)


@pytest.fixture
def hierarchy() -> cgroups.Hierarchy:
    found = cgroups.find()
    if isinstance(found, cgroups.Absent):
        needs_root()
        require("cgroups", lambda feature: f"{found.reason}; {found.remedy}")
    assert isinstance(found, cgroups.Hierarchy)
    return found


@pytest.fixture
def group(hierarchy: cgroups.Hierarchy) -> Iterator[cgroups.Group]:
    made = cgroups.Group.claim(hierarchy)
    yield made
    # Orphans of the test's children may still be on their way out.
    assert eventually(made.remove)


@pytest.fixture
def make_leaf(group: cgroups.Group) -> Iterator[Callable[..., cgroups.Leaf]]:
    made: list[cgroups.Leaf] = []

    def make(*, memory_bytes: int = 64 * MIB, processes: int = 16) -> cgroups.Leaf:
        name = f"box-{next(_numbers)}"
        made.append(group.create(name, memory_bytes=memory_bytes, processes=processes))
        return made[-1]

    yield make
    for leaf in made:
        leaf.close()


MakeLeaf = Callable[..., cgroups.Leaf]


def inside(leaf: cgroups.Leaf, function: Callable[[], Any]) -> Any:
    def body() -> Any:
        leaf.enter()
        return function()

    return in_child(body)


def fill_memory() -> int:
    return len(bytearray(MIB) * 48)


def fill_tmpfs() -> int:
    # A file without a name: nothing is left behind, however the process ends.
    descriptor = os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR)
    return sum(os.write(descriptor, bytes(MIB)) for _ in range(48))


def fill_hidden_pages() -> int:
    descriptor = os.memfd_create("hidden")
    return sum(os.write(descriptor, bytes(MIB)) for _ in range(48))


FILLS = pytest.mark.parametrize("fill", [fill_memory, fill_tmpfs, fill_hidden_pages])


# -- memory -------------------------------------------------------------------------------------------


@pytest.mark.claim("kernel.cgroup-memory")
@FILLS
def test_who_uses_more_memory_than_the_limit_is_killed(
    make_leaf: MakeLeaf, fill: Callable[[], int]
):
    leaf = make_leaf(memory_bytes=32 * MIB)

    with pytest.raises(EndedError) as ended:
        inside(leaf, fill)
    usage = leaf.usage()
    assert (ended.value.signal, usage.oom_kills) == (signal.SIGKILL, 1)
    assert 31 * MIB < (usage.peak_bytes or 0) <= 32 * MIB


@pytest.mark.twin("kernel.cgroup-memory")
@FILLS
def test_who_uses_less_is_counted_and_left_alone(make_leaf: MakeLeaf, fill: Callable[[], int]):
    leaf = make_leaf(memory_bytes=96 * MIB)

    assert inside(leaf, fill) == 48 * MIB
    usage = leaf.usage()
    assert usage.oom_kills == 0
    assert 48 * MIB < (usage.peak_bytes or 0) < 64 * MIB


@pytest.mark.claim("kernel.cgroup-memory")
def test_the_memory_of_all_children_is_counted_together(make_leaf: MakeLeaf):
    leaf = make_leaf(memory_bytes=46 * MIB)  # each copies a few pages of this process as well

    def three_children() -> list[int]:
        ready, is_ready = os.pipe()
        go_on, writer = os.pipe()
        for turn in range(3):
            if os.fork() == 0:
                os.close(writer)
                kept = b"x" * (16 * MIB)
                os.write(is_ready, b"!")
                os._exit(len(os.read(go_on, len(kept))))
            if turn < 2:
                os.read(ready, 1)
        # Two of 16 MiB fit and wait. The third does not, so one of them is the first to end.
        first = os.waitpid(-1, 0)[1]
        os.close(writer)
        return [first, *(os.waitpid(-1, 0)[1] for _ in range(2))]

    assert inside(leaf, three_children) == [signal.SIGKILL, 0, 0]
    assert leaf.usage().oom_kills == 1


@pytest.mark.claim("kernel.cgroup-kills-one")
def test_the_parent_of_a_process_killed_for_memory_lives_to_tell(make_leaf: MakeLeaf):
    leaf = make_leaf(memory_bytes=32 * MIB)

    def parent() -> list[int]:
        if os.fork() == 0:
            fill_memory()
            os._exit(0)
        return [os.waitpid(-1, 0)[1], leaf.usage().oom_kills]

    assert inside(leaf, parent) == [signal.SIGKILL, 1]


@pytest.mark.claim("kernel.cgroup-kills-one")
def test_the_hosts_own_setting_is_not_inherited(group: cgroups.Group, make_leaf: MakeLeaf):
    # v1: wait instead of kill; v2: kill the whole cgroup. Both would stop init from telling.
    for directory in group.directories:
        for name in ("memory.oom_control", "memory.oom.group"):
            if os.path.exists(f"{directory}/{name}"):
                Path(directory, name).write_text("1")
    settings = [
        text
        for directory in make_leaf().directories
        for path in sorted(Path(directory).glob("memory.oom*"))
        for text in path.read_text().splitlines()[:1]
    ]

    assert settings in (["oom_kill_disable 0"], ["0"])


@pytest.mark.twin("kernel.cgroup-kills-one")
def test_the_peak_begins_anew_if_the_kernel_says_so(make_leaf: MakeLeaf):
    leaf = make_leaf(memory_bytes=96 * MIB)
    inside(leaf, fill_memory)
    before = leaf.usage().peak_bytes or 0
    is_reset = leaf.reset_peak()
    after = leaf.usage().peak_bytes or 0

    # Version 2 can since Linux 6.12.
    assert is_reset is (leaf.layer == "cgroup-v1" or _linux() >= (6, 12))
    assert (before > 48 * MIB, after < 8 * MIB) == (True, is_reset)


def _linux() -> tuple[int, ...]:
    return tuple(int(part) for part in os.uname().release.split(".")[:2])


# -- processes ------------------------------------------------------------------------------------------


def count_forks() -> list[Any]:
    reader, writer = os.pipe()
    for count in range(20):
        try:
            pid = os.fork()
        except OSError as error:
            os.close(writer)
            return [count, error.strerror]
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    return ["no end", ""]


def count_threads() -> list[Any]:
    ended = threading.Event()
    threads: list[threading.Thread] = []
    try:
        for _ in range(20):
            threads.append(threading.Thread(target=ended.wait))
            threads[-1].start()
    except RuntimeError as error:
        return [len(threads) - 1, str(error)]
    finally:
        ended.set()
    return ["no end", ""]


@pytest.mark.claim("kernel.cgroup-processes")
def test_there_are_never_more_processes_than_the_limit(make_leaf: MakeLeaf):
    leaf = make_leaf(processes=5)

    assert inside(leaf, count_forks) == [4, "Resource temporarily unavailable"]
    assert leaf.usage().peak_processes in (5, None)


@pytest.mark.claim("kernel.cgroup-processes")
def test_threads_count_as_processes(make_leaf: MakeLeaf):
    leaf = make_leaf(processes=5)

    assert inside(leaf, count_threads) == [4, "can't start new thread"]


@pytest.mark.claim("kernel.cgroup-processes")
def test_a_daemon_cannot_leave(make_leaf: MakeLeaf):
    leaf = make_leaf(processes=5)

    def daemon() -> list[str]:
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(writer, Path("/proc/self/cgroup").read_bytes())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            lines = pipe.read().decode().split()
        return sorted({line for line in lines if line.endswith(leaf_name(leaf))})

    assert len(inside(leaf, daemon)) == len(leaf.directories)


def leaf_name(leaf: cgroups.Leaf) -> str:
    return os.path.basename(leaf.directories[0])


@pytest.mark.twin("kernel.cgroup-processes", "kernel.cgroup-memory")
def test_as_many_processes_as_the_limit_allows_can_run(make_leaf: MakeLeaf):
    # Each is a fork of this pytest, with page tables of its own: after thousands of tests a few MiB.
    leaf = make_leaf(processes=25, memory_bytes=512 * MIB)

    assert inside(leaf, count_forks) == ["no end", ""]


# -- the way in ------------------------------------------------------------------------------------------


@pytest.mark.claim("kernel.cgroup-own-way-in")
def test_a_process_with_another_uid_enters_only_by_the_descriptor_it_was_given(make_leaf: MakeLeaf):
    needs_root()
    leaf = make_leaf()

    def body() -> list[Any]:
        become_nobody()
        doors = [
            outcome(os.open, f"{directory}/{name}", os.O_WRONLY)
            for directory in leaf.directories
            for name in ("tasks", "cgroup.procs")
            if os.path.exists(f"{directory}/{name}")
        ]
        leaf.enter()
        return [sorted(set(doors)), Path("/proc/self/cgroup").read_text().count(leaf_name(leaf))]

    assert in_child(body) == [["EACCES"], len(leaf.directories)]


@pytest.mark.twin("kernel.cgroup-own-way-in")
def test_counters_are_read_by_a_process_that_no_longer_sees_them(
    make_leaf: MakeLeaf, tmp_path: Path
):
    leaf = make_leaf()

    def body() -> list[Any]:
        leaf.enter()
        _libc.syscall(syscalls.number("unshare"), CLONE_NEWUSER)
        os.chroot(tmp_path)
        usage = leaf.usage()
        return [os.path.exists(leaf.directories[0]), usage.current_bytes > 0]

    assert in_child(body) == [False, True]


# -- nothing is left --------------------------------------------------------------------------------------


@pytest.mark.claim("kernel.cgroup-nothing-left")
def test_a_leaf_is_removed_once_its_last_process_is_reaped(make_leaf: MakeLeaf):
    leaf = make_leaf()
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        leaf.enter()
        os.write(writer, b"!")
        signal.pause()
    os.read(reader, 1)
    os.close(reader)
    os.close(writer)
    while_it_runs = leaf.remove()
    end(pid)

    assert (while_it_runs, leaf.remove(), leaf.remove()) == (False, True, True)


@pytest.mark.claim("kernel.cgroup-nothing-left")
def test_what_a_killed_zygote_left_is_swept(hierarchy: cgroups.Hierarchy, group: cgroups.Group):
    def zygote() -> list[str]:
        mine = cgroups.Group.claim(hierarchy)
        mine.create("box-1", memory_bytes=MIB, processes=1)
        mine.create("box-2", memory_bytes=MIB, processes=1)
        return list(mine.directories)

    left = in_child(zygote)
    before = [os.path.isdir(f"{directory}/box-2") for directory in left]
    cgroups.sweep(hierarchy)

    assert (set(before), [path for path in left if os.path.exists(path)]) == ({True}, [])
    assert [os.path.isdir(directory) for directory in group.directories] == [True] * len(left)


@pytest.mark.claim("kernel.cgroup-nothing-left")
def test_a_group_with_a_process_in_it_is_not_swept(hierarchy: cgroups.Hierarchy):
    reader, writer = os.pipe()

    def zygote() -> list[Any]:
        mine = cgroups.Group.claim(hierarchy)
        leaf = mine.create("box-1", memory_bytes=16 * MIB, processes=4)
        if (pid := os.fork()) == 0:
            leaf.enter()
            os.write(writer, b"!")
            signal.pause()
        os.read(reader, 1)
        return [pid, *leaf.directories]

    pid, *left = in_child(zygote)
    os.close(reader)
    os.close(writer)
    cgroups.sweep(hierarchy)
    while_it_runs = [os.path.isdir(directory) for directory in left]
    os.kill(pid, signal.SIGKILL)  # an orphan of ours, so nobody else's process has this pid yet

    assert while_it_runs == [True] * len(left)
    assert eventually(lambda: is_swept(hierarchy, left))


def is_swept(hierarchy: cgroups.Hierarchy, directories: list[str]) -> bool:
    cgroups.sweep(hierarchy)
    return not any(map(os.path.exists, directories))


@pytest.mark.claim("kernel.cgroup-nothing-left")
def test_a_leaf_whose_limits_are_refused_is_not_left_half_made(group: cgroups.Group):
    with pytest.raises(OSError) as refused:
        group.create("box-1", memory_bytes=MIB, processes=-1)

    assert refused.value.strerror == "Invalid argument"
    assert [os.listdir(directory).count("box-1") for directory in group.directories] == [
        0 for _ in group.directories
    ]


@pytest.mark.twin("kernel.cgroup-nothing-left")
def test_leaves_that_were_made_are_there(group: cgroups.Group, make_leaf: MakeLeaf):
    leaf = make_leaf()

    assert [os.path.dirname(directory) for directory in leaf.directories] == list(group.directories)
    assert [os.path.isdir(directory) for directory in leaf.directories] == [True] * len(
        leaf.directories
    )


# -- none ------------------------------------------------------------------------------------------------


@pytest.mark.claim("kernel.cgroup-absent-is-told")
def test_a_user_who_may_not_make_cgroups_is_told_why():
    needs_root()

    def body() -> list[Any]:
        become_nobody()
        found = cgroups.find()
        assert isinstance(found, cgroups.Absent)
        return ["user 65533" in found.reason, found.remedy != "", cgroups.open_group() is None]

    assert in_child(body) == [True, True, True]


@pytest.mark.twin("kernel.cgroup-absent-is-told")
def test_who_may_make_cgroups_gets_a_group(hierarchy: cgroups.Hierarchy):
    made = cgroups.open_group()

    assert made is not None
    assert made.name == f"protocell-{os.getpid()}-{cgroups.start_time(os.getpid())}"
    assert made.remove() is True
