"""Walks a hostile tree once, within bounds, and sets aside the files that need a closer look.

Theory of operation
-------------------
The tree is as deep and wide as its inodes allow, in motion, and perhaps endless. So the walk keeps its own stack (no
recursion), holds one descriptor a level, goes 64 levels deep, and stops at a number of entries, at a number of
characters in all their paths (what is remembered of a tree must not be larger than the tree), and at a deadline.

Each entry costs one fstatat(2); nothing is opened but folders. Files that have the remembered key are settled. The
others are *suspects*, for somebody else to read.

Both mtime and ctime come from a clock that ticks every 1 to 10 ms (finer since Linux 6.13, multigrain timestamps),
and a file that is written twice in one tick keeps its key. So a file whose ctime is within two of the slowest ticks
of the start of the walk is *uncertain*, and a suspect the next time, as in git's index ("racily clean").

What is left out is counted by reason, and remembered: an entry that was counted before is not counted again. Of a
folder that was not listed to its end nothing may be concluded: ``covers`` says which paths that concerns.
"""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from protocell._printable import is_printable_line
from protocell._workspace.opening import (
    MOVED,
    NOT_OURS,
    NOT_PRINTABLE,
    TOO_MANY_ENTRIES,
    Refused,
    check_readable,
    open_folder,
    open_root,
    open_subfolder,
    reason_of,
)
from protocell._workspace.paths import MAX_DEPTH, MAX_PATH_BYTES

TOO_DEEP = "too deep"
TOO_LONG = "path too long"
OUT_OF_TIME = "out of time"

UNCERTAIN_NANOSECONDS = 20_000_000  # two ticks of CONFIG_HZ=100

_CHARACTERS_PER_ENTRY = 256

Key = tuple[int, int, int, int]
"""st_ino, st_size, st_mtime_ns and st_ctime_ns; code inside can set all of them but the last."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a file; the digest is None if its content was not read."""

    key: Key
    digest: bytes | None
    uncertain: bool


class _Stop(Exception):  # noqa: N818 -- no error: a bound was reached
    """Ends the walk early; the text is the reason."""


class Walk:
    """One pass over the workspace: ``settled`` files, ``suspects``, and how many entries were ``left_out``."""

    def __init__(
        self,
        root: os.stat_result,
        known: Mapping[str, Known],
        counted: set[tuple[str, str]],
        *,
        max_entries: int,
        deadline: float,
    ) -> None:
        self.settled: dict[str, Known] = {}
        self.suspects: list[tuple[str, Key]] = []
        self.left_out: Counter[str] = Counter()
        self.counted: set[tuple[str, str]] = set()
        self._counted_before = counted
        self.known = known
        self._root = root
        self._started = time.time_ns()
        self._entries_left = max_entries
        self._characters_left = max_entries * _CHARACTERS_PER_ENTRY
        self.deadline = deadline
        self._unseen: set[str] = set()
        self._foreign: frozenset[str] = frozenset()
        self._stack: list[
            tuple[int, str, list[str]]
        ] = []  # descriptor, path with "/", folders still to be entered

    def run(self, workspace_fd: int) -> None:
        """Walks everything; raises FileError if this process has run out of descriptors or memory."""
        try:
            descriptor = open_root(workspace_fd)
        except OSError as error:  # the code may make its own home unreadable
            self._not_seen("", reason_of(error))
            return
        try:
            self._enter(descriptor, "")
            while self._stack:
                self._step()
        except _Stop as stop:
            self._give_up(str(stop))
        finally:
            for descriptor, _, _ in self._stack:
                os.close(descriptor)

    def leave_alone(self, folders: frozenset[str]) -> None:
        """These are not entered, and nothing is concluded of what is in them; called before ``run``."""
        self._foreign = folders
        self._unseen |= {f"{folder}/" for folder in folders}
        # What was left out there stays counted, for whom it is told to.
        for path, reason in self._counted_before:
            if any(path.startswith(f"{folder}/") for folder in folders):
                self.counted.add((path, reason))

    def look_at(self, workspace_fd: int, parts: tuple[str, ...]) -> None:
        """Looks at one file only; if it is not there, or is none, then it is neither settled nor a suspect."""
        try:
            folder = open_folder(workspace_fd, parts[:-1], self._root)
            try:
                status = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
            finally:
                os.close(folder)
            check_readable(status, self._root)
        except (OSError, Refused) as error:
            if isinstance(error, OSError):
                reason_of(error)
            return
        self._sort("/".join(parts), status)

    def settle(self, path: str, key: Key, digest: bytes | None) -> None:
        """Remembers a suspect as it is now; uncertain, if another write could still be stamped with this ctime."""
        uncertain = key[3] > self._started - UNCERTAIN_NANOSECONDS
        self.settled[path] = Known(key, digest, uncertain)

    def covers(self, path: str) -> bool:
        """Whether the walk would have met this file, were it still there."""
        if not self._unseen:
            return True
        folders = accumulate((f"{part}/" for part in path.split("/")[:-1]), initial="")
        return self._unseen.isdisjoint(folders)

    def _step(self) -> None:
        """Enters the next folder below the current one, or leaves the current one."""
        descriptor, prefix, names = self._stack[-1]
        if not names:
            self._stack.pop()
            os.close(descriptor)
            return
        name = names.pop()
        if prefix + name in self._foreign:
            return
        if len(self._stack) >= MAX_DEPTH:
            self._leave_out(prefix + name, TOO_DEEP)
            return
        try:
            below = open_subfolder(descriptor, name, self._root)
        except Refused as refused:
            self._leave_out(prefix + name, refused.reason)
        except FileNotFoundError:
            return  # removed since its parent was listed, and so is what was in it
        except OSError as error:
            self._not_seen(f"{prefix}{name}/", reason_of(error))
        else:
            self._enter(below, f"{prefix}{name}/")

    def _enter(self, descriptor: int, prefix: str) -> None:
        names: list[str] = []
        self._stack.append((descriptor, prefix, names))
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    self._visit(entry, prefix, names)
        except OSError as error:
            self._not_seen(prefix, reason_of(error))

    def _visit(self, entry: os.DirEntry[str], prefix: str, names: list[str]) -> None:
        path = prefix + entry.name
        self._spend(len(path))
        known = self.known.get(path)
        if known is None and (reason := unfit(entry.name, path)):
            self._leave_out(path, reason)
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # removed since the folder was read
            return
        if known is not None and known.key == key_of(status) and not known.uncertain:
            self.settled[path] = known  # nearly all entries of nearly all scans end here
        elif not stat.S_ISDIR(status.st_mode):
            self._sort(path, status)
        elif status.st_dev == self._root.st_dev:
            names.append(entry.name)
        else:
            self._leave_out(path, NOT_OURS)

    def _sort(self, path: str, status: os.stat_result) -> None:
        try:
            check_readable(status, self._root)
        except Refused as refused:
            self._leave_out(path, refused.reason)
        else:
            self.suspects.append((path, key_of(status)))

    def _spend(self, characters: int) -> None:
        self._entries_left -= 1
        self._characters_left -= characters
        if self._entries_left < 0 or self._characters_left < 0:
            raise _Stop(TOO_MANY_ENTRIES)
        if time.monotonic() >= self.deadline:
            raise _Stop(OUT_OF_TIME)

    def _give_up(self, reason: str) -> None:
        """Counts and remembers the folders that were not listed to their end; how much is in them is not known."""
        unseen = {f"{prefix}{name}/" for _, prefix, names in self._stack for name in names}
        unseen.add(self._stack[-1][1])
        self._unseen |= unseen
        self.left_out[reason] += len(unseen)

    def _not_seen(self, prefix: str, reason: str) -> None:
        self._unseen.add(prefix)
        self._leave_out(prefix, reason)

    def _leave_out(self, path: str, reason: str) -> None:
        """Counts an entry unless it was counted before; what came in motion is no state to remember."""
        if reason != MOVED:
            self.counted.add((path, reason))
        if (path, reason) not in self._counted_before:
            self.left_out[reason] += 1


def key_of(status: os.stat_result) -> Key:
    """What is remembered of a file's status."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def unfit(name: str, path: str) -> str:
    """Why a name is not told, or nothing."""
    if not is_printable_line(name):
        return NOT_PRINTABLE
    too_long = len(path) * 4 > MAX_PATH_BYTES and len(path.encode()) > MAX_PATH_BYTES
    return TOO_LONG if too_long else ""
