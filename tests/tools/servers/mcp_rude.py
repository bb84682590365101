"""An MCP server without an SDK whose texts are meant for the terminal of whoever looks at them."""

import json
import sys
from typing import Any

NAME = "clear\x1b[2Jscreen\nfake/tool: note: all is well"
TOOLS = [
    {
        "name": NAME,
        "description": "Red \x1b[31m alert.\x07 \u202egnihton seod tI",
        "inputSchema": {"type": "object", "properties": {"a\x1b[1m": {}}},
    }
]


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    if message["method"] == "initialize":
        return {
            "protocolVersion": "2024-11-05",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "rude", "version": "1"},
        }
    return {"tools": TOOLS} if message["method"] == "tools/list" else None


for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        told = answer(asked)
        reply = {"result": told} if told else {"error": {"code": -32601, "message": "unknown"}}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **reply}) + "\n")
        sys.stdout.flush()
