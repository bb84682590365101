"""One call from its request to its answer: budget, arguments, permission, the tool itself, the record of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from protocell._broker.budgets import NO_REPEAT
from protocell._broker.cancelling import joined
from protocell._broker.hooks import HostFaultError
from protocell._broker.ledger import given_again
from protocell._broker.requests import CallRequest
from protocell._broker.scales import Scales
from protocell.calls import CallOutcome, ToolCall
from protocell.tools.access import CallNumber
from protocell.tools.errors import ToolError, told
from protocell.tools.permission import ALLOW
from protocell.tools.tool import MISSING, Answer, Question, Reply
from protocell.tools.validation import prepare
from protocell_guest import values
from protocell_guest.parcels import Parcel

if TYPE_CHECKING:
    from protocell._broker.clock import Clock
    from protocell._broker.counter import Counter
    from protocell._broker.ledger import Ledger
    from protocell.tools.tool import Tool

_MOST_CHARACTERS_OF_A_MESSAGE = 8_000
_GOES_ON = "it goes on, and may still have its effect"


class Work:
    """One call while it goes on."""

    def __init__(self, counter: Counter, request: CallRequest) -> None:
        self._counter = counter
        self._request = request
        server, slash, name = request.tool.partition("/")
        self._server, self._name = (server, name) if slash else ("", request.tool)
        self._approval = self._kind = self._message = ""
        self._approved: Mapping[str, Any] | None = None
        self._is_served = False
        self._kept: Parcel | None = None  # for the log
        self._has_begun = self._has_run = False
        self._outcome: CallOutcome = "cancelled"
        self._asked = self._took = 0.0
        self._clocks: tuple[Clock, ...] = ()
        self._is_in_thread = False  # which nobody can cancel
        self._is_deaf = False  # to being cancelled
        self._is_over = False
        self._questions = 0  # that wait for a person now
        self._left = 0.0  # of the tool's own time, while they do
        self._size = 0
        self._scales = Scales(wanted=counter.desk.counts_tokens)

    @property
    def id(self) -> int:
        """As the tool sees it."""
        return self._request.number

    async def run(self) -> Parcel:
        """The value, as it is sent.

        Raises:
            ToolError: there is none.
        """
        try:
            await self._scales.weigh_call(self._request)
            self._kept = await self._run()
            await self._scales.weigh_result(self._kept)
        except ToolError:
            raise
        except (
            Exception
        ) as error:  # of the host's: a source that breaks its word, a list that does not add up
            text = f"{self._request.tool} failed: {told(error, self._request.arguments)}"
            raise ToolError(text, kind="tool", tool=self._request.tool) from error
        return self._kept

    async def _run(self) -> Parcel:
        counter, request = self._counter, self._request
        counter.budgets.whole.begin()
        if request.too_large:
            raise ToolError(request.too_large, kind="budget", tool=request.tool)
        tool = await counter.desk.tool(request.tool)
        arguments = prepare(tool, request.arguments)
        shown = self._shown(tool, arguments)
        if (earlier := counter.earlier(request)) is not None:
            await counter.gate.refuse_denied(tool, shown)
            return self._again(earlier)
        asked = time.monotonic()
        try:
            said, self._approval = await counter.gate.pass_through(
                tool, counter.asked(tool, shown, request)
            )
        finally:
            self._asked = time.monotonic() - asked
        if self._approval.endswith("arguments"):
            self._approved = said
            arguments = counter.gate.checked(tool, said)
            said = self._shown(tool, arguments)
        own = counter.budgets.of(tool)
        own.begin()
        await counter.desk.hooks.before(counter.asked(tool, said, request))
        async with own.place():
            await counter.make_room(request)
            answer = await self._invoke(tool, arguments)
        self._has_run = True
        body = self._body(tool, answer)
        counter.budgets.hand_over(tool, len(body))
        counter.desk.see(tool, answer.value)
        self._outcome = "ok"
        return body

    def _shown(self, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
        """What rules, people and hooks decide about; where none of them does, nobody has to know it."""
        if tool.permission == ALLOW and not self._counter.desk.hooks.hear_before:
            return arguments
        return tool.seen_by_rules(arguments)

    def _again(self, earlier: ToolCall) -> Parcel:
        """What that call gave; nothing is called."""
        self._is_served, self._approval = True, earlier.approval
        self._has_begun = earlier.ran
        self._approved = earlier.approved_arguments
        self._size = earlier.result_bytes
        self._has_run = earlier.outcome in ("ok", "withheld")
        answer = given_again(earlier, is_heard=self._counter.desk.hooks.hear_after)
        self._outcome = "ok"
        return answer

    async def _invoke(self, tool: Tool, arguments: dict[str, Any]) -> Answer:
        budgets = self._counter.budgets
        limit = budgets.call_seconds(tool)
        self._clocks = (budgets.whole.clock, budgets.of(tool).clock)
        self._has_begun = True
        began = time.monotonic()
        self._run_clocks()
        try:
            async with asyncio.timeout(limit) as self._timeout:
                return await joined(lambda: tool.invoke(arguments, self), self._ignored)
        except TimeoutError:
            if not self._timeout.expired():  # the tool's own
                raise
            then = _GOES_ON if self._goes_on else "was cancelled"
            text = f"{tool.id} had not answered after {limit:g} s; {then}"
            raise ToolError(text, kind="timeout") from None
        except asyncio.CancelledError:
            self._message = _GOES_ON if self._goes_on else ""
            raise
        finally:
            self._is_over = True
            if not self._questions:  # else they stand still already
                self._stop_clocks()
            self._took = time.monotonic() - began

    @property
    def _goes_on(self) -> bool:
        """Whether the tool does, although its call has ended."""
        return self._is_in_thread or self._is_deaf

    def _ignored(self) -> None:
        self._is_deaf = True

    def _body(self, tool: Tool, answer: Answer) -> Parcel:
        whole = self._request.raw and answer.raw is not MISSING
        try:
            body = values.pack(answer.raw if whole else answer.value)
        except values.UnfitError as error:
            text = f"{tool.id} has run, and gave what cannot be handed over: {error}; {NO_REPEAT}"
            raise ToolError(text) from error
        self._size = len(body)
        most = self._counter.desk.limits.result_bytes
        if len(body) > most:
            text = (
                f"{tool.id} has run, and gave {len(body)} bytes; at most {most} are handed over: "
            )
            raise ToolError(f"{text}{NO_REPEAT}, else ask for less", kind="budget")
        return body

    def failed(self, error: ToolError) -> Parcel:
        """The error, as it is sent."""
        self._outcome, self._kind = "withheld" if self._has_run else "error", error.kind
        message = str(error)[:_MOST_CHARACTERS_OF_A_MESSAGE]
        self._message = error.why if isinstance(error, HostFaultError) else message
        self._scales.weigh_error(message)
        failure = {
            "kind": error.kind,
            "message": message,
            "server": error.server or self._server,
            "data": error.data,
        }
        sent = self._with_data(failure) or values.pack(failure | {"data": None})
        if not self._has_run:
            self._kept = sent
        return sent

    def _with_data(self, failure: Mapping[str, Any]) -> Parcel | None:
        """Where that can be handed over, and there is room for it as there is for a value."""
        try:
            sent = values.pack(failure)
            if len(sent) > self._counter.desk.limits.result_bytes:
                return None
            self._counter.budgets.whole.give(len(sent))
        except (values.UnfitError, ToolError):
            return None
        return sent

    def record(self, ledger: Ledger | None = None) -> ToolCall:
        """For the log, which is ``ledger``; without one, for somebody who only looks."""
        return ToolCall(
            number=self._request.number,
            server=self._server,
            tool=self._name,
            arguments=self._logged(self._request.arguments, ledger),
            approved_arguments=None
            if self._approved is None
            else self._logged(self._approved, ledger),
            outcome=self._outcome,
            kind=self._kind,
            message=self._message,
            approval=self._approval,
            seconds=self._took,
            asked_seconds=self._asked,
            argument_bytes=self._request.size,
            result_bytes=self._size,
            argument_tokens=self._scales.arguments,
            result_tokens=self._scales.result,
            served=self._is_served,
            raw=self._request.raw,
            ran=self._has_begun,
            body=None if ledger is None else ledger.answer(self._kept),
        )

    def _logged(self, arguments: Mapping[str, Any], ledger: Ledger | None) -> Mapping[str, Any]:
        redacted = self._counter.desk.redacted(self._request.tool, arguments)
        return redacted if ledger is None else ledger.arguments(redacted, self._request.weight)

    # -- what the tool may do meanwhile (tools.tool.Call) -----------------------------------------

    def progress(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Tell whoever listens, while the call goes on."""
        if not self._is_over:
            request = self._request
            number = CallNumber.of(request.number, request.tool, self._counter.execution)
            self._counter.tell_progress(number, text, done, total)

    async def ask(self, question: Question) -> Reply:
        """Ask a person; the tool's own clocks stand still."""
        if self._is_over:
            return Reply(action="cancel")
        began = time.monotonic()
        self._pause()
        try:
            async with asyncio.timeout(self._counter.desk.limits.approval_seconds):
                return await self._counter.desk.ask(question)
        except TimeoutError:
            return Reply(action="cancel")
        finally:
            self._resume()
            self._asked += time.monotonic() - began

    def _pause(self) -> None:
        self._questions += 1
        if self._questions == 1:
            self._left = (self._timeout.when() or 0.0) - asyncio.get_running_loop().time()
            self._timeout.reschedule(None)
            self._stop_clocks()

    def _resume(self) -> None:
        self._questions -= 1
        if self._questions == 0 and not self._is_over:
            self._run_clocks()
            with contextlib.suppress(RuntimeError):  # its time is over
                self._timeout.reschedule(asyncio.get_running_loop().time() + self._left)

    async def run_sync(self, work: Callable[[], Any]) -> Any:
        """In a thread of the sandbox's own."""

        def begun() -> Any:
            self._is_in_thread = True  # until then it can be kept from beginning
            try:
                return work()
            finally:
                self._is_in_thread = False

        return await self._counter.desk.in_thread(begun)

    def _run_clocks(self) -> None:
        for clock in self._clocks:
            clock.start()

    def _stop_clocks(self) -> None:
        for clock in self._clocks:
            clock.stop()
