"""Values between the code inside and the tools outside: JSON, with tags for what JSON has not.

Theory of operation
-------------------
What JSON has crosses as itself. All else is an object with one key that begins with ``$``::

    {"$bytes": base64}  {"$datetime": ISO 8601}  {"$date"}  {"$time"}  {"$duration": [days, s, us]}
    {"$decimal": text}  {"$uuid": text}  {"$complex": text}  {"$int": hex, beyond 64 bits}
    {"$float": "nan" | "inf" | "-inf"}  {"$tuple": [..]}  {"$set": [..]}  {"$frozenset": [..]}
    {"$dict": [[key, value], ..]}     keys other than text, or one key that begins with "$"
    {"$image": [type, base64]}  {"$audio"}  {"$link": [..]}  {"$resource": [..]}      (content.py)

So nothing that a tool gives can be taken for a tag, and no class is looked up by name: decoding
runs no code but the constructors in tags.py. What is no value of these types is brought to them
first (foreign.py): a dataclass becomes a dict, a number out of an array an int or float, an enum
its value. A time zone with a name becomes its offset; ``fold`` is not kept.

``loads`` reads what an attacker wrote. Depth and number of items are counted before the parser
makes anything, as in wire.py; numbers are bounded, here and in tags.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import isfinite
from typing import Any, NoReturn

from protocell_guest.foreign import UnfitError, nearer
from protocell_guest.tags import COLLECTIONS, TAGS, content_of, is_tag, value_of

__all__ = ["UnfitError", "check_shape", "decode", "dumps", "encode", "loads", "plain"]

MOST_DEPTH = 100
"""Levels of lists, dicts and the like in a value."""
MOST_ITEMS = 1_000_000
"""Strings, commas and opening brackets in what is read, unless the reader says otherwise."""
MOST_INTEGER_CHARACTERS = 20  # 64 bits and a sign; larger ones have a tag
MOST_FLOAT_CHARACTERS = 64

_LEVELS_OF_A_TAG = 3  # {"$dict": [[key, value]]}
_WORD = 2**63
_Wrap = Callable[[str, Any], Any]


def encode(value: Any) -> Any:
    """The value as JSON with tags.

    Raises:
        UnfitError: something in it cannot cross; ``path`` says where.
    """
    return _walk(value, _tagged)


def plain(value: Any) -> Any:
    """What the other side will have for the value, at once: as ``decode(encode(value))``.

    Raises:
        UnfitError: as ``encode``.
    """
    return _walk(value, _untagged)


def decode(tagged: Any) -> Any:
    """The value that JSON with tags stands for; of JSON that is bounded already.

    Raises:
        UnfitError: a tag is unknown, or has something else in it than it should.
    """
    if type(tagged) is list:
        return [decode(item) for item in tagged]
    if type(tagged) is dict:
        return value_of({key: decode(item) for key, item in tagged.items()})
    return tagged


def dumps(value: Any) -> bytes:
    """The value as ASCII bytes, for whoever sends it in pieces; raises as ``encode``."""
    return _ENCODER.encode(encode(value)).encode("ascii")


def loads(body: bytes, *, most_items: int | None = MOST_ITEMS) -> Any:
    """The value in such bytes. ``most_items=None`` is for bytes of a peer that is trusted.

    Raises:
        UnfitError: they hold no value, or one that is nested too deep or has too many items.
    """
    if most_items is not None:
        check_shape(body, most_items)
    decoder = _TRUSTING if most_items is None else _DECODER
    try:
        return decoder.decode(body.decode("ascii"))
    except UnfitError:
        raise
    except (ValueError, RecursionError) as odd:  # its text is not quoted: it has the peer's bytes
        raise UnfitError(f"not a value in JSON ({type(odd).__name__})") from None


def check_shape(body: bytes, most_items: int = MOST_ITEMS) -> None:
    """Refuses JSON that would become too many or too deeply nested objects, before one is made.

    Raises:
        UnfitError: as said.
    """
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    items = bare.count(b'"') // 2
    if items <= most_items:  # before sub(), which makes an object of each piece
        bare = _STRING.sub(b"", bare)
        items += bare.count(b",") + bare.count(b"[") + bare.count(b"{")
    if items > most_items:
        raise UnfitError(f"the value has {items} items; at most {most_items} are allowed")
    depth = deepest = 0
    # The slice, and a count below 0, matter for what is a syntax error only; the parser says so.
    for bracket in bare.translate(None, _NOT_BRACKETS)[: 2 * most_items]:
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > _LEVELS_OF_A_TAG * (MOST_DEPTH + 1):
        raise UnfitError(f"the value is nested deeper than {MOST_DEPTH}")


def _tagged(tag: str, content: Any) -> Any:
    return {tag: content}


def _untagged(tag: str, content: Any) -> Any:
    return COLLECTIONS[tag](content)


def _walk(value: Any, wrap: _Wrap) -> Any:
    try:
        return _step(value, wrap, MOST_DEPTH)
    except UnfitError as odd:
        raise UnfitError(odd.message, _where(value, wrap)) from None


def _step(value: Any, wrap: _Wrap, room: int) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if room < 0:
        raise UnfitError(f"nested deeper than {MOST_DEPTH}, or contains itself")
    if kind is int:
        return value if -_WORD <= value < _WORD else _leaf("$int", value, wrap)
    if kind is float:
        return value if isfinite(value) else _leaf("$float", value, wrap)
    if kind is list:
        return [_step(item, wrap, room - 1) for item in value]
    if kind is dict:
        return _mapping(value, wrap, room - 1)
    tag = TAGS.get(f"{kind.__module__}.{kind.__qualname__}")
    if tag is None:
        return _step(nearer(value), wrap, room - 1)
    return _collection(tag, value, wrap, room) if tag in COLLECTIONS else _leaf(tag, value, wrap)


def _leaf(tag: str, value: Any, wrap: _Wrap) -> Any:
    content = content_of(tag, value)  # for ``plain`` too: it refuses what is too large
    return value if wrap is _untagged else wrap(tag, content)


def _collection(tag: str, value: Any, wrap: _Wrap, room: int) -> Any:
    if tag != "$tuple":
        try:
            value = {_key(item, room - 1): None for item in value}
        except UnfitError:  # a set of what becomes dicts is a list of dicts
            return [_step(item, wrap, room - 1) for item in value]
    return wrap(tag, [_step(item, wrap, room - 1) for item in value])


def _mapping(value: dict[Any, Any], wrap: _Wrap, room: int) -> Any:
    if not all(type(key) is str for key in value):
        value = {_key(key, room): item for key, item in value.items()}
    inner = {key: _step(item, wrap, room) for key, item in value.items()}
    if wrap is _untagged or (all(type(key) is str for key in inner) and not is_tag(inner)):
        return inner
    return wrap("$dict", [[_step(key, wrap, room), item] for key, item in inner.items()])


def _key(key: Any, room: int) -> Any:
    """A key of a dict, or an element of a set, as it will be on the other side."""
    there = _step(key, _untagged, room)
    try:
        hash(there)
    except TypeError:
        raise UnfitError(f"a key of type {type(key).__qualname__} cannot cross") from None
    return there


def _where(value: Any, wrap: _Wrap, levels: int = 8) -> str:
    """Path to what does not fit, or the first levels of it, as one would write it in Python."""
    if isinstance(value, dict):
        parts = [(f"[{key!r:.40}]", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"[{index}]", item) for index, item in enumerate(value)]
    else:
        return ""
    for name, item in parts:
        try:
            _step(item, wrap, MOST_DEPTH)
        except UnfitError:
            return name + (_where(item, wrap, levels - 1) if levels else "")
    return ""


def _refuse(constant: str) -> NoReturn:
    raise UnfitError(f"{constant} is not JSON")


def _integer(text: str) -> int:
    if len(text) > MOST_INTEGER_CHARACTERS:
        raise UnfitError(f"an integer has {len(text)} characters")
    return int(text)


def _float(text: str) -> float:
    if len(text) > MOST_FLOAT_CHARACTERS or not isfinite(number := float(text)):
        raise UnfitError("a number is too long, or too large for a float")
    return number


_STRING = re.compile(rb'"[^"]*"')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
_TRUSTING = json.JSONDecoder(object_hook=value_of, parse_constant=_refuse)
_DECODER = json.JSONDecoder(
    object_hook=value_of, parse_constant=_refuse, parse_int=_integer, parse_float=_float
)
