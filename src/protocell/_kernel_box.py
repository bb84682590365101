"""One sandbox as the host holds it: its descriptors, and what can be asked of its init.

Theory of operation
-------------------
``control`` (SEQPACKET) leads to init, which is ours: its word on how a context ended and what it used
is taken from the kernel.  ``channel`` (stream), ``stdout`` and ``stderr`` (pipes) lead to model code:
nothing that comes from there is believed or blocks us.  ``workspace`` is a folder descriptor into the
sandbox's tmpfs, ``_folder`` one of the context's folder in /proc.  All of them are this object's,
non-blocking, and closed by ``close``; closing ``control`` ends the sandbox, and the kernel then ends
all of its processes.

Only one task waits on a box at a time; ``interrupt`` and ``end`` may come from any thread, since a
packet is sent whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from typing import Any

from protocell._box import ANSWER_SECONDS, Exit, out_of_descriptors
from protocell._remedies import explain_failure
from protocell._waiter import BlockingWaiter, Waiter, drive
from protocell.errors import FileError, ProtocellError, SandboxDiedError, SetupError
from protocell_guest import usage, wire
from protocell_guest.usage import Totals

SETUP_SECONDS = 30.0
_OF_THE_TREE = ("oom_kills", "peak_memory", "processes")


class Pending:
    """A sandbox that has been asked for."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._box: KernelBox | None = None

    def is_usable(self) -> bool:
        """False when it has ended while it waited to be used."""
        return self._control.fileno() >= 0 and not self._events() & (
            select.POLLHUP | select.POLLERR
        )

    def is_answered(self) -> bool:
        """Whether it is ready, or has said why not."""
        return self._box is not None or bool(self._events() & select.POLLIN)

    def _events(self) -> int:
        poll = select.poll()
        poll.register(self._control.fileno(), select.POLLIN)
        return next((events for _, events in poll.poll(0)), 0)

    def prepare(self) -> None:
        """Take what has come, if it has, so that ``open`` has nothing to do; does not wait."""
        if self._box is None and self._control.fileno() >= 0 and self._events() == select.POLLIN:
            with contextlib.suppress(ProtocellError):  # closed then; whoever wants one asks anew
                self._box = drive(self.open(BlockingWaiter()))

    async def open(self, waiter: Waiter) -> KernelBox:
        """Wait until it is built.

        Raises:
            UnsupportedError, SetupError: it could not be built.
            SandboxDiedError: it ended before it was used.
        """
        if self._box is not None:
            return self._box
        try:
            box = KernelBox(self._control)
        except OSError:
            self.close()
            raise
        try:
            await box.receive_context(waiter)
        except BaseException:
            box.close()
            raise
        return box

    def close(self) -> None:
        """Give it up."""
        if self._box is not None:
            self._box.close()
        self._control.close()


class KernelBox:
    """A sandbox behind namespaces, with an init of its own."""

    def __init__(self, control: socket.socket) -> None:
        control.setblocking(False)  # noqa: FBT003  (the socket's own signature)
        self._control = control
        self._owner = os.getpid()
        # So that no thread sends to a number that another has closed.
        self._lock = threading.RLock()
        self._asked = 0  # requests that are answered carry a number: an answer may come too late
        self._owed = False  # whether the last one has not been answered yet
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stdout = self.stderr = self.workspace = -1
        self.enforced: tuple[str, ...] = ()
        self.alive = False
        self._folder = -1
        self._exit: Exit | None = None
        self._totals: Totals | None = None
        self._cpu_seconds = 0.0
        self._watched = False

    @property
    def notice(self) -> int:
        return self._control.fileno()

    # -- contexts ---------------------------------------------------------------------------------

    async def receive_context(self, waiter: Waiter) -> None:
        """Take the descriptors of a new context and its greeting."""
        deadline = time.monotonic() + SETUP_SECONDS
        expected = ("context", "failed", "exited")
        message, descriptors = await self._packet(waiter, deadline, *expected)
        while message["event"] == "exited":
            if message["context"] == self._asked:
                raise SetupError("the new interpreter ended before it was ready", step="context")
            # One whose asker was torn away; ours comes after it.
            message, descriptors = await self._packet(waiter, deadline, *expected)
        if message["event"] == "failed":
            raise explain_failure(message["step"], message["errno"], message["detail"])
        self._close("stdout", "stderr", "_folder")
        self.channel.close()
        channel, self.stdout, self.stderr, workspace, self._folder = descriptors
        if self.workspace < 0:
            self.workspace = workspace
        else:  # whoever knows the workspace by the first descriptor goes on using that
            os.close(workspace)
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, channel)
        for descriptor in (channel, self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
        self.enforced = tuple(sorted(message["enforced"]))
        self.alive = True
        self._exit = self._totals = None

    async def renew(self, waiter: Waiter) -> None:
        await self.ended(waiter)
        self._ask({"op": "context"})
        await self.receive_context(waiter)

    def interrupt(self) -> None:
        with contextlib.suppress(SandboxDiedError):  # then there is nothing to interrupt
            self._send({"op": "interrupt"})

    def end(self) -> None:
        with contextlib.suppress(SandboxDiedError):  # then the code was ended by that
            self._send({"op": "kill"})

    async def ended(self, waiter: Waiter) -> Exit:
        if self._exit is None:
            await self._packet(waiter, time.monotonic() + ANSWER_SECONDS, "exited")
        assert self._exit is not None  # noqa: S101  (noted when the packet came in)
        return self._exit

    async def settle(self, waiter: Waiter) -> None:
        while self.alive and (self._owed or await waiter.wait([self.notice], [], time.monotonic())):
            _, descriptors = await self._next(waiter, time.monotonic() + ANSWER_SECONDS)
            for descriptor in descriptors:
                os.close(descriptor)

    def _note_exit(self, message: dict[str, Any]) -> Exit:
        used = self._spent(Totals(*message["totals"]))
        whole = {name: message[name] for name in _OF_THE_TREE}
        self._exit = Exit(message["cause"], message["status"], used | whole)
        self.alive = False
        return self._exit

    # -- measuring and files ----------------------------------------------------------------------

    def begin(self, cpu_seconds: float) -> None:
        self._cpu_seconds, self._watched = cpu_seconds, False
        if self._totals is None:
            with contextlib.suppress(OSError):  # ended already: its notice is on the way
                self._totals = usage.read_totals(self._folder)
            if "memory-watch" in self.enforced:
                self.watch()  # from now on it may hold memory between executions, too

    def watch(self) -> None:
        if not self._watched:
            self._watched = True
            with contextlib.suppress(SandboxDiedError):  # its end is noticed by who waits for it
                self._send({"op": "watch", "cpu_seconds": self._cpu_seconds})

    async def usage(self, waiter: Waiter) -> dict[str, Any]:
        """As init sees the whole tree if it was watched, else of the context and what it reaped."""
        used: dict[str, Any] = dict.fromkeys(_OF_THE_TREE, 0)
        if self._watched:
            used = await self._ask_init(waiter)
        try:
            peak = usage.read_peak(self._folder)
            with contextlib.suppress(PermissionError):  # the code has made itself unreadable
                usage.reset_peak(self._folder)
            now = usage.read_totals(self._folder)
            if not self._watched and usage.have_started(self._totals or now, now):
                used = await self._ask_init(waiter)
                self.watch()  # what it started may go on
            used["peak_memory"] = max(used["peak_memory"], peak)
            return used | self._spent(now)
        except (FileNotFoundError, ProcessLookupError):  # it has ended just now
            return (await self.ended(waiter)).usage
        except OSError as error:
            raise out_of_descriptors() from error

    async def _ask_init(self, waiter: Waiter) -> dict[str, Any]:
        self._ask({"op": "rest"})
        message, _ = await self._packet(waiter, time.monotonic() + ANSWER_SECONDS, "rested")
        return {name: message[name] for name in _OF_THE_TREE}

    def _spent(self, now: Totals) -> dict[str, float]:
        before, self._totals = self._totals or now, now
        return usage.spent(before, now)

    async def create(self, path: str, waiter: Waiter) -> int:
        self._ask({"op": "create", "path": path})
        message, descriptors = await self._packet(
            waiter, time.monotonic() + ANSWER_SECONDS, "created", "refused"
        )
        if message["event"] == "refused":
            text = f"cannot write {path!r} in the workspace: {message['detail']}"
            raise FileError(text, path=path, errno=message["errno"])
        return descriptors[0]

    # -- control socket ---------------------------------------------------------------------------

    def _send(self, message: dict[str, Any]) -> None:
        try:
            with self._lock:
                wire.send_packet(self._control, message)
        except OSError as error:
            raise self._died() from error

    def _ask(self, message: dict[str, Any]) -> None:
        self._asked += 1
        self._owed = True
        self._send(message | {"number": self._asked})

    async def _packet(
        self, waiter: Waiter, deadline: float, *expected: str
    ) -> tuple[dict[str, Any], list[int]]:
        """What init tells by itself (it has no number), or its answer to what was asked last.

        The rest is dropped: answers to questions whose asker was torn away before they came.
        """
        while True:
            message, descriptors = await self._next(waiter, deadline)
            if message["event"] in expected and message.get("number") in {None, self._asked}:
                return message, descriptors
            for descriptor in descriptors:
                os.close(descriptor)

    async def _next(self, waiter: Waiter, deadline: float) -> tuple[dict[str, Any], list[int]]:
        if not await waiter.wait([self._control.fileno()], [], deadline):
            raise SandboxDiedError("the sandbox's init did not answer in time; make a new one")
        try:
            message, descriptors = wire.recv_packet(self._control)
        except wire.WireError as error:
            # Init sends none that is odd: there was no room for its descriptors (unix(7)).
            raise out_of_descriptors() from error
        if message is None:
            raise self._died()
        if message.get("number") == self._asked:
            self._owed = False
        if message["event"] == "exited":
            self._note_exit(message)
        return message, descriptors

    def _died(self) -> SandboxDiedError:
        self.alive = False
        return SandboxDiedError(
            "the sandbox ended (its init or its zygote was killed); its variables and files are "
            "lost, make a new one"
        )

    def _close(self, *names: str) -> None:
        for name in names:
            descriptor = getattr(self, name)
            setattr(self, name, -1)
            if descriptor >= 0:
                os.close(descriptor)

    def close(self) -> None:
        self.alive = False
        with self._lock:
            if os.getpid() == self._owner:
                # Ends the sandbox even if a forked child still holds a copy of the socket.
                with contextlib.suppress(OSError):
                    self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()
            self.channel.close()
            self._close("stdout", "stderr", "workspace", "_folder")
