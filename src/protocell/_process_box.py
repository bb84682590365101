"""A sandbox without the kernel's help, as the host holds it: for systems that are not Linux.

Theory of operation
-------------------
The host starts a supervisor (``protocell_guest.process_runner``), which starts the interpreter and
ends, measures and buries it.  ``control`` (stream, frames) leads to the supervisor; ``channel``,
``stdout`` and ``stderr`` lead to model code, as in ``KernelBox``.  Here the host makes the latter
three and sends the far ends along, so no descriptor is ever taken from the other side.
``workspace`` is the folder ``user`` in a temporary folder of this sandbox (``folder.py``), and the
lock on it keeps the folder there as long as the sandbox, or a file that came out of it, lives.

The code has the rights of this process's user.  It can signal or trace the supervisor; so the
supervisor's word is worth less than an init's, a stopped one is continued before it is asked
anything, and when it was killed, the host kills the group that it knows and has the folder removed.
Code that leaves the process group escapes.  Everything here is POSIX, and tested on Linux only.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from typing import Any

from protocell import _workspace
from protocell._box import ANSWER_SECONDS, Exit
from protocell._waiter import Waiter
from protocell._zygote import _CLEAN_ENVIRONMENT, START_SECONDS
from protocell.errors import FileError, SandboxDiedError, SetupError
from protocell.policy import Policy
from protocell_guest import process_runner, wire
from protocell_guest.process_runner import folder

CLOSE_SECONDS = 2.0
_MAX_FRAME_BYTES = 1 << 16
_BOOT = os.path.join(os.path.dirname(process_runner.__file__), "boot.py")
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


async def launch_process(policy: Policy, waiter: Waiter) -> ProcessBox:
    """A sandbox in a process group and a temporary folder.

    Raises:
        SetupError: it could not be made.
    """
    box = ProcessBox(policy)
    try:
        await box.open(waiter)
    except BaseException:
        box.close()
        raise
    return box


class Supervisor:
    """The process between us and the interpreter, and the socket to it."""

    def __init__(self, python: str, place: str) -> None:
        self.control, theirs = socket.socketpair()
        self._errors, errors_writer = os.pipe()
        try:
            self._process = subprocess.Popen(
                [python, "-I", _BOOT, str(theirs.fileno()), str(os.getpid()), place],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors_writer,
                pass_fds=[theirs.fileno()],
                env=_environment(place),
                cwd="/",
                start_new_session=True,
            )
        except OSError:
            self.control.close()
            os.close(self._errors)
            raise
        finally:
            theirs.close()
            os.close(errors_writer)
        self._owner = os.getpid()
        self.control.setblocking(False)  # noqa: FBT003  (the socket's own signature)
        os.set_blocking(self._errors, False)  # noqa: FBT003  (the function's own signature)

    def wake(self) -> None:
        """Make it go on, should the code have stopped it."""
        with suppress(OSError):
            self._process.send_signal(signal.SIGCONT)

    def said(self) -> str:
        """Why it ended, in its own words."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)
        try:
            text = os.read(self._errors, 1 << 16).decode(errors="replace").strip()
        except BlockingIOError:
            text = ""
        return text.rpartition("\n")[2] or f"it ended with status {self._process.poll()}"

    def close(self) -> bool:
        """Have it end everything, and wait for that; False if it was killed meanwhile."""
        self.control.close()
        os.close(self._errors)
        if os.getpid() != self._owner:
            return True  # we were forked: it is the other one's, whose sockets are still open
        self.wake()
        try:
            return self._process.wait(CLOSE_SECONDS) == 0
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False


class ProcessBox:
    """A sandbox that is a process group and a folder; see ``Box`` for what its methods mean."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.stdout = self.stderr = self.workspace = -1
        self.enforced: tuple[str, ...] = ()
        self.alive = False
        self._exit: Exit | None = None
        self._runner: tuple[int, int] | None = None  # pid, and start time where that is known
        self._reader = wire.FrameReader(_MAX_FRAME_BYTES)
        self._inbox: deque[dict[str, Any]] = deque()
        python = policy.environment.python or sys.executable
        try:
            self._place = folder.make(tempfile.gettempdir())
            self.workspace = folder.hold(self._place)
            self._supervisor: Supervisor | None = Supervisor(python, self._place)
        except OSError as error:
            self._supervisor = None
            self.close()
            message = f"cannot start a sandbox with the interpreter {python!r}: {error}"
            raise SetupError(message, step="process", errno=error.errno) from error
        self.channel = socket.socket()

    @property
    def notice(self) -> int:
        return self._control.fileno()
