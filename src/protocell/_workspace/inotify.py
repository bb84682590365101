"""inotify(7), which the standard library does not have: the only ctypes in the host's package.

The watch is put on an open folder by its name in /proc/self/fd, so that no path which the code could change is
walked. The kernel counts instances and watches for the user of this process.
"""

from __future__ import annotations

import ctypes
import os

_IN_ONLYDIR = 0x01000000

_libc = ctypes.CDLL(None, use_errno=True)


def start() -> int:
    """A new queue of events, non-blocking and close-on-exec; raises OSError."""
    return _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def watch(queue: int, folder: int, mask: int) -> int:
    """Have what happens in an open folder told; the number of the watch; raises OSError."""
    path = f"/proc/self/fd/{folder}".encode()
    return _checked(_libc.inotify_add_watch(queue, path, ctypes.c_uint32(mask | _IN_ONLYDIR)))


def forget(queue: int, number: int) -> None:
    """End a watch, which is told as IN_IGNORED; raises OSError."""
    _checked(_libc.inotify_rm_watch(queue, number))


def _checked(result: int) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
