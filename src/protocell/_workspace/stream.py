"""Reads one file of a workspace in chunks, and never more bytes than may come out."""

from __future__ import annotations

import errno
import os

from protocell._workspace.opening import open_for_reading
from protocell._workspace.paths import bad_path
from protocell.limits import format_size

_CHUNK_BYTES = 256 * 1024


class Stream:
    """An open file that closes itself at its end, or when something is wrong with it."""

    def __init__(self, workspace_fd: int, *, path: str, most: int) -> None:
        """Raises FileError if there is no such file, it is no regular one, or too large."""
        self._file = open_for_reading(workspace_fd, path)
        size = os.fstat(self._file.fileno()).st_size
        if size > most:
            self._file.close()
            text = f"has {format_size(size)}; the limit is {format_size(most)}"
            raise bad_path(path, text, errno.EFBIG)
        self._path = path
        self._most = most
        self._left = most

    def chunk(self) -> bytes:
        """The next bytes; none at the end.

        Raises:
            FileError: the file has grown beyond what may come out.
        """
        if self._file.closed:
            return b""
        try:
            chunk = self._file.read(_CHUNK_BYTES) or b""
            self._left -= len(chunk)
            if self._left < 0:
                most = format_size(self._most)
                raise bad_path(self._path, f"has grown beyond the limit {most}", errno.EFBIG)
        except BaseException:
            self.close()
            raise
        if not chunk:
            self.close()
        return chunk

    def close(self) -> None:
        """Read no more; may be called twice."""
        self._file.close()
