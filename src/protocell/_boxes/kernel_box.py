"""One life in a sandbox as the host holds it: an interpreter behind namespaces, with an init beside it.

Theory of operation
-------------------
``control`` leads to init, which is ours: its word on how an interpreter ended and what it used is taken
from the kernel.  ``channel`` (stream), ``stdout`` and ``stderr`` (pipes) lead to model code: nothing that
comes from there is believed or blocks us.  ``workspace`` is a folder descriptor into the sandbox's tmpfs,
``_folder`` one of the interpreter's folder in /proc.  All of them are this object's, non-blocking, and closed
by ``close``.  Closing the control socket of a sandbox's first interpreter ends the sandbox with all that is
in it; that of a branch ends the branch.

Only one task waits on a box at a time; ``interrupt`` and ``end`` may come from any thread.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Collection, Sequence
from typing import Any

from protocell._boxes.box import ANSWER_SECONDS, Exit
from protocell._boxes.control import Control, Message, close_all
from protocell._boxes.door import Door
from protocell._boxes.lines import Line, Lines
from protocell._boxes.remedies import explain_failure
from protocell._boxes.tree import OF_THE_TREE, Tree
from protocell._waiter import Waiter
from protocell.errors import PolicyError, SandboxDiedError, SetupError
from protocell_guest import usage
from protocell_guest.usage import Totals

SETUP_SECONDS = 30.0


class KernelBox:
    """An interpreter behind namespaces; ``Box`` says what its methods mean."""

    def __init__(self, end: socket.socket, name: int, door: Door | None = None) -> None:
        self._control = Control(end, self._note)
        self.name = name  # by which its zygote knows the sandbox
        self.tree = Tree()
        self.owes = False  # the interpreter was asked something that it has not answered yet
        self.line = 0  # of the streams that are in use; a fresh interpreter has new ones
        self._lines, self._last_line = Lines(), 0
        self.door = Door(self._control) if door is None else door
        self._owns_door = door is None
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stdout = self.stderr = self.workspace = -1
        self.enforced: tuple[str, ...] = ()
        self.kept: tuple[int, ...] = ()
        self._alive = self.was_interrupted = False
        self._folder = -1
        self._exit: Exit | None = None
        self._number = 0  # of the question that brought this interpreter
        self._totals: Totals | None = None
        self._cpu_seconds = 0.0
        self._watched = False

    @property
    def notice(self) -> int:
        return self._control.fileno()

    @property
    def alive(self) -> bool:
        return self._alive and not self._control.gone

    @alive.setter
    def alive(self, value: bool) -> None:
        self._alive = value

    @property
    def is_there(self) -> bool:
        return not self._control.gone and self._control.is_connected()

    # -- interpreters -----------------------------------------------------------------------------

    async def receive_context(self, waiter: Waiter) -> None:
        """Take the descriptors of a new interpreter and its greeting."""
        deadline = time.monotonic() + SETUP_SECONDS
        expected = ("context", "failed", "exited")
        message, descriptors = await self._control.answer(waiter, *expected, deadline=deadline)
        while message["event"] == "exited":
            if message["context"] == self._control.asked:
                raise SetupError("the new interpreter ended before it was ready", step="context")
            # One whose asker was torn away; ours comes after it.
            message, descriptors = await self._control.answer(waiter, *expected, deadline=deadline)
        if message["event"] == "failed":
            raise explain_failure(message["step"], message["errno"], message["detail"])
        channel, stdout, stderr, workspace, folder = descriptors
        self.take_streams(channel, stdout, stderr, folder)
        if self.workspace >= 0:  # whoever knows it by the first descriptor goes on using that
            os.close(workspace)
        else:
            self.workspace = workspace
        self.enforced = tuple(sorted(message["enforced"]))

    async def receive_command(self, waiter: Waiter) -> None:
        """Take the pipes of a command that is about to begin."""
        deadline = time.monotonic() + SETUP_SECONDS
        expected = ("command", "failed", "exited")
        message, descriptors = await self._control.answer(waiter, *expected, deadline=deadline)
        if message["event"] == "failed" and message["step"] == "cwd":
            raise PolicyError(f"cwd: there is no such folder in the sandbox ({message['detail']})")
        if message["event"] == "failed":
            raise explain_failure(message["step"], message["errno"], message["detail"])
        if message["event"] == "exited":
            raise SetupError("the command ended before it was confined", step="command")
        self.stdout, self.stderr, self._folder = descriptors
        for descriptor in (self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
        self.enforced = tuple(sorted(message["enforced"]))
        self._lives()

    def take_streams(self, channel: int, stdout: int, stderr: int, folder: int) -> None:
        """An interpreter is there, with these descriptors, in place of the one before."""
        self._set_line_aside()
        self._last_line += 1
        self.line = self._last_line
        self.stdout, self.stderr, self._folder = stdout, stderr, folder
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, channel)
        for descriptor in (channel, self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
        self._lives()

    def _set_line_aside(self) -> None:
        """For copies that have it, if there are any."""
        line = Line(self.channel, self.stdout, self.stderr)
        # First, so that who is torn away in between closes no number twice: it is another's by then.
        self.stdout = self.stderr = -1
        if self.kept:
            self._lines.put(self.line, line)
        else:
            line.close()
        self._close("_folder")

    def go_back_to(self, line: int) -> None:
        """Use the streams of an earlier interpreter again, of which there is a copy; none is live now."""
        if line != self.line:
            self._set_line_aside()
            self.line = line
            self.channel, self.stdout, self.stderr = self._lines.take(line)

    def keep_lines(self, lines: Collection[int]) -> None:
        """There is no copy that has another one."""
        self._lines.keep(lines)

    def _lives(self) -> None:
        self.alive, self.owes = True, False
        self._exit = self._totals = None

    async def renew(self, waiter: Waiter) -> None:
        await self.ended(waiter)
        self._control.ask({"op": "context", "kept": self.kept})
        await self.receive_context(waiter)

    async def resume(self, copy: int, waiter: Waiter) -> bool:
        """Go on from a frozen copy of the interpreter that was here; whether it is there.

        What lives of the interpreter ends first.  The copy has the same channel and pipes; it says there
        that it is awake, which ``revival`` waits for.
        """
        self._control.ask({"op": "resume", "pid": copy, "kept": self.kept})
        message, descriptors = await self._control.answer(waiter, "resumed", "lost")
        if message["event"] == "lost":
            return False
        self._close("_folder")
        (self._folder,) = descriptors
        self._lives()
        return True

    def interrupt(self) -> None:
        with contextlib.suppress(SandboxDiedError):  # then there is nothing to interrupt
            self._control.send({"op": "interrupt"})

    def end(self) -> None:
        with contextlib.suppress(SandboxDiedError):  # then the code was ended by that
            self._control.send({"op": "kill", "kept": self.kept})

    async def ended(self, waiter: Waiter) -> Exit:
        while self._exit is None:
            if self._control.has_missed():
                self._control.send({"op": "end"})
            await self._control.answer(waiter, "exited")
        return self._exit

    async def settle(self, waiter: Waiter) -> None:
        while self.alive and (
            self._control.owes or await waiter.wait([self.notice], [], time.monotonic())
        ):
            until = time.monotonic() + ANSWER_SECONDS
            _, descriptors = await self._control.receive(waiter, until)
            close_all(descriptors)

    def _note(self, message: Message) -> None:
        if message["event"] in ("context", "resumed"):
            self._number = message["number"]
        if message["event"] != "exited" or self._exit or message["context"] < self._number:
            return  # an end may be told twice, also when another interpreter has followed
        used = self._spent(Totals(*message["totals"]))
        whole = self.tree.read(message)
        self._exit = Exit(message["cause"], message["status"], used | whole)
        self.alive = False

    # -- measuring --------------------------------------------------------------------------------

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
            request = {"op": "watch", "cpu_seconds": self._cpu_seconds, "kept": self.kept}
            with contextlib.suppress(SandboxDiedError):  # its end is noticed by who waits for it
                self._control.send(request)

    async def usage(self, waiter: Waiter) -> dict[str, Any]:
        """As init sees the whole tree if it was watched, else of the context and what it reaped."""
        used: dict[str, Any] = dict.fromkeys(OF_THE_TREE, 0)
        if self._watched:
            used = await self._ask_init(waiter)
        try:
            peak = usage.read_peak(self._folder)
            with contextlib.suppress(PermissionError):  # the code has made itself unreadable
                usage.reset_peak(self._folder)
            now = usage.read_totals(self._folder)
        except (FileNotFoundError, ProcessLookupError):  # it has ended just now
            return (await self.ended(waiter)).usage
        except OSError:  # this process has no descriptor left; the code has run all the same
            return used
        if not self._watched and usage.have_started(self._totals or now, now):
            used = await self._ask_init(waiter)
            self.watch()  # what it started may go on
        used["peak_memory"] = max(used["peak_memory"], peak)
        return used | self._spent(now)

    async def _ask_init(self, waiter: Waiter) -> dict[str, Any]:
        self._control.ask({"op": "rest"})
        message, _ = await self._control.answer(waiter, "rested")
        return self.tree.read(message)

    def _spent(self, now: Totals) -> dict[str, float]:
        before, self._totals = self._totals or now, now
        return usage.spent(before, now)

    # -- the sandbox around it --------------------------------------------------------------------

    def ask(
        self, request: dict[str, Any], descriptors: Sequence[int] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        return self.door.ask(request, descriptors)

    def set_deadline(self, seconds: float | None) -> None:
        self._control.send({"op": "deadline", "seconds": seconds})

    def spare(self, spendable: Sequence[int]) -> None:
        """Frozen copies that are not in ``kept`` go now, ``spendable`` ones when memory runs out."""
        with contextlib.suppress(SandboxDiedError):  # then all of them have gone
            self._control.send({"op": "spare", "kept": self.kept, "spendable": spendable})

    def keep_copies(self) -> None:
        """From now on an interpreter that ends by itself leaves its frozen copies behind."""
        self._control.send({"op": "careful"})

    def send_with(self, data: bytes, descriptors: Sequence[int]) -> None:
        """Bytes on the channel with descriptors: small, and sent while nothing else is on its way.

        Raises:
            SandboxDiedError: the interpreter is gone or does not read.
        """
        sent = 0
        with contextlib.suppress(OSError):
            sent = socket.send_fds(self.channel, [data], list(descriptors))
        if sent < len(data):
            self.owes = self.owes or sent > 0  # half a question
            raise SandboxDiedError("the interpreter does not read; run some code first")

    def _close(self, *names: str) -> None:
        for name in names:
            descriptor = getattr(self, name)
            setattr(self, name, -1)
            if descriptor >= 0:
                os.close(descriptor)

    def close(self) -> None:
        self.alive = False
        self._control.close()
        if self._owns_door:
            self.door.close()
        self._lines.keep(())
        self.channel.close()
        self._close("stdout", "stderr", "workspace", "_folder")
