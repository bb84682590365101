"""Whose process a server is: what it gets, what it starts, and that nothing of it outlives its owner."""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from protocell.tools import mcp_process
from protocell.tools.errors import ToolError
from protocell.tools.mcp_process import ServerProcess
from protocell.tools.mcp_source import McpSource
from protocell.tools.mcp_target import Command
from tests.tools.calls import DirectCall
from tests.tools.mcp_help import NEW, Session, is_gone, nothing_left_behind, old, opened, until

__all__ = ["nothing_left_behind"]

REFUSING = Path(__file__).parent.parent / "integration" / "refusing.py"


@pytest.fixture(autouse=True)
def little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_process, "GRACE_SECONDS", 0.2)


def test_a_server_gets_no_variable_but_the_harmless_ones_and_those_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("SECRET_TOKEN", "x")

    async def main() -> dict[str, str]:
        async with opened(NEW, env={"FOR_IT": "1"}, cwd=tmp_path) as session:
            value = await session.value("environment")
            assert isinstance(value, dict)
            return value

    found = asyncio.run(main())
    # The interpreter adds LC_CTYPE (PEP 538) by itself.
    assert set(found) - {"LC_CTYPE"} <= {
        "HOME",
        "LOGNAME",
        "PATH",
        "SHELL",
        "TERM",
        "USER",
        "FOR_IT",
    }
    assert (found["FOR_IT"], found["PATH"]) == ("1", os.environ["PATH"])


def test_closing_ends_the_server_and_what_it_started_and_is_idempotent():
    async def main() -> None:
        async with opened(old("2024-11-05", "stubborn")) as session:
            leader, child = await session.value("child")
            await session.source.close()
            assert is_gone(leader)
            assert is_gone(child)
            await session.source.close()

    asyncio.run(main())


def test_what_a_server_started_ends_with_it():
    async def main() -> None:
        async with opened(old()) as session:
            leader, child = await session.value("child")
            os.kill(leader, signal.SIGKILL)
            assert await asyncio.to_thread(is_gone, child)
            await until(lambda: session.source.protocol == "")
            assert (await session.value("child"))[0] != leader

    asyncio.run(main())


def test_closing_in_the_middle_of_the_start_leaves_nothing():
    async def main() -> None:
        async with opened(old("2024-11-05", "silent")) as session:
            starting = asyncio.create_task(session.source.start())
            await asyncio.sleep(0)
            await session.source.close()
            with pytest.raises(ToolError, match="the server srv was closed"):
                await starting

    asyncio.run(main())


def test_one_who_waits_for_the_start_may_be_cancelled_without_the_others():
    async def main() -> None:
        async with opened(old()) as session:
            first = asyncio.create_task(session.value("echo", text="1"))
            second = asyncio.create_task(session.value("echo", text="2"))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == "2"
            assert first.cancelled()

    asyncio.run(main())


def test_a_server_ends_with_its_event_loop_and_starts_again_in_the_next():
    source = McpSource("srv", old())

    async def pids() -> tuple[int, int]:
        leader, child = await Session(source).value("child")
        return leader, child

    first = asyncio.run(pids())
    assert is_gone(first[0])
    assert is_gone(first[1])
    second = asyncio.run(pids())
    assert second[0] != first[0]
    asyncio.run(source.close())
    assert is_gone(second[0])


def test_a_loop_that_is_dropped_without_being_ended_does_not_keep_the_server():
    source = McpSource("srv", old("2024-11-05", "stubborn"))
    loop = asyncio.new_event_loop()
    leader, child = loop.run_until_complete(Session(source).value("child"))
    asyncio.run(source.close())
    assert is_gone(leader)
    assert is_gone(child)
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.wait(left))
    loop.close()


LEAVE = """
import asyncio, json, sys
from protocell.tools import mcp_process
from protocell.tools.mcp_source import McpSource
from tests.tools.mcp_help import Session
mcp_process.GRACE_SECONDS = 0.2
source = McpSource("srv", json.loads(sys.argv[1]))
loop = asyncio.new_event_loop()
print(*loop.run_until_complete(Session(source).value("child")), flush=True)
{}
"""


@pytest.mark.parametrize("how", ["", "raise KeyboardInterrupt"])
def test_nothing_is_left_when_the_interpreter_exits_without_closing(how: str):
    command = json.dumps(old("2024-11-05", "stubborn"))
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LEAVE.format(how), command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    pids = [int(pid) for pid in ended.stdout.split()]
    assert len(pids) == 2
    assert all(is_gone(pid) for pid in pids)


def test_a_fork_that_exits_leaves_the_server_to_its_parent():
    async def main() -> None:
        async with opened(old()) as session:
            before = await session.value("child")
            target = session.source._target
            assert isinstance(target, Command)
            assert target._process is not None
            child = os.fork()
            if child == 0:
                # What weakref does when an interpreter exits.
                target._process._last_resort()
                os._exit(0)
            await asyncio.to_thread(os.waitpid, child, 0)
            assert (await session.value("child"))[0] == before[0]

    asyncio.run(main())


def test_a_process_that_nobody_holds_any_more_is_ended():
    async def main() -> int:
        process = ServerProcess(["sleep", "1000"], env={})
        return process.pid

    pid = asyncio.run(main())
    gc.collect()
    assert is_gone(pid)


UNWATCHED = """
import asyncio, os, sys
from protocell.tools.mcp_process import ServerProcess

async def main():
    before = os.listdir("/proc/self/fd")
    try:
        ServerProcess(["sleep", "1000"], env={})
    except PermissionError:
        print(os.listdir("/proc/self/fd") == before)

asyncio.run(main())
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("no child")
"""


def test_a_process_that_cannot_be_watched_is_ended():
    command = [sys.executable, str(REFUSING), "EPERM", "pidfd_open", "--"]
    script = [sys.executable, "-W", "error", "-c", UNWATCHED]
    done = subprocess.run(command + script, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.split("\n") == ["True", "no child", ""]


def test_writing_waits_for_a_process_that_does_not_read_and_can_be_cancelled():
    async def main() -> None:
        process = ServerProcess(["cat"], env={"PATH": os.environ["PATH"]})
        data = os.urandom(8 << 20)
        writing = asyncio.create_task(process.write(data))
        back = b""
        while len(back) < len(data):
            back += await process.read()
        await writing
        assert back == data
        await process.stop()
        idle = ServerProcess(["sleep", "1000"], env={"PATH": os.environ["PATH"]})
        stuck = asyncio.create_task(idle.write(data))
        await asyncio.sleep(0)
        stuck.cancel()
        await asyncio.wait([stuck])
        assert stuck.cancelled()
        await idle.stop()
        assert (process.ending, idle.ending) == (
            "ended with exit status 0",
            "was ended by signal 15",
        )

    asyncio.run(main())


def test_progress_and_questions_have_the_call_of_their_own():
    async def main() -> None:
        async with opened(NEW) as session:
            calls = [DirectCall(id=number) for number in range(5)]
            await asyncio.gather(*(session.value("steps", call, count=call.id) for call in calls))
            assert [len(call.said) for call in calls] == [0, 1, 2, 3, 4]

    asyncio.run(main())
