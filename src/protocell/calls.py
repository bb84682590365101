"""What the code called while it ran, as values: for whoever has to know what has happened already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

CallOutcome = Literal["ok", "error", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call of a tool, as it went on the host's side."""

    number: int
    """In its execution, from 1, in the order in which calls came."""
    server: str
    tool: str
    """Original name; text that the code sent, where there is no such tool."""
    arguments: Mapping[str, Any]
    """By original names, as they came; what the toolset redacts is ``"[redacted]"``."""
    outcome: CallOutcome
    kind: str = ""
    """Of the error: validation, not_found, timeout, denied, budget, transport or tool."""
    message: str = ""
    """Of the error."""
    approval: str = ""
    """How it came to be allowed: allowed, approved, approved with other arguments; "" if it never was."""
    seconds: float = 0.0
    """That the tool took."""
    asked_seconds: float = 0.0
    """That a person took to decide."""
    argument_bytes: int = 0
    result_bytes: int = 0

    def __str__(self) -> str:
        ending = {"ok": f"ok, {self.result_bytes} bytes", "cancelled": "cancelled before its end"}
        ended = ending.get(self.outcome, f"{self.kind}: {self.message}")
        return f"{self.number}. {self.server}/{self.tool}: {ended} ({self.seconds:.3f} s)"
