"""An MCP server without an SDK, for the tests: what real ones of the old protocols do, and bad ones of any time.

First argument: the protocol version that it speaks (with ``initialize``). Further ones: ``chatter`` prints what is
no message first, ``stubborn`` ends neither at end of file nor at SIGTERM, ``silent`` says nothing at all.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

NOTHING: dict[str, Any] = {"type": "object"}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS: list[dict[str, Any]] = [
    {"name": "echo", "description": "Echo.", "inputSchema": TEXT},
    {"name": "read-query", "inputSchema": {**NOTHING, "properties": {"query": {}}}},
    {"name": "child", "inputSchema": NOTHING},
    *(
        {"name": name, "inputSchema": NOTHING}
        for name in (
            *("die", "hang", "flood", "break", "endless", "unended", "wrong"),
            *("ask", "sample", "roots"),
        )
    ),
    {"name": "study", "inputSchema": NOTHING, "execution": {"taskSupport": "required"}},
]
PAGE = 5
ASKED = {
    "ask": (
        "elicitation/create",
        {"message": "Really?", "requestedSchema": NOTHING | {"properties": {}}},
    ),
    "sample": ("sampling/createMessage", {"messages": [], "maxTokens": 1}),
    "roots": ("roots/list", {}),
}
waiting: dict[str, Any] = {}
tasks: list[str] = []


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer(request: dict[str, Any], result: dict[str, Any]) -> None:
    send({"id": request["id"], "result": result})


def say(request: dict[str, Any], text: str) -> None:
    answer(request, {"content": [{"type": "text", "text": text}]})


def listed(request: dict[str, Any]) -> None:
    start = int((request.get("params") or {}).get("cursor", "0"))
    page: dict[str, Any] = {"tools": TOOLS[start : start + PAGE]}
    if start + PAGE < len(TOOLS):
        page["nextCursor"] = str(start + PAGE)
    answer(request, page)


def call(request: dict[str, Any]) -> None:
    name, params = request["params"]["name"], request["params"]
    if name == "echo":
        say(request, params["arguments"]["text"])
    elif name == "read-query":
        say(request, "[{'a': 1}]")
    elif name == "child":
        child = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
        say(request, json.dumps([os.getpid(), child.pid]))
    elif name in ASKED:
        method, asked = ASKED[name]
        waiting[name] = request
        send({"id": name, "method": method, "params": asked})
    elif name == "study":
        start_task(request)
    else:
        misbehave(name, request)


def misbehave(name: str, request: dict[str, Any]) -> None:
    if name == "die":
        os._exit(3)
    elif name == "flood":
        for _ in range(request["params"].get("arguments", {}).get("times", 64)):
            sys.stderr.write("e" * 65535 + "\n")
        sys.stderr.write("the last line")
        sys.stderr.flush()
        say(request, "flooded")
    elif name == "break":
        sys.stdout.write('{"jsonrpc": "2.0", "id": 7, "result": {"conte\n')
        sys.stdout.flush()
    elif name == "endless":
        while True:
            sys.stdout.write("x" * 65536)
    elif name == "unended":
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {}}))
        sys.stdout.flush()
    elif name == "wrong":
        answer(request, {"content": "no list"})
    # "hang" gets no answer.


def start_task(request: dict[str, Any]) -> None:
    if "task" not in request["params"]:
        error = {"code": -32601, "message": "has to be called as a task"}
        send({"id": request["id"], "error": error})
        return
    tasks.append("working")
    answer(request, {"task": state("working")})


def state(status: str) -> dict[str, Any]:
    return {
        "taskId": "t1",
        "status": status,
        "statusMessage": f"is {status}",
        "createdAt": "2026-01-01T00:00:00Z",
        "lastUpdatedAt": "2026-01-01T00:00:00Z",
        "ttl": None,
        "pollInterval": 1,
    }


def of_tasks(message: dict[str, Any]) -> None:
    """Working when it is asked for first, completed from then on; in between it has a question."""
    if message["method"] == "tasks/get":
        answer(message, state(tasks[-1]))
        tasks.append("input_required")
    elif message["method"] == "tasks/result":
        waiting["ask"] = message
        send({"id": "ask", "method": ASKED["ask"][0], "params": ASKED["ask"][1]})
    else:
        sys.stderr.write(message["method"])
        answer(message, state("cancelled"))


def handle(message: dict[str, Any]) -> None:
    method = message.get("method", "")
    if method == "initialize":
        info = {"name": "old", "version": "0"}
        capabilities: dict[str, Any] = {"tools": {}}
        answer(
            message,
            {"protocolVersion": sys.argv[1], "capabilities": capabilities, "serverInfo": info},
        )
    elif method == "tools/list":
        listed(message)
    elif method == "tools/call":
        call(message)
    elif method.startswith("tasks/"):
        of_tasks(message)
    elif method == "notifications/cancelled":
        sys.stderr.write("cancelled")
        sys.stderr.flush()
    elif not method:
        say(waiting.pop(message["id"]), json.dumps(message.get("result", message.get("error"))))
    elif "id" in message:
        send({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})


def main() -> None:
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "chatter" in sys.argv:
        sys.stdout.write("Starting...\n{'level': 'info'}\n[]\n{}\n\n")
    for line in sys.stdin:
        if "silent" not in sys.argv:
            handle(json.loads(line))
    if "stubborn" in sys.argv:
        threading.Event().wait()


if __name__ == "__main__":
    main()
