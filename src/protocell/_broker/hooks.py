"""Calls what the caller of the sandbox gave to be called: rules, who approves, and who hears of each call.

What is no coroutine function runs in a thread: it may ask a person at a terminal, and the loop is not its own.  The
clock of the code stands still meanwhile, so each has a time that ends it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from protocell._broker.cancelling import joined
from protocell.calls import ToolCall
from protocell.tools.access import Tools
from protocell.tools.approval import ApprovalRequest
from protocell.tools.errors import ToolError

T = TypeVar("T")
InThread = Callable[[Callable[[], T]], Awaitable[T]]


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
            return await joined(lambda: _called(function, about, in_thread))
    except TimeoutError:
        if clock.expired():
            raise TooLateError(f"within {seconds:g} s") from None
        raise  # the function's own


async def _called(function: Callable[[T], Any], about: T, in_thread: InThread[Any]) -> Any:
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
    def hear_before(self) -> bool:
        """Whether one of them hears of a call before it is made, and can keep it from that."""
        return self._before is not None

    async def before(self, request: ApprovalRequest) -> None:
        """A call is about to be made.

        Raises:
            ToolError: it is not to be: what the hook raised, or that it failed.
        """
        if self._before is not None:
            await self._hear("before", self._before, request)

    async def after(self, record: Callable[[], ToolCall]) -> None:
        """A call has come to its end; raises as ``before``: the code is not to have its answer."""
        if self._after is not None:
            await self._hear("after", self._after, record())

    async def _hear(self, name: str, hook: Callable[[T], Any], about: T) -> None:
        try:
            await called(hook, about, self._in_thread, self._seconds)
        except ToolError:
            raise
        except TooLateError as late:
            raise ToolError(f"{name}= had not returned {late}", kind="denied") from None
        except (Exception, SystemExit) as error:  # whoever cannot look does not permit
            raise ToolError(f"{name}= failed ({type(error).__name__})", kind="denied") from error
