"""What a desk knows of its tools: what they are now, and of servers that did not start, why not."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from protocell._broker.desk import Desk
from protocell._broker.runtime import Runtime
from protocell.errors import PolicyError
from protocell.tools import Answer, Call, Tool, ToolError, Tools, Toolset


async def nothing(_arguments: dict[str, Any], _call: Call) -> Answer:
    return Answer(value=None)


def tool(server: str, name: str) -> Tool:
    return Tool(
        server=server,
        name=name,
        identifier=name,
        description="",
        parameters=(),
        input_schema={},
        invoke=nothing,
    )


class Server:
    """Of which a test says what happens."""

    def __init__(self, name: str, names: list[str]) -> None:
        self.changed: Callable[[], None] | None = None
        self.name = name
        self.names = names
        self.fault: ToolError | None = None
        self.grows_meanwhile = False
        self.starts = 0

    async def start(self) -> None:
        self.starts += 1
        if self.fault is not None:
            raise self.fault

    async def tools(self) -> tuple[Tool, ...]:
        listed = tuple(tool(self.name, name) for name in self.names)
        if self.grows_meanwhile:
            self.grows_meanwhile = False
            self.names = [*self.names, "late"]
            assert self.changed is not None
            self.changed()
        return listed

    async def close(self) -> None:
        """Nothing."""


def desk_of(toolset: Toolset) -> Desk:
    return Desk(Tools(toolset=toolset), Runtime.here())


def test_a_list_that_changes_while_it_is_asked_for_is_not_kept():
    async def main() -> list[list[str]]:
        server = Server("srv", ["early"])
        server.grows_meanwhile = True
        desk = desk_of(Toolset.source(server))
        return [sorted(await desk.tools()) for _ in range(2)]

    assert asyncio.run(main()) == [["srv/early"], ["srv/early", "srv/late"]]


def test_calls_beside_each_other_try_a_server_that_did_not_start_once():
    async def main() -> tuple[int, list[str]]:
        gone, here = Server("gone", ["a"]), Server("here", ["b"])
        gone.fault = ToolError("it is not there", kind="transport")
        desk = desk_of(Toolset.source(gone) + Toolset.source(here))
        calls = [desk.tool("gone/a"), desk.tool("here/b"), desk.tool("gone/x"), desk.tool("gon/a")]
        found = await asyncio.gather(*calls, return_exceptions=True)
        return gone.starts, [getattr(each, "kind", "") for each in found]

    assert asyncio.run(main()) == (1, ["transport", "", "transport", "not_found"])


@pytest.mark.parametrize(
    "name, ending",
    [
        ("here/bb", "refused"),
        ("here.bb", "refused"),
        ("other/bb", "refused"),
        ("gone/a", "kept"),
        ("gone.a", "kept"),
        ("a", "kept"),
        ("here/b", "kept"),
    ],
)
def test_a_rule_is_misspelled_whatever_server_is_missing_unless_it_may_be_of_that(
    name: str, ending: str
):
    async def main() -> str:
        gone, here = Server("gone", ["a"]), Server("here", ["b"])
        gone.fault = ToolError("it is not there", kind="transport")
        both = Toolset.source(gone) + Toolset.source(here)
        try:
            await desk_of(both.permit({name: "deny"})).tools()
        except PolicyError:
            return "refused"
        return "kept"

    assert asyncio.run(main()) == ending


def test_where_no_server_starts_there_is_nothing_to_run_code_with():
    async def main() -> None:
        gone = Server("gone", ["a"])
        gone.fault = ToolError("it is not there", kind="transport")
        await desk_of(Toolset.source(gone)).tools()

    with pytest.raises(ToolError, match="it is not there"):
        asyncio.run(main())
