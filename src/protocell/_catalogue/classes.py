"""Names the dicts in a tool's schemas as TypedDict classes, so that a stub can show what is in them."""

from __future__ import annotations

import keyword
import re

from protocell._catalogue.schema_hints import ALL, key_text, value_text, written
from protocell._catalogue.schema_types import (
    Again,
    Either,
    Key,
    Many,
    Record,
    Row,
    Table,
    Type,
    Values,
)
from protocell._catalogue.text import one_line

MOST_CLASSES = 20
_MOST_VALUES = 40
_MOST_INLINE = 60
_MOST_CHARACTERS_OF_A_NAME = 40
_WORDS = re.compile(r"[^A-Za-z0-9]+")
_TAKEN = frozenset(
    {"Any", "Decimal", "Literal", "NotRequired", "Required", "TypedDict", "None", "UUID"}
)


class Classes:
    """The classes of one stub, in the order in which they were met."""

    def __init__(self, *, documented: int) -> None:
        self._documented = documented
        self._names: dict[Record, str] = {}
        self._by_reference: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def hint(self, kind: Type) -> str:
        """The type as a hint in which dicts have names."""
        match kind:
            case Record():
                return self._named(kind)
            case Again(reference):
                return self._by_reference.get(reference, "Any")
            case Many(item, name):
                inner = self.hint(item)
                return name if inner == "Any" else f"{name}[{inner}]"
            case Row(items):
                return f"tuple[{', '.join(map(self.hint, items))}]"
            case Table(value, key):
                return f"dict[{self.hint(key)}, {self.hint(value)}]"
            case Either(options):
                shown = list(dict.fromkeys(map(self.hint, options)))
                return "Any" if "Any" in shown else " | ".join(shown)
            case Values(values):
                more = ["..."] * (len(values) > _MOST_VALUES)
                shown = [*map(value_text, values[:_MOST_VALUES]), *more]
                return f"Literal[{', '.join(dict.fromkeys(shown))}]"
        return written(kind)

    def text(self) -> str:
        """All of the classes, those that are used before those that use them where that is possible."""
        return "\n\n".join(self._texts.values())

    def _named(self, record: Record) -> str:
        if record in self._names:
            return self._names[record]
        if _is_small(record):
            return written(record)
        if len(self._names) >= MOST_CLASSES:
            return "dict"
        name = self._names[record] = self._free(record.title)
        if record.reference:
            self._by_reference[record.reference] = name
        self._texts[name] = self._class(name, record)
        self._texts[name] = self._texts.pop(name)  # after those that it uses
        return name

    def _free(self, title: str) -> str:
        wanted = class_name(title)
        number, name = 1, wanted
        while name in self._names.values():
            number += 1
            name = f"{wanted}{number}"
        return name

    def _class(self, name: str, record: Record) -> str:
        wide = [(key, self.hint(key.type)) for key in record.keys]
        is_partial = not any(key.required for key in record.keys)
        total = ", total=False" if is_partial else ""
        shown = [
            (key, hint if key.required or is_partial else f"NotRequired[{hint}]")
            for key, hint in wide
        ]
        if not all(_is_identifier(key.name) for key in record.keys):
            inner = ", ".join(f"{key_text(key.name)}: {hint}" for key, hint in shown)
            return f"{name} = TypedDict({name!r}, {{{inner}}}{total})"
        lines = [f"    {key.name}: {hint}{self._note(key)}" for key, hint in shown]
        return "\n".join([f"class {name}(TypedDict{total}):", *lines])

    def _note(self, key: Key) -> str:
        about = one_line(key.description, self._documented) if self._documented else ""
        return f"  # {about}" if about else ""


def class_name(title: str) -> str:
    """The title in the manner of a class: ``issue_filter`` is IssueFilter."""
    words = _WORDS.sub(" ", title[: 2 * _MOST_CHARACTERS_OF_A_NAME]).split()
    name = "".join(word[0].upper() + word[1:] for word in words)[:_MOST_CHARACTERS_OF_A_NAME]
    if not name.isidentifier():
        name = f"Dict{name}"
    return f"{name}_" if name in _TAKEN or keyword.iskeyword(name) else name


def _is_identifier(name: str) -> bool:
    return (
        name.isidentifier() and not keyword.iskeyword(name) and len(name) <= 60 and name.isascii()
    )


def _is_small(record: Record) -> bool:
    """Whether it says as much without a name."""
    if any(key.description for key in record.keys) or len(record.keys) > 4:
        return False
    text = written(record, ALL)
    return len(text) <= _MOST_INLINE and text.count("{") == 1 and "Again(" not in repr(record)
