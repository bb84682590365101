"""An MCP server made with the SDK, for the tests: ``stdio``, or ``http`` on a free port that it prints."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from pydantic import BaseModel

server: MCPServer[Any] = MCPServer("new", log_level="ERROR")
SMALLEST_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Person(TypedDict):
    name: str
    age: int


class Size(BaseModel):
    size: Literal["small", "large"]


async def ask_size() -> Elicit[Size]:
    return Elicit("Which size?", Size)


def touch(path: str) -> None:
    Path(path).write_text("")


@server.tool(annotations=ToolAnnotations(read_only_hint=True, title="Adder"))
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@server.tool(name="get-person")
def get_person(name: str) -> Person:
    """Look somebody up."""
    return {"name": name, "age": 7}


@server.tool(structured_output=False)
def say(text: str) -> str:
    """Give the text back."""
    return text


@server.tool(structured_output=False)
def media() -> CallToolResult:
    """Give one of each."""
    return CallToolResult(
        content=[
            TextContent(text="here"),
            ImageContent(data=SMALLEST_PNG, mime_type="image/png"),
            AudioContent(data="AAEC", mime_type="audio/wav"),
            ResourceLink(uri="file:///a.txt", name="a", mime_type="text/plain", size=3),
            EmbeddedResource(
                resource=TextResourceContents(
                    uri="file:///b.txt", mime_type="text/plain", text="bee"
                )
            ),
        ]
    )


@server.tool()
def fail(why: str) -> str:
    """Say no."""
    raise ToolError(why)


@server.tool(structured_output=False)
def say_no(codes: list[int]) -> CallToolResult:
    """Say no, in letters of which the code has sent the numbers."""
    text = "".join(map(chr, codes))
    data = {"told": [text], "where": {text: text}}
    return CallToolResult(content=[TextContent(text=text)], structured_content=data, is_error=True)


@server.tool(structured_output=False)
def fail_with_data() -> CallToolResult:
    """Say no, in detail."""
    return CallToolResult(
        content=[TextContent(text="no")], structured_content={"retry": 5}, is_error=True
    )


@server.tool(structured_output=False)
def fit_badly() -> CallToolResult:
    """Give what its schema does not allow."""
    return CallToolResult(content=[], structured_content={"age": "seven"})


@server.tool()
def refuse() -> str:
    """Answer with an error of the protocol."""
    raise MCPError(-32010, "fetch failed", {"host": "example.org"})


@server.tool(structured_output=False)
def environment() -> dict[str, str]:
    """Tell the variables that the process has."""
    return dict(os.environ)


@server.tool()
def headers(context: Context[Any, Any]) -> dict[str, str]:
    """Tell the headers of the request."""
    return dict(context.headers or {})


@server.tool()
async def steps(count: int, context: Context[Any, Any]) -> int:
    """Work in steps."""
    for step in range(1, count + 1):
        await context.report_progress(step, count, f"step {step}")
    return count


@server.tool()
async def begin(context: Context[Any, Any]) -> str:
    """Begin, and come to no end."""
    await context.report_progress(1, 2, "begun")
    await asyncio.Event().wait()
    return "never"


@server.tool()
async def ask_at_once(context: Context[Any, Any]) -> str:
    """Ask in the middle of the call, as servers of older protocols do."""
    return (await context.elicit("Which size?", Size)).action


@server.tool()
async def wait(started: str, cancelled: str) -> str:
    """Wait for ever; tell by files that it started, and that it was cancelled."""
    touch(started)
    try:
        await asyncio.Event().wait()
    finally:
        touch(cancelled)
    return "never"


@server.tool()
async def order(item: str, size: Annotated[Size, Resolve(ask_size)]) -> str:
    """Order something, after asking for the size."""
    return f"{size.size} {item}"


@server.tool()
async def grow(context: Context[Any, Any]) -> str:
    """Have one tool more, and say so."""
    tools = await server.list_tools()
    server.add_tool(lambda: 1, name=f"newcomer_{len(tools)}", description="New.")
    await context.notify_tools_changed()
    await context.session.send_tool_list_changed()
    return "grown"


@server.tool()
def die() -> str:
    """End the process."""
    sys.stderr.write("dying in /srv/secret\n")
    sys.stderr.flush()
    os._exit(3)


@server.tool(structured_output=False)
def big(count: int) -> str:
    """Give so many characters."""
    return "x" * count


@server.tool()
def whoami() -> int:
    """Give the process id."""
    return os.getpid()


def main() -> None:
    if sys.argv[1] == "stdio":
        server.run("stdio")
        return
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # With its protocol said, or asyncio would not turn Nagle's algorithm off.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[2]) if sys.argv[2:] else 0))
    listener.listen()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    app = server.streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    main()
