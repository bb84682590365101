"""Copies a folder of the host into the workspace, in steps, between which a caller may stop.

The folder is read as a workspace is: no link is followed, nothing but regular files is opened, and only on the folder's
own file system; what is left out is counted. What does not fit is refused before anything is written.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator

from protocell._workspace.opening import TOO_MANY_ENTRIES, normalise
from protocell._workspace.place import Place
from protocell._workspace.tally import Tally
from protocell._workspace.transfer import CHUNK_BYTES, write_all
from protocell._workspace.tree import WHOLE, Node, Tree
from protocell._workspace.writing import opened
from protocell.entries import Progress
from protocell.errors import FileError
from protocell.limits import Limits, format_size
from protocell_guest.plan import HOME

_EXECUTABLE_MODE = 0o755
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Upload:
    """A folder of the host on its way into the workspace."""

    def __init__(self, folder: str, target: str, limits: Limits) -> None:
        self._folder = folder
        self._target = normalise(target)
        self._limits = limits
        self.tally: Tally | None = None

    def steps(self, place: Place) -> Generator[Progress]:
        """Do it.

        Raises:
            FileError: the folder cannot be read, or is more than the limits allow, and nothing was written; or
                something is in the way, or there is no room any more, and the files so far stay.
        """
        try:
            folder = os.open(self._folder, _FOLDER)
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            self.tally = tally = self._plan(folder)
            folders = [self._inside(path) for path in tally.folders]
            with place.written([self._inside(node.path) for node in tally.files]):
                for path in (*self._above(), *folders):
                    place.ask("make_dir", path)
                for node in tally.files:
                    yield from self._copy(place, folder, node, tally)
        finally:
            os.close(folder)

    def _plan(self, folder: int) -> Tally:
        root = os.fstat(folder)
        tree = Tree(root, depth=WHOLE, most=self._limits.workspace_inodes)
        try:
            tree.walk(folder)
        except OSError as error:
            raise self._unreadable(error) from error
        tally = Tally(tree, root, most_bytes=None)
        self._check(tally)
        return tally

    def _check(self, tally: Tally) -> None:
        limits = self._limits
        if count := tally.left_out.get(TOO_MANY_ENTRIES):
            text = f"has {count} entries more than workspace_inodes, {limits.workspace_inodes}"
            raise self._too_much(text)
        if tally.total_bytes > limits.workspace_bytes:
            most = format_size(limits.workspace_bytes)
            size = format_size(tally.total_bytes)
            raise self._too_much(f"has {size}, more than workspace_bytes, {most}")
        for node in tally.files:
            if node.status.st_size > limits.file_bytes:
                most = format_size(limits.file_bytes)
                raise self._too_much(f"has a file larger than file_bytes, {most}: {node.path!r}")

    def _copy(self, place: Place, folder: int, node: Node, tally: Tally) -> Generator[Progress]:
        found = tally.open(folder, node)
        if found is None:
            return
        source, status = found
        path = self._inside(node.path)
        try:
            left = min(status.st_size, self._limits.file_bytes)
            mode = _EXECUTABLE_MODE if status.st_mode & stat.S_IXUSR else None
            with opened(place, path, mode=mode) as target:
                while left > 0 and (chunk := os.read(source, min(left, CHUNK_BYTES))):
                    write_all(target, chunk, path)
                    tally.done_bytes += len(chunk)
                    left -= len(chunk)
                    if left > 0:
                        yield tally.progress
        finally:
            os.close(source)
        tally.done_files += 1
        yield tally.progress

    def _above(self) -> list[str]:
        """The target, and the folders above it."""
        return ["/".join(self._target[:end]) for end in range(1, len(self._target) + 1)]

    def _inside(self, path: str) -> str:
        """Where it goes; raises FileError if that is too deep or too long."""
        return "/".join(normalise("/".join((HOME, *self._target, path))))

    def _unreadable(self, error: OSError) -> FileError:
        text = f"cannot read the folder {self._folder!r}: {error.strerror}"
        return FileError(text, path=self._folder, errno=error.errno)

    def _too_much(self, text: str) -> FileError:
        message = f"the folder {self._folder!r} {text}; nothing was written"
        return FileError(message, path=self._folder, errno=errno.EFBIG)
