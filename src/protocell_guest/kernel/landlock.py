"""Landlock: which files a thread may touch, and no abstract sockets or signals out of its domain.

Theory of operation
-------------------
The second lock on files: the first is the mount namespace, which has nothing else of the host in
it.  A ruleset lists the rights it *handles*; whatever is handled and not allowed by a rule is
refused, for this thread and all it starts, for ever.  So everything the kernel's ABI knows is
handled, and rules give back reading (with executing) and, below a few paths, writing.  A rule on a
directory holds for all below it, mounts included.

``restrict`` is called by a context that has one thread and no_new_privs set, after its file tree is
final (a thread with a Landlock domain cannot mount) and before it reads anything of a request.
Every path is opened in the new root, which nobody but init has written to: the mount points of the
workspace and of /tmp lie in read-only directories, so model code of an earlier context cannot have
put a link in their place.

Not covered by any ABI so far: stat, chdir, chmod, chown, utime, xattr, flock and descriptors that
are open already (landlock(7), "CAVEATS").  Network rights are left unhandled on purpose: a sandbox
has a network namespace of its own with loopback alone in it, on which the code may serve itself,
and the TCP rights know ports but not addresses, so they could only take that away.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from protocell_guest.kernel import _libc

Path: TypeAlias = "str | os.PathLike[str]"

# The same numbers on every machine (asm-generic/unistd.h).
_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446

_CREATE_RULESET_VERSION = 1 << 0
_RULE_PATH_BENEATH = 1

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_REMOVE_DIR = 1 << 4
_REMOVE_FILE = 1 << 5
_MAKE_CHAR = 1 << 6
_MAKE_DIR = 1 << 7
_MAKE_REG = 1 << 8
_MAKE_SOCK = 1 << 9
_MAKE_FIFO = 1 << 10
_MAKE_BLOCK = 1 << 11
_MAKE_SYM = 1 << 12
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_IOCTL_DEV = 1 << 15
_RESOLVE_UNIX = 1 << 16

_SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0
_SCOPE_SIGNAL = 1 << 1

_LOG_SAME_EXEC_OFF = 1 << 0
_LOG_SUBDOMAINS_OFF = 1 << 2

# Which ABI brought which right: what is handled is all of these up to the kernel's own ABI.
_FILE_RIGHTS_SINCE = {
    1: (1 << 13) - 1,  # Linux 5.13: every right above, up to _MAKE_SYM
    2: _REFER,  # 5.19; before it, moving a file to another directory is always refused (EXDEV)
    3: _TRUNCATE,  # 6.2
    5: _IOCTL_DEV,  # 6.10
    9: _RESOLVE_UNIX,  # 7.1: named unix sockets of servers outside the domain; never given
}
_SCOPES_SINCE = {6: _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL}  # 6.12
# The code that runs is a stranger's: what it is refused must not fill the host's audit log, nor
# must the domains that it makes itself (landlock_restrict_self(2)).
_LOG_FLAGS_SINCE = {7: _LOG_SAME_EXEC_OFF | _LOG_SUBDOMAINS_OFF}  # 6.15

_READING = _EXECUTE | _READ_FILE | _READ_DIR
# Everything but _MAKE_CHAR and _MAKE_BLOCK, which no path ever gets, and _IOCTL_DEV.
_WRITING = (
    _READING | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _REFER
    | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM
)  # fmt: skip
_DEVICE = _READ_FILE | _WRITE_FILE | _IOCTL_DEV
# A rule on a file may carry these alone; any other right is EINVAL (landlock_add_rule(2)).
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV | _RESOLVE_UNIX

# struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped.  Older kernels know
# fewer fields and accept more bytes as long as those are zero (copy_struct_from_user).
_RULESET = struct.Struct("=QQQ")
_RULE = struct.Struct("=Qi")  # struct landlock_path_beneath_attr is packed

_ABSENT = {
    errno.ENOSYS: (
        "the kernel has no Landlock",
        "use Linux 5.13 or later built with CONFIG_SECURITY_LANDLOCK=y",
    ),
    errno.EOPNOTSUPP: (
        "the kernel has Landlock, and it was not switched on when the machine started",
        "add landlock to the list in lsm= on the kernel's command line",
    ),
    errno.EPERM: (
        "a seccomp filter around this process refuses the Landlock calls",
        "allow the three landlock_ calls in the container's profile, as Docker's default does",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """What this kernel offers: ``abi`` 0 means nothing, and then why and what to do."""

    abi: int
    reason: str = ""
    remedy: str = ""


def support() -> Support:
    """Ask the kernel; never cached, since a filter may come on later.

    Raises:
        OSError: with an errno for which there is no explanation.
    """
    try:
        version = _libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        reason, remedy = _ABSENT[error.errno]
        return Support(abi=0, reason=reason, remedy=remedy)
    return Support(abi=version)


def abi() -> int:
    """The kernel's Landlock ABI; 0 where there is none (``support`` says why)."""
    return support().abi


def restrict(
    read: Sequence[Path],
    write: Sequence[Path],
    *,
    devices: Sequence[Path] = (),
    highest_abi: int | None = None,
) -> int:
    """Restrict the calling thread to these paths; returns the kernel's ABI, or the lower one asked.

    ``read`` gives reading and executing, ``write`` that and every change but making device nodes,
    ``devices`` reading, writing and the device's own ioctls.  A path may be a file or a directory.

    Raises:
        OSError: a path does not exist, no_new_privs is not set (EPERM), there is no Landlock.
    """
    kernel = support()
    if not kernel.abi:
        raise OSError(errno.ENOSYS, f"Landlock: {kernel.reason}; {kernel.remedy}")
    level = kernel.abi if highest_abi is None else min(kernel.abi, highest_abi)
    handled = _up_to(level, _FILE_RIGHTS_SINCE)
    attributes = _RULESET.pack(handled, 0, _up_to(level, _SCOPES_SINCE))
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for paths, rights in ((read, _READING), (write, _WRITING), (devices, _DEVICE)):
            _allow(ruleset, paths, rights & handled)
        _libc.syscall(_RESTRICT_SELF, ruleset, _up_to(level, _LOG_FLAGS_SINCE))
    finally:
        os.close(ruleset)
    return level


def _up_to(level: int, since: dict[int, int]) -> int:
    bits = 0
    for version, more in since.items():
        if version <= level:
            bits |= more
    return bits


def _allow(ruleset: int, paths: Iterable[Path], rights: int) -> None:
    for path in paths:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            is_directory = stat.S_ISDIR(os.fstat(place).st_mode)
            given = rights if is_directory else rights & _ON_A_FILE
            _libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, _RULE.pack(given, place), 0)
        finally:
            os.close(place)
