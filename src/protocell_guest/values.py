"""Values between the code inside and the tools outside: JSON, with tags for what JSON has not.

Theory of operation
-------------------
What JSON has crosses as itself. All else is an object with one key that begins with ``$``::

    {"$bytes": base64}  {"$datetime": ISO 8601}  {"$date"}  {"$time"}  {"$duration": [days, s, us]}
    {"$decimal": text}  {"$uuid": text}  {"$complex": text}  {"$int": hex, beyond 64 bits}
    {"$float": "nan" | "inf" | "-inf"}  {"$tuple": [..]}  {"$set": [..]}  {"$frozenset": [..]}
    {"$dict": [[key, value], ..]}     keys other than text, or one key that begins with "$"
    {"$image": [type, base64]}  {"$audio"}  {"$link": [..]}  {"$resource": [..]}      (content.py)
    {"$part": n}  {"$text": n}       bytes, a text, that are beside the JSON: of ``pack``  (parcels.py)

So nothing that a tool gives can be taken for a tag, and no class is looked up by name: decoding
runs no code but the constructors in tags.py. What is no value of these types is brought to them
first (foreign.py): a dataclass becomes a dict, a number out of an array an int or float, an enum
its value. A time zone with a name becomes its offset; ``fold`` is not kept.

``loads`` reads what an attacker wrote. Depth and number of items are counted before the parser
makes anything, as in wire.py; numbers are bounded, here and in tags.py; and what is beside the JSON
can be taken once, or a few bytes would name a large text a thousand times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any, NoReturn

from protocell_guest.foreign import UnfitError
from protocell_guest.forms import MOST_DEPTH, Packed, Plain, Shared, Tagged, brought
from protocell_guest.parcels import Parcel
from protocell_guest.tags import Parts, value_of

__all__ = [
    "MOST_DEPTH",
    "UnfitError",
    "check_shape",
    "decode",
    "dumps",
    "encode",
    "loads",
    "most_items",
    "pack",
    "plain",
    "sealed",
    "unpack",
]

MOST_ITEMS = 1_000_000
"""Strings, commas and opening brackets in what is read, unless the reader says otherwise."""
MOST_INTEGER_CHARACTERS = 20  # 64 bits and a sign; larger ones have a tag
MOST_FLOAT_CHARACTERS = 64

_LEVELS_OF_A_TAG = 3  # {"$dict": [[key, value]]}
_BYTES_OF_AN_ITEM = 8  # of JSON, in what has many


def encode(value: Any) -> Any:
    """The value as JSON with tags.

    Raises:
        UnfitError: something in it cannot cross; ``path`` says where.
    """
    return brought(value, _TAGGED)


def plain(value: Any) -> Any:
    """What the other side will have for the value, at once: as ``decode(encode(value))``.

    Raises:
        UnfitError: as ``encode``.
    """
    return brought(value, _PLAIN)


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
    """The value as ASCII bytes, for whoever keeps them; raises as ``encode``."""
    return _ENCODER.encode(brought(value, _SHARED)).encode("ascii")


def loads(body: bytes, *, most_items: int | None = MOST_ITEMS) -> Any:
    """The value in such bytes. ``most_items=None`` is for bytes of a peer that is trusted.

    Raises:
        UnfitError: they hold no value, or one that is nested too deep or has too many items.
    """
    return unpack(Parcel(body), most_items=most_items)


def pack(value: Any) -> Parcel:
    """The value for whoever sends it in pieces: large bytes and texts are beside the JSON, uncopied.

    Raises as ``encode``.
    """
    form = Packed()
    tagged = brought(value, form)
    return Parcel(_ENCODER.encode(tagged).encode("ascii"), form.parts)


def unpack(parcel: Parcel, *, most_items: int | None = MOST_ITEMS) -> Any:
    """The value in a parcel, which has no parts afterwards; raises as ``loads``."""
    if most_items is not None:
        check_shape(parcel.body, most_items)
    decoder = _TRUSTING if most_items is None else _DECODER
    if parcel.parts:
        decoder = _decoder(Parts(parcel.parts).value_of, is_trusting=most_items is None)
    try:
        return decoder.decode(parcel.body.decode("ascii"))
    except UnfitError:
        raise
    except (ValueError, RecursionError) as odd:  # its text is not quoted: it has the peer's bytes
        raise UnfitError(f"not a value in JSON ({type(odd).__name__})") from None


def sealed(parcel: Parcel) -> bytes:
    """The value in a parcel as ``dumps`` gives it; the parcel stays as it is."""
    if not parcel.parts:
        return parcel.body
    return dumps(unpack(Parcel(parcel.body, parcel.parts), most_items=None))


def most_items(most_bytes: int) -> int:
    """How many items are read where so many bytes are: a value in memory is larger than its JSON."""
    return max(MOST_ITEMS, most_bytes // _BYTES_OF_AN_ITEM)


def check_shape(body: bytes, most_items: int = MOST_ITEMS) -> None:
    """Refuses JSON that would become too many or too deeply nested objects, before one is made.

    Raises:
        UnfitError: as said.
    """
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    items = bare.count(b'"') // 2
    if items <= most_items:
        bare = b"".join(_outside_strings(bare))
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


def _outside_strings(bare: bytes) -> Iterator[bytes]:
    """In steps that end outside of strings: each one that is cut out leaves an object for a moment."""
    place = 0
    while place < len(bare):
        end = place + _STEP_BYTES
        if bare.count(b'"', place, end) % 2:
            end = bare.find(b'"', end) + 1 or len(bare)
        yield _STRING.sub(b"", bare[place:end])
        place = end


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


def _decoder(hook: Callable[[dict[str, Any]], Any], *, is_trusting: bool) -> json.JSONDecoder:
    if is_trusting:
        return json.JSONDecoder(object_hook=hook, parse_constant=_refuse)
    return json.JSONDecoder(
        object_hook=hook, parse_constant=_refuse, parse_int=_integer, parse_float=_float
    )


_TAGGED, _SHARED, _PLAIN = Tagged(), Shared(), Plain()
_STEP_BYTES = 1 << 16
_STRING = re.compile(rb'"[^"]*"')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
_TRUSTING = _decoder(value_of, is_trusting=True)
_DECODER = _decoder(value_of, is_trusting=False)
