"""Copies a folder of the workspace to the host, in steps, between which a caller may stop.

What is there is the code's, and in motion. Regular files come out, with the bounds of everything that comes out; links,
FIFOs, sockets, what is too much, and names that are not printable on one line are left out and counted.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing

from protocell._workspace.landing import Landing
from protocell._workspace.opening import explained, normalise, open_folder
from protocell._workspace.place import Place
from protocell._workspace.tally import Tally
from protocell._workspace.transfer import CHUNK_BYTES
from protocell._workspace.tree import BRANCHES, WHOLE, Node, Tree
from protocell.entries import Progress
from protocell.limits import Limits


class Download:
    """A folder of the workspace on its way to the host."""

    def __init__(self, path: str, folder: str, limits: Limits, *, overwrite: bool) -> None:
        self._path = path
        self._parts = normalise(path)
        self._folder = folder
        self._limits = limits
        self._overwrite = overwrite
        self.tally: Tally | None = None

    def steps(self, place: Place) -> Generator[Progress]:
        """Do it.

        Raises:
            FileError: there is no such folder, or something is in the way on the host, and nothing was written; or
                the host cannot write, and the files so far stay.
        """
        with place.workspace() as workspace:
            root = os.fstat(workspace)
            with explained(self._path):
                start = open_folder(workspace, self._parts, root)
        try:
            self.tally = tally = self._plan(start, root)
            with closing(Landing(self._folder, overwrite=self._overwrite)) as landing:
                for node in tally.files:
                    landing.check(node.path)
                for folder in tally.folders:
                    landing.make_folder(folder)
                for node in tally.files:
                    yield from self._copy(landing, start, node, tally)
        finally:
            os.close(start)

    def _plan(self, start: int, root: os.stat_result) -> Tally:
        without = None if self._parts else BRANCHES
        tree = Tree(root, depth=WHOLE, most=self._limits.workspace_inodes, without=without)
        with explained(self._path):
            tree.walk(start)
        return Tally(tree, root, most_bytes=self._limits.files_out_bytes)

    def _copy(self, landing: Landing, start: int, node: Node, tally: Tally) -> Generator[Progress]:
        found = tally.open(start, node)
        if found is None:
            return
        source, status = found
        left = status.st_size  # no more, however it grows
        try:
            with landing.new_file(node.path) as target:
                while left > 0 and (chunk := os.read(source, min(left, CHUNK_BYTES))):
                    _write(target, chunk)
                    tally.done_bytes += len(chunk)
                    left -= len(chunk)
                    if left > 0:
                        yield tally.progress
        finally:
            os.close(source)
        tally.done_files += 1
        yield tally.progress


def _write(target: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(target, left) :]
