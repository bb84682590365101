"""Long-running tasks of MCP servers behind a normal call: started, watched, asked for, cancelled.

Two protocols. In 2025-11-25 a tool says that it has to be called as a task, the call carries ``task``, and
``tasks/result`` waits for the end. From 2026-07-28 on it is the extension ``io.modelcontextprotocol/tasks``:
the server decides, answers with ``resultType: task``, and ``tasks/get`` brings the result. The SDK (2.3)
speaks neither by itself: the extension goes through its hook for them; the older one has to pass by the
check that it makes of every answer to ``tools/call``, for which it has no public way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, Literal

import mcp_types
from mcp.client import ClaimContext, ClientExtension, ClientRequestContext, ResultClaim
from mcp.client.session import ClientSession
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError
from pydantic import ConfigDict

from protocell.tools.mcp_calls import Flight

EXTENSION: Final = "io.modelcontextprotocol/tasks"
_POLL_SECONDS = 1.0
_SHORTEST_POLL_SECONDS = 0.02
_LONGEST_POLL_SECONDS = 30.0
_CANCEL_SECONDS = 5.0


class _Params(mcp_types.RequestParams):
    task_id: str


class _TaskRequest(mcp_types.Request[_Params, str]):
    name_param = "taskId"


class _UpdateParams(_Params):
    input_responses: mcp_types.InputResponses


class _UpdateRequest(mcp_types.Request[_UpdateParams, Literal["tasks/update"]]):
    name_param = "taskId"
    method: Literal["tasks/update"] = "tasks/update"


class _Any(mcp_types.Result):
    """An answer whose fields we look at one by one."""

    model_config = ConfigDict(extra="allow")


class _Created(mcp_types.Result):
    """The answer of 2026-07-28 that stands for a task."""

    result_type: Literal["task"] = "task"
    task_id: str
    status_message: str | None = None
    poll_interval_ms: float | None = None


class TasksExtension(ClientExtension):
    """Tasks of 2026-07-28, for the SDK's client."""

    identifier = EXTENSION

    def __init__(self, current: Callable[[], Flight | None]) -> None:
        self._current = current

    def claims(self) -> list[ResultClaim[Any]]:
        """What the SDK asks: which answers are ours to finish."""
        return [ResultClaim(result_type="task", model=_Created, resolve=self._finish)]

    async def _finish(self, created: _Created, context: ClaimContext) -> mcp_types.CallToolResult:
        task = _Task(context.session, created.task_id, self._current())
        async with task.cancelled_with_us():
            state = await task.ended(_seconds(created.poll_interval_ms))
        if error := state.get("error"):
            raise MCPError.from_error_data(mcp_types.ErrorData.model_validate(error))
        if state["status"] != "completed":
            raise _cancelled()
        return mcp_types.CallToolResult.model_validate(state.get("result"), by_name=False)


async def call_as_task(
    session: ClientSession, name: str, arguments: dict[str, Any], flight: Flight
) -> mcp_types.CallToolResult:
    """Calls a tool of 2025-11-25 that has to be called as a task, and waits for its result."""
    params = {"name": name, "arguments": arguments, "task": {}}
    created = await _request_unchecked(session, "tools/call", params, flight)
    if "task" not in created:
        return mcp_types.CallToolResult.model_validate(created, by_name=False)
    seed = mcp_types.Task.model_validate(created["task"], by_name=False)
    task = _Task(session, seed.task_id, flight)
    async with task.cancelled_with_us():
        # A task that waits for input is asked for its result too: the question comes with that.
        await task.ended(_seconds(seed.poll_interval), also=("input_required",))
        request = mcp_types.GetTaskPayloadRequest(
            params=mcp_types.GetTaskPayloadRequestParams(task_id=seed.task_id)
        )
        return await session.send_request(request, mcp_types.CallToolResult)


async def _request_unchecked(
    session: ClientSession, method: str, params: dict[str, Any], flight: Flight
) -> dict[str, Any]:
    """A request whose answer the SDK does not check against the protocol.

    ``send_request`` takes an answer to ``tools/call`` for broken where it is a task. It does these
    three steps otherwise; both attributes are private, which is why mcp is pinned below 3.
    """
    data: dict[str, Any] = {"method": method, "params": params}
    options: CallOptions = {"on_progress": flight.progress}
    session._stamp(data, options)
    return await session._dispatcher.send_raw_request(method, data["params"], options)


class _Task:
    """A task on a server."""

    def __init__(self, session: ClientSession, task_id: str, flight: Flight | None) -> None:
        self._session = session
        self._id = task_id
        self._flight = flight
        self._answered: set[str] = set()

    async def ended(self, poll_seconds: float, also: tuple[str, ...] = ()) -> dict[str, Any]:
        """Its state, once it has ended or is in one of the other states."""
        ends = ("completed", "failed", "cancelled", *also)
        while True:
            state = (await self._ask("tasks/get")).model_dump(by_alias=True, mode="json")
            if self._flight is not None and isinstance(state.get("statusMessage"), str):
                self._flight.says(state["statusMessage"])
            if state.get("status") in ends:
                return state
            if requests := state.get("inputRequests"):
                await self._answer(requests)
            interval = state.get("pollIntervalMs", state.get("pollInterval"))
            await asyncio.sleep(_seconds(interval, poll_seconds))

    @contextlib.asynccontextmanager
    async def cancelled_with_us(self) -> Any:
        """Tells the server, when the call is cancelled, that nobody waits for the task any more."""
        try:
            yield
        except asyncio.CancelledError:
            telling = asyncio.create_task(self._cancel())
            _TELLING.add(telling)
            telling.add_done_callback(_TELLING.discard)
            raise

    async def _answer(self, requests: dict[str, Any]) -> None:
        """Puts what the task wants to know to a person, each question once."""
        new = {key: request for key, request in requests.items() if key not in self._answered}
        if not new:
            return
        self._answered.update(new)
        parsed = mcp_types.InputRequiredResult.model_validate({"inputRequests": new}, by_name=False)
        responses: mcp_types.InputResponses = {}
        for key, request in (parsed.input_requests or {}).items():
            context = ClientRequestContext(session=self._session, request_id=key)
            response = await self._session.dispatch_input_request(context, request)
            if isinstance(response, mcp_types.ErrorData):
                raise MCPError.from_error_data(response)
            responses[key] = response
        params = _UpdateParams(task_id=self._id, input_responses=responses)
        await self._session.send_request(_UpdateRequest(params=params), _Any)

    async def _ask(self, method: str) -> _Any:
        request = _TaskRequest(method=method, params=_Params(task_id=self._id))
        return await self._session.send_request(request, _Any)

    async def _cancel(self) -> None:
        # A server that is gone, or does not answer, has nothing more to be told.
        with contextlib.suppress(MCPError, RuntimeError, ValueError, TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self._ask("tasks/cancel")


_TELLING: set[asyncio.Task[None]] = set()
"""The event loop holds tasks weakly."""


def _seconds(milliseconds: Any, otherwise: float = _POLL_SECONDS) -> float:
    if not isinstance(milliseconds, int | float) or isinstance(milliseconds, bool):
        return otherwise
    return min(max(milliseconds / 1000, _SHORTEST_POLL_SECONDS), _LONGEST_POLL_SECONDS)


def _cancelled() -> MCPError:
    return MCPError(mcp_types.INTERNAL_ERROR, "the server cancelled the task")
