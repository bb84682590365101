"""Writes a type on one line, in the room that there is: the more room, the more of it is told.

What is written is Python's own notation and can be parsed as it. A dict with known keys is
``{'id': int, 'name?': str}``, with a question mark after the name of a key that may be missing; where that is too
long, ``dict``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from protocell._catalogue.schema_types import (
    Again,
    Either,
    Key,
    Many,
    Plain,
    Record,
    Row,
    Table,
    Type,
    Values,
    type_of,
)
from protocell._catalogue.text import one_line

MOST_CHARACTERS = 90
_MOST_CHARACTERS_OF_A_VALUE = 40
_MOST_CHARACTERS_OF_A_KEY = 60


class Detail(NamedTuple):
    """How much of a type is told."""

    depth: int
    """Dicts in dicts whose keys are told."""
    keys: int
    values: int
    options: int


ALL = Detail(depth=4, keys=60, values=60, options=60)
_LESS = (
    Detail(4, 20, 12, 8),
    Detail(3, 12, 12, 6),
    Detail(2, 12, 8, 6),
    Detail(1, 12, 6, 4),
    Detail(1, 6, 4, 4),
    Detail(0, 0, 4, 4),
    Detail(0, 0, 2, 3),
    Detail(0, 0, 0, 2),
)


def hint(
    schema: Any, root: Any = None, *, native: bool = False, most: int = MOST_CHARACTERS
) -> str:
    """A schema as a hint of at most ``most`` characters; at least three are needed, for ``Any``."""
    return hint_of(type_of(schema, root, native=native), most)


def hint_of(kind: Type, most: int = MOST_CHARACTERS) -> str:
    """A type as a hint of at most ``most`` characters."""
    for detail in _LESS:
        if len(text := written(kind, detail)) <= most:
            return text
    return _outermost(kind) if most >= len("list") else "Any"


def written(kind: Type, detail: Detail = ALL) -> str:
    """A type with that much detail, however long it gets."""
    match kind:
        case Plain(name):
            return name
        case Values(values):
            return _literal(values, detail.values)
        case Either(options):
            return _either(options, detail)
        case Many(item, name):
            inner = written(item, detail)
            return name if inner == "Any" else f"{name}[{inner}]"
        case Row(items):
            return f"tuple[{', '.join(written(item, detail) for item in items[: detail.options])}]"
        case Table(value, key):
            inner = f"{written(key, detail)}, {written(value, detail)}"
            return f"dict[{inner}]" if detail.depth else "dict"
        case Record(_, keys):
            return _record(keys, detail)
        case Again():
            return "Any"


def key_text(name: str) -> str:
    """The name of a key as a string literal, bounded."""
    return repr(one_line(name, _MOST_CHARACTERS_OF_A_KEY))


def value_text(value: str | int) -> str:
    """One of the values that are allowed, as a literal; '...' in it says that it is longer."""
    if isinstance(value, str):
        return repr(one_line(value, _MOST_CHARACTERS_OF_A_VALUE))
    return repr(value) if isinstance(value, bool) or abs(value) < 10**30 else "..."


def _literal(values: tuple[str | int, ...], most: int) -> str:
    if not most:
        return " | ".join(dict.fromkeys(type(value).__name__ for value in values))
    shown = [value_text(value) for value in values[:most]]
    return f"Literal[{', '.join(shown + ['...'] * (len(values) > most))}]"


def _either(options: tuple[Type, ...], detail: Detail) -> str:
    shown = list(dict.fromkeys(written(option, detail) for option in options))
    return "Any" if len(shown) > detail.options or "Any" in shown else " | ".join(shown)


def _record(keys: tuple[Key, ...], detail: Detail) -> str:
    if not detail.depth or len(keys) > detail.keys:
        return "dict"
    inner = detail._replace(depth=detail.depth - 1)
    return f"{{{', '.join(f'{_key(key)}: {written(key.type, inner)}' for key in keys)}}}"


def _key(key: Key) -> str:
    text = key_text(key.name)
    return text if key.required else f"{text[:-1]}?{text[-1]}"


def _outermost(kind: Type) -> str:
    match kind:
        case Many(_, name):
            return name
        case Row():
            return "list"
        case Record() | Table():
            return "dict"
    return "Any"
