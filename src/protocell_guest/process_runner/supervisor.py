"""The parent of an interpreter without kernel isolation: starts it, ends it, measures it, cleans up.

Theory of operation
-------------------
Started by the host with ``python -I``, a clean environment and one inherited descriptor: ``control``,
a stream socket to the host with frames of wire.py.  One thread; never runs model code.  It plays
the part that init has in a kernel sandbox, with a process group in place of a pid namespace, and
that is its weakness: the code has the same user and can signal this process, and **a process of the
code that leaves the group (setsid(2), setpgid(2)) escapes every end that is described here**.

A runner is forked for each ``context`` request and gets the three descriptors that came with it
(channel, standard output, standard error), which are closed here: end of file on them means that
no process of the code has them any more.  To end a context, the whole group gets SIGKILL and the
runner is reaped.  Its children go to the system's init, which reaps them; we only wait a moment
until the group is empty.

When the host is done, or gone (end of file on control; another parent, should the host have forked
and the copy of its socket live on), or we are told to stop by a signal, the group is ended and the
folder is removed, by a janitor if the host still reads files in it or there is much to do.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from protocell_guest import wire
from protocell_guest.process_runner import folder, runner, usage

_PAUSE_MILLISECONDS = 1000  # how soon we notice that the host is gone, if its socket is not
_MAX_REQUEST_BYTES = 1 << 20
_CHUNK = 1 << 16
_DESCRIPTORS_OF_CONTEXT = 3
_GROUP_PATIENCE_SECONDS = 0.05
_PAUSE_SECONDS = 0.001
_SECONDS_TO_REMOVE = 0.25
_SECONDS_OF_JANITOR = 600.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """The loop between the host and one runner at a time."""

    def __init__(self, control: socket.socket, host: int, place: folder.Folder) -> None:
        self._control = control
        self._host = host
        self._folder = place
        self._reader = wire.FrameReader(_MAX_REQUEST_BYTES)
        self._received: list[int] = []
        self._task: runner.Task | None = None
        self._pid = 0  # of the runner; 0 if there is none
        self._number = 0  # of the request that it answers
        self._meter = usage.Meter(0)
        self._wake, self._wake_writer = os.pipe()

    def run(self) -> NoReturn:
        """Serve the host until it is done or gone, then leave nothing behind."""
        self._listen_to_signals()
        try:
            self._serve()
        finally:
            self._end_context("host")
            self._clean_up()
        os._exit(0)

    def _listen_to_signals(self) -> None:
        os.set_blocking(self._wake_writer, False)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *_STOP_SIGNALS):
            signal.signal(number, _noted)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _serve(self) -> None:
        poll = select.poll()
        for descriptor in (self._control.fileno(), self._wake):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(_PAUSE_MILLISECONDS)}
            if os.getppid() != self._host:
                return
            if self._wake in ready and not self._take_signals():
                return
            if self._control.fileno() in ready and not self._answer():
                return

    def _take_signals(self) -> bool:
        """Reap what has ended; False if this process was told to stop."""
        if not set(os.read(self._wake, _CHUNK)).isdisjoint(_STOP_SIGNALS):
            return False
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return True
            if pid == self._pid:
                # The number is taken as long as a process of the group lives; were the group
                # empty, the system would have to go through all numbers in the next microseconds.
                self._pid = 0
                _kill_group(pid)
                self._report_end(pid, None, status, self._meter.final(used))

    # -- requests ---------------------------------------------------------------------------------

    def _answer(self) -> bool:
        """What the host asks for; False at end of file."""
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._control, _CHUNK, _DESCRIPTORS_OF_CONTEXT
            )
        except ConnectionError:
            return False
        self._received += descriptors
        for request in self._reader.feed(data):
            self._do(request)
        return bool(data)

    def _do(self, request: dict[str, Any]) -> None:
        operation = request.pop("op")
        if operation == "task":
            self._task = runner.Task(**request)
        elif operation == "context":
            self._end_context("host")
            self._number = request["number"]
            self._start_context()
            self._sweep()
        elif operation == "begin":
            self._meter.begin()
        elif operation == "usage":
            self._tell({"event": "usage", "usage": self._meter.read() if self._pid else None})
        elif operation == "interrupt" and self._pid:
            os.kill(self._pid, signal.SIGINT)
        elif operation == "kill":
            self._end_context("host")

    def _tell(self, message: dict[str, Any]) -> None:
        with suppress(ConnectionError):  # the host is gone, which the next look at it says too
            self._control.sendall(wire.encode(message))

    # -- the runner -------------------------------------------------------------------------------

    def _start_context(self) -> None:
        descriptors = self._received[:_DESCRIPTORS_OF_CONTEXT]
        del self._received[:_DESCRIPTORS_OF_CONTEXT]
        try:
            pid = os.fork()
        except OSError as error:
            failure = {"step": "fork", "errno": error.errno or 0, "detail": str(error)}
            self._tell({"event": "failed", "number": self._number, **failure})
        else:
            if pid == 0:
                self._become_runner(*descriptors)
            self._pid, self._meter = pid, usage.Meter(pid)
            self._tell({"event": "started", "number": self._number, "pid": pid})
        for descriptor in descriptors:
            os.close(descriptor)

    def _become_runner(self, channel: int, stdout: int, stderr: int) -> NoReturn:
        try:
            self._forget_host()
            assert self._task is not None  # noqa: S101  (the host sends it first)
            runner.run(self._task, self._folder, channel, stdout, stderr)
        except SystemExit:
            os._exit(0)
        except BaseException:  # noqa: BLE001  (whatever it is, it must not run the supervisor's code)
            os._exit(70)
        os._exit(0)

    def _forget_host(self) -> None:
        """In a child: signals as they were, and no descriptor that leads to the host."""
        signal.set_wakeup_fd(-1)
        for descriptor in (self._control.detach(), self._wake, self._wake_writer):
            os.close(descriptor)

    def _end_context(self, cause: str) -> None:
        """Kill the group, reap the runner, and tell the host how it ended."""
        pid, self._pid = self._pid, 0
        if pid == 0:
            return
        _kill_group(pid)
        os.kill(pid, signal.SIGKILL)  # if it was forked just now, it does not lead a group yet
        _, status, used = os.wait4(pid, 0)
        by_us = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        self._report_end(pid, cause if by_us else None, status, self._meter.final(used))

    def _report_end(self, pid: int, cause: str | None, status: int, used: dict[str, float]) -> None:
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
            cause = "cpu"
        _wait_for_end_of_group(pid)
        message = {"event": "exited", "number": self._number, "cause": cause, "status": status}
        self._tell(message | {"usage": used})

    # -- folders ----------------------------------------------------------------------------------

    def _clean_up(self) -> None:
        if not (self._folder.is_free() and self._folder.remove(_SECONDS_TO_REMOVE)):
            self._leave_janitor(partial(_remove_when_free, self._folder))

    def _sweep(self) -> None:
        """Remove what hosts that were killed, and their supervisors with them, have left."""
        with suppress(OSError):  # no right to list, or no process to be had: another start does it
            paths = folder.leftovers(os.path.dirname(self._folder.path))
            if paths:
                self._leave_janitor(partial(_remove_leftovers, paths))

    def _leave_janitor(self, work: Callable[[], None]) -> None:
        if os.fork() == 0:
            try:
                self._forget_host()
                _be_janitor(work)
            finally:
                os._exit(1)


def _be_janitor(work: Callable[[], None]) -> NoReturn:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    work()
    os._exit(0)


def _remove_when_free(place: folder.Folder) -> None:
    place.wait_until_free()
    place.remove(_SECONDS_OF_JANITOR)


def _remove_leftovers(paths: Sequence[str]) -> None:
    for path in paths:
        with suppress(OSError):  # another one is at it, or it is not ours
            place = folder.Folder(path)
            if place.is_free():
                place.remove(_SECONDS_OF_JANITOR)
            place.close()


def _kill_group(group: int) -> None:
    # There may be none (any more), or none in it that is alive, of which macOS says EPERM.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _wait_for_end_of_group(group: int) -> None:
    """Wait until the killed are gone, whom others reap; but not for ever, as some do not."""
    deadline = time.monotonic() + _GROUP_PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return
        select.select([], [], [], _PAUSE_SECONDS)


def _noted(number: int, frame: FrameType | None) -> None:
    """A signal has its effect through the wake-up descriptor."""


def main(control: int, host: int, path: str) -> NoReturn:
    """Supervise the interpreters of one sandbox of this host, in this folder."""
    os.set_inheritable(control, False)  # noqa: FBT003  (the function's own signature)
    Supervisor(socket.socket(fileno=control), host, folder.Folder(path)).run()


def remove_when_free(path: str) -> NoReturn:
    """Leave a janitor for a folder whose supervisor was killed."""
    place = folder.Folder(path)
    if os.fork() == 0:
        try:
            _be_janitor(partial(_remove_when_free, place))
        finally:
            os._exit(1)
    os._exit(0)
