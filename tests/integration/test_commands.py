"""Shell commands: the same place, limits, output and stop ladder as code has, in a process of their own."""

import asyncio
import sys
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from protocell import AsyncSandbox, Sandbox
from protocell.commands import CommandResult
from protocell.errors import ClosedError, PolicyError
from tests.faults.processes import wait_for
from tests.integration.running import (
    PATIENCE_SECONDS,
    QUIET,
    Running,
    begun_and_held,
    fine,
    limited,
    running,
)

# Named, so that a test finds it among the processes of the sandbox.
DAEMON = "daemon-of-a-test"
LIVING = f"""
import os
found = 0
for name in filter(str.isdigit, os.listdir("/proc")):
    try:
        found += {DAEMON!r} in open(f"/proc/{{name}}/cmdline").read() and name != str(os.getpid())
    except OSError:
        pass
found
"""
# A session of its own, an orphan of an orphan, deaf to what asks it to stop.
FLEE = f"""
import os, signal, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
        for descriptor in (0, 1, 2): os.close(descriptor)
        os.execv("/bin/sleep", [{DAEMON!r}, "1000"])
    os._exit(0)
os.wait()
"""
# One process under that name from the first moment on, which holds what its shell has open.
STAY = f"""exec python -c 'import os; os.execv("/bin/sleep", ["{DAEMON}", "1000"])'"""
HOLD = "while [ ! -e /home/user/go ]; do sleep 0.01; done"


def daemons(sandbox: Sandbox) -> int:
    """How many of them live."""
    return int(fine(sandbox.run_code(LIVING)).text or "")


def flee(sandbox: Sandbox) -> str:
    """A command that leaves a daemon."""
    sandbox.files.write("flee.py", FLEE)
    return "python flee.py"


# -- what a command gives ------------------------------------------------------------------------------


def test_a_command_gives_its_output_and_exit_code():
    with Sandbox(QUIET) as sandbox:
        result = sandbox.commands.run("echo out; echo problem >&2")

        assert (result.status, result.exit_code) == ("ok", 0)
        assert result.reason == "the command ended with exit code 0"
        assert (result.stdout, result.stderr, result.error) == ("out\n", "problem\n", None)
        assert result.to_dict()["stdout"] == "out\n"
        assert "seccomp" in result.enforced


@pytest.mark.parametrize(
    "command, exit_code",
    [
        ("exit 3", 3),
        ("false", 1),
        ("no-such-program", 127),
        ("/etc/passwd", 126),
        ("kill -TERM $$", 128 + 15),
        ("kill -KILL $$", 128 + 9),
        ("kill -SEGV $$", 128 + 11),
        ("exit 255", 255),
        ("if", 2),
    ],
)
def test_a_command_that_fails_is_data_with_the_exit_code_of_shells(command: str, exit_code: int):
    with Sandbox(QUIET) as sandbox:
        result = sandbox.commands.run(command)

        assert (result.status, result.exit_code) == ("error", exit_code)
        assert (
            result.reason == result.error == f"the command ended with exit code {result.exit_code}"
        )
        assert sandbox.commands.run("true").status == "ok"


def test_what_shells_can_do_works():
    with Sandbox(QUIET) as sandbox:
        result = sandbox.commands.run(
            "for i in 1 2 3; do echo $i; done | grep -v 2 > out.txt\n"
            "cat out.txt; x=$(wc -l < out.txt); echo $((x + 40))"
        )

        assert result.stdout == "1\n3\n42\n"
        assert sandbox.files.read("out.txt") == "1\n3\n"
        assert sandbox.run_code("open('out.txt').read()").text == r"'1\n3\n'"


def test_a_shell_has_no_input_no_terminal_and_no_descriptor_of_ours():
    with Sandbox(QUIET) as sandbox:
        result = sandbox.commands.run("cat; test -t 0 || echo none; ls /proc/self/fd")

        assert result.stdout == "none\n0\n1\n2\n3\n"  # the last is of ls itself


@pytest.mark.parametrize("text", ["é\\n", "\\377", "\\000", "\\033[31m"])
def test_output_of_any_bytes_is_text(text: str):
    with Sandbox(QUIET) as sandbox:
        result = sandbox.commands.run(f"printf 'a{text}b'")

        assert result.status == "ok"
        assert (result.stdout[0], result.stdout[-1]) == ("a", "b")


@pytest.mark.parametrize("command", ["", 7, b"true", "a\0b", "x" * (1 << 25)])
def test_odd_commands_are_refused_before_anything_runs(command: Any):
    with Sandbox(QUIET) as sandbox, pytest.raises(PolicyError):
        sandbox.commands.run(command)


def test_a_long_command_runs():
    with Sandbox(QUIET) as sandbox:
        assert sandbox.commands.run(f"echo {'x' * 20_000}").stdout == "x" * 20_000 + "\n"


def test_what_was_used_is_told():
    with Sandbox(QUIET) as sandbox:
        result = sandbox.commands.run(
            "python -c 'import time\nwhile time.process_time() < 0.2: pass'"
        )

        assert 0.15 < result.usage.user_seconds + result.usage.system_seconds < 5
        assert result.usage.wall_seconds >= 0.2
        assert result.usage.processes >= 1


# -- where and with what -------------------------------------------------------------------------------


def test_a_command_runs_in_the_workspace_or_in_the_folder_that_is_named():
    with Sandbox(QUIET) as sandbox:
        sandbox.files.make_dir("deep/er")
        found = [
            sandbox.commands.run("pwd", cwd=cwd).stdout for cwd in (None, "deep/er", "/tmp", "..")
        ]

        assert found == ["/home/user\n", "/home/user/deep/er\n", "/tmp\n", "/home\n"]


@pytest.mark.parametrize("cwd", ["missing", "file", "/root/x"])
def test_a_folder_that_is_not_there_is_refused_and_nothing_runs(cwd: str):
    with Sandbox(QUIET) as sandbox:
        sandbox.files.write("file", b"")
        with pytest.raises(PolicyError, match="cwd"):
            sandbox.commands.run("touch /home/user/ran", cwd=cwd)
        assert not sandbox.files.exists("ran")
        assert sandbox.commands.run("true").status == "ok"


def test_variables_are_for_one_command_and_those_of_the_sandbox_for_all():
    with Sandbox(QUIET, envs={"ALL": "a", "BOTH": "sandbox"}) as sandbox:
        look = "echo $ALL $BOTH $ONCE"

        assert sandbox.commands.run(look, envs={"ONCE": "1", "BOTH": "b"}).stdout == "a b 1\n"
        assert sandbox.commands.run(look).stdout == "a sandbox\n"
        assert sandbox.run_code("import os\nos.environ.get('ONCE')").text is None


def test_a_shell_that_is_set_up_as_usual_knows_who_and_where_it_is():
    with Sandbox(QUIET) as sandbox:
        result = sandbox.commands.run("echo $HOME $USER; whoami; cd; pwd; echo ~")

        assert result.stdout == "/home/user user\nuser\n/home/user\n/home/user\n"


def test_python_and_the_programs_of_the_environment_are_found():
    with Sandbox(QUIET) as sandbox:
        result = sandbox.commands.run(
            "python -c 'import sys, os; print(os.path.realpath(sys.executable), sys.prefix)'"
        )

        assert result.stdout.split()[1] == sys.prefix, result.stderr
        assert sandbox.run_code(
            "import shutil, sys, os\nos.path.dirname(shutil.which('python')) == os.path.dirname(sys.executable)"
        ).text == ("True")


def test_tests_run_in_the_workspace():
    with Sandbox(QUIET) as sandbox:
        sandbox.files.write("test_it.py", "def test_good(): pass\ndef test_bad(): assert 1 == 2\n")
        result = sandbox.commands.run("pytest -q -p no:cacheprovider test_it.py", timeout=60)

        assert result.exit_code == 1, result.stderr
        assert "1 failed, 1 passed" in result.stdout
        assert "assert 1 == 2" in result.stdout


def test_unittest_runs_in_the_workspace():
    with Sandbox(QUIET) as sandbox:
        case = (
            "import unittest\nclass T(unittest.TestCase):\n def test(self): self.assertEqual(1, 1)"
        )
        sandbox.files.write("test_it.py", case)
        result = sandbox.commands.run("python -m unittest", timeout=60)

        assert result.exit_code == 0, result.stderr
        assert result.stderr.endswith("OK\n")


# -- beside code and each other ------------------------------------------------------------------------


def test_commands_run_while_code_does_and_code_while_commands_do():
    with Sandbox(QUIET) as sandbox:
        with running(sandbox.run_code, begun_and_held() + "6 * 7") as call:
            assert sandbox.commands.run("echo meanwhile; touch go").stdout == "meanwhile\n"
            assert call.result().text == "42"
        sandbox.files.remove("go")
        handle = sandbox.commands.run(f"{HOLD}; echo done", background=True)
        assert sandbox.run_code("1 + 1").text == "2"
        sandbox.run_code("open('go', 'w').close()")
        assert handle.wait().stdout == "done\n"


def test_several_commands_at_once_are_several():
    with Sandbox(QUIET) as sandbox:
        handles = [sandbox.commands.run(f"{HOLD}; echo {n}", background=True) for n in range(4)]
        sandbox.files.write("go", b"")

        assert [handle.wait().stdout for handle in handles] == ["0\n", "1\n", "2\n", "3\n"]


def test_commands_reach_the_servers_of_the_default_context_and_code_those_of_commands():
    with Sandbox(QUIET) as sandbox:
        fine(
            sandbox.run_code(
                "import http.server, threading\n"
                "open('page.txt', 'w').write('from the code')\n"
                "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n"
                "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
                "open('port', 'w').write(str(server.server_port))"
            )
        )
        get = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:PORT/page.txt', timeout=9).read())"
        port = str(sandbox.files.read("port"))
        result = sandbox.commands.run(f'python -c "{get.replace("PORT", port)}"')
        assert result.stdout == "b'from the code'\n", result.stderr

        handle = sandbox.commands.run(
            "python -u -m http.server 45679 --bind 127.0.0.1", background=True
        )
        code = (
            "import urllib.request, time\n"
            "for _ in range(2000):\n"
            "    try: found = urllib.request.urlopen('http://127.0.0.1:45679/page.txt', timeout=9).read(); break\n"
            "    except OSError: time.sleep(0.01)\n"
            "found"
        )
        assert sandbox.run_code(code).text == "b'from the code'"
        handle.kill()
        assert handle.wait().status == "killed"


def test_a_command_ends_and_the_interpreter_keeps_its_variables():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 1")
        for command in ("exit 1", "kill -KILL $$", "sleep 1000"):
            sandbox.commands.run(command, timeout=0.2)

        assert sandbox.run_code("x").text == "1"


def test_an_interpreter_that_ends_or_restarts_leaves_commands_alone():
    with Sandbox(limited(grace_seconds=0.1)) as sandbox:
        handle = sandbox.commands.run(f"{HOLD}; echo done", background=True)
        assert sandbox.run_code("import os\nos._exit(1)").status == "killed"
        endless = "while True:\n  try:\n    while True: pass\n  except BaseException: pass"
        assert sandbox.run_code(endless, timeout=0.1).status == "timeout"
        sandbox.context.restart()
        sandbox.files.write("go", b"")

        assert handle.wait().stdout == "done\n"


# -- the stop ladder -----------------------------------------------------------------------------------


def test_a_command_that_takes_too_long_is_interrupted_as_at_a_terminal():
    with Sandbox(limited(grace_seconds=20)) as sandbox:
        result = sandbox.commands.run(
            "trap 'echo caught; exit 3' INT; echo begun; while true; do sleep 0.05; done",
            timeout=0.3,
        )

        assert (result.status, result.exit_code) == ("timeout", 3)
        assert result.stdout == "begun\ncaught\n"
        assert result.reason == (
            "the code ran longer than its limit wall_seconds, 0.3 s; it was interrupted and ended with exit code 3"
        )
        assert 0.3 <= result.usage.wall_seconds < 15


def test_what_a_pipe_of_programs_is_made_of_is_interrupted():
    with Sandbox(limited(grace_seconds=20)) as sandbox:
        result = sandbox.commands.run("sleep 1000 | cat | sleep 1000", timeout=0.2)

        assert (result.status, result.exit_code) == ("timeout", 130)
        assert result.usage.wall_seconds < 15


def test_a_python_program_is_interrupted_by_keyboard_interrupt():
    with Sandbox(limited(grace_seconds=20)) as sandbox:
        code = "import time\\ntry: time.sleep(1000)\\nexcept KeyboardInterrupt: print(42)"
        result = sandbox.commands.run(f'printf "{code}" > p.py; exec python p.py', timeout=1)

        assert (result.status, result.stdout) == ("timeout", "42\n")


@pytest.mark.parametrize(
    "command",
    [
        "trap '' INT; echo begun; while true; do sleep 1000; done",
        "echo begun; python -c 'import signal\nsignal.pthread_sigmask(0, signal.valid_signals())\nsignal.pause()'",
        "echo begun; kill -STOP $$",
        "echo begun; trap '' INT; python flee.py; kill -STOP $$",
        "echo begun; trap '' INT; while true; do (python flee.py &); sleep 0.3; done",
    ],
)
def test_what_goes_on_after_the_interrupt_is_ended_with_all_it_started(command: str):
    with Sandbox(limited(grace_seconds=0.3)) as sandbox:
        flee(sandbox)
        result = sandbox.commands.run(command, timeout=0.7)

        assert (result.status, result.exit_code) == ("timeout", None)
        assert result.stdout == "begun\n"
        assert result.reason == (
            "the code ran longer than its limit wall_seconds, 0.7 s; it went on after an interrupt, "
            "so all of its processes were ended"
        )
        assert result.usage.wall_seconds < 10
        assert daemons(sandbox) == 0


def test_a_daemon_lives_on_after_a_normal_end_and_ends_with_the_default_context():
    with Sandbox(QUIET) as sandbox:
        result = sandbox.commands.run(flee(sandbox))

        assert result.status == "ok"
        assert daemons(sandbox) == 1
        sandbox.context.restart()
        assert daemons(sandbox) == 0


def test_a_daemon_that_holds_the_pipes_does_not_hold_up_the_command():
    with Sandbox(QUIET) as sandbox:
        result = sandbox.commands.run(f"({STAY}) & echo started")

        assert (result.status, result.stdout) == ("ok", "started\n")
        assert result.usage.wall_seconds < 10
        assert daemons(sandbox) == 1


def test_interrupt_stops_a_command_in_the_background():
    with Sandbox(limited(grace_seconds=20)) as sandbox:
        handle = sandbox.commands.run(
            "trap 'exit 5' INT; while true; do sleep 0.05; done", background=True
        )
        handle.interrupt()
        result = handle.wait()

        assert (result.status, result.exit_code) in {("cancelled", 5), ("cancelled", 130)}
        assert result.reason.startswith("the code was stopped by the caller; it was interrupted")


def test_kill_ends_a_command_with_all_that_it_started_and_says_who_did():
    with Sandbox(QUIET) as sandbox:
        handle = sandbox.commands.run(f"{flee(sandbox)}; touch there; sleep 1000", background=True)
        wait_for(lambda: sandbox.files.exists("there"), "its daemon")
        assert daemons(sandbox) == 1
        handle.kill()
        result = handle.wait()

        assert (result.status, result.exit_code) == ("killed", None)
        assert result.reason == "the code was ended by the caller"
        assert daemons(sandbox) == 0


def test_the_result_of_a_command_can_be_asked_for_again():
    with Sandbox(QUIET) as sandbox:
        handle = sandbox.commands.run("echo once; exit 3", background=True)

        assert handle.wait() == handle.wait()
        handle.interrupt()
        handle.kill()
        assert handle.wait().exit_code == 3


def test_a_command_in_the_background_has_its_own_time_also_when_nobody_waits():
    with Sandbox(limited(grace_seconds=0.1)) as sandbox:
        handle = sandbox.commands.run(
            f"trap '' INT; {flee(sandbox)}; sleep 1000", background=True, timeout=0.3
        )
        wait_for(lambda: daemons(sandbox) == 1, "its daemon")
        wait_for(lambda: daemons(sandbox) == 0, "its end")  # init's doing
        assert handle.wait().status == "timeout"


def test_a_forgotten_command_ends():
    with Sandbox(QUIET) as sandbox:
        handle = sandbox.commands.run(STAY, background=True)
        wait_for(lambda: daemons(sandbox) == 1, "its start")
        del handle
        wait_for(lambda: daemons(sandbox) == 0, "its end")


def test_a_sandbox_that_closes_ends_its_commands_and_says_so():
    with Sandbox(QUIET) as sandbox:
        handle = sandbox.commands.run("echo begun; sleep 1000", background=True)
        forgotten = sandbox.commands.run("sleep 1000", background=True)
    result = handle.wait()
    del forgotten

    assert (result.status, result.reason) == ("killed", "the code was ended by the caller")
    with pytest.raises(ClosedError):
        sandbox.commands.run("true")


def test_a_command_that_runs_when_its_sandbox_is_killed_is_told():
    sandbox = Sandbox(QUIET)
    begun = threading.Event()
    call = Running(
        lambda: sandbox.commands.run("echo begun; sleep 1000", on_stdout=lambda _: begun.set())
    )
    assert begun.wait(PATIENCE_SECONDS)
    sandbox.kill()
    result = call.result()

    assert (result.status, result.stdout) == ("killed", "begun\n")
    assert result.reason == "the code was ended by the caller"


def test_a_command_that_runs_when_the_sandboxs_time_is_over_is_told():
    with Sandbox(QUIET, timeout=0.4) as sandbox:
        result = sandbox.commands.run("sleep 1000")

    assert (result.status, result.exit_code) == ("killed", None)
    assert result.reason == "the sandbox's own time was over, and it ended with everything in it"


# -- limits --------------------------------------------------------------------------------------------


def test_a_flood_of_output_is_ended_and_its_head_and_tail_are_kept():
    with Sandbox(limited(output_bytes="4KiB", output_total_bytes="256KiB")) as sandbox:
        result = sandbox.commands.run("echo first; yes; echo never")

        assert (result.status, result.exit_code) == ("output_limit", None)
        assert result.stdout.startswith("first\ny\n")
        assert "bytes left out" in result.stdout
        assert len(result.stdout) < 5000


def test_much_output_below_the_limit_is_kept_at_both_ends():
    with Sandbox(limited(output_bytes="4KiB")) as sandbox:
        result = sandbox.commands.run("seq 1 100000")

        assert result.status == "ok"
        assert result.stdout.startswith("1\n2\n3\n")
        assert result.stdout.endswith("99999\n100000\n")


def test_a_command_that_uses_too_much_memory_is_ended_and_the_context_lives():
    grow = "held = [bytearray(b'x' * (1 << 20)) for _ in range(100)]; import time; time.sleep(3)"
    with Sandbox(limited(memory_bytes="192MiB")) as sandbox:
        sandbox.run_code("x = 1")
        # Together they need more than there is, each by itself may have what it takes.
        each = f'python -c "{grow}"'
        result = sandbox.commands.run(f"{each} & {each} & {each}; wait; exit 9", timeout=20)

        # Where there is a cgroup the kernel ends one of them, and the shell goes on.
        assert (result.status, result.exit_code) in {("out_of_memory", 9), ("out_of_memory", None)}
        assert "limit memory_bytes, 192 MiB" in result.reason
        assert sandbox.run_code("x").text == "1"
        sandbox.context.restart()


def test_processor_time_is_limited():
    with Sandbox(limited(cpu_seconds=0.5)) as sandbox:
        result = sandbox.commands.run("while true; do :; done")

        assert result.status == "timeout"
        assert result.reason == (
            "the code used more processor time than its limit cpu_seconds, 0.5 s"
        )


def test_a_fork_bomb_in_a_command_is_bounded_and_ends():
    with Sandbox(limited(grace_seconds=0.2, processes=40)) as sandbox:
        sandbox.run_code("x = 1")
        result = sandbox.commands.run("trap '' INT; f() { f | f & }; f; sleep 1000", timeout=0.7)

        assert result.status in {"timeout", "error"}
        sandbox.context.restart()
        assert sandbox.run_code("1").text == "1"


# -- listeners -----------------------------------------------------------------------------------------


def test_output_is_told_as_it_comes():
    with Sandbox(QUIET) as sandbox:
        told: list[tuple[str, str]] = []

        def tell(stream: str, text: str) -> None:
            told.append((stream, text))
            sandbox.files.write("go", b"")  # the command waits until the first has been told

        result = sandbox.commands.run(
            f"echo first; {HOLD}; echo second >&2; echo third",
            on_stdout=lambda text: tell("out", text),
            on_stderr=lambda text: tell("err", text),
        )

        assert told[0] == ("out", "first\n")
        assert sorted(told[1:]) == [("err", "second\n"), ("out", "third\n")]
        assert (result.stdout, result.stderr) == ("first\nthird\n", "second\n")


def test_a_listener_that_raises_ends_the_command():
    with Sandbox(QUIET) as sandbox:

        def fail(_text: str) -> None:
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            sandbox.commands.run(f"{flee(sandbox)}; echo x; sleep 1000", on_stdout=fail)
        wait_for(lambda: daemons(sandbox) == 0, "its end")


# -- asyncio -------------------------------------------------------------------------------------------


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own."""
    asyncio.run(asyncio.wait_for(coroutine, 60))


def test_commands_in_asyncio():
    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            results = await asyncio.gather(
                *[sandbox.commands.run(f"echo {n}; exit {n}") for n in range(4)]
            )
            assert [(r.stdout, r.exit_code) for r in results] == [(f"{n}\n", n) for n in range(4)]
            handle = await sandbox.commands.run("sleep 1000", background=True)
            handle.interrupt()
            waiting: CommandResult = await handle.wait()
            assert waiting.status == "cancelled"
            assert await handle.wait() == waiting
            with pytest.raises(PolicyError):
                await sandbox.commands.run("true", cwd="missing")

    run(main())


def test_a_task_that_is_cancelled_ends_its_command():
    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            begun = asyncio.Event()
            await sandbox.files.write("flee.py", FLEE)
            task = asyncio.create_task(
                sandbox.commands.run(
                    "python flee.py; echo begun; sleep 1000", on_stdout=lambda _: begun.set()
                )
            )
            await begun.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            while (await sandbox.run_code(LIVING)).text != "0":  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    run(main())
