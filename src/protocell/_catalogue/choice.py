"""Which tools a few patterns mean: those that are always shown, those that a model is given directly."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.text import one_line
from protocell.errors import PolicyError
from protocell.tools.skill_tool import SkillTool
from protocell.tools.tool import Tool


def chosen(
    catalogue: Catalogue, field: str, patterns: Collection[str], *, strict: bool = True
) -> list[Tool]:
    """The tools that one of the patterns fits, in the catalogue's order.

    A pattern is an id (``github/create_issue``), a path (``github.create_issue``), or either with ``*``,
    ``?`` and ``[...]`` in it. ``field`` is where the patterns were given.

    Raises:
        PolicyError: one fits nothing; if it is not ``strict``, there may be such.
    """
    names = {id(tool): tuple(_names(catalogue, tool)) for tool in catalogue.tools}
    if strict:
        every = {name for some in names.values() for name in some}
        for pattern in patterns:
            if not _fits(pattern, every):
                raise PolicyError(_refusal(field, pattern, every))
    return [
        tool
        for tool in catalogue.tools
        if any(_fits(pattern, names[id(tool)]) for pattern in patterns)
    ]


def direct_tools(
    catalogue: Catalogue, patterns: Collection[str], *, strict: bool = True
) -> list[Tool]:
    """Those of them that a model can be given: a skill runs where the code does, and nowhere else."""
    found = chosen(catalogue, "direct", patterns, strict=strict)
    return [tool for tool in found if not isinstance(tool, SkillTool)]


def _fits(pattern: str, names: Collection[str]) -> bool:
    return pattern in names or any(fnmatchcase(name, pattern) for name in names)


def _names(catalogue: Catalogue, tool: Tool) -> Iterator[str]:
    yield tool.id
    yield catalogue.path(tool)
    yield f"{tool.server}.{tool.identifier}"


def _refusal(field: str, pattern: str, every: Collection[str]) -> str:
    near = difflib.get_close_matches(pattern, sorted(every), n=3)
    shown = ", ".join(one_line(each, 100) for each in near)
    hint = f"the nearest are {shown}" if near else 'write "server.name", or a glob of it'
    return f"{field} has {pattern!r}, and no tool is called so; {hint}"
