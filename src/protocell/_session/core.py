"""The life of one context on the host, written once; the classes with ``Async`` and without are its two faces.

Every method that waits is a coroutine and waits through a ``Waiter`` (``_waiter``).  One execution at a time;
``close``, ``interrupt`` and work on files may come from any thread.

What became of the variables is said with every execution: an interpreter that was ended goes on from a frozen
copy of itself where there is one (``revival``); else a fresh one takes its place at the next execution.  What
became of them when nobody was there to hear it is said with the next execution.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from protocell._boxes.box import Box
from protocell._boxes.kernel_box import KernelBox
from protocell._running.bell import Bell
from protocell._running.copies import Copy, CopyMessage, Moment
from protocell._running.outcome import Hooks, Outcome
from protocell._running.turn import Turn
from protocell._running.verdict import want_of_memory
from protocell._session import checks
from protocell._session.lifecycle import Lifecycle, Manner, kernel_box
from protocell._session.listeners import Listeners
from protocell._session.patience import Patience, patient
from protocell._session.report import Report
from protocell._session.sentences import Untold, kept, restored
from protocell._waiter import Waiter
from protocell._workspace.place import Place
from protocell._workspace.snapshot import Snapshot
from protocell.errors import ProtocellError, ProtocolError, SandboxDiedError
from protocell.execution import Execution, State
from protocell.policy import Policy

if TYPE_CHECKING:
    from protocell._broker.counter import Counter
    from protocell.calls import ToolCall


class Core(Lifecycle):
    """One context and what runs in it."""

    def __init__(self, policy: Policy | None, waiter: Waiter, manner: Manner | None = None) -> None:
        super().__init__(policy, waiter, manner)
        # Of the workspace, by the name of the checkpoint that each belongs to.
        self.snapshots: dict[str, Snapshot] = {}
        self.now = self._manner.now  # the state that the variables are in
        self._serials = count(self.now.serial + 1)
        self._counter: Counter | None = None  # of the calls that the running code makes
        self._calls: list[ToolCall] = []  # that it has made
        self._is_told = False  # to the caller: that the interpreter has ended
        self._untold: Untold | None = None

    # -- executions -------------------------------------------------------------------------------

    async def run_code(
        self,
        code: str,
        *,
        timeout: float | None = None,
        envs: Mapping[str, str] | None = None,
        wait: bool = False,
        retry_of: Execution | None = None,
        listeners: Listeners | None = None,
        waiter: Waiter | None = None,
    ) -> Execution:
        """Run one piece of code."""
        checks.check_code(code)
        wall_seconds = checks.seconds(timeout, self.policy.limits.wall_seconds)
        variables = checks.variables(envs)
        checks.retried(retry_of, has_tools=self._manner.desk is not None)
        self.check_usable()
        waiter = waiter or self.waiter
        async with self.turn(waiter, wait=wait):
            place = await self._opened()
            retried = () if retry_of is None else retry_of.tool_calls
            turn = await self._prepare(place.box, listeners or Listeners(), waiter, retried)
            report = Report(turn, self.policy, wall_seconds, place.box)
            report.notes = [] if self._manner.desk is None else self._manner.desk.notes()
            report.outcome = await self._run(turn, place, (code, variables), wall_seconds, waiter)
            report.calls = self._calls
            await self._settle_state(report, place.box, waiter)
            await report.scan(place)
            wait_seconds, self._wait_seconds = self._wait_seconds, 0.0
            report.killed, report.is_over = self._closed, self.is_over
            execution = report.execution(self.count, wait_seconds)
            return await self._accounted(code, execution, waiter)

    async def _accounted(self, code: str, execution: Execution, waiter: Waiter) -> Execution:
        """With what it cost in tokens, if its tools are to be accounted for."""
        desk = self._manner.desk
        if desk is None or not desk.counts_tokens:
            return execution
        account = await waiter.apart(partial(desk.account, code, execution))
        return replace(execution, token_account=account)

    async def _prepare(
        self, box: Box, listeners: Listeners, waiter: Waiter, retried: Sequence[ToolCall]
    ) -> Turn:
        await box.settle(waiter)
        if not box.alive:
            with patient(waiter) as patience:
                await self._renew(box, patience)
        if self._revival is not None:
            self._revival.absent = ""
        self._is_told = False
        await self._offer_tools(box, waiter)
        self._bell = Bell()
        self.count += 1
        desk = self._manner.desk
        try:
            self._counter = None if desk is None else desk.counter(self.count, retried)
        except ProtocellError:
            self._give_bell_back()
            raise
        hooks = Hooks(
            meanwhile=self._prepare_next,
            on_stdout=listeners.for_stdout(),
            on_stderr=listeners.for_stderr(),
            on_message=listeners.for_messages(),
            on_copy=self._take_copy if self._manner.checkpoints else None,
            line=self._counter,
        )
        return Turn(box, self.policy.limits, number=self.count, hooks=hooks, bell=self._bell)

    def _take_copy(self, message: CopyMessage) -> None:
        if self._revival is not None:
            self._revival.take(message, self.now)

    async def _renew(self, box: Box, waiter: Waiter) -> None:
        """An interpreter that ended when nobody looked: go back, or begin anew."""
        self.offered = None
        state: State = "lost"
        before = "no variables"
        why = "the interpreter had ended in between"
        try:
            if isinstance(box, KernelBox) and (await box.ended(waiter)).cause == "memory":
                why += f" ({want_of_memory(self.policy.limits)})"
            if self._revival is not None and (copy := await self._revival.restore(waiter)):
                self.now = copy.moment
                state, before = "restored", f"those of {copy.moment}"
            else:
                await box.renew(waiter)
                await self._apply(box)
                note = ", when they had been lost" if self.count else ""
                self.now = Moment(self.count, next(self._serials), note=note)
        except ProtocellError:
            self.check_usable()
            raise
        if not self._is_told:
            self._untold = Untold(state, f"it began with {before}: {why}")
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
        box, counter, self._counter = place.box, self._counter, None
        ended: set[int] = set()
        try:
            if counter is not None:
                counter.begin(self.interrupt)
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
            if counter is not None:
                ended = {call.number for call in counter.calls}
                with patient(waiter) as patience:
                    self._calls = await counter.ended(patience)
        if counter is not None and counter.fault is not None:
            raise counter.fault
        if counter is not None and self._calls:
            from protocell.calls import cut_off  # noqa: PLC0415  (few executions call tools)

            outcome.warnings += cut_off(self._calls, ended)
        return outcome

    async def _abandon(self, turn: Turn, box: Box, waiter: Waiter) -> None:
        try:
            with suppress(SandboxDiedError):
                await turn.stop(waiter)
        except BaseException:
            box.alive = False
            box.end()
            raise

    async def _settle_state(self, report: Report, box: Box, waiter: Waiter) -> None:
        """Say what became of the variables; an interpreter that has ended is gone back from, if it can be."""
        revival, untold = self._revival, self._untold
        report.copies = revival.count if revival is not None else 0
        given_up = revival.give_up() if revival is not None else 0
        if box.alive and not self._manner.once:
            self.now = Moment(self.count, next(self._serials), self.now.serial)
            absent = revival.absent if revival is not None else ""
            report.state, report.state_reason = kept(untold, absent, given_up)
        elif (copy := await self._went_back(box, waiter)) is not None:
            absent = revival.absent if revival is not None else ""
            report.state, report.state_reason = restored(copy.moment, absent, given_up)
        else:
            report.state, report.state_reason = "lost", self._why_lost(box)
        self._untold = None

    async def _went_back(self, box: Box, waiter: Waiter) -> Copy | None:
        self.offered = None
        if self._manner.once or self._closed or not box.is_there or self._revival is None:
            return None
        # Whose caller is torn away here is told with the next execution.
        self._untold = Untold("restored", "it began with those of a checkpoint: the code was ended")
        copy = None
        with suppress(SandboxDiedError), patient(waiter) as patience:
            copy = await self._revival.restore(patience)
            if copy is not None:
                self.now = copy.moment
        return copy

    def _why_lost(self, box: Box) -> str:
        if self._manner.once:
            return "a sandbox used once keeps nothing"
        if self._closed:
            return "the sandbox was closed"
        if not box.is_there:
            return "the sandbox has ended"
        self._is_told = True
        why_not = "checkpoints are off"
        if self._revival is not None:
            if self._manner.checkpoints:
                why_not = self._revival.why_not
            if self._revival.names:
                why_not += "; restore() goes back to a checkpoint with a name"
        return f"the next execution begins with no variables ({why_not})"

    # -- other questions --------------------------------------------------------------------------

    @asynccontextmanager
    async def interpreter(
        self, what: str, *, renew: bool = True
    ) -> AsyncIterator[tuple[KernelBox, Patience]]:
        """The live interpreter, and the turn with it, for a question outside of any execution.

        The waiter that comes with it lets nobody go before the answer is there: what comes later would be
        taken for the answer to the next question.
        """
        self.check_usable()
        async with self.turn(self.waiter, wait=True):
            place = await self._opened()
            box = kernel_box(place.box, what)
            await box.settle(self.waiter)
            with patient(self.waiter) as patience:
                if not box.alive and renew:
                    await self._renew(box, patience)
                try:
                    yield box, patience
                except BaseException as error:
                    if box.owes or isinstance(error, ProtocolError):
                        box.alive = False
                        box.end()
                    raise

    @property
    def why_not_kept(self) -> str:
        """What the caller does not know yet of variables that are gone; empty if they are all there."""
        return "" if self._untold is None else self._untold.sentence

    async def restart(self) -> None:
        """End the interpreter and begin anew: no variables; only checkpoints with a name are left."""
        async with self.turn(self.waiter, wait=False):
            place = await self._opened()
            box = place.box
            with patient(self.waiter) as patience:
                if self._revival is not None:
                    self._revival.begin_anew()
                if box.alive:
                    box.alive = False  # also if nobody waits for its end
                    box.end()
                await box.renew(patience)
                await self._apply(box)
                self.count, self._untold = 0, None
                self.now = Moment(0, next(self._serials))
