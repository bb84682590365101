"""An MCP server as a source of tools: started or connected to when it is first needed, and again when it died.

Theory of operation: there is one connection (``mcp_connection``) at a time, and with it one process or one
HTTP session, for all calls of all executions. Who needs it first opens it, and the others wait for the same
opening. A connection that ended is not mended; the next call opens another one. No call is made twice: what
was under way may have had its effect. The one exception is a session that an HTTP server does not know
(any more), since it has done nothing then. ``close`` waits for all connections there ever were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import httpx2
import mcp_types
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import to_json

from protocell.errors import PolicyError
from protocell.tools import mcp_errors
from protocell.tools.errors import ToolError, name_tool
from protocell.tools.mcp_connection import Connection
from protocell.tools.mcp_http import LOST_SESSION
from protocell.tools.mcp_target import target_of
from protocell.tools.mcp_tasks import TasksExtension, call_as_task
from protocell.tools.mcp_tools import needs_task, tools_of
from protocell.tools.tool import Answer, Call, Tool
from protocell.tools.values import answer_of

ANSWER_BYTES = 256 * 1024 * 1024
START_SECONDS = 30.0
_INFO = mcp_types.Implementation(name="protocell", version="1")


class McpSource:
    """The tools of one MCP server.

    ``target`` is a URL (streamable HTTP), or the command that starts the server: a list, or a text that
    is split as a shell would. The process gets the few variables that the SDK holds for safe (HOME,
    PATH, ...), and those of ``env``. ``headers`` go with each request to a URL; ``auth`` is the SDK's
    ``OAuthClientProvider`` or any other ``httpx2.Auth``. ``timeout`` bounds one call, in seconds, and
    starts anew with each sign of progress; without it the broker's clock is the only one.
    ``answer_bytes`` bounds one message of the server's. ``mode`` is the SDK's: "auto" asks the server
    which protocol it speaks.
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
        self.name = name
        self.changed: Callable[[], None] | None = None
        self._target = target_of(
            target, env=env, cwd=cwd, headers=headers, auth=auth, answer_bytes=answer_bytes
        )
        if mode not in {"auto", "legacy", *MODERN_PROTOCOL_VERSIONS}:
            known = ", ".join(["auto", "legacy", *MODERN_PROTOCOL_VERSIONS])
            raise PolicyError(f"mode {mode!r} is none of: {known}")
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._mode = mode
        self._connections: list[Connection] = []
        self._tools: tuple[Tool, ...] | None = None
        self._closed = False

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
        client = connection.client
        try:
            async with connection.flights.one(call, self._timeout) as flight:
                if needs_task(tool) and not connection.is_modern:
                    return await call_as_task(client.session, tool.name, arguments, flight)
                return await client.call_tool(
                    tool.name, arguments, progress_callback=flight.progress
                )
        except Exception as error:  # as above
            if isinstance(error, MCPError) and error.code == LOST_SESSION:
                return None
            why = connection.why_ended
            made = mcp_errors.of_call(error, self.name, tool.name, ended=why)
            raise name_tool(self._discreet(made, arguments), self.name, tool.name) from error

    def _not_open(self, error: Exception, connection: Connection, tool: str) -> ToolError:
        made = mcp_errors.of_opening(error, self.name, tool, ended=connection.why_ended)
        made = self._discreet(made, {})
        # For the host alone: code inside may ask for the list too, and is not told what the server is.
        made.add_note(f"The server {self.name} is {self._target.where}.")
        return self._with_stderr(made)

    def _discreet(self, error: ToolError, arguments: Mapping[str, Any]) -> ToolError:
        return mcp_errors.discreet(error, arguments) if self._target.is_here else error

    def _with_stderr(self, error: ToolError) -> ToolError:
        """For the host alone: a note stands below its traceback, and is never told to the code."""
        if said := self.stderr.strip():
            error.add_note(f"The end of what {self.name} wrote to standard error:\n{said}")
        return error


def _check_encodable(arguments: dict[str, Any]) -> None:
    """What the transport could not write would end the connection, for all calls on it."""
    try:
        to_json(arguments)
    except ValueError as error:
        raise ToolError(f"the arguments are not JSON: {error}", kind="validation") from None
