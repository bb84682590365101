"""A call without a broker, for the tests of tools: questions are answered, progress is kept."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from protocell.tools.tool import Answer, Question, Reply, Tool
from protocell.tools.validation import prepare

T = TypeVar("T")


@dataclass
class DirectCall:
    """One call, in the loop that runs; blocking work goes to a thread."""

    id: int = 1
    reply: Reply = field(default_factory=lambda: Reply(action="accept", content={"size": 3}))
    said: list[tuple[str, float | None, float | None]] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)

    def progress(self, text: str, done: float | None = None, total: float | None = None) -> None:
        self.said.append((text, done, total))

    async def ask(self, question: Question) -> Reply:
        self.asked.append(question)
        return self.reply

    def run_sync(self, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.to_thread(work)


async def call(tool: Tool, **arguments: Any) -> Answer:
    """What a broker does with one call: check it, then make it."""
    return await tool.invoke(prepare(tool, arguments), DirectCall())
