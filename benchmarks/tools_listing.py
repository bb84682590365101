"""Starts real MCP servers as processes, through ``Toolset.mcp``, and asks each for its tools, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocell.tools import Tool, ToolError, Toolset
from tools_servers import Absent, Server

_SECONDS_TO_START = 120.0  # the first time, a server reads its packages from a cold disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A server that answered."""

    server: Server
    tools: tuple[Tool, ...]
    protocol: str
    """The version of MCP that it speaks."""


class Listed:
    """A server's tools as they were listed, for a catalogue that has them; none of them can be called."""

    def __init__(self, listing: Listing) -> None:
        self.changed: Callable[[], None] | None = None
        self.name = listing.server.name
        self._tools = listing.tools

    async def start(self) -> None:
        """Does nothing."""

    async def tools(self) -> tuple[Tool, ...]:
        """As they were."""
        return self._tools

    async def close(self) -> None:
        """Does nothing."""


def toolset_of(server: Server, place: Path, data: Path) -> Toolset:
    """A server; it is started when its tools are needed."""
    return Toolset.mcp(
        server.start(place, data),
        name=server.name,
        env=server.variables(data),
        cwd=data,
        start_timeout=_SECONDS_TO_START,
    )


async def ask(
    servers: Sequence[Server], place: Path, data: Path, say: Callable[[str], None]
) -> tuple[list[Listing], list[Absent]]:
    """What each of them lists; and which do not answer."""
    found, absent = [], []
    for number, server in enumerate(servers, 1):
        try:
            found.append(await _asked(server, place, data))
        except ToolError as error:
            absent.append(Absent(server, f"does not start: {str(error).splitlines()[0][:200]}"))
            say(f"start {number}/{len(servers)}: {server.name}: {absent[-1].why}")
        else:
            say(f"start {number}/{len(servers)}: {server.name}: {len(found[-1].tools)} tools")
    return found, absent


async def _asked(server: Server, place: Path, data: Path) -> Listing:
    async with toolset_of(server, place, data) as toolset:
        (supply,) = toolset._supplies
        source: Any = supply.source
        return Listing(server=server, tools=await toolset.tools(), protocol=source.protocol)
