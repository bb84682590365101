"""Plays each task both ways: once with the servers that it needs alone, once with all of them in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from protocell import AsyncSandbox
from protocell.tools import Tool, Toolset
from tools_listing import Listed, Listing, toolset_of
from tools_play import Account, Code, PlayError, Stage, Static, call
from tools_tasks import TASKS, Task
from tools_tokens import shown, static

Setting = Literal["own", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One task in one setting."""

    task: Task
    setting: Setting
    servers: int
    tools: int
    static: Account
    code: Account

    @property
    def share_of_results(self) -> float:
        """What of the results crossed the context in code mode, of what did in the static way."""
        return self.code.results / self.static.results

    @property
    def share_of_price(self) -> float:
        """What code mode costs, of what the static way does; above 1 it loses."""
        return self.code.price / self.static.price


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the tasks are played on."""

    listings: Sequence[Listing]
    place: Path
    data: Path

    def missing(self, task: Task) -> list[str]:
        """Servers that a task needs and that are not there."""
        there = {listing.server.name for listing in self.listings}
        return [name for name in task.servers if name not in there]

    def living(self, task: Task) -> Toolset:
        """The servers that the task needs."""
        found = {each.server.name: each.server for each in self.listings}
        toolsets = (toolset_of(found[name], self.place, self.data) for name in task.servers)
        return sum(toolsets, Toolset())

    def others(self, task: Task) -> Toolset:
        """The tools of all the other servers, as they were listed."""
        others = (each for each in self.listings if each.server.name not in task.servers)
        return sum((Toolset.source(Listed(each)) for each in others), Toolset())


async def compare(scene: Scene, say: Callable[[str], None]) -> tuple[list[Comparison], list[str]]:
    """Every task in both settings; and those that were not played, with why."""
    found, absent = [], []
    for task in TASKS:
        if missing := scene.missing(task):
            absent.append(f"{task.name}: not played without {' and '.join(missing)}")
            continue
        say(f"task: {task.name}")
        found += await _both(scene, task)
    return found, absent


async def _both(scene: Scene, task: Task) -> list[Comparison]:
    async with AsyncExitStack() as stack:
        living = await stack.enter_async_context(scene.living(task))
        tools = {tool.id: tool for tool in await living.tools()}
        if task.prepare:
            name, text = task.prepare
            await call(tools[name], {"query": text.replace("/data", str(scene.data))})
        once = Stage(data=scene.data, tools=tuple(tools.values()))
        answer = await task.static(Static(once))
        once.note("answer", answer)
        every = living + scene.others(task)
        settings: Sequence[tuple[Setting, Toolset]] = (("own", living), ("all", every))
        return [
            await _compared(_Way(scene, task, setting, toolset, answer), once)
            for setting, toolset in settings
        ]


class _Way(NamedTuple):
    """A task in one setting."""

    scene: Scene
    task: Task
    setting: Setting
    toolset: Toolset
    answer: str


async def _compared(way: _Way, once: Stage) -> Comparison:
    tools = await way.toolset.tools()
    return Comparison(
        task=way.task,
        setting=way.setting,
        servers=len({tool.server for tool in tools}),
        tools=len(tools),
        static=once.account(static(tools), way.task.request),
        code=await _with_code(way, tools),
    )


async def _with_code(way: _Way, tools: Sequence[Tool]) -> Account:
    task, data = way.task, way.scene.data
    definitions, level = shown(tools)
    stage = Stage(data=data, tools=tools)
    async with AsyncSandbox(tools=way.toolset) as sandbox:
        model = Code(stage, sandbox)
        if level == "search":
            await _discover(model, task)
        printed = [await model.run(program) for program in task.programs(data)]
    if task.read(data, printed[-1]) != way.answer:
        raise PlayError(f"{task.name}: with code, the answer is another one")
    stage.note("answer", way.answer)
    return stage.account(definitions, task.request, level)


async def _discover(model: Code, task: Task) -> None:
    searches = "\n".join(f'print(search_tools("{words}"))' for words in task.searches)
    hits = await model.run(searches, "discovery")
    if missed := [name for name in task.needed if f"{name}(" not in hits]:
        raise PlayError(f"{task.name}: the search did not find {', '.join(missed)}")
