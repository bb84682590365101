"""A real server made with the SDK: both eras of the protocol, over a pipe and over HTTP."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocell.tools.errors import ToolError
from protocell.tools.mcp_source import McpSource
from protocell.tools.tool import MISSING, Annotations, Parameter, Reply
from protocell_guest.content import Audio, Image, Resource, ResourceLink
from tests.tools.calls import DirectCall
from tests.tools.mcp_help import (
    LATE,
    NEW,
    SECONDS,
    Session,
    nothing_left_behind,
    opened,
    served,
    told,
    until,
)

__all__ = ["nothing_left_behind"]

VERSIONS = {"auto": "2026-07-28", "legacy": "2025-11-25"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served("mcp_new.py", "http") as (_, port):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.fixture(params=["stdio", "http"])
def target(request: pytest.FixtureRequest, url: str) -> Any:
    return NEW if request.param == "stdio" else url


@pytest.fixture(scope="module", params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Using = Callable[[Callable[[Session], Coroutine[Any, Any, None]]], None]


@pytest.fixture(scope="module")
def piped(mode: str) -> Iterator[Using]:
    """With one server for all tests that leave it as it was: its start takes longer than any of them."""
    source = McpSource("srv", NEW, mode=mode)
    with asyncio.Runner() as runner:
        runner.run(source.start())
        yield lambda main: runner.run(asyncio.wait_for(main(Session(source)), SECONDS))
        runner.run(source.close())


@pytest.fixture(params=["stdio", "http"])
def using(request: pytest.FixtureRequest, mode: str, url: str, piped: Using) -> Using:
    """With a session that is there already where its server is a process."""

    async def over_http(main: Callable[[Session], Coroutine[Any, Any, None]]) -> None:
        async with opened(url, mode=mode) as session:
            await main(session)

    return piped if request.param == "stdio" else lambda main: asyncio.run(over_http(main))


def test_a_server_of_either_era_is_started_listed_and_called(target: Any, mode: str):
    async def main() -> None:
        async with opened(target, mode=mode) as session:
            assert session.source.protocol == ""
            tools = {tool.name: tool for tool in await session.source.tools()}

            assert session.source.protocol == VERSIONS[mode]
            assert list(tools)[:3] == ["add", "get-person", "say"]
            add = tools["add"]
            assert (add.id, add.identifier, add.description) == (
                "srv/add",
                "add",
                "Add two numbers.",
            )
            assert tools["get-person"].identifier == "get_person"
            assert add.parameters == (
                Parameter(
                    name="a",
                    identifier="a",
                    schema={"title": "A", "type": "integer"},
                    required=True,
                    default=MISSING,
                ),
                Parameter(
                    name="b",
                    identifier="b",
                    schema={"title": "B", "type": "integer", "default": 1},
                    required=False,
                    default=1,
                ),
            )
            assert add.output_schema == {"title": "Result", "type": "integer"}
            assert add.annotations == Annotations(title="Adder", read_only=True)
            assert await session.value("add", a=1, b=2) == 3

    asyncio.run(main())


def test_what_a_tool_gives_comes_as_values(using: Using):
    async def main(session: Session) -> None:
        assert await session.value("get-person", name="Ä") == {"name": "Ä", "age": 7}
        assert await session.value("say", text='{"a": [null]}') == {"a": [None]}
        assert await session.value("say", text="007") == "007"
        assert await session.value("big", count=2_000_000) == "x" * 2_000_000
        assert await session.value("fit_badly") == {"age": "seven"}
        raw = (await session.answer("add", a=1)).raw
        assert (raw["content"], raw["structuredContent"]) == (
            [{"type": "text", "text": "2"}],
            {"result": 2},
        )
        text, image, audio, link, resource = await session.value("media")
        assert text == "here"
        assert isinstance(image, Image)
        assert (image.mime_type, image.data[:4]) == ("image/png", b"\x89PNG")
        assert isinstance(audio, Audio)
        assert audio == Audio(b"\0\1\2", "audio/wav")
        assert link == ResourceLink("file:///a.txt", "a", "", "text/plain", 3)
        assert resource == Resource("file:///b.txt", "text/plain", "bee")

    using(main)


def test_a_tool_that_fails_raises(using: Using):
    async def main(session: Session) -> None:
        failed = await session.error("fail", why="too late")
        assert told(failed) == {
            "text": "srv/fail: Error executing tool fail: too late",
            "kind": "tool",
            "server": "srv",
            "tool": "fail",
            "data": None,
        }
        failed = await session.error("fail_with_data")
        assert (str(failed), failed.kind, failed.data) == (
            "srv/fail_with_data: no",
            "tool",
            {"retry": 5},
        )
        failed = await session.error("refuse")
        assert (str(failed), failed.kind) == ("srv/refuse: fetch failed", "tool")
        assert failed.data == {"code": -32010, "data": {"host": "example.org"}}
        assert await session.value("add", a=1) == 2

    using(main)


def test_progress_is_told_in_order(using: Using):
    async def main(session: Session) -> None:
        call = DirectCall()
        assert await session.value("steps", call, count=3) == 3
        assert call.said == [("step 1", 1, 3), ("step 2", 2, 3), ("step 3", 3, 3)]

    using(main)


def test_a_question_goes_to_the_call_that_it_belongs_to(using: Using, piped: Using, mode: str):
    async def main(session: Session) -> None:
        small = DirectCall(reply=Reply(action="accept", content={"size": "small"}))
        large = DirectCall(reply=Reply(action="accept", content={"size": "large"}))
        assert await session.value("order", small, item="tea") == "small tea"
        (asked,) = small.asked
        assert asked.text == "Which size?"
        assert asked.schema is not None
        assert asked.schema["properties"]["size"]["enum"] == ["small", "large"]
        refused = DirectCall(reply=Reply(action="decline"))
        with pytest.raises(ToolError):
            await session.value("order", refused, item="tea")
        if not (mode == "legacy" and using is piped):
            both = await asyncio.gather(
                session.value("order", small, item="a"), session.value("order", large, item="b")
            )
            assert [*both] == ["small a", "large b"]

    using(main)


def test_a_list_that_changes_is_told_and_read_again(using: Using):
    async def main(session: Session) -> None:
        before = await session.source.tools()
        changed = asyncio.Event()
        session.source.changed = changed.set
        await session.value("grow")
        await changed.wait()
        after = await session.source.tools()
        assert len(after) == len(before) + 1
        assert after[-1].description == "New."

    using(main)


def test_a_call_that_is_cancelled_is_cancelled_on_the_server(using: Using, tmp_path: Path):
    async def main(session: Session) -> None:
        started, cancelled = tmp_path / "started", tmp_path / "cancelled"
        paths = {"started": str(started), "cancelled": str(cancelled)}
        waiting = asyncio.create_task(session.value("wait", **paths))
        await until(started.exists)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        assert waiting.cancelled()
        await until(cancelled.exists)
        assert await session.value("add", a=1) == 2

    using(main)


def test_calls_overlap_and_those_that_go_on_end_when_it_is_closed(
    target: Any, mode: str, tmp_path: Path
):
    async def main() -> None:
        async with opened(target, mode=mode) as session:
            started = tmp_path / "started"
            paths = {"started": str(started), "cancelled": str(tmp_path / "cancelled")}
            waiting = asyncio.create_task(session.error("wait", **paths))
            await until(started.exists)
            many = await asyncio.gather(*(session.value("add", a=n, b=n) for n in range(20)))
            assert many == [2 * n for n in range(20)]
            await session.source.close()
            assert str(await waiting) == "the server srv was closed"
            assert str(await session.error("add", a=1)) == "the server srv was closed"
            await session.source.start()
            assert await session.value("add", a=1) == 2

    asyncio.run(main())


def test_a_call_that_takes_too_long_ends_and_the_next_one_works(target: Any, mode: str):
    async def main() -> None:
        async with opened(target, mode=mode, timeout=0.3) as session:
            failed = await session.error("wait", started="/dev/null", cancelled="/dev/null")
            assert (str(failed), failed.kind) == (
                f"srv/wait had not answered after 0.3 s; {LATE}",
                "timeout",
            )
            assert await session.value("add", a=1) == 2

    asyncio.run(main())
