"""An MCP server without an SDK that says what it is told to: its tools, and how it answers a call of each.

The one argument is JSON: ``tools`` are the entries of ``tools/list``; ``answers`` have by name what is beside the id.
"""

import json
import sys
from typing import Any


def answer(message: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    method = message["method"]
    if method == "initialize":
        about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "raw", "version": "0"}}
        return {"result": {"protocolVersion": "2025-06-18", **about}}
    if method == "tools/list":
        return {"result": {"tools": told["tools"]}}
    if method == "tools/call":
        found: dict[str, Any] = told["answers"][message["params"]["name"]]
        return found
    return {"error": {"code": -32601, "message": "Method not found"}}


def main() -> None:
    told = json.loads(sys.argv[1])
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            reply = {"jsonrpc": "2.0", "id": message["id"], **answer(message, told)}
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
