"""The temporary folder of a sandbox that has no file tree of its own: its name, its lock, its removal.

Theory of operation
-------------------
``protocell-box-<pid>-<start>-<random>``, mode 0700, in the host's place for temporary files; pid and
start time are the host's.  In it lie ``user``, home and working directory of the code, and ``tmp``.

The host holds a shared lock (flock(2)) on ``user``, on the descriptor by which it reads files.  Such
a lock belongs to the open file, so it goes when the last copy of the descriptor is closed: the
sandbox's, that of the files which an ``Execution`` still offers, those of a host that was killed.
Nobody removes the folder before.  A folder whose host is gone, and whose lock is free, is a leftover.

Code that got away may still be at work in the tree while it is removed.  So everything is reached
from descriptors and no link is ever followed; another file system is not entered; only modes of
folders are changed, and only of those that we hold.  There is no recursion, and two descriptors do
for any depth: a folder that is not empty is moved up to the first level, where its turn comes.  The
time for it is bounded.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

HOME = "user"
SCRATCH = "tmp"

_NAME = re.compile(r"protocell-box-([0-9]{1,9})-([0-9]{1,18})-[0-9a-f]{8}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PASSES = 10


def make(parent: str) -> str:
    """A new folder for a sandbox of this process; returns its path, without links in it."""
    owner = f"{os.getpid()}-{start_time(os.getpid())}"
    path = os.path.join(os.path.realpath(parent), f"protocell-box-{owner}-{os.urandom(4).hex()}")
    for folder in (path, os.path.join(path, HOME), os.path.join(path, SCRATCH)):
        os.mkdir(folder, 0o700)
        os.chmod(folder, 0o700)  # whatever the caller's umask takes away
    return path


def hold(path: str) -> int:
    """A descriptor of the home in this folder; while a copy of it is open, the folder stays."""
    descriptor = os.open(os.path.join(path, HOME), _FOLDER)
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


def discard(path: str) -> None:
    """Take back what ``make`` has made and nobody has used."""
    for folder in (os.path.join(path, HOME), os.path.join(path, SCRATCH), path):
        os.rmdir(folder)


def start_time(pid: int) -> int:
    """When a process was started, in ticks since boot; 0 if it is gone or there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # Field 22; the name in brackets may hold brackets and blanks (proc_pid_stat(5)).
            return int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return 0


def leftovers(parent: str) -> list[str]:
    """Folders of this user there, whose hosts are gone."""
    named = ((name, _NAME.fullmatch(name)) for name in os.listdir(parent))
    return [
        os.path.join(parent, name)
        for name, match in named
        if match and not _is_running(int(match[1]), int(match[2]))
    ]


def _is_running(pid: int, started: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's process: it may or may not be the one
    now = start_time(pid)
    return not now or not started or now == started


class Folder:
    """Such a folder, held by descriptors, so that code that renames it misleads nobody.

    Raises:
        OSError: it is not there, not a folder, or not this user's.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._name = os.path.basename(path)
        self._parent = os.open(os.path.dirname(path), _FOLDER)
        self._lock = -1
        try:
            self._root = _open_folder(self._name, self._parent)
        except OSError:
            os.close(self._parent)
            raise
        with suppress(OSError):  # the code has removed it: then nobody can read files there
            self._lock = _open_folder(HOME, self._root)

    def close(self) -> None:
        """Give back the descriptors."""
        for descriptor in (self._lock, self._root, self._parent):
            if descriptor >= 0:
                os.close(descriptor)

    @property
    def home(self) -> str:
        """The path of the home in it."""
        return os.path.join(self.path, HOME)

    def enter(self) -> None:
        """Go home; it is private again, whatever code that ran before has made of its modes.

        Raises:
            OSError: something else has its name now.
        """
        for descriptor in (self._root, self._lock):
            os.fchmod(descriptor, stat.S_IRWXU)
        os.fchdir(self._lock)
        if not os.path.samestat(os.stat(self.home, follow_symlinks=False), os.stat(".")):
            raise FileNotFoundError(errno.ENOENT, "the code has moved it away", self.home)

    def is_free(self) -> bool:
        """Whether no host reads files there any more; from then on none does."""
        try:
            self._take_lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait_until_free(self) -> None:
        """Wait for that."""
        self._take_lock(fcntl.LOCK_EX)

    def _take_lock(self, operation: int) -> None:
        if self._lock >= 0:
            fcntl.flock(self._lock, operation)

    def remove(self, seconds: float) -> bool:
        """Remove everything in it, and it; whether that was done in time."""
        _empty(self._root, time.monotonic() + seconds)
        if os.listdir(self._root):
            return False
        with suppress(FileNotFoundError):
            try:
                os.rmdir(self._name, dir_fd=self._parent)
            except NotADirectoryError:  # the code has put something else in its place
                os.unlink(self._name, dir_fd=self._parent)
            except OSError:
                return False
        return True


def _open_folder(name: str, parent: int) -> int:
    """A descriptor of a folder of ours in which everything can be done.

    Raises:
        OSError: it is something else.
    """
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        _unlock_mode(name, parent)
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "belongs to another user", name)
        if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.fchmod(descriptor, stat.S_IRWXU)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _unlock_mode(name: str, parent: int) -> None:
    """Mode 0700 for a folder that cannot be opened as it is; a link there is not followed."""
    if sys.platform == "linux":
        # fchmodat(2) follows links here, and fchmod(2) takes no O_PATH descriptor.
        descriptor = os.open(name, _FOLDER | os.O_PATH, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IRWXU)
        finally:
            os.close(descriptor)
    else:
        os.chmod(name, stat.S_IRWXU, dir_fd=parent, follow_symlinks=False)


def _empty(root: int, deadline: float) -> None:
    """Remove what is in a folder, as far as it can be done in time."""
    token = os.urandom(8).hex()
    fresh = (f"{token}-{number}" for number in count())
    for _ in range(_PASSES):  # an entry that resists, or comes in meanwhile, is tried again
        waiting = os.listdir(root)
        if not waiting:
            return
        while waiting:
            if time.monotonic() > deadline:
                return
            with suppress(OSError):
                _take_apart(waiting.pop(), root, fresh, waiting)


def _take_apart(name: str, root: int, fresh: Iterator[str], moved: list[str]) -> None:
    """Remove one entry of the root; folders in it are moved up, their new names added to a list."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=root, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=root)
        return
    folder = _open_folder(name, root)
    try:
        if os.fstat(folder).st_dev != os.fstat(root).st_dev:
            return  # mounted there by somebody who was allowed to: not ours to empty
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    _take_out(entry, folder, root, fresh, moved)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=root)


def _take_out(
    entry: os.DirEntry[str], folder: int, root: int, fresh: Iterator[str], moved: list[str]
) -> None:
    if not entry.is_dir(follow_symlinks=False):
        os.unlink(entry.name, dir_fd=folder)
        return
    try:
        os.rmdir(entry.name, dir_fd=folder)
        return
    except OSError:  # there is something in it
        name = next(fresh)
    try:
        os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=root)
    except PermissionError:  # its ".." must be written
        _unlock_mode(entry.name, folder)
        os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=root)
    moved.append(name)
