"""What came out of a sandbox, as values that can be shown, kept and saved without trusting what made them.

A path here is relative to /home/user, written with "/", and printable on one line: names that are not were left
out and counted before. Content is bytes. Nothing is unpacked, rendered, imported or made executable.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

from protocell._printable import printable_line
from protocell.errors import FileError
from protocell.limits import format_size

Change = Literal["made", "changed"]

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE_MODE = 0o644  # never executable; the umask may take more away
_SHOWN_IN_REPR = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceFile:
    """A regular file that an execution made or changed, as it was when the execution had ended.

    Small files are held in memory. Larger ones are read when asked for, and compared with the digest, so what
    comes back is what was reported or an error. They keep the workspace alive as long as this object lives.
    """

    path: str
    size: int
    sha256: str
    change: Change
    _reader: Callable[[], bytes] = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.path or self.size < 0 or len(self.sha256) != 64:
            raise ValueError(f"not a file: {self!r}")
        if self.change not in ("made", "changed"):
            raise ValueError(f"change is {self.change!r}; allowed are 'made' and 'changed'")

    def read(self) -> bytes:
        """The content that was reported.

        Raises:
            FileError: the file has changed since, or is gone.
        """
        try:
            content = self._reader()
        except FileError as error:
            raise FileError(
                f"{self._stale()} ({error})", path=self.path, errno=error.errno
            ) from error
        if sha256(content).hexdigest() != self.sha256:
            raise FileError(self._stale(), path=self.path)
        return content

    def text(self, encoding: str = "utf-8") -> str:
        """The content that was reported, as text.

        Raises:
            FileError: the file has changed since, is gone, or is not text in this encoding.
        """
        try:
            return self.read().decode(encoding)
        except UnicodeDecodeError as error:
            raise FileError(
                f"{self.path!r} is not {encoding} text (byte {error.start}); use read() for its bytes",
                path=self.path,
            ) from error

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Writes the content to a file of this machine that is not there yet, or replaces a regular file.

        Raises:
            FileError: the target exists, is no regular file, or cannot be written; or ``read`` would raise.
        """
        target = os.fspath(path)
        content = self.read()
        try:
            (_replace if overwrite else _write_new)(target, content)
        except FileExistsError as error:
            message = f"{_shown(target)} exists; choose another name, or pass overwrite=True"
            raise FileError(message, path=target, errno=error.errno) from error
        except FileError:
            raise
        except OSError as error:
            raise self._not_saved(target, error.strerror or str(error), error.errno) from error
        except ValueError as error:
            raise self._not_saved(target, "a name cannot have a NUL byte in it") from error

    def _not_saved(self, target: str, reason: str, number: int | None = None) -> FileError:
        text = f"cannot save {self.path!r} as {_shown(target)}: {reason}"
        return FileError(text, path=target, errno=number)

    def _stale(self) -> str:
        return f"{self.path!r} has changed since it was reported; use sandbox.files.read for what is there now"


class FileSet(Mapping[str, WorkspaceFile]):
    """The files that an execution made or changed, by path; what it removed; and how many are not listed here.

    ``left_out`` maps a reason to a count, e.g. ``{"too many files": 12, "not a regular file": 1}``. What stays as
    it is (a link, say) is counted once, by the execution that made it, and not again by each later one.
    """

    __slots__ = ("_files", "left_out", "removed")

    def __init__(
        self,
        files: Iterable[WorkspaceFile] = (),
        *,
        removed: Iterable[str] = (),
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        self._files = {file.path: file for file in sorted(files, key=lambda file: file.path)}
        self.removed: tuple[str, ...] = tuple(sorted(removed))
        self.left_out: Mapping[str, int] = MappingProxyType(dict(left_out or {}))

    def __getitem__(self, path: str) -> WorkspaceFile:
        return self._files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        files = [f"{f.path!r} {f.change}, {format_size(f.size)}" for f in self._files.values()]
        removed = [f"{path!r} removed" for path in self.removed]
        left_out = [f"{count} left out: {reason}" for reason, count in self.left_out.items()]
        return f"FileSet({'; '.join(_some(files) + _some(removed) + left_out) or 'nothing'})"


def _some(texts: list[str]) -> list[str]:
    more = len(texts) - _SHOWN_IN_REPR
    return texts if more <= 0 else [*texts[:_SHOWN_IN_REPR], f"{more} more"]


def _shown(path: str) -> str:
    return f"'{printable_line(path)}'"


def _write_new(target: str, content: bytes) -> None:
    """Makes the file, or nothing: O_EXCL refuses whatever is there, a dangling link included (open(2))."""
    with open(os.open(target, _NEW_FILE, _NEW_FILE_MODE), "wb") as stream:
        try:
            stream.write(content)
            stream.flush()
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(target)
            raise


def _replace(target: str, content: bytes) -> None:
    """Puts a new file in the place of a regular one, in one step; a link is not followed and not replaced."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(target).st_mode):
            raise FileError(
                f"{_shown(target)} is not a regular file, so it is not replaced", path=target
            )
    temporary = os.path.join(os.path.dirname(target), f".protocell-{secrets.token_hex(8)}")
    _write_new(temporary, content)
    try:
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
