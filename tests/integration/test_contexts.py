"""Contexts: live interpreters, one execution at a time in each, that share the workspace and the limits."""

import asyncio
import inspect
import select
import signal
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from protocell import AsyncSandbox, Execution, Policy, Sandbox
from protocell.aio_context import AsyncContext
from protocell.aio_shell import AsyncCommandHandle, AsyncCommands
from protocell.context import Context
from protocell.errors import (
    BusyError,
    CheckpointError,
    ClosedError,
    PolicyError,
    SandboxDiedError,
    UnsupportedError,
)
from protocell.shell import CommandHandle, Commands
from tests.faults.processes import wait_for
from tests.integration.running import (
    QUIET,
    Running,
    begun_and_held,
    fine,
    gate,
    limited,
    output,
    processes_in,
    running,
)

KEPT = "the variables are as the code left them"


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own."""
    asyncio.run(asyncio.wait_for(coroutine, 60))


def queued(context: Context | AsyncContext) -> int:
    """How many wait for their turn."""
    return len(context.core._turns._queue)


def is_readable(descriptor: int) -> bool:
    """Whether there is something to read."""
    return bool(select.select([descriptor], [], [], 0)[0])


# -- make, list, restart, remove -----------------------------------------------------------------------


def test_a_sandbox_begins_with_one_context_and_lists_those_that_are_made():
    with Sandbox(QUIET) as sandbox:
        assert [each.id for each in sandbox.list_code_contexts()] == ["default"]
        second = sandbox.create_code_context()
        third = sandbox.create_code_context()

        assert [each.id for each in sandbox.list_code_contexts()] == [
            "default",
            second.id,
            third.id,
        ]
        assert len({"default", second.id, third.id}) == 3
        assert {each.language for each in sandbox.list_code_contexts()} == {"python"}


def test_variables_of_one_context_are_not_in_another():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 'default'")
        second = sandbox.create_code_context()

        assert second.run_code("'x' in globals()").text == "False"
        second.run_code("x = 'second'")
        assert sandbox.run_code("x").text == "'default'"
        assert sandbox.run_code("x", context=second).text == "'second'"


def test_a_removed_context_is_gone_with_what_it_started_and_the_others_live():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 1")
        second = sandbox.create_code_context()
        second.run_code("import subprocess; p = subprocess.Popen(['sleep', '1000'])")
        sandbox.remove_code_context(second)

        assert [each.id for each in sandbox.list_code_contexts()] == ["default"]
        with pytest.raises(ClosedError):
            second.run_code("1")
        with pytest.raises(ClosedError):
            sandbox.remove_code_context(second.id)
        assert sandbox.run_code("x").text == "1"


def test_removing_a_context_ends_the_code_that_runs_in_it():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        with running(second.run_code, begun_and_held()) as call:
            sandbox.remove_code_context(second.id)
            execution = call.result()

        assert (execution.status, execution.reason) == (
            "killed",
            "the code was ended by the caller",
        )
        assert execution.state == "lost"
        assert sandbox.run_code("1 + 1").text == "2"


def test_the_default_context_is_the_sandbox_and_cannot_be_removed():
    with Sandbox(QUIET) as sandbox:
        with pytest.raises(PolicyError, match="use kill"):
            sandbox.remove_code_context("default")
        with pytest.raises(PolicyError, match="use kill"):
            sandbox.context.close()
        assert sandbox.run_code("1").text == "1"


@pytest.mark.parametrize("call", ["remove_code_context", "restart_code_context"])
def test_a_context_that_there_is_not_is_said(call: str):
    with (
        Sandbox(QUIET) as sandbox,
        pytest.raises(ClosedError, match="has no context 'nowhere'"),
    ):
        getattr(sandbox, call)("nowhere")


def test_a_restarted_context_has_no_variables_and_its_files_and_the_other_contexts_live_on():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context(envs={"MINE": "1"}, cwd="/tmp")
        sandbox.run_code("x = 1; open('kept.txt', 'w').write('here')")
        second.run_code("x = 2")
        sandbox.restart_code_context("default")

        execution = fine(sandbox.run_code("'x' in globals(), open('kept.txt').read()"))
        assert execution.text == "(False, 'here')"
        assert execution.execution_count == 1
        assert second.run_code("x").text == "2"

        sandbox.restart_code_context(second)
        again = fine(
            second.run_code("import os\n('x' in globals(), os.environ['MINE'], os.getcwd())")
        )
        assert again.text == "(False, '1', '/tmp')"


def test_a_restart_ends_what_the_context_had_started():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code(
            "import subprocess\n"
            "p = subprocess.Popen('setsid sleep 1000 & sleep 1000', shell=True, start_new_session=True)"
        )
        sandbox.context.restart()

        assert processes_in(sandbox) == 2


def test_a_restart_forgets_the_checkpoints_that_have_no_name():
    with Sandbox(QUIET, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        sandbox.context.checkpoint("one")
        sandbox.context.restart()

        assert sandbox.context.checkpoints() == ["one"]
        with pytest.raises(CheckpointError, match="nothing to go back to"):
            sandbox.context.undo()
        assert sandbox.run_code("import os\nos._exit(0)").state == "restored"
        assert sandbox.run_code("'x' in globals()").text == "False"


def test_a_restart_while_code_runs_is_refused():
    with Sandbox(QUIET) as sandbox, running(sandbox.run_code, begun_and_held()) as call:
        with pytest.raises(BusyError):
            sandbox.restart_code_context("default")
        sandbox.files.write("go", b"")
        assert call.result().status == "ok"


def test_a_context_that_has_ended_by_itself_can_be_restarted():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("import os\nos._exit(3)")
        sandbox.context.restart()

        assert sandbox.run_code("1").execution_count == 1


def test_there_is_a_bound_on_contexts_and_it_is_said():
    with Sandbox(QUIET) as sandbox:
        branches = sandbox.context.fork(31, files="shared")
        with pytest.raises(PolicyError, match="at most 32 contexts"):
            sandbox.create_code_context()
        branches[0].close()
        assert sandbox.create_code_context().run_code("1").text == "1"


# -- cwd and envs --------------------------------------------------------------------------------------


def test_cwd_and_envs_of_the_sandbox_hold_for_all_that_runs_there():
    with Sandbox(QUIET, envs={"ALL": "a", "BOTH": "sandbox"}, cwd="/tmp") as sandbox:
        look = "import os\n(os.environ.get('ALL'), os.environ.get('BOTH'), os.getcwd())"
        second = sandbox.create_code_context(envs={"BOTH": "context"}, cwd="/dev/shm")

        assert sandbox.run_code(look).text == "('a', 'sandbox', '/tmp')"
        assert second.run_code(look).text == "('a', 'context', '/dev/shm')"
        assert (sandbox.context.cwd, second.cwd) == ("/tmp", "/dev/shm")
        assert sandbox.commands.run("echo $ALL $BOTH; pwd").stdout == "a sandbox\n/tmp\n"


def test_a_relative_cwd_is_below_the_workspace():
    with Sandbox(QUIET) as sandbox:
        sandbox.files.make_dir("deep/er")
        context = sandbox.create_code_context(cwd="deep/er")

        assert context.run_code("import os\nos.getcwd()").text == "'/home/user/deep/er'"


@pytest.mark.parametrize("cwd", ["missing", "/missing", "file", "x" * 300, "missing/../deep"])
def test_a_working_folder_that_is_not_there_is_refused_and_nothing_is_left(cwd: str):
    with Sandbox(QUIET) as sandbox:
        sandbox.files.write("file", b"")
        with pytest.raises(PolicyError, match="there is no such folder"):
            sandbox.create_code_context(cwd=cwd)
        assert [each.id for each in sandbox.list_code_contexts()] == ["default"]
        assert sandbox.run_code("1").text == "1"


def test_a_working_folder_of_the_sandbox_that_is_not_there_is_refused():
    with pytest.raises(PolicyError, match="there is no such folder"):
        Sandbox.create(QUIET, cwd="/nowhere")


@pytest.mark.parametrize("cwd", ["", "a\0b", 7, b"/tmp", "x" * 5000])
def test_odd_working_folders_are_refused_before_anything_runs(cwd: Any):
    with pytest.raises(PolicyError, match="cwd is"):
        Sandbox(QUIET, cwd=cwd)


@pytest.mark.parametrize(
    "envs", [{"A=B": "x"}, {"": "x"}, {"A": 1}, {1: "x"}, {"A\0": "x"}, {"A": "\0"}, ["A"]]
)
def test_odd_variables_are_refused_before_anything_runs(envs: Any):
    with pytest.raises(PolicyError):
        Sandbox(QUIET, envs=envs)
    with Sandbox(QUIET) as sandbox:
        with pytest.raises(PolicyError):
            sandbox.run_code("1", envs=envs)
        with pytest.raises(PolicyError):
            sandbox.create_code_context(envs=envs)
        with pytest.raises(PolicyError):
            sandbox.commands.run("true", envs=envs)


SEE = "import os, subprocess\n(os.environ.get('ONCE'), subprocess.getoutput('echo $ONCE'))"


def test_variables_of_a_run_are_seen_by_the_code_and_its_children_and_gone_in_the_next():
    with Sandbox(QUIET) as sandbox:
        assert sandbox.run_code(SEE, envs={"ONCE": "now"}).text == "('now', 'now')"
        assert sandbox.run_code(SEE).text == "(None, '')"


def test_a_variable_of_a_run_that_stood_before_has_its_value_again():
    with Sandbox(QUIET, envs={"ONCE": "always"}) as sandbox:
        assert sandbox.run_code(SEE, envs={"ONCE": "now"}).text == "('now', 'now')"
        assert sandbox.run_code(SEE).text == "('always', 'always')"


@pytest.mark.parametrize(
    "code, status",
    [
        ("1 / 0", "error"),
        ("raise SystemExit(3)", "error"),
        ("while True: pass", "timeout"),
        ("import os; del os.environ['ONCE']", "ok"),
        ("import os; os.environ['ONCE'] = 'mine'", "ok"),
        ("import os; os.environ.clear()", "ok"),
        ("import os; os.environ = {}", "ok"),
    ],
)
def test_variables_of_a_run_are_gone_however_it_ended(code: str, status: str):
    with Sandbox(limited(grace_seconds=10)) as sandbox:
        execution = sandbox.run_code(code, envs={"ONCE": "now"}, timeout=0.3)

        assert (execution.status, execution.state) == (status, "kept")
        assert sandbox.run_code("import os\nos.getenv('ONCE')").text is None
        assert (
            sandbox.run_code("import subprocess\nsubprocess.getoutput('echo $ONCE')").text == "''"
        )


def test_variables_of_a_run_that_was_killed_are_not_in_the_restored_state():
    with Sandbox(QUIET, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        execution = sandbox.run_code("import os\nos._exit(1)", envs={"ONCE": "now"})

        assert execution.state == "restored"
        assert sandbox.run_code("import os\n(x, os.environ.get('ONCE'))").text == "(1, None)"


def test_variables_of_a_run_are_in_no_other_context_and_in_no_command():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        code = begun_and_held() + "os.environ['ONCE']"
        with running(sandbox.run_code, code, envs={"ONCE": "now"}) as call:
            assert second.run_code(SEE).text == "(None, '')"
            assert sandbox.commands.run("echo [$ONCE]").stdout == "[]\n"
            sandbox.files.write("go", b"")
            assert call.result().text == "'now'"


# -- counting ------------------------------------------------------------------------------------------


def test_executions_are_counted_for_each_context():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()

        assert [sandbox.run_code("1").execution_count for _ in range(3)] == [1, 2, 3]
        assert [second.run_code("1/0").execution_count for _ in range(2)] == [1, 2]
        assert sandbox.run_code("import os\nos._exit(1)").execution_count == 4
        assert sandbox.run_code("1").execution_count == 5


def test_a_call_that_was_refused_does_not_count():
    with Sandbox(QUIET) as sandbox, running(sandbox.run_code, begun_and_held()) as call:
        with pytest.raises(BusyError):
            sandbox.run_code("1")
        sandbox.files.write("go", b"")
        call.result()
        assert sandbox.run_code("1").execution_count == 2


# -- two at once ---------------------------------------------------------------------------------------


def test_the_second_of_two_executions_at_once_is_refused_and_the_first_goes_on():
    with Sandbox(QUIET) as sandbox:
        with running(sandbox.run_code, begun_and_held() + "6 * 7") as call:
            with pytest.raises(BusyError, match="this context is running code"):
                sandbox.run_code("1")
            sandbox.files.write("go", b"")
            assert call.result().text == "42"
        assert sandbox.run_code("1").text == "1"


def test_one_context_runs_while_another_does():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        with running(sandbox.run_code, begun_and_held()) as call:
            assert second.run_code("open('/home/user/go', 'w').close()").status == "ok"
            assert call.result().status == "ok"


def test_threads_that_wait_have_their_turns_in_order_and_never_interleaved():
    with Sandbox(QUIET) as sandbox, running(sandbox.run_code, begun_and_held()) as first:
        code = "seen = [*globals().get('seen', []), {0}, {0}]; seen"
        waiting: list[Running[Execution]] = []
        for number in range(5):
            text = code.format(number)
            waiting.append(Running(partial(sandbox.run_code, text, wait=True)))
            wait_for(lambda: queued(sandbox.context) == len(waiting), "its place in the queue")
        with pytest.raises(BusyError):
            sandbox.run_code("1")
        sandbox.files.write("go", b"")
        first.result()
        texts = [call.result().text for call in waiting]

    assert texts[-1] == "[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]"
    assert [text.count(",") for text in texts if text] == [1, 3, 5, 7, 9]


def test_tasks_that_wait_have_their_turns_in_order_and_one_that_is_cancelled_leaves_the_queue():
    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            begun = asyncio.Event()
            first = asyncio.create_task(
                sandbox.run_code(begun_and_held(), on_stdout=lambda _: begun.set())
            )
            await begun.wait()
            code = "seen = [*globals().get('seen', []), {}]; seen"
            waiting = []
            for number in range(4):
                call = sandbox.run_code(code.format(number), wait=True)
                waiting.append(asyncio.create_task(call))
                while queued(sandbox.context) <= number:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            waiting[1].cancel()
            await asyncio.wait([waiting[1]])
            assert waiting[1].cancelled()
            with pytest.raises(BusyError):
                await sandbox.run_code("1")
            await sandbox.files.write("go", b"")
            assert (await first).status == "ok"
            texts = [(await waiting[number]).text for number in (0, 2, 3)]
            assert texts == ["[0]", "[0, 2]", "[0, 2, 3]"]
            assert (await sandbox.run_code("seen")).text == "[0, 2, 3]"

    run(main())


def test_who_waits_is_told_when_the_sandbox_is_closed_meanwhile():
    sandbox = Sandbox(QUIET)
    with running(sandbox.run_code, begun_and_held()) as first:
        waiting = Running(lambda: sandbox.run_code("1", wait=True))
        wait_for(lambda: queued(sandbox.context) == 1, "its place in the queue")
        sandbox.kill()

        assert first.result().status == "killed"
        with pytest.raises(ClosedError):
            waiting.result()


def test_an_interrupt_stops_the_one_that_runs_and_the_next_has_its_turn():
    with Sandbox(QUIET) as sandbox, running(sandbox.run_code, begun_and_held()) as first:
        waiting = Running(lambda: sandbox.run_code("1 + 1", wait=True))
        wait_for(lambda: queued(sandbox.context) == 1, "its place in the queue")
        assert sandbox.interrupt()

        assert first.result().status == "cancelled"
        second = waiting.result()
        assert (second.status, second.text) == ("ok", "2")


# -- what contexts share, and what they do not ----------------------------------------------------------


def test_files_of_one_context_are_those_of_the_other():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        sandbox.run_code("open('shared.txt', 'w').write('from the first')")

        assert second.run_code("open('shared.txt').read()").text == "'from the first'"
        second.run_code("open('shared.txt', 'a').write(', and the second')")
        assert sandbox.files.read("shared.txt") == "from the first, and the second"


def test_files_that_were_there_before_a_context_are_not_told_as_its_work():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("open('old.txt', 'w').write('x')")
        second = sandbox.create_code_context()

        assert list(second.run_code("1").files) == []
        assert list(second.run_code("open('new.txt', 'w').write('x')").files) == ["new.txt"]


def test_the_size_of_the_workspace_is_one_limit_for_all():
    with Sandbox(limited(workspace_bytes="4MiB")) as sandbox:
        second = sandbox.create_code_context()
        fine(sandbox.run_code("open('a', 'wb').write(bytes(3 << 20))"))
        execution = second.run_code("open('b', 'wb').write(bytes(3 << 20))")

        assert execution.error is not None
        assert "No space left" in execution.error.value


HIDDEN: dict[str, tuple[str, str, str, str]] = {
    # what: leave it; look for it; what the one that left it sees; what the other sees
    "variables": ("left = 1", "'left' in globals()", "True", "False"),
    "modules": (
        "import sys, types; sys.modules['left'] = types.ModuleType('left')",
        "import sys\n'left' in sys.modules",
        "True",
        "False",
    ),
    "/tmp": (
        "open('/tmp/left', 'w').close()",
        "import os\nos.path.exists('/tmp/left')",
        "True",
        "False",
    ),
    "/dev/shm": (
        "open('/dev/shm/left', 'w').close()",
        "import os\nos.path.exists('/dev/shm/left')",
        "True",
        "False",
    ),
    "processes": (
        "import subprocess; p = subprocess.Popen(['sleep', '1000'])",
        "import os\nsum(open(f'/proc/{n}/comm').read() == 'sleep\\n' for n in os.listdir('/proc') if n.isdigit())",
        "1",
        "0",
    ),
    "loopback": (
        "import socket; s = socket.create_server(('127.0.0.1', 45678))",
        "import socket\nc = socket.socket(); found = c.connect_ex(('127.0.0.1', 45678)); c.close(); found",
        "0",
        "111",
    ),
    "abstract sockets": (
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0left'); s.listen()",
        "import socket\nc = socket.socket(socket.AF_UNIX); found = c.connect_ex('\\0left'); c.close(); found",
        "0",
        "111",
    ),
    "System V memory": (
        "import ctypes; i = ctypes.CDLL(None).shmget(0x5EC2E7, 4096, 0o1666)",
        "import ctypes\nctypes.CDLL(None).shmget(0x5EC2E7, 0, 0) >= 0",
        "True",
        "False",
    ),
    "variables of the environment": (
        "import os; os.environ['LEFT'] = '1'",
        "import os\nos.environ.get('LEFT')",
        "'1'",
        "None",
    ),
    "the working folder": (
        "import os; os.chdir('/tmp')",
        "import os\nos.getcwd()",
        "'/tmp'",
        "'/home/user'",
    ),
}


@pytest.mark.parametrize("what", HIDDEN)
def test_contexts_share_nothing_else(what: str):
    leave, look, own, others = HIDDEN[what]
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        fine(sandbox.run_code(leave))
        assert str(fine(second.run_code(look)).text) == others
        assert str(fine(sandbox.run_code(look)).text) == own
        fine(second.run_code(leave))
        assert str(fine(second.run_code(look)).text) == own


KILL_ALL = """
import os
try: os.kill(-1, 9)
except OSError: pass  # there is nobody else
os.kill(os.getpid(), 9)
"""


def test_signals_to_everybody_reach_no_other_context():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        second.run_code("x = 1")
        execution = sandbox.run_code(KILL_ALL)

        assert execution.status == "killed"
        assert second.run_code("x").text == "1"
        third = sandbox.create_code_context()
        third.run_code(KILL_ALL)
        assert second.run_code("x").text == "1"


def test_what_one_context_did_wrong_is_not_said_of_another():
    """Kills for want of memory are counted where the limit is, which is one for all of them."""
    with Sandbox(limited(memory_bytes="192MiB")) as sandbox:
        second = sandbox.create_code_context()
        second.run_code("1")
        # More than the limit in two processes, each of which may have as much as it takes.
        code = (
            "import os, time\n"
            "if os.fork() == 0:\n"
            "    held = bytearray(100 << 20)\n"
            "    held[::4096] = b'x' * len(held[::4096])\n"
            "    while True: time.sleep(1)\n"
            "held = bytearray(120 << 20)\n"
            "held[::4096] = b'x' * len(held[::4096])\n"
            "while True: time.sleep(1)\n"
        )
        assert sandbox.run_code(code, timeout=5).status in {"out_of_memory", "timeout"}

        long = "import time; time.sleep(0.06)"  # so long that init is asked what was used
        for context in (second, sandbox.create_code_context()):
            assert context.run_code(long).reason == "the code ran to its end"
            assert context.run_code(f"{long}\n1 / 0").status == "error"


# -- the sandbox as a whole ----------------------------------------------------------------------------


def test_a_sandbox_that_is_created_is_there_at_once_and_listed_until_it_is_killed():
    before = {info.sandbox_id for info in Sandbox.list()}
    sandbox = Sandbox.create(QUIET, metadata={"who": "me"})
    try:
        assert sandbox.is_running()
        (info,) = [each for each in Sandbox.list() if each.sandbox_id not in before]
        assert info == sandbox.get_info()
        assert info.sandbox_id == sandbox.sandbox_id
        assert info.metadata == {"who": "me"}
        assert info.end_at is None
        assert info.contexts == 1
        assert datetime.now(UTC) - info.started_at < timedelta(seconds=60)
        sandbox.create_code_context()
        assert sandbox.get_info().contexts == 2
    finally:
        sandbox.kill()

    assert not sandbox.is_running()
    assert {info.sandbox_id for info in Sandbox.list()} == before
    with pytest.raises(ClosedError):
        sandbox.run_code("1")


def test_a_sandbox_that_was_not_used_yet_does_not_run():
    sandbox = Sandbox(QUIET)
    assert not sandbox.is_running()
    sandbox.run_code("1")
    assert sandbox.is_running()
    sandbox.close()
    assert not sandbox.is_running()


@pytest.mark.parametrize("metadata", [["a"], {str(n): "" for n in range(101)}])
def test_odd_metadata_is_refused(metadata: Any):
    with pytest.raises(PolicyError, match="metadata"):
        Sandbox(QUIET, metadata=metadata)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "1", True])
def test_odd_timeouts_of_a_sandbox_are_refused(timeout: Any):
    with pytest.raises(PolicyError, match="timeout"):
        Sandbox(QUIET, timeout=timeout)
    with Sandbox(QUIET) as sandbox:
        with pytest.raises(PolicyError, match="timeout"):
            sandbox.set_timeout(timeout)
        assert sandbox.is_running()


def test_when_its_time_is_over_the_whole_sandbox_ends_and_run_code_says_so():
    with Sandbox(QUIET, timeout=0.5) as sandbox:
        second = sandbox.create_code_context()
        (branch,) = sandbox.context.fork(1)
        end_at = sandbox.get_info().end_at
        assert end_at is not None
        assert timedelta(0) < end_at - datetime.now(UTC) <= timedelta(seconds=0.5)
        wait_for(lambda: not sandbox.is_running(), "its end")
        assert sandbox.sandbox_id not in {info.sandbox_id for info in Sandbox.list()}
        wait_for(lambda: not second.core.is_running, "the end of the context beside")

        for call in (sandbox.run_code, second.run_code, branch.run_code, sandbox.commands.run):
            with pytest.raises(SandboxDiedError, match=r"^the sandbox's own time was up"):
                call("1")


def test_code_that_runs_when_the_sandboxs_time_is_over_is_told_so():
    with Sandbox(QUIET, timeout=0.4, checkpoints=True) as sandbox:
        execution = sandbox.run_code("print('begun')\nimport time\ntime.sleep(60)")

    assert execution.status == "killed"
    assert execution.reason == "the sandbox's own time was over, and it ended with everything in it"
    assert (execution.state, execution.state_reason) == ("lost", "the sandbox has ended")
    assert output(execution) == "begun\n"


def test_code_that_runs_when_the_sandbox_is_ended_from_outside_is_told_so():
    with Sandbox(QUIET) as sandbox, running(sandbox.run_code, begun_and_held()) as call:
        place = sandbox.context.core._place
        assert place is not None
        sandbox.context.core._place.box.set_deadline(0)  # type: ignore[union-attr]
        execution = call.result()
        with pytest.raises(SandboxDiedError, match=r"\(its init or its zygote was killed\)"):
            sandbox.run_code("1")

        assert execution.status == "killed"
        assert execution.reason == (
            "the sandbox itself was ended from outside, with everything in it"
        )
        assert (execution.state, execution.state_reason) == ("lost", "the sandbox has ended")


def test_the_time_of_a_sandbox_can_be_set_while_code_runs_shorter_and_longer():
    with Sandbox(QUIET, timeout=60) as sandbox, running(sandbox.run_code, begun_and_held()) as call:
        sandbox.set_timeout(0.05)
        assert call.result().status == "killed"
    with Sandbox(QUIET, timeout=0.3) as sandbox:
        sandbox.set_timeout(60)
        code = "import time\nlong = time.monotonic() + 0.5\nwhile time.monotonic() < long: pass\n1"
        assert sandbox.run_code(code).text == "1"
        assert sandbox.is_running()


def test_a_branch_does_not_keep_a_sandbox_beyond_its_time():
    with Sandbox(QUIET) as sandbox:
        (branch,) = sandbox.context.fork(1)
        branch.run_code("1")
        sandbox.set_timeout(0.05)

        wait_for(lambda: not sandbox.is_running(), "its end")


def test_closing_the_sandbox_ends_all_of_its_contexts():
    sandbox = Sandbox(QUIET)
    second = sandbox.create_code_context()
    with running(second.run_code, begun_and_held()) as call:
        sandbox.close()
        assert call.result().status == "killed"
    with pytest.raises(ClosedError):
        second.run_code("1")
    with pytest.raises(ClosedError):
        sandbox.create_code_context()


WITH_AN_INIT: dict[str, Callable[[Sandbox], object]] = {
    "further contexts": lambda sandbox: sandbox.create_code_context(),
    "commands": lambda sandbox: sandbox.commands.run("true"),
    "checkpoints": lambda sandbox: sandbox.context.checkpoint("x"),
    "branches": lambda sandbox: sandbox.context.fork(1),
    "variables": lambda sandbox: sandbox.context.variables(),
}


@pytest.mark.parametrize("what", WITH_AN_INIT)
def test_what_needs_an_init_says_so_where_there_is_none(what: str):
    with Sandbox(Policy(isolation="process")) as sandbox:
        with pytest.raises(UnsupportedError, match=f'^{what} need isolation="kernel"'):
            WITH_AN_INIT[what](sandbox)
        assert sandbox.run_code("1").text == "1"


def test_an_interpreter_that_ended_in_between_is_told_with_the_next_execution():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 1; import signal; signal.setitimer(signal.ITIMER_REAL, 0.2)")
        place = sandbox.context.core.place
        assert place is not None
        wait_for(lambda: is_readable(place.box.notice), "its end")
        execution = sandbox.run_code("'x' in globals()")

        assert (execution.text, execution.state) == ("False", "lost")
        assert execution.state_reason == (
            f"{KEPT}; it began with no variables: the interpreter had ended in between"
        )
        assert sandbox.run_code("1").state_reason == KEPT


def test_input_gets_end_of_file_and_says_so():
    with Sandbox(QUIET) as sandbox:
        execution = sandbox.run_code("input('name? ')")

        assert execution.error is not None
        assert execution.error.name == "EOFError"
        assert "nobody" in execution.error.value or "no" in execution.error.value
        assert sandbox.run_code("import sys\nsys.stdin.read()").text == "''"
        assert sandbox.commands.run("read line").exit_code == 1


# -- asyncio -------------------------------------------------------------------------------------------


def public(thing: type) -> dict[str, str]:
    """Public names with their signatures."""
    return {
        name: str(inspect.signature(value)).replace("Async", "")
        if inspect.isfunction(value)
        else type(value).__name__
        for name, value in vars(thing).items()
        if not name.startswith("_")
    }


@pytest.mark.parametrize(
    "blocking, asynchronous",
    [(Context, AsyncContext), (Commands, AsyncCommands), (CommandHandle, AsyncCommandHandle)],
)
def test_both_faces_have_the_same_names_and_signatures(blocking: type, asynchronous: type):
    assert public(asynchronous) == public(blocking)


def test_contexts_live_in_asyncio_as_they_do_elsewhere():
    async def main() -> None:
        sandbox = await AsyncSandbox.create(QUIET, envs={"ALL": "a"}, metadata={"x": "y"})
        try:
            assert await sandbox.is_running()
            second = await sandbox.create_code_context(cwd="/tmp")
            both = await asyncio.gather(
                sandbox.run_code("x = 1; x"), sandbox.run_code("x = 2; x", context=second)
            )
            assert [each.text for each in both] == ["1", "2"]
            names = [each.id for each in await sandbox.list_code_contexts()]
            assert names == ["default", second.id]
            await sandbox.restart_code_context(second)
            text = (await second.run_code("import os\n'x' in globals(), os.getcwd()")).text
            assert text == "(False, '/tmp')"
            await sandbox.remove_code_context(second.id)
            with pytest.raises(ClosedError):
                await second.run_code("1")
            with pytest.raises(PolicyError):
                await sandbox.create_code_context(cwd="missing")
            assert (await sandbox.run_code("x")).text == "1"
            await sandbox.set_timeout(0.05)
            while await sandbox.is_running():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            with pytest.raises(SandboxDiedError):
                await sandbox.run_code("x")
        finally:
            await sandbox.kill()

    run(main())


def test_many_contexts_at_once_in_one_loop():
    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            made = await asyncio.gather(*[sandbox.create_code_context() for _ in range(4)])
            code = f"{gate()}open('from-{{0}}', 'w').close(); {{0}}"
            calls = [each.run_code(code.format(n)) for n, each in enumerate(made)]
            tasks = [asyncio.create_task(call) for call in calls]
            await sandbox.files.write("go", b"")
            assert [(await task).text for task in tasks] == ["0", "1", "2", "3"]

    run(main())


# -- who asks while code runs, and who is torn away ----------------------------------------------------

ASKED: dict[str, Callable[[Context], object]] = {
    "variables": lambda context: context.variables(),
    "checkpoint": lambda context: context.checkpoint("x"),
    "restore": lambda context: context.restore("before"),
    "fork": lambda context: context.fork(),
    "more code": lambda context: context.run_code("2", wait=True),
}


@pytest.mark.parametrize("what", ASKED)
def test_who_asks_a_context_from_a_callback_of_its_own_code_is_refused_and_does_not_wait_for_itself(
    what: str,
):
    with Sandbox(QUIET) as sandbox:
        context = sandbox.context
        context.checkpoint("before")
        refusals = []

        def ask(_text: object) -> None:
            with pytest.raises(BusyError, match="for this very thread") as caught:
                ASKED[what](context)
            refusals.append(caught.value)

        assert sandbox.run_code("print('a')\nx = 1", on_stdout=ask).status == "ok"
        events = sandbox.stream(f"print('b', flush=True)\n{gate()}x += 1")
        ask(next(events))
        sandbox.files.write("go", b"")
        assert [type(event).__name__ for event in events] == ["Execution"]
        assert len(refusals) == 2
        assert sandbox.run_code("x").text == "2"


def test_another_context_can_be_asked_from_a_callback():
    with Sandbox(QUIET) as sandbox:
        other = sandbox.create_code_context()
        found: list[str | None] = []
        sandbox.run_code("print('a')", on_stdout=lambda _: found.append(other.run_code("5").text))

        assert found == ["5"]


# Answers when there is a file, and says before by another that it was asked.
SLOW_TO_ANSWER = """
import os, time
from protocell_guest.guest import interpreter
usual = interpreter.Interpreter.variables
def slow(self, most=200):
    open('/home/user/asked', 'w').close()
    while not os.path.exists('/home/user/go'): time.sleep(0.002)
    return usual(self, most)
interpreter.Interpreter.variables = slow
x = 1
"""


def test_ctrl_c_while_a_question_is_not_answered_yet_leaves_the_variables():
    with Sandbox(QUIET) as sandbox:
        assert sandbox.run_code(SLOW_TO_ANSWER).status == "ok"
        main = threading.get_ident()

        def press() -> None:
            wait_for(lambda: sandbox.files.exists("asked"), "the question")
            signal.pthread_kill(main, signal.SIGINT)
            sandbox.files.write("go", b"")

        presser = threading.Thread(target=press)
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            sandbox.context.variables()
        presser.join()

        after = sandbox.run_code("x")
        assert (after.text, after.state, after.state_reason) == ("1", "kept", KEPT)
        assert "x" in sandbox.context.variables().names()


def test_variables_that_are_asked_for_while_others_run_code_are_told():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 1")

        def run() -> None:
            for _ in range(60):
                sandbox.run_code("x += 1", wait=True)

        runner = Running(run)
        for _ in range(60):
            assert sandbox.context.variables().names() == ["x"]
        runner.result()


def test_variables_that_are_gone_since_the_last_execution_are_told_as_that():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 1")
        assert sandbox.context.variables().state_reason == ""
        sandbox.run_code("import signal; signal.setitimer(signal.ITIMER_REAL, 0.2)")
        place = sandbox.context.core.place
        assert place is not None
        wait_for(lambda: is_readable(place.box.notice), "its end")
        found = sandbox.context.variables()

        why = "it began with no variables: the interpreter had ended in between"
        assert (list(found), found.state_reason) == ([], why)
        assert str(found) == f"no variables\n({why})"
        execution = sandbox.run_code("1")
        assert (execution.state, execution.state_reason) == ("lost", f"{KEPT}; {why}")
        assert sandbox.context.variables().state_reason == ""


def test_a_context_that_was_removed_says_so():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        second.close()
        with pytest.raises(
            ClosedError, match=r"^this context was removed, or its sandbox was closed"
        ):
            second.run_code("1")
        assert sandbox.run_code("1").text == "1"
