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
import time
from typing import Any

from protocell._box import ANSWER_SECONDS, Exit
from protocell._remedies import explain_failure
from protocell._waiter import Waiter
from protocell.errors import FileError, SandboxDiedError, SetupError
from protocell_guest import wire
from protocell_guest.usage import Totals, read_peak, read_totals, reset_peak, spent

SETUP_SECONDS = 30.0


class Pending:
    """A sandbox that has been asked for."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def is_usable(self) -> bool:
        """False when it has ended while it waited to be used."""
        poll = select.poll()
        poll.register(self._control.fileno(), select.POLLIN)
        return not any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))

    async def open(self, waiter: Waiter) -> KernelBox:
        """Wait until it is built.

        Raises:
            UnsupportedError, SetupError: it could not be built.
            SandboxDiedError: it ended before it was used.
        """
        box = KernelBox(self._control)
        try:
            await box.receive_context(waiter)
        except BaseException:
            box.close()
            raise
        return box

    def close(self) -> None:
        """Give it up."""
        self._control.close()


class KernelBox:
    """A sandbox behind namespaces, with an init of its own."""

    def __init__(self, control: socket.socket) -> None:
        control.setblocking(False)  # noqa: FBT003  (the socket's own signature)
        self._control = control
        self._owner = os.getpid()
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
        message, descriptors = await self._packet(
            waiter, deadline, "ready", "context", "failed", "exited"
        )
        if message["event"] == "exited":
            raise SetupError("the new interpreter ended before it was ready", step="context")
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
        self._send({"op": "context"})
        await self.receive_context(waiter)

    def interrupt(self) -> None:
        self._send({"op": "interrupt"})

    def end(self) -> None:
        self._send({"op": "kill"})

    async def ended(self, waiter: Waiter) -> Exit:
        if self._exit is not None:
            return self._exit
        message, _ = await self._packet(waiter, time.monotonic() + ANSWER_SECONDS, "exited")
        return self._note_exit(message)

    async def settle(self, waiter: Waiter) -> None:
        if self.alive and await waiter.wait([self.notice], [], time.monotonic()):
            await self.ended(waiter)

    def _note_exit(self, message: dict[str, Any]) -> Exit:
        used = self._spent(Totals(*message["totals"]))
        memory = {name: message[name] for name in ("peak_memory", "oom_kills")}
        self._exit = Exit(message["cause"], message["status"], used | memory)
        self.alive = False
        return self._exit

    # -- measuring and files ----------------------------------------------------------------------

    def begin(self, cpu_seconds: float) -> None:
        self._cpu_seconds, self._watched = cpu_seconds, False
        if self._totals is None:
            with contextlib.suppress(OSError):  # ended already: its notice is on the way
                self._totals = read_totals(self._folder)
            if "memory-watch" in self.enforced:
                self.watch()  # from now on it may hold memory between executions, too

    def watch(self) -> None:
        if not self._watched:
            self._watched = True
            self._send({"op": "watch", "cpu_seconds": self._cpu_seconds})

    async def usage(self, waiter: Waiter) -> dict[str, Any]:
        """As init sees the whole tree if it was watched, else of the context and what it reaped."""
        used: dict[str, Any] = {"oom_kills": 0, "peak_memory": 0}
        if self._watched:
            self._send({"op": "rest"})
            message, _ = await self._packet(waiter, time.monotonic() + ANSWER_SECONDS, "rested")
            used = {name: message[name] for name in used}
        try:
            peak = read_peak(self._folder)
            with contextlib.suppress(PermissionError):  # the code has made itself unreadable
                reset_peak(self._folder)
            used["peak_memory"] = max(used["peak_memory"], peak)
            used |= self._spent(read_totals(self._folder))
            if used["processes"]:
                self.watch()  # what it started may go on
            return used
        except (FileNotFoundError, ProcessLookupError):  # it has ended just now
            return (await self.ended(waiter)).usage

    def _spent(self, now: Totals) -> dict[str, float]:
        before, self._totals = self._totals or now, now
        return spent(before, now)

    async def create(self, path: str, waiter: Waiter) -> int:
        self._send({"op": "create", "path": path})
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
            wire.send_packet(self._control, message)
        except OSError as error:
            raise self._died() from error

    async def _packet(
        self, waiter: Waiter, deadline: float, *expected: str
    ) -> tuple[dict[str, Any], list[int]]:
        """The next packet of init; with ``expected``, what comes before it is dropped."""
        while True:
            if not await waiter.wait([self._control.fileno()], [], deadline):
                raise SandboxDiedError("the sandbox's init did not answer in time; make a new one")
            message, descriptors = wire.recv_packet(self._control)
            if message is None:
                raise self._died()
            if not expected or message["event"] in expected:
                return message, descriptors
            for descriptor in descriptors:
                os.close(descriptor)
            if message["event"] == "exited":
                self._note_exit(message)

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
        if os.getpid() == self._owner:
            # Ends the sandbox even if a forked child still holds a copy of the socket.
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        self.channel.close()
        self._close("stdout", "stderr", "workspace", "_folder")
