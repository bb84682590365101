"""The asyncio face: the same names, many at once in one loop, a loop that is never held up, several loops."""

import asyncio
import contextlib
import gc
import inspect
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from protocell import Environment, Policy, Sandbox
from protocell.aio import AsyncSandbox
from protocell.aio_context import AsyncContext
from protocell.aio_filesystem import AsyncFiles
from protocell.errors import BusyError, ClosedError, ProtocellError, SetupError
from protocell.filesystem import Files
from tests.faults.processes import (
    ALONE,
    PAUSE,
    descendants_of,
    inits_of,
    is_gone,
    wait_for,
    zygote_of,
)

MIB = 1 << 20


def public(thing: type) -> dict[str, str]:
    """Public names with their signatures, "async" or not."""
    found = {}
    for name, value in vars(thing).items():
        if name.startswith("_") and name != "__init__":
            continue
        # What is given back has two faces as well: AsyncWatchHandle and the like.
        found[name] = (
            str(inspect.signature(value)).replace("Async", "")
            if inspect.isfunction(value)
            else type(value).__name__
        )
    return found


@pytest.mark.parametrize("blocking, asynchronous", [(Sandbox, AsyncSandbox), (Files, AsyncFiles)])
def test_both_faces_have_the_same_names_and_signatures(blocking: type, asynchronous: type):
    assert public(asynchronous) == public(blocking)


# From any thread; told from memory; an iterator that waits later.
AT_ONCE = {"interrupt", "cancel", "get_info", "stream"}


@pytest.mark.parametrize("asynchronous, at_once", [(AsyncSandbox, AT_ONCE), (AsyncFiles, set())])
def test_what_waits_is_a_coroutine_and_nothing_else_is(asynchronous: type, at_once: set[str]):
    names = [name for name, value in vars(asynchronous).items() if inspect.isfunction(value)]
    public_names = {name for name in names if not name.startswith("_")}

    assert {
        name for name in public_names if inspect.iscoroutinefunction(getattr(asynchronous, name))
    } == public_names - at_once


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own."""
    asyncio.run(asyncio.wait_for(coroutine, 60))


def test_code_runs_and_variables_live():
    async def main() -> None:
        async with AsyncSandbox() as sandbox:
            await sandbox.run_code("x = 20")
            execution = await sandbox.run_code("print('out')\nx + 22")
            assert (execution.status, execution.text) == ("ok", "42")
            assert execution.logs.stdout == ["out\n"]
            await sandbox.files.write("in.txt", "héllo")
            assert await sandbox.files.read("in.txt") == "héllo"
            assert [entry.name for entry in await sandbox.files.list()] == ["in.txt"]

    run(main())


def test_many_at_once_in_one_loop_begin_with_a_zygote_that_is_not_there_yet():
    policy = Policy(environment=Environment(ready=1, preload=("colorsys",)))

    async def one(number: int) -> str | None:
        async with AsyncSandbox(policy) as sandbox:
            return (await sandbox.run_code(f"{number} * 2")).text

    async def main() -> None:
        assert await asyncio.gather(*map(one, range(12))) == [str(n * 2) for n in range(12)]

    started = time.monotonic()
    run(main())
    assert time.monotonic() - started < 30


def test_many_that_wait_for_a_zygote_that_does_not_start_are_all_told():
    policy = Policy(environment=Environment(preload=["no_such_module"]))

    async def main() -> None:
        calls = [AsyncSandbox(policy).run_code("1") for _ in range(5)]
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, SetupError)
            assert "no_such_module" in str(error)

    run(main())


def test_the_loop_goes_on_while_code_runs():
    async def main() -> None:
        async with AsyncSandbox(ALONE) as sandbox:
            finished = asyncio.Event()

            async def tick() -> int:
                ticks = 0
                while not finished.is_set():
                    await asyncio.sleep(0.01)
                    ticks += 1
                return ticks

            ticking = asyncio.create_task(tick())
            await sandbox.run_code("import time; time.sleep(0.5)")
            finished.set()
            assert await ticking >= 10

    run(main())


async def longest_pause(work: Coroutine[Any, Any, Any]) -> float:
    """Seconds for which the loop was held up at most while this was done."""
    longest, finished = 0.0, False

    async def watch() -> None:
        nonlocal longest
        while not finished:
            before = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    await work
    finished = True
    await watching
    return longest


def test_the_loop_goes_on_while_a_large_workspace_is_looked_through():
    async def main() -> None:
        async with AsyncSandbox(ALONE) as sandbox:
            code = "for n in range(4): open(f'{n}', 'wb').write(bytes(50 << 20))"
            started = time.monotonic()
            pause = await longest_pause(sandbox.run_code(code))
            whole = time.monotonic() - started

            assert whole > 0.1  # two hundred megabytes are read and hashed
            assert pause < whole / 2
            assert len(await sandbox.files.read("0", format="bytes")) == 50 * MIB

    run(main())


def test_a_task_cancelled_in_a_long_scan_waits_for_its_end_and_the_sandbox_goes_on():
    async def main() -> None:
        async with AsyncSandbox(ALONE) as sandbox:
            code = "for n in range(4): open(f'{n}', 'wb').write(bytes(40 << 20))"
            await sandbox.run_code(code)
            task = asyncio.create_task(
                sandbox.run_code("for n in range(4): open(f'{n}', 'ab').write(b'x')")
            )
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.wait([task])
            assert (await sandbox.run_code("1 + 1")).text == "2"

    run(main())


def test_two_loops_one_after_the_other_use_one_sandbox():
    sandbox = AsyncSandbox(ALONE)

    async def first() -> None:
        await sandbox.run_code("x = 1")

    async def second() -> None:
        assert (await sandbox.run_code("x")).text == "1"
        await sandbox.close()

    run(first())
    run(second())


def test_a_second_call_while_one_runs_is_refused_and_the_first_goes_on():
    async def main() -> None:
        async with AsyncSandbox(ALONE) as sandbox:
            first = asyncio.create_task(sandbox.run_code("import time; time.sleep(0.2)\n1 + 1"))
            await asyncio.sleep(0)
            with pytest.raises(BusyError):
                await sandbox.run_code("2")
            await sandbox.files.write("x", b"")  # files are worked on meanwhile
            assert (await first).text == "2"
            assert await sandbox.files.exists("x")

    run(main())


def test_kill_from_another_task_ends_the_run():
    async def main() -> None:
        sandbox = AsyncSandbox(ALONE)
        begun = asyncio.Event()
        task = asyncio.create_task(sandbox.run_code(PAUSE, on_stdout=lambda _: begun.set()))
        await begun.wait()
        await sandbox.kill()
        execution = await task
        assert (execution.status, execution.reason) == (
            "killed",
            "the code was ended by the caller",
        )
        with pytest.raises(ClosedError):
            await sandbox.run_code("1")

    run(main())


def test_interrupt_from_another_task_leaves_the_variables():
    async def main() -> None:
        async with AsyncSandbox(ALONE) as sandbox:
            await sandbox.run_code("x = 1")
            begun = asyncio.Event()
            code = "print('begun', flush=True)\nwhile True: pass"
            task = asyncio.create_task(sandbox.run_code(code, on_stdout=lambda _: begun.set()))
            await begun.wait()
            sandbox.interrupt()
            assert (await task).status == "cancelled"
            assert (await sandbox.run_code("x")).text == "1"

    run(main())


def test_a_forgotten_sandbox_ends_and_so_does_one_whose_task_was_cancelled_and_forgotten():
    async def main() -> None:
        sandbox = AsyncSandbox(ALONE)
        begun = asyncio.Event()
        task = asyncio.create_task(sandbox.run_code(PAUSE, on_stdout=lambda _: begun.set()))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])

    run(main())
    pids = {pid for init in inits_of(zygote_of(ALONE).pid) for pid in (init, *descendants_of(init))}
    gc.collect()

    wait_for(lambda: all(map(is_gone, pids)), "the end of the sandbox")


def test_errors_are_those_of_the_blocking_face():
    async def main() -> None:
        sandbox = AsyncSandbox(ALONE)
        for call in (sandbox.run_code("1", timeout=-1), sandbox.files.write("..", b"")):
            with pytest.raises(ProtocellError):
                await call
        await sandbox.close()

    run(main())


# Answers when there is a file, and says before by another that it was asked.
SLOW_TO_ANSWER = """
import os, time
from protocell_guest.guest import interpreter, loop
usual = interpreter.Interpreter.variables
def slow(self, most=200):
    open('/home/user/asked', 'w').close()
    while not os.path.exists('/home/user/go'): time.sleep(0.002)
    return usual(self, most)
interpreter.Interpreter.variables = slow
freeze = loop.copies.freeze
def slow_freeze(*given):
    open('/home/user/asked', 'w').close()
    while not os.path.exists('/home/user/go'): time.sleep(0.002)
    return freeze(*given)
branch = loop.copies.branch
def slow_branch(*given):
    open('/home/user/asked', 'w').close()
    while not os.path.exists('/home/user/go'): time.sleep(0.002)
    return branch(*given)
loop.copies.freeze, loop.copies.branch = slow_freeze, slow_branch
x = 1
"""
ASKED: dict[str, Callable[[AsyncContext], Coroutine[Any, Any, object]]] = {
    "variables": lambda context: context.variables(),
    "checkpoint": lambda context: context.checkpoint("now"),
    "restore": lambda context: context.restore("before"),
    "fork": lambda context: context.fork(2),
}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("what", ASKED)
def test_a_question_that_is_cancelled_ends_when_it_is_answered_and_the_variables_are_kept(
    what: str, times: int
):
    async def main() -> None:
        async with AsyncSandbox(Policy(environment=Environment(ready=0))) as sandbox:
            context = sandbox.context
            assert (await sandbox.run_code(SLOW_TO_ANSWER)).status == "ok"
            await sandbox.files.write("go", b"")
            await context.checkpoint("before")
            await sandbox.files.remove("go")
            await sandbox.files.remove("asked")
            task = asyncio.ensure_future(ASKED[what](context))
            while not await sandbox.files.exists("asked"):
                assert not task.done()
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            if times == 2:  # who is cancelled again does not wait
                await asyncio.wait([task])
            else:
                assert not task.done()
            await sandbox.files.write("go", b"")
            await asyncio.wait([task])
            assert task.cancelled()

            after = await sandbox.run_code("x")
            assert (after.text, after.state) == (("1", "kept") if times == 1 else (None, "lost"))
            assert len(await sandbox.list_code_contexts()) == 1

    run(main())


def test_a_question_with_a_time_of_its_own_keeps_the_variables():
    async def main() -> None:
        async with AsyncSandbox(Policy(environment=Environment(ready=0))) as sandbox:
            await sandbox.run_code("x = 1")
            for _ in range(20):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(sandbox.context.variables(), 0.0005)
            after = await sandbox.run_code("x")
            assert (after.text, after.state) == ("1", "kept")

    run(main())
