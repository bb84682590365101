"""The turns of a context: one request in, the code runs, its events out.

Theory of operation
-------------------
This process is confined before ``serve`` is called and belongs to the model's code after the first
request.  Descriptors: 0 is /dev/null, 1 and 2 are pipes that the host reads, ``channel`` is the
socket of this context alone.  End of file on it means that the host is done: the process ends.
The events of one execution leave in one write, after standard output has been flushed, so that
whoever reads "done" finds all output in the pipes.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from protocell_guest import wire
from protocell_guest.guest.interpreter import Interpreter, Outcome
from protocell_guest.guest.tracebacks import describe

_CHUNK = 1 << 18
_IDLE_SECONDS = 0.005
_CHANNEL_DESCRIPTOR = 3
_MAX_REQUEST_BYTES = 1 << 29  # 32 Mi characters, which the host allows, at 12 bytes and some


class Interrupts:
    """SIGINT reaches the code while it runs and nobody in between.  Made before the host hears of the context."""

    def __init__(self) -> None:
        self.running = False
        signal.signal(signal.SIGINT, self._handle)
        signal.signal(signal.SIGURG, lambda _number, _frame: None)  # ends a wait, see init

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.running:
            raise KeyboardInterrupt


def _events(number: int, outcome: Outcome) -> bytes:
    parts = []
    if outcome.formats is not None:
        parts.append({"event": "result", "id": number, "main": True, "formats": outcome.formats})
    if outcome.error is not None:
        error = outcome.error
        parts.append(
            {
                "event": "error",
                "id": number,
                "name": error.name,
                "value": error.value,
                "traceback": error.traceback,
            }
        )
    parts.append({"event": "done", "id": number, "exit_code": outcome.exit_code})
    return b"".join(wire.encode(part) for part in parts)


def _execute(interpreter: Interpreter, request: dict[str, Any], interrupts: Interrupts) -> bytes:
    try:
        interrupts.running = True
        outcome = interpreter.run(request["code"], result_bytes=request["result_bytes"])
        interrupts.running = False
    except KeyboardInterrupt as late:  # between the end of the code and the line above
        interrupts.running = False
        outcome = Outcome(None, describe(late), None)
    return _events(request["id"], outcome)


def serve(
    channel: socket.socket,
    interpreter: Interpreter,
    interrupts: Interrupts,
    *,
    idle: Callable[[], None],
) -> None:
    """Answer requests until end of file.

    ``idle`` is called once if no request comes for a moment: it touches the pages that the first
    one will need, while nobody waits.
    """
    reader = wire.FrameReader(_MAX_REQUEST_BYTES)
    if not select.select([channel], [], [], _IDLE_SECONDS)[0]:
        idle()
    while data := channel.recv(_CHUNK):
        for request in reader.feed(data):
            channel.sendall(_execute(interpreter, request, interrupts))


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
    sys.stdout = _text_stream(1)
    sys.stderr = _text_stream(2)
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, f"__{name}__", getattr(sys, name))


def redirect_output(stdout: int, stderr: int) -> None:
    """Put the pipes on 1 and 2; 0 is /dev/null already."""
    os.dup2(stdout, 1, inheritable=True)
    os.dup2(stderr, 2, inheritable=True)


def _text_stream(descriptor: int) -> Any:
    # Line buffered: what is printed reaches the host while the code still runs.
    return open(
        descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )
