"""Changes a workspace for the host: one bounded operation at a time, beneath a descriptor, through no link.

Theory of operation
-------------------
The host cannot do it itself: where it is root its id is not mapped in the sandbox, and the kernel refuses to make a
file for it there.  So init does, which has the right user and which model code cannot reach.  Where there is no init
(isolation by a process alone) the host runs the same functions.

The names may have been prepared by model code, which may also change them while we work.  So

- a path is walked one component at a time, each opened below the descriptor of the one before, and none that is a
  link or lies on another mount (CVE-2024-28185 and its like came from not doing so).  init has the kernel see to it
  (beneath.py); ``open_plainly`` says the same without openat2(2);
- only the last component is changed, by calls that take one name in an open folder and do not follow a link there:
  mkdirat, renameat, unlinkat.  A file is opened for writing only if it is a regular one with no second name: what the
  second name is, nobody knows;
- one request makes at most ``MOST_STEPS`` steps, so that nobody waits for init.  Removing a large folder takes several:
  ``left`` in the answer says so, and how often to ask is the host's decision, as code may make files all the time.

Removing keeps two folders open however deep a tree is, and does not recurse: a folder in a folder that is not empty is
moved up to the first level, where its turn comes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

MOST_STEPS = 512
MOST_COMPONENTS = 64

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_THERE = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY  # a FIFO that came in between must not hold us
_MOVED = (FileNotFoundError, NotADirectoryError)  # the code was at it in between
_REPLACED = frozenset({errno.EACCES, errno.ETXTBSY})

Open = Callable[[int, str, int, int], int]
"""Opens one name below a folder: descriptor of the folder, name, flags, mode of a new file."""
Answer = tuple[dict[str, Any], list[int]]


def open_plainly(folder: int, name: str, flags: int, mode: int = 0) -> int:
    """One component, which must not be a link or on another file system; raises OSError."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
    if os.fstat(descriptor).st_dev != os.fstat(folder).st_dev:
        os.close(descriptor)
        raise OSError(errno.EXDEV, "on another file system")
    return descriptor


def perform(workspace: int, request: dict[str, Any], open_below: Open = open_plainly) -> Answer:
    """Do one thing beneath the workspace; the answer is ``filed``, or ``refused`` with an errno.

    ``{"do": "write", "path", "mode"}``: an empty file, whose descriptor for writing comes along.
    ``{"do": "make_dir", "path", "mode"}``: with the folders above it; ``made`` is False if it was there.
    ``{"do": "rename", "path", "to"}``: as rename(2); folders above the new name are made.
    ``{"do": "remove", "path"}``: whatever it is; ``left`` is True if there is more to do.
    """
    work = {"write": _write, "make_dir": _make_dir, "rename": _rename, "remove": _remove}
    try:
        return work[request["do"]](_Beneath(workspace, open_below), request)
    except OSError as error:
        detail = error.strerror or str(error)
        return {"event": "refused", "errno": error.errno or errno.EIO, "detail": detail}, []


class _Beneath:
    """Opens what lies in the workspace."""

    def __init__(self, workspace: int, open_below: Open) -> None:
        self._workspace = workspace
        self.open = open_below

    def parent(self, path: str, *, make: bool = False) -> tuple[int, str]:
        """The folder of a path, as a descriptor, and the last component."""
        parts = path.split("/")
        if not 0 < len(parts) <= MOST_COMPONENTS or {"", ".", ".."} & set(parts):
            raise OSError(errno.EINVAL, "not a path below the workspace")
        current = os.dup(self._workspace)
        for name in parts[:-1]:
            try:
                if make:
                    make_folder(current, name)
                below = self.open(current, name, _FOLDER, 0)
            finally:
                os.close(current)
            current = below
        return current, parts[-1]


def make_folder(parent: int, name: str) -> bool:
    """Whether it was made; what is there already is a folder, or something that opening it refuses."""
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        return False
    return True


# -- files and folders -------------------------------------------------------------------------------


def _write(beneath: _Beneath, request: dict[str, Any]) -> Answer:
    parent, name = beneath.parent(request["path"], make=True)
    try:
        descriptor = _open_empty(beneath, parent, name)
    finally:
        os.close(parent)
    try:
        _set_mode(descriptor, request)
    except OSError:
        os.close(descriptor)
        raise
    return {"event": "filed"}, [descriptor]


def _set_mode(descriptor: int, request: dict[str, Any]) -> None:
    """Who may do what with it, if that is said; nothing that makes a program another user's."""
    if (mode := request.get("mode")) is not None:
        os.fchmod(descriptor, mode & 0o777)


def _open_empty(beneath: _Beneath, parent: int, name: str) -> int:
    try:
        return beneath.open(parent, name, _NEW, 0o644)
    except FileExistsError:
        descriptor = _open_there(beneath, parent, name)
    if descriptor is not None:
        try:
            os.ftruncate(descriptor, 0)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
    os.unlink(name, dir_fd=parent)
    return beneath.open(parent, name, _NEW, 0o644)


def _open_there(beneath: _Beneath, parent: int, name: str) -> int | None:
    """The file that is there, for writing; None if a new one has to take its place."""
    # Before the open, because opening a device or a FIFO can itself do something.
    _check_regular(os.stat(name, dir_fd=parent, follow_symlinks=False))
    try:
        descriptor = beneath.open(parent, name, _THERE, 0)
    except OSError as error:
        if error.errno not in _REPLACED:
            raise
        return None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    _check_regular(status)
    return None


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "a link has this name")
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, "a folder has this name")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "something that is not a regular file has this name")


def _make_dir(beneath: _Beneath, request: dict[str, Any]) -> Answer:
    parent, name = beneath.parent(request["path"], make=True)
    try:
        made = make_folder(parent, name)
        folder = beneath.open(parent, name, _FOLDER, 0)
        try:
            _set_mode(folder, request)
        finally:
            os.close(folder)
    finally:
        os.close(parent)
    return {"event": "filed", "made": made}, []


def _rename(beneath: _Beneath, request: dict[str, Any]) -> Answer:
    old_parent, old = beneath.parent(request["path"])
    try:
        os.stat(old, dir_fd=old_parent, follow_symlinks=False)  # before a folder is made in vain
        new_parent, new = beneath.parent(request["to"], make=True)
        try:
            os.rename(old, new, src_dir_fd=old_parent, dst_dir_fd=new_parent)
        finally:
            os.close(new_parent)
    finally:
        os.close(old_parent)
    return {"event": "filed"}, []


# -- removing ----------------------------------------------------------------------------------------


def _remove(beneath: _Beneath, request: dict[str, Any]) -> Answer:
    try:
        parent, name = beneath.parent(request["path"])
    except FileNotFoundError:
        return {"event": "filed", "left": False}, []
    try:
        left = not _unlink(parent, name)
        if left:
            with suppress(*_MOVED), _opened(beneath, parent, name) as folder:
                _empty(beneath, folder)
            left = not _unlink(parent, name)
    finally:
        os.close(parent)
    return {"event": "filed", "left": left}, []


@contextmanager
def _opened(beneath: _Beneath, parent: int, name: str) -> Iterator[int]:
    try:
        folder = beneath.open(parent, name, _FOLDER, 0)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link has taken its place, which the next look removes
            raise NotADirectoryError(error.errno, error.strerror) from error
        raise
    try:
        yield folder
    finally:
        os.close(folder)


def _unlink(parent: int, name: str) -> bool:
    """Whether it is gone; False says that it is a folder with something in it."""
    try:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
        else:
            os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError as error:
        # EISDIR, ENOTDIR: it was exchanged since the look at it; the next one sees what it is now.
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR}:
            return False
        raise
    return True


def _empty(beneath: _Beneath, folder: int) -> None:
    """Remove what is in a folder, or as much as one request may."""
    steps = MOST_STEPS
    while steps > 0 and (names := _names(folder, steps)):
        for name in names:
            steps -= 1
            if steps > 0 and not _unlink(folder, name):
                steps -= _level(beneath, folder, name, steps)


def _level(beneath: _Beneath, folder: int, name: str, steps: int) -> int:
    """Remove what is in a folder of this folder, and move up what has something in it; how many steps it took."""
    taken = 0
    with suppress(*_MOVED), _opened(beneath, folder, name) as below:
        while taken < steps and (names := _names(below, steps - taken)):
            for each in names:
                taken += 1
                if not _unlink(below, each):
                    fresh = f".protocell-{os.urandom(8).hex()}"
                    os.rename(each, fresh, src_dir_fd=below, dst_dir_fd=folder)
    _unlink(folder, name)
    return taken


def _names(folder: int, most: int) -> list[str]:
    # A descriptor of its own for each look, as a position in a folder that changes means nothing.
    look = os.open(".", _FOLDER | os.O_CLOEXEC, dir_fd=folder)
    try:
        with os.scandir(look) as entries:
            return [entry.name for entry in islice(entries, most)]
    finally:
        os.close(look)
