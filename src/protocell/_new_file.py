"""Makes files in a workspace that the host can write to itself, because no mount namespace keeps it out.

The folders may have been prepared by model code, and code that got away may change them meanwhile.
So each component is opened below the one before, and no link is followed (``_workspace`` has more).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from protocell._workspace import open_root, open_subfolder

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def create(workspace: int, parts: Sequence[str]) -> int:
    """A new empty file below a folder, as a descriptor for writing; missing folders are made.

    A file of that name is replaced and never written into: it may have a second name elsewhere.

    Raises:
        OSError, Refused: something in the way is not what it should be, or there is no room.
    """
    root = os.fstat(workspace)
    current = open_root(workspace)
    try:
        for name in parts[:-1]:
            with suppress(FileExistsError):  # a folder, or something that the next line refuses
                os.mkdir(name, 0o755, dir_fd=current)
            below = open_subfolder(current, name, root)
            os.close(current)
            current = below
        _make_room(parts[-1], current)
        return os.open(parts[-1], _NEW_FILE, 0o644, dir_fd=current)
    finally:
        os.close(current)


def _make_room(name: str, parent: int) -> None:
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        number = errno.ELOOP if stat.S_ISLNK(mode) else errno.EINVAL
        raise OSError(number, "something that is not a regular file has this name", name)
    os.unlink(name, dir_fd=parent)
