"""Asks real MCP servers for their tool definitions, so that the tests of the catalogue work on what is out there.

    python benchmarks/tools_dump.py tools.json [NAME ...]

Installs and starts the servers of the benchmark's list (all of them, or those of these names), one after the other, and
asks each for tools/list page by page. No tool is called. What is written has for each server whose words it is
(package, version, licence) and its tools as they were sent, in the server's order. A server that does not answer is
named on stderr and left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

import tools_servers
from tools_servers import Server

_SECONDS_TO_START = 120.0
_KEPT = ("name", "title", "description", "inputSchema", "outputSchema", "annotations", "execution")
_HEAD = ("name", "package", "version", "license")
_ABOUT = (
    "Tool definitions of real MCP servers as they sent them in tools/list; written by "
    "benchmarks/tools_dump.py. Each server's head says whose words they are: package, version, licence."
)


def main() -> None:
    """Read the list, install, ask, write."""
    target, *names = sys.argv[1:]
    servers, _ = tools_servers.read()
    wanted = [server for server in servers if not names or server.name in names]
    there, _ = tools_servers.install(wanted, tools_servers.PLACE, _say)
    with tempfile.TemporaryDirectory(prefix="protocell-bench-") as data:
        found = asyncio.run(_dump(there, Path(data)))
    Path(target).write_text(_written(found), encoding="utf-8")


async def _dump(servers: Sequence[Server], data: Path) -> list[dict[str, Any]]:
    found = []
    for server in servers:
        try:
            async with asyncio.timeout(_SECONDS_TO_START):
                tools = await _tools_of(server, data)
        except Exception as error:  # noqa: BLE001 - whatever a server does is its own; the others are still asked
            _say(f"{server.name}: left out: {error!r}"[:300])
            continue
        _say(f"{server.name}: {len(tools)} tools")
        found.append({**{key: getattr(server, key) for key in _HEAD}, "tools": tools})
    return found


async def _tools_of(server: Server, data: Path) -> list[dict[str, Any]]:
    """Every tool that it lists, as plain data: by the SDK alone, so that nothing of ours has touched it."""
    program, *arguments = server.start(tools_servers.PLACE, data)
    env = {"PATH": os.environ.get("PATH", os.defpath), **server.variables(data)}
    tools: list[dict[str, Any]] = []
    cursor: str | None = None
    async with Client(StdioServerParameters(command=program, args=arguments, env=env)) as client:
        while True:
            page = await client.list_tools(cursor=cursor)
            tools.extend(_plain(tool) for tool in page.tools)
            cursor = page.next_cursor
            if not cursor:
                return tools


def _plain(tool: Any) -> dict[str, Any]:
    sent = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: sent[key] for key in _KEPT if key in sent}


def _written(found: Sequence[dict[str, Any]]) -> str:
    """JSON with a line for each tool."""
    servers = []
    for server in found:
        head = json.dumps({key: server[key] for key in _HEAD})
        lines = ",\n".join(f"   {_line(tool)}" for tool in server["tools"])
        servers.append(f'  {head[:-1]}, "tools": [\n{lines}\n  ]}}')
    body = ",\n".join(servers)
    return f'{{\n "about": {json.dumps(_ABOUT)},\n "servers": [\n{body}\n ]\n}}\n'


def _line(tool: dict[str, Any]) -> str:
    return json.dumps(tool, ensure_ascii=False, separators=(",", ":"))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
