"""Opens one name of the workspace beneath a descriptor, with the kernel refusing all ways out.

The names may have been prepared by model code, so the kernel itself looks at them: no link of any
kind is followed, and nothing outside or on another mount is reached (openat2(2); CVE-2024-28185 and
its like came from not doing so).
"""

from __future__ import annotations

import os
import struct

from protocell_guest.kernel import _libc, syscalls

_NO_XDEV = 0x01
_NO_MAGICLINKS = 0x02
_NO_SYMLINKS = 0x04
_BENEATH = 0x08
_RESOLVE = _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH


def open_below(folder: int, name: str, flags: int, mode: int = 0) -> int:
    """A descriptor; ``mode`` is for a new file.

    Raises:
        OSError: it is or leads through a link (ELOOP), is on another mount (EXDEV), or as of open(2).
    """
    how = _libc.buffer(struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, _RESOLVE))
    path = os.fsencode(name) + b"\0"
    return _libc.syscall(syscalls.number("openat2"), folder, path, how, len(how))
