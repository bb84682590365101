"""An MCP server of 2026-07-28 that answers every call with a task (``io.modelcontextprotocol/tasks``), without an SDK.

``finish`` works, asks and completes; ``fail`` fails, ``stop`` is cancelled, ``refuse`` completes with an error of the
tool's, and ``never`` works until it is cancelled, which is told on standard error.
"""

import json
import sys
from typing import Any

EXTENSION = "io.modelcontextprotocol/tasks"
NAMES = ("finish", "fail", "stop", "refuse", "never")
QUESTION = {
    "method": "elicitation/create",
    "params": {
        "mode": "form",
        "message": "Go on?",
        "requestedSchema": {"type": "object", "properties": {}},
    },
}
asked: dict[str, int] = {}
replies: dict[str, Any] = {}


def task(task_id: str, status: str, **more: Any) -> dict[str, Any]:
    times = {"createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"}
    about = {"taskId": task_id, "status": status, "statusMessage": f"is {status}"}
    return {**about, **times, "ttlMs": None, "pollIntervalMs": 1, **more}


def state(task_id: str) -> dict[str, Any]:
    asked[task_id] = asked.get(task_id, 0) + 1
    text = [{"type": "text", "text": json.dumps(replies.get(task_id))}]
    if task_id == "never" or asked[task_id] == 1:
        return task(task_id, "working")
    if task_id == "fail":
        return task(task_id, "failed", error={"code": -32603, "message": "it broke"})
    if task_id == "stop":
        return task(task_id, "cancelled")
    if task_id == "refuse":
        result = {"content": [{"type": "text", "text": "no"}], "isError": True}
        return task(task_id, "completed", result=result)
    # The same question stays until its answer came, and once more after that.
    if task_id not in replies or asked[task_id] < 5:
        return task(task_id, "input_required", inputRequests={"q": QUESTION})
    return task(task_id, "completed", result={"content": text})


def result_of(message: dict[str, Any]) -> dict[str, Any]:
    method, params = message["method"], message.get("params", {})
    if method == "server/discover":
        capabilities: dict[str, Any] = {"tools": {}, "extensions": {EXTENSION: {}}}
        return {
            "supportedVersions": ["2026-07-28"],
            "capabilities": capabilities,
            "ttlMs": 0,
            "cacheScope": "public",
        }
    if method == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in NAMES]
        return {"tools": tools, "ttlMs": 0, "cacheScope": "public"}
    if method == "tools/call":
        meta = params["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        assert meta["extensions"] == {EXTENSION: {}}
        return task(params["name"], "working", resultType="task")
    if method == "tasks/get":
        return state(params["taskId"])
    if method == "tasks/update":
        assert params["taskId"] not in replies
        replies[params["taskId"]] = params["inputResponses"]
        return {}
    sys.stderr.write(f"{method} {params['taskId']}\n")
    sys.stderr.flush()
    return {}


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = {"resultType": "complete", **result_of(message)}
        sys.stdout.write(
            json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}) + "\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
