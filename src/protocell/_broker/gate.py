"""Whether a call may happen: its rule, and where the rule says so a person, through the caller's ``approve``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from protocell._broker.hooks import called
from protocell.tools.approval import Approval, ApprovalRequest
from protocell.tools.errors import ToolError
from protocell.tools.tool import Tool

if TYPE_CHECKING:
    from protocell._broker.desk import Desk

_BY_RULE = "a rule of this sandbox denies it with these arguments"


class Gate:
    """What one execution's calls have to pass."""

    def __init__(self, desk: Desk, seconds: float) -> None:
        self._desk = desk
        self._seconds = seconds
        self._once: set[str] = set()

    async def pass_through(
        self, tool: Tool, request: ApprovalRequest
    ) -> tuple[dict[str, Any], str]:
        """The arguments to call with, and the words for the log.

        Raises:
            ToolError: kind ``denied``; says by whom, and why.
        """
        arguments = dict(request.arguments)
        decision = tool.permission.decide(arguments)
        if decision == "allow" or (decision == "ask_once" and tool.id in self._once):
            return arguments, "allowed"
        if decision == "deny":
            raise _denied(tool, _BY_RULE)
        approval = await self._ask(tool, request)
        if not approval.allowed:
            raise _denied(tool, approval.reason or "it was asked for and denied")
        if decision == "ask_once":
            self._once.add(tool.id)
        if approval.arguments is None:
            return arguments, "approved"
        return dict(approval.arguments), "approved with other arguments"

    def refuse_denied(self, tool: Tool, arguments: dict[str, Any]) -> None:
        """Raises ToolError where a rule says no; nobody is asked: it was made before, and is not made again."""
        if tool.permission.decide(arguments) == "deny":
            raise _denied(tool, _BY_RULE)

    async def _ask(self, tool: Tool, request: ApprovalRequest) -> Approval:
        approve = self._desk.approve
        if approve is None:
            raise _denied(tool, "it needs an approval, and nobody is there to give one")
        if isinstance(approve, str):
            return Approval(allowed=approve == "allow", reason="all that is asked about is denied")
        try:
            async with asyncio.timeout(self._seconds):
                said = await called(approve, request, self._desk.in_thread)
        except TimeoutError:
            raise _denied(tool, f"nobody decided within {self._seconds:g} s") from None
        except Exception as error:  # who cannot decide does not permit
            raise _denied(tool, f"approve= failed ({type(error).__name__})") from error
        if isinstance(said, Approval):
            return said
        if isinstance(said, bool):
            return Approval(allowed=said)
        why = f"approve= returned {type(said).__name__}; allowed are Approval(...), True and False"
        raise _denied(tool, why)


def _denied(tool: Tool, why: str) -> ToolError:
    return ToolError(
        f"{tool.id} was not called: {why}", kind="denied", tool=tool.id, server=tool.server
    )
