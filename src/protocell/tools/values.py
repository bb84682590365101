"""What an MCP tool gave, turned into the value that the code wants: no envelope around it.

Structured content first, and of ``{"result": x}`` the x, where that is all that it can have; else the
content blocks. One text that is a JSON object or array is parsed, and so is such an x, unless the output
schema says that it is text; a JSON number or word stays text, since a tool that gives names would else give
a number for "007" and None for "null". Python's own notation is never guessed. Several texts that are all
JSON are a list, as older servers send lists; others are joined by newlines. Pictures, sounds and resources
are typed objects; beside text they make a list, in order.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, NoReturn
from uuid import UUID

from protocell._printable import printable_line
from protocell.tools.tool import Answer
from protocell_guest.content import Audio, Image, Resource, ResourceLink, base64_of, bytes_of
from protocell_guest.values import UnfitError, check_shape

__all__ = [
    "Audio",
    "Image",
    "Resource",
    "ResourceLink",
    "answer_of",
    "as_json",
    "text_value",
    "value_schema",
]

MOST_ITEMS_OF_TEXT = 5_000_000
"""Strings, commas and brackets in a text that is parsed; a text with more stays one."""


def answer_of(raw: Mapping[str, Any], output_schema: Mapping[str, Any] | None = None) -> Answer:
    """The answer in a result of ``tools/call``, which is JSON with the protocol's field names.

    ``output_schema`` is the server's own, before ``value_schema``.
    """
    blocks = [block for block in raw.get("content") or () if isinstance(block, Mapping)]
    texts = [str(block.get("text", "")) for block in blocks if block.get("type") == "text"]
    if "structuredContent" in raw:
        value = _unwrapped(raw["structuredContent"], output_schema)
    elif len(texts) == len(blocks):
        value = _of_texts(texts)
    else:
        parts = [_part(block) for block in blocks]
        value = parts[0] if len(parts) == 1 else parts
    return Answer(value=value, raw=dict(raw), text="\n".join(texts))


def value_schema(output_schema: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The schema of the value as the code gets it: of a lone ``result``, that of what is in it."""
    if output_schema is None or not _has_only_a_result(output_schema):
        return output_schema
    inner = output_schema["properties"]["result"]
    if not isinstance(inner, Mapping):
        return None
    shared = {key: output_schema[key] for key in ("$defs", "definitions") if key in output_schema}
    return {**shared, **inner}


def text_value(text: str) -> Any:
    """The object or array that a text is in JSON; else the text."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        check_shape(text.encode("utf-8", "surrogatepass"), MOST_ITEMS_OF_TEXT)
        return json.loads(text, parse_constant=_refuse)
    except (UnfitError, ValueError, RecursionError):
        return text


def as_json(value: Any) -> Any:
    """A value as a tool that knows JSON alone takes it: dates and durations in ISO 8601, bytes in base64.

    Raises:
        UnfitError: it has something in it that cannot be written so, such as a number that is none.
    """
    match value:
        case None | bool() | str() | int():
            return value
        case dict():
            return {_key(key): as_json(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [as_json(item) for item in value]
        case float() | Decimal():
            return _number(value)
    return _written(value)


def _number(value: float | Decimal) -> float:
    number = float(str(value).lstrip("s"))  # of a signalling NaN, float() itself raises
    if not isfinite(number):
        raise UnfitError(f"{printable_line(str(value), 40)} is no number in JSON")
    whole = isinstance(value, Decimal) and number.is_integer() and abs(number) < 2**53
    return int(number) if whole else number


def _written(value: Any) -> str:
    match value:
        case bytes():
            return base64_of(value)
        case Image() | Audio():
            return base64_of(value.data)
        case ResourceLink():
            return value.uri
        case Resource():
            return value.text if value.text is not None else base64_of(value.data or b"")
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return _duration(value)
        case UUID():
            return str(value)
    raise UnfitError(f"{type(value).__name__} is nothing that JSON can say")


def _key(key: Any) -> str:
    text = as_json(key)
    return text if isinstance(text, str) else json.dumps(text)


def _duration(value: dt.timedelta) -> str:
    sign, value = ("-", -value) if value < dt.timedelta() else ("", value)
    seconds = value.seconds + value.microseconds / 1_000_000
    return f"{sign}P{value.days}DT{seconds:.6f}".rstrip("0").rstrip(".") + "S"


def _has_only_a_result(schema: Mapping[str, Any]) -> bool:
    properties = schema.get("properties")
    return isinstance(properties, Mapping) and list(properties) == ["result"]


def _unwrapped(structured: Any, schema: Mapping[str, Any] | None) -> Any:
    lone = isinstance(structured, Mapping) and list(structured) == ["result"]
    if not lone or (schema and not _has_only_a_result(schema)):
        return structured
    value = structured["result"]
    is_parsed = isinstance(value, str) and not _may_be_text(value_schema(schema))
    return text_value(value) if is_parsed else value


def _may_be_text(schema: Any) -> bool:
    """Whether a schema says that a text is what is meant."""
    if not isinstance(schema, Mapping):
        return False
    kinds, values = schema.get("type"), schema.get("enum", [schema.get("const")])
    if kinds == "string" or (isinstance(kinds, list) and "string" in kinds):
        return True
    if "$ref" in schema:  # which is not followed here: what it promises is what came
        return True
    if isinstance(values, list) and any(isinstance(value, str) for value in values):
        return True
    options = [schema.get(word) for word in ("anyOf", "oneOf", "allOf")]
    return any(_may_be_text(each) for some in options if isinstance(some, list) for each in some)


def _of_texts(texts: Sequence[str]) -> Any:
    if not texts:
        return None
    values = [text_value(text) for text in texts]
    if len(values) == 1:
        return values[0]
    parsed = all(not isinstance(value, str) for value in values)
    return values if parsed else "\n".join(texts)


def _part(block: Mapping[str, Any]) -> Any:
    """One content block; as it is, where it is of a kind that is not known, or broken."""
    try:
        match block.get("type"):
            case "text":
                return text_value(block["text"])
            case "image":
                return Image(bytes_of(block["data"]), str(block.get("mimeType", "")))
            case "audio":
                return Audio(bytes_of(block["data"]), str(block.get("mimeType", "")))
            case "resource_link":
                return _link(block)
            case "resource":
                return _resource(block["resource"])
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    return dict(block)


def _link(block: Mapping[str, Any]) -> ResourceLink:
    name, about, kind = (str(block.get(key) or "") for key in ("name", "description", "mimeType"))
    size = block.get("size")
    return ResourceLink(block["uri"], name, about, kind, size if type(size) is int else None)


def _resource(inner: Mapping[str, Any]) -> Resource:
    data = bytes_of(inner["blob"]) if "blob" in inner else None
    return Resource(inner["uri"], str(inner.get("mimeType") or ""), inner.get("text"), data)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
