"""Walks a tree once to tell what is there, for a listing or a copy: bounded, and through no link.

The tree may be the code's: as deep and wide as it likes, in motion, perhaps endless. So there is no recursion, one
descriptor a level, at most so many levels, entries and characters; what lies beyond is counted, by reason. Nothing
but folders is opened. Of what is found, each folder comes before what is in it.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass

from protocell._workspace.opening import (
    MOVED,
    TOO_MANY_ENTRIES,
    Refused,
    open_root,
    open_subfolder,
    reason_of,
)
from protocell._workspace.paths import MAX_DEPTH
from protocell._workspace.walk import TOO_DEEP, unfit

WHOLE = MAX_DEPTH + 1
"""A depth that leaves nothing out; what is deeper than any path is counted."""

BRANCHES = ".branches"
"""Of the workspace: the folders of branches, one each, which are told only to who asks for them by name."""
OF_BRANCHES = "folders of branches"

_CHARACTERS_PER_ENTRY = 1024
_MOST_COUNTED = 65_536  # a folder that is written while it is listed need not end (CVE-2024-46701)


@dataclass(frozen=True, slots=True)
class Node:
    """Something that has a name in the tree."""

    path: str
    """Below the root, with ``/``."""
    status: os.stat_result
    target: str | None
    """What a link says, if it could be read."""

    @property
    def is_folder(self) -> bool:
        """Whether there may be something below it."""
        return stat.S_ISDIR(self.status.st_mode)


class Tree:
    """What lies below one folder: ``nodes``, and how many entries were ``left_out``."""

    def __init__(
        self, root: os.stat_result, *, depth: int, most: int, without: str | None = None
    ) -> None:
        """Only the file system of ``root`` is entered; ``without`` is a folder at the top that is only counted."""
        self.nodes: list[Node] = []
        self.left_out: Counter[str] = Counter()
        self._root = root
        self._depth = depth
        self._most = most
        self._without = without
        self._seen = 0
        self._characters_left = most * _CHARACTERS_PER_ENTRY
        self._stack: list[tuple[int, str, list[str]]] = []  # descriptor, path with "/", folders

    def walk(self, folder: int, prefix: str = "") -> None:
        """Look at everything below a folder, whose paths begin with ``prefix``; to be called once.

        Raises:
            OSError: the folder itself cannot be read.
            FileError: this process has run out of descriptors or memory.
        """
        try:
            self._enter(open_root(folder), prefix)
            while self._stack:
                self._step(len(prefix.split("/")) - 1)
        finally:
            for descriptor, _, _ in self._stack:
                os.close(descriptor)
        self.nodes.sort(key=lambda node: node.path.split("/"))

    def _step(self, level: int) -> None:
        """Enter the next folder below the current one, or leave the current one."""
        descriptor, prefix, names = self._stack[-1]
        if not names:
            self._stack.pop()
            os.close(descriptor)
            return
        name = names.pop()
        if level + len(self._stack) >= MAX_DEPTH:
            self.left_out[TOO_DEEP] += 1
            return
        try:
            self._enter(open_subfolder(descriptor, name, self._root), f"{prefix}{name}/")
        except Refused as refused:
            self.left_out[refused.reason] += 1
        except OSError as error:
            self.left_out[reason_of(error)] += 1

    def _enter(self, descriptor: int, prefix: str) -> None:
        folders: list[str] = []
        self._stack.append((descriptor, prefix, folders))
        with os.scandir(descriptor) as entries:
            for entry in entries:
                self._seen += 1
                if self._seen > self._most + _MOST_COUNTED:
                    break  # so many more, at least
                self._visit(descriptor, entry, prefix, folders)

    def _visit(
        self, descriptor: int, entry: os.DirEntry[str], prefix: str, folders: list[str]
    ) -> None:
        path = prefix + entry.name
        if path == self._without and entry.is_dir(follow_symlinks=False):
            self.left_out[OF_BRANCHES] += 1
            return
        if reason := unfit(entry.name, path):
            self.left_out[reason] += 1
            return
        if len(self.nodes) >= self._most or self._characters_left < len(path):
            self.left_out[TOO_MANY_ENTRIES] += 1
            return
        try:
            node = Node(path, entry.stat(follow_symlinks=False), _target(descriptor, entry))
        except FileNotFoundError:  # removed since the folder was read
            return
        self._characters_left -= len(path) + len(node.target or "")
        self.nodes.append(node)
        if node.is_folder and len(self._stack) < self._depth:
            folders.append(entry.name)


def _target(descriptor: int, entry: os.DirEntry[str]) -> str | None:
    if not entry.is_symlink():
        return None
    return target_of(descriptor, entry.name)


def target_of(folder: int, name: str) -> str | None:
    """What a link says; None if there is none any more."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        return None if reason_of(error) == MOVED else ""
