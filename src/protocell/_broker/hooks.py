"""Calls what the caller of the sandbox gave to be called: rules, who approves, and who hears of each call.

What fails there denies.  The code is told no more than who failed; the caller finds the traceback in the logger
``protocell.tools``, or a fault of his own would look like a refusal that he wanted.

What is no coroutine function runs in a thread: it may ask a person at a terminal, and the loop is not its own.  The
clock of the code stands still meanwhile, so each has a time that ends it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from protocell._broker.cancelling import joined
from protocell._printable import printable_line
from protocell.calls import ToolCall
from protocell.tools.access import Tools
from protocell.tools.approval import ApprovalRequest
from protocell.tools.errors import ToolError
from protocell.tools.tool import Tool

T = TypeVar("T")
InThread = Callable[[Callable[[], T]], Awaitable[T]]
_LOG = logging.getLogger("protocell.tools")


class HostFaultError(ToolError):
    """A call is denied because something of the caller's failed; ``why`` is for his log, the message for the code."""

    def __init__(self, message: str, why: str, *, tool: Tool) -> None:
        super().__init__(message, kind="denied", tool=tool.id, server=tool.server)
        self.why = why


def fault(
    who: str, error: BaseException | None = None, said: str = "", tool: str = ""
) -> ToolError:
    """The refusal because of what was raised, or ``said`` in place of an answer; the caller is told it now."""
    what = said or f"failed ({type(error).__name__})"
    log_fault(f"{who} {what}", error, tool)
    return ToolError(f"{who} {what}", kind="denied")


def log_fault(what: str, error: BaseException | None, tool: str) -> None:
    """For the caller: with the traceback, where there is one."""
    of = f" in a call of {printable_line(tool)}" if tool else ""
    _LOG.error("%s%s; the call is denied or its answer withheld", what, of, exc_info=error)


class TooLateError(Exception):
    """It has not come to its end in its time; says which that is, as the end of a sentence."""


async def called(
    function: Callable[[T], Any], about: T, in_thread: InThread[Any], seconds: float
) -> Any:
    """What it returns, or what comes of awaiting that.

    Raises:
        TooLateError: nothing, within so many seconds.
    """
    clock = asyncio.timeout(seconds)
    try:
        async with clock:
            return await joined(lambda: call_in_place(function, about, in_thread))
    except TimeoutError:
        if clock.expired():
            raise TooLateError(f"within {seconds:g} s") from None
        raise  # the function's own


async def call_in_place(function: Callable[[T], Any], about: T, in_thread: InThread[Any]) -> Any:
    """The same without a bound: in the loop or in a thread, as it is made."""
    is_async = inspect.iscoroutinefunction(function)
    if not is_async and not inspect.iscoroutinefunction(type(function).__call__):
        said = await in_thread(lambda: function(about))
    else:
        said = function(about)
    return await said if inspect.isawaitable(said) else said


class Hooks:
    """``Tools.before`` and ``Tools.after``."""

    def __init__(self, tools: Tools, in_thread: InThread[Any]) -> None:
        self._before, self._after = tools.before, tools.after
        self._in_thread = in_thread
        self._seconds = tools.limits.approval_seconds

    @property
    def hear_after(self) -> bool:
        """Whether one of them sees what a call came to, and can keep it from the code."""
        return self._after is not None

    @property
    def hear_before(self) -> bool:
        """Whether one of them hears of a call before it is made, and can keep it from that."""
        return self._before is not None

    async def before(self, request: ApprovalRequest) -> None:
        """A call is about to be made.

        Raises:
            ToolError: it is not to be: what the hook raised, or that it failed.
        """
        if self._before is not None:
            await self._hear("before=", self._before, request, request.tool)

    async def after(self, record: Callable[[], ToolCall]) -> None:
        """A call has come to its end; raises as ``before``: the code is not to have its answer."""
        if self._after is not None:
            call = record()
            tool = f"{call.server}/{call.tool}"
            has_run = call.outcome in ("ok", "withheld")
            ran = f"{tool} has run, and its answer is withheld: " if has_run else ""
            await self._hear(f"{ran}after=", self._after, call, tool)

    async def _hear(self, who: str, hook: Callable[[T], Any], about: T, tool: str) -> None:
        try:
            await called(hook, about, self._in_thread, self._seconds)
        except ToolError:
            raise
        except TooLateError as late:
            raise ToolError(f"{who} had not returned {late}", kind="denied") from None
        except (Exception, SystemExit) as error:  # whoever cannot look does not permit
            raise fault(who, error, tool=tool) from error
