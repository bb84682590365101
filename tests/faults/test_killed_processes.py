"""What a sandbox is made of is killed, while code runs and while nothing does: the caller is told, others go on."""

import os
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from protocell import Environment, Execution, Policy, Sandbox, run_code
from protocell.errors import ProtocellError, SandboxDiedError
from tests.faults.processes import (
    ALONE,
    PAUSE,
    cgroups_of,
    children_of,
    host,
    inits_of,
    is_gone,
    janitors_of,
    kill,
    leaves_of,
    wait_for,
    zygote_of,
)

pytestmark = pytest.mark.claim("faults.killed-processes")

ENDED_FROM_OUTSIDE = "the sandbox itself was ended from outside, with everything in it"
LOST = "its variables and files are lost"


def only_init(policy: Policy) -> int:
    """The init of the one sandbox that this policy's zygote has."""
    (init,) = inits_of(zygote_of(policy).pid)
    return init


# -- the zygote ----------------------------------------------------------------------------------------


def test_a_zygote_killed_in_mid_run_ends_the_run_and_the_next_sandbox_has_a_new_one():
    zygote = zygote_of(ALONE).pid
    with Sandbox(ALONE) as sandbox:
        execution = sandbox.run_code(PAUSE, on_stdout=lambda _: kill(zygote), timeout=30)

        assert (execution.status, execution.reason) == ("killed", ENDED_FROM_OUTSIDE)
        assert execution.logs.stdout == ["begun\n"]
        with pytest.raises(SandboxDiedError, match=LOST):
            sandbox.run_code("1")

    assert run_code("1 + 1", policy=ALONE).text == "2"
    assert zygote_of(ALONE).pid != zygote


def test_files_of_an_execution_can_be_read_although_the_zygote_is_killed_then():
    with Sandbox(ALONE) as sandbox:
        execution = sandbox.run_code("open('big', 'wb').write(b'x' * 1_000_000)")
        kill(zygote_of(ALONE).pid)

        assert execution.files["big"].read() == b"x" * 1_000_000


def test_a_zygote_killed_while_nothing_runs_is_told_at_the_next_call():
    with Sandbox(ALONE) as sandbox:
        assert sandbox.run_code("1").text == "1"
        init, zygote = only_init(ALONE), zygote_of(ALONE).pid
        kill(zygote)
        wait_for(lambda: is_gone(init), "the end of its init")

        for _ in range(2):
            with pytest.raises(SandboxDiedError, match=LOST):
                sandbox.run_code("1")
        with pytest.raises(SandboxDiedError, match=LOST):
            sandbox.files.write("x", b"")


def test_a_zygote_killed_with_sandboxes_ready_costs_nobody_a_call():
    policy = Policy(environment=Environment(ready=3))
    run_code("1", policy=policy)
    zygote = zygote_of(policy).pid
    wait_for(lambda: len(inits_of(zygote)) >= 3, "the ready ones")
    ready = inits_of(zygote)
    kill(zygote)
    wait_for(lambda: all(map(is_gone, ready)), "their end")

    assert run_code("1 + 1", policy=policy).text == "2"


def is_longer(done: list[Any], count: int) -> bool:
    return len(done) >= count


def test_zygotes_killed_at_any_moment_give_an_execution_or_an_error_of_ours():
    policy = Policy(environment=Environment(ready=1))
    stop = threading.Event()
    done: list[Execution | ProtocellError] = []

    def use() -> None:
        while not stop.is_set():
            try:
                done.append(run_code("1 + 1", policy=policy))
            except ProtocellError as error:
                done.append(error)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for round_ in range(8):
        enough = len(done) + round_ % 3 + 1
        wait_for(partial(is_longer, done, enough), "calls to end")
        kill(zygote_of(policy).pid)
    stop.set()
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)
    assert all(
        each.text == "2" for each in done if isinstance(each, Execution) and each.status == "ok"
    )
    assert run_code("1 + 1", policy=policy).text == "2"


def test_a_zygote_that_is_stopped_while_it_is_told_to_end_is_killed():
    policy = Policy(environment=Environment(ready=0, preload=("json",)))
    run_code("1", policy=policy)
    zygote = zygote_of(policy)
    os.kill(zygote.pid, signal.SIGSTOP)
    pid = zygote.pid

    zygote.close()

    assert is_gone(pid)


# -- init ----------------------------------------------------------------------------------------------


def test_an_init_killed_in_mid_run_ends_its_sandbox_and_no_other():
    with Sandbox(ALONE) as other:
        (before,) = inits_of(zygote_of(ALONE).pid)
        sandbox = Sandbox(ALONE)
        sandbox.run_code("x = 1")
        (init,) = set(inits_of(zygote_of(ALONE).pid)) - {before}
        execution = sandbox.run_code(PAUSE, on_stdout=lambda _: kill(init), timeout=30)

        assert (execution.status, execution.reason) == ("killed", ENDED_FROM_OUTSIDE)
        assert execution.logs.stdout == ["begun\n"]
        with pytest.raises(SandboxDiedError, match=LOST):
            sandbox.run_code("1")
        assert other.run_code("1 + 1").text == "2"


def test_an_init_killed_while_nothing_runs_is_told_at_the_next_call():
    with Sandbox(ALONE) as sandbox:
        sandbox.run_code("x = 1")
        init, zygote = only_init(ALONE), zygote_of(ALONE).pid
        kill(init)
        wait_for(lambda: is_gone(init), "its end")

        with pytest.raises(SandboxDiedError, match=LOST):
            sandbox.run_code("x")
        wait_for(lambda: not inits_of(zygote), "the zygote to bury it")
        assert zygote_of(ALONE).pid == zygote


def test_ready_sandboxes_whose_inits_were_killed_are_not_handed_out():
    policy = Policy(environment=Environment(ready=2))
    run_code("1", policy=policy)
    zygote = zygote_of(policy).pid
    wait_for(lambda: len(inits_of(zygote)) == 2, "the ready ones")
    for init in inits_of(zygote):
        kill(init)
        wait_for(partial(is_gone, init), "its end")

    assert run_code("1 + 1", policy=policy).text == "2"
    assert zygote_of(policy).pid == zygote


def test_an_interpreter_killed_from_outside_in_mid_run_leaves_the_sandbox_usable():
    with Sandbox(ALONE) as sandbox:
        sandbox.files.write("kept.txt", "kept")
        (context,) = children_of(only_init(ALONE))
        execution = sandbox.run_code(PAUSE, on_stdout=lambda _: kill(context), timeout=30)

        assert (execution.status, execution.reason) == (
            "killed",
            "the interpreter was ended by SIGKILL (Killed)",
        )
        assert sandbox.run_code("open('kept.txt').read()").text == "'kept'"


# -- the janitor ---------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_a_killed_janitor_left_is_swept_by_the_next_start():
    first = Policy(environment=Environment(ready=0, preload=("json.tool",)))
    run_code("1", policy=first)
    zygote = zygote_of(first).pid
    (janitor,) = janitors_of(zygote)
    kill(janitor)
    wait_for(lambda: is_gone(janitor), "its end")
    assert cgroups_of(zygote)
    kill(zygote)
    wait_for(lambda: not zygote_of(first).is_alive() or zygote_of(first).pid != zygote, "its end")

    assert run_code("1 + 1", policy=first).text == "2"
    wait_for(lambda: not cgroups_of(zygote), "the sweep")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_could_not_be_removed_at_a_start_is_removed_as_soon_as_it_can_be():
    """A zygote and its janitor are killed, and something of it is still ending when the next one starts."""
    policy = Policy(environment=Environment(ready=0, preload=("json.decoder",)))
    with Sandbox(policy) as sandbox, subprocess.Popen(["cat"], stdin=subprocess.PIPE) as late:
        sandbox.run_code("1")
        zygote = zygote_of(policy).pid
        for leaf in leaves_of(zygote):
            Path(leaf, "cgroup.procs").write_text(str(late.pid))
        (janitor,) = janitors_of(zygote)
        kill(janitor)
        kill(zygote)
        wait_for(lambda: is_gone(janitor) and is_gone(zygote), "their ends")

        assert run_code("1 + 1", policy=policy).text == "2"
        assert cgroups_of(zygote)
        late.communicate()
        wait_for(lambda: not cgroups_of(zygote), "the next janitor")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_janitor_removes_the_cgroups_of_a_killed_zygote():
    with Sandbox(ALONE) as sandbox:
        sandbox.run_code("1")
        zygote = zygote_of(ALONE).pid
        assert cgroups_of(zygote)
        kill(zygote)

        wait_for(lambda: not cgroups_of(zygote), "the janitor")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_zygote_killed_as_soon_as_it_has_a_cgroup_leaves_none():
    code = "from protocell import *; run_code('1')"
    for _ in range(5):
        with host(code) as program:
            wait_for(program.zygotes, "the zygote")
            (zygote,) = program.zygotes()
            wait_for(partial(cgroups_of, zygote), "its cgroup", pause_seconds=0)
            kill(zygote)
            program.kill()
            program.assert_nothing_is_left()
