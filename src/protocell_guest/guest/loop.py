"""The turns of a context: one request in, the code runs, its events out.

Theory of operation
-------------------
This process is confined before ``serve`` is called and belongs to the model's code after the first
request.  Descriptors: 0 is /dev/null, 1 and 2 are pipes that the host reads, ``channel`` is the
socket of this context alone.  End of file on it means that the host is done: the process ends.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protocell_guest import wire
from protocell_guest.guest import copies, folders, letters, skill_saving, streams
from protocell_guest.guest.execution import execute
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.guest.interrupts import Interrupts
from protocell_guest.guest.skill_about import learned
from protocell_guest.guest.skill_shelf import Shelf
from protocell_guest.guest.toolbox import Toolbox

_CHUNK = 1 << 18
_IDLE_SECONDS = 0.005
_MOST_DESCRIPTORS = 240  # of 253 that one message can carry (unix(7), SCM_MAX_FD)
_CHANNEL_DESCRIPTOR = 3
_MAX_REQUEST_BYTES = 1 << 29  # 32 Mi characters, which the host allows, at 12 bytes and some


@dataclass(frozen=True, slots=True)
class Doubles:
    """What only the kernel's side knows how to do for a copy of this process."""

    fork: Callable[[], int]
    take_in_orphans: Callable[[], None]
    flush_c: Callable[[], None]
    """Let go out what code in C has written, whose stdio keeps a part of a line."""


class Server:
    """The conversation of one context with the host."""

    def __init__(
        self,
        channel: socket.socket,
        interpreter: Interpreter,
        interrupts: Interrupts,
        doubles: Doubles,
    ) -> None:
        self._channel = channel
        self._interpreter = interpreter
        self._interrupts = interrupts
        interrupts.channel = channel
        self._doubles = doubles
        streams.also_flush(doubles.flush_c)
        self._descriptors: list[int] = []
        self._reader = wire.FrameReader(_MAX_REQUEST_BYTES)
        self._has_run_code = False
        self._toolbox = Toolbox([])
        self._shelf: Shelf | None = None

    def serve(self, idle: Callable[[], None]) -> None:
        """Answer requests until end of file.

        ``idle`` is called once if no request comes for a moment: it touches the pages that the first
        one will need, while nobody waits.
        """
        if not select.select([self._channel], [], [], _IDLE_SECONDS)[0]:
            idle()
        while data := self._receive():
            for request in self._reader.feed(data):
                self._answer(request)

    def _receive(self) -> bytes:
        select.select([self._channel], [], [])
        self._interrupts.asked = True
        data, descriptors, _, _ = socket.recv_fds(
            self._channel, _CHUNK, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
        self._descriptors += descriptors
        return data

    def _answer(self, request: dict[str, Any]) -> None:
        operation = request["op"]
        self._interrupts.asked = operation == "execute"
        if operation == "execute":
            self._execute(request)
        elif operation == "checkpoint":
            self._checkpoint(request)
        elif operation == "settle":
            self._settle(request)
        elif operation == "tools":
            self._offer(request)
        elif operation in ("skills", "skill"):
            self._tell_skills(request)
        elif operation == "fork":
            streams.flush()
            self._branch(request)
        elif operation == "variables":
            items, left_out = self._interpreter.variables(request["most"])
            told = {"event": "variables", "id": request["id"]}
            self._send(told | {"items": items, "left_out": left_out})

    def _offer(self, request: dict[str, Any]) -> None:
        """What code is to find. It came in a file: the cards of a thousand tools are too much for a message."""
        told = letters.read(self._descriptors.pop())
        if "skills" in told:
            self._shelf = self._shelf or Shelf()
            self._shelf.put(told["skills"])
        self._toolbox.put(told["cards"], self._shelf)
        self._interpreter.offer(self._toolbox.names(), told["cards"])
        self._send({"event": "tools", "id": request["id"]})

    def _tell_skills(self, request: dict[str, Any]) -> None:
        """What the texts of skills say of themselves, or the text of what is to become one."""
        if request["op"] == "skill":
            told: dict[str, Any] = skill_saving.answer(request["name"], self._toolbox.offered)
        else:
            texts = letters.read(self._descriptors.pop())
            told = {"about": {name: learned(text, name) for name, text in texts.items()}}
        self._send({"event": request["op"], "id": request["id"]} | told)

    def _execute(self, request: dict[str, Any]) -> None:
        # The host knows whether it has interrupted the execution before this one.
        if request.get("after_interrupt", self._has_run_code):
            self._interrupts.forget()
        self._has_run_code = True
        if not request.get("checkpoint") or self._checkpoint(request):
            if "tools" in request:
                line = socket.socket(fileno=self._descriptors.pop())
                self._toolbox.open(line, request["tools"])
            execute(self._interpreter, request, self._interrupts, self._send)
            self._toolbox.close()

    def _send(self, message: dict[str, Any]) -> None:
        self._channel.sendall(wire.encode(message))

    def _settle(self, request: dict[str, Any]) -> None:
        """Variables and the working folder of this context alone."""
        detail = None
        os.environ.update(request["envs"])
        try:
            os.chdir(request["cwd"])
        except OSError as error:
            detail = str(error)
        self._send({"event": "settled", "id": request["id"], "detail": detail})

    def _checkpoint(self, request: dict[str, Any]) -> bool:
        """Leave a frozen copy and tell the host; False in the copy, when it has been woken."""
        message: dict[str, Any] = {"event": "copied", "id": request["id"], "pids": []}
        streams.flush()  # or it would come out of the copy once more
        try:
            pid = copies.freeze(self._doubles.fork, self._channel)
        except copies.NotCopyableError as reason:
            self._send(message | {"detail": str(reason)})
            return True
        if pid == 0:
            self._interrupts.end()
            while self._descriptors:  # of the execution that is not to be
                os.close(self._descriptors.pop())
            self._reader = wire.FrameReader(_MAX_REQUEST_BYTES)
            self._interpreter.become_copy()
            self._send({"event": "resumed"})
            return False
        self._send(message | {"pids": [pid], "detail": ""})
        return True

    def _branch(self, request: dict[str, Any]) -> None:
        """Go on ``count`` times more, each on streams of its own."""
        given, self._descriptors = self._descriptors, []
        each = copies.STREAMS
        streams = [given[first : first + each] for first in range(0, len(given), each)]
        message: dict[str, Any] = {"event": "copied", "id": request["id"], "detail": ""}
        try:
            if not streams or len(streams[-1]) < copies.STREAMS:
                raise copies.NotCopyableError("the code has too many open files")
            if request["folders"] is not None:
                folders.check(len(request["folders"]), request["memory"])
            pids, number = copies.branch(self._doubles.fork, streams)
        except copies.NotCopyableError as reason:
            pids, number = [], -1
            message["detail"] = str(reason)
        if number < 0:
            for descriptor in given:
                os.close(descriptor)
            self._send(message | {"pids": pids})
            return
        self._doubles.take_in_orphans()
        self._interrupts.end()
        self._interpreter.become_copy()
        message["detail"] = self._move(request["folders"], number)
        self._send(message | {"pids": [os.getpid()]})

    def _move(self, targets: list[str] | None, number: int) -> str:
        """Into a working folder of its own with copies of what is in the present one."""
        if targets is None:
            return ""
        try:
            folders.copy(os.getcwd(), targets[number])
            os.chdir(targets[number])
        except OSError as error:
            return f"its working folder could not be made: {error}"
        return ""


def move_channel(channel: socket.socket) -> socket.socket:
    """The same socket on the lowest descriptor, so that the code finds 0 to 3 and nothing odd."""
    os.dup2(channel.fileno(), _CHANNEL_DESCRIPTOR, inheritable=False)
    if channel.fileno() == _CHANNEL_DESCRIPTOR:
        return channel
    channel.close()
    return socket.socket(fileno=_CHANNEL_DESCRIPTOR)


def prepare_streams() -> None:
    """Text layers on 0, 1 and 2 as the code is to find them: made once, in the template."""
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (lives as long as we do)
    sys.stdout = streams.opened(1)
    sys.stderr = streams.opened(2)
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, f"__{name}__", getattr(sys, name))


def redirect_output(stdout: int, stderr: int) -> None:
    """Put the pipes on 1 and 2; 0 is /dev/null already."""
    os.dup2(stdout, 1, inheritable=True)
    os.dup2(stderr, 2, inheritable=True)
