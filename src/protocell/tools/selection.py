"""What one does with a list of tools: put lists together, keep some, rename, prefix, say who may be called.

Tools are named by patterns: ``server/name``, ``server.identifier``, or the name or identifier alone, with ``*``,
``?`` and ``[...]`` as in file names. A name without these has to fit some tool, once at least: a rule that was
meant to forbid something, and is misspelled, must not be silent. In budgets and for the log's redaction, which are
for tools that are there, globs have to as well. What a server no longer lists later is no error.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from protocell.errors import PolicyError
from protocell.tools.permission import Permission, Rule
from protocell.tools.tool import Tool

Tools = tuple[Tool, ...]
Pattern = str | Callable[[Tool], bool]


class Patterns:
    """Several of them, in order."""

    def __init__(self, patterns: Iterable[Pattern], *, strict_for: str = "") -> None:
        """``strict_for``: the setting that they are in, if globs in it have to fit some tool too."""
        self._patterns = tuple(patterns)
        self._setting = strict_for and f"{strict_for}: "
        texts = {each for each in self._patterns if isinstance(each, str)}
        self._unseen = {each for each in texts if strict_for or is_exact(each)}

    def check(self, tools: Sequence[Tool], missing: Collection[str] = ()) -> None:
        """Refuses a name that fits nothing here, and never did, nor can be of a server that is missing.

        Raises:
            PolicyError: as said; it names the nearest.
        """
        names = {name for tool in tools for name in _names(tool)}
        self._unseen -= names
        self._unseen -= {
            each for each in self._unseen if any(fnmatchcase(name, each) for name in names)
        }
        here = {tool.server for tool in tools}
        for name in sorted(self._unseen):
            if missing and may_be_elsewhere(name, here, missing):
                continue
            near = difflib.get_close_matches(name, names, n=3)
            hint = f"the nearest are {', '.join(near)}" if near else f"there are {len(tools)} tools"
            raise PolicyError(f"{self._setting}no tool is called {name!r}; {hint}")

    def best(self, tool: Tool) -> list[Pattern]:
        """Those that count for a tool: an exact name, else the globs that say most of its name."""
        fitting = [each for each in self._patterns if _fits(each, tool)]
        most = max(map(_said, fitting), default=0)
        return [each for each in fitting if _said(each) == most]


def merged(tools: Iterable[Tool]) -> Tools:
    """Each tool once. Of two functions with one name in one namespace, the later one gets a number."""
    found: dict[tuple[str, str], Tool] = {}
    for tool in tools:
        known = found.get((tool.server, tool.name))
        if known is None:
            added = tool
        elif known.invoke == tool.invoke:
            rules = (*known.permission.rules, *tool.permission.rules)
            added = replace(known, permission=Permission(tuple(dict.fromkeys(rules))))
        else:
            added = replace(tool, name=_free(tool.name, {each.name for each in found.values()}))
        taken = {
            each.identifier
            for each in found.values()
            if each.server == added.server and each.name != added.name
        }
        added = replace(added, identifier=_free(added.identifier, taken))
        found[added.server, added.name] = added
    return tuple(found.values())


def kept(tools: Tools, patterns: Patterns) -> Tools:
    """Those that one of the patterns fits."""
    return tuple(tool for tool in tools if patterns.best(tool))


def dropped(tools: Tools, patterns: Patterns) -> Tools:
    """Those that none of them fits."""
    return tuple(tool for tool in tools if not patterns.best(tool))


def renamed(tools: Tools, patterns: Patterns, names: Mapping[str, str]) -> Tools:
    """With other identifiers, by exact names."""
    found = {tool.id: patterns.best(tool) for tool in tools}
    return unambiguous(
        tuple(
            replace(tool, identifier=names[str(old[0])]) if (old := found[tool.id]) else tool
            for tool in tools
        )
    )


def prefixed(tools: Tools, prefix: str) -> Tools:
    """With the prefix before each identifier."""
    return tuple(replace(tool, identifier=f"{prefix}{tool.identifier}") for tool in tools)


def permitted(tools: Tools, patterns: Patterns, rules: Mapping[str, Rule]) -> Tools:
    """With the rule of the pattern that counts, in place of the one that was; of several, all."""

    def one(tool: Tool) -> Tool:
        found = tuple(rules[str(pattern)] for pattern in patterns.best(tool))
        return replace(tool, permission=Permission(found)) if found else tool

    return tuple(map(one, tools))


def tightened(tools: Tools, rule: Rule, of_those: Callable[[Tool], bool]) -> Tools:
    """With one rule more for those."""
    return tuple(
        replace(tool, permission=tool.permission.tightened(rule)) if of_those(tool) else tool
        for tool in tools
    )


def unambiguous(tools: Tools) -> Tools:
    """The same tools.

    Raises:
        PolicyError: two of one namespace have the same identifier.
    """
    seen: dict[tuple[str, str], Tool] = {}
    for tool in tools:
        other = seen.setdefault((tool.server, tool.identifier), tool)
        if other is not tool:
            raise PolicyError(
                f"{other.id} and {tool.id} would both be {tool.server}.{tool.identifier}; call one "
                "of them something else"
            )
    return tools


def refuse_bad_identifier(name: str) -> None:
    """Refuses what Python could not write as a name.

    Raises:
        PolicyError: as said.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("__"):
        raise PolicyError(f"{name!r} is no name that a function can have in Python")


def may_be_elsewhere(name: str, here: Collection[str], missing: Collection[str]) -> bool:
    """Whether a name or glob may be that of a tool of a server that is missing."""
    server, slash, _ = name.partition("/")
    if slash:
        return any(each == server or fnmatchcase(each, server) for each in missing)
    return bool(missing) and name.partition(".")[0] not in here


def _names(tool: Tool) -> tuple[str, ...]:
    return (tool.id, f"{tool.server}.{tool.identifier}", tool.name, tool.identifier)


def _fits(pattern: Pattern, tool: Tool) -> bool:
    if callable(pattern):
        return pattern(tool)
    if is_exact(pattern):
        return pattern in _names(tool)
    return any(fnmatchcase(name, pattern) for name in _names(tool))


def _said(pattern: Pattern) -> int:
    """How much of a name it says: ``delete_*`` more than ``*``, whatever comes first; a name, all."""
    if callable(pattern):
        return 0
    return 10_000 if is_exact(pattern) else len(re.sub(r"\[[^]]*\]|[*?]", "", pattern))


def is_exact(pattern: str) -> bool:
    """Whether it is a name, and no glob."""
    return not any(character in pattern for character in "*?[")


def _free(name: str, used: Iterable[str]) -> str:
    taken, number, free = set(used), 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
