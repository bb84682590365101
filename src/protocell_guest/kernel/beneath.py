"""Opening files of the workspace for writing, on behalf of the host, beneath a descriptor.

The host cannot create them itself: where it is root its id is not mapped in the sandbox, and the
kernel refuses to make a file for it there.  The names may have been prepared by model code, so the
kernel itself walks them: no link of any kind is followed, and nothing outside or on another mount
is reached (openat2(2); CVE-2024-28185 and its like came from not doing so).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct

from protocell_guest.kernel import _libc, syscalls

_NO_XDEV = 0x01
_NO_MAGICLINKS = 0x02
_NO_SYMLINKS = 0x04
_BENEATH = 0x08
_RESOLVE = _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH


def _open(folder: int, path: str, flags: int, mode: int = 0) -> int:
    how = _libc.buffer(struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, _RESOLVE))
    name = os.fsencode(path) + b"\0"
    return _libc.syscall(syscalls.number("openat2"), folder, name, how, len(how))


def create(folder: int, path: str) -> int:
    """An empty regular file at ``path`` beneath ``folder``, open for writing; folders are made.

    Raises:
        OSError: a component is a link (ELOOP), not a folder, on another mount (EXDEV), or the
            file is not a regular one (EINVAL), or there is no room (ENOSPC).
    """
    parent = make_folders(folder, os.path.dirname(path))
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = _open(parent, os.path.basename(path), flags, 0o644)
    finally:
        os.close(parent)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        os.ftruncate(descriptor, 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def make_folders(folder: int, path: str) -> int:
    """The folder at ``path`` beneath ``folder``, made where it is missing, as a descriptor."""
    current = os.dup(folder)
    for name in filter(None, path.split("/")):
        try:
            # What is there already is a folder, or something that the next line refuses.
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=current)
            below = _open(current, name, os.O_RDONLY | os.O_DIRECTORY)
        finally:
            os.close(current)
        current = below
    return current
