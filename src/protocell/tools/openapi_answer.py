"""What an OpenAPI service answered: a value, or an error that says so."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from protocell._printable import printable_line
from protocell.tools.errors import ToolError
from protocell.tools.openapi_arguments import bare, is_json
from protocell.tools.page_links import next_arguments
from protocell.tools.tool import Answer, Parameter
from protocell_guest.content import Audio, Image

_TEXT_TYPES = frozenset(
    {"application/xml", "application/yaml", "application/x-yaml", "application/javascript"}
)
# What lets somebody in, or is a step of that, stays on the host.
_WITHHELD = re.compile(
    r"authenticat|authorization|cookie|secret|password|api-?key|csrf|xsrf"
    r"|(access|auth|bearer|id|refresh|security|session)-?token"
)
_MOST_HEADERS = 100
_MOST_HEADER_CHARACTERS = 8 * 1024
_MOST_CHARACTERS_OF_HEADERS = 64 * 1024
_MOST_EXCERPT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer, read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def media_type(self) -> str:
        """As the service says it."""
        return str(self.headers.get("content-type", ""))


def answer_of(
    response: Response, parameters: Sequence[Parameter], arguments: Mapping[str, Any]
) -> Answer:
    """The answer; ``raw`` has status, headers, the same value, and what a link says of the next page.

    Raises ToolError: kind ``tool`` with ``data`` ``{"status", "body"}`` for an HTTP error, and
    ``transport`` for a body that is not what it says.
    """
    if not 200 <= response.status < 300:
        raise _error(response)
    value = value_of(response)
    links = response.headers.get("link", "")
    raw = {
        "status": response.status,
        "headers": _told(response.headers),
        "body": value,
        "next_arguments": next_arguments(parameters, arguments, value, links),
    }
    return Answer(value=value, raw=raw, text=value if isinstance(value, str) else "")


def value_of(response: Response) -> Any:
    """JSON as its value, text as text, pictures and sounds as such, and all else as bytes."""
    body, kind = response.body, bare(response.media_type)
    if not body:
        return None
    if is_json(kind):
        return _json(response)
    if kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXT_TYPES:
        return _text(response)
    if kind.startswith("image/"):
        return Image(body, kind)
    if kind.startswith("audio/"):
        return Audio(body, kind)
    return body


def _json(response: Response) -> Any:
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        raise ToolError(
            "the service says that it answers with JSON, and it is broken",
            kind="transport",
            data={"status": response.status, "body": _text(response)[:_MOST_EXCERPT]},
        ) from None


def _text(response: Response) -> str:
    charset = response.media_type.lower().partition("charset=")[2].split(";")[0].strip(" \"'")
    try:
        return response.body.decode(charset or "utf-8", "replace")
    except LookupError:
        return response.body.decode("utf-8", "replace")


def _told(headers: httpx.Headers) -> dict[str, str]:
    """All but credentials; a value that is too long is left out, and so is what there is no room for."""
    told: dict[str, str] = {}
    room = _MOST_CHARACTERS_OF_HEADERS
    for name, value in headers.items():
        size = len(name) + len(value)
        if _WITHHELD.search(name) or size > min(room, _MOST_HEADER_CHARACTERS):
            continue
        if len(told) == _MOST_HEADERS:
            break
        told[name] = value
        room -= size
    return told


def _error(response: Response) -> ToolError:
    try:
        body = value_of(response)
    except ToolError:
        body = _text(response)
    if isinstance(body, bytes | Image | Audio):
        body = None
    status = response.status
    said = _excerpt(body)
    about = f"HTTP {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    data = {"status": status, "body": body, "headers": _told(response.headers)}
    return ToolError(f"{about}: {said}" if said else about, data=data)


def _excerpt(body: Any) -> str:
    """What the service says to people, where it can be found."""
    found = body
    for _ in range(3):
        if not isinstance(found, Mapping):
            break
        names = ("message", "detail", "error_description", "error", "title", "errors")
        found = next((found[name] for name in names if found.get(name)), json.dumps(found))
    text = found if isinstance(found, str) else "" if found is None else json.dumps(found)
    return printable_line(" ".join(text[: 2 * _MOST_EXCERPT].split()), _MOST_EXCERPT)
