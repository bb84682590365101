"""Learns what tools give from what they gave: three quarters of real ones promise nothing.

Kept are kinds and names of keys, never a value: results are the user's, and a shape is shown to a model. Bounded
whatever comes: so deep, so many keys, so many items of a list looked at. A dict whose keys look like data (numbers,
addresses, more than some dozens) is a dict with any keys; its keys are not kept either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

MOST_DEPTH = 6
MOST_KEYS = 40
MOST_ITEMS = 50
"""Of each list, from both ends."""
MOST_TOOLS = 2_000
_MOST_NODES = 2_000
"""Looked at in one value."""
_MOST_SEEN = 10**9

# What names a field in the APIs that there are. Text of a stranger that is no name must not get into a stub.
_KEY = re.compile(r"[A-Za-z_$@][A-Za-z0-9_$@.:/-]{0,47}")
# Identifiers that are data: hashes, UUIDs, numbers with a prefix.
_DATA = re.compile(r"(?=.*\d)[0-9a-fA-F-]{8,}|.*\d{4,}.*")


class Shape:
    """What was seen in one place of the results so far."""

    __slots__ = ("_item", "_keys", "_kinds", "_mapping", "_objects")

    def __init__(self) -> None:
        self._kinds: dict[str, None] = {}
        self._item: Shape | None = None
        self._keys: dict[str, tuple[Shape, int]] = {}
        self._mapping: Shape | None = None
        self._objects = 0

    def see(self, value: Any) -> None:
        """Learn from one more value."""
        self._see(value, MOST_DEPTH, [_MOST_NODES])

    def schema(self) -> dict[str, Any]:
        """The shape as a JSON schema: required is what was always there."""
        options = [self._option(kind) for kind in self._kinds]
        return options[0] if len(options) == 1 else {"anyOf": options} if options else {}

    def _see(self, value: Any, depth: int, left: list[int]) -> None:
        left[0] -= 1
        if left[0] < 0:
            return
        kind = _kind(value)
        if kind == "integer" and "number" in self._kinds:
            return
        if kind == "number":
            self._kinds.pop("integer", None)
        self._kinds[kind] = None
        if depth and kind == "array":
            self._item = self._item or Shape()
            for item in _ends(value):
                self._item._see(item, depth - 1, left)
        elif depth and kind == "object":
            self._see_object(value, depth - 1, left)

    def _see_object(self, value: Mapping[Any, Any], depth: int, left: list[int]) -> None:
        names = list(value)[: MOST_KEYS + 1]
        if self._mapping is None and not _are_names(names, self._keys):
            self._become_mapping()
        if self._mapping is not None:
            for name in names:
                self._mapping._see(value[name], depth, left)
            return
        self._objects = min(self._objects + 1, _MOST_SEEN)
        for name in names:
            shape, count = self._keys.get(name, (None, 0))
            shape = shape or Shape()
            shape._see(value[name], depth, left)
            self._keys[name] = (shape, min(count + 1, _MOST_SEEN))

    def _become_mapping(self) -> None:
        """The keys are data: what was learned of them is of any key."""
        self._mapping = Shape()
        for shape, _ in self._keys.values():
            self._mapping._merge(shape)
        self._keys = {}

    def _merge(self, other: Shape) -> None:
        self._kinds.update(other._kinds)
        if "number" in self._kinds:
            self._kinds.pop("integer", None)
        if other._item is not None:
            self._item = self._item or Shape()
            self._item._merge(other._item)
        if other._mapping is not None and self._mapping is None:
            self._become_mapping()
        if self._mapping is not None:
            for shape in [shape for shape, _ in other._keys.values()] + [other._mapping or Shape()]:
                self._mapping._merge(shape)
            return
        self._objects += other._objects
        for name, (shape, count) in other._keys.items():
            mine, seen = self._keys.get(name, (Shape(), 0))
            mine._merge(shape)
            self._keys[name] = (mine, seen + count)
        if len(self._keys) > MOST_KEYS:
            self._become_mapping()

    def _option(self, kind: str) -> dict[str, Any]:
        if kind == "array":
            return {"type": kind, "items": self._item.schema()} if self._item else {"type": kind}
        if kind != "object":
            return dict(_FORMATS[kind]) if kind in _FORMATS else {"type": kind} if kind else {}
        if self._mapping is not None:
            return {"type": kind, "additionalProperties": self._mapping.schema()}
        always = [name for name, (_, count) in self._keys.items() if count == self._objects]
        found = {name: shape.schema() for name, (shape, _) in self._keys.items()}
        return {"type": kind, "properties": found, "required": always} if found else {"type": kind}


class Shapes:
    """The shapes of many tools, by id."""

    def __init__(self) -> None:
        self._shapes: dict[str, Shape] = {}

    def __contains__(self, tool_id: object) -> bool:
        """Whether anything of that tool was seen."""
        return tool_id in self._shapes

    def see(self, tool_id: str, value: Any) -> None:
        """One more value that the tool gave, as the code got it."""
        if tool_id not in self._shapes and len(self._shapes) >= MOST_TOOLS:
            return
        self._shapes.setdefault(tool_id, Shape()).see(value)

    def schemas(self) -> dict[str, dict[str, Any]]:
        """For ``Catalogue.of(..., seen=)``: the schema of each tool's values, where they are more than None."""
        found = {tool_id: shape.schema() for tool_id, shape in self._shapes.items()}
        return {
            tool_id: schema for tool_id, schema in found.items() if schema not in ({}, _NOTHING)
        }


def _kind(value: Any) -> str:
    for types, kind in _TYPES:
        if isinstance(value, types):
            return kind
    return _FORMAT_OF.get(type(value).__name__, "")


def _ends(value: Iterable[Any]) -> list[Any]:
    if isinstance(value, list | tuple) and len(value) > MOST_ITEMS:
        return [*value[: MOST_ITEMS // 2], *value[-MOST_ITEMS // 2 :]]
    return [item for item, _ in zip(value, range(MOST_ITEMS), strict=False)]


def _are_names(names: list[Any], known: Mapping[str, Any]) -> bool:
    """Whether these are the keys of one kind of thing; many that are seen once each are data."""
    if not all(map(_is_name, names)) or len({*known, *names}) > MOST_KEYS:
        return False
    return not names or sum(_DATA.fullmatch(name) is not None for name in names) * 2 <= len(names)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _KEY.fullmatch(name) is not None


_NOTHING = {"type": "null"}
# In this order: a bool is an int too.
_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "null"),
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (Mapping, "object"),
    ((list, tuple, set, frozenset), "array"),
    ((bytes, bytearray), "bytes"),
)
_FORMATS = {
    name: {"type": "string", "format": form}
    for name, form in (
        ("bytes", "binary"),
        ("datetime", "date-time"),
        ("date", "date"),
        ("time", "time"),
        ("timedelta", "duration"),
        ("UUID", "uuid"),
        ("Decimal", "decimal"),
        # Of protocell_guest.content; no schema of a server's can say so.
        *((name, name) for name in ("Image", "Audio", "Resource", "ResourceLink")),
    )
}
_FORMAT_OF = {name: name for name in _FORMATS}
