"""One call from its request to its answer: budget, arguments, permission, the tool itself, the record of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from protocell._broker.requests import CallRequest
from protocell.calls import CallOutcome, ToolCall
from protocell.tools.errors import ToolError, told
from protocell.tools.tool import MISSING, Answer, Question, Reply
from protocell.tools.validation import not_found, prepare
from protocell_guest import values

if TYPE_CHECKING:
    from protocell._broker.counter import Counter
    from protocell.tools.tool import Tool


class Work:
    """One call while it goes on."""

    def __init__(self, counter: Counter, request: CallRequest) -> None:
        self._counter = counter
        self._request = request
        self._server, _, self._name = request.tool.rpartition("/")
        self._approval = self._kind = self._message = ""
        self._outcome: CallOutcome = "cancelled"
        self._began = self._asked = self._took = 0.0
        self._size = 0

    @property
    def id(self) -> int:
        """As the tool sees it."""
        return self._request.number

    async def run(self) -> bytes:
        """The value, as it is sent.

        Raises:
            ToolError: there is none.
        """
        counter, request = self._counter, self._request
        counter.check_budget(request)
        tool = await counter.desk.find(request.tool)
        if tool is None:
            raise not_found(request.tool, await counter.desk.tools())
        arguments = prepare(tool, request.arguments)
        asked = time.monotonic()
        try:
            arguments, self._approval = await counter.gate.pass_through(
                tool, arguments, counter.execution, request.number
            )
        finally:
            self._asked = time.monotonic() - asked
        if self._approval.endswith("arguments"):
            arguments = prepare(tool, arguments)
        answer = await self._invoke(tool, arguments)
        body = self._body(tool, answer)
        counter.desk.see(tool, answer.value)
        self._outcome = "ok"
        return body

    async def _invoke(self, tool: Tool, arguments: dict[str, Any]) -> Answer:
        limit = self._counter.desk.limits.call_seconds
        self._began = time.monotonic()
        try:
            async with asyncio.timeout(limit) as clock:
                self._stretch: Callable[[float], None] = lambda more: clock.reschedule(
                    (clock.when() or 0.0) + more
                )
                return await tool.invoke(arguments, self)
        except TimeoutError:
            text = f"{tool.id} had not answered after {limit:g} s, and was cancelled"
            raise ToolError(text, kind="timeout") from None
        except (ToolError, asyncio.CancelledError):
            raise
        except Exception as error:  # a source of tools that breaks its word
            raise ToolError(f"{tool.id} failed: {told(error, arguments)}", kind="tool") from error
        finally:
            self._took = time.monotonic() - self._began

    def _body(self, tool: Tool, answer: Answer) -> bytes:
        whole = self._request.raw and answer.raw is not MISSING
        try:
            body = values.dumps(answer.raw if whole else answer.value)
        except values.UnfitError as error:
            raise ToolError(f"{tool.id} gave what cannot be handed over: {error}") from error
        self._size = len(body)
        most = self._counter.desk.limits.result_bytes
        if len(body) > most:
            text = f"{tool.id} gave {len(body)} bytes; at most {most} are handed over: ask for less"
            raise ToolError(text, kind="budget")
        return body

    def failed(self, error: ToolError) -> bytes:
        """The error, as it is sent."""
        self._outcome, self._kind, self._message = "error", error.kind, str(error)
        failure = {
            "kind": error.kind,
            "message": str(error),
            "server": error.server or self._server,
            "data": error.data,
        }
        try:
            return values.dumps(failure)
        except values.UnfitError:
            return values.dumps(failure | {"data": None})

    def record(self) -> ToolCall:
        """For the log."""
        return ToolCall(
            number=self._request.number,
            server=self._server,
            tool=self._name,
            arguments=self._counter.desk.redacted(self._request.tool, self._request.arguments),
            outcome=self._outcome,
            kind=self._kind,
            message=self._message,
            approval=self._approval,
            seconds=self._took,
            asked_seconds=self._asked,
            argument_bytes=self._request.size,
            result_bytes=self._size,
        )

    # -- what the tool may do meanwhile (tools.tool.Call) -----------------------------------------

    def progress(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Tell whoever listens."""
        self._counter.desk.tell_progress(self._request.number, text, done, total)

    async def ask(self, question: Question) -> Reply:
        """Ask a person; the tool's own clock stands still."""
        began = time.monotonic()
        try:
            return await self._counter.desk.ask(question)
        finally:
            took = time.monotonic() - began
            self._asked += took
            self._stretch(took)

    async def run_sync(self, work: Callable[[], Any]) -> Any:
        """In a thread of the loop's pool."""
        return await asyncio.to_thread(work)
