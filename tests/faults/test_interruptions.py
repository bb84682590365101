"""Whoever waits for code is torn away in mid-run: what tore comes through, the code ends, the sandbox goes on."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import pytest

from protocell import Policy, Sandbox
from protocell.aio import AsyncSandbox
from tests.faults.processes import (
    ALONE,
    PAUSE,
    children_of,
    host,
    inits_of,
    is_gone,
    wait_for,
    zygote_of,
)

BY_A_PROCESS = Policy(isolation="process")
POLICIES = [pytest.param(ALONE, id="kernel"), pytest.param(BY_A_PROCESS, id="process")]


class TornError(Exception):
    """Raised by a callback."""


def code_of(policy: Policy) -> set[int]:
    """The processes that run code in this policy's sandboxes."""
    return {pid for init in inits_of(zygote_of(policy).pid) for pid in children_of(init)}


def assert_fresh(sandbox: Sandbox) -> None:
    """Usable, with its files, without the variables of before."""
    assert sandbox.run_code("'x' in globals()").text == "False"
    assert sandbox.files.read("kept.txt") == "kept"
    assert sandbox.run_code("print('again')").logs.stdout == ["again\n"]


def prepare(sandbox: Sandbox) -> None:
    """Give it a variable and a file."""
    sandbox.files.write("kept.txt", "kept")
    sandbox.run_code("x = 1")


def raise_signal(_: str) -> None:
    signal.raise_signal(signal.SIGINT)


def kill_self(_: str) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def kill_from_a_thread(_: str) -> None:
    threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("how", [raise_signal, kill_self, kill_from_a_thread])
def test_ctrl_c_comes_through_and_ends_the_code(policy: Policy, how: Callable[[str], None]):
    with Sandbox(policy) as sandbox:
        prepare(sandbox)
        before = code_of(policy) if policy is ALONE else set()

        with pytest.raises(KeyboardInterrupt):
            sandbox.run_code(PAUSE, on_stdout=how, timeout=30)

        wait_for(lambda: all(map(is_gone, before)), "the end of the code")
        assert_fresh(sandbox)


@pytest.mark.parametrize("policy", POLICIES)
def test_an_exception_of_a_callback_comes_through_and_ends_the_code(policy: Policy):
    def tear(_: str) -> None:
        raise TornError

    with Sandbox(policy) as sandbox:
        prepare(sandbox)
        before = code_of(policy) if policy is ALONE else set()
        with pytest.raises(TornError):
            sandbox.run_code(PAUSE, on_stdout=tear, timeout=30)

        wait_for(lambda: all(map(is_gone, before)), "the end of the code")
        assert_fresh(sandbox)

        with pytest.raises(TornError):
            sandbox.run_code(
                "x = 1\nimport sys\nprint('at the end', file=sys.stderr)", on_stderr=tear
            )
        assert_fresh(sandbox)


def test_an_exception_of_a_callback_in_a_sandbox_that_is_killed_comes_through():
    with Sandbox(ALONE) as sandbox:
        (init,) = inits_of(zygote_of(ALONE).pid)

        def tear(_: str) -> None:
            os.kill(init, signal.SIGKILL)
            wait_for(lambda: is_gone(init), "its end")
            raise TornError

        with pytest.raises(TornError):
            sandbox.run_code(PAUSE, on_stdout=tear, timeout=30)


# In a process of its own: an interrupt between recvmsg(2) and the first use of what came may cost a descriptor.
AT_ANY_MOMENT = """
import os, signal, threading
from protocell import Environment, Policy, Sandbox

def interrupted(work, seconds):
    timer = threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGINT])
    done, failure = False, None
    try:
        timer.start()
        try:
            work()
        except Exception as error:
            failure = error
        done = True
        timer.join()
        for _ in range(1000):  # the handler runs between two bytecodes, here at the latest
            pass
    except KeyboardInterrupt:
        timer.join()
    assert failure is None, failure
    return not done

with Sandbox(Policy(environment=Environment(ready=0))) as sandbox:
    sandbox.files.write("kept.txt", "kept")
    came = [
        interrupted(lambda: sandbox.run_code("import os; os._exit(0)"), 0.0003 * n)
        for n in range(40)
    ]
    assert any(came)
    assert sandbox.run_code("1 + 1").text == "2"
    assert sandbox.files.read("kept.txt") == "kept"
"""


def test_ctrl_c_at_any_moment_leaves_the_sandbox_usable():
    with host(AT_ANY_MOMENT) as program:
        assert program.end() == (0, "", "")


# -- asyncio -------------------------------------------------------------------------------------------


async def prepare_async(sandbox: AsyncSandbox) -> None:
    """Give it a variable and a file."""
    await sandbox.files.write("kept.txt", "kept")
    await sandbox.run_code("x = 1")


async def assert_fresh_async(sandbox: AsyncSandbox) -> None:
    """Usable, with its files, without the variables of before."""
    assert (await sandbox.run_code("'x' in globals()")).text == "False"
    assert await sandbox.files.read("kept.txt") == "kept"


@pytest.mark.parametrize("policy", POLICIES)
def test_a_cancelled_task_ends_its_code_and_the_sandbox_goes_on(policy: Policy):
    async def main() -> None:
        async with AsyncSandbox(policy) as sandbox:
            await prepare_async(sandbox)
            begun = asyncio.Event()
            task = asyncio.create_task(
                sandbox.run_code(PAUSE, on_stdout=lambda _: begun.set(), timeout=30)
            )
            await begun.wait()
            before = code_of(policy) if policy is ALONE else set()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

            wait_for(lambda: all(map(is_gone, before)), "the end of the code")
            await assert_fresh_async(sandbox)

    asyncio.run(main())


def test_a_timeout_of_asyncio_around_a_run_ends_the_code():
    async def main() -> None:
        async with AsyncSandbox(ALONE) as sandbox:
            await prepare_async(sandbox)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await sandbox.run_code("while True: pass", timeout=30)
            await assert_fresh_async(sandbox)

    asyncio.run(main())


def test_an_exception_in_a_task_group_cancels_the_others_and_ends_their_code():
    async def fail(begun: asyncio.Event) -> None:
        await begun.wait()
        raise TornError

    async def main() -> None:
        async with AsyncSandbox(ALONE) as sandbox:
            await prepare_async(sandbox)
            begun = asyncio.Event()

            async def both() -> None:
                async with asyncio.TaskGroup() as group:
                    group.create_task(sandbox.run_code(PAUSE, on_stdout=lambda _: begun.set()))
                    group.create_task(fail(begun))

            with pytest.raises(ExceptionGroup) as caught:
                await both()
            assert caught.group_contains(TornError)
            await assert_fresh_async(sandbox)

    asyncio.run(main())


@pytest.mark.parametrize("policy", POLICIES)
def test_tasks_cancelled_at_any_moment_leave_the_sandbox_usable_and_true(policy: Policy):
    async def main() -> None:
        async with AsyncSandbox(policy) as sandbox:
            await sandbox.files.write("kept.txt", "kept")
            for turns in range(25):
                task = asyncio.create_task(
                    sandbox.run_code("import os; os._exit(0)" if turns % 2 else "1")
                )
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert (await sandbox.run_code(f"{turns} + 1")).text == str(turns + 1)
            assert await sandbox.files.read("kept.txt") == "kept"

    asyncio.run(main())


def test_a_write_cancelled_at_any_moment_does_not_send_the_next_one_astray():
    async def main() -> None:
        async with AsyncSandbox(ALONE) as sandbox:
            for turns in range(12):
                task = asyncio.create_task(sandbox.files.write("one.txt", "one"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                await sandbox.files.write("two.txt", "two")
                assert await sandbox.files.read("two.txt") == "two"
                assert (await sandbox.run_code("open('two.txt').read()")).text == "'two'"

    asyncio.run(main())


def test_a_task_cancelled_while_its_sandbox_is_being_made_leaves_nothing():
    async def main() -> None:
        for turns in range(8):
            sandbox = AsyncSandbox(ALONE)
            task = asyncio.create_task(sandbox.run_code("1"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert (await sandbox.run_code("1 + 1")).text == "2"
            await sandbox.close()

    asyncio.run(main())
