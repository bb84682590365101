"""One connection to one MCP server, from the greeting to the end.

Theory of operation: the SDK's client has to be entered and left by the same task, while calls come from
many and any of them may be cancelled. So a task of its own owns the client: it enters it, lists the tools,
lets the calls in, waits for the end and leaves it, which ends the server's process. Nobody cancels that
task; it is told. It runs in an empty context: what the first caller had in its own is not the others'.

The end has one reason, told by who saw it first: the transport (the server died or broke a message), a
call (its session is lost), or the source (closed). Calls under way then fail with that reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

import mcp_types
from mcp import Client
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from protocell.tools.mcp_calls import Flights
from protocell.tools.mcp_listing import usable_page

_MOST_PAGES = 200
_MOST_TOOLS = 10_000
_LISTEN_SECONDS = 2.0
_CLOSE_SECONDS = 15.0
"""More than all the graces of ``mcp_process`` and ``mcp_http`` together."""


class BadServerError(Exception):
    """The server does what the protocol forbids; the message is the end of a sentence about it."""


class Connection:
    """Of use from ``opened`` until ``is_over``."""

    def __init__(
        self,
        make_client: Callable[[Connection], Client],
        *,
        start_seconds: float,
        list_changed: Callable[[Connection], None],
    ) -> None:
        self.flights = Flights()
        self.why_ended = ""
        self.left_out: dict[str, str] = {}
        """Tools that the server lists and that cannot be used, and why; for the host."""
        self._loop = asyncio.get_running_loop()
        self._make_client = make_client
        self._start_seconds = start_seconds
        self._list_changed = list_changed
        self._client: Client | None = None
        self._listed: list[mcp_types.Tool] | None = None
        self._changes = 0
        self._ending = asyncio.Event()
        self._opening: asyncio.Timeout | None = None
        self._listening: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        # Where every caller was cancelled before it was ready, nobody asks; that is no error.
        self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self._owner = self._start_task(self._own())

    @property
    def is_over(self) -> bool:
        """Whether it can be used no more."""
        return self._ending.is_set() or not self.is_here

    @property
    def is_here(self) -> bool:
        """Whether it belongs to the event loop that runs now."""
        return self._loop is asyncio.get_running_loop()

    @property
    def is_left(self) -> bool:
        """Whether nothing of it is left."""
        return self._owner.done()

    @property
    def protocol(self) -> str:
        """The version that is spoken; empty while it is not known."""
        return "" if self._client is None else self.client.protocol_version

    @property
    def client(self) -> Client:
        """The SDK's, once it is open."""
        if self._client is None:
            raise RuntimeError("the connection is not open")
        return self._client

    @property
    def is_modern(self) -> bool:
        """Whether it speaks 2026-07-28 or newer."""
        return self.client.protocol_version in MODERN_PROTOCOL_VERSIONS

    async def opened(self) -> None:
        """Waits until it is open. Raises what the SDK and the transport raised."""
        await asyncio.shield(self._ready)

    async def tools(self) -> list[mcp_types.Tool]:
        """What the server lists; asked again after it said that this changed."""
        if self._listed is not None:
            return self._listed
        await self._listen()
        changes = self._changes
        listed = await self._list()
        if changes == self._changes:
            self._listed = listed
        return listed

    def ended(self, why: str) -> None:
        """Says that it can be used no more; who uses it is told why by the SDK's error."""
        if not self.why_ended:
            self.why_ended = why
        if self._loop.is_closed():
            return
        self._ending.set()
        if self._opening is not None and not self._opening.expired():
            self._opening.reschedule(self._loop.time())

    async def left(self) -> None:
        """Waits, after ``ended``, until nothing of it is left."""
        if self.is_here:
            await asyncio.wait([self._owner], timeout=_CLOSE_SECONDS)

    def list_is_stale(self) -> None:
        """Makes the next ``tools`` ask again."""
        self._changes += 1
        self._listed = None
        self._list_changed(self)

    def _start_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._loop.create_task(work, context=contextvars.Context())

    async def _own(self) -> None:
        try:
            async with contextlib.AsyncExitStack() as stack:
                await self._open(stack)
                self._ready.set_result(None)
                await self._ending.wait()
                await self._stop_listening()
        except Exception as error:  # noqa: BLE001 - told to whoever waits for it
            if self._ready.done():
                self.ended("broke the connection")
            else:
                self._ready.set_exception(error)
        finally:
            self._ending.set()
            self._ready.cancel()
            if self._listening is not None:
                self._listening.cancel()

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        # Not a cancel scope of anyio's: the client keeps its own open after this one is left.
        async with asyncio.timeout(self._start_seconds) as clock:
            self._opening = clock
            if self._ending.is_set():
                raise TimeoutError
            try:
                self._client = await stack.enter_async_context(self._make_client(self))
                _believe_output(self._client)
                await self.tools()
            finally:
                self._opening = None

    async def _list(self) -> list[mcp_types.Tool]:
        self.left_out = {}
        tools: dict[str, mcp_types.Tool] = {}
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await self._page(cursor)
            for tool in page.tools:
                tools.setdefault(tool.name, tool)
            if len(tools) > _MOST_TOOLS:
                raise BadServerError(f"lists more than {_MOST_TOOLS} tools")
            if page.next_cursor is None or page.next_cursor == cursor:
                return list(tools.values())
            cursor = page.next_cursor
        raise BadServerError(f"lists its tools on more than {_MOST_PAGES} pages")

    async def _page(self, cursor: str | None) -> mcp_types.ListToolsResult:
        try:
            return await self.client.list_tools(cursor=cursor)
        except ValidationError:
            return await usable_page(self.client, cursor, self.left_out)
        except MCPError as error:
            if error.code == mcp_types.METHOD_NOT_FOUND and cursor is None:
                return mcp_types.ListToolsResult(tools=[])
            raise

    async def _listen(self) -> None:
        """Has changes told: since 2026-07-28 they have to be asked for."""
        told = self.client.server_capabilities.tools
        running = self._listening is not None and not self._listening.done()
        if running or not self.is_modern or told is None or not told.list_changed:
            return
        heard = asyncio.Event()
        self._listening = self._start_task(self._listen_on(self.client, heard))
        self._listening.add_done_callback(lambda _: heard.set())
        # What changes before the server listens to us would be missed; but it is not worth a failure.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LISTEN_SECONDS):
                await heard.wait()

    async def _listen_on(self, client: Client, heard: asyncio.Event) -> None:
        try:
            async with client.listen(tools_list_changed=True) as changes:
                heard.set()
                async for _ in changes:
                    self.list_is_stale()
        except (MCPError, SubscriptionLost, TimeoutError):
            # Not told any more: the next who asks for the tools asks the server, and listens again.
            self._listed = None

    async def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    async def on_message(self, message: object) -> None:
        """What the SDK calls with each notification; before 2026-07-28 changes are told unasked."""
        is_change = isinstance(message, mcp_types.ToolListChangedNotification)
        if is_change and self._client is not None and not self.is_modern:
            self.list_is_stale()


def _believe_output(client: Client) -> None:
    """Has the SDK give us results that do not fit the tool's own output schema.

    It raises in their place, so that a server with a sloppy schema would be of no use at all; the code
    that gets the value is better off with it.
    """

    async def believed(name: str, result: mcp_types.CallToolResult) -> None:  # noqa: ARG001
        return None

    client.session.validate_tool_result = believed  # type: ignore[method-assign]  # no option for it
