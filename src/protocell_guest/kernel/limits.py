"""Resource limits of one process and its children (setrlimit(2)).

They hold whether or not a cgroup could be had, and they are the friendly ones: over RLIMIT_DATA an
allocation fails and Python raises MemoryError, where a cgroup can only kill.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping

# 1, not 0: with a core_pattern that is a pipe the kernel ignores the limit, except for the value 1
# (fs/coredump.c, "RLIMIT_CORE set to 1, aborting core"); a file needs more than 1 byte as well.
NO_CORE = 1
DESCRIPTORS = resource.RLIMIT_NOFILE
# Address space is not memory: threads reserve stacks and arenas, libraries map files.
ADDRESS_SPACE_SLACK = 4 << 30


def data_in_use() -> int:
    """Bytes that count against RLIMIT_DATA in this process now (VmData, proc_pid_status(5))."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def values(limits: Mapping[str, int], inherited_data: int) -> dict[int, int]:
    """The limits to set for a plan; what the template brought along is not the code's."""
    memory = limits["memory_bytes"] + inherited_data
    return {
        resource.RLIMIT_CORE: NO_CORE,
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_AS: memory + ADDRESS_SPACE_SLACK,
        resource.RLIMIT_NPROC: limits["processes"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_MEMLOCK: 64 << 10,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_SIGPENDING: 1024,
    }


def apply(limits: Mapping[int, int]) -> None:
    """Set soft and hard limits alike; a hard limit that is lower already stays."""
    for kind, value in limits.items():
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))
