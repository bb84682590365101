"""From arguments to an HTTP request: where each goes, and how it is written there.

What the code inside gives ends in a URL and in headers, so this is where it is kept to its place: a value in
the path stays one segment of it, one in a header or cookie one line of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from protocell.tools.errors import ToolError
from protocell.tools.openapi_arguments import Argument, bare, is_json
from protocell.tools.openapi_operations import Operation
from protocell_guest.content import bytes_of

_DELIMITERS = {"spaceDelimited": " ", "pipeDelimited": "|"}


@dataclass(slots=True)
class Request:
    """What is to be sent."""

    method: str
    path: str
    """Encoded, to be put behind the base URL."""
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=dict)
    """Headers that are the host's, and replace all others."""
    cookies: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    form: list[tuple[str, str]] | None = None
    files: list[tuple[str, tuple[str | None, bytes, str | None]]] | None = None


def request_of(operation: Operation, arguments: Mapping[str, Any]) -> Request:
    """The request. Raises ToolError, kind ``validation``, for what cannot stand where it would go."""
    given = [(a, _value(a, arguments[a.key])) for a in operation.arguments if a.key in arguments]
    request = Request(method=operation.method, path=_path(operation, given))
    for argument, value in given:
        if argument.place == "query":
            request.query += _query(argument, value)
        elif argument.place == "header" and value is not None:
            request.headers[argument.name.lower()] = _line(
                argument, _joined(value, explode=argument.explode)
            )
        elif argument.place == "cookie" and value is not None:
            request.cookies[argument.name] = quote(_joined(value, explode=False), safe="")
    _put_body(request, operation, [pair for pair in given if pair[0].place == "body"])
    return request


def _value(argument: Argument, value: Any) -> Any:
    """Bytes of what came as base64."""
    if not argument.is_file:
        return value
    if isinstance(value, list | tuple):
        return [_value(argument, item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return bytes_of(value)
    except ValueError:
        raise _unfit(argument.key, "must be bytes, or text in base64") from None


# Paths


def _path(operation: Operation, given: Sequence[tuple[Argument, Any]]) -> str:
    path = operation.path
    for argument, value in given:
        if argument.place == "path":
            path = path.replace("{" + argument.name + "}", _in_path(argument, value))
    # Also of several values that stand side by side.
    if any(segment in {".", ".."} for segment in path.split("/")):
        raise _unfit("", "would lead to another path")
    return path


def _in_path(argument: Argument, value: Any) -> str:
    """One segment: everything is percent-encoded, and what would mean another path is refused."""
    text = _joined(value, explode=argument.explode)
    if not text:
        raise _unfit(argument.key, "must not be empty: it is a part of the path")
    if any(piece in {".", ".."} for piece in text.replace("\\", "/").split("/")):
        raise _unfit(argument.key, "must not have . or .. for a piece of the path")
    encoded = quote(text, safe="," if isinstance(value, list | dict) else "")
    if argument.style == "label":
        return "." + encoded
    if argument.style == "matrix":
        return f";{quote(argument.name, safe='')}={encoded}"
    return encoded


# Queries


def _query(argument: Argument, value: Any) -> Iterator[tuple[str, str]]:
    name = argument.name
    if value is None:
        return
    if argument.media_type:
        yield name, json.dumps(value)
    elif isinstance(value, Mapping):
        yield from _object_in_query(argument, value)
    elif isinstance(value, list | tuple) and not argument.explode:
        delimiter = _DELIMITERS.get(argument.style, ",")
        yield name, delimiter.join(_text(item) for item in value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield name, _text(item)
    else:
        yield name, _text(value)


def _object_in_query(argument: Argument, value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if argument.style == "deepObject":
        for key, item in value.items():
            yield f"{argument.name}[{key}]", _text(item)
    elif argument.explode:
        for key, item in value.items():
            yield key, _text(item)
    else:
        yield argument.name, _joined(value, explode=False)


def _joined(value: Any, *, explode: bool) -> str:
    """As RFC 6570 writes lists and objects in one place: ``a,b`` and ``k,v`` or, exploded, ``k=v``."""
    if isinstance(value, Mapping):
        between = "=" if explode else ","
        return ",".join(f"{key}{between}{_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ",".join(_text(item) for item in value)
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or isinstance(value, bool | int | float | Mapping | list):
        return json.dumps(value)
    return str(value)


def _line(argument: Argument, text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise _unfit(argument.key, "must be printable ASCII on one line: it goes into a header")
    return text


# Bodies


def _put_body(
    request: Request, operation: Operation, given: Sequence[tuple[Argument, Any]]
) -> None:
    is_empty_object = bool(operation.body_type) and operation.body_required
    if not given and (operation.whole_body or not is_empty_object):
        return
    fields = {argument.name: value for argument, value in given}
    value: Any = given[0][1] if operation.whole_body else fields
    media_type = bare(operation.body_type)
    if media_type == "multipart/form-data" and isinstance(value, Mapping):
        request.files = [part for key, item in value.items() for part in _parts(key, item)]
    elif media_type == "application/x-www-form-urlencoded" and isinstance(value, Mapping):
        request.form = [pair for key, item in value.items() for pair in _fields(key, item)]
    else:
        request.headers["content-type"] = _sent_type(operation.body_type)
        request.content = _content(value, operation.body_type)


def _content(value: Any, media_type: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and not is_json(media_type):
        return value.encode("utf-8", "surrogatepass")
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ToolError(f"the body cannot be sent as JSON: {error}", kind="validation") from None


def _sent_type(media_type: str) -> str:
    """A range such as ``*/*`` or ``image/*`` says what may be sent, not what is."""
    return "application/octet-stream" if "*" in media_type else media_type


def _fields(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list | tuple):
        for item in value:
            yield key, _text(item)
    elif value is not None:
        yield key, _text(value)


def _parts(key: str, value: Any) -> Iterator[tuple[str, tuple[str | None, bytes, str | None]]]:
    """Bytes are a file, objects are JSON, and all else is text."""
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, bytes):
            yield key, (key, item, "application/octet-stream")
        elif isinstance(item, Mapping):
            yield key, (None, json.dumps(item).encode(), "application/json")
        elif item is not None:
            yield key, (None, _text(item).encode("utf-8", "replace"), None)


def _unfit(key: str, why: str) -> ToolError:
    return ToolError(
        f"{key or 'the path'} {why}", kind="validation", data={"field": key} if key else None
    )
