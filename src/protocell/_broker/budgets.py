"""What the calls of one execution have used so far, of each tool and of all together, against what they may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from protocell._broker.clock import Clock
from protocell.tools.budget import Budget, strictest
from protocell.tools.errors import ToolError
from protocell.tools.limits import ToolLimits
from protocell.tools.selection import Patterns
from protocell.tools.tool import Tool

NO_REPEAT = "do not repeat it if it changes something"
_ADVICE = "do with what there is, or ask for less at a time"


class Budgets:
    """Of one execution."""

    def __init__(self, limits: ToolLimits, of_tools: Mapping[str, Budget]) -> None:
        """``of_tools`` are by name or glob; which counts of several is as for rules (``Patterns``)."""
        whole = Budget(calls=limits.calls, seconds=limits.seconds, total_bytes=limits.total_bytes)
        self.whole = Spending("this execution", whole)
        self._call_seconds = limits.call_seconds
        self._of_tools = of_tools
        self._patterns = Patterns(of_tools)
        self._spent: dict[str, Spending] = {}

    def of(self, tool: Tool) -> Spending:
        """Of one tool."""
        if tool.id not in self._spent:
            fitting = self._patterns.best(tool)
            budget = strictest(self._of_tools[str(pattern)] for pattern in fitting)
            self._spent[tool.id] = Spending(tool.id, budget)
        return self._spent[tool.id]

    def hand_over(self, tool: Tool, size: int) -> None:
        """So many bytes that a tool, which has run, gave.

        Raises:
            ToolError: kind ``budget``; they are too many.
        """
        try:
            self.whole.give(size)
            self.of(tool).give(size)
        except ToolError as over:
            text = f"{tool.id} has run, and its answer is withheld: {over}; {NO_REPEAT}"
            raise ToolError(text, kind="budget") from None

    def call_seconds(self, tool: Tool) -> float:
        """For one call of it."""
        own = self.of(tool).budget.call_seconds
        return self._call_seconds if own is None else min(own, self._call_seconds)


class Spending:
    """What was used of one budget."""

    def __init__(self, whose: str, budget: Budget) -> None:
        self.budget = budget
        self.clock = Clock()
        self._whose = whose
        self._calls = self._bytes = 0
        self._slots = None if budget.at_once is None else asyncio.Semaphore(budget.at_once)

    def begin(self) -> None:
        """One call more.

        Raises:
            ToolError: kind ``budget``; it is one too many, or there is no time or room left for any.
        """
        self._calls += 1
        budget = self.budget
        if budget.calls is not None and self._calls > budget.calls:
            raise self._over(f"may make {budget.calls} calls, and this is one more")
        if budget.seconds is not None and self.clock.seconds > budget.seconds:
            raise self._over(f"has taken {budget.seconds:g} s in its calls, which is all it may")
        self.give(0)

    def give(self, size: int) -> None:
        """So many bytes are handed over; raises as ``begin``."""
        self._bytes += size
        most = self.budget.total_bytes
        if most is not None and self._bytes > most:
            raise self._over(f"has been given {self._bytes} bytes by its calls; at most {most} are")

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """For the time of a call, among those that may run beside each other."""
        if self._slots is None:
            yield
        else:
            async with self._slots:
                yield

    def _over(self, what: str) -> ToolError:
        return ToolError(f"{self._whose} {what}; {_ADVICE}", kind="budget")
