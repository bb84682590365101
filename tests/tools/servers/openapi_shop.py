"""A service with an OpenAPI document, on a free port that it prints: it tells what it was asked, or pages, or fails."""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ITEMS = [{"id": number, "name": f"item {number}"} for number in range(1, 8)]
ECHO = {"responses": {"200": {"description": "What was asked"}}}
SIZE = {"name": "size", "in": "query", "schema": {"type": "integer", "default": 3}}


def query(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": kind}, **more}


def get(name: str, *parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"get": {"operationId": name, "parameters": list(parameters), **ECHO, **more}}


def sent(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields}
    body = {"required": True, "content": {kind: {"schema": schema}}}
    return {"post": {"operationId": name, "requestBody": body, "security": [], **ECHO}}


FILE = {"type": "string", "contentMediaType": "image/png"}
SPEC: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": "/v1"}],
    "security": [{"bearer": []}],
    "components": {
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {"type": "http", "scheme": "basic"},
            "key": {"type": "apiKey", "in": "query", "name": "api_key"},
            "head": {"type": "apiKey", "in": "header", "name": "X-Key"},
        },
        "schemas": {
            "Order": {
                "type": "object",
                "required": ["item"],
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "item": {"type": "string", "description": "What."},
                    "shop": {"type": "string"},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
                },
            },
            "Part": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
                },
            },
        },
    },
    "paths": {
        "/shops/{shop}/orders": {
            "parameters": [
                {"name": "shop", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
            "post": {
                "operationId": "orders/create",
                "summary": "Order something.",
                "parameters": [
                    query("dry-run", "boolean"),
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "X-Key", "in": "header", "schema": {"type": "string"}},
                    {"name": "Authorization", "in": "header", "schema": {"type": "string"}},
                    {"name": "session", "in": "cookie", "schema": {"type": "string"}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Order"}}
                    },
                },
                "responses": {
                    "201": {
                        "description": "Made",
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Order"}}
                        },
                    }
                },
            },
        },
        "/linked": get("linked", query("page", "integer"), SIZE),
        "/cursors": get("cursors", query("page_token"), SIZE),
        "/counted": get("counted", query("page", "integer"), SIZE),
        "/offsets": get("offsets", query("offset", "integer"), query("limit", "integer")),
        "/status/{code}": get("status", {"name": "code", "in": "path", "schema": {}}),
        "/kinds/{kind}": get("kinds", {"name": "kind", "in": "path", "schema": {}}),
        "/redirect/{where}": get("redirect", {"name": "where", "in": "path", "schema": {}}),
        "/hang": get("hang"),
        "/form": sent("form", "application/x-www-form-urlencoded", a={}, b={}),
        "/files": sent("files", "multipart/form-data", a={}, file=FILE),
        "/open": get("open", security=[]),
        "/keyed": get("keyed", query("api_key"), security=[{"key": []}]),
        "/either": get("either", security=[{"basic": [], "key": []}, {"head": []}]),
        "/upload": get("upload", servers=[{"url": "https://elsewhere.example"}]),
    },
}
KINDS: dict[str, tuple[str, bytes]] = {
    "text": ("text/plain; charset=latin-1", "ä".encode("latin-1")),
    "bytes": ("application/octet-stream", b"\0\1"),
    "image": ("image/png", b"\x89PNG"),
    "problem": ("application/problem+json", b'{"a": null}'),
    "broken": ("application/json", b'{"a": '),
    "large": ("application/json", b'"' + b"x" * 300_000 + b'"'),
    "empty": ("application/json", b""),
    "cookie": ("application/json", b"1"),
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
        place, _, rest = url.path.removeprefix("/v1/").partition("/")
        if url.path == "/openapi.json":
            self.reply(200, SPEC)
        elif place in {"linked", "cursors", "counted", "offsets"}:
            self.page(place, asked)
        elif place == "status":
            self.reply(int(rest), {"error": {"message": f"it is {rest}"}})
        elif place == "kinds":
            kind, body = KINDS[rest]
            more = {"set-cookie": "session=theirs; Path=/"} if rest == "cookie" else {}
            self.send(200, kind, body, more)
        elif place == "redirect":
            self.redirect(rest)
        elif place == "hang":
            self.rfile.read(1)
        else:
            self.echo()

    def do_POST(self) -> None:
        self.echo()

    def page(self, how: str, asked: dict[str, str]) -> None:
        size = int(asked.get("size", asked.get("limit", "3")))
        start = int(asked.get("offset", "0"))
        number = int(asked.get("page", asked.get("page_token", "1")))
        start = start or (number - 1) * size
        items, last = ITEMS[start : start + size], start + size >= len(ITEMS)
        if how == "linked":
            # As GitHub does: on another path, and with a parameter that is nobody's.
            url = f"http://{self.headers['host']}/repositories/1/linked?page={number + 1}&x=1"
            more = {} if last else {"link": f'<{url}>; rel="next", <http://x/?page=9>; rel="last"'}
            self.send(200, "application/json", json.dumps(items).encode(), more)
        elif how == "cursors":
            self.reply(200, {"items": items, "next_page_token": "" if last else str(number + 1)})
        else:
            self.reply(200, {"total": len(ITEMS), "data": items})

    def redirect(self, where: str) -> None:
        host = self.headers["host"]
        to = {
            "near": f"http://{host}/v1/open?near=1",
            "far": "http://127.0.0.2:1/v1/open",
            "port": "http://127.0.0.1:1/",
            "round": f"http://{host}/v1/redirect/round",
        }
        self.send(302, "text/plain", b"", {"location": to[where]})

    def echo(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(length).decode("latin-1")
        fields = {name.lower(): value for name, value in self.headers.items()}
        told = {"method": self.command, "path": self.path, "headers": fields, "body": body}
        data = gzip.compress(json.dumps(told).encode())
        self.send(200, "application/json", data, {"content-encoding": "gzip"})

    def reply(self, status: int, value: Any) -> None:
        self.send(status, "application/json", json.dumps(value).encode(), {})

    def send(self, status: int, kind: str, body: bytes, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()
