"""What each keyword of JSON schema wants, and how that is said in a few words: never the value itself."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from protocell.tools.json_schema import Check

Path = tuple[str | int, ...]

MOST_UNIQUE_ITEMS = 10_000
MOST_CHARACTERS_OF_A_CHOICE = 200


class Problem(NamedTuple):
    """One thing that does not fit."""

    path: Path
    """Keys and indexes from the outermost value to it."""
    wanted: str
    """The end of a sentence about it: "should be a string, is an integer"."""
    kinds: tuple[str, ...] = ()
    """Of a wrong type, those that are right."""


def family(value: Any) -> str:
    """The JSON type of a value; of an integer, ``number``."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
    return ""


def type_of(value: Any) -> str:
    """What a value is, in words: "an integer"."""
    if isinstance(value, bool) or value is None:
        return str(value)
    return "an integer" if isinstance(value, int) else _WORDS.get(family(value), "no JSON")


def _is(value: Any, kind: Any) -> bool:
    if kind == "integer" and not isinstance(value, bool):
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return family(value) == str(kind)


def _same(one: Any, other: Any) -> bool:
    """Equal in JSON, where 1 is not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    same: bool = one == other
    return same


def _wrong_type(path: Path, kinds: Iterable[str], value: Any) -> Problem:
    right = tuple(dict.fromkeys(kinds))
    words = " or ".join(_WORDS.get(kind, kind) for kind in right)
    return Problem(path, f"should be {words}, is {type_of(value)}", right)


_Found = Iterator[Problem]
_Keyword = Callable[["Check", Any, Any, Path, Mapping[str, Any]], _Found]


def _type(_c: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    kinds = [said] if isinstance(said, str) else list(said)
    if not any(_is(value, kind) for kind in kinds):
        yield _wrong_type(path, kinds, value)


def _enum(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    check.spend(len(said))
    if not any(_same(value, choice) for choice in said):
        choices = ", ".join(
            json.dumps(choice)[:MOST_CHARACTERS_OF_A_CHOICE] for choice in said[:20]
        )
        more = f" or {len(said) - 20} more" if len(said) > 20 else ""
        yield Problem(path, f"should be one of {choices}{more}")


def _const(check: Check, said: Any, value: Any, path: Path, schema: Mapping[str, Any]) -> _Found:
    for problem in _enum(check, [said], value, path, schema):
        yield Problem(path, problem.wanted.replace("one of ", "", 1))


def _ref(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    yield from check.of(check.referred(said), value, path)


def _properties(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in said:
                yield from check.of(said[key], item, (*path, key))


def _required(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    if isinstance(value, dict):
        check.spend(len(said))
        for name in said:
            if name not in value:
                yield Problem((*path, name), "is missing")


def _additional(
    check: Check, said: Any, value: Any, path: Path, schema: Mapping[str, Any]
) -> _Found:
    if isinstance(value, dict) and "patternProperties" not in schema:
        known = schema.get("properties", ())
        for key, item in value.items():
            if key in known:
                continue
            if said is False:
                names = ", ".join(list(known)[:20])
                yield Problem((*path, key), f"is not known; known are {names}")
            else:
                yield from check.of(said, item, (*path, key))


def _names(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    if isinstance(value, dict):
        for key in value:
            for problem in check.of(said, key, ()):
                yield Problem((*path, key), f"has a name that {problem.wanted}")


def _items(check: Check, said: Any, value: Any, path: Path, schema: Mapping[str, Any]) -> _Found:
    if isinstance(said, list):  # before 2020-12 this was what ``prefixItems`` is now
        yield from _prefix(check, said, value, path, schema)
    elif isinstance(value, list):
        first = len(schema.get("prefixItems", ()))
        for index, item in enumerate(value[first:], first):
            yield from check.of(said, item, (*path, index))


def _prefix(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    if isinstance(value, list):
        for index, (item, schema) in enumerate(zip(value, said, strict=False)):
            yield from check.of(schema, item, (*path, index))


def _contains(check: Check, said: Any, value: Any, path: Path, schema: Mapping[str, Any]) -> _Found:
    if isinstance(value, list):
        fits = [check.fits(said, item) for item in value]
        least, most = schema.get("minContains", 1), schema.get("maxContains", len(value))
        if len(fits) - fits.count(False) < least or fits.count(True) > most:
            yield Problem(path, "does not have as many items of a certain kind as it should")


def _unique(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    if said is True and isinstance(value, list) and len(value) <= MOST_UNIQUE_ITEMS:
        check.spend(len(value))
        if len({json.dumps(item, sort_keys=True) for item in value}) < len(value):
            yield Problem(path, "should have no item twice")


def _all(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    for schema in said:
        yield from check.of(schema, value, path)


def _any(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    failed: list[list[Problem]] = []
    for schema in said:
        failed.append(check.of(schema, value, path))
        if not failed[-1]:
            return
    yield from _nearest(failed, value, path)


def _nearest(failed: list[list[Problem]], value: Any, path: Path) -> _Found:
    """Of several forms that do not fit, what is wrong with the one that was meant, as it seems."""
    other_type = [found[0].kinds for found in failed if found[0].kinds and found[0].path == path]
    if len(other_type) == len(failed):
        yield _wrong_type(path, [kind for kinds in other_type for kind in kinds], value)
    else:
        meant = [found for found in failed if not found[0].kinds or found[0].path != path]
        yield from min(meant, key=len)


def _one(check: Check, said: Any, value: Any, path: Path, schema: Mapping[str, Any]) -> _Found:
    fits = [check.fits(each, value) for each in said]
    if fits.count(False) == len(fits):
        yield from _any(check, said, value, path, schema)
    elif fits.count(True) > 1:
        yield Problem(path, "fits more than one of the forms of which it should have one")


def _not(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    if check.fits(said, value):
        yield Problem(path, "is of a form that is not allowed")


def _if(check: Check, said: Any, value: Any, path: Path, schema: Mapping[str, Any]) -> _Found:
    fits = check.fits(said, value)
    if fits is not None:
        yield from check.of(schema.get("then" if fits else "else", True), value, path)


def _dependent(check: Check, said: Any, value: Any, path: Path, _s: Mapping[str, Any]) -> _Found:
    if isinstance(value, dict):
        for key in (key for key in said if key in value):
            if isinstance(said[key], list):
                for problem in _required(check, said[key], value, path, {}):
                    yield Problem(problem.path, f"is missing; it belongs to {key}")
            else:
                yield from check.of(said[key], value, path)


def _bound(
    words: str, is_wrong: Callable[[Any, Any], bool], measure: Callable[[Any], Any] | None = None
) -> Callable[[Any, Any], str]:
    has = "is" if measure is None else "has"

    def look(said: Any, value: Any) -> str:
        measured = value if measure is None else measure(value)
        wrong = is_wrong(measured, said)
        return f"should {words.format(said)}, {has} {measured}" if wrong else ""

    return look


def _multiple(said: Any, value: Any) -> str:
    if isinstance(said, int) and isinstance(value, int):
        return f"should be a multiple of {said}" if value % said else ""
    quotient = value / said  # floats are never exact: 0.3 counts as three times 0.1
    near = abs(quotient - round(quotient)) < 1e-9 * max(1, abs(quotient))
    return "" if near else f"should be a multiple of {said}"


_WORDS = {
    "null": "None",
    "boolean": "True or False",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "a list",
    "object": "a dict",
}
KEYWORDS: Mapping[str, _Keyword] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "$ref": _ref,
    "$dynamicRef": _ref,
    "properties": _properties,
    "required": _required,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "prefixItems": _prefix,
    "contains": _contains,
    "uniqueItems": _unique,
    "allOf": _all,
    "anyOf": _any,
    "oneOf": _one,
    "not": _not,
    "if": _if,
    "dependentRequired": _dependent,
    "dependentSchemas": _dependent,
    "dependencies": _dependent,
}
BOUNDS: Mapping[tuple[str, str], Callable[[Any, Any], str]] = {
    ("minimum", "number"): _bound("be at least {}", operator.lt),
    ("maximum", "number"): _bound("be at most {}", operator.gt),
    ("exclusiveMinimum", "number"): _bound("be more than {}", operator.le),
    ("exclusiveMaximum", "number"): _bound("be less than {}", operator.ge),
    ("multipleOf", "number"): _multiple,
    ("minLength", "string"): _bound("have at least {} characters", operator.lt, len),
    ("maxLength", "string"): _bound("have at most {} characters", operator.gt, len),
    ("minItems", "array"): _bound("have at least {} items", operator.lt, len),
    ("maxItems", "array"): _bound("have at most {} items", operator.gt, len),
    ("minProperties", "object"): _bound("have at least {} keys", operator.lt, len),
    ("maxProperties", "object"): _bound("have at most {} keys", operator.gt, len),
}
"""By keyword and family of the value."""
