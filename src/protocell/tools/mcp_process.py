"""The process of one MCP server: started, fed, drained, and gone for certain.

Theory of operation: the server leads a session and process group of its own, so that what it starts
can be ended with it, and so that Ctrl-C in the user's terminal is ours to handle, not the server's.
We hold the other ends of its three standard streams, none of them blocking, and a pidfd (pidfd_open(2)).

- Its end is read from the pidfd. Then the group is killed before the leader is reaped: as long as the
  leader is a zombie, its number belongs to no one else, so the signal cannot hit a stranger.
- Standard error is read as it comes and all but its last 16 KiB is forgotten: a server that floods it
  neither blocks nor fills our memory, and nothing of it is printed.
- ``stop`` closes its standard input, which is how MCP says goodbye, then sends SIGTERM, then SIGKILL.
  Standard output is thrown away meanwhile: a server that flushes into a full pipe could not end.
- What was not stopped is ended when the object is collected or the interpreter exits. A fork of ours
  does not do that: the server is its parent's. If we are killed, the server reads end of file.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import signal
import subprocess
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

GRACE_SECONDS = 2.0
"""For each step: after end of file, after SIGTERM, after SIGKILL."""
STDERR_BYTES = 16 * 1024
_CHUNK = 64 * 1024
_PIPE_BYTES = 1024 * 1024


class ServerProcess:
    """A running server; made, used and stopped in one event loop."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: str | None = None
    ) -> None:
        """Starts it. Raises OSError, or ValueError for a NUL in an argument."""
        self._popen = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            bufsize=0,
            start_new_session=True,
        )
        self._pidfd = _watched(self._popen)
        self._last_resort = weakref.finalize(self, _end, self._popen, self._pidfd, os.getpid())
        self._loop = asyncio.get_running_loop()
        self._stdin, self._stdout, self._stderr = _descriptors(self._popen)
        self._stderr_tail = b""
        self._gone = asyncio.Event()
        self._loop.add_reader(self._pidfd, self._reap)
        self._loop.add_reader(self._stderr, self._read_stderr)

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return self._popen.pid

    @property
    def stderr(self) -> str:
        """The last 16 KiB of what it wrote to standard error."""
        return self._stderr_tail.decode("utf-8", "replace")

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self._popen.returncode
        if code is None:
            return "closed its output"
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit status {code}"

    async def read(self) -> bytes:
        """Some bytes of its standard output; none at the end."""
        while self._last_resort.alive:
            try:
                return os.read(self._stdout, _CHUNK)
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader, self._stdout)
        return b""

    async def write(self, data: bytes) -> None:
        """Gives it all of this. Raises OSError where it does not read any more."""
        rest = memoryview(data)
        while rest and self._last_resort.alive:
            try:
                rest = rest[os.write(self._stdin, rest) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer, self._stdin)

    async def gone(self, within_seconds: float) -> bool:
        """Waits for its end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self._gone.wait()
        return self._gone.is_set()

    async def stop(self) -> None:
        """Ends it, gently if it lets us, and lets go of everything; at most three times the grace."""
        if not self._last_resort.alive:
            return
        try:
            self._close_stdin()
            self._loop.add_reader(self._stdout, self._discard)
            for number in (signal.SIGTERM, signal.SIGKILL):
                if await self.gone(GRACE_SECONDS):
                    break
                self._signal(number)
            await self.gone(GRACE_SECONDS)
        finally:
            self.release()

    def release(self) -> None:
        """Lets go of everything, and kills what still runs; waits for nothing but the kernel."""
        if not self._last_resort.alive:
            return
        self._signal(signal.SIGKILL)
        if not self._loop.is_closed():
            self._close_stdin()
            for descriptor in (self._stdout, self._stderr, self._pidfd):
                self._loop.remove_reader(descriptor)
            self._gone.set()
        self._last_resort()

    async def _ready(
        self, add: Callable[..., Any], remove: Callable[[int], Any], descriptor: int
    ) -> None:
        """Waits until the event loop finds the descriptor ready."""
        waiting: asyncio.Future[None] = self._loop.create_future()

        def is_ready() -> None:
            if not waiting.done():
                waiting.set_result(None)

        add(descriptor, is_ready)
        try:
            await waiting
        finally:
            # Once all is let go of, the number may be that of a stranger's descriptor.
            if self._last_resort.alive:
                remove(descriptor)

    def _close_stdin(self) -> None:
        if self._popen.stdin is not None and not self._popen.stdin.closed:
            self._loop.remove_writer(self._stdin)
            self._popen.stdin.close()

    def _signal(self, number: int) -> None:
        if self._popen.returncode is None:
            _signal_group(self._popen.pid, number)

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._signal(signal.SIGKILL)
        self._popen.wait()
        self._gone.set()

    def _read_stderr(self) -> None:
        chunk = _read_some(self._stderr)
        if chunk == b"":
            self._loop.remove_reader(self._stderr)
        elif chunk:
            self._stderr_tail = (self._stderr_tail + chunk)[-STDERR_BYTES:]

    def _discard(self) -> None:
        if _read_some(self._stdout) == b"":
            self._loop.remove_reader(self._stdout)


def _watched(popen: subprocess.Popen[bytes]) -> int:
    """Its pidfd. Raises OSError; it has ended then: nobody would."""
    try:
        return os.pidfd_open(popen.pid)
    except OSError:  # no descriptor is left, or a container's profile does not know the call
        _signal_group(popen.pid, signal.SIGKILL)
        popen.wait()
        for stream in (popen.stdin, popen.stdout, popen.stderr):
            _close(stream)
        raise


def _descriptors(popen: subprocess.Popen[bytes]) -> tuple[int, int, int]:
    """Our ends of the streams, made ready for the event loop."""
    streams = [popen.stdin, popen.stdout, popen.stderr]
    numbers = [stream.fileno() for stream in streams if stream is not None]
    for number in numbers:
        os.set_blocking(number, False)
    with contextlib.suppress(OSError):
        # A user has a budget for large pipes (pipe(7)); without one it only takes more steps.
        fcntl.fcntl(numbers[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return numbers[0], numbers[1], numbers[2]


def _read_some(descriptor: int) -> bytes | None:
    """What is there now; None where nothing is, no bytes at the end."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _end(popen: subprocess.Popen[bytes], pidfd: int, owner_pid: int) -> None:
    """The last resort: goodbye, SIGTERM, SIGKILL, without an event loop."""
    if os.getpid() == owner_pid:
        _close(popen.stdin)
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if popen.returncode is not None:
                break
            if number is not None:
                _signal_group(popen.pid, number)
            _reap_within(popen, pidfd, GRACE_SECONDS)
    for stream in (popen.stdin, popen.stdout, popen.stderr):
        _close(stream)
    os.close(pidfd)


def _reap_within(popen: subprocess.Popen[bytes], pidfd: int, seconds: float) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if poll.poll(seconds * 1000):
        _signal_group(popen.pid, signal.SIGKILL)
        popen.wait()


def _close(stream: Any) -> None:
    with contextlib.suppress(OSError):
        stream.close()
