"""Checkpoints: what an execution that is killed costs, and the ways back to what an interpreter was."""

import asyncio
import random
import textwrap
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from protocell import AsyncSandbox, Execution, Sandbox
from protocell.context import Context
from protocell.errors import CheckpointError, FileError, PolicyError, ProtocolError
from tests.faults.processes import wait_for
from tests.integration.running import QUIET, fine, limited, output, settles_at

POLICY = limited(
    grace_seconds=0.2, memory_bytes="256MiB", output_total_bytes="256KiB", processes=40
)
KEPT = "the variables are as the code left them"

# What a session has made; the looks below find it again.
MAKE = """
import collections, decimal as d, random, re
open('/home/user/lines.txt', 'w').write('one\\ntwo\\nthree\\n')
x = {'a': [1, 2, 3]}
x['self'] = x
def double(n): return 2 * n
class Thing:
    count = 3
thing = Thing()
gen = (n * n for n in range(10)); next(gen); next(gen)
reading = open('/home/user/lines.txt'); reading.readline()
appending = open('/home/user/log.txt', 'a'); appending.write('begun'); appending.flush()
random.seed(7); random.random()
context = d.getcontext(); context.prec = 50
cells = [lambda n=n: n for n in range(3)]
"""
LOOK = """
[x['a'], x['self'] is x, double(4), thing.count, next(gen), reading.readline(), appending.tell(),
 round(random.random(), 6), d.getcontext().prec, [c() for c in cells], re.sub('a', 'b', 'a')]
"""
EXPECTED = random.Random(7)
EXPECTED.random()
SEEN = repr(
    [
        [1, 2, 3],
        True,
        8,
        3,
        4,
        "two\n",
        5,
        round(EXPECTED.random(), 6),
        50,
        [0, 1, 2],
        "b",
    ]
)
# Done by the execution that is to be ended, before its end.
SPOIL = """
x['a'].clear(); double = None; thing.count = 0; list(gen); reading.read(); appending.write('more'); appending.flush()
random.seed(1); d.getcontext().prec = 3; cells.clear(); del re; reading.close()
"""

HOG = """
import os, time
def take(mebibytes):
    held = bytearray(mebibytes << 20)
    held[::4096] = b'x' * len(held[::4096])
    return held
if os.fork() == 0:
    held = take(90)
    while True: time.sleep(1)
time.sleep(0.1)
held = []
while True: held.append(take(8)); time.sleep(0.002)
"""

RECURSE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_STACK, (1 << 18, resource.getrlimit(resource.RLIMIT_STACK)[1]))
sys.setrecursionlimit(10 ** 6)
def f(n): return max([n], key=f)
f(1)
"""

# Ends of an execution: code, status, what the reason begins with.
ENDS: dict[str, tuple[str, str, str]] = {
    "its time is over": (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        "timeout",
        "the code ran longer than its limit wall_seconds, 1.5 s; it went on after an interrupt",
    ),
    "memory": (
        HOG,
        "out_of_memory",
        "the code was ended: it needed more memory than its limit memory_bytes, 256 MiB",
    ),
    "a crash": (
        "import ctypes; ctypes.string_at(0)",
        "killed",
        "the interpreter was ended by SIGSEGV",
    ),
    "os._exit": (
        "import os; os._exit(7)",
        "killed",
        "the code ended its own interpreter with exit code 7",
    ),
    "os._exit(0)": (
        "import os; os._exit(0)",
        "killed",
        "the code ended its own interpreter with exit code 0",
    ),
    "SIGKILL": (
        "import os; os.kill(os.getpid(), 9)",
        "killed",
        "the interpreter was ended by SIGKILL",
    ),
    "SIGTERM": (
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "killed",
        "the interpreter was ended by SIGTERM",
    ),
    "abort": ("import os; os.abort()", "killed", "the interpreter was ended by SIGABRT"),
    "recursion": (
        RECURSE,
        "killed",
        "the interpreter was ended by SIG",
    ),
    "a flood of output": (
        "while True: print('x' * 1000)",
        "output_limit",
        "the code wrote more than its limit output_total_bytes, 256 KiB",
    ),
    "nonsense on the channel": (
        "import os; os.write(3, b'\\xff' * 64)\nwhile True: pass",
        "killed",
        "the code was ended: it broke the protocol",
    ),
    "a closed channel": (
        "import os; os.close(3)",
        "killed",
        "",
    ),
    "exec": ("import os; os.execv('/bin/true', ['true'])", "killed", ""),
    "processor time": ("while True: pass", "timeout", "the code used more processor time"),
}


def stopped_by(sandbox: Sandbox, end: str, before: str = "") -> Execution:
    """The code comes to this end."""
    seconds = 1.5 if end == "its time is over" else 30
    return sandbox.run_code(before + "\n" + ENDS[end][0], timeout=seconds)


@pytest.fixture(params=list(ENDS))
def end(request: pytest.FixtureRequest) -> str:
    """Each of the ends."""
    return str(request.param)


def policy_for(end: str) -> Any:
    """The usual one, with little processor time where that is to run out."""
    if end == "processor time":
        return limited(cpu_seconds=0.4)
    return limited(
        grace_seconds=0.2,
        memory_bytes="256MiB",
        output_total_bytes="256KiB",
        processes=40,
    )


# -- an execution that is killed -----------------------------------------------------------------------


def test_what_there_was_is_there_again_whatever_ended_the_execution(end: str):
    with Sandbox(policy_for(end), checkpoints=True) as sandbox:
        fine(sandbox.run_code(MAKE))
        execution = stopped_by(sandbox, end, SPOIL)

        _, status, why = ENDS[end]
        assert (execution.status, execution.reason[: len(why)]) == (status, why)
        assert execution.state == "restored", execution.state_reason
        told = "the variables are as they were after execution 1"
        given_up = "; the oldest checkpoint was given up for want of memory"
        assert execution.state_reason in {told, told + given_up * (end == "memory")}
        after = fine(sandbox.run_code(LOOK))
        assert after.text == SEEN
        assert (after.state, after.state_reason) == ("kept", KEPT)
        assert after.execution_count == 3


def test_it_can_happen_again_and_again(end: str):
    with Sandbox(policy_for(end), checkpoints=True) as sandbox:
        sandbox.run_code("x = 0")
        for number in range(3):
            assert stopped_by(sandbox, end, "x = -1").state == "restored"
            assert fine(sandbox.run_code("x += 1; x")).text == str(number + 1)


def test_without_checkpoints_it_is_lost_and_said():
    with Sandbox(POLICY) as sandbox:
        sandbox.run_code("x = 1")
        execution = stopped_by(sandbox, "os._exit")

        assert (execution.state, execution.state_reason) == (
            "lost",
            "the next execution begins with no variables (checkpoints are off)",
        )
        after = sandbox.run_code("'x' in globals()")
        assert (after.text, after.state_reason) == ("False", KEPT)


def test_the_first_execution_can_be_gone_back_from():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        execution = stopped_by(sandbox, "os._exit", "x = 1")

        assert execution.state_reason == "the variables are as they were after execution 0"
        assert sandbox.run_code("'x' in globals()").text == "False"


def test_files_are_not_rolled_back():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        execution = stopped_by(sandbox, "os._exit", "open('made.txt', 'w').write('x')")

        assert list(execution.files) == ["made.txt"]
        assert sandbox.files.read("made.txt") == "x"


def test_everything_that_the_killed_execution_started_is_gone():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        code = "import subprocess\nfor _ in range(5): subprocess.Popen(['setsid', '-f', 'sleep', '1000'])"
        assert stopped_by(sandbox, "os._exit", code).state == "restored"

        assert settles_at(sandbox, 4)  # init, it, and two copies


def test_a_restored_interpreter_obeys_limits_and_interrupts_as_any_other():
    with Sandbox(limited(grace_seconds=20, cpu_seconds=2), checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        assert stopped_by(sandbox, "os._exit").state == "restored"

        interrupted = sandbox.run_code("while True: pass", timeout=0.2)
        assert (interrupted.status, interrupted.state) == ("timeout", "kept")
        ended = sandbox.run_code("while True: pass")
        assert (ended.status, ended.state) == ("timeout", "restored")
        assert ended.reason.startswith("the code used more processor time")
        assert sandbox.run_code("x").text == "1"


def test_code_that_awaits_works_before_and_after():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        code = "import asyncio\nasync def f(): await asyncio.sleep(0.001); return 5\nawait f()"
        assert fine(sandbox.run_code(code)).text == "5"
        assert stopped_by(sandbox, "os._exit").state == "restored"
        assert fine(sandbox.run_code("await f()")).text == "5"
        assert (
            fine(sandbox.run_code("await asyncio.wait_for(asyncio.gather(f(), f()), 5)")).text
            == "[5, 5]"
        )


def test_subprocesses_pipes_and_threads_work_after():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("import subprocess, threading, multiprocessing, os")
        assert stopped_by(sandbox, "a crash").state == "restored"
        code = """
            done = []
            thread = threading.Thread(target=done.append, args=(1,)); thread.start(); thread.join()
            with multiprocessing.get_context('fork').Pool(2) as pool: squares = pool.map(abs, [-1, -2])
            done, squares, subprocess.check_output(['echo', 'out']), os.fork() and os.wait()[1]
        """
        assert fine(sandbox.run_code(textwrap.dedent(code))).text == "([1], [1, 2], b'out\\n', 0)"


def test_data_frames_and_figures_are_there_again():
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    with Sandbox(limited(), checkpoints=True) as sandbox:
        fine(
            sandbox.run_code(
                "import numpy as np, pandas as pd, matplotlib.pyplot as plt\n"
                "frame = pd.DataFrame({'a': range(5)}, index=list('vwxyz'))\n"
                "rng = np.random.default_rng(3); rng.random(); np.random.seed(5)\n"
                "fig, ax = plt.subplots(); ax.plot([1, 2, 3]); ax.set_title('kept')\n"
            )
        )
        sandbox.run_code("expected = rng.bit_generator.state, np.random.get_state()[1].sum()")
        execution = stopped_by(
            sandbox,
            "os._exit",
            "frame['a'] = 0; rng.random(9); np.random.rand(); ax.cla(); del fig",
        )

        assert execution.state == "restored", execution.state_reason
        after = fine(
            sandbox.run_code(
                "now = rng.bit_generator.state, np.random.get_state()[1].sum()\n"
                "int(frame.a.sum()), list(frame.index), now == expected,"
                " ax.get_title(), len(ax.lines), type(fig).__name__"
            )
        )
        assert after.text == "(10, ['v', 'w', 'x', 'y', 'z'], True, 'kept', 1, 'Figure')"
        shown = fine(sandbox.run_code("fig"))
        assert [result.png is not None for result in shown.results] == [True]


def test_an_interpreter_that_ended_when_nobody_looked_goes_on_from_its_copy_and_says_so():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        sandbox.run_code("x = 2; import signal; signal.setitimer(signal.ITIMER_REAL, 0.2)")
        wait_for(lambda: not lives(sandbox.context), "its end")
        after = sandbox.run_code("x")

        assert (after.text, after.state) == ("1", "restored")
        assert after.state_reason == (
            f"{KEPT}; it began with those of execution 1: the interpreter had ended in between"
        )


def lives(context: Context) -> bool:
    """Whether nothing has been said of the interpreter's end."""
    place = context.core.place
    assert place is not None
    try:
        return "signal" in context.variables().names()
    except ProtocolError:  # it ended while it was asked
        return True


# -- what must not be held up by a copy ----------------------------------------------------------------

HELD: dict[str, tuple[str, str, str]] = {
    "a pipe of its own": (
        "import os; r, w = os.pipe(); os.write(w, b'x')",
        "os.close(w); os.read(r, 9), os.read(r, 9)",
        "(b'x', b'')",
    ),
    "a pair of sockets": (
        "import socket; a, b = socket.socketpair(); a.sendall(b'x')",
        "a.close(); b.recv(9), b.recv(9)",
        "(b'x', b'')",
    ),
    "the input of a subprocess": (
        "import subprocess; p = subprocess.Popen(['cat'], stdin=-1, stdout=-1); p.stdin.write(b'x')",
        "p.communicate(timeout=20), p.returncode",
        "((b'x', None), 0)",
    ),
    "the output of a subprocess": (
        "import subprocess; p = subprocess.Popen('read x; echo $x', shell=True, stdin=-1, stdout=-1)",
        "p.stdin.write(b'x\\n'); p.stdin.close(); p.stdout.read(), p.wait(20)",
        "(b'x\\n', 0)",
    ),
    "a listener": (
        "import socket; s = socket.create_server(('127.0.0.1', 45671))",
        "s.close(); s = socket.socket(); s.bind(('127.0.0.1', 45671)); s.listen(); s.getsockname()[1]",
        "45671",
    ),
    "a connection": (
        (
            "import socket; s = socket.create_server(('127.0.0.1', 0))\n"
            "c = socket.create_connection(s.getsockname()); o, _ = s.accept()"
        ),
        "c.close(); o.settimeout(20); o.recv(9)",
        "b''",
    ),
    "a lock on a file": (
        "import fcntl; f = open('lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX)",
        "f.close(); g = open('lock', 'w'); fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "None",
    ),
    "a pool of processes": (
        (
            "import multiprocessing; m = multiprocessing.get_context('fork'); q = m.SimpleQueue()\n"
            "p = m.Process(target=q.put, args=(5,)); p.start()"
        ),
        "v = q.get(); p.join(20); v, p.exitcode",
        "(5, 0)",
    ),
    "an abstract name": (
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0name')",
        "s.close(); s = socket.socket(socket.AF_UNIX); s.bind('\\0name')",
        "None",
    ),
    "a child that is waited for": (
        "import os\nif os.fork() == 0: os._exit(3)",
        "os.waitstatus_to_exitcode(os.wait()[1]), os.path.exists('/proc/self')",
        "(3, True)",
    ),
}


@pytest.mark.parametrize("what", HELD)
def test_a_frozen_copy_holds_nothing_up(what: str):
    make, use, expected = HELD[what]
    with Sandbox(POLICY, checkpoints=3) as sandbox:
        fine(sandbox.run_code(make))
        sandbox.run_code("1")
        execution = fine(sandbox.run_code(use, timeout=30))

        assert str(execution.text) == expected


def test_the_code_has_no_child_that_it_did_not_make():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("import os")
        execution = sandbox.run_code("os.wait()")

        assert execution.error is not None
        assert execution.error.name == "ChildProcessError"


def test_a_connection_of_before_is_dead_after_and_says_so():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("import os, socket; a, b = socket.socketpair(); r, w = os.pipe()")
        assert stopped_by(sandbox, "os._exit").state == "restored"

        assert fine(sandbox.run_code("a.recv(9), os.read(r, 9)")).text == "(b'', b'')"
        execution = sandbox.run_code("b.send(b'x')")
        assert execution.error is not None
        assert execution.error.name == "BrokenPipeError"


# -- where none can be made ----------------------------------------------------------------------------


def test_with_threads_there_is_no_checkpoint_and_that_is_said():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        sandbox.run_code(
            "import threading; stop = threading.Event()\n"
            "threads = [threading.Thread(target=stop.wait, daemon=True) for _ in range(2)]\n"
            "for t in threads: t.start()"
        )
        why = "no checkpoint was made before this execution: the code has 2 other threads, which no copy can have"
        for number in range(2):
            execution = fine(sandbox.run_code(f"x = {number}"))
            assert (execution.state, execution.state_reason) == ("kept", f"{KEPT}; {why}")
        with pytest.raises(CheckpointError, match=r"nothing to go back to: .* 2 other threads"):
            sandbox.context.undo()
        execution = stopped_by(sandbox, "os._exit")

        # The last that there is, under its true number.
        assert (execution.state, execution.state_reason) == (
            "restored",
            f"the variables are as they were after execution 1; {why}",
        )
        after = sandbox.run_code("x")
        assert (after.text, after.state_reason) == ("1", KEPT)


def test_when_the_threads_have_ended_there_are_checkpoints_again():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code(
            "import threading; stop = threading.Event()\n"
            "t = threading.Thread(target=stop.wait, daemon=True); t.start(); x = 1"
        )
        with pytest.raises(CheckpointError, match="has another thread"):
            sandbox.context.checkpoint("now")
        assert sandbox.run_code("x").text == "1"
        with pytest.raises(CheckpointError, match=r"nothing to go back to: .* has another thread"):
            sandbox.context.undo()
        sandbox.run_code("stop.set(); t.join()")
        sandbox.context.checkpoint("now")
        assert stopped_by(sandbox, "os._exit").state == "restored"
        assert sandbox.run_code("x").text == "1"


def test_a_pool_of_threads_that_has_just_ended_does_not_prevent_a_checkpoint():
    """join() returns a moment before the kernel has done away with the thread."""
    with Sandbox(POLICY) as sandbox:
        code = (
            "from concurrent.futures import ThreadPoolExecutor\n"
            "with ThreadPoolExecutor(8) as pool: list(pool.map(abs, range(64)))"
        )
        for _ in range(30):
            fine(sandbox.run_code(code))
            sandbox.context.checkpoint("after")


def test_without_room_for_a_process_there_is_no_checkpoint_and_that_is_said():
    with Sandbox(limited(processes=8), checkpoints=True) as sandbox:
        fine(sandbox.run_code("x = 1"))
        fine(
            sandbox.run_code(
                "import subprocess\nheld = []\ntry:\n"
                "    while True: held.append(subprocess.Popen(['sleep', '1000']))\n"
                "except OSError: pass"
            )
        )
        execution = stopped_by(sandbox, "os._exit", "x")

        assert execution.state == "restored"
        assert execution.state_reason.startswith(
            "the variables are as they were after execution 1; "
            "no checkpoint was made before this execution: no process can be made"
        )
        assert sandbox.run_code("x").text == "1"


# -- by name, and undo ---------------------------------------------------------------------------------


def test_a_checkpoint_can_be_gone_back_to_again_and_again():
    with Sandbox(POLICY) as sandbox:
        fine(sandbox.run_code(MAKE))
        sandbox.context.checkpoint("made")
        for _ in range(3):
            fine(sandbox.run_code(SPOIL))
            sandbox.context.restore("made")
            assert sandbox.context.checkpoints() == ["made"]
            assert fine(sandbox.run_code(LOOK)).text == SEEN


def test_there_are_several_and_each_is_what_it_was():
    with Sandbox(POLICY) as sandbox:
        for name in "abc":
            sandbox.run_code(f"x = {name!r}")
            sandbox.context.checkpoint(name)
        assert sandbox.context.checkpoints() == ["a", "b", "c"]
        for name in "bacbca":
            sandbox.context.restore(name)
            assert fine(sandbox.run_code("x")).text == repr(name)
            sandbox.run_code("x = 'spoilt'")
        assert sorted(sandbox.context.checkpoints()) == ["a", "b", "c"]


def test_a_name_that_is_used_again_means_the_new_one():
    with Sandbox(POLICY) as sandbox:
        for number in range(5):
            sandbox.run_code(f"x = {number}")
            sandbox.context.checkpoint("same")
        sandbox.run_code("x = 'spoilt'")
        assert sandbox.context.checkpoints() == ["same"]
        sandbox.context.restore("same")
        assert sandbox.run_code("x").text == "4"
        assert settles_at(sandbox, 3)


def test_a_name_that_there_is_not_is_said_with_those_that_there_are():
    with Sandbox(POLICY) as sandbox:
        sandbox.run_code("x = 1")
        with pytest.raises(CheckpointError, match="no checkpoint was made here"):
            sandbox.context.restore("a")
        sandbox.context.checkpoint("a")
        sandbox.context.checkpoint("b")
        with pytest.raises(CheckpointError, match="no checkpoint 'c'; there are: 'a', 'b'"):
            sandbox.context.restore("c")
        assert sandbox.run_code("x").text == "1"


@pytest.mark.parametrize("name", ["", "x" * 101, 7, None])
def test_odd_names_are_refused(name: Any):
    with Sandbox(POLICY) as sandbox:
        with pytest.raises(PolicyError, match="name is"):
            sandbox.context.checkpoint(name)
        with pytest.raises(PolicyError, match="name is"):
            sandbox.context.restore(name)


@pytest.mark.parametrize("checkpoints", [-1, 65, "many", 1.5, None])
def test_an_odd_number_of_checkpoints_is_refused(checkpoints: Any):
    with pytest.raises(PolicyError, match="checkpoints is"):
        Sandbox(POLICY, checkpoints=checkpoints)


def test_undo_goes_back_one_execution_at_a_time():
    with Sandbox(POLICY, checkpoints=5) as sandbox:
        for number in range(4):
            sandbox.run_code(f"x = {number}")
        for number in (2, 1, 0):
            sandbox.context.undo()
            assert [v.preview for v in sandbox.context.variables() if v.name == "x"] == [
                str(number)
            ]
        sandbox.context.undo()
        assert "x" not in sandbox.context.variables().names()
        with pytest.raises(CheckpointError, match="nothing to go back to: no checkpoint is left"):
            sandbox.context.undo()
        assert sandbox.run_code("'x' in globals()").text == "False"


def test_undo_and_go_on_and_undo():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = [1]")
        for number in range(4):
            sandbox.run_code(f"x.append({number})")
            sandbox.context.undo()
            assert fine(sandbox.run_code("x")).text == "[1]"


def test_undo_without_checkpoints_says_what_to_do():
    with Sandbox(POLICY) as sandbox:
        sandbox.run_code("x = 1")
        with pytest.raises(CheckpointError, match="pass checkpoints=True"):
            sandbox.context.undo()
        assert sandbox.run_code("x").text == "1"


def test_a_named_checkpoint_can_be_gone_back_to_when_all_is_lost():
    with Sandbox(POLICY) as sandbox:
        sandbox.run_code("x = 1")
        sandbox.context.checkpoint("good")
        execution = stopped_by(sandbox, "os._exit", "x = 2")
        assert execution.state == "lost"
        sandbox.context.restore("good")

        after = sandbox.run_code("x")
        assert (after.text, after.state_reason) == ("1", KEPT)


def test_checkpoints_with_a_name_outlive_new_beginnings():
    with Sandbox(POLICY, envs={"ALL": "a"}) as sandbox:
        for number in range(3):
            fine(sandbox.run_code(f"x = {number}; print('before')"))
            sandbox.context.checkpoint(str(number))
            execution = stopped_by(sandbox, "os._exit", "print('lost', end='')")
            assert execution.state_reason == (
                "the next execution begins with no variables "
                "(checkpoints are off; restore() goes back to a checkpoint with a name)"
            )
            assert sandbox.run_code("'x' in globals()").text == "False"
        sandbox.context.restart()
        assert sandbox.run_code("'x' in globals()").text == "False"

        assert sandbox.context.checkpoints() == ["0", "1", "2"]
        for name in "0212":
            sandbox.context.restore(name)
            after = fine(sandbox.run_code("import os\nprint('here')\nx, os.environ['ALL']"))
            assert (after.text, output(after)) == (f"({name}, 'a')", "here\n")
        assert settles_at(sandbox, 5)


def test_a_state_from_before_a_restart_is_told_as_that():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        sandbox.context.checkpoint("good")
        sandbox.context.restart()
        sandbox.context.restore("good")
        execution = stopped_by(sandbox, "os._exit", "x = 2")

        assert execution.state_reason == (
            "the variables are as they were after execution 1, before the restart"
        )
        assert sandbox.run_code("x").text == "1"


def test_the_state_that_is_gone_back_to_is_told_as_what_it_is_after_undo_and_restore():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        sandbox.context.checkpoint("one")
        sandbox.run_code("x = 2")
        sandbox.context.undo()
        told = [stopped_by(sandbox, "os._exit", "x = 3").state_reason]
        sandbox.run_code("x = 4")
        told.append(stopped_by(sandbox, "os._exit", "x = 5").state_reason)
        sandbox.context.restore("one")
        told.append(stopped_by(sandbox, "os._exit", "x = 6").state_reason)

        assert [each.rpartition(" ")[2] for each in told] == ["1", "4", "1"]
        assert sandbox.run_code("x").text == "1"


def test_undo_goes_back_by_one_execution_or_not_at_all():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        for number in range(3):
            sandbox.run_code(f"x = {number}")
        sandbox.context.checkpoint("late")
        sandbox.context.undo()
        sandbox.context.undo()
        sandbox.run_code("x = 'other'")
        sandbox.context.restore("late")

        with pytest.raises(CheckpointError, match="nothing to go back to: no checkpoint is left"):
            sandbox.context.undo()
        assert sandbox.run_code("x").text == "2"


def test_going_back_ends_what_the_code_had_started():
    with Sandbox(POLICY) as sandbox:
        sandbox.context.checkpoint("empty")
        sandbox.run_code(
            "import subprocess; subprocess.Popen(['setsid', '-f', 'sleep', '1000']).wait()"
        )
        sandbox.context.restore("empty")

        assert settles_at(sandbox, 3)


def test_checkpoints_of_the_files_as_well():
    with Sandbox(POLICY) as sandbox:
        sandbox.run_code("open('a.txt', 'w').write('old'); x = 1")
        sandbox.context.checkpoint("both", files=True)
        sandbox.context.checkpoint("variables")
        sandbox.run_code("open('a.txt', 'w').write('new'); open('b.txt', 'w').write('b'); x = 2")
        sandbox.context.restore("variables")
        assert (sandbox.files.read("a.txt"), sandbox.run_code("x").text) == ("new", "1")
        sandbox.context.restore("both")
        assert (sandbox.files.read("a.txt"), sandbox.run_code("x").text) == ("old", "1")
        assert not sandbox.files.exists("b.txt")


def test_a_workspace_is_put_back_whole_whatever_became_of_it():
    made = """
        import os, shutil
        os.makedirs("deep/er"); os.mkdir("empty")
        open("deep/er/tool.sh", "w").write("run"); os.chmod("deep/er/tool.sh", 0o755)
        open("large.bin", "w").write("small"); open("other", "w").write("file")
    """
    spoiled = """
        shutil.rmtree("deep"); os.rmdir("empty"); os.symlink("/etc", "empty")
        os.mkdir("deep"); open("deep/new", "w").write("new")
        os.truncate("large.bin", 100 << 20)
        os.remove("other"); os.mkdir("other"); open("other/x", "w").write("x")
        for number in range(3000): open(f"many-{number}", "w").close()
    """
    with Sandbox(POLICY) as sandbox:
        assert sandbox.run_code(textwrap.dedent(made)).status == "ok"
        sandbox.context.checkpoint("good", files=True)
        assert sandbox.run_code(textwrap.dedent(spoiled)).status == "ok"
        sandbox.context.restore("good")

        found = {(each.path, each.type.value) for each in sandbox.files.list(depth=None)}
        assert found == {
            ("/home/user/deep", "dir"),
            ("/home/user/deep/er", "dir"),
            ("/home/user/deep/er/tool.sh", "file"),
            ("/home/user/empty", "dir"),
            ("/home/user/large.bin", "file"),
            ("/home/user/other", "file"),
        }
        assert sandbox.files.read("large.bin") == "small"
        assert sandbox.files.read("other") == "file"
        assert sandbox.files.get_info("deep/er/tool.sh").mode == 0o755
        after = sandbox.run_code("1")
        assert (dict(after.files), after.files.removed) == ({}, ())


@pytest.mark.parametrize(
    "code, why",
    [
        ("import os; os.symlink('a', 'b')", r"something other .*/home/user/b"),
        ("for n in range(2001): open(f'{n}', 'w').close()", "2000 files and folders or more"),
        ("with open('big', 'wb') as f: f.truncate(65 << 20)", "the files have 65 MiB"),
    ],
    ids=["a link", "too many", "too large"],
)
def test_files_that_cannot_be_put_back_as_they_are_are_no_part_of_a_checkpoint(code: str, why: str):
    with Sandbox(POLICY) as sandbox:
        sandbox.run_code(code)
        with pytest.raises(CheckpointError, match=why):
            sandbox.context.checkpoint("all", files=True)
        assert sandbox.context.checkpoints() == []


def test_names_that_cannot_be_listed_are_told_when_files_are_put_back():
    with Sandbox(POLICY) as sandbox:
        sandbox.run_code("x = 1")
        sandbox.context.checkpoint("clean", files=True)
        sandbox.run_code("x = 2; open('odd\\x1bname', 'w').close()")
        with pytest.raises(FileError, match="the files not wholly"):
            sandbox.context.restore("clean")
        assert sandbox.run_code("x").text == "1"


# -- how many, and what they weigh ---------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 2, 5])
def test_so_many_are_kept_and_the_processes_of_the_oldest_are_gone(most: int):
    with Sandbox(POLICY, checkpoints=most) as sandbox:
        for number in range(most + 4):
            sandbox.run_code(f"x = {number}")
        # init, the interpreter, and the copies; the one that is too many goes a moment later.
        assert settles_at(sandbox, 2 + most)


def test_a_checkpoint_with_a_name_is_not_pushed_out_by_those_that_are_made_by_themselves():
    with Sandbox(POLICY, checkpoints=2) as sandbox:
        sandbox.run_code("x = 'early'")
        sandbox.context.checkpoint("early")
        for number in range(5):
            sandbox.run_code(f"x = {number}")
        assert sandbox.context.checkpoints() == ["early"]
        assert settles_at(sandbox, 5)
        sandbox.context.restore("early")

        assert sandbox.run_code("x").text == "'early'"


def test_named_ones_alone_are_bounded_too():
    with Sandbox(POLICY) as sandbox:
        for number in range(5):
            sandbox.run_code(f"x = {number}")
            sandbox.context.checkpoint(str(number))
        assert sandbox.context.checkpoints() == ["2", "3", "4"]
        sandbox.context.restore("2")
        assert sandbox.run_code("x").text == "2"
        assert settles_at(sandbox, 5)


TOUCH = "data[::4096] = b'{}' * len(data[::4096])\n"
# Longer than whoever watches where no cgroup counts.
LOOKED_AT = "import time\nend = time.monotonic() + 0.4\nwhile time.monotonic() < end: pass\n"


def test_where_memory_runs_out_the_oldest_checkpoints_go_and_not_the_code():
    with Sandbox(limited(memory_bytes="320MiB"), checkpoints=6) as sandbox:
        sandbox.run_code("data = bytearray(80 << 20); n = 0")
        found = [fine(sandbox.run_code(TOUCH.format(n) + LOOKED_AT + f"n = {n}")) for n in range(8)]

        assert {each.state for each in found} == {"kept"}
        given_up = f"{KEPT}; the oldest checkpoint was given up for want of memory"
        assert given_up in {each.state_reason for each in found}
        assert stopped_by(sandbox, "os._exit", "n = 'spoilt'").state == "restored"
        assert sandbox.run_code("n").text == "7"


def test_where_the_last_checkpoint_and_the_code_are_too_much_the_code_goes_and_it_is_said_why():
    with Sandbox(limited(memory_bytes="256MiB"), checkpoints=3) as sandbox:
        fine(sandbox.run_code("data = bytearray(b'x' * (100 << 20))"))
        grow = "held = []\nwhile True: held.append(bytearray(b'x' * (4 << 20))); time.sleep(0.002)"
        execution = sandbox.run_code(TOUCH.format(1) + "import time\n" + grow)

        assert (execution.status, execution.state) == ("out_of_memory", "restored")
        assert execution.reason == (
            "the code was ended: it needed more memory than its limit memory_bytes, 256 MiB "
            "(what its 2 checkpoints held is counted)"
        )
        assert execution.state_reason.startswith("the variables are as they were after execution 1")
        assert sandbox.run_code("len(data), data[:1]").text == "(104857600, bytearray(b'x'))"


def test_a_checkpoint_with_a_name_is_not_given_up_for_memory():
    with Sandbox(limited(memory_bytes="256MiB"), checkpoints=3) as sandbox:
        sandbox.run_code("x = 1")
        sandbox.context.checkpoint("good")
        assert stopped_by(sandbox, "memory", "x = 2").status == "out_of_memory"

        assert sandbox.context.checkpoints() == ["good"]
        sandbox.context.restore("good")
        assert sandbox.run_code("x").text == "1"


def test_a_large_variable_that_is_not_written_costs_nothing_more():
    with Sandbox(limited(memory_bytes="256MiB"), checkpoints=8) as sandbox:
        sandbox.run_code("data = bytearray(100 << 20); data[::4096] = b'x' * len(data[::4096])")
        for _ in range(10):
            execution = sandbox.run_code("import time; time.sleep(0.06); len(data)")
            assert (execution.status, execution.text) == ("ok", str(100 << 20))


def test_copies_are_not_told_as_processes_of_the_code():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        assert fine(sandbox.run_code("import time; time.sleep(0.06)")).usage.processes == 0
        found = fine(sandbox.run_code("import subprocess; subprocess.run(['true'])"))
        assert found.usage.processes == 1


# -- other contexts ------------------------------------------------------------------------------------


def of_a_context_beside(sandbox: Sandbox) -> Context:
    """A further context with checkpoints."""
    return sandbox.create_code_context(checkpoints=True)


def of_a_branch(sandbox: Sandbox) -> Context:
    """A branch; the names of its checkpoints are its own."""
    return sandbox.context.fork(1)[0]


@pytest.mark.parametrize("make", [of_a_context_beside, of_a_branch])
def test_a_further_context_has_checkpoints_of_its_own(make: Callable[[Sandbox], Context]):
    with Sandbox(POLICY) as sandbox:
        sandbox.run_code("x = 'default'")
        context = make(sandbox)
        context.run_code("x = 1")
        context.checkpoint("one")
        context.run_code("x = 2")
        assert sandbox.context.checkpoints() == []
        with pytest.raises(CheckpointError):
            sandbox.context.restore("one")
        context.restore("one")
        assert context.run_code("x").text == "1"
        sandbox.run_code("import os; os._exit(1)")
        assert context.run_code("x").text == "1"
        context.restore("one")
        assert context.run_code("x").text == "1"


def test_a_further_context_that_is_killed_goes_on_and_the_first_is_as_it_was():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = 'default'")
        second = of_a_context_beside(sandbox)
        second.run_code("x = 'second'")
        execution = second.run_code("x = 'spoilt'; import os; os._exit(1)")

        assert (execution.status, execution.state) == ("killed", "restored")
        assert second.run_code("x").text == "'second'"
        assert sandbox.run_code("x").text == "'default'"


def test_a_branch_of_a_restored_interpreter_and_a_restored_origin_of_branches():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        assert stopped_by(sandbox, "a crash", "x = 2").state == "restored"
        (branch,) = sandbox.context.fork(1)
        branch.run_code("x += 10")
        assert stopped_by(sandbox, "a crash", "x = 3").state == "restored"

        assert branch.run_code("x").text == "11"
        assert sandbox.run_code("x").text == "1"
        execution = branch.run_code("import os; os._exit(1)")
        assert (execution.state, branch.run_code("x").text) == ("restored", "11")
        assert sandbox.run_code("x").text == "1"


def test_variables_are_told_before_and_after_a_restore():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1; name = 'abc'")
        before = sandbox.context.variables()
        assert before.names() == ["x", "name"]
        assert stopped_by(sandbox, "os._exit", "y = 2").state == "restored"
        assert sandbox.context.variables() == before
        assert stopped_by(sandbox, "a crash", "del x").state == "restored"
        assert sandbox.context.variables() == before


# -- asyncio -------------------------------------------------------------------------------------------


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own."""
    asyncio.run(asyncio.wait_for(coroutine, 60))


def test_checkpoints_in_asyncio():
    async def main() -> None:
        async with AsyncSandbox(POLICY, checkpoints=True) as sandbox:
            await sandbox.run_code("x = 1")
            await sandbox.context.checkpoint("one")
            await sandbox.run_code("x = 2")
            execution = await sandbox.run_code("x = 3; import os; os._exit(1)")
            assert execution.state == "restored"
            assert (await sandbox.run_code("x")).text == "2"
            await sandbox.context.restore("one")
            assert (await sandbox.run_code("x")).text == "1"
            await sandbox.context.undo()
            assert sandbox.context.checkpoints() == ["one"]
            assert "x" in (await sandbox.context.variables()).names()
            with pytest.raises(CheckpointError):
                await sandbox.context.restore("two")

    run(main())


def test_many_sandboxes_with_checkpoints_at_once():
    async def one(number: int) -> str | None:
        async with AsyncSandbox(POLICY, checkpoints=True) as sandbox:
            await sandbox.run_code(f"x = {number}")
            for _ in range(2):
                execution = await sandbox.run_code("x = None; import os; os._exit(1)")
                assert execution.state == "restored"
            return (await sandbox.run_code("x")).text

    async def main() -> None:
        assert await asyncio.gather(*map(one, range(4))) == [str(n) for n in range(4)]

    run(main())


def test_output_of_the_killed_execution_is_its_own():
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("print('buffered', end='')")
        execution = stopped_by(sandbox, "os._exit", "print('half', end='')\nprint('whole')")
        after = sandbox.run_code("print('next')")

        assert output(execution) in {"halfwhole\n", "whole\n"}
        assert output(after) == "next\n"


def test_a_checkpoint_before_the_sandbox_was_used_and_while_quiet():
    with Sandbox(QUIET) as sandbox:
        sandbox.context.checkpoint("empty")
        sandbox.run_code("x = 1")
        sandbox.context.restore("empty")
        assert sandbox.run_code("'x' in globals()").text == "False"
