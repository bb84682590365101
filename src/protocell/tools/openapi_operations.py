"""Operations of an OpenAPI document as tools: what each takes, and where in the request it goes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from protocell.tools.openapi_arguments import (
    Argument,
    body_arguments,
    is_json,
    keyed,
    media_of,
    parameters,
)
from protocell.tools.openapi_schema import Document, Schema, list_of, map_of
from protocell.tools.tool import Annotations

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request that can be made."""

    name: str
    """The operationId, or method and path; unique in the document."""
    method: str
    path: str
    description: str
    arguments: tuple[Argument, ...]
    body_type: str
    """Media type of the body; empty where there is none."""
    body_required: bool
    whole_body: bool
    """The body is one argument, not an object whose properties are arguments."""
    input_schema: Schema
    output_schema: Schema | None
    annotations: Annotations
    security: tuple[Mapping[str, Any], ...]
    server: str
    """The operation's own server, where it names one."""


def operations(document: Document) -> list[Operation]:
    """All of them, in the order of the document."""
    found: list[Operation] = []
    names: set[str] = set()
    for path, method, shared, node in _nodes(document):
        operation = _operation(document, path, method, shared, node)
        name, number = operation.name, 1
        while name in names:
            number += 1
            name = f"{operation.name}_{number}"
        names.add(name)
        found.append(replace(operation, name=name))
    return found


def _nodes(
    document: Document,
) -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    for path, item in map_of(document.root.get("paths")).items():
        shared = document.follow(item)
        for method in _METHODS:
            if isinstance(node := shared.get(method), Mapping):
                yield str(path), method, shared, node


def _operation(
    document: Document, path: str, method: str, shared: Mapping[str, Any], node: Mapping[str, Any]
) -> Operation:
    body = document.follow(node.get("requestBody"))
    body_type, in_body = body_arguments(document, body)
    hidden = _credentials(document)
    in_places = [a for a in parameters(document, shared, node) if (a.place, a.name) not in hidden]
    arguments = keyed([*in_places, *in_body])
    return Operation(
        name=_name(node.get("operationId"), method, path),
        method=method.upper(),
        path=path,
        description=_description(node),
        arguments=arguments,
        body_type=body_type,
        body_required=body.get("required") is True,
        whole_body=any(a.place == "body" and a.media_type for a in in_body),
        input_schema=_input_schema(document, arguments),
        output_schema=_output_schema(document, node),
        annotations=_annotations(node, method),
        security=_security(document, node),
        server=_server(node) or _server(shared),
    )


def _name(given: Any, method: str, path: str) -> str:
    if isinstance(given, str) and given.strip():
        return given.strip()
    return "_".join([method, *re.findall(r"\w+", path)])


def _description(node: Mapping[str, Any]) -> str:
    parts = [node.get("summary"), node.get("description")]
    texts = list(dict.fromkeys(part.strip() for part in parts if isinstance(part, str)))
    if node.get("deprecated") is True:
        texts.append("Deprecated.")
    return "\n\n".join(text for text in texts if text)


def _annotations(node: Mapping[str, Any], method: str) -> Annotations:
    """What HTTP says of the method (RFC 9110, 9.2); the service may do otherwise."""
    summary = node.get("summary")
    return Annotations(
        title=summary if isinstance(summary, str) else "",
        read_only=method in {"get", "head", "options", "trace"},
        destructive=True if method == "delete" else None,
        idempotent=method not in {"post", "patch"},
        open_world=True,
    )


# Schemas of the whole


def _input_schema(document: Document, arguments: tuple[Argument, ...]) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {argument.key: _described(argument) for argument in arguments},
        "additionalProperties": False,
    }
    if required := [argument.key for argument in arguments if argument.required]:
        schema["required"] = required
    if definitions := document.definitions(*schema["properties"].values()):
        schema["$defs"] = definitions
    return schema


def _described(argument: Argument) -> Schema:
    """Its schema; what is said of the parameter counts more than what is said of its type."""
    about = argument.description or argument.schema.get("description", "")
    if argument.is_file:
        about = f"{about} Bytes, or text in base64.".lstrip()
    return argument.schema | {"description": about} if about else argument.schema


def _output_schema(document: Document, node: Mapping[str, Any]) -> Schema | None:
    responses = map_of(node.get("responses"))
    good = sorted(str(status) for status in responses if str(status).startswith("2"))
    for status in good:
        media_type, media = media_of(document.follow(responses.get(status)).get("content"), ())
        if is_json(media_type) and "schema" in media:
            return document.whole_schema(media["schema"])
    return None


# Who may, and where


def _credentials(document: Document) -> set[tuple[str, str]]:
    """Parameters that carry an API key: the host fills them in, so they are no arguments."""
    schemes = map_of(map_of(document.root.get("components")).get("securitySchemes"))
    followed = [document.follow(scheme) for scheme in schemes.values()]
    return {(str(s.get("in")), str(s.get("name"))) for s in followed if s.get("type") == "apiKey"}


def _security(document: Document, node: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    given = node.get("security", document.root.get("security"))
    return tuple(map_of(alternative) for alternative in list_of(given))


def _server(node: Mapping[str, Any]) -> str:
    servers = list_of(node.get("servers"))
    return server_url(map_of(servers[0])) if servers else ""


def server_url(server: Mapping[str, Any]) -> str:
    """A server's URL, with what its variables are by default."""
    url = str(server.get("url", "/"))
    for name, variable in map_of(server.get("variables")).items():
        url = url.replace("{" + str(name) + "}", str(map_of(variable).get("default", "")))
    return url
