"""Writes files into a folder of the host that were made by hostile code: new, not executable, through no link.

Who else can write to the folder may plant links there. So every component is opened below the one before and never as
a link, a file is made new or not at all (O_EXCL), and a file that may be replaced is replaced by a rename.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from protocell._printable import printable_line
from protocell.errors import FileError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE_MODE = 0o644  # never executable; the umask may take more away
_NEW_FOLDER_MODE = 0o755


class Landing:
    """A folder of the host; what is in the way is replaced only with ``overwrite``, and only regular files are."""

    def __init__(self, folder: str, *, overwrite: bool) -> None:
        """Raises FileError if it is no folder and cannot be made."""
        self._folder = folder
        self._overwrite = overwrite
        try:
            os.makedirs(folder, exist_ok=True)
            # The path itself is the caller's: a link in it is meant.
            self._root = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
        except OSError as error:
            raise self._failed("", error) from error

    def close(self) -> None:
        """Let go of it."""
        os.close(self._root)

    def check(self, path: str) -> None:
        """Raises FileError if something is in the way of a file."""
        try:
            with self._parent(path, make=False) as (folder, name):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failed(path, error) from error
        self._check_replaceable(path, status)

    def _check_replaceable(self, path: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            text = "is not a regular file, so it is not replaced"
        elif not self._overwrite:
            text = "exists; choose another folder, or pass overwrite=True"
        else:
            return
        raise FileError(f"{self._shown(path)} {text}", path=path, errno=errno.EEXIST)

    def make_folder(self, path: str) -> None:
        """A folder, if it is not there yet; raises FileError."""
        try:
            with self._parent(f"{path}/x", make=True):
                return
        except OSError as error:
            raise self._failed(path, error) from error

    @contextmanager
    def new_file(self, path: str) -> Iterator[int]:
        """A descriptor for writing; the file has its name when it is whole, and is not there otherwise.

        Raises:
            FileError: something is in the way, or it cannot be written.
        """
        try:
            with self._parent(path, make=True) as (folder, name):
                # A name that is not taken is made visible at once, which costs no second name in the folder.
                yield from self._made(folder, name, path)
        except FileError:
            raise
        except FileExistsError as error:
            text = f"{self._shown(path)} exists; choose another folder, or pass overwrite=True"
            raise FileError(text, path=path, errno=error.errno) from error
        except OSError as error:
            raise self._failed(path, error) from error

    def _made(self, folder: int, name: str, path: str) -> Iterator[int]:
        temporary = f".protocell-{secrets.token_hex(8)}" if self._overwrite else name
        descriptor = os.open(temporary, _NEW_FILE, _NEW_FILE_MODE, dir_fd=folder)
        try:
            try:
                yield descriptor
            finally:
                os.close(descriptor)
            if temporary != name:
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    self._check_replaceable(path, status)
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise

    @contextmanager
    def _parent(self, path: str, *, make: bool) -> Iterator[tuple[int, str]]:
        *above, name = path.split("/")
        folder = os.dup(self._root)
        try:
            for part in above:
                if make:
                    with contextlib.suppress(
                        FileExistsError
                    ):  # what it is, the next line finds out
                        os.mkdir(part, _NEW_FOLDER_MODE, dir_fd=folder)
                below = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder, name
        finally:
            os.close(folder)

    def _shown(self, path: str) -> str:
        return f"'{printable_line(os.path.join(self._folder, path))}'"

    def _failed(self, path: str, error: OSError) -> FileError:
        links = {errno.ELOOP, errno.ENOTDIR}
        text = error.strerror or str(error)
        if path and error.errno in links:
            text = "a link or a file is where a folder should be"
        message = f"cannot write {self._shown(path)}: {text}"
        return FileError(message, path=path, errno=error.errno)
