"""Long-running tasks behind a normal call, of both protocols that have them."""

import asyncio
import contextlib
import sys

from protocell.tools.tool import Reply
from tests.tools.calls import DirectCall
from tests.tools.mcp_help import SERVERS, nothing_left_behind, old, opened, told, until

__all__ = ["nothing_left_behind"]

TASKS = [sys.executable, str(SERVERS / "mcp_tasks.py")]


def test_a_tool_that_has_to_be_a_task_is_watched_asked_for_and_gives_its_result():
    async def main() -> None:
        async with opened(old("2025-11-25")) as session:
            call = DirectCall(reply=Reply(action="accept", content={"sure": True}))
            assert await session.value("study", call) == {
                "action": "accept",
                "content": {"sure": True},
            }
            assert [text for text, _, _ in call.said] == ["is working", "is input_required"]
            assert [question.text for question in call.asked] == ["Really?"]

    asyncio.run(main())


def test_a_task_that_the_server_decides_on_is_polled_and_each_question_asked_once():
    async def main() -> None:
        async with opened(TASKS) as session:
            call = DirectCall(reply=Reply(action="accept", content={"sure": True}))
            assert await session.value("finish", call) == {
                "q": {"action": "accept", "content": {"sure": True}}
            }
            assert [question.text for question in call.asked] == ["Go on?"]
            assert [text for text, _, _ in call.said] == [
                "is working",
                *["is input_required"] * 3,
                "is completed",
            ]

    asyncio.run(main())


def test_tasks_that_do_not_complete_fail_the_call():
    async def main() -> None:
        async with opened(TASKS) as session:
            broke = told(await session.error("fail"))
            assert (broke["text"], broke["kind"]) == ("srv/fail: it broke", "tool")
            stopped = told(await session.error("stop"))
            assert (stopped["text"], stopped["kind"]) == (
                "srv/stop: the server cancelled the task",
                "tool",
            )
            refused = told(await session.error("refuse"))
            assert (refused["text"], refused["kind"], refused["data"]) == (
                "srv/refuse: no",
                "tool",
                None,
            )

    asyncio.run(main())


def test_a_call_that_is_cancelled_cancels_its_task():
    async def main() -> None:
        async with opened(TASKS) as session:
            call = DirectCall()
            going_on = asyncio.create_task(session.value("never", call))
            await until(lambda: len(call.said) > 1)
            going_on.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await going_on
            await until(lambda: session.source.stderr == "tasks/cancel never\n")

    asyncio.run(main())


def test_a_task_that_takes_too_long_is_cancelled_though_it_says_that_it_works():
    async def main() -> None:
        async with opened(TASKS, start_timeout=5) as session:
            call = DirectCall()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await session.value("never", call)
            await until(lambda: session.source.stderr == "tasks/cancel never\n")

    asyncio.run(main())
