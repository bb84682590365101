"""What goes wrong with an MCP server, told as it was: its own errors, tools that are none, why it is not there."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from protocell.tools.errors import ToolError
from protocell.tools.toolset import Toolset
from tests.tools.calls import DirectCall
from tests.tools.mcp_help import LATE, NEW, SERVERS, nothing_left_behind, opened, served

__all__ = ["nothing_left_behind"]

TEXT = {"result": {"content": [{"type": "text", "text": "fine"}]}}
END = "the end of its standard error"
OBJECT = {"type": "object"}
ASK = "elicitation/create"
NO_WAY_BACK = (
    "cannot do so here: Cannot send 'elicitation/create': this transport context has no back-channel "
    "for server-initiated requests."
)


def raw(tools: list[Any], **answers: Any) -> list[str]:
    """The command of a server that lists and answers this."""
    told = json.dumps({"tools": tools, "answers": answers})
    return [sys.executable, str(SERVERS / "mcp_raw.py"), told]


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "protocell.tools"]


# Errors


@pytest.mark.parametrize(
    "code, message, data, kind, told",
    [
        (-32000, "fetch failed", None, "tool", "fetch failed"),
        (-32600, "no session is open", None, "tool", "no session is open"),
        (-32700, "the page is no XML", None, "tool", "the page is no XML"),
        (-32003, "out of paper", None, "tool", "out of paper"),
        (-32004, "no such row", None, "tool", "no such row"),
        (-32603, "it broke", {"at": 1}, "tool", "it broke"),
        (-32602, "page has to be positive", None, "validation", "page has to be positive"),
        (-32602, "Unknown tool: go", None, "not_found", "Unknown tool: go"),
        (-32602, "MCP error: Tool go not found", None, "not_found", "MCP error: Tool go not found"),
        (-32601, "Method not found", None, "not_found", "Method not found"),
        (
            -32601,
            "Method not found",
            ASK,
            "tool",
            "the tool wants to ask somebody, and its server cannot do so here: Method not found",
        ),
    ],
)
def test_an_error_that_a_server_answers_with_is_an_answer(
    code: int, message: str, data: Any, kind: str, told: str
):
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    command = raw([{"name": "go", "inputSchema": OBJECT}], go={"error": error})

    async def main() -> None:
        async with opened(command) as session:
            failed = await session.error("go")
            assert (str(failed), failed.kind) == (f"srv/go: {told}", kind)
            assert failed.data == {"code": code, "data": data}

    asyncio.run(main())


def test_a_tool_that_asks_where_its_server_cannot_says_so():
    async def main() -> None:
        async with opened(NEW) as session:
            failed = await session.error("ask_at_once")
            assert (str(failed), failed.kind) == (
                f"srv/ask_at_once: the tool wants to ask somebody, and its server {NO_WAY_BACK}",
                "tool",
            )

    asyncio.run(main())


def test_a_status_of_http_is_told_with_the_error_and_no_more():
    async def main() -> None:
        with served("mcp_bad_http.py") as (_, port):
            async with opened(f"http://127.0.0.1:{port}/mcp") as session:
                failed = await session.error("unavailable")
                assert failed.data == {"code": -32003, "data": {"http_status": 503}}

    asyncio.run(main())


def test_a_call_that_was_on_its_way_says_that_its_progress_ended():
    async def main() -> None:
        async with opened(NEW, timeout=0.5) as session:
            call = DirectCall()
            with pytest.raises(ToolError) as caught:
                await session.value("begin", call)
            assert len(call.said) == 1
            assert str(caught.value) == (
                f"srv/begin had not answered after 0.5 s without a sign of progress; {LATE}"
            )

    asyncio.run(main())


# Tools


def test_a_tool_without_a_schema_has_no_parameters_and_one_with_a_bad_schema_is_left_out(
    caplog: pytest.LogCaptureFixture,
):
    tools: list[Any] = [
        {"name": "good", "inputSchema": OBJECT},
        {"name": "empty", "inputSchema": {}},
        {"name": "half", "inputSchema": {"properties": {"a": {"type": "integer"}}}},
        {"name": "bare"},
        {"name": "list", "inputSchema": {"type": "array"}},
        {"name": "text", "inputSchema": "object"},
        {"name": "odd", "inputSchema": {**OBJECT, "properties": {"a": 5}}},
        {"inputSchema": OBJECT},
        7,
        {"name": "promises", "inputSchema": OBJECT, "outputSchema": {"type": "string"}},
    ]
    names = ["good", "empty", "half", "bare", "promises"]

    async def main() -> None:
        async with opened(raw(tools, **dict.fromkeys(names, TEXT))) as session:
            listed = {tool.name: tool for tool in await session.source.tools()}
            assert list(listed) == names
            assert listed["empty"].input_schema == listed["bare"].input_schema == OBJECT
            assert [each.name for each in listed["half"].parameters] == ["a"]
            for name in names:
                assert await session.value(name) == "fine"

    asyncio.run(main())

    left_out = [text.partition(": ")[0] for text in logged(caplog)]
    every = ["list", "text", "odd", "number 8 of its page", "number 9 of its page"]
    assert left_out == [f"the tool {name} of srv is left out" for name in every]
    assert "inputSchema.type: " in logged(caplog)[0]


def test_what_is_no_list_of_tools_is_not_mcp():
    async def main() -> None:
        command = raw([], go=TEXT)
        command[-1] = json.dumps({"tools": 5, "answers": {}})
        async with opened(command) as session:
            with pytest.raises(ToolError) as caught:
                await session.source.tools()
            assert str(caught.value) == "the server srv sent something that is not MCP"

    asyncio.run(main())


# Why it is not there


def test_what_a_server_wrote_before_it_ended_is_logged_for_the_host_once_and_told_nowhere_else(
    caplog: pytest.LogCaptureFixture,
):
    script = r"import sys; sys.stderr.write('old\n' * 50 + 'no key \x1b[31mFOO'); sys.exit(3)"
    both = Toolset.mcp([sys.executable, "-c", script], name="gone") + Toolset.of(len)

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(both.reachable())
        tools, missing = await both.reachable()
        assert [tool.id for tool in tools] == ["functions/len"]
        assert str(missing["gone"]) == "the server gone ended with exit status 3"
        await both.close()

    asyncio.run(main())

    assert {each.levelno for each in caplog.records} == {logging.WARNING}
    first, *_ = said = logged(caplog)
    assert len(said) == 4  # one for each start
    assert first.splitlines() == [
        f"the server gone ended with exit status 3; it is started with {sys.executable}; {END}:",
        *["old"] * 19,
        "no key \\x1b[31mFOO",
    ]


def test_a_start_that_many_wait_for_is_logged_once(caplog: pytest.LogCaptureFixture):
    async def main() -> None:
        async with opened(["sh", "-c", "exit 3"]) as session:
            starts = (session.source.start() for _ in range(5))
            ended = await asyncio.gather(*starts, return_exceptions=True)
            assert all(isinstance(error, ToolError) for error in ended)

    asyncio.run(main())

    assert logged(caplog) == ["the server srv ended with exit status 3; it is started with sh"]


@pytest.mark.parametrize(
    "command, folder, whose",
    [("no-such-server", None, "command"), ("true", "nowhere", "cwd"), ("no", "/", "command")],
)
def test_a_command_and_a_folder_that_are_not_there_are_told_apart(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, command: str, folder: str | None, whose: str
):
    cwd = None if folder is None else str(tmp_path / folder)

    async def main() -> None:
        async with opened([command, "s3cret"], cwd=cwd) as session:
            with pytest.raises(ToolError) as caught:
                await session.source.start()
            assert str(caught.value) == (
                f"the server srv could not be started (FileNotFoundError of its {whose})"
            )

    asyncio.run(main())

    (said,) = logged(caplog)
    assert said.endswith(f"; it is started with {command}" + (f" in {cwd}" if cwd else ""))


def test_a_start_that_fails_is_not_told_with_what_an_earlier_process_wrote(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
):
    script = tmp_path / "server"
    script.write_text("#!/bin/sh\necho old >&2; exit 3")
    script.chmod(0o755)

    async def main() -> None:
        async with opened([str(script)]) as session:
            for _ in range(2):
                with pytest.raises(ToolError):
                    await session.source.start()
                script.unlink(missing_ok=True)

    asyncio.run(main())

    first, second = logged(caplog)
    assert (first.endswith("\nold"), second.endswith(f"it is started with {script}")) == (
        True,
        True,
    )
