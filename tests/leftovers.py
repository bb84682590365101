"""What the test process holds of the machine, so that a test which leaves any of it behind fails by name.

Theory of operation: a picture is taken before and after a test, from the host's side (/proc and the cgroup file
system), and only what is new counts. The kernel tears namespaces down after the last process is gone, not at once, so
the picture is taken again for up to five seconds before anything is called left behind. An orphan no longer descends
from this process: it goes to the nearest reaper among our own ancestors, and is known there by its command line.

The zygotes that this process shares between sandboxes may stay, each with its descriptors, its cgroup and its
janitor, and nothing else of theirs: the sandboxes kept ready are given up first, so that one that leaked is not taken
for ready. A janitor is told from a sandbox by its pid namespace, which is ours.
"""

import contextlib
import gc
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from protocell._boxes.zygote import Zygote

Picture = frozenset[str]

PATIENCE_SECONDS = 5.0
# Nearly always it is the kernel that is not ready yet; a collection costs more than the rest of a small test.
_LOOKS_AT_THE_KERNEL = 3
_CGROUPS = Path("/sys/fs/cgroup")
_OURS = "protocell"
# A zygote's group; below it stands one for each sandbox (kernel/cgroups.py).
_GROUP_NAME = re.compile(r"protocell-[0-9]+-[0-9]+$")
# A zygote is told by standard input what to run, and its forks keep its command line.
_ZYGOTE = re.compile(r"\S*python\S* -I -")


def picture() -> Picture:
    """Describe everything that a test could leave behind, one line for each thing."""
    return frozenset([*_descriptors(), *_processes(), *_mounts(), *_cgroups(), *_temporary_files()])


def beforehand() -> Picture:
    """The picture that a later one is compared with: groups of other programs that are in use now are known, too."""
    return picture() | {f"cgroup {folder}/{name}" for folder, name in _all_groups()}


@contextlib.contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves anything behind in this block, and say what."""
    before = beforehand()
    yield
    left = left_behind(before)
    if left:
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)


def left_behind(before: Picture, *, patience_seconds: float = PATIENCE_SECONDS) -> list[str]:
    """Return what is there and was not there before, after the kernel had its time."""
    deadline = time.monotonic() + patience_seconds
    _give_up_ready_sandboxes()
    looks = 0
    while new := picture() - before:
        if time.monotonic() > deadline:
            return sorted(new)
        threading.Event().wait(0.02)
        looks += 1
        if looks > _LOOKS_AT_THE_KERNEL:
            # An exception kept alive by a cycle may hold a descriptor; that is no leak of ours.
            gc.collect()
    return []


def _zygotes() -> "list[Zygote]":
    """Return the zygotes shared by this process, without starting or importing anything."""
    module = sys.modules.get("protocell._boxes.zygotes")
    return list(module.ZYGOTES._by_environment.values()) if module else []


def _give_up_ready_sandboxes() -> None:
    for zygote in _zygotes():
        for pool in zygote._pools.values():
            while pool:
                pool.popleft().close()


def _descriptors() -> Iterator[str]:
    shared = {
        descriptor
        for zygote in _zygotes()
        for descriptor in (zygote._requests.fileno(), zygote._errors, zygote._end)
    }
    for name in os.listdir("/proc/self/fd"):
        if int(name) in shared:
            continue
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
        yield f"descriptor {name}: {target}"


def _processes() -> Iterator[str]:
    parents = dict(_parents())
    ours = {os.getpid()}
    reapers = {1, *_ancestors(parents)}
    zygotes = {zygote.pid for zygote in _zygotes()}
    for pid in sorted(parents.keys() - zygotes):
        if parents[pid] in zygotes and not _is_in_a_sandbox(pid):
            continue
        if _descends(pid, parents, ours):
            yield f"process {pid}: {_command(pid)}"
        elif parents[pid] in reapers and _ZYGOTE.fullmatch(_command(pid)):
            yield f"orphan {pid}: {_command(pid)}"


def _parents() -> Iterator[tuple[int, int]]:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            stat = Path("/proc", name, "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended since the listing
        # The command stands in parentheses and may hold anything, so count fields from the last one.
        yield int(name), int(stat.rpartition(")")[2].split()[1])


def _is_in_a_sandbox(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    # One number for each pid namespace that it is in, seen from ours (proc_pid_status(5)).
    return len(re.findall(r"^NSpid:((?:\t\d+)+)$", status, re.MULTILINE)[0].split()) > 1


def _ancestors(parents: dict[int, int]) -> Iterator[int]:
    pid = os.getppid()
    while pid > 0:
        yield pid
        pid = parents.get(pid, 0)


def _descends(pid: int, parents: dict[int, int], ours: set[int]) -> bool:
    while pid := parents.get(pid, 0):
        if pid in ours:
            return True
    return False


def _command(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "(ended)"
    return text.replace("\0", " ").strip() or "(a zombie: nobody waited for it)"


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield f"mount {line}"


def _cgroups() -> Iterator[str]:
    for folder, names, _ in os.walk(_CGROUPS):
        below_ours = _is_group_of_ours(os.path.basename(folder))
        for name in names:
            if below_ours or (_GROUP_NAME.match(name) and not _has_a_living_owner(name)):
                yield f"cgroup {folder}/{name}"


def _all_groups() -> Iterator[tuple[str, str]]:
    for folder, names, _ in os.walk(_CGROUPS):
        yield from ((folder, name) for name in names if _GROUP_NAME.match(name))


def _has_a_living_owner(name: str) -> bool:
    """Tell a zygote's group that is in use, by this process or by another program on this machine."""
    return Path(f"/proc/{_owner(name)}").exists()


def _is_group_of_ours(name: str) -> bool:
    return bool(_GROUP_NAME.match(name)) and _owner(name) in {zygote.pid for zygote in _zygotes()}


def _owner(name: str) -> int:
    return int(name.split("-")[1])


def _temporary_files() -> Iterator[str]:
    for name in os.listdir(tempfile.gettempdir()):
        if name.startswith(_OURS):
            yield f"file {tempfile.gettempdir()}/{name}"
