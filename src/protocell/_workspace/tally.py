"""What a copy of a folder is going to do and has done: the plan, how far it has come, and what it leaves out."""

from __future__ import annotations

import os
from collections import Counter

from protocell._workspace.opening import Refused, check_readable, open_file, reason_of
from protocell._workspace.reading import TOO_LARGE, TOO_MANY_BYTES
from protocell._workspace.tree import Node, Tree
from protocell.entries import Progress, Transfer


class Tally:
    """The folders and files of a tree that are to be copied."""

    def __init__(self, tree: Tree, root: os.stat_result, *, most_bytes: int | None) -> None:
        """Only regular files on the file system of ``root``, and so many bytes together (None: all)."""
        self.left_out: Counter[str] = tree.left_out
        self.folders: list[str] = []
        self.files: list[Node] = []
        self.total_bytes = self.done_files = self.done_bytes = 0
        self._root = root
        self._most_bytes = most_bytes
        for node in tree.nodes:
            if node.is_folder:
                if node.status.st_dev == root.st_dev:
                    self.folders.append(node.path)
            elif self._is_wanted(node.status, self.total_bytes):
                self.files.append(node)
                self.total_bytes += node.status.st_size

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return Progress(
            done_files=self.done_files,
            total_files=len(self.files),
            done_bytes=self.done_bytes,
            total_bytes=self.total_bytes,
        )

    @property
    def transfer(self) -> Transfer:
        """What it has done."""
        return Transfer(files=self.done_files, bytes=self.done_bytes, left_out=self.left_out)

    def open(self, folder: int, node: Node) -> tuple[int, os.stat_result] | None:
        """A descriptor of a file, for the caller to close, and its status; None if it is left out after all."""
        try:
            source, status = open_file(folder, tuple(node.path.split("/")), self._root)
        except Refused as refused:
            self.left_out[refused.reason] += 1
            return None
        except OSError as error:
            self.left_out[reason_of(error)] += 1
            return None
        if self._is_wanted(status, self.done_bytes):
            return source, status
        os.close(source)  # it has grown
        return None

    def _is_wanted(self, status: os.stat_result, before: int) -> bool:
        try:
            check_readable(status, self._root)
        except Refused as refused:
            self.left_out[refused.reason] += 1
            return False
        most = self._most_bytes
        if most is None or before + status.st_size <= most:
            return True
        self.left_out[TOO_LARGE if status.st_size > most else TOO_MANY_BYTES] += 1
        return False
