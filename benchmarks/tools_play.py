"""A task played both ways on real servers, and what crossed the model's context: tokens in, tokens out, turns.

No model takes part. What it would write is a fixed script; what it would read is what the servers really gave. A turn
is one thing that the model writes: calls, a program, or the answer at the end. With each turn it is sent all that was
said before, so a turn costs the whole context once more, unless that is in a cache.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import tools_tokens
from protocell import AsyncSandbox
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.description import NAME
from protocell._catalogue.specs import spec_name
from protocell.tools import Answer, Question, Reply, Tool

Kind = Literal["work", "discovery", "answer"]
T = TypeVar("T")

# What providers ask for, roughly and in this proportion, in units of a token that is read for the first time.
PRICE_OF_REREADING = 0.1
PRICE_OF_WRITING = 5.0


class PlayError(Exception):
    """A script did not come to what it should: the figures of this task would be worth nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One thing that the model writes, and what comes back; in tokens."""

    kind: Kind
    said: int
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one way of doing a task came to, in tokens."""

    definitions: int
    request: int
    turns: Sequence[Turn]
    level: str = ""
    """Of the catalogue, in code mode."""

    @property
    def written(self) -> int:
        """Tokens out: all that the model wrote."""
        return sum(turn.said for turn in self.turns)

    @property
    def results(self) -> int:
        """What came back from work, and was in the context from then on."""
        return sum(turn.seen for turn in self.turns if turn.kind == "work")

    @property
    def discovery(self) -> int:
        """What was shown of tools that were looked for."""
        return sum(turn.seen for turn in self.turns if turn.kind == "discovery")

    @property
    def sent(self) -> int:
        """Tokens in: the context of every turn, each time anew."""
        return sum(self._contexts())

    @property
    def context(self) -> int:
        """The context at the end, the answer included: every token once."""
        return self.definitions + self.request + sum(turn.said + turn.seen for turn in self.turns)

    @property
    def price(self) -> float:
        """All of it, in tokens that are read for the first time; what was read before comes from a cache."""
        contexts = self._contexts()
        again = sum(contexts[:-1])
        return contexts[-1] + PRICE_OF_REREADING * again + PRICE_OF_WRITING * self.written

    def _contexts(self) -> list[int]:
        """Of each turn, what the model reads before it writes."""
        found = [self.definitions + self.request]
        for turn in self.turns[:-1]:
            found.append(found[-1] + turn.said + turn.seen)
        return found


@dataclass(slots=True, kw_only=True)
class Stage:
    """Where a task is played: the tools that there are, and the turns that it took."""

    data: Path
    tools: Sequence[Tool]
    _turns: list[Turn] = field(default_factory=list)

    def note(self, kind: Kind, said: str, seen: str = "") -> None:
        """A turn. The folder of the run is another one each time, and stands as ``/data``."""
        said, seen = (text.replace(str(self.data), "/data") for text in (said, seen))
        counts = (tools_tokens.count(text) for text in (said, seen))
        self._turns.append(Turn(kind=kind, said=next(counts), seen=next(counts)))

    def account(self, definitions: str, request: str, level: str = "") -> Account:
        """What the turns came to."""
        return Account(
            definitions=tools_tokens.count(definitions),
            request=tools_tokens.count(request),
            turns=tuple(self._turns),
            level=level,
        )


class Static:
    """A model that has each tool by itself: every call is written, and every result is read, whole."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        catalogue = Catalogue.of(stage.tools)
        self._tools = {tool.id: tool for tool in stage.tools}
        self._names = {tool.id: spec_name(catalogue, tool) for tool in stage.tools}
        self.data = stage.data

    async def turn(self, *calls: tuple[str, Mapping[str, Any]]) -> list[str]:
        """Calls that are made at once, in one turn; their results as the model reads them."""
        said = [
            compact({"name": self._names[name], "arguments": arguments})
            for name, arguments in calls
        ]
        seen = await asyncio.gather(*(self._called(*call) for call in calls))
        self._stage.note("work", "\n".join(said), "\n".join(seen))
        return list(seen)

    async def _called(self, name: str, arguments: Mapping[str, Any]) -> str:
        answer = await call(self._tools[name], arguments)
        return answer.text or compact(answer.value)


class Code:
    """A model that writes programs: only what they print is read."""

    def __init__(self, stage: Stage, sandbox: AsyncSandbox) -> None:
        self._stage = stage
        self._sandbox = sandbox
        self.data = stage.data

    async def run(self, program: str, kind: Kind = "work") -> str:
        """One program in one turn; what it printed."""
        program = program.replace("/data", str(self.data))
        execution = await self._sandbox.run_code(program)
        if execution.status != "ok":
            raise PlayError(f"a program ended with {execution.status}: {execution.error}")
        seen = "".join(execution.logs.stdout) + (execution.text or "")
        self._stage.note(kind, compact({"name": NAME, "arguments": {"code": program}}), seen)
        return seen


class _Call:
    """A call without a broker; nobody is asked."""

    id = 1

    def progress(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Nobody listens."""

    async def ask(self, question: Question) -> Reply:  # noqa: ARG002 - whatever it is
        """Nobody answers."""
        return Reply(action="decline")

    def run_sync(self, work: Callable[[], T]) -> Awaitable[T]:
        """In a thread."""
        return asyncio.to_thread(work)


async def call(tool: Tool, arguments: Mapping[str, Any]) -> Answer:
    """Call a tool by itself."""
    return await tool.invoke(dict(arguments), _Call())


def compact(value: Any) -> str:
    """JSON as short as it can be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
