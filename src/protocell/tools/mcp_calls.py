"""One call while an MCP server works on it: its clock, its progress, and what the server asks meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextvars import ContextVar
from typing import Any

import mcp_types
from mcp.client import ClientRequestContext
from pydantic import ValidationError

from protocell.tools.errors import ToolError
from protocell.tools.tool import Call, Question, Reply

_CURRENT: ContextVar[Flight | None] = ContextVar("flight", default=None)


class Flight:
    """A call on its way."""

    def __init__(self, call: Call, timeout: float | None) -> None:
        self.call = call
        self._seconds = timeout
        self._clock = asyncio.timeout(timeout)
        self._questions: set[asyncio.Future[Reply]] = set()
        self._waiting = 0
        self._going_on = False
        self._has_begun = False

    @property
    def waited(self) -> str:
        """How long its clock lets it be silent, for the sentence that says that it was too long."""
        if self._seconds is None:
            return "in time"
        since = " without a sign of progress" if self._has_begun else ""
        return f"after {self._seconds:g} s{since}"

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """What the server says of how far it is; it starts the clock anew."""
        self._has_begun = True
        self._wind()
        self.call.progress(message or "", progress, total)

    def says(self, text: str) -> None:
        """The same of a task, which says it in words only."""
        self._has_begun = True
        self._wind()
        self.call.progress(text)

    async def ask(self, question: Question) -> Reply:
        """Asks a person; our clock stands still, and the end of the call ends the question."""
        asking = asyncio.ensure_future(self.call.ask(question))
        self._questions.add(asking)
        self._waiting += 1
        self._wind()
        try:
            return await asking
        except ToolError:
            return Reply(action="decline")
        except asyncio.CancelledError:
            if asking.cancelled() and not _being_cancelled():
                return Reply(action="cancel")
            raise
        finally:
            asking.cancel()
            self._questions.discard(asking)
            self._waiting -= 1
            self._wind()

    def _wind(self) -> None:
        if self._seconds is not None and self._going_on:
            now = asyncio.get_running_loop().time()
            self._clock.reschedule(None if self._waiting else now + self._seconds)

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncGenerator[None]:
        """Makes it the current call of this task. Raises TimeoutError at the end of its time."""
        token = _CURRENT.set(self)
        try:
            async with self._clock:
                self._going_on = True
                try:
                    yield
                finally:
                    self._going_on = False
        finally:
            _CURRENT.reset(token)
            for asking in self._questions:
                asking.cancel()


class Flights:
    """All calls on their way on one connection."""

    def __init__(self) -> None:
        self._all: set[Flight] = set()

    def __len__(self) -> int:
        return len(self._all)

    @contextlib.asynccontextmanager
    async def one(self, flight: Flight) -> AsyncGenerator[None]:
        """A call from its beginning to its end."""
        self._all.add(flight)
        try:
            async with flight.going_on():
                yield
        finally:
            self._all.discard(flight)

    def current(self) -> Flight | None:
        """The call that a question of the server's belongs to.

        It is known by the context that the SDK keeps, where the question came as an answer (2026-07-28)
        or on the call's own HTTP response. On a pipe the old protocols do not say it, so there it is
        known only while there is one call.
        """
        flight = _CURRENT.get()
        if flight in self._all:
            return flight
        return next(iter(self._all)) if len(self._all) == 1 else None

    async def elicit(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK gives it
        params: mcp_types.ElicitRequestParams,
    ) -> mcp_types.ElicitResult | mcp_types.ErrorData:
        """What the SDK calls when the server asks for something; it goes to the approval channel."""
        flight = self.current()
        if flight is None:
            return mcp_types.ErrorData(
                code=mcp_types.INVALID_REQUEST,
                message="It cannot be told which of the calls that go on this question belongs to; "
                "tools of this server that ask have to be called one at a time",
            )
        return _result(await flight.ask(question(params)))


def question(params: mcp_types.ElicitRequestParams) -> Question:
    """What a server asks, in our words."""
    if isinstance(params, mcp_types.ElicitRequestURLParams):
        return Question(text=params.message, url=params.url)
    return Question(text=params.message, schema=params.requested_schema)


def _result(reply: Reply) -> mcp_types.ElicitResult:
    content: Any = dict(reply.content) if reply.content and reply.action == "accept" else None
    try:
        return mcp_types.ElicitResult(action=reply.action, content=content)
    except ValidationError:
        # Forms are flat (text, numbers, yes or no, lists of texts); what does not fit is no answer.
        return mcp_types.ElicitResult(action="cancel")


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
