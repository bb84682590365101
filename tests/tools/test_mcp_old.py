"""Servers of older protocols, and servers that break it: each failure is a ToolError, and the next call works."""

import asyncio
import json
from typing import Any

import pytest

from protocell.errors import PolicyError
from protocell.tools.errors import ToolError
from protocell.tools.mcp_source import McpSource
from protocell.tools.mcp_stdio import BadMessageError, Lines, parse
from protocell.tools.tool import Reply
from tests.tools.calls import DirectCall
from tests.tools.mcp_help import (
    LATE,
    NEXT,
    OVER_A_PIPE,
    nothing_left_behind,
    old,
    opened,
    told,
    until,
)

__all__ = ["nothing_left_behind"]


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_each_older_protocol_is_spoken_and_all_pages_are_read(version: str):
    async def main() -> None:
        async with opened(old(version)) as session:
            tools = await session.source.tools()
            assert session.source.protocol == version
            assert len(tools) == 14
            assert tools[1].identifier == "read_query"
            assert await session.value("echo", text="ä") == "ä"
            assert await session.value("read-query", query="") == "[{'a': 1}]"

    asyncio.run(main())


def test_what_is_no_message_on_standard_output_is_skipped():
    async def main() -> None:
        async with opened(old("2024-11-05", "chatter")) as session:
            assert await session.value("echo", text="a") == "a"

    asyncio.run(main())


@pytest.mark.parametrize(
    "tool, kind, text",
    [
        *((tool, *failure) for tool, failure in OVER_A_PIPE.items()),
        ("hang", "timeout", f"srv/hang had not answered after 0.5 s; {LATE}"),
    ],
)
def test_a_server_that_fails_in_the_middle_of_a_call_gives_an_error_and_works_again(
    tool: str, kind: str, text: str
):
    async def main() -> None:
        async with opened(old(), timeout=0.5, answer_bytes=1_000_000) as session:
            failed = await session.error(tool)
            assert told(failed) == {
                "text": text,
                "kind": kind,
                "server": "srv",
                "tool": tool,
                "data": None,
            }
            assert await session.value("echo", text="again") == "again"

    asyncio.run(main())


def test_calls_beside_one_that_kills_the_server_fail_too_and_one_process_takes_over():
    async def main() -> None:
        async with opened(old()) as session:
            await session.source.tools()
            calls = [session.error("hang"), session.error("hang"), session.error("die")]
            failed = await asyncio.gather(*calls)
            assert {str(error) for error in failed} == {
                f"the server srv ended with exit status 3 {NEXT}"
            }
            pids = await asyncio.gather(*(session.value("child") for _ in range(5)))
            assert len({leader for leader, _ in pids}) == 1

    asyncio.run(main())


def test_a_flood_on_standard_error_is_read_bounded_and_not_printed(
    capfd: pytest.CaptureFixture[str],
):
    async def main() -> str:
        async with opened(old()) as session:
            assert await session.value("flood") == "flooded"
            await until(lambda: session.source.stderr.endswith("the last line"))
            assert len(session.source.stderr) == 16 * 1024
            return session.source.stderr

    assert asyncio.run(main())[-14:] == "\nthe last line"
    assert capfd.readouterr() == ("", "")


def test_a_server_that_says_nothing_is_given_up():
    async def main() -> None:
        async with opened(old("2024-11-05", "silent"), start_timeout=0.3) as session:
            with pytest.raises(ToolError) as caught:
                await session.source.start()
            assert (str(caught.value), caught.value.kind) == (
                "the server srv was not ready after 0.3 s",
                "transport",
            )

    asyncio.run(main())


@pytest.mark.parametrize(
    "command, text",
    [
        (["/nowhere/at/all"], "could not be started (FileNotFoundError of its command)"),
        (["/"], "could not be started (PermissionError of its command)"),
        (["true"], "ended with exit status 0"),
        (["sh", "-c", "kill -9 $$"], "was ended by signal 9"),
        (["cat"], "does not speak MCP (Method not found)"),
    ],
)
def test_a_server_that_does_not_start_is_told_without_paths(command: list[str], text: str):
    async def main() -> None:
        async with opened(command) as session:
            for _ in range(2):
                with pytest.raises(ToolError) as caught:
                    await session.source.tools()
                assert str(caught.value) == f"the server srv {text}"
                assert caught.value.kind == "transport"
                assert caught.value.__notes__[0] == f"The server srv is started with {command[0]}."

    asyncio.run(main())


def test_what_a_server_wrote_before_it_ended_is_a_note_for_the_host_and_not_in_the_text():
    async def main() -> None:
        async with opened(["sh", "-c", "echo TOKEN is not set >&2; exit 3"]) as session:
            with pytest.raises(ToolError) as caught:
                await session.source.tools()
            assert str(caught.value) == ("the server srv ended with exit status 3")
            assert caught.value.__notes__ == [
                "The server srv is started with sh.",
                "The end of what srv wrote to standard error:\nTOKEN is not set",
            ]

    asyncio.run(main())


async def asked(version: str, tool: str, call: DirectCall) -> Any:
    """What the server got back for what it asked."""
    async with opened(old(version)) as session:
        return await session.value(tool, call)


def test_a_question_is_asked_from_the_protocol_on_that_has_questions():
    yes = DirectCall(reply=Reply(action="accept", content={"sure": True}))
    assert asyncio.run(asked("2025-06-18", "ask", yes)) == {
        "action": "accept",
        "content": {"sure": True},
    }
    assert [question.text for question in yes.asked] == ["Really?"]
    no = DirectCall(reply=Reply(action="decline"))
    assert asyncio.run(asked("2025-06-18", "ask", no)) == {"action": "decline"}
    odd = DirectCall(reply=Reply(action="accept", content={"deep": {"er": 1}}))
    assert asyncio.run(asked("2025-06-18", "ask", odd)) == {"action": "cancel"}
    early = DirectCall()
    assert asyncio.run(asked("2024-11-05", "ask", early))["code"] == -32601
    assert early.asked == []


def test_a_question_that_may_be_any_of_several_calls_is_not_asked():
    async def main() -> None:
        async with opened(old("2025-06-18")) as session:
            other, call = asyncio.create_task(session.error("hang")), DirectCall()
            await session.value("echo", text="by now the other one is on its way")
            refused = await session.value("ask", call)
            assert (refused["code"], call.asked) == (-32600, [])
            await session.source.close()
            await other

    asyncio.run(main())


@pytest.mark.parametrize("tool", ["sample", "roots"])
def test_a_server_gets_no_model_and_no_folders(tool: str):
    assert asyncio.run(asked("2025-06-18", tool, DirectCall()))["code"] == -32600


def test_arguments_that_are_not_text_do_not_end_the_connection():
    async def main() -> None:
        async with opened(old()) as session:
            before = await session.value("child")
            assert (await session.error("echo", text="\ud800")).kind == "validation"
            assert (await session.value("child"))[0] == before[0]

    asyncio.run(main())


def test_options_that_do_not_fit_are_refused():
    for options in (
        {"target": "http://x", "env": {}},
        {"target": "x", "headers": {}},
        {"target": ""},
    ):
        with pytest.raises(PolicyError):
            McpSource("srv", **options)
    with pytest.raises(PolicyError, match="one of: auto, legacy, 2026-07-28; of protocols"):
        McpSource("srv", "x", mode="2024-11-05")


def test_lines_are_cut_whatever_the_chunks_are():
    text = b"ab\n\ncde\nf"
    for size in range(1, len(text)):
        lines = Lines(3)
        found = [
            line for at in range(0, len(text), size) for line in lines.feed(text[at : at + size])
        ]
        assert found == [b"ab", b"", b"cde"]
    with pytest.raises(BadMessageError, match="sent a message of more than 3 bytes"):
        Lines(3).feed(b"abcd")


@pytest.mark.parametrize(
    "line", [b"", b"hello", b"[1]", b"{}", b"{'a': 1}", b'{"level": "info"}', b'{"a": ', b"\xff"]
)
def test_chatter_is_no_message(line: bytes):
    assert parse(line) is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc": "2.0", "id": 1, "res',
        b'{"jsonrpc": "2.0", "id": 1}',
        b'{"jsonrpc": "1.0", "id": 1, "result": {}}',
        b'{"jsonrpc": "2.0", "id": 1, "result": "\xff"}',
        b'{"jsonrpc": "2.0", "id": 1, "result": ' + b"[" * 100_000,
    ],
)
def test_a_message_that_is_broken_is_not_taken_for_chatter(line: bytes):
    with pytest.raises(BadMessageError, match="sent a message that is broken"):
        parse(line)


def test_a_message_comes_whole():
    message = {"jsonrpc": "2.0", "id": 1, "result": {"a": [1, None]}}
    parsed = parse(b" " + json.dumps(message).encode() + b"\r")
    assert parsed is not None
    assert parsed.message.model_dump() == message
