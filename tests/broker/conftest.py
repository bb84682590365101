"""A desk with a few tools, and the line of one execution with the far end in the test's hands."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from protocell._broker.counter import Counter
from protocell._broker.desk import Desk
from protocell._broker.runtime import OwnRuntime
from protocell.tools.access import Tools
from protocell.tools.limits import ToolLimits
from protocell.tools.toolset import Toolset
from protocell_guest.guest.toolbox import Toolbox


@dataclass
class World:
    """What the tools have seen."""

    seen: list[Any] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    met: asyncio.Condition = field(default_factory=asyncio.Condition)
    came: int = 0


def toolset_of(world: World) -> Toolset:
    async def echo(value: Any, seconds: float = 0.0) -> Any:
        """Give the value back."""
        world.seen.append(value)
        world.at_once += 1
        world.most_at_once = max(world.most_at_once, world.at_once)
        try:
            await asyncio.sleep(seconds)
        finally:
            world.at_once -= 1
        return value

    async def stay(name: str) -> None:
        """Never end."""
        world.begun.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            world.cancelled.append(name)

    async def meet(value: int, count: int) -> int:
        """Give the value back when so many are there."""
        async with asyncio.timeout(20), world.met:
            world.came += 1
            world.met.notify_all()
            await world.met.wait_for(lambda: world.came % count == 0)
        return value

    def blocking(value: int) -> int:
        """In a thread."""
        return value + 1

    async def many(count: int) -> str:
        """Give so many characters."""
        return "x" * count

    def fail(text: str) -> None:
        """Say no."""
        raise ValueError(text)

    return Toolset.of(echo, stay, meet, blocking, many, fail, name="host")


CARDS = [
    {
        "id": f"host/{name}",
        "space": "host",
        "name": name,
        "flat": True,
        "open": False,
        "doc": f"Do {name}.",
        "returns": "Any",
        "parameters": [
            {
                "name": each,
                "identifier": each,
                "kind": "normal",
                "required": required,
                "hint": "Any",
            }
            for each, required in parameters
        ],
    }
    for name, parameters in {
        "echo": [("value", True), ("seconds", False)],
        "stay": [("name", True)],
        "meet": [("value", True), ("count", True)],
        "blocking": [("value", True)],
        "many": [("count", True)],
        "fail": [("text", True)],
    }.items()
]


@dataclass
class Session:
    """One execution's line."""

    world: World
    counter: Counter
    toolbox: Toolbox

    @property
    def tools(self) -> dict[str, Any]:
        """As model code finds them."""
        return self.toolbox.names()

    def finish(self) -> None:
        """The execution has ended."""
        bell = self.counter.finish()
        assert select.select([bell], [], [], 30)[0] == [bell]


Open = Callable[..., Session]


@pytest.fixture
def open_line() -> Iterator[Open]:
    """Open the line of an execution, with these limits and these permissions."""
    runtime = OwnRuntime()
    sessions: list[Session] = []

    def open_one(
        limits: ToolLimits | None = None,
        change: Callable[[Toolset], Toolset] = lambda toolset: toolset,
        **options: Any,
    ) -> Session:
        world = World()
        toolset = change(toolset_of(world))
        tools = Tools(toolset=toolset, limits=limits or ToolLimits(), **options)
        desk = Desk(tools, runtime)
        counter = desk.counter(1)
        counter.begin()
        toolbox = Toolbox(CARDS)
        toolbox.open(counter.far.dup(), desk.limits.argument_bytes)
        sessions.append(Session(world, counter, toolbox))
        return sessions[-1]

    yield open_one
    for session in sessions:
        session.finish()
        session.toolbox.close()
        session.counter.close()
    runtime.close()
