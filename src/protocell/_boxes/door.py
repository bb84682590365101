"""Questions to a sandbox's init that concern no running code: files, commands, copies; from any thread.

A socket of its own, made when it is first needed, on which one question at a time is asked and answered.  So
the workspace can be worked on, and a command started, while code runs.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Sequence
from typing import Any

from protocell._boxes.box import ANSWER_SECONDS, out_of_descriptors
from protocell._boxes.control import Control, died
from protocell.errors import ClosedError, SandboxDiedError
from protocell_guest import wire


class Door:
    """Asks init and waits for the answer, in the calling thread."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._end: socket.socket | None = None
        self._lock = threading.RLock()  # a signal handler may close in the middle
        self._closed = False

    def ask(
        self, request: dict[str, Any], descriptors: Sequence[int] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        """The answer, and descriptors that are the caller's from then on.

        Raises:
            ClosedError, SandboxDiedError: there is no sandbox (any more).
            SetupError: this process has no descriptor left.
        """
        with self._lock:
            end = self._opened()
            try:
                wire.send_packet(end, request, descriptors)
                return self._answer(end)
            except wire.WireError as error:
                self._drop()
                raise out_of_descriptors() from error
            except OSError as error:
                self._drop()
                raise died() from error
            except BaseException:
                self._drop()  # an answer that comes late must not be taken for the next one's
                raise

    def _opened(self) -> socket.socket:
        if self._closed:
            raise ClosedError("this sandbox was closed or killed; make a new one")
        if self._end is None:
            try:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            except OSError as error:
                raise out_of_descriptors() from error
            with theirs:
                try:
                    self._control.send({"op": "door"}, [theirs.fileno()])
                except SandboxDiedError:
                    ours.close()
                    raise
            self._end = ours
        return self._end

    def _answer(self, end: socket.socket) -> tuple[dict[str, Any], list[int]]:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        if not poll.poll(ANSWER_SECONDS * 1000):
            self._drop()
            raise SandboxDiedError("the sandbox's init did not answer in time; make a new one")
        message, descriptors = wire.recv_packet(end)
        if message is None:
            self._drop()
            raise died()
        return message, descriptors

    def _drop(self) -> None:
        if self._end is not None:
            self._end.close()
            self._end = None

    def close(self) -> None:
        """From any thread; whoever waits for an answer is told."""
        self._closed = True
        end = self._end
        if end is not None:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if self._lock.acquire(timeout=ANSWER_SECONDS):
            try:
                self._drop()
            finally:
                self._lock.release()
