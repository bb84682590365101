"""An MCP server whose lists have pages, in the two ways that servers have: structured, and JSON in a text."""

import json
from typing import Any

from mcp.server import MCPServer

server: MCPServer[Any] = MCPServer("pages", log_level="ERROR")
NUMBERS = list(range(1, 8))


@server.tool()
def structured(cursor: str | None = None) -> dict[str, Any]:
    """List, with a cursor as MCP's own lists have it."""
    start = int(cursor or 0)
    more = {"nextCursor": str(start + 3)} if start + 3 < len(NUMBERS) else {}
    return {"numbers": NUMBERS[start : start + 3], **more}


@server.tool(structured_output=False)
def texts(after: int = 0, count: int = 3) -> str:
    """List, as text."""
    has_more = after + count < len(NUMBERS)
    told = {"numbers": NUMBERS[after : after + count], "has_more": has_more, "next": after + count}
    return json.dumps(told)


@server.tool()
def whole() -> list[int]:
    """List all there is."""
    return NUMBERS


if __name__ == "__main__":
    server.run("stdio")
