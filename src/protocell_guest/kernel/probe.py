"""Finds out which protections this kernel gives to this user, by taking each step in a child of its own.

Theory of operation
-------------------
A sandbox stops at its first step that is refused, and says which.  Somebody who has to repair the
machine wants to know all of them, so here each is taken by itself: a child is forked or cloned,
takes the step, and reports the errno, or nothing, through a pipe.  What it has done to itself ends
with it.  The parent has one thread, no sandbox, and changes nothing of the machine.

Started by ``protocell doctor`` in a process of its own; prints one JSON array.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from protocell_guest.kernel import (
    _libc,
    capabilities,
    cgroups,
    landlock,
    mounts,
    namespaces,
    seccomp,
)

_PR_SET_NO_NEW_PRIVS = 38
_PATIENCE_MILLISECONDS = 10_000
_STAGE = "/tmp"  # covered by a mount, in a namespace of the child alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one step."""

    layer: str
    works: bool
    step: str
    """What was tried, in a few words; if it was refused, what exactly."""
    errno: int = 0
    remedy: str = ""
    """Where the kernel's answer itself tells what to do."""
    tried: bool = True
    """False for what can only be had in a user namespace, where there is none."""


def _not_tried(layer: str) -> Finding:
    needs = "needs a user namespace first"
    return Finding(layer=layer, works=False, step=needs, remedy=needs, tried=False)


class _Step:
    """The name of what is being tried, for the report."""

    def __init__(self) -> None:
        self.name = ""

    def __call__(self, name: str, call: Callable[[], object]) -> None:
        self.name = name
        call()


_Trial = Callable[[_Step], None]


def look() -> list[Finding]:
    """Try everything; takes some milliseconds."""
    users = _try("user-namespace", _become_inner_user, namespaces.CLONE_NEWUSER)
    return [
        users,
        *(_look_inside() if users.works else map(_not_tried, _INSIDE)),
        _try("no-new-privileges", _set_no_new_privileges),
        _try("seccomp", _install_filter),
        _look_for_landlock(),
        _look_for_cgroup(),
    ]


def _look_inside() -> Iterator[Finding]:
    for layer, (flag, trial) in _NAMESPACES.items():
        yield _try(layer, trial, namespaces.CLONE_NEWUSER | flag)
    trees = namespaces.CLONE_NEWNS | namespaces.CLONE_NEWPID
    yield _try("new-root", _build_tree, namespaces.CLONE_NEWUSER | trees)
    yield _try("no-capabilities", _drop_capabilities, namespaces.CLONE_NEWUSER)


# -- one child for each ------------------------------------------------------------------------------


def _try(layer: str, trial: _Trial, flags: int = 0) -> Finding:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    go_reader, go_writer = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            pid, end = _libc.clone(flags)
        except OSError as error:
            return Finding(layer=layer, works=False, step="clone", errno=error.errno or 0)
        if pid == 0:
            os.close(go_writer)
            _be_the_child(layer, trial, go_reader, writer)
        os.close(end)
        os.close(writer)
        writer = -1
        return _watch(layer, pid, flags, reader, go_writer)
    finally:
        for descriptor in (reader, writer, go_reader, go_writer):
            if descriptor >= 0:
                os.close(descriptor)


def _watch(layer: str, pid: int, flags: int, reader: int, go_writer: int) -> Finding:
    try:
        if flags & namespaces.CLONE_NEWUSER:
            namespaces.write_id_maps(pid, *namespaces.outer_ids())
        os.write(go_writer, b"!")
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        report = os.read(reader, 1 << 16) if poll.poll(_PATIENCE_MILLISECONDS) else b""
    except OSError as error:
        return Finding(layer=layer, works=False, step="write uid_map", errno=error.errno or 0)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    if not report:
        return Finding(layer=layer, works=False, step="the child ended without a word")
    return Finding(**json.loads(report))


def _be_the_child(layer: str, trial: _Trial, go_reader: int, writer: int) -> None:
    step = _Step()
    try:
        if os.read(go_reader, 1) != b"!":
            os._exit(1)
        finding = Finding(layer=layer, works=True, step=_attempt(trial, step))
    except OSError as error:
        finding = Finding(layer=layer, works=False, step=step.name, errno=error.errno or 0)
    finally:
        # Whatever happens, a child must not go on as if it were the parent.
        try:
            os.write(writer, json.dumps(asdict(finding)).encode())
        finally:
            os._exit(0)


def _attempt(trial: _Trial, step: _Step) -> str:
    trial(step)
    return step.name


# -- what is tried -----------------------------------------------------------------------------------


def _nothing(step: _Step) -> None:
    step.name = "make one"


def _become_inner_user(step: _Step) -> None:
    step("take the mapped user id", namespaces.become_inner_user)


def _make_mounts_private(step: _Step) -> None:
    step("make all mounts private", mounts.make_private)


def _bring_loopback_up(step: _Step) -> None:
    step("bring the loopback interface up", namespaces.loopback_up)


def _set_host_name(step: _Step) -> None:
    step("set a host name", lambda: namespaces.set_hostname("protocell"))


def _build_tree(step: _Step) -> None:
    step("make all mounts private", mounts.make_private)
    step("take the mapped user id", namespaces.become_inner_user)
    step("copy a tree (open_tree)", lambda: os.close(mounts.take("/usr")))
    step("open a /proc of its own (fsopen)", lambda: os.close(mounts.open_private_proc()))
    step(
        "mount a tmpfs",
        lambda: mounts.mount_tmpfs(_STAGE, size=1 << 20, inodes=64, mode=0o755),
    )
    os.chdir(_STAGE)
    os.mkdir("usr")
    os.mkdir("proc")
    step("put a tree into it (move_mount)", lambda: mounts.put(mounts.take("/usr"), "usr"))
    step("make it read-only (mount_setattr)", lambda: mounts.seal_tree("usr"))
    step("mount a /proc", lambda: mounts.mount_proc("proc"))
    step("change the root (pivot_root)", mounts.pivot_here)


def _set_no_new_privileges(step: _Step) -> None:
    step("set it", lambda: _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1))


def _drop_capabilities(step: _Step) -> None:
    step("take the mapped user id", namespaces.become_inner_user)
    step("give up all of them", capabilities.drop_all)


def _install_filter(step: _Step) -> None:
    step("set no_new_privs", lambda: _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1))
    step("load the filter", seccomp.install)


def _restrict_files(step: _Step) -> None:
    step("set no_new_privs", lambda: _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1))
    step("restrict itself to reading", lambda: landlock.restrict(read=["/"], write=[]))


_NAMESPACES: dict[str, tuple[int, _Trial]] = {
    "pid-namespace": (namespaces.CLONE_NEWPID, _nothing),
    "mount-namespace": (namespaces.CLONE_NEWNS, _make_mounts_private),
    "network-namespace": (namespaces.CLONE_NEWNET, _bring_loopback_up),
    "ipc-namespace": (namespaces.CLONE_NEWIPC, _nothing),
    "uts-namespace": (namespaces.CLONE_NEWUTS, _set_host_name),
    "cgroup-namespace": (namespaces.CLONE_NEWCGROUP, _nothing),
}


_INSIDE = (*_NAMESPACES, "new-root", "no-capabilities")


def _look_for_landlock() -> Finding:
    support = landlock.support()
    if not support.abi:
        return Finding(layer="landlock", works=False, step=support.reason, remedy=support.remedy)
    return _try("landlock", _restrict_files)


def _look_for_cgroup() -> Finding:
    found = cgroups.find(movable=(os.getpid(),))
    if isinstance(found, cgroups.Absent):
        return Finding(layer="cgroup", works=False, step=found.reason, remedy=found.remedy)
    places = ", ".join(sorted(set(found.places.values())))
    return Finding(layer=f"cgroup-v{found.version}", works=True, step=f"may be made in {places}")


def main() -> None:
    """Look, and print what was found."""
    json.dump([asdict(finding) for finding in look()], sys.stdout)
