"""Servers as processes, and a source that is closed again, for the tests of MCP."""

import asyncio
import contextlib
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from protocell.tools.errors import ToolError
from protocell.tools.mcp_source import McpSource
from protocell.tools.tool import Answer
from tests import leftovers
from tests.tools.calls import DirectCall

SERVERS = Path(__file__).parent / "servers"
NEW = (sys.executable, str(SERVERS / "mcp_new.py"), "stdio")
SECONDS = 20.0

NEXT = "before it answered; the next call starts anew"
LATE = "its server was told to cancel it, and may go on all the same"
# How calls fail, by the tools of mcp_old.py (where an answer may have 1,000,000 bytes) and of mcp_bad_http.py.
OVER_A_PIPE = {
    "die": ("transport", f"the server srv ended with exit status 3 {NEXT}"),
    "break": ("transport", f"the server srv sent a message that is broken {NEXT}"),
    "endless": ("transport", f"the server srv sent a message of more than 1000000 bytes {NEXT}"),
    "wrong": ("transport", "the server srv sent something that is not MCP"),
}
OVER_HTTP = {
    "unauthorized": ("transport", "the server srv answered HTTP 401 Unauthorized"),
    "unavailable": ("transport", "the server srv answered HTTP 503 Service Unavailable"),
    "packed": ("transport", "the server srv sent a compressed answer, which was not asked for"),
    "hung_up": ("transport", "the server srv cannot be reached (RemoteProtocolError)"),
    "refused": ("validation", "srv/refused: bad"),
}
OVER_HTTP_SOMEHOW = ("broken", "html", "large", "large_event", "cut", "elsewhere", "accepted")


def old(version: str = "2024-11-05", *how: str) -> list[str]:
    """The command of the server without an SDK."""
    return [sys.executable, str(SERVERS / "mcp_old.py"), version, *how]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """For modules that import it: no process, descriptor or file stays."""
    with leftovers.nothing_left_behind():
        yield


@contextlib.contextmanager
def served(script: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server that prints its port, while it runs."""
    command = [sys.executable, str(SERVERS / script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


class Session:
    """A source with its tools, by name."""

    def __init__(self, source: McpSource) -> None:
        self.source = source

    async def answer(
        self, name: str, call: DirectCall | None = None, /, **arguments: Any
    ) -> Answer:
        """What the tool of this name answers."""
        tools = {tool.name: tool for tool in await self.source.tools()}
        return await tools[name].invoke(arguments, call or DirectCall())

    async def value(self, name: str, call: DirectCall | None = None, /, **arguments: Any) -> Any:
        """The value that the code would get."""
        return (await self.answer(name, call, **arguments)).value

    async def error(self, name: str, /, **arguments: Any) -> ToolError:
        """How the call fails."""
        with pytest.raises(ToolError) as caught:
            await self.value(name, **arguments)
        return caught.value


@contextlib.asynccontextmanager
async def opened(
    target: str | Sequence[str], name: str = "srv", **options: Any
) -> AsyncIterator[Session]:
    """A session with this server; a test that hangs ends."""
    source = McpSource(name, target, **options)
    try:
        async with asyncio.timeout(SECONDS):
            yield Session(source)
    finally:
        await source.close()


def is_gone(pid: int) -> bool:
    """Waits until there is no such process, for as long as such a thing may take."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], SECONDS)[0])
    finally:
        os.close(descriptor)


async def until(is_so: Callable[[], bool]) -> None:
    """Waits for something that another process does."""
    while not is_so():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)


def told(error: ToolError) -> Mapping[str, Any]:
    """All of an error but its class."""
    return {
        "text": str(error),
        "kind": error.kind,
        "server": error.server,
        "tool": error.tool,
        "data": error.data,
    }
