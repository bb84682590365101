"""The forms in which a value crosses: JSON with tags, the same beside its large parts, and what arrives.

Each is made in one walk down the value.  Whoever writes the JSON down at once need not have a copy of what is JSON
already: a million small dicts are twice the memory then, and three times the work.
"""

from __future__ import annotations

from math import isfinite
from operator import is_
from typing import Any

from protocell_guest.content import base64_of
from protocell_guest.foreign import UnfitError, nearer
from protocell_guest.parcels import PART_BYTES
from protocell_guest.tags import COLLECTIONS, COMPOUNDS, TAGS, content_of, is_tag

MOST_DEPTH = 100
"""Levels of lists, dicts and the like in a value."""

_WORD = 2**63


class Tagged:
    """The form of a value in which it is JSON with tags; of its own, down to the last list."""

    def text(self, value: str) -> Any:
        """A long text."""
        return value

    def blob(self, value: bytes) -> Any:
        """Bytes."""
        return {"$bytes": base64_of(value)}

    def leaf(self, tag: str, value: Any) -> Any:
        """What is one thing, and none of JSON's."""
        return {tag: content_of(tag, value)}

    def compound(self, tag: str, value: Any, room: int) -> Any:
        """An object that has texts and bytes in it: these in base64, where they are not beside."""
        return {tag: [self._member(item, room) for item in content_of(tag, value)]}

    def _member(self, item: Any, room: int) -> Any:
        is_small = isinstance(item, bytes) and not self.is_beside(item)
        return base64_of(item) if is_small else _step(item, self, room)

    def is_beside(self, _value: bytes) -> bool:
        """Whether such bytes do not stand in the JSON."""
        return False

    def collection(self, tag: str, items: list[Any]) -> Any:
        """A list that is none to Python."""
        return {tag: items}

    def same(self, _before: Any, now: Any) -> Any:
        """A list or a dict, before and after its items were brought into this form."""
        return now


class Shared(Tagged):
    """The same, for who writes it down at once: what is JSON already is not copied."""

    def same(self, before: Any, now: Any) -> Any:
        """The first of them where nothing had to be done to it."""
        both = (before, now) if type(now) is list else (before.values(), now.values())
        return before if len(before) == len(now) and all(map(is_, *both)) else now


class Packed(Shared):
    """The same, with what is large beside it."""

    def __init__(self) -> None:
        self.parts: list[bytes | str] = []

    def text(self, value: str) -> Any:
        """Beside."""
        return self._beside("$text", value)

    def blob(self, value: bytes) -> Any:
        """Beside, where there are many."""
        return self._beside("$part", value) if self.is_beside(value) else super().blob(value)

    def is_beside(self, value: bytes) -> bool:
        """Where there are many."""
        return len(value) >= PART_BYTES

    def _beside(self, tag: str, part: bytes | str) -> Any:
        self.parts.append(part)
        return {tag: len(self.parts) - 1}


class Plain(Shared):
    """The form of a value in which the other side has it; what needs no change is not copied."""

    def blob(self, value: bytes) -> Any:
        """Itself."""
        return value

    def leaf(self, tag: str, value: Any) -> Any:
        """Itself."""
        content_of(tag, value)  # it refuses what is too large
        return value

    def compound(self, _tag: str, value: Any, _room: int) -> Any:
        """Itself."""
        return value

    def collection(self, tag: str, items: list[Any]) -> Any:
        """Of the type that it had."""
        return COLLECTIONS[tag](items)


def brought(value: Any, form: Tagged) -> Any:
    """The value in this form.

    Raises:
        UnfitError: something in it cannot cross; ``path`` says where.
    """
    try:
        return _step(value, form, MOST_DEPTH)
    except UnfitError as odd:
        raise UnfitError(odd.message, _where(value)) from None


def _step(value: Any, form: Tagged, room: int) -> Any:
    kind = type(value)
    if kind is str:
        return value if len(value) < PART_BYTES else form.text(value)
    if kind is bool or value is None:
        return value
    if room < 0:
        raise UnfitError(f"nested deeper than {MOST_DEPTH}, or contains itself")
    if kind is int:
        return value if -_WORD <= value < _WORD else form.leaf("$int", value)
    if kind is float:
        return value if isfinite(value) else form.leaf("$float", value)
    if kind is list:
        return form.same(value, [_step(item, form, room - 1) for item in value])
    if kind is dict:
        return _mapping(value, form, room - 1)
    tag = TAGS.get(f"{kind.__module__}.{kind.__qualname__}")
    if tag is None:
        return _step(nearer(value), form, room - 1)
    return _tagged(tag, value, form, room)


def _tagged(tag: str, value: Any, form: Tagged, room: int) -> Any:
    if tag == "$bytes":
        return form.blob(value)
    if tag in COLLECTIONS:
        return _collection(tag, value, form, room)
    return form.compound(tag, value, room) if tag in COMPOUNDS else form.leaf(tag, value)


def _collection(tag: str, value: Any, form: Tagged, room: int) -> Any:
    if tag != "$tuple":
        try:
            value = {_key(item, room - 1): None for item in value}
        except UnfitError:  # a set of what becomes dicts is a list of dicts
            return [_step(item, form, room - 1) for item in value]
    return form.collection(tag, [_step(item, form, room - 1) for item in value])


def _mapping(value: dict[Any, Any], form: Tagged, room: int) -> Any:
    if not all(type(key) is str for key in value):
        value = {_key(key, room): item for key, item in value.items()}
    inner = {key: _step(item, form, room) for key, item in value.items()}
    if isinstance(form, Plain) or (all(type(key) is str for key in inner) and not is_tag(inner)):
        return form.same(value, inner)
    return form.collection("$dict", [[_step(key, form, room), item] for key, item in inner.items()])


def _key(key: Any, room: int) -> Any:
    """A key of a dict, or an element of a set, as it will be on the other side."""
    there = _step(key, _PLAIN, room)
    try:
        hash(there)
    except TypeError:
        raise UnfitError(f"a key of type {type(key).__qualname__} cannot cross") from None
    return there


def _where(value: Any, levels: int = 8) -> str:
    """Path to what does not fit, or the first levels of it, as one would write it in Python."""
    if isinstance(value, dict):
        parts = [(f"[{key!r:.40}]", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"[{index}]", item) for index, item in enumerate(value)]
    else:
        return ""
    for name, item in parts:
        try:
            _step(item, _PLAIN, MOST_DEPTH)
        except UnfitError:
            return name + (_where(item, levels - 1) if levels else "")
    return ""


_PLAIN = Plain()
