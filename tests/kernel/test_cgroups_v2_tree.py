"""Finding, claiming and leaving cgroups in a real tree of version 2, with whatever controllers it has.

Where memory and pids belong to version 1, another controller takes their part: what decides is the rule that a cgroup
which hands controllers on has no processes, and it is the same for all of them.
"""

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocell_guest.kernel import cgroups
from tests.features import require
from tests.kernel.children import (
    NOBODY,
    become_nobody,
    end,
    eventually,
    fork,
    in_child,
    needs_root,
    outcome,
)

_numbers = itertools.count(1)


class Tree:
    """A cgroup of the test's own in the version 2 tree."""

    def __init__(self, top: Path, controllers: tuple[str, ...]) -> None:
        self.top = top
        self.controllers = controllers
        self.place = top / f"protocell-test-{os.getpid()}-{next(_numbers)}"

    def enter(self) -> None:
        (self.place / "cgroup.procs").write_text("0")

    def delegate(self) -> None:
        """Give it to an ordinary user, as systemd does (cgroups(7), "Cgroup delegation")."""
        for path in (
            self.place,
            self.place / "cgroup.procs",
            self.place / "cgroup.subtree_control",
        ):
            os.chown(path, NOBODY, NOBODY)

    def find(self, movable: tuple[int, ...] = ()) -> cgroups.Hierarchy:
        found = cgroups.find(controllers=self.controllers, movable=movable)
        assert isinstance(found, cgroups.Hierarchy), found
        return found

    def where(self) -> str:
        """Where the calling process is, seen from this cgroup."""
        own = next(
            line for line in Path("/proc/self/cgroup").read_text().split() if line.startswith("0::")
        )
        return os.path.relpath(f"{self.top}{own[3:]}", self.place)

    def remove(self) -> bool:
        for folder, _, _ in os.walk(self.place, topdown=False):
            outcome(os.rmdir, folder)
        return not self.place.exists()


@pytest.fixture
def tree() -> Iterator[Tree]:
    needs_root()
    top = _mounted_at()
    offered = _words(top / "cgroup.controllers") if top else []
    require(
        "a cgroup v2 tree",
        lambda feature: None if offered else "mount -t cgroup2, with any controller",
    )
    assert top is not None
    both = ("memory", "pids")
    controllers = both if set(both) <= set(offered) else (offered[0],)
    enabled = _words(top / "cgroup.subtree_control")
    new = [name for name in controllers if name not in enabled]
    made = Tree(top, controllers)
    (top / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in new))
    made.place.mkdir()
    yield made
    assert eventually(made.remove)
    (top / "cgroup.subtree_control").write_text(" ".join(f"-{name}" for name in new))


def _mounted_at() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return Path(line.split()[4])
    return None


def _words(path: Path) -> list[str]:
    return path.read_text().split()


def as_a_zygote_in(tree: Tree, function: Callable[[], Any], *, user: bool = False) -> Any:
    def body() -> Any:
        tree.enter()
        if user:
            become_nobody()
        return function()

    return in_child(body)


def claim_and_enter(tree: Tree) -> list[Any]:
    """Do what a zygote does, and say where it and the process in its leaf are then."""
    found = tree.find(movable=(os.getpid(),))
    group = cgroups.Group.claim(found)
    leaf = group.create("box-1", memory_bytes=64 << 20, processes=8)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        leaf.enter()
        os.write(writer, tree.where().encode())
        signal.pause()
    inside = os.read(reader, 1000).decode()
    removed_too_early = leaf.remove()
    killed = leaf.kill()
    status = os.waitpid(pid, 0)[1]
    own = os.path.relpath(found.places[tree.controllers[0]], tree.place)
    return [
        {"place": own, "zygote": tree.where(), "leaf": inside.replace(group.name, "GROUP")},
        {"killed": killed, "status": status},
        [removed_too_early, leaf.remove(), group.remove()],
    ]


WHOLE_LIFE = [
    {"place": ".", "zygote": "protocell-main", "leaf": "GROUP/box-1"},
    {"killed": True, "status": signal.SIGKILL},
    [False, True, True],
]


@pytest.mark.claim("kernel.cgroup-v2-moves-aside")
def test_a_zygote_alone_in_its_cgroup_moves_aside_and_uses_it(tree: Tree):
    def zygote() -> list[Any]:
        rule = outcome(
            (tree.place / "cgroup.subtree_control").write_text, f"+{tree.controllers[0]}"
        )
        return [rule, *claim_and_enter(tree)]

    # The first is the kernel's own rule: the reason for moving at all.
    assert as_a_zygote_in(tree, zygote) == ["EBUSY", *WHOLE_LIFE]


@pytest.mark.claim("kernel.cgroup-v2-moves-aside")
def test_an_ordinary_user_can_use_what_was_delegated(tree: Tree):
    tree.delegate()

    assert as_a_zygote_in(tree, lambda: claim_and_enter(tree), user=True) == WHOLE_LIFE


@pytest.mark.twin("kernel.cgroup-v2-moves-aside")
def test_the_next_zygote_in_the_same_cgroup_needs_not_move(tree: Tree):
    def zygotes() -> list[Any]:
        cgroups.Group.claim(tree.find(movable=(os.getpid(),))).remove()
        again = tree.find(movable=(os.getpid(),))
        second = cgroups.Group.claim(again)
        return [
            again.crowd,
            tree.where(),
            [str(tree.place / second.name)] == list(second.directories),
        ]

    assert as_a_zygote_in(tree, zygotes) == [[], "protocell-main", True]


@pytest.fixture
def stranger(tree: Tree) -> Iterator[int]:
    """A process that lives in the same cgroup and is not ours to move."""
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        tree.enter()
        os.write(writer, b"!")
        signal.pause()
    os.read(reader, 1)
    os.close(reader)
    os.close(writer)
    yield pid
    end(pid)


@pytest.mark.claim("kernel.cgroup-v2-leaves-others-alone")
def test_a_cgroup_with_somebody_elses_process_in_it_is_passed_over(tree: Tree, stranger: int):
    def zygote() -> list[Any]:
        found = tree.find(movable=(os.getpid(),))
        return [found.places[tree.controllers[0]], tree.where()]

    assert as_a_zygote_in(tree, zygote) == [str(tree.top), "."]


@pytest.mark.claim("kernel.cgroup-v2-leaves-others-alone")
def test_who_comes_in_after_the_search_makes_the_claim_fail_and_undo(tree: Tree, stranger: int):
    def zygote() -> list[Any]:
        places = dict.fromkeys(tree.controllers, str(tree.place))
        stale = cgroups.Hierarchy(version=2, places=places, crowd=(os.getpid(),))
        refused = outcome(cgroups.Group.claim, stale)
        folders = [entry.name for entry in os.scandir(tree.place) if entry.is_dir()]
        return [refused, tree.where(), folders]

    assert as_a_zygote_in(tree, zygote) == ["EBUSY", ".", []]


@pytest.mark.twin("kernel.cgroup-v2-leaves-others-alone")
def test_a_process_that_may_be_moved_is_no_stranger(tree: Tree, stranger: int):
    def zygote() -> list[Any]:
        cgroups.Group.claim(tree.find(movable=(os.getpid(), stranger)))
        moved = _words(tree.place / "protocell-main" / "cgroup.procs")
        return [sorted(moved) == sorted([str(os.getpid()), str(stranger)])]

    assert as_a_zygote_in(tree, zygote) == [True]


@pytest.mark.claim("kernel.cgroup-v2-absent-is-told")
def test_an_ordinary_user_without_delegation_is_told_where_it_was_tried(tree: Tree):
    def zygote() -> str:
        found = cgroups.find(controllers=tree.controllers, movable=(os.getpid(),))
        assert isinstance(found, cgroups.Absent)
        return found.reason

    assert as_a_zygote_in(tree, zygote, user=True) == (
        f"cgroup v2: {tree.place} may not be written by user {NOBODY};"
        f" {tree.top} may not be written by user {NOBODY}"
    )


@pytest.mark.twin("kernel.cgroup-v2-absent-is-told")
def test_root_may_use_the_root_cgroup_with_processes_in_it(tree: Tree):
    def zygote() -> list[Any]:
        (tree.top / "cgroup.procs").write_text("0")
        found = tree.find()
        return [found.places[tree.controllers[0]], found.crowd]

    assert in_child(zygote) == [str(tree.top), []]


@pytest.mark.claim("kernel.cgroup-v2-kill")
def test_every_process_in_a_leaf_is_killed_at_once(tree: Tree):
    def zygote() -> list[Any]:
        group = cgroups.Group.claim(tree.find(movable=(os.getpid(),)))
        leaf = group.create("box-1", memory_bytes=64 << 20, processes=8)
        reader, writer = os.pipe()
        if os.fork() == 0:
            leaf.enter()
            os.setsid()
            for _ in range(3):
                os.fork()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(writer, b"!")
            signal.pause()
        os.close(writer)
        ready = sum(len(os.read(reader, 1)) for _ in range(8))
        killed = leaf.kill()
        return [ready, killed, os.read(reader, 1).decode(), eventually(leaf.remove)]

    # End of file on the pipe: none of the eight has it open any more.
    assert as_a_zygote_in(tree, zygote) == [8, True, "", True]


@pytest.mark.twin("kernel.cgroup-v2-kill")
def test_a_process_outside_the_leaf_outlives_it(tree: Tree, stranger: int):
    def zygote() -> list[Any]:
        group = cgroups.Group.claim(tree.find(movable=(os.getpid(), stranger)))
        leaf = group.create("box-1", memory_bytes=64 << 20, processes=8)
        return [leaf.kill(), outcome(os.kill, stranger, 0)]

    assert as_a_zygote_in(tree, zygote) == [True, "ok"]
