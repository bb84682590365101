"""Schemas of an OpenAPI document as JSON schema 2020-12 that stands for itself.

A reference to a small schema is replaced by what it refers to; one to a large schema, or to one that holds
itself, stays a reference, into ``$defs``. Each component is converted once and shared by all tools. Only
references into the document are followed; any other, or one that leads nowhere, allows every value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_SMALL_NODES = 40
_MOST_DEFINITIONS = 100
"""In one tool; further ones allow every value. Real ones need some dozens."""
_MOST_DEPTH = 60


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SCHEMA = _words(
    "not if then else items contains additionalProperties propertyNames unevaluatedItems "
    "unevaluatedProperties contentSchema"
)
_LISTS = _words("allOf anyOf oneOf prefixItems")
_MAPS = _words("properties patternProperties dependentSchemas")
_PLAIN = _words(
    "type enum const title description default examples format deprecated readOnly writeOnly multipleOf "
    "maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength maxItems minItems uniqueItems "
    "maxContains minContains maxProperties minProperties required dependentRequired "
    "contentEncoding contentMediaType"
)
_ANNOTATIONS = _words("title description default examples deprecated readOnly writeOnly")

Schema = dict[str, Any]


class Document:
    """An OpenAPI document, to look things up in."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._is_30 = str(root.get("openapi", "")).startswith("3.0")
        self._converted: dict[str, Schema] = {}
        self._sizes: dict[str, float] = {}
        self._references: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}
        self._named: dict[str, str] = {}

    def follow(self, node: Any) -> Mapping[str, Any]:
        """A parameter, body, response ..., wherever it stands; empty where it leads nowhere."""
        for _ in range(_MOST_DEPTH):
            if not isinstance(node, Mapping):
                return {}
            reference = node.get("$ref")
            if not isinstance(reference, str):
                return node
            node = self._at(reference)
        return {}

    def schema(self, node: Any) -> Schema:
        """A schema of the document, converted; its references need ``definitions``."""
        return self._convert(node, 0)

    def whole_schema(self, node: Any) -> Schema:
        """The same, standing for itself; it is no mere reference."""
        schema = self._convert(node, 0)
        name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        if name in self._named:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = self._component(self._named[name]) | beside
        definitions = self.definitions(schema)
        return {**schema, "$defs": definitions} if definitions else schema

    def definitions(self, *schemas: Any) -> dict[str, Schema]:
        """What the references in these schemas, and in what they refer to, need as ``$defs``."""
        found: dict[str, Schema] = {}
        waiting = [name for schema in schemas for name in _referred(schema)]
        for name in waiting:
            if name in found or name not in self._named:
                continue
            if len(found) >= _MOST_DEFINITIONS:
                found[name] = {}
                continue
            found[name] = self._component(self._named[name])
            waiting += _referred(found[name])
        return found

    def flattened(self, node: Any) -> Schema:
        """An object's schema with the properties of all that it is made of (``allOf``), if it is one."""
        return self._flatten(self.follow(node), frozenset())

    def _flatten(self, node: Mapping[str, Any], seen: frozenset[int]) -> Schema:
        if id(node) in seen or len(seen) > _MOST_DEPTH:
            return {}
        own = dict(node)
        properties: dict[str, Any] = {}
        required: list[str] = []
        for part in list_of(own.pop("allOf", [])):
            flat = self._flatten(self.follow(part), seen | {id(node)})
            properties |= map_of(flat.get("properties"))
            required += list_of(flat.get("required"))
            own = {**flat, **own}
        properties |= map_of(node.get("properties"))
        required += list_of(node.get("required"))
        return own | {"properties": properties, "required": list(dict.fromkeys(required))}

    def _at(self, reference: str) -> Any:
        if not reference.startswith("#"):
            return None
        node: Any = self.root
        for step in unquote(reference[1:]).split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping):
                node = node.get(key)
            elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            else:
                return None
        return node

    def _component(self, reference: str) -> Schema:
        if reference not in self._converted:
            self._converted[reference] = self._convert(self._at(reference), 0)
        return self._converted[reference]

    def _convert(self, node: Any, depth: int) -> Schema:
        if not isinstance(node, Mapping) or depth > _MOST_DEPTH:
            return {"not": {}} if node is False else {}
        if isinstance(reference := node.get("$ref"), str):
            return self._reference(reference, node, depth)
        made: Schema = {}
        for key, value in node.items():
            if key in _PLAIN or (key == "pattern" and _compiles(value)):
                made[key] = value
            elif key in _SCHEMA:
                made[key] = value if isinstance(value, bool) else self._convert(value, depth + 1)
            elif key in _LISTS:
                made[key] = [self._convert(part, depth + 1) for part in list_of(value)]
            elif key in _MAPS:
                made[key] = {str(k): self._convert(v, depth + 1) for k, v in map_of(value).items()}
        if isinstance(example := node.get("example"), str | int | float):
            made.setdefault("examples", [example])
        return _from_30(made, node) if self._is_30 else made

    def _reference(self, reference: str, node: Mapping[str, Any], depth: int) -> Schema:
        beside = {} if self._is_30 else {k: v for k, v in node.items() if k != "$ref"}
        if self._at(reference) is None:
            return {}
        if self._size(reference) <= _SMALL_NODES:
            target = self._component(reference)
        else:
            target = {"$ref": f"#/$defs/{self._name(reference)}"}
        rest = self._convert(beside, depth + 1)
        if not rest or set(rest) <= _ANNOTATIONS:
            return target | rest
        return {"allOf": [target], **rest}

    def _size(self, reference: str) -> float:
        """How many nodes stand where it is replaced; infinite where it holds itself."""
        if reference not in self._sizes:
            self._sizes[reference] = float("inf")
            if not self._holds_itself(reference):
                nodes, references = _walked(self._at(reference))
                sizes = [self._size(inner) for inner in references]
                inlined = sum(1 if size > _SMALL_NODES else size for size in sizes)
                self._sizes[reference] = nodes + inlined
        return self._sizes[reference]

    def _holds_itself(self, reference: str) -> bool:
        seen: set[str] = set()
        waiting = self._inside(reference)
        while waiting:
            inner = waiting.pop()
            if inner not in seen:
                seen.add(inner)
                waiting += self._inside(inner)
        return reference in seen

    def _inside(self, reference: str) -> list[str]:
        if reference not in self._references:
            self._references[reference] = _walked(self._at(reference))[1]
        return list(self._references[reference])

    def _name(self, reference: str) -> str:
        if reference not in self._names:
            plain = re.sub(r"\W", "_", unquote(reference).rsplit("/", 1)[-1]) or "schema"
            name, number = plain, 1
            while name in self._named:
                number += 1
                name = f"{plain}_{number}"
            self._names[reference], self._named[name] = name, reference
        return self._names[reference]


def _from_30(made: Schema, node: Mapping[str, Any]) -> Schema:
    """What 3.0 said in words of its own."""
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if isinstance(is_exclusive := made.get(exclusive), bool):
            del made[exclusive]
            if is_exclusive and bound in made:
                made[exclusive] = made.pop(bound)
    if node.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if "enum" in made and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
    elif node.get("nullable") is True and any(key in made for key in _LISTS):
        made = {"anyOf": [made, {"type": "null"}]}
    return made


def _walked(node: Any) -> tuple[int, list[str]]:
    """How many nodes it has, and what it refers to."""
    nodes, references, waiting = 0, [], [node]
    while waiting:
        inner = waiting.pop()
        nodes += 1
        if isinstance(inner, Mapping) and isinstance(inner.get("$ref"), str):
            references.append(inner["$ref"])
        elif isinstance(inner, Mapping):
            waiting += [value for value in inner.values() if isinstance(value, Mapping | list)]
        elif isinstance(inner, list):
            waiting += [value for value in inner if isinstance(value, Mapping | list)]
    return nodes, references


def _referred(schema: Any) -> list[str]:
    """Names in ``$defs`` that a converted schema refers to."""
    names: list[str] = []
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            reference = node.get("$ref")
            if isinstance(reference, str) and reference.startswith("#/$defs/"):
                names.append(reference.removeprefix("#/$defs/"))
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return names


def _compiles(pattern: Any) -> bool:
    """A pattern is of another dialect; one that Python does not understand would refuse every value."""
    try:
        re.compile(pattern)
    except (re.error, TypeError, RecursionError, OverflowError):
        return False
    return True


def map_of(value: Any) -> Mapping[str, Any]:
    """The value, where it is an object; documents are anybody's, and say anything."""
    return value if isinstance(value, Mapping) else {}


def list_of(value: Any) -> list[Any]:
    """The value, where it is an array."""
    return value if isinstance(value, list) else []
