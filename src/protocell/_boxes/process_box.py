"""A sandbox without the kernel's help, as the host holds it: for systems that are not Linux.

Theory of operation
-------------------
A supervisor (``supervisor``) starts the interpreter, ends it, measures it and buries it; here it
is asked to.  ``channel``, ``stdout`` and ``stderr`` lead to model code, as in ``KernelBox``, but the
host makes them and sends the far ends along, so no descriptor is taken from the other side.
``workspace`` is the folder ``user`` in a temporary folder of this sandbox (``folder.py``), and the
lock on it keeps the folder there as long as the sandbox, or a file that came out of it, lives.

The code has the rights of this process's user, so a supervisor's word is worth less than an init's.
When it was killed, the process group that it told us of is killed from here; code that leaves that
group escapes.  All of this is POSIX; it is tested on Linux only.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from protocell._boxes.box import ANSWER_SECONDS, Exit
from protocell._boxes.own_workspace import OwnWorkspace
from protocell._boxes.process_task import explained, task_of
from protocell._boxes.supervisor import Supervisor
from protocell._boxes.zygote import START_SECONDS
from protocell._waiter import Waiter
from protocell.errors import SandboxDiedError, SetupError
from protocell.policy import Policy
from protocell_guest import wire
from protocell_guest.process_runner import folder

_MAX_GREETING_BYTES = 1 << 16


async def launch_process(policy: Policy, waiter: Waiter) -> ProcessBox:
    """A sandbox in a process group and a temporary folder; raises UnsupportedError, SetupError."""
    box = _started(policy)
    try:
        await box.open(waiter)
    except BaseException:
        box.close()
        raise
    return box


def _started(policy: Policy) -> ProcessBox:
    python = policy.environment.python or sys.executable
    try:
        with ExitStack() as undo:
            path = folder.make(tempfile.gettempdir())
            undo.callback(folder.discard, path)
            workspace = folder.hold(path)
            undo.callback(os.close, workspace)
            supervisor = Supervisor(python, path)
            undo.pop_all()
    except OSError as error:
        message = f"cannot start a sandbox with the interpreter {python!r}: {error}"
        raise SetupError(message, step="process", errno=error.errno) from error
    return ProcessBox(policy, supervisor, workspace)


class ProcessBox:
    """A sandbox that is a process group and a folder; ``Box`` says what its methods mean."""

    def __init__(self, policy: Policy, supervisor: Supervisor, workspace: int) -> None:
        self._policy = policy
        self._supervisor = supervisor
        self.workspace = workspace
        self._own = OwnWorkspace(workspace)
        self.channel = socket.socket(socket.AF_UNIX)
        self.stdout = self.stderr = -1
        self.enforced: tuple[str, ...] = ()
        self.alive = self.was_interrupted = False
        self._exit: Exit | None = None
        self._owed = 0  # answers that have not come yet
        self._number = 0  # of the interpreter; of one whose asker was torn away nothing is heard
        self._runner: tuple[int, int] | None = None  # pid, and start time where that is told
        self._inbox: deque[dict[str, Any]] = deque()
        self._once = threading.Lock()  # taken by the first to close

    @property
    def is_there(self) -> bool:
        return self.workspace >= 0 and self._supervisor.is_there

    @property
    def notice(self) -> int:
        return self._supervisor.control.fileno()

    # -- contexts ---------------------------------------------------------------------------------

    async def open(self, waiter: Waiter) -> None:
        """Wait for the first interpreter; called once.

        Raises:
            UnsupportedError, SetupError: it could not be started.
        """
        try:
            await self._send_task(waiter)
            await self.renew(waiter)
        except SandboxDiedError as died:
            words = self._supervisor.last_words()
            raise SetupError(f"the sandbox could not start: {words}", step="process") from died

    async def _send_task(self, waiter: Waiter) -> None:
        unsent = memoryview(wire.encode(task_of(self._policy)))  # more than a socket takes at once
        deadline = time.monotonic() + START_SECONDS
        while unsent:
            if not await waiter.wait([], [self.notice], deadline):
                raise self._died()
            try:
                unsent = unsent[self._supervisor.control.send(unsent) :]
            except OSError as error:
                raise self._died() from error

    async def renew(self, waiter: Waiter) -> None:
        deadline = time.monotonic() + START_SECONDS
        self._inbox.clear()
        theirs = self._make_streams()
        try:
            self._number += 1
            self._send({"op": "context", "number": self._number}, theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        message = await self._message(waiter, deadline, "started", "failed")
        if message["event"] == "started":
            pid = int(message["pid"])
            self._runner = pid, folder.start_time(pid)
            message = await self._greeting(waiter, deadline)
        if message["event"] == "failed":
            raise explained(message["step"], message["errno"], message["detail"])
        self.enforced = tuple(sorted(message["enforced"]))
        self._send({"op": "begin"})  # from here on, what is used is the code's
        self._exit = None
        self.alive = True

    def _make_streams(self) -> list[int]:
        """New ones in place of the old; returns the far ends."""
        self._close_streams()
        with ExitStack() as undo:
            try:
                self.channel, theirs = socket.socketpair()
                far = [theirs.detach()]
                undo.callback(os.close, far[0])
                for name in ("stdout", "stderr"):
                    reader, writer = os.pipe()
                    setattr(self, name, reader)
                    far.append(writer)
                    undo.callback(os.close, writer)
            except OSError as error:
                message = f"cannot make the sandbox's pipes: {error}"
                raise SetupError(message, step="pipe", errno=error.errno) from error
            undo.pop_all()
        for descriptor in (self.channel.fileno(), self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
        return far

    async def _greeting(self, waiter: Waiter, deadline: float) -> dict[str, Any]:
        # No model code has run there yet: this one frame is ours, and still read with bounds.
        reader = wire.FrameReader(_MAX_GREETING_BYTES)
        while await waiter.wait([self.channel.fileno()], [], deadline):
            data = self.channel.recv(_MAX_GREETING_BYTES)
            if not data:
                raise SetupError("the new interpreter ended before it was ready", step="context")
            if frames := reader.feed(data):
                return frames[0]
        raise SetupError("the new interpreter was not ready in time", step="context")

    def interrupt(self) -> None:
        with suppress(SandboxDiedError):  # then there is nothing to interrupt
            self._send({"op": "interrupt"})

    def end(self) -> None:
        with suppress(SandboxDiedError):  # then the code was ended by that
            self._send({"op": "kill"})

    async def ended(self, waiter: Waiter) -> Exit:
        if self._exit is None:
            await self._message(waiter, time.monotonic() + ANSWER_SECONDS, "exited")
        assert self._exit is not None  # noqa: S101  (noted when the message came in)
        return self._exit

    # -- measuring and files ----------------------------------------------------------------------

    def begin(self, cpu_seconds: float) -> None:
        """Nothing to do: each execution is measured from the end of the one before."""

    async def settle(self, waiter: Waiter) -> None:
        # Who was torn away is answered all the same: that is no notice of an end.
        while self.alive and (self._owed or await waiter.wait([self.notice], [], time.monotonic())):
            if not await waiter.wait([self.notice], [], time.monotonic() + ANSWER_SECONDS):
                raise self._died()
            self._receive()
            self._inbox.clear()

    def watch(self) -> None:
        """Nothing to do: the interpreter has set its own limits."""

    async def usage(self, waiter: Waiter) -> dict[str, Any]:
        try:
            self._owed += 1
            self._send({"op": "usage"})
            message = await self._message(waiter, time.monotonic() + ANSWER_SECONDS, "usage")
        except SandboxDiedError:
            return {}  # the code has done it, and come to its end: nobody knows what it used
        if message["usage"] is None and self._exit is not None:  # it ended just now
            return self._exit.usage
        return dict(message["usage"] or {})

    def ask(
        self, request: dict[str, Any], descriptors: Sequence[int] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        return self._own.ask(request, descriptors)

    # -- the supervisor ---------------------------------------------------------------------------

    def _send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        try:
            self._supervisor.send(message, descriptors)
        except OSError as error:
            raise self._died() from error

    async def _message(self, waiter: Waiter, deadline: float, *expected: str) -> dict[str, Any]:
        """The next message of this kind; what comes before it is dropped."""
        while True:
            while self._inbox:
                message = self._inbox.popleft()
                if message["event"] in expected:
                    return message
            if not await waiter.wait([self.notice], [], deadline):
                raise self._died()
            self._receive()

    def _receive(self) -> None:
        try:
            messages = self._supervisor.receive()
        except (OSError, wire.WireError) as error:
            raise self._died() from error
        for message in messages:
            if message["event"] == "usage":
                self._owed -= 1
            elif message["number"] != self._number:
                continue
            elif message["event"] == "exited":
                self._exit = Exit(message["cause"], message["status"], message["usage"])
                self.alive = False
            self._inbox.append(message)

    def _died(self) -> SandboxDiedError:
        self.alive = False
        self._kill_group()
        return SandboxDiedError(
            "the sandbox ended (its supervisor was killed); its variables are lost, make a new one"
        )

    def _kill_group(self) -> None:
        """What the supervisor would do, done where it cannot, if the group is still that group."""
        if self._runner is None:
            return
        pid, started = self._runner
        with suppress(OSError):
            if folder.start_time(pid) == started and os.getsid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)

    def _close_streams(self) -> None:
        self.channel.close()
        for name in ("stdout", "stderr"):
            descriptor = getattr(self, name)
            setattr(self, name, -1)
            if descriptor >= 0:
                os.close(descriptor)

    def close(self) -> None:
        if not self._once.acquire(blocking=False):
            return
        self.alive = False
        self._close_streams()
        self.workspace = -1
        self._own.close()  # before the supervisor looks whether somebody reads files there
        if not self._supervisor.close():
            self._kill_group()
            self._supervisor.remove_folder()
