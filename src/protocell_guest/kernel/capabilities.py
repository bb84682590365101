"""Capabilities: give up all of them, for this process and for whatever it executes, for good.

Theory of operation
-------------------
A context is forked from init, which has every capability over the sandbox's user namespace.  Those
reach nothing outside, but they open a great deal of kernel code (nf_tables, mounts, traffic
control), which is where most privilege escalations of recent years begin.

Four things are needed (capabilities(7)).  The *bounding* set is emptied, so that no execve of a
file with capabilities or of a set-user-ID program gives any.  The *securebits* are set and locked,
so that user id 0 means nothing, not even after a change of ids.  The *ambient* set is emptied, and
the *permitted*, *effective* and *inheritable* sets come last, because the steps before need
CAP_SETPCAP.  All of this is per thread: with a second thread it would be worth nothing, so that is
an error.  What counts is what /proc says afterwards.

Not stopped here: a further user namespace would come with a full set of capabilities over itself.
The seccomp filter and the quotas of namespaces.py refuse to make one.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping

from protocell_guest.kernel import _libc, syscalls

_PR_CAPBSET_DROP = 24
_PR_GET_SECUREBITS = 27
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

# Each bit is followed by the bit that locks it (linux/securebits.h).
_NOROOT = 1 << 0
_NO_SETUID_FIXUP = 1 << 2
_KEEP_CAPS = 1 << 4
_NO_CAP_AMBIENT_RAISE = 1 << 6
_ALL_LOCKED = 0b1010_1010
_SECUREBITS = _NOROOT | _NO_SETUID_FIXUP | _NO_CAP_AMBIENT_RAISE | _ALL_LOCKED
# Higher bits (since 6.14: how scripts may be run) are none of our business and stay as they are.
_SECUREBITS_MASK = 0xFF

_VERSION_3 = 0x2008_0522
_ALL_CAPABILITIES = 64  # the sets are two words of 32 bits (capget(2))
_HEADER = struct.pack("=Ii", _VERSION_3, 0)
_NO_CAPABILITIES = bytes(2 * 3 * 4)

_A_STATUS = 1 << 13  # mostly 1.5 KiB; a user may be in thousands of groups

_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_FIELDS = {
    name: (b"\n%b:" % name.encode(), 16 if name in _SETS else 10)
    for name in (*_SETS, "NoNewPrivs", "Seccomp", "Seccomp_filters", "Threads")
}


def drop_all() -> None:
    """Empty all five sets, lock the securebits, and check it.

    Raises:
        OSError: the kernel refused a step (EPERM: no CAP_SETPCAP), or something is still there.
    """
    drop()
    check(read_status())


def drop() -> None:
    """As ``drop_all``, for whoever reads the status later anyway and then calls ``check``."""
    _empty_bounding_set()
    others = _libc.prctl(_PR_GET_SECUREBITS) & ~_SECUREBITS_MASK
    _libc.prctl(_PR_SET_SECUREBITS, others | _SECUREBITS)
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _libc.syscall(syscalls.number("capset"), _HEADER, _NO_CAPABILITIES)


def read_status(path: str = "/proc/thread-self/status") -> dict[str, int]:
    """The kernel's word on a thread: Cap*, NoNewPrivs, Seccomp, Seccomp_filters, Threads.

    The file is the calling thread's own by default: /proc/self is the main thread's, and
    capabilities belong to threads.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = b"".join(iter(lambda: os.read(descriptor, _A_STATUS), b""))
    finally:
        os.close(descriptor)
    # No lists of lines: this runs in a process just forked, where each page touched is a page
    # copied, and it takes half the time so.
    status: dict[str, int] = {}
    for name, (mark, base) in _FIELDS.items():
        start = text.find(mark)
        if start >= 0:
            status[name] = int(text[start + len(mark) : text.find(b"\n", start + 1)], base)
    return status


def _empty_bounding_set() -> None:
    for capability in range(_ALL_CAPABILITIES):
        try:
            _libc.prctl(_PR_CAPBSET_DROP, capability)
        except OSError as error:
            # EINVAL: this kernel's list ends here.  EPERM comes first, so it cannot hide behind it.
            if error.errno == errno.EINVAL and capability:
                return
            raise


def check(status: Mapping[str, int]) -> None:
    """Whether a status of this thread, read now, has nothing left; raises OSError (EPERM) if not."""
    left = [f"{name} {status.get(name)}" for name in _SETS if status.get(name) != 0]
    if status.get("Threads") != 1:
        left.append(f"{status.get('Threads')} threads, of which one gave up its capabilities")
    bits = _libc.prctl(_PR_GET_SECUREBITS) & _SECUREBITS_MASK
    if bits != _SECUREBITS:
        left.append(f"securebits {bits:#x} instead of {_SECUREBITS:#x}")
    if left:
        raise OSError(errno.EPERM, f"capabilities are left after dropping all: {', '.join(left)}")
