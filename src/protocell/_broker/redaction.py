"""What the log of calls is not to have: values of arguments, and of fields in them, under names that the caller gave.

Theory of operation
-------------------
A secret is not only where it was expected: ``login({"password": ...})`` has it one level deeper than
``login(password=...)``, and a call that is refused has it in the log as well.  So a name holds at any depth, and
where it is not known which tool was meant, for all.  What nests deeper than anybody reads is left out as a whole.

A name that is misspelled would redact nothing, and nobody would see it.  So it has to be a field of some tool.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self

from protocell.errors import PolicyError
from protocell.tools.selection import Patterns, is_exact, may_be_elsewhere
from protocell.tools.tool import Tool
from protocell.tools.validation import takes_any_name
from protocell_guest import values

REDACTED = "[redacted]"
_MOST_LEVELS = 64
_MOST_SCHEMAS = 100_000  # of one tool, that are looked at


@dataclass(frozen=True, slots=True)
class _Entry:
    """One that the caller gave, as ``tool:field`` or as a field."""

    text: str

    @property
    def tool(self) -> str:
        """A pattern; no text where it is for all tools."""
        return self.text.rpartition(":")[0]

    @property
    def field(self) -> str:
        """A name or glob."""
        return self.text.rpartition(":")[2]

    def is_of(self, tool: Tool) -> bool:
        """Whether it is for this tool."""
        return not self.tool or bool(Patterns((self.tool,)).best(tool))


@dataclass(frozen=True, slots=True)
class _Names:
    """Of fields of one tool."""

    exact: frozenset[str]
    globs: tuple[str, ...]

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """Of these."""
        every = frozenset(names)
        return cls(every, tuple(name for name in every if not is_exact(name)))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (
            name in self.exact or any(fnmatchcase(name, glob) for glob in self.globs)
        )


class Redaction:
    """Of one toolset."""

    def __init__(self, entries: Collection[str]) -> None:
        self._entries = [_Entry(text) for text in entries]
        self._unseen = list(self._entries)
        self._of_tools: dict[str, _Names] = {}

    def check(self, tools: Sequence[Tool], missing: Collection[str]) -> None:
        """Refuses what fits no tool here, or no field, and never did, nor can be of a server that is missing.

        Raises:
            PolicyError: as said; it names the nearest.
        """
        self._of_tools.clear()
        if not self._unseen:
            return
        fields = {tool.id: set(_fields(tool)) for tool in tools}
        self._unseen = [each for each in self._unseen if not _is_found(each, tools, fields)]
        here = {tool.server for tool in tools}
        for entry in self._unseen:
            if missing and (not entry.tool or may_be_elsewhere(entry.tool, here, missing)):
                continue
            if entry.tool:
                Patterns((entry.tool,), strict_for="redact").check(tools, missing)
            of_those = (fields[tool.id] for tool in tools if entry.is_of(tool))
            raise PolicyError(_refusal(entry, sorted(set().union(*of_those))))

    def redacted(self, tool: Tool | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments for the log; None is a tool that there is not."""
        if not self._entries:
            return dict(arguments)
        return dict(_without(arguments, self._names(tool), _MOST_LEVELS))

    def _names(self, tool: Tool | None) -> _Names:
        if tool is None:
            return _Names.of(name for each in self._entries for name in (each.text, each.field))
        if tool.id not in self._of_tools:
            self._of_tools[tool.id] = _Names.of(_names_of(tool, self._entries))
        return self._of_tools[tool.id]


def is_redacted(value: Any) -> bool:
    """Whether something in it was left out."""
    if isinstance(value, Mapping):
        return any(map(is_redacted, value.values()))
    if isinstance(value, list | tuple):
        return any(map(is_redacted, value))
    return isinstance(value, str) and value == REDACTED


def _names_of(tool: Tool, entries: Sequence[_Entry]) -> Iterator[str]:
    for entry in entries:
        yield entry.text  # of a field with a colon in its name
        if entry.is_of(tool):
            yield entry.field
            for each in tool.parameters:  # under either name it may come
                if _fits(entry.field, {each.name, each.identifier}):
                    yield from (each.name, each.identifier)


def _is_found(entry: _Entry, tools: Sequence[Tool], fields: Mapping[str, Collection[str]]) -> bool:
    if any(entry.text in each for each in fields.values()):
        return True
    of_those = [tool for tool in tools if entry.is_of(tool)]
    if not is_exact(entry.field):  # for fields that no schema names as well
        return bool(of_those)
    is_free = entry.tool and any(map(takes_any_name, of_those))
    return is_free or any(_fits(entry.field, fields[tool.id]) for tool in of_those)


def _fits(pattern: str, names: Collection[str]) -> bool:
    return pattern in names or any(fnmatchcase(name, pattern) for name in names)


def _fields(tool: Tool) -> Iterator[str]:
    """What can be given it by name, at any depth."""
    for each in tool.parameters:
        yield from (each.name, each.identifier)
    waiting: list[Any] = [tool.input_schema, *(each.schema for each in tool.parameters)]
    for _ in range(_MOST_SCHEMAS):
        if not waiting:
            return
        schema = waiting.pop()
        if isinstance(schema, Mapping):
            named = schema.get("properties")
            yield from named if isinstance(named, Mapping) else ()
            waiting.extend(schema.values())
        elif isinstance(schema, list | tuple):
            waiting.extend(schema)


def _without(value: Any, names: _Names, levels: int) -> Any:
    if not isinstance(value, Mapping | list | tuple):
        value = _opened(value)
    if not isinstance(value, Mapping | list | tuple):
        return value
    if not levels:
        return REDACTED
    if isinstance(value, Mapping):
        return {
            key: REDACTED if key in names else _without(item, names, levels - 1)
            for key, item in value.items()
        }
    items = [_without(item, names, levels - 1) for item in value]
    return items if isinstance(value, list) else tuple(items)


def _opened(value: Any) -> Any:
    """What a person put in place of arguments may be an object of the host's, with fields."""
    if value is None or isinstance(value, str | bytes | int | float):
        return value
    try:
        return values.plain(value)
    except values.UnfitError:
        return REDACTED


def _refusal(entry: _Entry, fields: Sequence[str]) -> str:
    whose = f"{entry.tool} has" if entry.tool else "any tool has"
    near = difflib.get_close_matches(entry.field, fields, n=3)
    hint = f"the nearest are {', '.join(near)}" if near else "it would redact nothing"
    return (
        f"redact: no field that {whose} is called {entry.field!r}; {hint}. For fields that no schema names write "
        f"a glob, as in {f'*{entry.field}*'!r}"
    )
