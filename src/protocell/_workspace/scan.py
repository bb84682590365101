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

**Folders that are set apart** belong to one branch each. What changes there waits for the scan after an execution of
that branch, as what a branch writes is nobody else's work.

**The host's own work** is not reported. What it is about to write or remove is *held*: scans do not look there. Then
it is *accepted* as it is, or *forgotten*. A renamed file keeps its digest: if its content is new, that is the code's.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from protocell._workspace.opening import Handle
from protocell._workspace.paths import normalise
from protocell._workspace.reading import Found, Reading
from protocell._workspace.walk import Known, Walk
from protocell.errors import FileError
from protocell.files import FileSet, WorkspaceFile
from protocell.limits import MIB

REMOVED_NOT_NAMED = "removed, not named"

_ACCEPTED_BYTES = 16 * MIB


class Scanner:
    """Remembers the workspace and tells what has changed since; one thread at a time, the others wait.

    ``workspace_fd`` stays the caller's, and open as long as scans are made; the methods about the host's own work
    take another descriptor of the same folder, since they run while somebody may close the first.
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
        self._held: Counter[str] = Counter()
        self._apart: frozenset[str] = frozenset()
        self._handle: weakref.ref[Handle] | None = None
        self._lock = threading.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether another thread uses it, so that one had to wait."""
        return self._lock.locked()

    def set_apart(self, folders: Iterable[str]) -> None:
        """Folders that are told to their owners alone, who name them to ``scan``."""
        with self._lock:
            self._apart = self._apart.union(folders)

    def put_together(self, folder: str) -> None:
        """It is nobody's any more."""
        with self._lock:
            self._apart -= {folder}

    def scan(self, own: str = "") -> FileSet:
        """What was made, changed and removed since the last scan; the first one reports everything there is.

        ``own`` is the folder that was set apart for who asks; those of others are left out.

        Raises:
            FileError: this process has run out of descriptors or memory; the next scan tells it all.
        """
        with self._lock:
            if self._workspace_fd < 0:
                raise FileError("the workspace is gone: its sandbox was closed; make a new one")
            if not self._known and not self._counted and self._is_empty():
                return FileSet()
            return self._scan(self._apart - {own})

    def close(self) -> None:
        """The caller closes the descriptor now; nothing is looked at through it any more."""
        with self._lock:
            self._workspace_fd = -1

    def _scan(self, foreign: frozenset[str]) -> FileSet:
        walk = self._walk(foreign)
        self._leave_held(walk)
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

    # -- the host's own work ----------------------------------------------------------------------

    @contextmanager
    def held(self, paths: Collection[str]) -> Iterator[None]:
        """Look neither at these paths nor below them meanwhile, whoever scans."""
        with self._lock:
            self._held.update(paths)
        try:
            yield
        finally:
            with self._lock:
                self._held.subtract(paths)
                self._held = +self._held

    def accept(
        self, paths: Iterable[str] | None = None, *, workspace_fd: int | None = None
    ) -> None:
        """Takes these files (None: all) as they are, so that what the host wrote itself is not reported.

        Digests are made of 16 MiB at most; of the files beyond, any new stamp counts as a change.

        Raises:
            FileError: a path leaves the workspace, or this process has run out of descriptors or memory.
        """
        wanted = None if paths is None else [parts for parts in map(normalise, paths) if parts]
        with self._lock:
            if wanted is None:
                walk = self._walk()
                self._read(walk, max_files=len(walk.suspects), max_bytes=_ACCEPTED_BYTES)
                self._known, self._counted = walk.settled, walk.counted
                return
            descriptor = self._workspace_fd if workspace_fd is None else workspace_fd
            walk = self._look_at(wanted, descriptor)
            self._read(walk, descriptor, max_files=len(wanted), max_bytes=_ACCEPTED_BYTES)
            for path in map("/".join, wanted):
                self._known.pop(path, None)
            self._known |= walk.settled

    def forget(self, path: str, *, workspace_fd: int) -> None:
        """What is not there any more, at this path and below it, was removed by the host."""
        with self._lock:
            below = [known for known in self._known if _is_below(known, path)]
            walk = self._look_at([tuple(known.split("/")) for known in below], workspace_fd)
            there = walk.settled.keys() | {known for known, _ in walk.suspects}
            for known in below:
                if known not in there:
                    del self._known[known]
            self._counted = {entry for entry in self._counted if not _is_below(entry[0], path)}

    def moved(self, old: str, new: str, *, workspace_fd: int) -> None:
        """What was at the old path, and below it, the host has brought to the new one."""
        with self._lock:
            kept = {
                path: known
                for path, known in self._known.items()
                if not _is_below(path, old) and not _is_below(path, new)
            }
            moved = {
                new + path[len(old) :]: known
                for path, known in self._known.items()
                if _is_below(path, old)
            }
            self._known = kept | moved
            self._counted = {
                (new + path[len(old) :] if _is_below(path, old) else path, reason)
                for path, reason in self._counted
            }
            self._restamp(new, workspace_fd)

    def _restamp(self, path: str, workspace_fd: int) -> None:
        """Renaming a file gives it a new ctime, which is no change; who compares contents does not mind."""
        known = self._known.get(path)
        if known is None:
            return
        walk = self._look_at([tuple(path.split("/"))], workspace_fd)
        for _, key in walk.suspects:
            if key[:3] == known.key[:3]:
                self._known[path] = Known(key, known.digest, uncertain=True)

    def _look_at(self, wanted: Iterable[tuple[str, ...]], workspace_fd: int) -> Walk:
        walk = self._new_walk({})
        for parts in wanted:
            walk.look_at(workspace_fd, parts)
        return walk

    def _leave_held(self, walk: Walk) -> None:
        """What the host is at work on stays as it was."""
        if not self._held:
            return
        walk.suspects = [suspect for suspect in walk.suspects if not self._is_held(suspect[0])]
        for path, known in self._known.items():
            if self._is_held(path):
                walk.settled[path] = known

    def _is_held(self, path: str) -> bool:
        return any(_is_below(path, held) for held in self._held)

    # -- walking and reading ----------------------------------------------------------------------

    def _walk(self, foreign: frozenset[str] = frozenset()) -> Walk:
        walk = self._new_walk(self._known)
        walk.leave_alone(foreign)
        walk.run(self._workspace_fd)
        return walk

    def _new_walk(self, known: dict[str, Known]) -> Walk:
        deadline = time.monotonic() + self._max_seconds
        return Walk(
            self._root, known, self._counted, max_entries=self._max_entries, deadline=deadline
        )

    def _read(
        self, walk: Walk, workspace_fd: int | None = None, *, max_files: int, max_bytes: int
    ) -> list[Found]:
        """Settles what the walk left open; what it could not see stays as it was."""
        descriptor = self._workspace_fd if workspace_fd is None else workspace_fd
        reading = Reading(descriptor, self._root, walk, max_files=max_files, max_bytes=max_bytes)
        for path, key in sorted(walk.suspects):
            reading.judge(path, key)
        for path in walk.known.keys() - walk.settled.keys():
            if not walk.covers(path):
                walk.settled[path] = walk.known[path]
        return reading.found

    def _file(self, found: Found) -> WorkspaceFile:
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


def _is_below(path: str, folder: str) -> bool:
    """Whether it is this path or lies below it; folders that were not seen end with a slash."""
    return path.startswith(folder) and path[len(folder) : len(folder) + 1] in {"", "/"}
