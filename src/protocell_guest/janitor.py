"""A process that does one thing: when the zygote is gone, remove the cgroups that it made.

Theory of operation
-------------------
Forked from the zygote before anything is preloaded, and before there is anything to remove, since a
zygote may be killed at any moment.  In a session of its own, with one descriptor: the zygote's pidfd,
which becomes readable when the zygote ends, however it ends.  The sandboxes go with the zygote (their
inits asked for SIGKILL at its end); a cgroup can be removed as soon as its last process has been
reaped, for which the kernel has no notification on cgroup v1: so it is tried again for a while.  What
is still there after that is swept by the next zygote's start, and by its janitor where that was too
early: where a zygote and its janitor were killed, the sandboxes may still be dying when the next one
comes.
"""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING, NoReturn

from protocell_guest.kernel import cgroups

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.1


def fork(hierarchy: cgroups.Hierarchy) -> int:
    """Leave a janitor behind for the calling process, and return its pid."""
    pid = os.getpid()
    owner = os.pidfd_open(pid)
    try:
        helper = os.fork()
        if helper == 0:
            try:
                os.setsid()
                _keep_only(owner)
                _watch(owner, pid, hierarchy)
            finally:
                os._exit(0)
    finally:
        os.close(owner)
    return helper


def dismiss(helper: int) -> None:
    """There is nothing for it to do."""
    os.kill(helper, signal.SIGKILL)
    os.waitpid(helper, 0)


def _keep_only(descriptor: int) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 2**31 - 1)


def _watch(owner: int, pid: int, hierarchy: cgroups.Hierarchy) -> NoReturn:
    _sweep(hierarchy, lambda: bool(cgroups.stale(hierarchy)))
    select.select([owner], [], [])
    # Not until something was removed: that may be another zygote's, or ours in one tree of several.
    _sweep(hierarchy, lambda: cgroups.has_groups_of(hierarchy, pid))
    os._exit(0)


def _sweep(hierarchy: cgroups.Hierarchy, is_something_left: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    while is_something_left() and time.monotonic() < deadline:
        cgroups.sweep(hierarchy)
        select.select([], [], [], pause)  # nothing tells when the last process is reaped
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
