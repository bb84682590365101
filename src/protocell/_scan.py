"""Finds out which files an execution made, changed or removed, at a price that one of a millisecond can pay.

Theory of operation
-------------------
A ``Scanner`` remembers a key (inode, size, mtime, ctime) for each regular file of the workspace and, of what it read,
a digest. A scan walks the tree (_walk.py), and reads those files only whose key is new, in the order of their
paths. A file is *changed* if its content is another one: writing the same bytes again, or ``touch``, is no change. If
the content before is not known, another key is enough.

**Bounds.** Reading stops at the files and bytes that may be taken out, and at the deadline of the whole scan. What is
left out for that is counted and remembered as it is, so the next scan does not take it for the next execution's work.

**Not seen.** A page that was written through a shared mapping can be written again without any stamp, because tmpfs
has no write-back that would protect the page again. So what a long-living ``numpy.memmap`` changes in place is seen
in the execution that touches the page first, and within two ticks of a scan; otherwise with the file's next stamp.

A scan is not atomic: what still runs inside can change a file that was looked at already; that is the next scan's.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from protocell._paths import normalise
from protocell._walk import OUT_OF_TIME, Key, Known, Walk, key_of
from protocell._workspace import MOVED, Handle, Refused, open_file, read_at_most, reason_of
from protocell.files import Change, FileSet, WorkspaceFile
from protocell.limits import KIB, MIB

TOO_LARGE = "too large"
TOO_MANY_BYTES = "too many bytes"
TOO_MANY_FILES = "too many files"
NOT_COMPARED = "not compared"
REMOVED_NOT_NAMED = "removed, not named"

HELD_BYTES = 256 * KIB
_ACCEPTED_BYTES = 16 * MIB
_CHUNK_BYTES = 256 * KIB


class Scanner:
    """Remembers the workspace and tells what has changed since; for one thread at a time.

    ``workspace_fd`` stays the caller's, and open as long as scans are made.
    """

    def __init__(
        self,
        workspace_fd: int,
        *,
        max_files: int = 256,
        max_bytes: int = 256 * MIB,
        max_entries: int = 16_384 + 1024,
        max_seconds: float = 5.0,
    ) -> None:
        self._workspace_fd = workspace_fd
        self._root = os.fstat(workspace_fd)
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._max_seconds = max_seconds
        self._known: dict[str, Known] = {}
        self._counted: set[tuple[str, str]] = set()
        self._handle: weakref.ref[Handle] | None = None

    def scan(self) -> FileSet:
        """What was made, changed and removed since the last scan; the first one reports everything there is.

        Raises:
            FileError: this process has run out of descriptors or memory; the next scan tells it all.
        """
        if not self._known and not self._counted and self._is_empty():
            return FileSet()
        walk = self._walk()
        found = self._read(walk, max_files=self._max_files, max_bytes=self._max_bytes)
        removed = sorted(self._known.keys() - walk.settled.keys())
        if len(removed) > self._max_files:
            walk.left_out[REMOVED_NOT_NAMED] = len(removed) - self._max_files
        files = [self._file(each) for each in found]
        self._known, self._counted = walk.settled, walk.counted
        return FileSet(files, removed=removed[: self._max_files], left_out=walk.left_out)

    def _is_empty(self) -> bool:
        try:
            return not os.listdir(self._workspace_fd)
        except OSError:  # the walk says what is wrong
            return False

    def accept(self, paths: Iterable[str] | None = None) -> None:
        """Takes these files (None: all) as they are, so that what the host wrote or removed itself is not reported.

        Digests are made of 16 MiB at most; of the files beyond, any new stamp counts as a change.

        Raises:
            FileError: a path leaves the workspace, or this process has run out of descriptors or memory.
        """
        if paths is None:
            walk = self._walk()
            self._read(walk, max_files=len(walk.suspects), max_bytes=_ACCEPTED_BYTES)
            self._known, self._counted = walk.settled, walk.counted
            return
        wanted = [parts for parts in map(normalise, paths) if parts]
        walk = self._new_walk({})
        for parts in wanted:
            walk.look_at(self._workspace_fd, parts)
        self._read(walk, max_files=len(wanted), max_bytes=_ACCEPTED_BYTES)
        for path in map("/".join, wanted):
            self._known.pop(path, None)
        self._known |= walk.settled

    def _walk(self) -> Walk:
        walk = self._new_walk(self._known)
        walk.run(self._workspace_fd)
        return walk

    def _new_walk(self, known: dict[str, Known]) -> Walk:
        deadline = time.monotonic() + self._max_seconds
        return Walk(
            self._root, known, self._counted, max_entries=self._max_entries, deadline=deadline
        )

    def _read(self, walk: Walk, *, max_files: int, max_bytes: int) -> list[_Found]:
        """Settles what the walk left open; what it could not see stays as it was."""
        reading = _Reading(
            self._workspace_fd, self._root, walk, max_files=max_files, max_bytes=max_bytes
        )
        for path, key in sorted(walk.suspects):
            reading.judge(path, key)
        for path in walk.known.keys() - walk.settled.keys():
            if not walk.covers(path):
                walk.settled[path] = walk.known[path]
        return reading.found

    def _file(self, found: _Found) -> WorkspaceFile:
        size, held = found.content.size, found.content.held
        later = partial(bytes, held) if held is not None else self._later(found.path, size)
        digest = found.content.digest.hex()
        return WorkspaceFile(
            path=found.path, size=size, sha256=digest, change=found.change, _reader=later
        )

    def _later(self, path: str, size: int) -> partial[bytes]:
        """Reads a file when asked to, with a descriptor that lives as long as one such file does."""
        handle = self._handle() if self._handle is not None else None
        if handle is None:
            handle = Handle(self._workspace_fd)
            self._handle = weakref.ref(handle)
        return partial(handle.read, path, size)


@dataclass(frozen=True, slots=True)
class _Content:
    """What was read of a file; the bytes are None if there are too many to be held."""

    key: Key
    size: int
    digest: bytes
    held: bytes | None


@dataclass(frozen=True, slots=True)
class _Found:
    """A file to report."""

    path: str
    change: Change
    content: _Content


class _OverBudget(Refused):
    """The file could be read, and is not, because a bound was reached."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, reason)


class _Reading:
    """Reads the suspects of a walk within bounds, and settles each."""

    def __init__(
        self,
        workspace_fd: int,
        root: os.stat_result,
        walk: Walk,
        *,
        max_files: int,
        max_bytes: int,
    ) -> None:
        self.found: list[_Found] = []
        self._workspace_fd = workspace_fd
        self._root = root
        self._walk = walk
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._bytes_left = max_bytes
        self._held_left = HELD_BYTES

    def judge(self, path: str, key: Key) -> None:
        """Settles one suspect, and reports it if it was made or changed."""
        old = self._walk.known.get(path)
        if old is not None and old.key == key:
            if old.digest is None:  # uncertain, and nothing to compare with
                self._walk.settle(path, key, None)
                return
        elif len(self.found) >= self._max_files:
            self._not_read(path, key, TOO_MANY_FILES)
            return
        try:
            content = self._content(path)
        except _OverBudget as over:
            self._not_read(path, key, over.reason)
        except Refused:  # it was a regular file when the walk came by
            self._moved(path)
        except OSError as error:
            if (reason := reason_of(error)) == MOVED:
                self._moved(path)
            else:
                self._not_read(path, key, reason)
        else:
            self._compare(path, content, old)

    def _content(self, path: str) -> _Content:
        if time.monotonic() >= self._walk.deadline:
            raise _OverBudget(OUT_OF_TIME)
        descriptor, status = open_file(self._workspace_fd, tuple(path.split("/")), self._root)
        try:
            self._spend(status.st_size)
            if status.st_size <= self._held_left:
                held = read_at_most(descriptor, status.st_size)
                return _Content(key_of(status), len(held), sha256(held).digest(), held)
            size, digest = self._digest(descriptor, status.st_size)
            return _Content(key_of(status), size, digest, None)
        finally:
            os.close(descriptor)

    def _spend(self, size: int) -> None:
        if size > self._max_bytes:
            raise _OverBudget(TOO_LARGE)
        if size > self._bytes_left:
            raise _OverBudget(TOO_MANY_BYTES)
        self._bytes_left -= size

    def _digest(self, descriptor: int, size: int) -> tuple[int, bytes]:
        """The bytes read and their digest; no more than the file had when it was opened, so a writer cannot hold us."""
        digest = sha256()
        left = size
        while left > 0 and (chunk := os.read(descriptor, min(left, _CHUNK_BYTES))):
            digest.update(chunk)
            left -= len(chunk)
            if time.monotonic() >= self._walk.deadline:
                raise _OverBudget(OUT_OF_TIME)
        return size - left, digest.digest()

    def _compare(self, path: str, content: _Content, old: Known | None) -> None:
        self._walk.settle(path, content.key, content.digest)
        if old is not None and old.digest == content.digest:
            return
        if len(self.found) >= self._max_files:
            self._walk.left_out[TOO_MANY_FILES] += 1
            return
        if content.held is not None:
            self._held_left -= content.size
        self.found.append(_Found(path, "made" if old is None else "changed", content))

    def _not_read(self, path: str, key: Key, reason: str) -> None:
        """Remembers the file unread, so that the next scan does not take it for the work of the next execution."""
        old = self._walk.known.get(path)
        if old is not None and old.key == key:
            self._walk.settled[path] = old
            self._walk.left_out[NOT_COMPARED] += 1
        else:
            self._walk.settle(path, key, None)
            self._walk.left_out[reason] += 1

    def _moved(self, path: str) -> None:
        """It is not what the walk saw any more; the next scan tells what became of it."""
        self._walk.left_out[MOVED] += 1
        if path in self._walk.known:
            self._walk.settled[path] = self._walk.known[path]
