"""Whether a call may happen: its rule, and where the rule says so a person, through the caller's ``approve``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from protocell._broker.hooks import HostFaultError, TooLateError, called, fault, log_fault
from protocell.tools.approval import Approval, ApprovalRequest
from protocell.tools.errors import ToolError
from protocell.tools.permission import Decision, Verdict
from protocell.tools.skill_tool import SkillTool
from protocell.tools.tool import Tool
from protocell.tools.validation import prepare

if TYPE_CHECKING:
    from protocell._broker.desk import Desk

_BY_RULE = "a rule of this sandbox denies it with these arguments"


class Gate:
    """What one execution's calls have to pass."""

    def __init__(self, desk: Desk, seconds: float) -> None:
        self._desk = desk
        self._seconds = seconds
        self._once: set[str] = set()
        self._asking: dict[str, asyncio.Lock] = {}  # of tools that are asked about once

    async def pass_through(
        self, tool: Tool, request: ApprovalRequest
    ) -> tuple[dict[str, Any], str]:
        """The arguments to call with, and the words for the log.

        Raises:
            ToolError: kind ``denied``; says by whom, and why.
        """
        arguments = dict(request.arguments)
        decision = await self._decision(tool, arguments)
        if decision == "allow":
            return arguments, "allowed"
        if decision == "deny":
            raise _denied(tool, _BY_RULE)
        if decision == "ask":
            return await self._approved(tool, request)
        async with self._turn(tool):
            if tool.id in self._once:
                return arguments, "allowed"
            approved = await self._approved(tool, request)
            self._once.add(tool.id)
            return approved

    @contextlib.asynccontextmanager
    async def _turn(self, tool: Tool) -> AsyncIterator[None]:
        """Of those that are asked about once: they wait for the answer to the first, no longer than for their own."""
        turn = self._asking.setdefault(tool.id, asyncio.Lock())
        try:
            async with asyncio.timeout(self._seconds):
                await turn.acquire()
        except TimeoutError:
            raise _denied(tool, f"nobody decided within {self._seconds:g} s") from None
        try:
            yield
        finally:
            turn.release()

    async def refuse_denied(self, tool: Tool, arguments: dict[str, Any]) -> None:
        """Raises ToolError where a rule says no; nobody is asked: it was made before, and is not made again."""
        if await self._decision(tool, arguments) == "deny":
            raise _denied(tool, _BY_RULE)

    async def _decision(self, tool: Tool, arguments: dict[str, Any]) -> Decision:
        if not tool.permission.asks_a_function:
            return tool.permission.decide(arguments)
        try:
            verdict: Verdict = await called(
                tool.permission.verdict, arguments, self._desk.in_thread, self._seconds
            )
        except TooLateError as late:
            raise _denied(tool, f"its rule had not decided {late}") from None
        if verdict.fault:
            log_fault(f"a rule of permit() {verdict.fault}", verdict.error, tool.id)
            message, why = _not_called(tool, _BY_RULE), f"its rule {verdict.fault}"
            raise HostFaultError(message, _not_called(tool, why), tool=tool)
        return verdict.decision

    async def _approved(self, tool: Tool, request: ApprovalRequest) -> tuple[dict[str, Any], str]:
        approval = await self._ask(tool, request)
        if not approval.allowed:
            raise _denied(tool, approval.reason or "it was asked for and denied")
        if approval.arguments is None:
            return dict(request.arguments), "approved"
        if not isinstance(approval.arguments, Mapping):
            raise _unfit(tool, f"{type(approval.arguments).__name__} in place of a mapping")
        return dict(approval.arguments), "approved with other arguments"

    @staticmethod
    def checked(tool: Tool, edited: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that a person put in place of the code's, as the tool takes them.

        Raises:
            ToolError: kind ``denied``; they do not fit, for which the code is not to blame.
        """
        try:
            return prepare(tool, edited)
        except ToolError as error:
            raise _unfit(tool, str(error)) from error

    async def _ask(self, tool: Tool, request: ApprovalRequest) -> Approval:
        approve = self._desk.approve
        if approve is None:
            raise _denied(tool, "it needs an approval, and nobody is there to give one")
        if isinstance(approve, str):
            return Approval(allowed=approve == "allow", reason="all that is asked about is denied")
        # The one parameter of the caller's that decides, in messages for him.
        name = "consent" if isinstance(tool, SkillTool) else "approve"
        try:
            said = await called(approve, request, self._desk.in_thread, self._seconds)
        except TooLateError as late:
            raise _denied(tool, f"nobody decided {late}") from None
        except (Exception, SystemExit) as error:  # who cannot decide does not permit
            raise _denied(tool, str(fault(f"{name}=", error, tool=tool.id))) from error
        if isinstance(said, Approval):
            return said
        if isinstance(said, bool):
            return Approval(allowed=said)
        if isinstance(said, str) and said in ("allow", "deny"):
            return Approval(allowed=said == "allow")
        what = f"returned {type(said).__name__}; allowed are Approval(...), True, False, 'allow', 'deny'"
        raise _denied(tool, str(fault(f"{name}=", said=what, tool=tool.id)))


def _denied(tool: Tool, why: str) -> ToolError:
    return ToolError(_not_called(tool, why), kind="denied", tool=tool.id, server=tool.server)


def _unfit(tool: Tool, how: str) -> ToolError:
    what = "the arguments that the person who approved it put in place of the code's are invalid"
    log_fault(f"{what} ({how})", None, tool.id)
    return _denied(tool, f"{what}, and those of the code were right ({how})")


def _not_called(tool: Tool, why: str) -> str:
    return f"{tool.id} was not called: {why}"
