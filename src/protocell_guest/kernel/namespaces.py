"""Namespaces of a sandbox: the flags to clone with, the id maps, loopback, and no nested ones.

Theory of operation
-------------------
The zygote clones init into new namespaces and then writes init's id maps, because only a process
outside may map an id that is not its own (user_namespaces(7)); init waits for that on a pipe.
One id is mapped: INNER_ID inside is, outside, the user who runs the host, or an id that belongs to
nobody where that user is root.  ``setgroups`` is denied before the group map is written, which an
unprivileged writer must do and a privileged one may.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from protocell_guest.kernel import _libc, syscalls

INNER_ID = 1000
# Ids from here on belong to no distribution's users, services or containers; the zygote's pid is
# added, so that two zygotes never share the kernel's per-user counters.
OUTER_ID_BASE = 1_900_000_000

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
# The cgroup namespace is unshared later, from inside the sandbox's own cgroup: its root is the
# cgroup that its creator was in, and must not show the host's names (cgroup_namespaces(7)).
SANDBOX_FLAGS = (
    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
)

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
# Quotas of a user namespace and of what is made in it.  Without a user namespace of its own the code
# has no right to any other namespace.
_QUOTAS = {"max_user_namespaces": 0, "max_inotify_instances": 16, "max_inotify_watches": 8192}


def clone_init() -> tuple[int, int]:
    """Fork a process that is pid 1 of its own namespaces; (0, -1) there, its pid and pidfd here."""
    return _libc.clone(SANDBOX_FLAGS)


def outer_ids() -> tuple[int, int]:
    """The user and group id outside that the sandbox's one id stands for."""
    nobodys = OUTER_ID_BASE + os.getpid()
    if os.geteuid() == 0 and _is_mapped(nobodys):
        return nobodys, nobodys
    return os.geteuid(), os.getegid()


def _is_mapped(number: int) -> bool:
    """Whether the id exists in our user namespace; in a rootless container most do not."""
    with open("/proc/self/uid_map", encoding="ascii") as lines:
        for line in lines:
            first, _, count = (int(field) for field in line.split())
            if first <= number < first + count:
                return True
    return False


def unshare_mounts() -> None:
    """A mount namespace; where that takes a user namespace, one in which we stay who we are."""
    if os.geteuid() == 0:
        _libc.syscall(syscalls.number("unshare"), CLONE_NEWNS)
        return
    user, group = os.geteuid(), os.getegid()
    _libc.syscall(syscalls.number("unshare"), CLONE_NEWUSER | CLONE_NEWNS)
    _write_maps("self", f"{user} {user} 1", f"{group} {group} 1")


def write_id_maps(pid: int, user: int, group: int) -> None:
    """Give a new user namespace its one user and one group (called from outside)."""
    _write_maps(str(pid), f"{INNER_ID} {user} 1", f"{INNER_ID} {group} 1")


def _write_maps(process: str, user_map: str, group_map: str) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", user_map), ("gid_map", group_map)):
        descriptor = os.open(f"/proc/{process}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def become_inner_user() -> None:
    """Take the mapped id; needed where the host is root and the old id is not mapped at all."""
    os.setresgid(INNER_ID, INNER_ID, INNER_ID)
    os.setresuid(INNER_ID, INNER_ID, INNER_ID)


def unshare_cgroup() -> None:
    """A cgroup namespace rooted where this process is now."""
    _libc.syscall(syscalls.number("unshare"), CLONE_NEWCGROUP)


def set_hostname(name: str) -> None:
    """The name that code in the sandbox sees in place of the host's."""
    socket.sethostname(name)


def loopback_up() -> None:
    """Bring up ``lo``: 127.0.0.1 and ::1 of this network namespace, which has nothing else."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        request = struct.pack("16sh22x", b"lo", 0)
        _, flags = struct.unpack("16sh22x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))


def forbid_nesting(proc: int) -> None:
    """Set this user namespace's own quotas (namespaces(7), /proc/sys/user) to what is needed.

    A second lock behind the seccomp filter: no further namespace of any kind can be made, and
    inotify cannot use up what the kernel allows the user outside.
    """
    for name, value in _QUOTAS.items():
        descriptor = os.open(f"sys/user/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            os.write(descriptor, str(value).encode())
        finally:
            os.close(descriptor)
