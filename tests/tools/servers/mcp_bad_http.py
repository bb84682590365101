"""An MCP server over HTTP that answers a call as its tool is called: badly. A free port, which it prints."""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAMES = (
    *("fine", "unauthorized", "broken", "html", "large", "large_event", "packed", "hung_up", "cut"),
    *("elsewhere", "accepted", "unavailable", "refused"),
)
JSON = "application/json"


def answer_of(message: dict[str, Any], result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.reply(405, "text/plain", b"")

    def do_DELETE(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method = message.get("method")
        if method == "initialize":
            told = {"capabilities": {"tools": {}}, "serverInfo": {"name": "bad", "version": "0"}}
            self.reply(200, JSON, answer_of(message, {"protocolVersion": "2025-06-18", **told}))
        elif method == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in NAMES]
            self.reply(200, JSON, answer_of(message, {"tools": tools}))
        elif method == "tools/call":
            self.call(message, message["params"]["name"])
        else:
            self.reply(202 if "id" not in message else 404, "text/plain", b"")

    def call(self, message: dict[str, Any], name: str) -> None:
        good = answer_of(message, {"content": [{"type": "text", "text": "x" * 100}]})
        event = b"event: message\ndata: " + b"x" * 300_000 + b"\n\n"
        error = {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32602, "message": "bad"}}
        plain: dict[str, tuple[int, str, bytes]] = {
            "fine": (200, JSON, good),
            "unauthorized": (401, JSON, b'{"error": "invalid_token"}'),
            "broken": (200, JSON, good[:-9]),
            "html": (200, "text/html", b"<p>Login"),
            "large": (200, JSON, b" " * 300_000 + good),
            "large_event": (200, "text/event-stream", event),
            "cut": (200, "text/event-stream", b"event: mess"),
            "accepted": (202, "text/plain", b""),
            "unavailable": (503, "text/html", b"<p>" * 300_000),
            "refused": (400, JSON, json.dumps(error).encode()),
        }
        if name in plain:
            self.reply(*plain[name])
        elif name == "packed":
            self.reply(200, JSON, gzip.compress(good), {"content-encoding": "gzip"})
        elif name == "elsewhere":
            self.reply(307, "text/plain", b"", {"location": "http://127.0.0.2:1/mcp"})
        self.close_connection = name in {"hung_up", "cut"}

    def reply(
        self, status: int, kind: str, body: bytes, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        fields = {"content-type": kind, "content-length": str(len(body)), **(more or {})}
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()
