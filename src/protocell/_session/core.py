"""The life of one context on the host, written once; the classes with ``Async`` and without are its two faces.

Every method that waits is a coroutine and waits through a ``Waiter`` (``_waiter``).  One execution at a time;
``close``, ``interrupt`` and work on files may come from any thread.

What became of the variables is said with every execution: an interpreter that was ended goes on from a frozen
copy of itself where there is one (``revival``); else a fresh one takes its place at the next execution.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from protocell._boxes.box import Box
from protocell._boxes.kernel_box import KernelBox
from protocell._running.bell import Bell
from protocell._running.copies import CopyMessage
from protocell._running.outcome import Hooks, Outcome
from protocell._running.turn import Turn
from protocell._session import checks
from protocell._session.lifecycle import Lifecycle, Manner, kernel_box
from protocell._session.listeners import Listeners
from protocell._session.report import Report
from protocell._session.revival import Revival
from protocell._waiter import Waiter
from protocell._workspace.place import Place
from protocell._workspace.snapshot import Snapshot
from protocell.errors import ProtocellError, ProtocolError, SandboxDiedError
from protocell.execution import Execution, State
from protocell.policy import Policy


class Core(Lifecycle):
    """One context and what runs in it."""

    def __init__(self, policy: Policy | None, waiter: Waiter, manner: Manner | None = None) -> None:
        super().__init__(policy, waiter, manner)
        # Of the workspace, by the name of the checkpoint that each belongs to.
        self.snapshots: dict[str, Snapshot] = {}
        self._is_told = False  # to the caller: that the interpreter has ended
        self._untold = ""  # how the running execution began, where its caller cannot know

    # -- executions -------------------------------------------------------------------------------

    async def run_code(
        self,
        code: str,
        *,
        timeout: float | None = None,
        envs: Mapping[str, str] | None = None,
        wait: bool = False,
        listeners: Listeners | None = None,
        waiter: Waiter | None = None,
    ) -> Execution:
        """Run one piece of code."""
        checks.check_code(code)
        wall_seconds = checks.seconds(timeout, self.policy.limits.wall_seconds)
        variables = checks.variables(envs)
        self.check_usable()
        waiter = waiter or self.waiter
        async with self.turn(waiter, wait=wait):
            place = await self._opened()
            turn = await self._prepare(place.box, listeners or Listeners(), waiter)
            report = Report(turn, self.policy, wall_seconds, place.box)
            report.outcome = await self._run(turn, place, (code, variables), wall_seconds, waiter)
            report.state, report.state_reason = await self._settle_state(place.box, waiter)
            await report.scan(place)
            wait_seconds, self._wait_seconds = self._wait_seconds, 0.0
            report.killed, report.is_over = self._closed, self.is_over
            return report.execution(self.count, wait_seconds)

    async def _prepare(self, box: Box, listeners: Listeners, waiter: Waiter) -> Turn:
        await box.settle(waiter)
        if not box.alive:
            await self._renew(box, waiter)
        self._is_told = False
        self._bell = Bell()
        self.count += 1
        hooks = Hooks(
            meanwhile=self._prepare_next,
            on_stdout=listeners.for_stdout(),
            on_stderr=listeners.for_stderr(),
            on_message=listeners.for_messages(),
            on_copy=self._take_copy if self._manner.checkpoints else None,
        )
        return Turn(box, self.policy.limits, number=self.count, hooks=hooks, bell=self._bell)

    def _take_copy(self, message: CopyMessage) -> None:
        if self._revival is not None:
            self._revival.take(message, self.count - 1)

    async def _renew(self, box: Box, waiter: Waiter) -> None:
        """An interpreter that ended when nobody looked: go back, or begin anew."""
        before = "no variables"
        try:
            if self._revival is not None and (copy := await self._revival.restore(waiter)):
                before = f"those of execution {copy.count}"
            else:
                if self._revival is not None:
                    self._revival.clear()  # those with names had the channel of the one that ended
                await box.renew(waiter)
                await self._apply(box)
        except ProtocellError:
            self.check_usable()
            raise
        if not self._is_told:
            self._untold = f"; it began with {before}: the interpreter had ended in between"
        self._is_told = False
        self.check_usable()  # a new interpreter was not there to be ended

    async def _run(
        self,
        turn: Turn,
        place: Place,
        what: tuple[str, Mapping[str, str]],
        wall_seconds: float,
        waiter: Waiter,
    ) -> Outcome:
        box = place.box
        try:
            outcome = await turn.run(*what, wall_seconds, waiter)
            if self._manner.once and box.alive and place.has_files():
                box.end()  # files are taken out when nobody is left to change them
                with suppress(SandboxDiedError):
                    await box.ended(waiter)
        except BaseException:
            # The caller was torn away (Ctrl-C, task cancelled): the code must not go on.
            await self._abandon(turn, box, waiter)
            raise
        finally:
            self._give_bell_back()
        return outcome

    async def _abandon(self, turn: Turn, box: Box, waiter: Waiter) -> None:
        try:
            with suppress(SandboxDiedError):
                await turn.stop(waiter)
        except BaseException:
            box.alive = False
            box.end()
            raise

    async def _settle_state(self, box: Box, waiter: Waiter) -> tuple[State, str]:
        """What became of the variables; an interpreter that has ended is gone back from, if it can be."""
        if self._manner.once:
            return "lost", "a sandbox used once keeps nothing"
        untold, self._untold = self._untold, ""
        if box.alive:
            return "kept", f"the variables are as the code left them{untold}"
        if self._closed:
            return "lost", "the sandbox was closed"
        if not box.is_there:
            return "lost", "the sandbox has ended"
        self._is_told = True
        why_not = "checkpoints are off"
        if self._revival is not None:
            with suppress(SandboxDiedError):
                if (copy := await self._revival.restore(waiter)) is not None:
                    self._is_told = False
                    return (
                        "restored",
                        f"the variables are as they were after execution {copy.count}",
                    )
            if self._manner.checkpoints:
                why_not = self._revival.why_not
            if self._revival.names:
                why_not += "; before that, restore() goes back to a checkpoint with a name"
        return "lost", f"the next execution begins with no variables ({why_not})"

    # -- other questions --------------------------------------------------------------------------

    @asynccontextmanager
    async def interpreter(self, what: str, *, renew: bool = True) -> AsyncIterator[KernelBox]:
        """The live interpreter, and the turn with it, for a question outside of any execution."""
        self.check_usable()
        async with self.turn(self.waiter, wait=True):
            place = await self._opened()
            box = kernel_box(place.box, what)
            await box.settle(self.waiter)
            if not box.alive and renew:
                await self._renew(box, self.waiter)
            try:
                yield box
            except BaseException as error:
                if isinstance(error, ProtocolError) or not isinstance(error, ProtocellError):
                    # No answer, or nobody to hear it: what comes later would be the next one's.
                    box.alive = False
                    box.end()
                raise

    @property
    def revival(self) -> Revival | None:
        """What it can go back to."""
        return self._revival

    def revive(self, box: KernelBox) -> Revival:
        """As ``revival``, made for a context that makes none by itself."""
        if self._revival is None:
            self._revival = Revival(box, most=checks.MOST_CHECKPOINTS)
        return self._revival

    async def restart(self) -> None:
        """End the interpreter and begin anew: no variables, and no checkpoint of before."""
        async with self.turn(self.waiter, wait=False):
            place = await self._opened()
            box = place.box
            if self._revival is not None:
                self._revival.clear()
            if box.alive:
                box.alive = False  # also if nobody waits for its end
                box.end()
            await box.renew(self.waiter)
            await self._apply(box)
            self.count, self._untold = 0, ""
