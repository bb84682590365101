"""An MCP server as a source of tools: started or connected to when it is first needed, and again when it died.

Theory of operation: there is one connection (``mcp_connection``) at a time, and with it one process or one
HTTP session, for all calls of all executions. Who needs it first opens it, and the others wait for the same
opening. A connection that ended is not mended; the next call opens another one. No call is made twice: what
was under way may have had its effect. The one exception is a session that an HTTP server does not know
(any more), since it has done nothing then. ``close`` waits for all connections there ever were.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import httpx2
import mcp_types
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types.version import LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic_core import to_json

from protocell._printable import printable, printable_line
from protocell.tools import mcp_errors
from protocell.tools.errors import ToolError, name_tool
from protocell.tools.mcp_calls import Flight
from protocell.tools.mcp_connection import Connection
from protocell.tools.mcp_http import LOST_SESSION, made_here
from protocell.tools.mcp_target import target_of
from protocell.tools.mcp_tasks import TasksExtension, call_as_task
from protocell.tools.mcp_tools import needs_task, tools_of
from protocell.tools.options import bad_option, refuse_bad
from protocell.tools.tool import Answer, Call, Tool
from protocell.tools.values import answer_of

ANSWER_BYTES = 256 * 1024 * 1024
START_SECONDS = 30.0
_LOG = logging.getLogger("protocell.tools")
_MOST_LINES_LOGGED = 20
_MOST_CHARACTERS_LOGGED = 4_000
_INFO = mcp_types.Implementation(name="protocell", version="1")


class McpSource:
    """The tools of one MCP server.

    ``target`` is a URL (streamable HTTP), or the command that starts the server: a list, or a text that
    is split as a shell would. The process gets the few variables that the SDK holds for safe (HOME,
    PATH, ...), and those of ``env``. ``headers`` go with each request to a URL; ``auth`` is the SDK's
    ``OAuthClientProvider`` or any other ``httpx2.Auth``. ``timeout`` bounds one call, in seconds, and
    starts anew with each sign of progress; without it the broker's clock is the only one.
    ``answer_bytes`` bounds one message of the server's. ``mode`` is the SDK's: "auto" asks the server
    which protocol it speaks; "legacy" greets it as protocols up to 2025-11-25 do, where the server has
    the last word on the version; a version that has no greeting is spoken without asking.

    A start that fails is a warning of the logger ``protocell.tools``, with the end of what the process
    wrote to standard error: the error itself may go to the code inside, and has none of it.
    """

    def __init__(
        self,
        name: str,
        target: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: httpx2.Auth | None = None,
        timeout: float | None = None,
        start_timeout: float = START_SECONDS,
        answer_bytes: int = ANSWER_BYTES,
        mode: str = "auto",
    ) -> None:
        """Starts nothing yet. Raises PolicyError."""
        refuse_bad(target=target, env=env, cwd=cwd, headers=headers, timeout=timeout)
        refuse_bad(start_timeout=start_timeout, answer_bytes=answer_bytes)
        _check_mode(mode)
        self.name = name
        self.changed: Callable[[], None] | None = None
        self._target = target_of(
            target, env=env, cwd=cwd, headers=headers, auth=auth, answer_bytes=answer_bytes
        )
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._mode = mode
        self._connections: list[Connection] = []
        self._tools: tuple[Tool, ...] | None = None
        self._closed = False
        self._told: Connection | None = None
        self._left_out: dict[str, str] = {}

    @property
    def stderr(self) -> str:
        """The last 16 KiB of what the process wrote to standard error; for the host's eyes only."""
        return self._target.stderr

    @property
    def protocol(self) -> str:
        """The protocol version that is spoken; empty where nothing is open."""
        return "" if self._open is None else self._open.protocol

    async def start(self) -> None:
        """Connects, or does nothing where that is done. Raises ToolError, kind ``transport``."""
        self._closed = False
        await self._connected()

    async def tools(self) -> tuple[Tool, ...]:
        """What the server lists now. Raises ToolError."""
        connection = await self._connected()
        try:
            async with asyncio.timeout(self._start_timeout):
                listed = await connection.tools()
        except Exception as error:  # the SDK's, whatever it is
            raise self._not_open(error, connection, "") from error
        self._log_left_out(connection)
        self._tools = tools_of(self.name, listed, self._invoke)
        return self._tools

    async def close(self) -> None:
        """Ends the connection, and the process; calls that go on fail. Never raises."""
        self._closed = True
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.ended(mcp_errors.CLOSED)
        for connection in connections:
            await connection.left()
        self._target.release()

    @property
    def _open(self) -> Connection | None:
        """The one that can be used."""
        last = self._connections[-1] if self._connections else None
        return None if last is None or last.is_over else last

    async def _connected(self, tool: str = "") -> Connection:
        if self._closed:
            raise mcp_errors.transport(self.name, mcp_errors.CLOSED, tool)
        connection, is_new = self._open, False
        if connection is None:
            connection, is_new = self._connect(), True
        try:
            await connection.opened()
            if is_new and self._tools is not None:
                self._compare(await connection.tools())
        except Exception as error:  # as above
            raise self._not_open(error, connection, tool) from error
        return connection

    def _connect(self) -> Connection:
        if any(not connection.is_here for connection in self._connections):
            # Their event loop has ended without closing them.
            self._target.release()
        self._connections = [c for c in self._connections if c.is_here and not c.is_left]
        connection = Connection(
            self._client, start_seconds=self._start_timeout, list_changed=self._list_changed
        )
        self._connections.append(connection)
        return connection

    def _client(self, connection: Connection) -> Client:
        return Client(
            self._target.transport(connection.ended),
            mode=self._mode,
            client_info=_INFO,
            cache=None,
            message_handler=connection.on_message,
            elicitation_callback=connection.flights.elicit,
            extensions=[TasksExtension(connection.flights.current)],
        )

    def _compare(self, listed: Sequence[mcp_types.Tool]) -> None:
        """Tells of a server that lists other tools than before it was connected to anew."""
        now = tools_of(self.name, listed, self._invoke)
        before, self._tools = self._tools or (), now
        if [tool.digest for tool in before] != [tool.digest for tool in now]:
            self._tell()

    def _list_changed(self, connection: Connection) -> None:
        if connection is self._open:
            self._tell()

    def _tell(self) -> None:
        if self.changed is not None:
            self.changed()

    async def _invoke(self, tool: mcp_types.Tool, arguments: dict[str, Any], call: Call) -> Answer:
        _check_encodable(arguments)
        connection = await self._connected(tool.name)
        result = await self._call(connection, tool, arguments, call)
        if result is None:
            connection.ended("ended the session")
            connection = await self._connected(tool.name)
            result = await self._call(connection, tool, arguments, call)
        if result is None:
            raise mcp_errors.transport(self.name, "ends each session at once", tool.name)
        raw = result.model_dump(by_alias=True, mode="json", exclude_unset=True)
        if result.is_error:
            made = self._discreet(mcp_errors.refusal(raw, self.name, tool.name), arguments)
            raise name_tool(made, self.name, tool.name)
        return answer_of(raw, tool.output_schema)

    async def _call(
        self, connection: Connection, tool: mcp_types.Tool, arguments: dict[str, Any], call: Call
    ) -> mcp_types.CallToolResult | None:
        """The result; None where the session is lost, and nothing was done."""
        client, flight = connection.client, Flight(call, self._timeout)
        try:
            async with connection.flights.one(flight):
                if needs_task(tool) and not connection.is_modern:
                    return await call_as_task(client.session, tool.name, arguments, flight)
                return await client.call_tool(
                    tool.name, arguments, progress_callback=flight.progress
                )
        except Exception as error:  # as above
            if isinstance(error, MCPError) and made_here(error, LOST_SESSION):
                return None
            why = connection.why_ended
            made = mcp_errors.of_call(error, self.name, tool.name, ended=why, waited=flight.waited)
            raise name_tool(self._discreet(made, arguments), self.name, tool.name) from error

    def _not_open(self, error: Exception, connection: Connection, tool: str) -> ToolError:
        made = mcp_errors.of_opening(
            error, self.name, tool, ended=connection.why_ended, seconds=self._start_timeout
        )
        made = self._discreet(made, {})
        # For the host alone: code inside may ask for the list too, and is not told what the server is.
        made.add_note(f"The server {self.name} is {self._target.where}.")
        said = printable(self.stderr).strip()
        if said:
            made.add_note(f"The end of what {self.name} wrote to standard error:\n{said}")
        self._log(made, connection, said)
        return made

    def _discreet(self, error: ToolError, arguments: Mapping[str, Any]) -> ToolError:
        return mcp_errors.discreet(error, arguments) if self._target.is_here else error

    def _log(self, error: ToolError, connection: Connection, said: str) -> None:
        """Once for each start that failed, however many wait for it."""
        if connection is self._told or connection.why_ended == mcp_errors.CLOSED:
            return
        self._told = connection
        lines = said[-_MOST_CHARACTERS_LOGGED:].splitlines()[-_MOST_LINES_LOGGED:]
        wrote = "\n".join(["; the end of its standard error:", *lines]) if lines else ""
        where = printable_line(self._target.where, _MOST_CHARACTERS_LOGGED)
        _LOG.warning("%s; it is %s%s", printable_line(str(error), 1_000), where, wrote)

    def _log_left_out(self, connection: Connection) -> None:
        for name, why in connection.left_out.items():
            if self._left_out.get(name) != why:
                _LOG.warning("the tool %s of %s is left out: %s", name, self.name, why)
        self._left_out = dict(connection.left_out)


def _check_mode(mode: object) -> None:
    """Raises PolicyError where it is none."""
    modes = ("auto", "legacy", *MODERN_PROTOCOL_VERSIONS)
    if mode not in modes:
        allowed = (
            f"one of: {', '.join(modes)}; of protocols up to {LATEST_HANDSHAKE_VERSION} the server says "
            "in its greeting which one it speaks, so none of them can be chosen: take auto or legacy"
        )
        raise bad_option("mode", mode, allowed)


def _check_encodable(arguments: dict[str, Any]) -> None:
    """What the transport could not write would end the connection, for all calls on it."""
    try:
        to_json(arguments)
    except ValueError as error:
        raise ToolError(f"the arguments are not JSON: {error}", kind="validation") from None
