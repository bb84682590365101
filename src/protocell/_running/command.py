"""One shell command: started by init, listened to, stopped by the ladder, and told as data.

Theory of operation
-------------------
init starts it on a control socket of its own; the command's process says there that it is confined, hands over
the read ends of its pipes, and becomes the shell.  When the shell ends, init says how.  What it has left
running goes on, and may go on writing; we read what is there and no more.  End of file on our end of the
control socket ends it with all that it started.
"""

from __future__ import annotations

import socket
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from protocell._boxes.kernel_box import KernelBox
from protocell._printable import printable_line
from protocell._running.agenda import Agenda
from protocell._running.bell import Bell
from protocell._running.outcome import End, Outcome, Stop
from protocell._running.output import decoded
from protocell._running.pipes import Pipes
from protocell._running.verdict import Terms, judge_command, usage_of
from protocell._waiter import Waiter
from protocell.commands import CommandResult
from protocell.errors import SandboxDiedError, SetupError
from protocell.limits import Limits

OnText = Callable[[str], object]


class Order(NamedTuple):
    """What is to be run, and how."""

    command: str
    envs: Mapping[str, str]
    cwd: str
    seconds: float | None  # on the clock; None: as long as the sandbox lives
    on_stdout: OnText | None
    on_stderr: OnText | None
    is_over: Callable[[], bool]  # whether the sandbox's own time is up


class Command:
    """A command from its start to its end."""

    def __init__(self, box: KernelBox, limits: Limits, order: Order) -> None:
        self._box = box
        self._limits = limits
        self._order = order
        self._bell = Bell()
        self._agenda: Agenda[End] = Agenda()
        self._started = time.monotonic()
        self._outcome = Outcome()
        self._pipes = Pipes(
            (box.stdout, box.stderr),
            limits.output_bytes,
            decoded(order.on_stdout),
            decoded(order.on_stderr),
        )
        self._closed = self._killed = False
        self._closing = threading.Lock()
        # Who forgets a command in the background has given it up.
        weakref.finalize(self, _let_go, box, self._bell).atexit = False
        if order.seconds is not None:
            self._agenda.put(self._started + order.seconds, lambda: self._stop(Stop.DEADLINE))

    @classmethod
    async def start(cls, house: KernelBox, limits: Limits, order: Order, waiter: Waiter) -> Command:
        """Have init start it.

        Raises:
            PolicyError: its working folder is not there.
            SetupError, SandboxDiedError: it could not be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        box = KernelBox(ours, house.name, house.door)
        box.tree.kills = house.tree.kills
        try:
            request: dict[str, Any] = {"op": "command", "command": order.command}
            request |= {"cwd": order.cwd, "envs": dict(order.envs), "seconds": order.seconds}
            with theirs:
                reply, _ = house.ask(request, [theirs.fileno()])
            if reply["event"] != "started":
                message = f"the command could not be started: {reply['detail']}"
                raise SetupError(message, step="command", errno=reply["errno"])
            await box.receive_command(waiter)
            box.begin(limits.cpu_seconds)
            box.watch()
            return cls(box, limits, order)
        except BaseException:
            box.close()
            raise

    def __str__(self) -> str:
        state = "ended" if self._closed else "killed" if self._killed else "not waited for"
        return f"{printable_line(self._order.command, 60)!r}, {state}"

    def interrupt(self) -> None:
        """Stop it by the ladder; from any thread."""
        with self._closing:
            if not self._closed:
                self._bell.ring()

    def kill(self) -> None:
        """End it with all that it started; from any thread."""
        if not self._closed:
            self._killed = True
            self._box.end()

    async def result(self, waiter: Waiter) -> CommandResult:
        """Wait for its end and tell what came of it; the same again when it has ended."""
        if not self._closed:
            await self._follow(waiter)
            self._outcome.wall_seconds = time.monotonic() - self._started
        return self._told()

    async def _follow(self, waiter: Waiter) -> None:
        try:
            self._outcome.end = await self._listen(waiter)
            if self._outcome.end is not End.GONE:
                self._box.end()
            self._outcome.exit = await self._box.ended(waiter)
            self._outcome.usage = self._outcome.exit.usage
            self._drain()
        except SandboxDiedError:
            self._drain()
        except BaseException:
            self._killed = True  # the caller was torn away
            raise
        finally:
            self.close()

    def _told(self) -> CommandResult:
        limits = self._limits
        wall_seconds = self._order.seconds or limits.wall_seconds
        terms = Terms(
            limits=limits,
            wall_seconds=wall_seconds,
            killed=self._killed,
            is_over=self._order.is_over(),
        )
        status, reason, exit_code = judge_command(self._outcome, terms)
        return CommandResult(
            status=status,
            reason=reason,
            exit_code=exit_code,
            stdout=self._pipes.stdout.text(),
            stderr=self._pipes.stderr.text(),
            usage=usage_of(self._outcome, 0.0),
            enforced=self._box.enforced,
        )

    def _stop(self, why: Stop) -> None:
        if self._outcome.stop is None:
            self._outcome.stop = why
            self._box.interrupt()
            self._agenda.put(time.monotonic() + self._limits.grace_seconds, lambda: End.STOPPED)

    async def _listen(self, waiter: Waiter) -> End:
        notice, bell = self._box.notice, self._bell.fileno()
        while True:
            until = self._agenda.next if self._agenda else None
            ready = await waiter.wait([notice, bell, *self._pipes.open], [], until)
            if bell in ready and self._bell.silence():
                self._stop(Stop.CALLER)
            if (end := self._agenda.work()) is not None:
                return end
            self._pipes.read(ready)
            if self._pipes.total_bytes > self._limits.output_total_bytes:
                return End.TOO_MUCH_OUTPUT
            if notice in ready:
                return End.GONE

    def _drain(self) -> None:
        self._pipes.drain()
        self._pipes.finish()

    def close(self) -> None:
        """Let go of it; what is left of it ends."""
        with self._closing:
            self._closed = True
            _let_go(self._box, self._bell)


def _let_go(box: KernelBox, bell: Bell) -> None:
    box.close()
    bell.close()
