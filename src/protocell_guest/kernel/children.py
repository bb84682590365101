"""How init learns that children have ended: from a descriptor, without a handler.

signalfd(2) leaves nothing to take back in what init forks but one bit of the mask of blocked signals; and
to handle a signal in Python touches pages, each of which would have to be copied.
"""

from __future__ import annotations

import os
import signal

from protocell_guest.kernel import _libc, syscalls

_SIG_BLOCK = 0
_SIG_UNBLOCK = 1
_SET_BYTES = 8
_ENDS = (1 << (signal.SIGCHLD - 1)).to_bytes(_SET_BYTES, "little")
_A_NEW_ONE = 2**64 - 1  # -1 as the unsigned word that the call takes
_RECORD_BYTES = 128
_MANY = 32


def watch() -> int:
    """A descriptor, readable when a child of this process has ended."""
    _mask(_SIG_BLOCK)
    flags = os.O_CLOEXEC | os.O_NONBLOCK  # SFD_CLOEXEC and SFD_NONBLOCK are the same bits
    return _libc.syscall(syscalls.number("signalfd4"), _A_NEW_ONE, _ENDS, _SET_BYTES, flags)


def clear(descriptor: int) -> None:
    """Take what is there to be read; how many have ended is not told by that (signal(7))."""
    os.read(descriptor, _MANY * _RECORD_BYTES)


def forget() -> None:
    """In a fork of a process that watches: SIGCHLD as it was."""
    _mask(_SIG_UNBLOCK)


def _mask(how: int) -> None:
    _libc.syscall(syscalls.number("rt_sigprocmask"), how, _ENDS, None, _SET_BYTES)
