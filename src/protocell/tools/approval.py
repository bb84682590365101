"""What somebody is asked before a tool is called, and what they may say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """A call that somebody has to decide about; the arguments are those that the tool would get."""

    tool: str
    """``server/name``."""
    description: str
    arguments: Mapping[str, Any]
    execution: int
    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The decision: ``Approval(allowed=False, reason=…)``, or with other arguments than those that were asked for."""

    allowed: bool
    reason: str = ""
    arguments: Mapping[str, Any] | None = None


Said = Approval | bool | Literal["allow", "deny"]
Asked = Callable[[ApprovalRequest], Said | Awaitable[Said]]
Approve = Literal["allow", "deny"] | Asked
