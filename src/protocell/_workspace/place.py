"""A sandbox that is there, and what is known of its workspace: how the host looks into it."""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from protocell._boxes.box import Box
from protocell._waiter import Waiter
from protocell._workspace.listing import list_folder
from protocell._workspace.paths import bad_path
from protocell._workspace.scan import Scanner
from protocell._workspace.tree import WHOLE
from protocell._workspace.watch import Watch
from protocell.entries import FileType
from protocell.errors import ClosedError, FileError, SandboxDiedError
from protocell.files import FileSet
from protocell.limits import MIB
from protocell.policy import Policy
from protocell_guest.plan import HOME

T = TypeVar("T")

_SMALL_INODES = 256
_SMALL_BYTES = 4 * MIB
_REMOVED_AT_ONCE = 128  # at least so many entries go with each request to remove a folder
_MOST_ROUNDS = 1024  # more than a large folder needs, where inodes are not limited
_CLOSED = "this sandbox was closed or killed meanwhile; make a new one"


class Place:
    """A box and its workspace; what may take long is done apart, so that no event loop waits for it."""

    def __init__(
        self, box: Box, policy: Policy, waiter: Waiter, origin: Place | None = None
    ) -> None:
        """``origin`` is the place whose workspace this one shares: then what changed there is told once."""
        self.box = box
        self._lock = threading.RLock()  # a signal handler may close in the middle
        self._closed = False
        self._waiter = waiter
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._policy = policy
        self._is_origin = origin is None
        self._scanner: Scanner = _scanner_for(box, policy) if origin is None else origin._scanner
        self.folder = ""  # of a branch that has files of its own: where they are

    async def scan(self) -> FileSet:
        """What the last execution made of the workspace."""
        if self._is_small() and not self._scanner.is_busy:
            return self._scanner.scan(self.folder)
        return await self._waiter.apart(partial(self._scanner.scan, self.folder))

    def _is_small(self) -> bool:
        """Whether a scan takes a few milliseconds at most, which changing threads is not worth."""
        space = os.fstatvfs(self.box.workspace)
        used = used_bytes(self.box.workspace)
        return space.f_files - space.f_ffree <= _SMALL_INODES and used <= _SMALL_BYTES

    def has_files(self) -> bool:
        """Whether there is anything in the workspace."""
        try:
            return bool(os.listdir(self.box.workspace))
        except OSError:  # the scan says what is wrong
            return True

    async def apart(self, work: Callable[[], T]) -> T:
        """Work that may take long, so that no event loop waits for it."""
        return await self._waiter.apart(work)

    # -- from any thread --------------------------------------------------------------------------

    def ask(self, what: str, path: str, **more: object) -> tuple[dict[str, Any], list[int]]:
        """Have the workspace changed (``protocell_guest.workshop``); waits for the answer.

        Raises:
            FileError: it was refused.
            ClosedError, SandboxDiedError: there is no sandbox any more.
        """
        try:
            reply, descriptors = self.box.ask({"op": "file", "do": what, "path": path, **more})
        except SandboxDiedError as died:
            if self._closed:  # by another thread, while we waited for the answer
                raise ClosedError(_CLOSED) from died
            raise
        if reply["event"] == "refused":
            raise not_done(what, path, reply["errno"], reply["detail"])
        return reply, descriptors

    async def look(self, look: Callable[[int], T]) -> T:
        """Look into the workspace, through a descriptor that nobody closes meanwhile."""

        def work() -> T:
            with self.workspace() as descriptor:
                return look(descriptor)

        return await self._waiter.apart(work)

    @contextmanager
    def workspace(self) -> Iterator[int]:
        """A descriptor of the workspace that nobody closes meanwhile."""
        descriptor = self._copy_of_workspace()
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def written(self, paths: Collection[str]) -> Iterator[None]:
        """What is written to these files meanwhile is no execution's work."""
        with self._scanner.held(paths):
            try:
                yield
            finally:
                with suppress(ClosedError), self.workspace() as descriptor:
                    # Whole paths, as "~/a" would mean another file.
                    whole = [f"{HOME}/{path}" for path in paths]
                    self._scanner.accept(whole, workspace_fd=descriptor)

    def set_apart(self, folders: Collection[str]) -> None:
        """From now on what happens there is the work of the branch that has the folder, and told as that."""
        self._scanner.set_apart(folders)

    def accept_own(self) -> None:
        """What lies in its own folder now is no execution's work."""
        most = self._policy.limits.workspace_inodes
        with self.workspace() as descriptor:
            entries = list_folder(descriptor, self.folder, depth=WHOLE, most=most)
            files = [entry.path for entry in entries if entry.type is FileType.FILE]
            self._scanner.accept(files, workspace_fd=descriptor)

    def remove_own(self, folder: str) -> None:
        """Remove the folder of a branch that has ended."""
        for _ in self.remove_steps(folder):
            pass
        self._scanner.put_together(folder)

    def remove_steps(self, path: str) -> Generator[None]:
        """Remove whatever has this name, with all that is in it, in steps.

        Raises:
            FileError: it was refused, or the code keeps making files there.
        """
        with self.removed(path):
            for _ in range(_MOST_ROUNDS + self._policy.limits.workspace_inodes // _REMOVED_AT_ONCE):
                reply, _ = self.ask("remove", path)
                if not reply["left"]:
                    return
                yield
        text = "cannot be removed: the code makes files there all the time; end it first"
        raise bad_path(path, text)

    @contextmanager
    def removed(self, path: str) -> Iterator[None]:
        """What is removed there meanwhile was not removed by an execution."""
        with self._scanner.held([path]):
            try:
                yield
            finally:
                with suppress(ClosedError), self.workspace() as descriptor:
                    self._scanner.forget(path, workspace_fd=descriptor)

    def rename(self, old: str, new: str) -> None:
        """Give a file or folder another name; nothing in it counts as made or changed by that."""
        with self._scanner.held([old, new]):
            self.ask("rename", old, to=new)
            with suppress(ClosedError), self.workspace() as descriptor:
                self._scanner.moved(old, new, workspace_fd=descriptor)

    def add_watch(self, watch: Watch) -> None:
        """Have it end with the sandbox."""
        with self._lock:
            self._watches.add(watch)
            if self.box.workspace >= 0:
                return
        watch.stop()
        raise ClosedError(_CLOSED)

    def _copy_of_workspace(self) -> int:
        with self._lock:
            if self.box.workspace < 0:
                raise ClosedError(_CLOSED)
            try:
                return os.dup(self.box.workspace)
            except OSError as error:
                message = f"the host cannot read the workspace: {error.strerror}"
                raise FileError(message, errno=error.errno) from error

    def close(self) -> None:
        """End the sandbox; not between the look at its descriptor's number and the use of it."""
        self._closed = True
        if self._is_origin:
            self._scanner.close()
        with self._lock:
            self.box.close()
            watches = list(self._watches)
        for watch in watches:
            watch.stop()


def used_bytes(workspace: int) -> int:
    """What the file system of the workspace holds."""
    space = os.fstatvfs(workspace)
    return (space.f_blocks - space.f_bfree) * space.f_frsize


def _scanner_for(box: Box, policy: Policy) -> Scanner:
    limits = policy.limits
    scanner = Scanner(
        box.workspace,
        max_files=limits.files_out,
        max_bytes=limits.files_out_bytes,
        max_entries=limits.workspace_inodes + 1024,
    )
    if any(mount.target.startswith(HOME + "/") for mount in policy.mounts):
        scanner.accept()  # they are no work of the code's
    return scanner


def not_done(what: str, path: str, number: int, detail: str) -> FileError:
    """What the kernel says of a change, as what to do about it."""
    verb = {"make_dir": "make"}.get(what, what)
    texts = {
        errno.ENOENT: "there is nothing of this name",
        errno.ENOTDIR: "something on the way to it, or it, is not a folder",
        errno.EISDIR: "it is a folder",
        errno.ELOOP: "it is a link or behind one, which is never followed",
        errno.EXDEV: "it is a folder of the host that is mounted there, or lies in one",
        errno.EBUSY: "a folder of the host is mounted there",
        errno.EACCES: "the code took the permission away",
        errno.ENOSPC: "no room is left for one more file or folder; the limit is workspace_inodes",
        errno.ENOTEMPTY: "a folder of that name has something in it",
    }
    if what == "rename":
        texts[errno.EINVAL] = "a folder cannot be moved into itself"
    text = texts.get(number, detail)
    return FileError(f"cannot {verb} {path!r} in the workspace: {text}", path=path, errno=number)
