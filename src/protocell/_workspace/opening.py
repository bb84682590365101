"""Opens and reads what is in a sandbox's workspace, which hostile code may change at any moment.

Theory of operation
-------------------
The host holds one descriptor of the workspace's root: an own tmpfs, mounted at /home/user inside. The caller owns
it; what is opened here is closed here, except what ``open_for_reading`` hands out.

- Every path is opened component by component below that descriptor, each with O_NOFOLLOW, so that a link is never
  followed, also not one that takes a folder's place while we walk (runc CVE-2025-31133; and many agents, with
  ``is_symlink()`` and then ``open()``). ".." is refused before (_paths.py). openat2(2) with RESOLVE_BENEATH and
  RESOLVE_NO_SYMLINKS would say the same in one call, but the standard library does not have it.
- Only regular files are read. The type is looked at before the open, because opening a device or FIFO can itself
  do something, and once more on the descriptor. O_NONBLOCK keeps a FIFO that came in between from holding us, and
  also a regular file on which the code took a lease: without it open(2) waits for /proc/sys/fs/lease-break-time,
  45 s. Nothing is mapped: a file that is cut short below a mapping ends the host with SIGBUS.
- Another st_dev is a folder of the host, mounted into the workspace for reading: it is no output, and stays out.
- More than one name (st_nlink) is allowed if the file belongs to the owner of the workspace. link(2) cannot cross
  file systems, so all names of a file in an own tmpfs are the code's own, and ``git clone`` or ``cp -l`` make such
  files every day. Only where a workspace shares its file system with the host's files (no mount namespace) could a
  second name be one of theirs; files that the code could not have read as their owner are then refused.
- A file that its owner made unreadable (chmod 000) stays so. Changing its mode would need a path, and could
  be made to hit something else: "the host never writes, chowns or chmods inside a tree the code owned".
- Sizes are what the descriptor says, not what was asked or listed, and a read ends at its bound even if the file
  grows meanwhile. A sparse file counts with its apparent size, as that is what reading it costs us.

Whoever runs out of descriptors or memory is us, not the code: that is raised, never counted as "unreadable".
"""

from __future__ import annotations

import errno
import io
import os
import stat
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from protocell._workspace.paths import bad_path
from protocell._workspace.paths import normalise as normalise  # noqa: PLC0414 -- exported with what it is for
from protocell.entries import FileType
from protocell.errors import FileError
from protocell.limits import format_size

# Why something is left out; keys of FileSet.left_out and its like.
NOT_REGULAR = "not a regular file"
NOT_PRINTABLE = "name not printable"
NOT_OURS = "on another file system"
FOREIGN_LINK = "hard link to another owner's file"
UNREADABLE = "unreadable"
TOO_MANY_ENTRIES = "too many entries"
MOVED = "changed during the scan"

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = _READ | os.O_DIRECTORY
_OUR_OWN_TROUBLE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EBADF})
_REPLACED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
_CHUNK_BYTES = 1024 * 1024


class Refused(Exception):  # noqa: N818 -- no error: an answer about a file, turned into data or a FileError
    """This is never read: ``reason`` is counted in ``left_out``, the text tells a person."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def read(workspace_fd: int, path: str, max_bytes: int) -> bytes:
    """The content of a regular file.

    Raises:
        FileError: there is no such file, it is not a regular one, cannot be read, or is larger than ``max_bytes``.
    """
    with open_for_reading(workspace_fd, path) as stream, explained(path):
        size = os.fstat(stream.fileno()).st_size
        content = b"" if size > max_bytes else read_at_most(stream.fileno(), max_bytes + 1)
    size = max(size, len(content))
    if size > max_bytes:
        raise bad_path(
            path, f"has {format_size(size)}; the limit is {format_size(max_bytes)}", errno.EFBIG
        )
    return content


def open_for_reading(workspace_fd: int, path: str) -> io.FileIO:
    """A stream over a regular file, for the caller to close; it may yield more bytes than the file has now.

    Raises:
        FileError: there is no such file, it is not a regular one, or cannot be read.
    """
    parts = normalise(path)
    with explained(path):
        descriptor, _ = open_file(workspace_fd, parts, os.fstat(workspace_fd))
    return io.FileIO(descriptor, "r")


class Handle:
    """A descriptor of the workspace that outlives the sandbox, for files that are read later.

    All such files of one sandbox share it, and it is closed when the last of them is gone.
    """

    __slots__ = ("__weakref__", "_descriptor")

    def __init__(self, workspace_fd: int) -> None:
        try:
            self._descriptor = os.dup(workspace_fd)
        except OSError as error:
            reason_of(error)
            raise
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, path: str, max_bytes: int) -> bytes:
        """The content of a regular file; raises FileError as ``read`` does."""
        return read(self._descriptor, path, max_bytes)


def open_root(workspace_fd: int) -> int:
    """A descriptor of the root with a position of its own, since a duplicate would share it (dup(2), readdir(3))."""
    return os.open(".", _FOLDER, dir_fd=workspace_fd)


def open_folder(workspace_fd: int, parts: Iterable[str], root: os.stat_result) -> int:
    """A descriptor of a folder of the workspace, whose root has the status ``root``; raises OSError or Refused."""
    folder = open_root(workspace_fd)
    for name in parts:
        try:
            below = open_subfolder(folder, name, root)
        finally:
            os.close(folder)
        folder = below
    return folder


def open_subfolder(folder: int, name: str, root: os.stat_result) -> int:
    """A descriptor of the folder with that name; raises OSError or Refused."""
    descriptor = os.open(name, _FOLDER, dir_fd=folder)
    if os.fstat(descriptor).st_dev != root.st_dev:
        os.close(descriptor)
        raise Refused(NOT_OURS, "is a mounted folder of the host; read it there")
    return descriptor


def open_file(
    workspace_fd: int, parts: tuple[str, ...], root: os.stat_result
) -> tuple[int, os.stat_result]:
    """A descriptor and the status of a regular file; raises OSError or Refused."""
    if not parts:
        raise Refused(NOT_REGULAR, "is the workspace itself; list it")
    folder = open_folder(workspace_fd, parts[:-1], root)
    try:
        check_readable(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False), root)
        descriptor = os.open(parts[-1], _READ, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        status = os.fstat(descriptor)
        check_readable(status, root)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def check_readable(status: os.stat_result, root: os.stat_result) -> None:
    """Raises Refused unless this is a regular file that is the code's own."""
    if not stat.S_ISREG(status.st_mode):
        kind = type_of(status)
        what = {
            FileType.SYMLINK: "is a link, which is never followed",
            FileType.DIR: "is a folder; list it",
        }
        raise Refused(
            NOT_REGULAR, what.get(kind, "is a FIFO, socket or device, which is never opened")
        )
    if status.st_dev != root.st_dev:
        raise Refused(NOT_OURS, "is a mounted file of the host; read it there")
    if status.st_nlink > 1 and status.st_uid != root.st_uid:
        raise Refused(FOREIGN_LINK, "is a hard link to a file of another owner")


def read_at_most(descriptor: int, most: int) -> bytes:
    """The bytes up to the end of the file or the bound, whatever happens to the file meanwhile."""
    chunks: list[bytes] = []
    while most > 0 and (chunk := os.read(descriptor, min(most, _CHUNK_BYTES))):
        chunks.append(chunk)
        most -= len(chunk)
    return b"".join(chunks)


def reason_of(error: OSError) -> str:
    """Why an entry is left out that could not be opened or read.

    Raises:
        FileError: the reason is this process, not the entry.
    """
    if error.errno in _OUR_OWN_TROUBLE:
        raise FileError(
            f"the host cannot read the workspace: {error.strerror}", errno=error.errno
        ) from error
    return MOVED if error.errno in _REPLACED else UNREADABLE


def type_of(status: os.stat_result) -> FileType:
    """What kind of thing it is."""
    kinds = {
        stat.S_IFREG: FileType.FILE,
        stat.S_IFDIR: FileType.DIR,
        stat.S_IFLNK: FileType.SYMLINK,
    }
    return kinds.get(stat.S_IFMT(status.st_mode), FileType.OTHER)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turns what the kernel says about a path into what to do about it."""
    try:
        yield
    except Refused as refused:
        raise bad_path(path, str(refused)) from None
    except OSError as error:
        texts = {
            errno.ENOENT: "does not exist in the workspace",
            errno.ENOTDIR: "leads through or to something that is not a folder; links are never followed",
            errno.ELOOP: "is a link, which is never followed",
            errno.EACCES: "cannot be read: the code took the permission away",
            errno.EAGAIN: "is held by a lease of a running process; try again later",
        }
        text = texts.get(error.errno or 0, f"cannot be read: {error.strerror}")
        raise bad_path(path, text, error.errno or errno.EIO) from error
