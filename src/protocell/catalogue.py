"""What a model is shown of tools, and what that costs: for whoever writes the agent's loop.

``show`` gives the view of a toolset, ``Sandbox.catalogue`` that of a sandbox. ``View.description`` is the whole
description of the one tool that runs code; ``direct_specs`` are the tools that the model is given beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from os import PathLike

from protocell._catalogue import description as words
from protocell._catalogue import known
from protocell._catalogue.account import TokenAccount
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.changes import Changes
from protocell._catalogue.choice import direct_tools
from protocell._catalogue.levels import View
from protocell._catalogue.showing import shown
from protocell._catalogue.specs import Spec, spec
from protocell._catalogue.tokens import Count
from protocell.tools.access import Level, Tools, as_tools
from protocell.tools.toolset import Toolset

__all__ = [
    "Changes",
    "Count",
    "Level",
    "Spec",
    "TokenAccount",
    "View",
    "accept",
    "description",
    "direct_specs",
    "execute_spec",
    "show",
]


async def show(
    tools: Toolset | Tools,
    *,
    budget_tokens: int | None = None,
    pinned: Collection[str] = (),
    level: Level | None = None,
) -> View:
    """What a model is shown of these tools; starts the servers that are not started.

    The text depends on the tools alone: the same ones give the same text. What is given here counts
    in place of the fields of ``Tools``, and ``pinned`` beside them.

    Raises:
        PolicyError: an argument is wrong, or a pinned or direct one fits no tool.
        ToolError: a server cannot be reached.
        FileError: the file of known definitions cannot be read or written.
    """
    given = as_tools(tools)
    given = replace(
        given,
        budget_tokens=given.budget_tokens if budget_tokens is None else budget_tokens,
        level=given.level if level is None else level,
        pinned=(*given.pinned, *replace(given, pinned=pinned).pinned),
    )
    catalogue = await _catalogue(given)
    return await asyncio.to_thread(shown, catalogue, given)


def description(view: View) -> str:
    """The description of a tool ``execute_python(code)``: what runs, what stays, how tools are called; the view."""
    return view.description


def execute_spec(view: View, *, name: str = words.NAME) -> Spec:
    """That tool as a static spec: ``{"name", "description", "input_schema"}``."""
    return words.execute_spec(view.description, name)


async def direct_specs(tools: Toolset | Tools) -> list[Spec]:
    """Those that are better given to the model directly (``Tools.direct``), as static specs, in order.

    ``View.direct`` has the id of each by its name here. Let the model's call of one run as
    ``call_tool(id, arguments)`` in the sandbox: then the same rules, limits and log hold for it.

    Raises:
        PolicyError: one of ``Tools.direct`` fits no tool.
        ToolError: a server cannot be reached.
    """
    given = as_tools(tools)
    catalogue = await _catalogue(given)
    return [spec(catalogue, tool) for tool in direct_tools(catalogue, given.direct)]


def accept(view: View, path: str | PathLike[str]) -> None:
    """The definitions in this view are the known ones from now on, in the file that ``Tools.known`` names.

    Raises:
        FileError: it cannot be written.
    """
    known.write(path, view.digests)


async def _catalogue(tools: Tools) -> Catalogue:
    return Catalogue.of(await tools.toolset.tools())
