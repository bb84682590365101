"""A real service for the tests: books behind a token, in documents of OpenAPI 3.0 and 3.1, listed page by page."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "t0ken-of-the-host-3141"
TITLES = [f"book {number}" for number in range(1, 8)]
ARCHIVE_BYTES = 100_000_000
_CHUNK = bytes(range(256)) * 1024
_ANSWER = {"responses": {"200": {"description": "It"}}}


def _query(name: str, kind: str = "integer", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": kind, **more}}


def _get(name: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"operationId": name, "parameters": list(parameters), **_ANSWER}}


def document(version: str) -> dict[str, Any]:
    """Of the service, as this version of OpenAPI writes it."""
    optional = {"type": "string", "nullable": True}
    if version.startswith("3.1"):
        optional = {"type": ["string", "null"]}
    book = {
        "type": "object",
        "required": ["title"],
        "properties": {"title": {"type": "string"}, "shelf": {"type": "string"}, "note": optional},
    }
    add = {
        "operationId": "books/add",
        "summary": "Put a book on a shelf.",
        "parameters": [
            {"name": "shelf", "in": "path", "required": True, "schema": {"type": "string"}},
            _query("dry-run", "boolean"),
            {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Book"}}},
        },
        **_ANSWER,
    }
    one = {"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}}
    return {
        "openapi": version,
        "info": {"title": "Library", "version": "1"},
        "servers": [{"url": "/v1"}],
        "security": [{"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Book": book},
        },
        "paths": {
            "/shelves/{shelf}/books": {"post": add},
            "/books/{number}": _get("books/get", one),
            "/linked": _get("linked", _query("page"), _query("per_page", default=3)),
            "/cursors": _get("cursors", _query("page_token", "string"), _query("size", default=3)),
            "/counted": _get("counted", _query("page"), _query("size", default=3)),
            "/offsets": _get("offsets", _query("offset"), _query("limit", default=3)),
            "/archive": _get("archive"),
        },
    }


class Library(ThreadingHTTPServer):
    """It remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def opened() -> Iterator[Library]:
    """The service, while somebody uses it."""
    with Library() as library:
        thread = threading.Thread(target=library.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield library
        finally:
            library.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Library
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/openapi-"):
            return self._reply(200, document(url.path.removeprefix("/openapi-")))
        asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
        self._remember(asked, None)
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            return self._reply(401, {"error": {"message": "who are you?"}})
        place, _, rest = url.path.removeprefix("/v1/").partition("/")
        if place == "archive":
            return self._archive()
        if place == "books":
            return self._reply(404, {"error": {"message": f"no book {rest}"}, "tried": [rest]})
        return self._page(place, asked)

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._remember({name: v[-1] for name, v in parse_qs(url.query).items()}, body)
        self._reply(200, {"shelf": unquote(url.path.split("/")[3]), **body})

    def _remember(self, query: dict[str, str], body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = urlsplit(self.path).path
        self.server.asked.append({"path": path, "query": query, "headers": headers, "body": body})

    def _page(self, how: str, asked: dict[str, str]) -> None:
        size = int(asked.get("size", asked.get("per_page", asked.get("limit", "3"))))
        number = int(asked.get("page", asked.get("page_token", "1")))
        start = int(asked.get("offset", (number - 1) * size))
        books, is_last = TITLES[start : start + size], start + size >= len(TITLES)
        if how == "linked":
            url = f"{self.server.url}/v1/linked?page={number + 1}&per_page={size}"
            self._reply(200, books, {} if is_last else {"link": f'<{url}>; rel="next"'})
        elif how == "cursors":
            self._reply(
                200, {"books": books, "next_page_token": None if is_last else str(number + 1)}
            )
        else:
            self._reply(200, {"data": books, "total": len(TITLES)})

    def _archive(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/octet-stream")
        self.send_header("content-length", str(ARCHIVE_BYTES))
        self.end_headers()
        left = ARCHIVE_BYTES
        while left:
            left -= self.wfile.write(_CHUNK[:left])

    def _reply(self, status: int, value: Any, more: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        headers = {"content-type": "application/json", "content-length": str(len(data))}
        for name, text in {**headers, **(more or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)
