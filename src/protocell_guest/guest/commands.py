"""``!ls``, ``x = !ls`` and ``%%bash``: programs whose output goes where that of the cell goes.

IPython would start them on a terminal of their own, and ``%%bash`` with a thread that stays, which no copy
of the process could have.  Here they get the descriptors 1 and 2; where the code has put another object in
the place of a stream (``%%capture`` does), what they write is read and written there.  Their input is empty.
"""

from __future__ import annotations

import builtins
import codecs
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Write = Callable[[str], object]

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

Together = Literal["together"]
TOGETHER: Together = "together"
"""For what a program writes to standard error: in one stream with the rest, in the order in which it comes."""

_SHELLS = ("/bin/bash", "/bin/sh")
_CHUNK = 1 << 16
_PATIENCE_SECONDS = 0.5


def shell_command(text: str) -> list[str]:
    """What runs a line: bash where there is one, as most notebooks have it."""
    given = os.environ.get("SHELL", "")
    found = next(
        path for path in (given, *_SHELLS) if os.access(path, os.X_OK) or path == "/bin/sh"
    )
    return [found, "-c", text]


def run(
    command: Sequence[str],
    *,
    text: str = "",
    out: Write | None = None,
    err: Write | Together | None = None,
) -> int:
    """Run a program to its end with this input; the exit code, negative if a signal ended it.

    ``out`` and ``err`` are called with what it writes; where there is none, that goes where the cell's goes.

    Raises:
        OSError: there is no such program.
    """
    sinks = [out or _sink(sys.stdout, 1)]
    sinks.append(None if err == TOGETHER else err or _sink(sys.stderr, 2))
    process = None
    try:
        with (
            tempfile.TemporaryFile() if text else open(os.devnull, "rb") as given,
            _uninterrupted(),
        ):
            if text:
                given.write(text.encode("utf-8", "surrogateescape"))
                given.seek(0)
            process = subprocess.Popen(
                command,
                stdin=given,
                stdout=sinks[0] and subprocess.PIPE,
                stderr=subprocess.STDOUT if err == TOGETHER else sinks[1] and subprocess.PIPE,
            )
        _pass_on(process, sinks)
        return process.wait()
    except BaseException:
        if process is not None:
            _end(process)
        raise
    finally:
        if process is not None:
            with process:  # closes its pipes, and waits
                pass


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """An interrupt comes after this: in the middle of a start nobody would know the program, and nobody end it."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield  # nobody could put that handler back; other threads get no signals
        return
    came = []
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def output_of(command: Sequence[str]) -> tuple[int, str]:
    """Exit code, and what it wrote to either stream."""
    written: list[str] = []
    code = run(command, out=written.append, err=TOGETHER)
    return code, "".join(written)


def _sink(stream: Any, descriptor: int) -> Write | None:
    """Where its output has to be written; None if the program can do so by itself."""
    try:
        stream.flush()
        if stream.fileno() == descriptor:
            return None
    except (
        AttributeError,
        OSError,
        ValueError,
    ):  # no stream of a file; UnsupportedOperation is both
        pass
    write: Write = stream.write
    return write


def _pass_on(process: subprocess.Popen[bytes], sinks: list[Write | None]) -> None:
    with selectors.DefaultSelector() as waiting:
        for pipe, sink in zip((process.stdout, process.stderr), sinks, strict=True):
            if pipe is not None:
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                waiting.register(pipe, selectors.EVENT_READ, (decoder, sink))
        while waiting.get_map():
            for key, _ in waiting.select():
                decoder, sink = key.data
                data = os.read(key.fd, _CHUNK)
                if text := decoder.decode(data, final=not data):
                    sink(text)
                if not data:
                    waiting.unregister(key.fileobj)


def _end(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C at a terminal does, and then for certain."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def exit_code(code: int) -> int:
    """As IPython has it: a shell's 130 for a program that SIGINT has ended is -2."""
    return 128 - code if code > 128 else code
