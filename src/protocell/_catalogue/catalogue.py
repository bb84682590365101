"""The tools as one ordered list with the names under which code finds them: the same for everything that is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from protocell.tools.names import flat, namespaces
from protocell.tools.skill_tool import SkillTool
from protocell.tools.tool import Tool

_NAMES_INSIDE = (
    "ToolError",
    "call_tool",
    "describe",
    "paginate",
    "save_skill",
    "search_tools",
    "tools",
)
"""What code finds beside the namespaces, as far as the catalogue speaks of it."""


class Returned(NamedTuple):
    """What is known of a tool's value."""

    schema: Mapping[str, Any]
    is_promised: bool
    """By the tool's output schema; else it is only what was seen so far."""
    native: bool
    """Whether its formats stand for Python's types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All tools, sorted by namespace and name, so that the same tools always give the same text."""

    tools: tuple[Tool, ...]
    namespaces: Mapping[str, str]
    """Server -> the variable that has its functions."""
    flat: Mapping[str, Tool]
    """Functions that can be called without their namespace."""
    seen: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Tool id -> JSON schema of the values it gave so far; of those that promise nothing."""

    @classmethod
    def of(
        cls,
        tools: Iterable[Tool],
        *,
        seen: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Catalogue:
        """A catalogue of these tools."""
        every = list(tools)
        variables = namespaces((tool.server for tool in every), _NAMES_INSIDE)
        every.sort(key=lambda tool: (variables[tool.server], tool.identifier, tool.name))
        return cls(
            tools=tuple(every),
            namespaces=variables,
            flat=flat((tool for tool in every if not isinstance(tool, SkillTool)), _NAMES_INSIDE),
            seen=dict(seen or {}),
        )

    def path(self, tool: Tool) -> str:
        """How code names the function: ``github.create_issue``."""
        return f"{self.namespaces[tool.server]}.{tool.identifier}"

    def groups(self) -> Iterator[tuple[str, list[Tool]]]:
        """Each namespace with its tools, in order."""
        for variable, tools in groupby(self.tools, lambda tool: self.namespaces[tool.server]):
            yield variable, list(tools)

    def returned(self, tool: Tool) -> Returned | None:
        """What is known of this tool's value: promised before seen."""
        if tool.output_schema is not None:
            return Returned(tool.output_schema, is_promised=True, native=tool.native)
        if (schema := self.seen.get(tool.id)) is not None:
            return Returned(schema, is_promised=False, native=True)
        return None
