"""From a JSON schema 2020-12 that a stranger wrote to the type that Python would write for it: bounded, never refused.

A schema may hold anything anywhere, lead in circles or double at each level. So each schema that is looked at costs one
of ``MOST_NODES``, none is looked at deeper than ``MOST_DEPTH``, and what says nothing that can be read is ``Any``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from protocell._catalogue.references import pointed

MOST_NODES = 400
MOST_DEPTH = 8
MOST_FIELDS = 60
MOST_OPTIONS = 60
MOST_VALUES = 500


@dataclass(frozen=True, slots=True)
class Plain:
    """A type that is one word."""

    name: str


@dataclass(frozen=True, slots=True)
class Values:
    """One of these: text, numbers, booleans."""

    values: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of these types; None comes last."""

    options: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """A list, or a set, of one type."""

    item: Type
    name: str = "list"


@dataclass(frozen=True, slots=True)
class Row:
    """A tuple: one type for each place."""

    items: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A dict with any keys of one type and one type of values."""

    value: Type
    key: Type = Plain("str")


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a ``Record`` has."""

    name: str
    type: Type
    required: bool
    description: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A dict with known keys."""

    title: str
    keys: tuple[Key, ...]
    reference: str = ""
    """What leads to it in the schema, where something does: the same reference is the same type."""


@dataclass(frozen=True, slots=True)
class Again:
    """A type in itself: the one that this reference leads to, further out."""

    reference: str


Type: TypeAlias = Plain | Values | Either | Many | Row | Table | Record | Again

ANY = Plain("Any")
TEXT: Type = Plain("str")
NONE = Plain("None")
DICT = Plain("dict")


def type_of(schema: Any, root: Any = None, *, title: str = "", native: bool = False) -> Type:
    """The type of values that fit. ``root`` is where its references start; ``title`` is for a type without a name.

    ``native``: what JSON calls text in a format comes as a datetime, bytes, UUID ... .
    """
    return _Reader(schema if root is None else root, native=native).of(schema, title)


class _Reader:
    """One walk through a schema."""

    def __init__(self, root: Any, *, native: bool) -> None:
        self._root = root
        self._native = native
        self._left = MOST_NODES
        self._depth = 0
        self._open: list[str] = []

    def of(self, schema: Any, title: str = "") -> Type:
        self._left -= 1
        if not isinstance(schema, Mapping) or self._left < 0 or self._depth >= MOST_DEPTH:
            return ANY
        self._depth += 1
        try:
            found = self._read(schema, title)
        finally:
            self._depth -= 1
        return either((found, NONE)) if schema.get("nullable") is True else found

    def _read(self, schema: Mapping[Any, Any], title: str) -> Type:
        for word in ("$ref", "$dynamicRef"):
            if isinstance(reference := schema.get(word), str):
                return self._referred(reference)
        if "const" in schema:
            return _values([schema["const"]])
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return _values(schema["enum"])
        found = self._typed(schema, title)
        return found if found not in (ANY, DICT) else self._combined(schema, title, found)

    def _referred(self, reference: str) -> Type:
        if reference in self._open:
            return Again(reference)
        target = pointed(self._root, reference)
        if target is None:
            return ANY
        self._open.append(reference)
        try:
            found = self.of(target, reference.rpartition("/")[2].lstrip("#"))
        finally:
            self._open.pop()
        return Record(found.title, found.keys, reference) if isinstance(found, Record) else found

    def _typed(self, schema: Mapping[Any, Any], title: str) -> Type:
        said = schema.get("type")
        if isinstance(said, list):
            return either(self._one(schema, kind, title) for kind in said[:MOST_OPTIONS])
        if not isinstance(said, str):
            said = next((kind for word, kind in _TELLING if word in schema), "")
        return self._one(schema, said, title)

    def _one(self, schema: Mapping[Any, Any], kind: Any, title: str) -> Type:
        if kind == "array":
            return self._array(schema, title)
        if kind == "object":
            return self._object(schema, title)
        if kind == "string":
            return Plain(_NATIVE.get(str(schema.get("format")), "str") if self._native else "str")
        return Plain(_WORDS.get(kind, "Any") if isinstance(kind, str) else "Any")

    def _array(self, schema: Mapping[Any, Any], title: str) -> Type:
        places, items = schema.get("prefixItems"), schema.get("items")
        if isinstance(places, list) and places:
            row = tuple(self.of(place, title) for place in places[:MOST_FIELDS])
            # JSON has lists only, and to a caller's list a server's tuple is one.
            return Row(row) if self._native else Many(either(row))
        name = "set" if self._native and schema.get("uniqueItems") is True else "list"
        return Many(self.of(items, _singular(title)), name)

    def _object(self, schema: Mapping[Any, Any], title: str) -> Type:
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and properties:
            said = schema.get("title")
            return Record(title or (said if isinstance(said, str) else ""), self._keys(schema))
        more = schema.get("additionalProperties")
        if not isinstance(more, Mapping):
            patterns = schema.get("patternProperties")
            more = next(iter(patterns.values()), None) if isinstance(patterns, Mapping) else None
        value = self.of(more, title) if isinstance(more, Mapping) else ANY
        names, key = schema.get("propertyNames"), TEXT
        if self._native and isinstance(names, Mapping):  # Python's keys need not be text
            key = self.of(names if "anyOf" in names else {"type": "string", **names})
        return DICT if value == ANY and key in (ANY, TEXT) else Table(value, key)

    def _keys(self, schema: Mapping[Any, Any]) -> tuple[Key, ...]:
        required = schema.get("required")
        listed = required if isinstance(required, list) else []
        needed = {name for name in listed if isinstance(name, str)}
        found = []
        for name, inner in list(schema["properties"].items())[:MOST_FIELDS]:
            said = inner.get("description") if isinstance(inner, Mapping) else None
            about = said if isinstance(said, str) else ""
            found.append(Key(str(name), self.of(inner, str(name)), name in needed, about))
        return tuple(found)

    def _combined(self, schema: Mapping[Any, Any], title: str, found: Type) -> Type:
        for word in ("anyOf", "oneOf"):
            options = schema.get(word)
            if isinstance(options, list) and options:
                choice = either(self.of(option, title) for option in options[:MOST_OPTIONS])
                return found if choice == ANY else choice
        parts = schema.get("allOf")
        if isinstance(parts, list):
            return _all([self.of(part, title) for part in parts[:MOST_OPTIONS]], title, found)
        return found


def either(options: Iterable[Type]) -> Type:
    """One type for several: flat, each once, values of all together, None last; Any swallows the others."""
    flat = [one for option in options for one in _flat(option)]
    if ANY in flat or not flat:
        return ANY
    values = [value for one in flat if isinstance(one, Values) for value in one.values]
    # By type too, since 1 equals True.
    distinct = tuple({(type(value), value): value for value in values}.values())
    kept: list[Type] = [Values(distinct)] if distinct else []
    kept += [one for one in dict.fromkeys(flat) if one != NONE and not isinstance(one, Values)]
    if NONE in flat:
        kept.append(NONE)
    return kept[0] if len(kept) == 1 else Either(tuple(kept))


def _flat(option: Type) -> Iterator[Type]:
    if isinstance(option, Either):
        for one in option.options:
            yield from _flat(one)
    else:
        yield option


def _values(given: list[Any]) -> Type:
    return either(_value(value) for value in given[:MOST_VALUES])


def _value(value: Any) -> Type:
    if value is None:
        return NONE
    if isinstance(value, str | int):
        return Values((value,))
    return {float: Plain("float"), list: Plain("list"), dict: DICT}.get(type(value), ANY)


def _all(parts: list[Type], title: str, found: Type) -> Type:
    """What is all of these: records together, else the first that says something."""
    records = [part for part in parts if isinstance(part, Record)]
    if len(records) > 1:
        keys = {key.name: key for record in records for key in record.keys}
        return Record(title or records[0].title, tuple(keys.values())[:MOST_FIELDS])
    telling = [part for part in parts if part != ANY]
    return records[0] if records else telling[0] if telling else found


def _singular(title: str) -> str:
    for end, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        if (
            title.endswith(end)
            and not title.endswith(("ss", "us", "is"))
            and len(title) > len(end) + 1
        ):
            return title.removesuffix(end) + instead
    return title


_WORDS = {"integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_TELLING = (
    ("properties", "object"),
    ("additionalProperties", "object"),
    ("prefixItems", "array"),
    ("items", "array"),
)
_NATIVE = {
    "date-time": "datetime",
    "date": "date",
    "time": "time",
    "duration": "timedelta",
    "binary": "bytes",
    "byte": "bytes",
    "base64url": "bytes",
    "uuid": "UUID",
    "decimal": "Decimal",
    # Of keys: in JSON they are text.
    **{name: name for name in ("int", "float", "bool", "Any")},
    # Said of learned shapes only.
    **{name: name for name in ("Image", "Audio", "Resource", "ResourceLink")},
}
