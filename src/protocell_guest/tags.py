"""The tags of values.py: for each type that JSON has not, what stands for it, and the way back.

The way back reads what an attacker wrote, so it is strict about types and lengths: turning text
into a number can take quadratic time (CVE-2020-10735), ``Decimal("1E+999999999")`` is small until
somebody asks for its integer, and a set of elements with equal hashes takes quadratic time too.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from protocell_guest.content import Audio, Image, Resource, ResourceLink, bytes_of
from protocell_guest.foreign import UnfitError
from protocell_guest.parcels import text_of

MOST_DECIMAL_DIGITS = 4_300
MOST_DECIMAL_EXPONENT = 10_000
MOST_HEX_CHARACTERS = 3_500  # some 4,200 decimal digits; beyond 4,300 Python prints no int
MOST_NUMBER_CHARACTERS = 64
MOST_EQUAL_HASHES = 64
"""Elements of one set that may share a hash: -1 and -2 do, and few others by accident."""


def content_of(tag: str, value: Any) -> Any:
    """What stands for the value in JSON, under its tag; of a compound, its members as they are.

    Raises:
        UnfitError: it is larger than what the other side would read.
    """
    return _CONTENTS[tag](value)


def value_of(content: dict[str, Any]) -> Any:
    """The value of a JSON object: of one tag what it stands for, else the object itself.

    Raises:
        UnfitError: the tag is unknown, or does not hold what it should.
    """
    if not is_tag(content):
        return content
    ((tag, inner),) = content.items()
    return _made(tag, inner, _VALUES.get(tag))


def _made(tag: str, inner: Any, make: Callable[[Any], Any] | None) -> Any:
    if make is None:
        raise UnfitError(f"unknown tag {tag[:40]!r}")
    try:
        return make(inner)
    except UnfitError:
        raise
    except (ValueError, TypeError, ArithmeticError):
        raise UnfitError(f"{tag} does not hold what it should") from None


class Parts:
    """What came beside the JSON: taken out by the tags that name it."""

    def __init__(self, parts: list[bytes | str]) -> None:
        self._parts: list[bytes | str | None] = list(parts)
        parts.clear()  # so that each is given back when its value is there

    def value_of(self, content: dict[str, Any]) -> Any:
        """As the function of this name; raises as it."""
        if len(content) == 1:
            ((tag, inner),) = content.items()
            if tag in _BESIDE:
                return _made(tag, inner, lambda given: _BESIDE[tag](self._take(given)))
        return value_of(content)

    def _take(self, given: Any) -> bytes | str:
        if type(given) is not int or not 0 <= given < len(self._parts):
            raise UnfitError("a part that did not come")
        part, self._parts[given] = self._parts[given], None
        if part is None:  # else a few bytes could name a large text a thousand times
            raise UnfitError("a part that was taken before")
        return part


def is_tag(mapping: dict[str, Any]) -> bool:
    """Whether this object would be taken for a tag."""
    return len(mapping) == 1 and next(iter(mapping)).startswith("$")


def _hex(number: int) -> str:
    # Not its text: of an int that is too long, hex() is linear in its length, and str() is not.
    if number.bit_length() > 4 * (MOST_HEX_CHARACTERS - 3):
        raise UnfitError("an integer of more than 4,200 digits cannot cross")
    return hex(number)


def _decimal(number: Any) -> str:
    _refuse_a_large_decimal(number)
    return str(number)


def _refuse_a_large_decimal(number: Any) -> None:
    if number.is_finite():
        _, digits, exponent = number.as_tuple()
        if len(digits) > MOST_DECIMAL_DIGITS or abs(exponent) > MOST_DECIMAL_EXPONENT:
            raise UnfitError("a Decimal with so many digits, or such an exponent, cannot cross")


def _text(given: Any, most: int = MOST_NUMBER_CHARACTERS) -> str:
    if type(given) is not str or len(given) > most:
        raise UnfitError("a tag holds no text, or too long a one")
    return given


def _bytes(given: Any) -> bytes:
    return given if type(given) is bytes else bytes_of(given)


def _list(given: Any) -> list[Any]:
    if type(given) is not list:
        raise UnfitError("a tag holds no list")
    return given


def _distinct(given: Any) -> list[Any]:
    """The elements, if a set of them is made in linear time."""
    elements = _list(given)
    if len(elements) - len(set(map(hash, elements))) > MOST_EQUAL_HASHES:
        raise UnfitError("too many elements have the same hash")
    return elements


def _dict(given: Any) -> dict[Any, Any]:
    pairs = [(key, item) for key, item in _list(given)]
    _distinct([key for key, _ in pairs])
    return dict(pairs)


def _float(given: Any) -> float:
    number = float(_text(given))
    if isfinite(number):
        raise UnfitError("$float holds a number that JSON has")
    return number


def _from_iso(name: str) -> Callable[[Any], Any]:
    def make(given: Any) -> Any:
        import datetime as dt  # noqa: PLC0415  (an extension module that few sandboxes need)

        return getattr(dt, name).fromisoformat(_text(given))

    return make


def _duration(given: Any) -> Any:
    import datetime as dt  # noqa: PLC0415  (as above)

    days, seconds, microseconds = given
    return dt.timedelta(days, seconds, microseconds)


def _decimal_of(given: Any) -> Any:
    import decimal  # noqa: PLC0415  (as above)

    number = decimal.Decimal(_text(given, MOST_DECIMAL_DIGITS + 30))
    _refuse_a_large_decimal(number)
    return number


def _uuid(given: Any) -> Any:
    import uuid  # noqa: PLC0415  (it looks at the machine when it is loaded)

    return uuid.UUID(_text(given))


def _blob(kind: type[Image | Audio]) -> Callable[[Any], Any]:
    def make(given: Any) -> Any:
        mime_type, data = _list(given)
        return kind(_bytes(data), _text(mime_type, 256))

    return make


def _link(given: Any) -> ResourceLink:
    *texts, size = _list(given)
    uri, name, description, mime_type = (_text(text, 2**24) for text in texts)
    return ResourceLink(uri, name, description, mime_type, None if size is None else int(size))


def _resource(given: Any) -> Resource:
    uri, mime_type, text, data = _list(given)
    return Resource(
        _text(uri, 2**24),
        _text(mime_type, 256),
        None if text is None else str(text),
        None if data is None else _bytes(data),
    )


def _blob_content(blob: Any) -> list[Any]:
    return [blob.mime_type, blob.data]


def _link_content(link: Any) -> list[Any]:
    return [link.uri, link.name, link.description, link.mime_type, link.size]


def _resource_content(given: Any) -> list[Any]:
    return [given.uri, given.mime_type, given.text, given.data]


COLLECTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": dict,
}
COMPOUNDS = frozenset({"$image", "$audio", "$link", "$resource"})
"""Tags of objects that have texts and bytes in them, which cross as all others do."""
TAGS = {
    "builtins.tuple": "$tuple",
    "builtins.set": "$set",
    "builtins.frozenset": "$frozenset",
    "builtins.bytes": "$bytes",
    "builtins.complex": "$complex",
    "datetime.datetime": "$datetime",
    "datetime.date": "$date",
    "datetime.time": "$time",
    "datetime.timedelta": "$duration",
    "decimal.Decimal": "$decimal",
    "uuid.UUID": "$uuid",
    "protocell_guest.content.Image": "$image",
    "protocell_guest.content.Audio": "$audio",
    "protocell_guest.content.ResourceLink": "$link",
    "protocell_guest.content.Resource": "$resource",
}
"""By module and name, so that no module is loaded for a type that the code never made."""
_CONTENTS: dict[str, Callable[[Any], Any]] = {
    "$int": _hex,
    "$float": str,
    "$complex": str,
    "$datetime": lambda value: value.isoformat(),
    "$date": lambda value: value.isoformat(),
    "$time": lambda value: value.isoformat(),
    "$duration": lambda value: [value.days, value.seconds, value.microseconds],
    "$decimal": _decimal,
    "$uuid": str,
    "$image": _blob_content,
    "$audio": _blob_content,
    "$link": _link_content,
    "$resource": _resource_content,
}
_VALUES: dict[str, Callable[[Any], Any]] = {
    "$int": lambda given: int(_text(given, MOST_HEX_CHARACTERS), 16),
    "$float": _float,
    "$bytes": bytes_of,
    "$complex": lambda given: complex(_text(given)),
    "$datetime": _from_iso("datetime"),
    "$date": _from_iso("date"),
    "$time": _from_iso("time"),
    "$duration": _duration,
    "$decimal": _decimal_of,
    "$uuid": _uuid,
    "$tuple": lambda given: tuple(_list(given)),
    "$set": lambda given: set(_distinct(given)),
    "$frozenset": lambda given: frozenset(_distinct(given)),
    "$dict": _dict,
    "$image": _blob(Image),
    "$audio": _blob(Audio),
    "$link": _link,
    "$resource": _resource,
}
_BESIDE: dict[str, Callable[[Any], Any]] = {"$part": bytes, "$text": text_of}
