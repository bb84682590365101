"""Confinement, in the order in which it happens: the place is built, then a context gives up the rest.

Theory of operation
-------------------
``enter`` runs in the first context of a sandbox, in namespaces that the zygote made, beside init alone.
It has all capabilities over those namespaces and none outside.  The file tree comes from the
zygote's ``template``; what is the sandbox's own is added.  Where the host is root, this process is still
that root while it takes the trees (without capabilities over them, but as their owner), and the
mapped user from then on.

``confine`` runs in every context.  It gives up what a process can give up, in
the order that lets each step still be made: limits, no_new_privs, Landlock (needs the file tree to
be final), capabilities, and the seccomp filter last, since it refuses the calls that the steps before
it make.  Then it reads back from the kernel what is on.  The context tells the host, closes what it
told it with (``close_all_above``), and only then reads the first byte of a request.

A step that fails stops everything: ``StepError`` names it.  Only layers that the plan waives by
name may be missing, if the machine does not have them, and then they are not in the list of what is
enforced.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from protocell_guest.kernel import (
    _libc,
    capabilities,
    landlock,
    limits,
    mounts,
    namespaces,
    seccomp,
)
from protocell_guest.plan import HOME, NOT_HERE, Plan, Settings
from protocell_guest.template import (
    DEVICES,
    HOST,
    WRITABLE,
    Template,
    is_folder,
    is_late,
    make_mount_point,
)

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38

_SCRATCH = ("/tmp", "/dev/shm")
_MAY_WRITE = (*WRITABLE, *(f"/dev/{name}" for name in DEVICES))
_HIGHEST_DESCRIPTOR = 2**31 - 1


class StepError(Exception):
    """A confinement step failed; no model code has run."""

    def __init__(self, step: str, error: OSError) -> None:
        super().__init__(step, error)
        self.step = step
        self.errno = error.errno or 0
        self.detail = str(error)


@dataclass(slots=True)
class Steps:
    """Runs steps by name and keeps what is really on."""

    waive: frozenset[str]
    enforced: list[str] = field(default_factory=list)

    def run(self, layer: str, step: Callable[[], object]) -> None:
        """Take one step; on success the layer counts as enforced."""
        try:
            step()
        except OSError as error:
            if layer not in self.waive or error.errno not in NOT_HERE:
                raise StepError(layer, error) from error
            return
        if layer not in self.enforced:
            self.enforced.append(layer)


def die_with_parent() -> None:
    """SIGKILL when the parent ends; the kernel forgets this at each change of ids (prctl(2))."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def set_dumpable(*, dumpable: bool) -> None:
    """Whether others of the same user may look into this process (and it may leave a core)."""
    _libc.prctl(PR_SET_DUMPABLE, int(dumpable))


@dataclass(slots=True)
class _Trees:
    """What was taken while it could be reached, to be put in place by somebody else."""

    root: int
    late: list[tuple[int, str]]
    mounts: list[tuple[int, str]]  # the policy's; folders as places (O_PATH), files as copies


def enter(
    plan: Plan, settings: Settings, template: Template, steps: Steps, workspace: int | None
) -> int:
    """Build the file tree and the network of the sandbox; returns init's private /proc.

    ``workspace`` is the detached mount of another sandbox's, or None for a new one.
    """
    taken: list[_Trees] = []
    proc: list[int] = []
    steps.enforced += ["user-namespace", "pid-namespace", "ipc-namespace"]
    # The zygote's mounts are private, and so are the copies that came with the namespace.
    steps.enforced.append("mount-namespace")
    steps.run("mounts", lambda: taken.append(_take(settings, template)))
    steps.run("user-namespace", namespaces.become_inner_user)
    steps.run("uts-namespace", lambda: namespaces.set_hostname("protocell"))
    steps.run("network-namespace", namespaces.loopback_up)
    # Before the read-only /proc is there: beside one the kernel gives no writable one.
    steps.run("new-root", lambda: proc.append(mounts.open_private_proc()))
    steps.run("new-root", lambda: _build_root(plan, template, taken[0], workspace))
    steps.run("user-namespace", lambda: namespaces.forbid_nesting(proc[0]))
    steps.enforced.remove("mounts")  # a step, and no protection
    return proc[0]


def _take(settings: Settings, template: Template) -> _Trees:
    return _Trees(
        root=mounts.take(template.root),
        late=[(mounts.take(source), target) for source, target in template.late],
        mounts=[
            (_take_mount(HOST + source, template), target) for source, target in settings.mounts
        ],
    )


def _take_mount(source: str, template: Template) -> int:
    """A folder as a place, of which the mapped user makes a view; a file out of a view made here.

    The folder of a file may be closed to the mapped user where the file is not: the view is the host
    user's, and who opens the file is asked for rights to it all the same.
    """
    place = os.open(source, os.O_PATH | os.O_CLOEXEC)
    if is_folder(place):
        return place
    os.close(place)
    above, name = os.path.split(source)
    folder = os.open(above, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return mounts.take_one_file(folder, name, f"{template.root}/proc")
    finally:
        os.close(folder)


def clear_scratch(plan: Plan, template: Template) -> None:
    """Empty /tmp and /dev/shm, by new ones: what lies there may be what used up the memory."""
    for place in _SCRATCH:
        # Where something of the host is mounted below, it stays as it is.
        if not any(target.startswith(place + "/") for _, target in template.late):
            mounts.unmount(place)
            _mount_scratch(plan, place)


def _mount_scratch(plan: Plan, place: str) -> None:
    size, inodes = plan.limits["tmp_bytes"], plan.limits["workspace_inodes"]
    mounts.mount_tmpfs(place, size=size, inodes=inodes, mode=0o1777)


def _build_root(plan: Plan, template: Template, trees: _Trees, workspace: int | None) -> None:
    # A copy over itself: the one that came with the namespace is locked, and no root can be made of it.
    mounts.put(trees.root, template.root)
    os.chdir(template.root)
    views = [(_view(place), target) for place, target in trees.mounts]
    if workspace is None:
        space, inodes = plan.limits["workspace_bytes"], plan.limits["workspace_inodes"]
        mounts.mount_tmpfs(HOME.lstrip("/"), size=space, inodes=inodes, mode=0o755)
    else:
        mounts.put(workspace, HOME.lstrip("/"))
    for place in _SCRATCH:
        _mount_scratch(plan, place.lstrip("/"))
    for tree, target in (*trees.late, *views):
        relative = target.lstrip("/")
        if is_late(target):
            make_mount_point(relative, is_folder=is_folder(tree))
        mounts.put(tree, relative)
        mounts.seal_tree(relative)
    mounts.mount_proc("proc")
    mounts.pivot_here()
    os.chdir(HOME)


def _view(place: int) -> int:
    """A folder of the host without its sockets and FIFOs; a file is out of a view already."""
    if not is_folder(place):
        return place
    empty = os.open("proc", os.O_PATH | os.O_CLOEXEC)  # the mount point, nothing there yet
    try:
        return mounts.take_files_only(place, empty)
    except OSError as error:
        raise StepError("mounts", error) from error
    finally:
        os.close(empty)
        os.close(place)


def confine(plan: Plan, steps: Steps, *, counted: bool, inherited_data: int) -> None:
    """Give up everything that model code must not have, but descriptors: they go last.

    ``counted``: a cgroup counts the memory, so that what only a cgroup can count is left open.
    """
    values = limits.values(plan.limits, inherited_data)
    values.pop(limits.DESCRIPTORS)  # the last thing, see limit_descriptors
    steps.run("rlimits", lambda: limits.apply(values))
    steps.enforced.append("no-core-dumps")
    steps.run("no-new-privileges", lambda: _libc.prctl(PR_SET_NO_NEW_PRIVS, 1))
    steps.run("landlock", lambda: landlock.restrict(read=["/"], write=_MAY_WRITE))
    steps.run("no-capabilities", capabilities.drop)
    steps.run("seccomp", lambda: seccomp.install(counted=counted))
    _verify(steps)


def limit_descriptors(plan: Plan) -> None:
    """After the context has handed over its descriptors, and before it reads a request.

    The limit of a process that sends descriptors is also the limit of all that its user has in flight
    (unix(7), ETOOMANYREFS), and many sandboxes may stand ready and unread.
    """
    limits.apply({limits.DESCRIPTORS: plan.limits["open_files"]})


def close_all_but(kept: Iterable[int]) -> None:
    """Close every descriptor from 3 on that is not named."""
    start = 3
    for descriptor in sorted(kept):
        if descriptor > start:
            os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, _HIGHEST_DESCRIPTOR)


def close_all_above(last: int) -> None:
    """Close every descriptor that is higher."""
    os.closerange(last + 1, _HIGHEST_DESCRIPTOR)


def _verify(steps: Steps) -> None:
    """Ask the kernel, not our own memory, what is on."""
    status = capabilities.read_status()
    steps.run("no-capabilities", lambda: capabilities.check(status))
    for layer, name, value in (("no-new-privileges", "NoNewPrivs", 1), ("seccomp", "Seccomp", 2)):
        if layer in steps.enforced and status[name] != value:
            detail = f"/proc/self/status says {name}: {status[name]}, expected {value}"
            raise StepError(layer, OSError(0, detail))
