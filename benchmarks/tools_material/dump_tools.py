"""Asks real MCP servers for their tool definitions, so that catalogue and benchmarks work on what is really out there.

    python benchmarks/tools_material/dump_tools.py PLACE tools.json [servers.json]

Installs each server of the list into a folder of its own below PLACE, unless it is there (packages of the Python index
with venv and pip, those of npm with npm), starts it, asks for tools/list page by page, and stops it. No tool is called.
What is written has for each server whose words it is (package, version, licence) and its tools as they were sent, in
the server's order. A server that does not answer is named on stderr and left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

_SECONDS_TO_START = 60.0
_SECONDS_TO_INSTALL = 600.0
_KEPT = ("name", "title", "description", "inputSchema", "outputSchema", "annotations", "execution")
_HEAD = ("name", "package", "version", "license")

Server = dict[str, Any]


def installed(server: Server, place: Path) -> list[str]:
    """The command that starts it, which is there then."""
    registry, _, package = server["package"].partition(":")
    home = place / server["name"]
    program, *arguments = server["command"]
    if registry == "pypi":
        start = [str(home / "bin" / program)]
        if not Path(start[0]).exists():
            venv.create(home, with_pip=True)
            wanted = [f"{package}=={server['version']}", *server.get("with", [])]
            _run([str(home / "bin" / "pip"), "install", "--quiet", *wanted])
    else:
        start = ["node", str(home / "node_modules" / package / program)]
        if not Path(start[1]).exists():
            wanted = [f"{package}@{server['version']}"]
            _run(["npm", "install", "--ignore-scripts", "--silent", "--prefix", str(home), *wanted])
    return [*start, *(each.format(place=place) for each in arguments)]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=_SECONDS_TO_INSTALL, stdout=subprocess.DEVNULL)


async def tools_of(command: list[str], env: dict[str, str]) -> list[dict[str, Any]]:
    """Every tool that the server behind this command lists, as plain data."""
    program, *arguments = command
    env = {"PATH": os.environ.get("PATH", os.defpath), **env}
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


async def dump(servers: list[Server], place: Path) -> dict[str, Any]:
    """The tools of all of these servers, one after the other."""
    found = []
    for server in servers:
        env = {"HOME": str(place), **server.get("env", {})}
        try:
            command = installed(server, place)
            async with asyncio.timeout(_SECONDS_TO_START):
                tools = await tools_of(command, env)
        except Exception as error:  # noqa: BLE001 - whatever a server does is its own; the others are still asked
            print(f"{server['name']}: left out: {error!r}"[:300], file=sys.stderr)
            continue
        print(f"{server['name']}: {len(tools)} tools", file=sys.stderr)
        found.append({**{key: server[key] for key in _HEAD}, "tools": tools})
    return {"servers": found}


def written(found: dict[str, Any]) -> str:
    """The answer as JSON with a line for each tool."""
    servers = []
    for server in found["servers"]:
        head = json.dumps({key: server[key] for key in _HEAD})
        lines = ",\n".join(f"   {_line(tool)}" for tool in server["tools"])
        servers.append(f'  {head[:-1]}, "tools": [\n{lines}\n  ]}}')
    body = ",\n".join(servers)
    return f'{{\n "about": {json.dumps(_ABOUT)},\n "servers": [\n{body}\n ]\n}}\n'


def _line(tool: dict[str, Any]) -> str:
    return json.dumps(tool, ensure_ascii=False, separators=(",", ":"))


_ABOUT = (
    "Tool definitions of real MCP servers as they sent them in tools/list; written by "
    "benchmarks/tools_material/dump_tools.py. Each server's head says whose words they are: package, version, licence."
)


def main() -> None:
    """Read the list, install, ask, write."""
    place, target, *others = map(Path, sys.argv[1:])
    source = others[0] if others else Path(__file__).with_name("servers.json")
    found = asyncio.run(dump(json.loads(source.read_text()), place.resolve()))
    target.write_text(written(found))


if __name__ == "__main__":
    main()
