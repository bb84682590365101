"""The folder of the skills on the host: files are put there whole or not at all, and no link in it is followed.

Theory of operation
-------------------
The folder is the user's, and who writes in it is the host alone: a sandbox has it mounted read-only. Links are
followed once, to the folder itself; what is in it is opened by its name below a descriptor of the folder, with
O_NOFOLLOW, looked at on the descriptor, and read up to its bound.

A new text goes into a file of its own, whose name begins with a point, and gets its name when it is on the disk: by
link(2), which fails where there is one of that name, or by rename(2), which puts it in the place of that. So whoever
reads sees the old text or the new one. What stands there and is no regular file is neither read nor replaced.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import NamedTuple

from protocell.errors import FileError, PolicyError
from protocell.tools.skill_text import is_name
from protocell_guest.skill_terms import MOST_BYTES

MOST_FILE_BYTES = MOST_BYTES + 40 * 1024
"""The text, and the line about it."""
MOST_SKILLS = 1_000
_MOST_ENTRIES = 10_000
_ENDING = ".py"
_FOR_ALL_TO_READ = 0o755
_NO_LINKS_THERE = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Stamp(NamedTuple):
    """By which it is seen that a file is another one, or has been written."""

    inode: int
    size: int
    modified: int
    changed: int


class Listing(NamedTuple):
    """What is in the folder."""

    skills: dict[str, Stamp]
    """By name, sorted."""
    left_out: dict[str, str]
    """Files that end as skills do and are none, with the reason."""


class SkillFolder:
    """Files that are skills, by their names."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Makes the folder where it is not there.

        Raises:
            PolicyError: it is no folder, or cannot be made.
        """
        try:
            self.path = os.path.realpath(os.path.expanduser(os.fspath(path)))
            with suppress(FileExistsError):
                os.mkdir(self.path)
                # Whatever the umask: who runs inside may be another user.
                os.chmod(self.path, _FOR_ALL_TO_READ)
            with self._opened():
                pass
        except (OSError, ValueError, TypeError) as error:
            why = getattr(error, "strerror", None) or error
            raise PolicyError(f"the folder of skills is {path!r:.200}: {why}") from error

    @contextmanager
    def _opened(self) -> Iterator[int]:
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield folder
        finally:
            os.close(folder)

    def list(self) -> Listing:
        """What is there now.

        Raises:
            FileError: the folder cannot be read.
        """
        found: dict[str, Stamp] = {}
        left_out: dict[str, str] = {}
        try:
            with self._opened() as folder, os.scandir(folder) as entries:
                for entry in islice(entries, _MOST_ENTRIES):
                    if entry.name.endswith(_ENDING) and not entry.name.startswith((".", "_")):
                        _look(entry, found, left_out)
        except OSError as error:
            raise _cannot("be listed", self.path, error) from error
        names = sorted(found)
        left_out |= dict.fromkeys(names[MOST_SKILLS:], f"beyond the first {MOST_SKILLS:,}")
        return Listing({name: found[name] for name in names[:MOST_SKILLS]}, left_out)

    def read(self, name: str) -> bytes:
        """The file of a skill.

        Raises:
            FileError: there is none, it is no regular file, or larger than a skill may be.
        """
        try:
            with self._opened() as folder, _file(folder, name) as file:
                _check(os.fstat(file), name)
                data = b""
                while len(data) <= MOST_FILE_BYTES and (chunk := os.read(file, MOST_FILE_BYTES)):
                    data += chunk
        except OSError as error:
            raise _explained(name, error) from error
        if len(data) > MOST_FILE_BYTES:
            raise FileError(f"the skill {name!r} is too large", path=name, errno=errno.EFBIG)
        return data

    def write(self, name: str, data: bytes, *, replace: bool) -> None:
        """Put a file there, whole or not at all.

        Raises:
            FileError: there is one of that name and it is not to be replaced, or is no regular file; or
                it cannot be written.
        """
        try:
            with self._opened() as folder:
                there = _status(folder, name)
                if there is not None:
                    _check_replaceable(there, name, replace=replace)
                _put(folder, name, data, replace=replace)
        except OSError as error:
            raise _explained(name, error) from error

    def remove(self, name: str) -> None:
        """Take a file away, or a link, which is not followed.

        Raises:
            FileError: there is none.
        """
        try:
            with self._opened() as folder:
                os.unlink(name + _ENDING, dir_fd=folder)
        except OSError as error:
            raise _explained(name, error) from error


def _look(entry: os.DirEntry[str], found: dict[str, Stamp], left_out: dict[str, str]) -> None:
    name = entry.name.removesuffix(_ENDING)
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # taken away meanwhile, by another sandbox's owner
        return
    if not is_name(name):
        left_out[name] = "no name for a skill"
    elif not stat.S_ISREG(status.st_mode):
        left_out[name] = "no regular file; links are not followed"
    elif status.st_size > MOST_FILE_BYTES:
        left_out[name] = f"larger than {MOST_FILE_BYTES:,} bytes"
    else:
        found[name] = Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@contextmanager
def _file(folder: int, name: str) -> Iterator[int]:
    file = os.open(name + _ENDING, _READ, dir_fd=folder)
    try:
        yield file
    finally:
        os.close(file)


def _status(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name + _ENDING, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _check(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"the skill {name!r} is no regular file", path=name, errno=errno.EINVAL)


def _check_replaceable(status: os.stat_result, name: str, *, replace: bool) -> None:
    if not replace:
        raise FileExistsError(errno.EEXIST, "is there")
    _check(status, name)


def _put(folder: int, name: str, data: bytes, *, replace: bool) -> None:
    new = f".{name}.{secrets.token_hex(8)}.new"
    file = os.open(new, _NEW, 0o644, dir_fd=folder)
    try:
        try:
            os.fchmod(file, 0o644)  # whatever the umask
            unsent = memoryview(data)
            while unsent:
                unsent = unsent[os.write(file, unsent) :]
            os.fsync(file)
        finally:
            os.close(file)
        _name(folder, new, name + _ENDING, replace=replace)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(new, dir_fd=folder)


def _name(folder: int, new: str, name: str, *, replace: bool) -> None:
    if not replace:
        try:
            os.link(new, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS_THERE:
                raise
        else:
            return
    os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)


def _explained(name: str, error: OSError) -> FileError:
    """What the system says about a file as what to do about it; without the host's path, since code may read it."""
    if isinstance(error, FileError):
        return error
    texts = {
        errno.ENOENT: f"there is no skill {name!r}",
        errno.EEXIST: f"there is a skill {name!r} already: replace it (replace=True), or take another name",
        errno.ELOOP: f"the skill {name!r} is a link, which is never followed",
    }
    text = texts.get(error.errno or 0)
    if text is None:
        return _cannot("be read or written", name, error)
    return FileError(text, path=name, errno=error.errno)


def _cannot(what: str, path: str, error: OSError) -> FileError:
    text = f"the skills cannot {what}: {error.strerror}"
    return FileError(text, path=path, errno=error.errno)
