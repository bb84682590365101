"""Reads the files that a walk has set aside, within bounds, and finds out which of them have another content.

What is not read because a bound was reached is counted, and remembered as it is now.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from hashlib import sha256

from protocell._workspace.opening import MOVED, Refused, open_file, read_at_most, reason_of
from protocell._workspace.walk import OUT_OF_TIME, Key, Known, Walk, key_of
from protocell.files import Change
from protocell.limits import KIB

TOO_LARGE = "too large"
TOO_MANY_BYTES = "too many bytes"
TOO_MANY_FILES = "too many files"
NOT_COMPARED = "not compared"

HELD_BYTES = 256 * KIB
_CHUNK_BYTES = 256 * KIB


@dataclass(frozen=True, slots=True)
class Content:
    """What was read of a file; the bytes are None if there are too many to be held."""

    key: Key
    size: int
    digest: bytes
    held: bytes | None


@dataclass(frozen=True, slots=True)
class Found:
    """A file to report."""

    path: str
    change: Change
    content: Content


class _OverBudget(Refused):
    """The file could be read, and is not, because a bound was reached."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, reason)


class Reading:
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
        self.found: list[Found] = []
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

    def _content(self, path: str) -> Content:
        if time.monotonic() >= self._walk.deadline:
            raise _OverBudget(OUT_OF_TIME)
        descriptor, status = open_file(self._workspace_fd, tuple(path.split("/")), self._root)
        try:
            self._spend(status.st_size)
            if status.st_size <= self._held_left:
                held = read_at_most(descriptor, status.st_size)
                return Content(key_of(status), len(held), sha256(held).digest(), held)
            size, digest = self._digest(descriptor, status.st_size)
            return Content(key_of(status), size, digest, None)
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

    def _compare(self, path: str, content: Content, old: Known | None) -> None:
        self._walk.settle(path, content.key, content.digest)
        if old is not None and old.digest == content.digest:
            return
        if len(self.found) >= self._max_files:
            self._walk.left_out[TOO_MANY_FILES] += 1
            return
        if content.held is not None:
            self._held_left -= content.size
        self.found.append(Found(path, "made" if old is None else "changed", content))

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
