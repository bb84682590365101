"""Marks what code finds in ``skills``: the catalogue shows it with the tools, and it takes no name from any of them."""

from __future__ import annotations

from dataclasses import dataclass

from protocell.tools.tool import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillTool(Tool):
    """Of the namespace ``skills``: found there alone, never without it."""
