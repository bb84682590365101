"""Tells what lies in a workspace: one entry, or those of a folder; nothing but folders is opened."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime, timedelta

from protocell._printable import is_printable_line
from protocell._workspace.opening import explained, normalise, open_folder, type_of
from protocell._workspace.paths import bad_path
from protocell._workspace.tree import BRANCHES, Tree, target_of
from protocell.entries import EntryInfo, FileType, Listing
from protocell.errors import FileError
from protocell_guest.plan import HOME

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


def list_folder(workspace_fd: int, path: str, *, depth: int = 1, most: int) -> Listing:
    """The entries of a folder, and of the folders in it down to ``depth``; at most so many of them.

    Raises:
        FileError: there is no such folder, or it cannot be read.
    """
    parts = normalise(path)
    root = os.fstat(workspace_fd)
    tree = Tree(root, depth=depth, most=most, without=None if parts else BRANCHES)
    with explained(path):
        folder = open_folder(workspace_fd, parts, root)
        try:
            tree.walk(folder, "".join(f"{part}/" for part in parts))
        finally:
            os.close(folder)
    entries = [_entry(node.path, node.status, node.target, root) for node in tree.nodes]
    return Listing(entries, left_out=tree.left_out)


def look_up(workspace_fd: int, path: str) -> EntryInfo:
    """What has this name, itself: a link is not followed.

    Raises:
        FileError: there is nothing.
    """
    parts = normalise(path)
    root = os.fstat(workspace_fd)
    if not parts:
        return _entry("", root, None, root)
    with explained(path):
        folder = open_folder(workspace_fd, parts[:-1], root)
        try:
            status = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
            target = target_of(folder, parts[-1]) if stat.S_ISLNK(status.st_mode) else None
        finally:
            os.close(folder)
    return _entry("/".join(parts), status, target, root)


def is_there(workspace_fd: int, path: str) -> bool:
    """Whether something has this name, without a link on the way to it; raises FileError as ``look_up``."""
    try:
        look_up(workspace_fd, path)
    except FileError as error:
        if error.errno not in _ABSENT:
            raise
        return False
    return True


def check_is_folder(workspace_fd: int, path: str) -> None:
    """Raises FileError unless there is a folder of this name."""
    if look_up(workspace_fd, path).type != FileType.DIR:
        raise bad_path(path, "is not a folder", errno.ENOTDIR)


def _entry(
    path: str, status: os.stat_result, target: str | None, root: os.stat_result
) -> EntryInfo:
    kind = type_of(status)
    whole = f"{HOME}/{path}" if path else HOME
    return EntryInfo(
        name=whole.rpartition("/")[2],
        type=kind,
        path=whole,
        size=status.st_size if kind == FileType.FILE else 0,
        mode=stat.S_IMODE(status.st_mode),
        permissions=stat.filemode(status.st_mode)[1:],
        owner="user" if status.st_uid == root.st_uid else "nobody",
        group="user" if status.st_gid == root.st_gid else "nobody",
        modified_time=_time(status.st_mtime_ns),
        symlink_target=target if target and is_printable_line(target) else None,
    )


def _time(nanoseconds: int) -> datetime:
    """A file's time; of one that no calendar has, the nearest that there is."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return _LATEST if nanoseconds > 0 else _EARLIEST
