"""What goes wrong with an MCP server, as the ToolError that the code inside catches.

The text says what happened and no more: paths, commands and standard error stay on the host, as the
cause of the exception and in ``McpSource.stderr``. What a server on this machine says itself goes through
``discreet``: real ones name the folder that they were given, or the file that they keep things in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import mcp_types
from mcp.client import InputRequiredRoundsExceededError
from mcp.client.auth import OAuthFlowError
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from protocell.tools.errors import (
    MOST_CHARACTERS,
    Kind,
    ToolError,
    data_without_host,
    known_paths,
    without_host,
)
from protocell.tools.mcp_connection import BadServerError
from protocell.tools.mcp_http import LOST_SESSION, NETWORK_ERROR, data_of, made_here
from protocell.tools.mcp_target import NotStartedError

CLOSED = "was closed"
# What the SDK's transports make where no answer came. Servers use the same codes for answers of their own.
_NO_ANSWER_CODES = frozenset(
    {mcp_types.CONNECTION_CLOSED, mcp_types.PARSE_ERROR, mcp_types.INVALID_REQUEST}
)
_NO_ANSWER = re.compile(
    r"(Connection closed|Session terminated|server answered a request with 202 Accepted)\Z"
    r"|SSE stream (ended|failed)|Failed to parse (SSE message|JSON response): "
    r"|Unexpected content type: |Redirect to .* not followed"
)
_NO_TOOL = re.compile(r"\bunknown tool\b|\btool\b.{0,200}\bnot found\b", re.IGNORECASE | re.DOTALL)
_ASK = "elicitation/create"
_TOLD = "its server was told to cancel it, and may go on all the same"


def transport(server: str, what: str, tool: str = "") -> ToolError:
    """The server is not there, or not to be understood."""
    return ToolError(f"the server {server} {what}", kind="transport", server=server, tool=tool)


def refusal(result: Mapping[str, Any], server: str, tool: str) -> ToolError:
    """The tool ran and said no: its text, and in ``data`` its structured content, or a text too long."""
    texts = [
        str(block.get("text", ""))
        for block in result.get("content") or ()
        if isinstance(block, Mapping) and block.get("type") == "text"
    ]
    text = "\n".join(texts).strip() or "the tool failed and does not say why"
    data = result.get("structuredContent", text if len(text) > MOST_CHARACTERS else None)
    return ToolError(text[:MOST_CHARACTERS], tool=tool, server=server, data=data)


def discreet(error: ToolError, arguments: Mapping[str, Any]) -> ToolError:
    """The same of a server on this machine: its words may name files of ours, and hold its traceback."""
    known = known_paths(arguments)
    return ToolError(
        without_host(str(error), known).strip() or "the tool failed and says where alone",
        kind=error.kind,
        tool=error.tool,
        server=error.server,
        data=data_without_host(error.data, known),
    )


def of_call(error: BaseException, server: str, tool: str, *, ended: str, waited: str) -> ToolError:
    """For what the SDK raised in a call; ``ended`` is why the connection ended, if it did."""
    if ended == CLOSED:
        return transport(server, ended, tool)
    if ended:
        return transport(server, f"{ended} before it answered; the next call starts anew", tool)
    late = f"{server}/{tool} had not answered {waited}; {_TOLD}"
    return _of(error, server, tool, ToolError(late, kind="timeout", server=server, tool=tool))


def of_opening(
    error: BaseException, server: str, tool: str, *, ended: str, seconds: float
) -> ToolError:
    """For what it raised before there was a call to make: whatever it is, the server is not there."""
    late = transport(server, f"was not ready after {seconds:g} s", tool)
    made = transport(server, ended, tool) if ended else _of(error, server, tool, late)
    if made.kind not in ("transport", "timeout"):  # an error, where every server of MCP answers
        not_found = (made.data or {}).get("code") == mcp_types.METHOD_NOT_FOUND
        what = "does not speak MCP" if not_found else "refuses to begin"
        made = transport(server, f"{what} ({made})", tool)
    made.kind = "transport"
    return made


def _of(error: BaseException, server: str, tool: str, late: ToolError) -> ToolError:
    for inner in leaves(error):
        if isinstance(inner, TimeoutError):
            return late
        if (told := _told(inner, server, tool)) is not None:
            return told
    return transport(server, f"cannot be spoken to ({type(next(leaves(error))).__name__})", tool)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group; a task group of the SDK's wraps even a single one."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def _told(error: BaseException, server: str, tool: str) -> ToolError | None:
    match error:
        case MCPError():
            return _of_protocol(error, server, tool)
        case BadServerError():
            return transport(server, str(error), tool)
        case NotStartedError():
            return transport(server, f"could not be started ({error})", tool)
        case OSError():
            return transport(server, f"could not be started ({type(error).__name__})", tool)
        case httpx2.TransportError():
            return transport(server, f"cannot be reached ({type(error).__name__})", tool)
        case ValidationError():
            return transport(server, "sent something that is not MCP", tool)
        case InputRequiredRoundsExceededError():
            return transport(server, "does not stop asking for input", tool)
        case OAuthFlowError():
            return transport(server, "could not be logged in to (OAuth)", tool)
        case _:
            return None


def _of_protocol(error: MCPError, server: str, tool: str) -> ToolError:
    """An error response; the SDK makes such errors too, for what did not arrive, and so do we."""
    if made_here(error, NETWORK_ERROR, LOST_SESSION):
        made = transport(server, error.message, tool)
    elif error.code in _NO_ANSWER_CODES and _NO_ANSWER.match(error.message):
        made = transport(server, f"did not answer: {error.message}", tool)
    elif _wants_to_ask(error):
        what = f"the tool wants to ask somebody, and its server cannot do so here: {error.message}"
        made = ToolError(what, server=server, tool=tool)
    else:
        made = ToolError(error.message, kind=_kind(error), server=server, tool=tool)
    made.data = {"code": error.code, "data": data_of(error)}
    return made


def _wants_to_ask(error: MCPError) -> bool:
    """Whether it could not: the protocol has no questions, or the connection no way back to us."""
    if error.code == mcp_types.METHOD_NOT_FOUND:
        return bool(error.data == _ASK)  # what the SDK answered to the server, handed on
    return error.code == mcp_types.INVALID_REQUEST and f"Cannot send '{_ASK}'" in error.message


def _kind(error: MCPError) -> Kind:
    """What the server's answer says of the call."""
    if error.code == mcp_types.INVALID_PARAMS:
        return "not_found" if _NO_TOOL.search(error.message) else "validation"
    kinds: Mapping[int, Kind] = {
        mcp_types.METHOD_NOT_FOUND: "not_found",
        mcp_types.REQUEST_TIMEOUT: "timeout",
    }
    return kinds.get(error.code, "tool")
