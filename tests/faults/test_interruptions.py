"""Whoever waits for code is torn away in mid-run: what tore comes through, the code ends, the sandbox goes on.

The code is stopped by the ladder: what stops at a KeyboardInterrupt leaves its variables, what does not within the
time of grace is killed.  The grace is long in these tests where nobody may wait for its end.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from protocell import Execution, Limits, Policy, Sandbox
from protocell.aio import AsyncSandbox
from protocell.aio_context import AsyncContext
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

pytestmark = pytest.mark.claim("faults.interruptions")

GRACE_SECONDS = 20.0
LONG = Limits(grace_seconds=GRACE_SECONDS)
ALONE_LONG = Policy(environment=ALONE.environment, limits=LONG)
POLICIES = [
    pytest.param(ALONE_LONG, id="kernel"),
    pytest.param(Policy(isolation="process", limits=LONG), id="process"),
]
SHORT_POLICIES = [
    pytest.param(ALONE, id="kernel"),
    pytest.param(Policy(isolation="process"), id="process"),
]
# Goes on after an interrupt, of which it leaves a trace.
DEAF = """
import signal
signal.signal(signal.SIGINT, lambda *_: open('heard', 'w').close())
print('begun', flush=True)
while True: signal.pause()
"""


class TornError(Exception):
    """Raised by a callback."""


def code_of(policy: Policy) -> set[int]:
    """The processes that run code in this policy's sandboxes, where they can be told from others."""
    if policy.isolation == "process":
        return set()
    return {pid for init in inits_of(zygote_of(policy).pid) for pid in children_of(init)}


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail what takes longer."""
    before = time.monotonic()
    yield
    assert time.monotonic() - before < seconds


def assert_kept(sandbox: Sandbox) -> None:
    """Usable, with its files and the variables of before, and without the output of before."""
    execution = sandbox.run_code("print('again')\nx")
    assert (execution.text, execution.state) == ("1", "kept")
    assert execution.logs.stdout == ["again\n"]
    assert sandbox.files.read("kept.txt") == "kept"


def assert_fresh(sandbox: Sandbox) -> None:
    """Usable, with its files, without the variables and the output of before."""
    execution = sandbox.run_code("print('again')\n'x' in globals()")
    assert execution.text == "False"
    assert execution.logs.stdout == ["again\n"]
    assert sandbox.files.read("kept.txt") == "kept"


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


HOW = pytest.mark.parametrize("how", [raise_signal, kill_self, kill_from_a_thread])


@pytest.mark.parametrize("policy", POLICIES)
@HOW
def test_ctrl_c_comes_through_and_the_code_stops_with_its_variables(
    policy: Policy, how: Callable[[str], None]
):
    with Sandbox(policy) as sandbox:
        prepare(sandbox)
        before = code_of(policy)

        with within(GRACE_SECONDS / 2), pytest.raises(KeyboardInterrupt):
            sandbox.run_code(PAUSE, on_stdout=how, timeout=30)

        assert_kept(sandbox)
        assert code_of(policy) == before


@pytest.mark.parametrize("policy", SHORT_POLICIES)
@HOW
def test_ctrl_c_comes_through_and_ends_code_that_does_not_stop(
    policy: Policy, how: Callable[[str], None]
):
    with Sandbox(policy) as sandbox:
        prepare(sandbox)
        before = code_of(policy)

        with within(policy.limits.grace_seconds + 5), pytest.raises(KeyboardInterrupt):
            sandbox.run_code(DEAF, on_stdout=how, timeout=30)

        assert all(map(is_gone, before))
        assert sandbox.files.exists("heard")
        assert_fresh(sandbox)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_second_ctrl_c_ends_code_that_does_not_stop_at_once(policy: Policy):
    with Sandbox(policy) as sandbox:
        prepare(sandbox)
        before = code_of(policy)

        def once_more() -> None:
            wait_for(lambda: sandbox.files.exists("heard"), "the first to be heard")
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=once_more)

        def begin(_: str) -> None:
            thread.start()
            signal.raise_signal(signal.SIGINT)

        with within(GRACE_SECONDS / 2), pytest.raises(KeyboardInterrupt):
            sandbox.run_code(DEAF, on_stdout=begin, timeout=60)
        thread.join()

        wait_for(lambda: all(map(is_gone, before)), "the end of the code")
        assert_fresh(sandbox)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_code_writes_while_it_is_stopped_is_not_the_next_ones(policy: Policy):
    code = """
import fcntl, signal
fcntl.fcntl(1, 1031, 1 << 20)  # F_SETPIPE_SZ: more than the host reads at once
print('begun', flush=True)
try:
    while True: signal.pause()
finally:
    print('x' * 500_000)
"""
    with Sandbox(policy) as sandbox:
        prepare(sandbox)
        with within(GRACE_SECONDS / 2), pytest.raises(KeyboardInterrupt):
            sandbox.run_code(code, on_stdout=raise_signal, timeout=30)

        assert_kept(sandbox)


def test_an_interrupt_that_is_late_is_not_for_the_next_code():
    """Here init is held up, so that the code has come to its end when init hears of the interrupt."""
    with Sandbox(ALONE_LONG) as sandbox:
        sandbox.run_code("import time; x = 1")
        (init,) = inits_of(zygote_of(ALONE_LONG).pid)
        timer = threading.Timer(0.3, os.kill, [init, signal.SIGCONT])

        def hold_up(_: str) -> None:
            os.kill(init, signal.SIGSTOP)
            timer.start()
            raise TornError

        with pytest.raises(TornError):
            sandbox.run_code(
                "print('begun', flush=True); time.sleep(0.01); x = 2", on_stdout=hold_up
            )
        execution = sandbox.run_code("time.sleep(0.6); x")
        timer.join()

        assert (execution.status, execution.text, execution.state) == ("ok", "2", "kept")


def tear(_: object) -> None:
    raise TornError


@pytest.mark.parametrize("policy", POLICIES)
def test_an_exception_of_a_callback_comes_through_and_the_code_stops(policy: Policy):
    with Sandbox(policy) as sandbox:
        prepare(sandbox)
        with within(GRACE_SECONDS / 2), pytest.raises(TornError):
            sandbox.run_code(PAUSE, on_stdout=tear, timeout=30)

        assert_kept(sandbox)


@pytest.mark.parametrize("policy", SHORT_POLICIES)
def test_an_exception_of_a_callback_comes_through_and_ends_code_that_does_not_stop(policy: Policy):
    with Sandbox(policy) as sandbox:
        prepare(sandbox)
        before = code_of(policy)
        with within(policy.limits.grace_seconds + 5), pytest.raises(TornError):
            sandbox.run_code(DEAF, on_stdout=tear, timeout=30)

        assert all(map(is_gone, before))
        assert_fresh(sandbox)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ["on_stdout", "on_stderr", "on_result", "on_error"])
def test_an_exception_of_a_callback_at_the_end_of_the_code_costs_nothing(policy: Policy, name: str):
    code = "x = 1\nimport sys\ndisplay(x)\nprint('out')\nprint('err', file=sys.stderr)\n1 / 0"
    callbacks: dict[str, Any] = {name: tear}
    with Sandbox(policy) as sandbox:
        prepare(sandbox)
        for _ in range(5):
            with within(GRACE_SECONDS / 2), pytest.raises(TornError):
                sandbox.run_code(code, timeout=30, **callbacks)

        assert_kept(sandbox)


def test_an_exception_of_a_callback_in_a_sandbox_that_is_killed_comes_through():
    with Sandbox(ALONE) as sandbox:
        (init,) = inits_of(zygote_of(ALONE).pid)

        def kill_and_tear(_: str) -> None:
            os.kill(init, signal.SIGKILL)
            wait_for(lambda: is_gone(init), "its end")
            raise TornError

        with pytest.raises(TornError):
            sandbox.run_code(PAUSE, on_stdout=kill_and_tear, timeout=30)


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
    after = sandbox.run_code("1 + 1")
    assert after.text == "2", (after, after.reason, after.state_reason)
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


async def assert_kept_async(sandbox: AsyncSandbox) -> None:
    """Usable, with its files and the variables of before."""
    execution = await sandbox.run_code("x")
    assert (execution.text, execution.state) == ("1", "kept")
    assert await sandbox.files.read("kept.txt") == "kept"


async def assert_fresh_async(sandbox: AsyncSandbox) -> None:
    """Usable, with its files, without the variables of before."""
    assert (await sandbox.run_code("'x' in globals()")).text == "False"
    assert await sandbox.files.read("kept.txt") == "kept"


async def begin(sandbox: AsyncSandbox, code: str) -> "asyncio.Task[Execution]":
    """A task that runs this code, which has begun."""
    begun = asyncio.Event()
    task = asyncio.create_task(sandbox.run_code(code, on_stdout=lambda _: begun.set(), timeout=60))
    await begun.wait()
    return task


@pytest.mark.parametrize("policy", POLICIES)
def test_a_cancelled_task_stops_its_code_which_keeps_its_variables(policy: Policy):
    async def main() -> None:
        async with AsyncSandbox(policy) as sandbox:
            await prepare_async(sandbox)
            task = await begin(sandbox, PAUSE)
            with within(GRACE_SECONDS / 2):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

            await assert_kept_async(sandbox)

    asyncio.run(main())


@pytest.mark.parametrize("policy", SHORT_POLICIES)
def test_a_cancelled_task_ends_code_that_does_not_stop_and_the_sandbox_goes_on(policy: Policy):
    async def main() -> None:
        async with AsyncSandbox(policy) as sandbox:
            await prepare_async(sandbox)
            task = await begin(sandbox, DEAF)
            before = code_of(policy)
            with within(policy.limits.grace_seconds + 5):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

            assert all(map(is_gone, before))
            await assert_fresh_async(sandbox)

    asyncio.run(main())


@pytest.mark.parametrize("policy", POLICIES)
def test_a_task_cancelled_twice_does_not_wait_for_code_that_does_not_stop(policy: Policy):
    async def main() -> None:
        async with AsyncSandbox(policy) as sandbox:
            await prepare_async(sandbox)
            task = await begin(sandbox, DEAF)
            before = code_of(policy)
            with within(GRACE_SECONDS / 2):
                task.cancel()
                while not await sandbox.files.exists("heard"):  # noqa: ASYNC110  (there is no event)
                    await asyncio.sleep(0)
                assert not task.done()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

            wait_for(lambda: all(map(is_gone, before)), "the end of the code")
            await assert_fresh_async(sandbox)

    asyncio.run(main())


def test_a_timeout_of_asyncio_around_a_run_stops_the_code():
    async def main() -> None:
        async with AsyncSandbox(ALONE) as sandbox:
            await prepare_async(sandbox)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await sandbox.run_code("while True: pass", timeout=30)
            await assert_kept_async(sandbox)

    asyncio.run(main())


def test_an_exception_in_a_task_group_cancels_the_others_and_stops_their_code():
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
            await assert_kept_async(sandbox)

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


QUESTIONS: dict[str, Callable[[AsyncContext], Coroutine[Any, Any, object]]] = {
    "variables": lambda context: context.variables(),
    "checkpoint": lambda context: context.checkpoint("another"),
    "restore": lambda context: context.restore("one"),
    "undo": lambda context: context.undo(),
    "fork": lambda context: context.fork(),
    "restart": lambda context: context.restart(),
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_cancelled_at_any_moment_does_not_harm_the_next_code(
    ask: Callable[[AsyncContext], Coroutine[Any, Any, object]],
):
    async def main() -> None:
        async with AsyncSandbox(ALONE, checkpoints=True) as sandbox:
            for turns in range(16):
                await sandbox.run_code("x = 1")
                await sandbox.run_code("y = 1")
                await sandbox.context.checkpoint("one")
                task = asyncio.create_task(ask(sandbox.context))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                execution = await sandbox.run_code("1 + 1")
                assert (execution.status, execution.text) == ("ok", "2"), execution.reason
                for branch in (await sandbox.list_code_contexts())[1:]:
                    await sandbox.remove_code_context(branch)

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
