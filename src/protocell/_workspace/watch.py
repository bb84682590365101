"""Watches one folder of a workspace: what happens in it comes as events, in order, and no thread is needed.

Theory of operation
-------------------
The kernel queues the events (inotify(7)), bounded: 16,384 unless the machine says otherwise, then it says that some
were lost. We read a bounded part of the queue at a time and keep no more than that. The watch is on the folder, not on
its name, and holds no descriptor of it, so it keeps no workspace alive.

One thread or task reads at a time. Who stops the watch may be another one: then the descriptor is closed by the
reader, which is woken by the end of the watch itself. Nothing is read once it was stopped, so the waking stays.

Folders below are not watched. Each would take one of the watches that the kernel allows the user of this process, and
the code could use them all up for every other program of that user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
import threading
import weakref
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

from protocell._printable import is_printable_line
from protocell._waiter import Waiter
from protocell._workspace.opening import NOT_PRINTABLE
from protocell._workspace.paths import bad_path
from protocell.entries import FilesystemEvent, FilesystemEventType
from protocell.errors import BusyError, ClosedError, FileError, UnsupportedError

# inotify.h
IN_MODIFY = 0x00000002
IN_ATTRIB = 0x00000004
IN_MOVED_FROM = 0x00000040
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200
IN_DELETE_SELF = 0x00000400
IN_MOVE_SELF = 0x00000800
IN_UNMOUNT = 0x00002000
IN_Q_OVERFLOW = 0x00004000
IN_IGNORED = 0x00008000

MOST_EVENTS = 16_384
_READ_BYTES = 64 * 1024  # some 200 to 4,000 events
_EVENT = struct.Struct("=iIII")  # struct inotify_event: watch, mask, cookie, length of the name
_KINDS = (
    (IN_Q_OVERFLOW, FilesystemEventType.OVERFLOW),
    (IN_CREATE | IN_MOVED_TO, FilesystemEventType.CREATE),
    (IN_MODIFY, FilesystemEventType.WRITE),
    (IN_ATTRIB, FilesystemEventType.CHMOD),
    (IN_MOVED_FROM | IN_MOVE_SELF, FilesystemEventType.RENAME),
    (IN_DELETE | IN_DELETE_SELF, FilesystemEventType.REMOVE),
)
_WATCHED = (
    IN_CREATE
    | IN_MOVED_TO
    | IN_MODIFY
    | IN_ATTRIB
    | IN_MOVED_FROM
    | IN_MOVE_SELF
    | IN_DELETE
    | IN_DELETE_SELF
)


def start(folder: int, path: str) -> Watch:
    """Watch an open folder; ``path`` is for messages.

    Raises:
        UnsupportedError: this is not Linux.
        FileError: the kernel refuses; the message says what to do.
    """
    if sys.platform != "linux":
        remedy = "compare files.list(path, depth=...) from time to time"
        raise UnsupportedError(f"watching needs Linux; {remedy}", missing=("inotify",))
    from protocell._workspace import inotify  # noqa: PLC0415  (loads ctypes, which few need)

    try:
        queue = inotify.start()
    except OSError as error:
        raise _refused(path, error) from error
    try:
        return Watch(queue, inotify.watch(queue, folder, _WATCHED))
    except OSError as error:
        os.close(queue)
        raise _refused(path, error) from error


def _refused(path: str, error: OSError) -> FileError:
    advice = {
        errno.EMFILE: "no inotify instance or descriptor is left (sysctl fs.inotify.max_user_instances)",
        errno.ENOSPC: "no inotify watch is left (sysctl fs.inotify.max_user_watches)",
        errno.EACCES: "the code took the permission away",
    }
    text = advice.get(error.errno or 0, error.strerror or str(error))
    return bad_path(path, f"cannot be watched: {text}", error.errno or errno.EIO)


class Watch:
    """The events of one folder, until it is stopped, removed, or its sandbox ends."""

    def __init__(self, queue: int, number: int) -> None:
        self._queue = queue
        self._number = number
        self._lock = threading.RLock()  # a signal handler may stop it in the middle
        self._read_by_someone = False
        self._stopped = False
        self._ended = False
        self._ready: deque[FilesystemEvent] = deque()
        self._left_out: Counter[str] = Counter()
        self._close = weakref.finalize(self, os.close, queue)

    @property
    def left_out(self) -> MappingProxyType[str, int]:
        """How many events are not told, and why."""
        return MappingProxyType(dict(self._left_out))

    def take(self) -> list[FilesystemEvent]:
        """What has happened since the last call, at most ``MOST_EVENTS``; does not wait.

        Raises:
            ClosedError: it was stopped.
            BusyError: somebody else is reading.
        """
        with self._reading():
            taken = list(self._ready)
            self._ready.clear()
            while len(taken) < MOST_EVENTS and self._read():
                taken += self._ready
                self._ready.clear()
            return taken

    async def next(self, waiter: Waiter) -> FilesystemEvent | None:
        """The next event, waited for; None when there will be no more; raises BusyError as ``take``."""
        with contextlib.suppress(ClosedError), self._reading():
            while not self._stopped:
                if self._ready:
                    return self._ready.popleft()
                if self._ended:
                    return None
                if not self._read():
                    await waiter.wait([self._queue], [], None)
        return None

    def stop(self) -> None:
        """Tell nothing more; from any thread, also twice."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            if not self._read_by_someone:
                self._close()
                return
        from protocell._workspace import inotify  # noqa: PLC0415  (loaded since ``start``)

        with contextlib.suppress(OSError):  # it has ended by itself, and that wakes the reader too
            inotify.forget(self._queue, self._number)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            if self._stopped:
                raise ClosedError("this watch was stopped, or its sandbox closed; make a new one")
            if self._read_by_someone:
                raise BusyError("another thread or task is reading this watch; make one for each")
            self._read_by_someone = True
        try:
            yield
        finally:
            with self._lock:
                self._read_by_someone = False
                if self._stopped:
                    self._close()

    def _read(self) -> bool:
        """Take the next part of the queue; whether there was anything."""
        if self._stopped or self._ended:
            return False
        try:
            data = os.read(self._queue, _READ_BYTES)
        except BlockingIOError:
            return False
        for mask, name in parse(data):
            self._note(mask, name)
        return True

    def _note(self, mask: int, name: bytes) -> None:
        if mask & (IN_IGNORED | IN_UNMOUNT):
            self._ended = True
            return
        kind = next((kind for bits, kind in _KINDS if mask & bits), None)
        if kind is None:
            return
        shown = os.fsdecode(name) or ("" if kind == FilesystemEventType.OVERFLOW else ".")
        if is_printable_line(shown):
            self._ready.append(FilesystemEvent(name=shown, type=kind))
        else:
            self._left_out[NOT_PRINTABLE] += 1


def parse(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Mask and name of each event; the name is empty if it is about the folder itself."""
    position = 0
    while position + _EVENT.size <= len(data):
        _, mask, _, length = _EVENT.unpack_from(data, position)
        position += _EVENT.size
        yield mask, data[position : position + length].rstrip(b"\0")
        position += length
