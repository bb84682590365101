"""File trees prepared once by the zygote, so that a sandbox only adds what is its own.

Theory of operation
-------------------
The zygote moves into a mount namespace of its own (as an ordinary user, into a user namespace first,
in which it maps itself).  Its root there is a small tmpfs: the host's tree is one folder in it,
reached through links under the usual names, so that the zygote's interpreter goes on working; and
beside it stands one folder for each distinct set of trees that plans have asked for, each a tmpfs
with the small files, mount points and sealed read-only copies that sandboxes see.

A sandbox is cloned with a copy of all these mounts.  The copies belong to a user namespace with more
rights than the sandbox's own, so the kernel locks them: inside, no capability could lift their
read-only flags or take one off another (mount_namespaces(7)).  What the sandbox must have for itself
(workspace, /tmp, /dev/shm, /proc) is mounted over them by init.

Nothing here touches what model code made: the only names are the plan's and our own.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from protocell_guest.kernel import mounts, namespaces
from protocell_guest.plan import HOME, Plan

HOST = "/.protocell-host"
WRITABLE = (HOME, "/tmp", "/dev/shm")
DEVICES = ("null", "full", "random", "urandom")
# Shared mappings of it are pages that nothing but a memory cgroup counts.
COUNTED_DEVICES = ("zero",)

_BOX = "/.protocell-box"
_KEPT = 16
_ROOT_BYTES = 1 << 20
_ROOT_INODES = 4096
_STAGES = ("/tmp", "/usr", "/var", "/home")
_DEVICE_LINKS = (
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
)

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A tree that stands ready, and what init has to put into it after its own mounts."""

    root: str
    late: tuple[tuple[str, str], ...]  # (where it stands in our tree, where it goes)


def enter_own_tree() -> None:
    """Give this process a mount namespace in which templates can be built."""
    namespaces.unshare_mounts()
    mounts.make_private()
    stage = next(path for path in _STAGES if os.path.isdir(path))
    names = os.listdir("/")
    mounts.mount_tmpfs(stage, size=_ROOT_BYTES, inodes=_ROOT_INODES, mode=0o755)
    for name in names:
        os.symlink(f"{HOST}/{name}", f"{stage}/{name}")
    os.mkdir(stage + HOST)
    mounts.pivot(stage, stage + HOST)


def is_late(target: str) -> bool:
    """Whether a mount lies in a place that is made anew for each sandbox: then init makes it."""
    return target.startswith(tuple(place + "/" for place in WRITABLE))


class Templates:
    """The trees that have been built, the latest ones; ``counted`` where a cgroup counts memory."""

    def __init__(self, *, counted: bool) -> None:
        self._devices = DEVICES + (COUNTED_DEVICES if counted else ())
        self._built: OrderedDict[Key, Template] = OrderedDict()
        self._count = 0

    def get(self, plan: Plan) -> Template:
        """The tree of this plan.

        Raises:
            OSError: a tree of the plan is not there or cannot be mounted.
        """
        key = (plan.binds, plan.places, plan.symlinks, plan.files)
        template = self._built.get(key)
        if template is None:
            template = self._built[key] = self._build(plan)
        self._built.move_to_end(key)
        if len(self._built) > _KEPT:
            _, oldest = self._built.popitem(last=False)
            _discard(oldest.root)
        return template

    def _build(self, plan: Plan) -> Template:
        self._count += 1
        root = f"{_BOX}-{self._count}"
        os.mkdir(root)
        try:
            mounts.mount_tmpfs(root, size=_ROOT_BYTES, inodes=_ROOT_INODES, mode=0o755)
            _fill(root, plan, self._devices)
        except OSError:
            _discard(root)
            raise
        late = tuple((HOST + source, place) for source, place in plan.binds if is_late(place))
        return Template(root, late)


def _discard(root: str) -> None:
    if os.path.ismount(root):
        mounts.unmount(root)
    os.rmdir(root)


def _fill(root: str, plan: Plan, devices: Sequence[str]) -> None:
    for folder in (HOME, "/tmp", "/dev/shm", "/proc", "/etc"):
        os.makedirs(root + folder, exist_ok=True)
    for path, content in plan.files:
        with open(root + path, "x", encoding="utf-8") as file:
            file.write(content)
    for text, place in (*plan.symlinks, *((text, f"/dev/{name}") for text, name in _DEVICE_LINKS)):
        os.makedirs(os.path.dirname(root + place), exist_ok=True)
        os.symlink(text, root + place)
    for place, is_folder in plan.places:
        if not is_late(place):
            make_mount_point(root + place, is_folder=is_folder)
    for source, target in plan.binds:
        if not is_late(target):
            _bind(HOST + source, root + target)
    for name in devices:
        _touch(f"{root}/dev/{name}")
    mounts.seal_tree(root)
    for name in devices:
        mounts.put(mounts.take(f"{HOST}/dev/{name}"), f"{root}/dev/{name}")
        mounts.seal_device(f"{root}/dev/{name}")


def _bind(source: str, target: str) -> None:
    tree = mounts.take(source)
    make_mount_point(target, is_folder=is_folder(tree))
    mounts.put(tree, target)


def is_folder(descriptor: int) -> bool:
    """Whether it is one, or else a file."""
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def make_mount_point(target: str, *, is_folder: bool) -> None:
    """A folder for a folder, an empty file for a file."""
    if is_folder:
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _touch(target)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
