"""A sandbox that is there, and what is known of its workspace: how the host looks into it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from protocell._box import Box
from protocell._scan import Scanner
from protocell._transfer import write_all
from protocell._waiter import Waiter
from protocell.errors import ClosedError, FileError
from protocell.files import FileSet
from protocell.limits import MIB
from protocell.policy import Policy
from protocell_guest.plan import HOME

T = TypeVar("T")

_SMALL_INODES = 256
_SMALL_BYTES = 4 * MIB


class Place:
    """A box and its workspace; what may take long is done apart, so that no event loop waits for it."""

    def __init__(self, box: Box, policy: Policy, waiter: Waiter) -> None:
        limits = policy.limits
        self.box = box
        self._lock = threading.RLock()  # a signal handler may close in the middle
        self._waiter = waiter
        self._scanner = Scanner(
            box.workspace,
            max_files=limits.files_out,
            max_bytes=limits.files_out_bytes,
            max_entries=limits.workspace_inodes + 1024,
        )
        if any(mount.target.startswith(HOME + "/") for mount in policy.mounts):
            self._scanner.accept()  # they are no work of the code's

    async def scan(self) -> FileSet:
        """What the last execution made of the workspace."""
        if self._is_small():
            return self._scanner.scan()
        return await self._waiter.apart(self._scanner.scan)

    def _is_small(self) -> bool:
        """Whether a scan takes a few milliseconds at most, which changing threads is not worth."""
        space = os.fstatvfs(self.box.workspace)
        used = (space.f_blocks - space.f_bfree) * space.f_frsize
        return space.f_files - space.f_ffree <= _SMALL_INODES and used <= _SMALL_BYTES

    def has_files(self) -> bool:
        """Whether there is anything in the workspace."""
        try:
            return bool(os.listdir(self.box.workspace))
        except OSError:  # the scan says what is wrong
            return True

    async def write(self, name: str, content: bytes) -> None:
        """Put a file there that no execution is said to have made."""
        descriptor = await self.box.create(name, self._waiter)

        def put() -> None:
            write_all(descriptor, content, name)
            self._scanner.accept([name])

        await self._waiter.apart(put)

    async def look(self, look: Callable[[int], T]) -> T:
        """Look into the workspace, through a descriptor that nobody closes meanwhile."""
        workspace = self._copy_of_workspace()
        try:
            return await self._waiter.apart(partial(look, workspace))
        finally:
            os.close(workspace)

    def _copy_of_workspace(self) -> int:
        with self._lock:
            if self.box.workspace < 0:
                raise ClosedError("this sandbox was closed or killed meanwhile; make a new one")
            try:
                return os.dup(self.box.workspace)
            except OSError as error:
                message = f"the host cannot read the workspace: {error.strerror}"
                raise FileError(message, errno=error.errno) from error

    def close(self) -> None:
        """End the sandbox; not between the look at its descriptor's number and the use of it."""
        with self._lock:
            self.box.close()
