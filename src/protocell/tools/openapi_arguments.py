"""Arguments of an operation: its parameters, and the properties of its body, under unique keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from protocell.tools.openapi_schema import Document, Schema, list_of, map_of

Place = Literal["path", "query", "header", "cookie", "body"]

_PLACES: tuple[Place, ...] = ("path", "query", "header", "cookie")
_BODY_TYPES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
_TEXT_TYPES = frozenset(
    {*_BODY_TYPES, "application/yaml", "application/x-yaml", "application/x-ndjson"}
)
_STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
# Ours to say, or with a meaning for the connection: an argument must not set them.
_NEVER_ARGUMENTS = frozenset(
    {
        *("accept", "accept-encoding", "authorization", "connection", "content-length"),
        *("content-type", "cookie", "expect", "host", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument, and where it goes."""

    key: str
    """Unique among the arguments of the operation: the name, with its place behind it on a clash."""
    name: str
    """As the service calls it."""
    place: Place
    schema: Schema
    required: bool
    description: str = ""
    style: str = "form"
    explode: bool = False
    media_type: str = ""
    """Of a parameter that is sent as a document, and of a body that is one argument."""
    is_file: bool = False
    """Bytes, which come as base64 (``contentEncoding`` in the schema says so), or a list of them."""


def parameters(
    document: Document, shared: Mapping[str, Any], node: Mapping[str, Any]
) -> list[Argument]:
    """Those of the path and of the operation, which has the last word; path, query, header, cookie."""
    found: dict[tuple[str, str], Argument] = {}
    for raw in [*list_of(shared.get("parameters")), *list_of(node.get("parameters"))]:
        given = document.follow(raw)
        name, place = given.get("name"), given.get("in")
        if not isinstance(name, str) or place not in _PLACES:
            continue
        if place == "header" and name.lower() in _NEVER_ARGUMENTS:
            continue
        found[place, name] = _parameter(document, given, name, place)
    return sorted(found.values(), key=lambda argument: _PLACES.index(argument.place))


def _parameter(document: Document, given: Mapping[str, Any], name: str, place: Any) -> Argument:
    media_type, media = media_of(given.get("content"), ("application/json",))
    style = given.get("style")
    style = style if isinstance(style, str) else _STYLES[place]
    explode = given.get("explode")
    description = given.get("description")
    return Argument(
        key=name,
        name=name,
        place=place,
        schema=document.schema(media.get("schema") if media_type else given.get("schema")),
        required=given.get("required") is True or place == "path",
        description=description if isinstance(description, str) else "",
        style=style,
        explode=explode if isinstance(explode, bool) else style in {"form", "deepObject"},
        media_type=media_type,
    )


def media_of(content: Any, preferred: tuple[str, ...]) -> tuple[str, Mapping[str, Any]]:
    """The media type to use and what is said of it: a preferred one, one of JSON, or the first."""
    types = {str(name).strip(): map_of(media) for name, media in map_of(content).items()}
    for wanted in preferred:
        for name, media in types.items():
            if bare(name) == wanted:
                return name, media
    for name, media in types.items():
        if is_json(name):
            return name, media
    return next(iter(types.items()), ("", {}))


def bare(media_type: str) -> str:
    """Without parameters."""
    return media_type.partition(";")[0].strip().lower()


def is_json(media_type: str) -> bool:
    """``application/json`` and everything that ends in ``+json``."""
    name = bare(media_type)
    return name == "application/json" or name.endswith("+json")


def is_text(media_type: str) -> bool:
    """Whether what is sent as this is text; a range such as ``*/*`` is not."""
    name = bare(media_type)
    return is_json(name) or name in _TEXT_TYPES or name.startswith("text/") or name.endswith("xml")


def body_arguments(document: Document, body: Mapping[str, Any]) -> tuple[str, list[Argument]]:
    """Its media type; and the properties of an object, or ``body`` for all where it is none."""
    body_type, media = media_of(body.get("content"), _BODY_TYPES)
    if not body_type:
        return "", []
    needed = body.get("required") is True
    schema = media.get("schema")
    flat = document.flattened(schema)
    if _is_record(flat) and (is_json(body_type) or bare(body_type) in _BODY_TYPES):
        has_files = bare(body_type) == "multipart/form-data"
        found = _properties(document, flat, all_optional=not needed)
        return body_type, [_as_file(argument) for argument in found] if has_files else found
    description = body.get("description")
    is_file = not is_text(body_type)
    whole = Argument(
        key="body",
        name="body",
        place="body",
        schema=_FILE if is_file else document.schema(schema),
        required=needed,
        description=description if isinstance(description, str) else "",
        media_type=body_type,
        is_file=is_file,
    )
    return body_type, [whole]


def _is_record(flat: Mapping[str, Any]) -> bool:
    """An object of named fields, and no choice between several."""
    choices = [part for key in ("oneOf", "anyOf") for part in list_of(flat.get(key))]
    # Which fields go together is for the service to check; it does not change what they are.
    chooses = any(set(map_of(part)) - {"required"} for part in choices) or "not" in flat
    return bool(flat["properties"]) and not chooses and flat.get("type", "object") == "object"


def _properties(document: Document, flat: Schema, *, all_optional: bool) -> list[Argument]:
    required = set() if all_optional else {name for name in flat["required"] if type(name) is str}
    found = []
    for name, raw in flat["properties"].items():
        if document.follow(raw).get("readOnly") is True:
            continue
        schema = document.schema(raw)
        found.append(
            Argument(
                key=name,
                name=name,
                place="body",
                schema=schema,
                required=name in required,
            )
        )
    return found


_FILE: Schema = {"type": "string", "contentEncoding": "base64"}


def _as_file(argument: Argument) -> Argument:
    """A field of a form, with base64 in its schema where it is a file, or a list of files."""
    schema = argument.schema
    about = {key: schema[key] for key in ("title", "description") if key in schema}
    if _is_file(schema):
        return replace(argument, schema=about | _FILE, is_file=True)
    if schema.get("type") == "array" and _is_file(map_of(schema.get("items"))):
        schema = about | {"type": "array", "items": _FILE}
        return replace(argument, schema=schema, is_file=True)
    return argument


def _is_file(schema: Mapping[str, Any]) -> bool:
    """As 3.0 says it, and as 3.1 does."""
    if "contentEncoding" in schema or schema.get("type", "string") != "string":
        return False
    return schema.get("format") == "binary" or "contentMediaType" in schema


def keyed(arguments: list[Argument]) -> tuple[Argument, ...]:
    """With unique keys: who comes first (path, query, header, cookie, body) keeps the bare name."""
    keys: set[str] = {argument.name for argument in arguments}
    taken: set[str] = set()
    made = []
    for argument in arguments:
        key = argument.name
        while key in taken:
            key = f"{key}_{argument.place}"
            key = f"{key}_" if key in keys else key
        taken.add(key)
        made.append(replace(argument, key=key))
    return tuple(sorted(made, key=lambda argument: not argument.required))
