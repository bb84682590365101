"""Where on this machine the calling process may make cgroups; looks and changes nothing.

Theory of operation
-------------------
/proc/self/cgroup says in which cgroup of each tree this process is, and /proc/self/mountinfo where
those trees are mounted and which part of them (a container often sees its own part alone).  New
cgroups belong below our own one, so that every limit above us holds for sandboxes as well.

Version 1 has a tree per controller, or one for several.  Version 2 has one tree for all, in which a
cgroup that hands controllers on to its children may have no processes of its own (cgroups(7), "no
internal processes"; the root is exempt).  So on v2 the search goes up from our own cgroup to the
nearest one that we may write and that has no processes in it (it may hand them on already), or only
such as the caller may move aside.  With systemd that is a unit with Delegate=yes, or a
slice of the user's own manager.  A login session's scope belongs to root, and so does all above it:
there, nothing can be had.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

CONTROLLERS = ("memory", "pids")
# Where our own processes go when they are in the way on v2.  The host may live there until it ends,
# so it is never removed, and the search does not begin in it, or it would nest with each zygote.
REFUGE = "protocell-main"

_V1_REMEDY = (
    "start as root, or boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1 on the kernel's"
    " command line), where users get a part of the tree"
)
_V2_REMEDY = (
    "start in a cgroup of your own: systemd-run --user --scope -p Delegate=yes COMMAND;"
    " for a service, Delegate=yes in its unit; in a container, a writable /sys/fs/cgroup"
)

# (which part of the tree, where it is mounted), for each controller; "" stands for version 2.
_Mounts: TypeAlias = dict[str, list[tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """No cgroup can be had here."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """Where cgroups may be made: for each controller the directory to do it in."""

    version: int
    places: Mapping[str, str]
    crowd: tuple[int, ...] = ()  # v2: our own processes that must leave the place first


def find(
    *,
    controllers: Collection[str] = CONTROLLERS,
    movable: Collection[int] = (),
    own_cgroup: str = "/proc/self/cgroup",
    mountinfo: str = "/proc/self/mountinfo",
) -> Hierarchy | Absent:
    """The nearest place for new cgroups, or why there is none.

    ``movable`` are the processes that may be moved aside on v2: the zygote, and its host if the
    caller finds that in order.
    """
    try:
        mounts, paths = _read_mounts(mountinfo), _read_paths(own_cgroup)
    except FileNotFoundError:
        return Absent(
            reason="the kernel has no cgroups", remedy="use a kernel built with CONFIG_CGROUPS=y"
        )
    if all(name in mounts and name in paths for name in controllers):
        return _find_v1({name: _locate(mounts, paths, name) for name in controllers})
    located = _locate(mounts, paths, "")
    if located is None:
        missing = " and ".join(name for name in controllers if name not in mounts)
        return Absent(
            reason=f"no cgroup tree with {missing} in it is mounted where this process can see it",
            remedy="mount one below /sys/fs/cgroup; in a container that is up to the runtime",
        )
    return _find_v2(*located, controllers, movable)


def read_processes(place: str) -> tuple[int, ...]:
    """The processes in a cgroup; 0 stands for one that our pid namespace does not show."""
    with open(f"{place}/cgroup.procs", encoding="utf-8") as file:
        return tuple(int(line) for line in file)


def _find_v1(located: Mapping[str, tuple[str, str] | None]) -> Hierarchy | Absent:
    places: dict[str, str] = {}
    for name, found in located.items():
        if found is None:
            reason = f"the {name} cgroup of this process is outside of what is mounted here"
            return Absent(reason=reason, remedy="give the container a cgroup namespace of its own")
        place, _ = found
        if not os.access(place, os.W_OK | os.X_OK):
            reason = f"user {os.geteuid()} may not make cgroups in {place} (cgroup v1)"
            return Absent(reason=reason, remedy=_V1_REMEDY)
        places[name] = place
    return Hierarchy(version=1, places=places)


def _find_v2(
    place: str, top: str, controllers: Collection[str], movable: Collection[int]
) -> Hierarchy | Absent:
    if os.path.basename(place) == REFUGE and place != top:
        place = os.path.dirname(place)
    refusals: list[str] = []
    while True:
        crowd = _judge(place, controllers, movable)
        if not isinstance(crowd, str):
            return Hierarchy(version=2, places=dict.fromkeys(controllers, place), crowd=crowd)
        refusals.append(f"{place} {crowd}")
        if place == top:
            return Absent(reason="cgroup v2: " + "; ".join(refusals), remedy=_V2_REMEDY)
        place = os.path.dirname(place)


def _judge(
    place: str, controllers: Collection[str], movable: Collection[int]
) -> tuple[int, ...] | str:
    """Who has to leave a v2 cgroup before it can serve, or why it cannot."""
    files = [f"{place}/cgroup.procs", f"{place}/cgroup.subtree_control"]
    if not os.access(place, os.W_OK | os.X_OK) or not all(os.access(f, os.W_OK) for f in files):
        return f"may not be written by user {os.geteuid()}"
    missing = set(controllers) - set(_words(f"{place}/cgroup.controllers"))
    if missing:
        return f"has no controller {' and '.join(sorted(missing))}"
    # The root of the whole tree has no type, and is exempt from the rule.
    if not os.path.exists(f"{place}/cgroup.type"):
        return ()
    try:
        inside = read_processes(place)
    except OSError as error:  # EOPNOTSUPP: a threaded cgroup
        return f"does not say who is in it ({error.strerror})"
    strangers = set(inside) - set(movable)
    if strangers:
        return f"has processes in it that are not ours to move ({len(strangers)})"
    return inside


def _locate(mounts: _Mounts, paths: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """The directory of our own cgroup in one tree, and where that tree is mounted."""
    own = paths.get(name)
    for root, point in mounts.get(name, ()):
        if own is None or own.startswith("/.."):  # outside of our cgroup namespace
            continue
        below = own.removeprefix(root.rstrip("/"))
        is_below = root in {own, "/"} or own.startswith(f"{root}/")
        place = (point + below).rstrip("/")
        if is_below and os.path.isdir(place):
            return place, point
    return None


def _read_mounts(path: str) -> _Mounts:
    mounts: _Mounts = {}
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            # id parent device ROOT POINT options [tags...] - TYPE source OPTIONS
            left, _, right = line.rstrip("\n").partition(" - ")
            kind, _, options = right.split(" ", 2)
            names: Sequence[str] = options.split(",") if kind == "cgroup" else ()
            for name in ("",) if kind == "cgroup2" else names:
                root, point = (_unescape(field) for field in left.split(" ")[3:5])
                mounts.setdefault(name, []).append((root, point))
    return mounts


def _read_paths(path: str) -> dict[str, str]:
    paths: dict[str, str] = {}
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            # number:CONTROLLERS:PATH, and no controllers for version 2
            _, names, place = line.rstrip("\n").split(":", 2)
            paths.update(dict.fromkeys(names.split(","), place))
    return paths


def _unescape(field: str) -> str:
    """Undo mountinfo's writing of blanks, tabs, newlines and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _words(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return file.read().split()
