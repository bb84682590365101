"""A page of an MCP server's tools that the SDK refuses whole: for one bad tool, all others would be gone.

The SDK checks a page against the protocol as one. Here it is asked for again and each tool is checked by
itself: what is easily mended is mended, and a tool that cannot be used is left out, and said to be.
"""

from __future__ import annotations

from typing import Any

import mcp_types
from mcp import Client
from mcp.client.session import ClientSession
from mcp.shared.dispatcher import CallOptions
from mcp_types.methods import validate_server_result
from pydantic import ValidationError

from protocell._printable import printable_line

_LIST = "tools/list"
_MOST_LEFT_OUT = 100
_MOST_CHARACTERS = 200


async def usable_page(
    client: Client, cursor: str | None, left_out: dict[str, str]
) -> mcp_types.ListToolsResult:
    """The page, without those tools; ``left_out`` gets their names, and why.

    Raises MCPError, and ValidationError where it is no list of tools at all.
    """
    version = client.protocol_version
    raw = await _unchecked(client.session, cursor)
    listed = raw.get("tools")
    frame = {**raw, "tools": []} if isinstance(listed, list) else raw
    validate_server_result(_LIST, version, frame)
    usable = []
    for number, tool in enumerate(listed or ()):
        try:
            usable.append(_mended(tool, frame, version))
        except ValidationError as error:
            if len(left_out) < _MOST_LEFT_OUT:
                left_out[_name(tool, number)] = _why(error)
    found = {"tools": usable, "nextCursor": raw.get("nextCursor")}
    page = mcp_types.ListToolsResult.model_validate(found, by_name=False)
    complete = cursor is None and page.next_cursor is None
    return client.session._absorb_tool_listing(page, complete=complete)


async def _unchecked(session: ClientSession, cursor: str | None) -> dict[str, Any]:
    """What the server answers. As in ``mcp_tasks``, there is no public way past the SDK's check."""
    params = {} if cursor is None else {"cursor": cursor}
    data: dict[str, Any] = {"method": _LIST, "params": params}
    options: CallOptions = {}
    session._stamp(data, options)
    return await session._dispatcher.send_raw_request(_LIST, data["params"], options)


def _mended(tool: Any, frame: dict[str, Any], version: str) -> dict[str, Any]:
    """The tool as the protocol has it. Raises ValidationError where it cannot be used."""
    if isinstance(tool, dict):
        tool = _with_type(tool)
    try:
        validate_server_result(_LIST, version, {**frame, "tools": [tool]})
    except ValidationError:
        if not isinstance(tool, dict) or "outputSchema" not in tool:
            raise
        # It promises something of the answer, which can do without.
        tool = {name: value for name, value in tool.items() if name != "outputSchema"}
        validate_server_result(_LIST, version, {**frame, "tools": [tool]})
    mcp_types.Tool.model_validate(tool, by_name=False)
    return dict(tool)


def _with_type(tool: dict[str, Any]) -> dict[str, Any]:
    """``{}`` is meant for no parameters at all: arguments are an object whatever is said."""
    schema = tool.get("inputSchema") or {}
    if not isinstance(schema, dict) or "type" in schema:
        return tool
    return {**tool, "inputSchema": {**schema, "type": "object"}}


def _name(tool: Any, number: int) -> str:
    name = tool.get("name") if isinstance(tool, dict) else None
    text = name if isinstance(name, str) else f"number {number + 1} of its page"
    return printable_line(text, _MOST_CHARACTERS)


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"][2:])
    return printable_line(f"{where}: {first['msg']}".removeprefix(": "), _MOST_CHARACTERS)
