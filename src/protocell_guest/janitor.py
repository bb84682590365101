"""A process that does one thing: when the zygote is gone, remove the cgroups that it made.

Theory of operation
-------------------
Forked from the zygote before anything is preloaded, in a session of its own, with one descriptor:
the zygote's pidfd, which becomes readable when the zygote ends, however it ends.  The sandboxes go
with the zygote (their inits asked for SIGKILL at its end); a cgroup can be removed as soon as its
last process has been reaped, for which the kernel has no notification on cgroup v1: so it is tried
again for a while.  What is still there after that is swept by the next zygote's start.
"""

from __future__ import annotations

import os
import select
import time
from typing import NoReturn

from protocell_guest.kernel import cgroups

_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.01


def fork(hierarchy: cgroups.Hierarchy) -> None:
    """Leave a janitor behind for the calling process."""
    pid = os.getpid()
    owner = os.pidfd_open(pid)
    if os.fork() == 0:
        try:
            os.setsid()
            _keep_only(owner)
            _watch(owner, pid, hierarchy)
        finally:
            os._exit(0)
    os.close(owner)


def _keep_only(descriptor: int) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 2**31 - 1)


def _watch(owner: int, pid: int, hierarchy: cgroups.Hierarchy) -> NoReturn:
    select.select([owner], [], [])
    deadline = time.monotonic() + _PATIENCE_SECONDS
    # Not until something was removed: that may be another zygote's, or ours in one tree of several.
    while time.monotonic() < deadline:
        cgroups.sweep(hierarchy)
        if not cgroups.has_groups_of(hierarchy, pid):
            break
        select.select([], [], [], _PAUSE_SECONDS)  # nothing tells when the last process is reaped
    os._exit(0)
