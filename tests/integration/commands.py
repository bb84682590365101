"""Runs the command line as people do: as a process with pipes, or on a terminal of its own."""

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

COMMAND = (sys.executable, "-m", "protocell.cli")
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output."""
        return self.out.decode()

    @property
    def messages(self) -> str:
        """Standard error, with times that differ from run to run written as T."""
        return re.sub(r" in [0-9.]+ s", " in T", self.err.decode())


def environment(**more: str) -> dict[str, str]:
    """Ours, with a width in which nothing wraps."""
    return {**os.environ, "COLUMNS": "200", "TERM": "dumb", **more}


def protocell(*arguments: str, code: str | bytes = b"", **options: Any) -> Done:
    """Run the command to its end."""
    given = code.encode() if isinstance(code, str) else code
    done = subprocess.run(
        [*options.pop("before", ()), *COMMAND, *arguments],
        input=given,
        capture_output=True,
        timeout=PATIENCE_SECONDS * 2,
        check=False,
        env=environment(**options.pop("env", {})),
        **options,
    )
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)


def run(code: str | bytes, *arguments: str, **options: Any) -> Done:
    """``protocell run -`` with this code."""
    return protocell("run", "-", *arguments, code=code, **options)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Look at something real until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        threading.Event().wait(0.01)


@contextmanager
def started(*arguments: str, code: str | None = None, **options: Any) -> Iterator[Any]:
    """A command that is running, with pipes; its standard input stays open where no code is given."""
    settings: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": environment(),
    }
    with subprocess.Popen([*COMMAND, *arguments], **settings | options) as process:
        try:
            if code is not None:
                assert process.stdin is not None
                process.stdin.write(code.encode())
                process.stdin.close()
            yield process
        finally:
            process.kill()


def read_until(descriptor: int, wanted: bytes, before: bytes = b"") -> bytes:
    """What comes, up to these bytes (which may have begun before) and what comes along with them."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    text = b""
    while wanted not in before + text:
        left = deadline - time.monotonic()
        assert select.select([descriptor], [], [], max(0, left))[0], f"only {text!r} came"
        piece = read_some(descriptor)
        assert piece, f"only {text!r} came, then the end"
        text += piece
    return text


def read_some(descriptor: int) -> bytes:
    """What is there; nothing at the end."""
    try:
        return os.read(descriptor, 65536)
    except OSError as error:
        if error.errno == errno.EIO:  # what a terminal says when nobody has it open
            return b""
        raise


class Terminal:
    """A command with a terminal of its own: what it shows, and keys that are pressed."""

    def __init__(self, *arguments: str) -> None:
        self._keyboard, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        # setsid -c gives the command this terminal as the one whose Ctrl-C is for it.
        self.process = subprocess.Popen(
            ["setsid", "-c", *COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(TERM="xterm"),
        )
        os.close(theirs)
        self.shown = b""
        self._seen = 0

    def wait_for(self, text: str) -> None:
        """Read until this is shown, once more than it was waited for."""
        rest = self.shown[self._seen :]
        if text.encode() not in rest:
            self.shown += read_until(self._keyboard, text.encode(), rest)
        self._seen = self.shown.index(text.encode(), self._seen) + len(text)

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait until the command has taken notice."""
        os.write(self._keyboard, b"\x03")
        self.wait_for("^C")  # the kernel's echo, which comes after the signal
        wait_for(lambda: has_noticed(self.process), "the signal to be noticed")

    def end(self) -> int:
        """Read to the end; the exit code."""
        while piece := read_some(self._keyboard):
            self.shown += piece
        return self.process.wait(PATIENCE_SECONDS)

    @property
    def lines(self) -> list[str]:
        """What was shown, line by line, without the echo of Ctrl-C."""
        return self.shown.decode().replace("^C", "").split("\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._keyboard)


def handles_signals(process: Any) -> bool:
    """Whether it has its handlers for SIGINT and SIGTERM installed (proc_pid_status(5), SigCgt)."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        caught = int(re.findall(r"^SigCgt:\s*(\w+)$", status.read(), re.MULTILINE)[0], 16)
    return all(caught >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM))


def interrupt(process: Any) -> None:
    """Send SIGINT, and wait until it was noticed: two in a row can become one (signal(7))."""
    process.send_signal(signal.SIGINT)
    wait_for(lambda: has_noticed(process), "the signal to be noticed")


def has_noticed(process: Any) -> bool:
    """Whether no SIGINT is pending, and it waits again for what it waited for: the handler has run."""
    try:
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as status:
            fields = dict(re.findall(r"^(State|ShdPnd):\s*(\w+)", status.read(), re.MULTILINE))
    except (FileNotFoundError, ProcessLookupError):
        return True
    pending = int(fields["ShdPnd"], 16) >> (signal.SIGINT - 1) & 1
    return not pending and fields["State"] in {"S", "Z"}


def is_full(pipe: int) -> bool:
    """Whether a pipe has no room for another page, seen from the end that reads."""
    waiting = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]
    return bool(waiting > fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) - 4096)


def has_no_sandbox(pid: int) -> bool:
    """Whether none of its descendants is in a pid namespace of its own."""
    parents: dict[int, int] = {}
    inside = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as status:
                text = status.read()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since the listing
        parents[int(name)] = int(re.findall(r"^PPid:\s*(\d+)$", text, re.MULTILINE)[0])
        if len(re.findall(r"^NSpid:(.*)$", text, re.MULTILINE)[0].split()) > 1:
            inside.add(int(name))
    return not any(_descends(each, pid, parents) for each in inside)


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid := parents.get(pid, 0):
        if pid == ancestor:
            return True
    return False
