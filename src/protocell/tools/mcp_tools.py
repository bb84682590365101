"""What an MCP server lists, as tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import mcp_types

from protocell.tools.names import identifiers
from protocell.tools.parameters import parameters_of
from protocell.tools.tool import Annotations, Answer, Call, Tool
from protocell.tools.values import value_schema

Invoke = Callable[[mcp_types.Tool, dict[str, Any], Call], Awaitable[Answer]]


def tools_of(server: str, listed: Sequence[mcp_types.Tool], invoke: Invoke) -> tuple[Tool, ...]:
    """One for each that is listed, in the server's order; ``invoke`` gets the server's own entry."""
    named = identifiers(tool.name for tool in listed)
    return tuple(
        Tool(
            server=server,
            name=tool.name,
            identifier=named[tool.name],
            description=tool.description or "",
            parameters=parameters_of(tool.input_schema),
            input_schema=tool.input_schema,
            output_schema=value_schema(tool.output_schema),
            annotations=_annotations(tool),
            invoke=partial(invoke, tool),
        )
        for tool in listed
    )


def needs_task(tool: mcp_types.Tool) -> bool:
    """Whether it says that it can be called as a task only (2025-11-25)."""
    return tool.execution is not None and tool.execution.task_support == "required"


def _annotations(tool: mcp_types.Tool) -> Annotations:
    hints = tool.annotations or mcp_types.ToolAnnotations()
    return Annotations(
        title=tool.title or hints.title or "",
        read_only=hints.read_only_hint,
        destructive=hints.destructive_hint,
        idempotent=hints.idempotent_hint,
        open_world=hints.open_world_hint,
    )
