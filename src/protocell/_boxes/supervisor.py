"""The host's handle on the supervisor of one process sandbox: starts it, talks to it, sees it end.

Theory of operation
-------------------
A program of ours in a process of its own (``protocell_guest.process_runner``), with the same user as
the code that it supervises.  So it can be killed or stopped by the code: a stopped one is continued
before it is asked anything, and where one was killed, a janitor is started to remove the folder.
``control`` is a stream socket of frames; end of file on it ends the supervisor with all that is its.
"""

from __future__ import annotations

import array
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from protocell._boxes.spawn import CLEAN_ENVIRONMENT
from protocell_guest import process_runner, wire
from protocell_guest.process_runner import folder

_CLOSE_SECONDS = 2.0
_MAX_FRAME_BYTES = 1 << 16
_BOOT = os.path.join(os.path.dirname(process_runner.__file__), "boot.py")


class Supervisor:
    """The process between us and the interpreter, and the socket to it."""

    def __init__(self, python: str, path: str) -> None:
        self._path = path
        self._owner = os.getpid()
        self._reader = wire.FrameReader(_MAX_FRAME_BYTES)
        self._heard = False
        with ExitStack() as far, ExitStack() as near:
            self.control, theirs = socket.socketpair()
            near.enter_context(self.control)
            far.enter_context(theirs)
            self._errors, errors = os.pipe()
            near.callback(os.close, self._errors)
            far.callback(os.close, errors)
            arguments = [str(theirs.fileno()), str(self._owner), path]
            self._process = self._spawn(python, arguments, [theirs.fileno()], errors)
            near.pop_all()
        self.control.setblocking(False)  # noqa: FBT003  (the socket's own signature)
        os.set_blocking(self._errors, False)

    def _spawn(
        self, python: str, arguments: list[str], inherited: list[int], errors: int
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [python, "-I", _BOOT, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=inherited,
            env=_environment(self._path),
            cwd="/",
            start_new_session=True,
        )

    @property
    def is_there(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """One small message, with copies of descriptors; from any thread.

        Raises:
            OSError: it is gone, or has not read for long.
        """
        self._go_on()
        data, rights = wire.encode(message), []
        if descriptors:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        if self.control.sendmsg([data], rights) < len(data):
            raise BlockingIOError("the supervisor does not read")

    def receive(self) -> list[dict[str, Any]]:
        """What has come.

        Raises:
            OSError, WireError: it is gone, or is not itself any more.
        """
        data = self.control.recv(_MAX_FRAME_BYTES)
        if not data:
            raise BrokenPipeError("the supervisor has ended")
        self._heard = True
        return self._reader.feed(data)

    def _go_on(self) -> None:
        """Continue it, should the code have stopped it."""
        with suppress(OSError):
            self._process.send_signal(signal.SIGCONT)

    def last_words(self) -> str:
        """Why it ended, as far as it said."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_SECONDS)
        try:
            text = os.read(self._errors, 1 << 16).decode(errors="replace").strip()
        except BlockingIOError:
            text = ""
        return text.rpartition("\n")[2] or f"it ended with status {self._process.poll()}"

    def close(self) -> bool:
        """Have it end and remove everything, and wait for that; False if it could not do so."""
        ours = os.getpid() == self._owner
        if ours:
            with suppress(OSError):  # for every copy of the socket, a forked child's too
                self.control.shutdown(socket.SHUT_RDWR)
        self.control.close()
        os.close(self._errors)
        if not ours:
            self._process.returncode = 0  # not our child: nothing to wait for
            return True
        self._go_on()
        return _status(self._process) == 0 and self._heard

    def remove_folder(self) -> None:
        """What a supervisor does at its end, in place of one that was killed or never was one."""
        with suppress(OSError):  # what fails now is done at a later start, after our own end
            if not os.path.lexists(self._path):
                return
            try:
                folder.discard(self._path)
            except OSError:  # it was used
                _status(self._spawn(sys.executable, ["remove", self._path], [], subprocess.DEVNULL))


def _status(process: subprocess.Popen[bytes]) -> int:
    """How a process has ended, which it is made to do if it does not."""
    try:
        return process.wait(_CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _environment(path: str) -> dict[str, str]:
    scratch = os.path.join(path, folder.SCRATCH)
    places = {
        "HOME": os.path.join(path, folder.HOME),
        "TMPDIR": scratch,
        "MPLCONFIGDIR": os.path.join(scratch, "matplotlib"),
    }
    return {**CLEAN_ENVIRONMENT, **places}
