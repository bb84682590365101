"""What a caller puts into a workspace: as chunks of bytes, within its limit, written through one descriptor."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterable, Generator, Iterable, Iterator
from typing import IO

from protocell.errors import FileError, PolicyError
from protocell.limits import format_size

Content = (
    bytes
    | bytearray
    | memoryview
    | str
    | os.PathLike[str]
    | IO[bytes]
    | IO[str]
    | Iterable[bytes]
    | AsyncIterable[bytes]
)

CHUNK_BYTES = 1024 * 1024
_NO_ROOM = (
    'no room is left in it; the limit is workspace_bytes (with isolation="process", the disk)'
)
_KINDS = (
    "bytes, text, a path object (pathlib.Path) of a host file, a file that is open for reading, "
    "or an iterable of bytes"
)


class Source:
    """The content for one file, in chunks, and never more than the file may have."""

    def __init__(self, path: str, data: object, most: int) -> None:
        """``path`` is for messages.

        Raises:
            PolicyError: the content is of another type.
            FileError: it is larger than ``most``.
        """
        self._path = path
        self._data = data
        self._most = most
        self._left = most
        if isinstance(data, str):
            self._data = data.encode("utf-8", "surrogatepass")
        if isinstance(self._data, bytes | bytearray | memoryview):
            self._data = memoryview(self._data).cast("B")
            if len(self._data) > most:
                raise self._too_large()
        elif not isinstance(data, os.PathLike | Iterable | AsyncIterable) and not _can_read(data):
            kind = type(data).__name__
            raise PolicyError(f"the content for {path!r} is {kind}; allowed is {_KINDS}")

    @property
    def later(self) -> AsyncIterable[object] | None:
        """The content, where one has to await it."""
        return self._data if isinstance(self._data, AsyncIterable) else None

    def chunks(self) -> Generator[memoryview]:
        """One chunk after the other; a file of the host is closed with the iterator.

        Raises:
            FileError: they are more than allowed, or the host's file cannot be read.
            PolicyError: a chunk is not bytes.
        """
        if isinstance(self._data, memoryview):
            yield self.bounded(self._data)
        elif isinstance(self._data, os.PathLike):
            yield from self._of_file(self._data)
        elif _can_read(self._data):
            while chunk := self._data.read(CHUNK_BYTES):  # type: ignore[attr-defined]
                as_text = isinstance(chunk, str)
                yield self.bounded(chunk.encode("utf-8", "surrogatepass") if as_text else chunk)
        elif isinstance(self._data, Iterable):
            for chunk in self._data:
                yield self.bounded(chunk)
        else:
            what = "an asynchronous iterable; only AsyncSandbox can wait for it"
            raise PolicyError(f"the content for {self._path!r} is {what}")

    def _of_file(self, path: os.PathLike[str]) -> Iterator[memoryview]:
        try:
            with open(path, "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size > self._most:
                    raise self._too_large()
                while chunk := file.read(CHUNK_BYTES):
                    yield self.bounded(chunk)
        except FileError:
            raise
        except OSError as error:
            text = f"cannot read {os.fspath(path)!r}: {error}"
            if error.errno == errno.EISDIR:
                what = "is a folder; show it with Policy(mounts=[Mount(source=..., target=...)])"
                text = f"{os.fspath(path)!r} {what}"
            raise FileError(text, path=self._path, errno=error.errno) from error

    def bounded(self, chunk: object) -> memoryview:
        """A chunk as bytes; raises FileError if it is one too many, PolicyError if it is something else."""
        if not isinstance(chunk, bytes | bytearray | memoryview):
            kind = type(chunk).__name__
            raise PolicyError(f"a chunk for {self._path!r} is {kind}; allowed is bytes")
        view = memoryview(chunk).cast("B")
        self._left -= len(view)
        if self._left < 0:
            raise self._too_large()
        return view

    def _too_large(self) -> FileError:
        limit = f"file_bytes, {format_size(self._most)}"
        message = f"the content for {self._path!r} is larger than the limit {limit}"
        return FileError(message, path=self._path)


def _can_read(data: object) -> bool:
    return callable(getattr(data, "read", None))


def write_all(descriptor: int, chunk: bytes | memoryview, path: str) -> None:
    """Write all of it; ``path`` is for the message.

    Raises:
        FileError: there is no room.
    """
    left = memoryview(chunk)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError as error:
        texts = {
            errno.ENOSPC: _NO_ROOM,
            errno.EDQUOT: _NO_ROOM,
            errno.EFBIG: "the file would be larger than the limit file_bytes",
        }
        why = texts.get(error.errno or 0, error.strerror)
        text = f"cannot write {path!r} in the workspace: {why}"
        raise FileError(text, path=path, errno=error.errno) from error
