"""Branches: copies of a live interpreter that go on by themselves, in parallel, each ended alone."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocell import AsyncSandbox, Execution, Mount, Sandbox
from protocell.aio_context import AsyncContext
from protocell.context import Context
from protocell.errors import CheckpointError, ClosedError, PolicyError
from tests.faults.processes import descendants_of, inits_of, is_gone, wait_for, zygote_of
from tests.integration.running import (
    QUIET,
    Running,
    begun_and_held,
    fine,
    gate,
    limited,
    output,
    running,
    settles_at,
)

SHORT = limited(grace_seconds=0.2)
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
FLEE = """
import os, signal, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
            for descriptor in (0, 1, 2, 3): os.close(descriptor)
            while True: time.sleep(1)
        os._exit(0)
    os.wait()
"""


def texts(contexts: list[Context], code: str) -> list[str | None]:
    """What the code gives in each."""
    return [fine(context.run_code(code)).text for context in contexts]


# -- independent ---------------------------------------------------------------------------------------


def left_of_branches(sandbox: Sandbox) -> list[str]:
    """The folders of branches that are there, by their names."""
    there = sandbox.files.exists(".branches")
    return [entry.name for entry in sandbox.files.list(".branches")] if there else []


def test_each_branch_has_what_the_interpreter_had_and_goes_its_own_way():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = [0]; import math\ndef f(n): return n + len(x)")
        branches = sandbox.context.fork(3)
        assert len({branch.id for branch in branches}) == 3
        for number, branch in enumerate(branches):
            branch.run_code(f"x += [{number}] * {number}")

        assert texts(branches, "x, f(10), math.pi > 3") == [
            "([0], 11, True)",
            "([0, 1], 12, True)",
            "([0, 2, 2], 13, True)",
        ]
        assert fine(sandbox.run_code("x")).text == "[0]"


def test_counting_goes_on_from_the_origin():
    with Sandbox(QUIET) as sandbox:
        for _ in range(3):
            sandbox.run_code("1")
        (branch,) = sandbox.context.fork()

        assert branch.run_code("1").execution_count == 4
        assert branch.run_code("1").execution_count == 5
        assert sandbox.run_code("1").execution_count == 4


def test_branches_are_listed_and_removed_like_other_contexts():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        branches = sandbox.context.fork(2)
        assert [each.id for each in sandbox.list_code_contexts()] == [
            "default",
            second.id,
            branches[0].id,
            branches[1].id,
        ]
        sandbox.remove_code_context(branches[0])
        assert [each.id for each in sandbox.list_code_contexts()] == [
            "default",
            second.id,
            branches[1].id,
        ]
        with pytest.raises(ClosedError):
            branches[0].run_code("1")
        assert branches[1].run_code("1").text == "1"


@pytest.mark.parametrize("n", [0, -1, 33, 1.5, "2", None, True])
def test_an_odd_number_of_branches_is_refused(n: Any):
    with Sandbox(QUIET) as sandbox, pytest.raises(PolicyError, match="n is"):
        sandbox.context.fork(n)


def test_an_odd_wish_for_files_is_refused():
    with Sandbox(QUIET) as sandbox, pytest.raises(PolicyError, match="files is"):
        sandbox.context.fork(1, files="mine")


def test_a_branch_that_was_never_used_is_let_go():
    with Sandbox(QUIET) as sandbox:
        branches = sandbox.context.fork(3)
        branches[0].close()
        assert settles_at(sandbox, 4)
    del branches


# -- files ---------------------------------------------------------------------------------------------


def test_copied_files_are_each_branchs_own():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code(
            "import os\nopen('a.txt', 'w').write('old'); os.makedirs('d/e'); open('d/e/f', 'w').write('deep')\n"
            "os.symlink('a.txt', 'link'); os.mkfifo('fifo'); os.chmod('a.txt', 0o755)"
        )
        branches = sandbox.context.fork(2, files="copied")
        for number, branch in enumerate(branches):
            branch.run_code(f"open('a.txt', 'w').write('{number}'); os.remove('d/e/f')")

        assert texts(branches, "open('link').read(), os.path.exists('d/e/f')") == [
            "('0', False)",
            "('1', False)",
        ]
        look = "sorted(os.listdir()), os.readlink('link'), oct(os.stat('a.txt').st_mode)[-3:]"
        assert texts(branches, look) == ["(['a.txt', 'd', 'link'], 'a.txt', '755')"] * 2
        assert (sandbox.files.read("a.txt"), sandbox.files.read("d/e/f")) == ("old", "deep")
        assert texts(branches, "os.getcwd()") == [repr(branch.cwd) for branch in branches]


def test_shared_files_are_everybodys():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("import os; os.mkdir('d'); os.chdir('d'); open('a.txt', 'w').write('old')")
        branches = sandbox.context.fork(2, files="shared")
        assert (
            texts(branches, "os.getcwd(), open('a.txt').read()") == ["('/home/user/d', 'old')"] * 2
        )
        branches[0].run_code("open('a.txt', 'w').write('new')")

        assert branches[1].run_code("open('a.txt').read()").text == "'new'"
        assert sandbox.files.read("d/a.txt") == "new"


def test_a_branch_of_a_branch_copies_the_files_of_that_and_not_those_of_its_siblings():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("open('a.txt', 'w').write('origin'); import os")
        first, second = sandbox.context.fork(2)
        first.run_code("open('a.txt', 'w').write('first')")
        (below,) = first.fork(1)

        assert below.run_code("open('a.txt').read(), sorted(os.listdir())").text == (
            "('first', ['a.txt'])"
        )
        below.run_code("open('a.txt', 'w').write('below')")
        assert texts([first, second], "open('a.txt').read()") == ["'first'", "'origin'"]


def test_what_a_branch_makes_is_told_as_its_own_and_not_as_anybody_elses():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("open('old.txt', 'w').write('x')")
        first, second = sandbox.context.fork(2)
        execution = fine(first.run_code("open('new.txt', 'w').write('mine')"))

        (name,) = execution.files
        assert name.endswith("new.txt")
        assert execution.files[name].read() == b"mine"
        assert list(second.run_code("1").files) == []
        assert list(sandbox.run_code("1").files) == []
        assert list(sandbox.run_code("open('b.txt', 'w').write('x')").files) == ["b.txt"]


def test_files_can_be_taken_out_of_a_branch():
    with Sandbox(QUIET) as sandbox:
        (branch,) = sandbox.context.fork(1)
        branch.run_code("open('best.txt', 'w').write('won')")

        assert sandbox.files.read(f"{branch.cwd}/best.txt") == "won"


def test_a_workspace_that_is_too_full_to_copy_is_said_and_nothing_is_left():
    with Sandbox(limited(workspace_bytes="4MiB")) as sandbox:
        sandbox.run_code("open('large', 'wb').write(bytes(3 << 20)); x = 1")
        with pytest.raises(
            CheckpointError,
            match=r"copies of the files \(2\) take 6.0 MiB, and 1.0 MiB are left of the limit workspace_bytes",
        ):
            sandbox.context.fork(2)
        assert [each.id for each in sandbox.list_code_contexts()] == ["default"]
        assert settles_at(sandbox, 2)
        assert len(sandbox.context.fork(2, files="shared")) == 2
        assert sandbox.run_code("x").text == "1"


def test_files_that_are_too_many_to_copy_are_said():
    with Sandbox(limited(workspace_inodes=24)) as sandbox:
        sandbox.run_code("for n in range(9): open(f'{n}', 'w').close()")
        with pytest.raises(CheckpointError, match=r"20 files and folders, and 1\d are left of the"):
            sandbox.context.fork(2)
        assert len(sandbox.context.fork(1)) == 1


def test_copies_of_files_that_would_take_more_memory_than_there_is_cost_the_interpreter_nothing():
    with Sandbox(limited(memory_bytes="128MiB")) as sandbox:
        sandbox.run_code("x = 1; open('large', 'wb').write(bytes(40 << 20))")
        with pytest.raises(CheckpointError, match=r"copies .* 120.0 MiB, .* limit memory_bytes"):
            sandbox.context.fork(3)
        execution = sandbox.run_code("x")
        assert (execution.text, execution.state) == ("1", "kept")
        assert left_of_branches(sandbox) == []


def test_branches_that_cannot_go_on_leave_no_files_and_their_origin_lives():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code(
            "x = 1; import os; open('a', 'w').write('a'); os.mkdir('d'); open('d/b', 'w').close()\n"
            "os.chmod('d/b', 0)"
        )
        with pytest.raises(
            CheckpointError,
            match=r"its working folder could not be made: 'd/b' cannot be copied: the code took the permission",
        ):
            sandbox.context.fork(3)
        assert left_of_branches(sandbox) == []
        execution = sandbox.run_code("x")
        assert (execution.text, execution.state, dict(execution.files)) == ("1", "kept", {})
        assert settles_at(sandbox, 2)


def test_a_branch_that_says_nothing_is_nothing_against_its_origin():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code(
            "x = 1; import os\nfrom protocell_guest.guest import folders\nfolders.copy = lambda *_: os._exit(1)"
        )
        with pytest.raises(CheckpointError, match=r"a branch (could not go on: it ended|ended as)"):
            sandbox.context.fork(2)
        execution = sandbox.run_code("x")
        assert (execution.text, execution.state) == ("1", "kept")
        assert left_of_branches(sandbox) == []


@pytest.mark.parametrize("folder", ["/tmp", "/", "/usr/bin", "/home"])
def test_a_working_folder_outside_of_the_workspace_is_not_copied(folder: str):
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code(f"import os; os.chdir({folder!r}); x = 1")
        with pytest.raises(
            CheckpointError,
            match=f"its working folder is '{folder}', and files are copied from /home/user alone",
        ):
            sandbox.context.fork(2)
        assert left_of_branches(sandbox) == []
        look = "x, os.getcwd()"
        assert texts(sandbox.context.fork(1, files="shared"), look) == [f"(1, {folder!r})"]


def test_a_working_folder_that_is_gone_is_said():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("import os; os.mkdir('d'); os.chdir('d'); os.rmdir('../d')")
        with pytest.raises(CheckpointError, match="its working folder cannot be read"):
            sandbox.context.fork(2)


def test_mounted_folders_are_found_by_a_link(tmp_path: Path):
    mounts = [Mount(source=str(tmp_path), target="/home/user/data")]
    with Sandbox(replace(QUIET, mounts=mounts)) as sandbox:
        (branch,) = sandbox.context.fork(1)
        look = "import os\nos.readlink('data')"
        assert fine(branch.run_code(look)).text == "'/home/user/data'"


def test_modes_go_along():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code(
            "import os; os.mkdir('d'); open('d/f', 'w').close()\nos.chmod('d/f', 0o600); os.chmod('d', 0o500)"
        )
        (branch,) = sandbox.context.fork(1)
        look = "import os\n[oct(os.stat(name).st_mode)[-3:] for name in ('d', 'd/f')]"
        assert branch.run_code(look).text == "['500', '600']"


def test_the_folder_of_a_branch_goes_with_the_last_that_works_in_it():
    with Sandbox(QUIET) as sandbox:
        first, second = sandbox.context.fork(2)
        (below,) = first.fork(1, files="shared")
        first.run_code("open('mine', 'w').write('x')")
        first.close()
        assert below.run_code("open('mine').read()").text == "'x'"
        second.close()
        assert left_of_branches(sandbox) == [below.cwd.removeprefix("/home/user/.branches/")]
        below.close()
        assert left_of_branches(sandbox) == []
        assert sandbox.run_code("1").files.removed == ()


def test_the_folder_of_a_branch_goes_while_it_runs():
    with Sandbox(QUIET) as sandbox:
        (branch,) = sandbox.context.fork(1)
        code = "print('begun', flush=True)\nfrom pathlib import Path\nn = 0\n"
        code += "while True: n += 1; Path(f'{n}').touch()"
        with running(branch.run_code, code) as call:
            branch.close()
            assert call.result().status == "killed"
        assert not sandbox.files.exists(branch.cwd)


def test_folders_of_branches_are_no_part_of_the_workspace_unless_they_are_named(tmp_path: Path):
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("open('a.txt', 'w').write('x')")
        (branch,) = sandbox.context.fork(1)
        listed = sandbox.files.list(depth=None)
        assert [entry.name for entry in listed] == ["a.txt"]
        assert listed.left_out == {"folders of branches": 1}
        assert [entry.name for entry in sandbox.files.list(branch.cwd)] == ["a.txt"]
        told = sandbox.files.download(".", tmp_path / "all")
        assert (told.files, dict(told.left_out)) == (1, {"folders of branches": 1})
        assert sandbox.files.download(branch.cwd, tmp_path / "one").files == 1


def test_what_a_branch_writes_meanwhile_is_told_by_its_own_execution_alone():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        (branch,) = sandbox.context.fork(1)
        code = "open('mine', 'w').write('x'); import os; os.mkfifo('odd')\n" + begun_and_held()
        with running(branch.run_code, code) as call:
            for other in (sandbox.context, second):
                told = fine(other.run_code("1")).files
                assert (dict(told), told.removed, told.left_out) == ({}, (), {})
            sandbox.files.write("go", b"")
            told = call.result().files
        name = branch.cwd.removeprefix("/home/user/")
        assert (list(told), told.left_out) == ([f"{name}/mine"], {"not a regular file": 1})
        assert sandbox.run_code("1").files.left_out == {}
        told = fine(branch.run_code("os.remove('mine')")).files
        assert (dict(told), told.removed) == ({}, (f"{name}/mine",))


# -- checkpoints ---------------------------------------------------------------------------------------


def test_branches_and_contexts_beside_keep_checkpoints_as_their_origin_does_unless_it_is_said():
    with Sandbox(QUIET, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        (with_them,) = sandbox.context.fork(1)
        (below,) = with_them.fork(1)
        (without,) = sandbox.context.fork(1, checkpoints=False)
        beside = sandbox.create_code_context()
        beside.run_code("x = 1")
        plain = sandbox.create_code_context(checkpoints=False)
        plain.run_code("x = 1")
        contexts = [with_them, below, without, beside, plain]
        states = [each.run_code("import os; os._exit(1)").state for each in contexts]

        assert states == ["restored", "restored", "lost", "restored", "lost"]
        assert texts([with_them, below, beside], "x") == ["1"] * 3


def test_a_branch_can_keep_checkpoints_where_its_origin_keeps_none():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 1")
        (branch,) = sandbox.context.fork(1, checkpoints=2)
        branch.run_code("x = 2")
        branch.undo()
        assert branch.run_code("x").text == "1"
        with pytest.raises(PolicyError, match="checkpoints is"):
            sandbox.context.fork(1, checkpoints="yes")  # type: ignore[arg-type]


def test_open_files_stand_where_they_stood_and_move_by_themselves():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code(
            "open('lines', 'w').write('one\\ntwo\\nthree\\n')\nf = open('lines'); f.readline()"
        )
        branches = sandbox.context.fork(2, files="shared")

        assert branches[0].run_code("f.read()").text == r"'two\nthree\n'"
        assert branches[1].run_code("f.readline()").text == r"'two\n'"
        assert sandbox.run_code("f.readline()").text == r"'two\n'"


# -- at once -------------------------------------------------------------------------------------------


def test_branches_run_at_once_in_threads():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 6")
        branches = sandbox.context.fork(3)
        # Each waits for all the others: they would not end one after the other.
        code = (
            "import os, time\nopen(f'/home/user/there-{0}', 'w').close()\n"
            "while not all(os.path.exists(f'/home/user/there-{{n}}') for n in range(3)): time.sleep(0.002)\n"
            "x * {0}"
        )
        calls: list[Running[Execution]] = []
        for number, branch in enumerate(branches):
            text = code.format(number)
            calls.append(Running(lambda b=branch, t=text: b.run_code(t)))  # type: ignore[misc]

        assert [call.result().text for call in calls] == ["0", "6", "12"]


def test_branches_run_at_once_in_asyncio():
    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            await sandbox.run_code("x = 6")
            branches = await sandbox.context.fork(4)
            code = (
                "import os, time\nopen(f'/home/user/there-{0}', 'w').close()\n"
                "while not all(os.path.exists(f'/home/user/there-{{n}}') for n in range(4)): time.sleep(0.002)\n"
                "x * {0}"
            )
            found = await asyncio.gather(
                *[branch.run_code(code.format(n)) for n, branch in enumerate(branches)]
            )
            assert [each.text for each in found] == ["0", "6", "12", "18"]
            await branches[0].close()
            assert len(await sandbox.list_code_contexts()) == 4

    run(main())


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own."""
    asyncio.run(asyncio.wait_for(coroutine, 60))


def test_a_tree_is_searched():
    """Each level keeps its best and branches from it."""

    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            await sandbox.run_code("path = []")
            best: AsyncContext = sandbox.context
            for level in range(3):
                branches = await best.fork(3)
                scores = await asyncio.gather(
                    *[b.run_code(f"path.append({n}); sum(path)") for n, b in enumerate(branches)]
                )
                values = [int(score.text or "") for score in scores]
                assert values == [2 * level, 2 * level + 1, 2 * level + 2]
                best = branches[values.index(max(values))]
                for other in branches:
                    if other is not best:
                        await other.close()
            assert (await best.run_code("path")).text == "[2, 2, 2]"
            assert (await sandbox.run_code("path")).text == "[]"

    run(main())


def test_code_in_a_branch_that_runs_is_refused_a_second_time_and_its_siblings_are_free():
    with Sandbox(QUIET) as sandbox:
        first, second = sandbox.context.fork(2)
        with running(first.run_code, begun_and_held("go")) as call:
            assert second.run_code("1").text == "1"
            assert sandbox.run_code("1").text == "1"
            waiting = Running(lambda: first.run_code("2", wait=True))
            sandbox.files.write("go", b"")
            assert call.result().status == "ok"
            assert waiting.result().text == "2"


def test_a_branch_can_be_made_while_another_runs_and_of_an_interpreter_that_has_its_turn_next():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 1")
        (first,) = sandbox.context.fork(1)
        with running(first.run_code, begun_and_held()):
            (second,) = sandbox.context.fork(1)
            assert second.run_code("x").text == "1"
            sandbox.files.write("go", b"")


# -- ends ----------------------------------------------------------------------------------------------


def test_a_branch_is_killed_alone_with_what_fled_from_it():
    with Sandbox(SHORT) as sandbox:
        sandbox.run_code("x = 1")
        first, second = sandbox.context.fork(2)
        second.run_code(FLEE + "y = 2")
        execution = first.run_code(FLEE + DEAF, timeout=0.4)

        assert (execution.status, execution.state) == ("timeout", "lost")
        # init, the interpreter, two branches (the first is begun anew), and what fled from the second.
        assert first.run_code("'x' in globals()").text == "False"
        assert settles_at(sandbox, 7)
        assert second.run_code("x, y").text == "(1, 2)"
        assert sandbox.run_code("x").text == "1"


def test_a_branch_that_is_removed_ends_with_what_fled_from_it():
    with Sandbox(QUIET) as sandbox:
        first, second = sandbox.context.fork(2)
        first.run_code(FLEE)
        second.run_code(FLEE)
        assert settles_at(sandbox, 10)
        first.close()
        assert settles_at(sandbox, 6)
        second.close()
        assert settles_at(sandbox, 2)


@pytest.mark.parametrize(
    "code, status",
    [
        ("import os; os._exit(3)", "killed"),
        ("import os; os.kill(os.getpid(), 11)", "killed"),
        (DEAF, "timeout"),
        ("import os; os.write(3, b'\\xff' * 64)\nwhile True: pass", "killed"),
        ("while True: print('x' * 1000)", "output_limit"),
    ],
)
def test_a_branch_that_has_ended_begins_anew_in_its_own_place(code: str, status: str):
    policy = limited(grace_seconds=0.2, output_total_bytes="256KiB")
    with Sandbox(policy, envs={"ALL": "a"}) as sandbox:
        sandbox.run_code("x = 1; open('mine.txt', 'w').write('x')")
        (branch,) = sandbox.context.fork(1)
        execution = branch.run_code(code, timeout=0.5 if status == "timeout" else 20)

        assert (execution.status, execution.state) == (status, "lost")
        assert execution.state_reason == (
            "the next execution begins with no variables (checkpoints are off)"
        )
        look = "import os\n'x' in globals(), os.getcwd(), os.listdir(), os.environ['ALL']"
        assert branch.run_code(look).text == f"(False, {branch.cwd!r}, ['mine.txt'], 'a')"
        assert sandbox.run_code("x").text == "1"
        # What began anew is as much a branch as what was there before.
        assert branch.run_code(FLEE + DEAF, timeout=0.5).status == "timeout"
        assert settles_at(sandbox, 2)


def test_a_branch_can_be_restarted():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 1")
        (branch,) = sandbox.context.fork(1)
        branch.run_code(FLEE)
        branch.restart()

        execution = branch.run_code("import os\n'x' in globals(), os.getcwd()")
        assert (execution.text, execution.execution_count) == (f"(False, {branch.cwd!r})", 1)
        assert settles_at(sandbox, 3)


@pytest.mark.parametrize("how", ["killed", "restarted", "crashed", "removed"])
@pytest.mark.parametrize("beside", [False, True])
def test_branches_live_on_when_their_origin_ends(how: str, *, beside: bool):
    with Sandbox(SHORT) as sandbox:
        origin = sandbox.create_code_context() if beside else sandbox.context
        origin.run_code("x = 1")
        origin.run_code(FLEE)
        first, second = origin.fork(2)
        first.run_code(FLEE)
        if how == "killed":
            assert origin.run_code(DEAF, timeout=0.3).state == "lost"
        elif how == "crashed":
            assert origin.run_code("import os; os._exit(1)").state == "lost"
        elif how == "restarted":
            origin.restart()
        elif beside:  # they live where it lived
            origin.close()
            with pytest.raises(ClosedError):
                first.run_code("x")
            assert [each.id for each in sandbox.list_code_contexts()] == ["default"]
            return
        else:
            with pytest.raises(PolicyError):
                origin.close()

        assert texts([first, second], "x") == ["1", "1"]
        if how != "removed":
            assert origin.run_code("'x' in globals()").text == "False"
            count = "import os\nlen([n for n in os.listdir('/proc') if n.isdigit()])"
            wait_for(lambda: origin.run_code(count).text == "7", "the end of what had fled from it")


def test_an_interrupt_of_a_branch_is_its_own():
    with Sandbox(limited(grace_seconds=20)) as sandbox:
        sandbox.run_code("x = 1")
        first, second = sandbox.context.fork(2)
        with running(second.run_code, begun_and_held() + "x") as call:
            execution = first.run_code(
                "print('begun')\nwhile True: pass", on_stdout=lambda _: first.interrupt()
            )
            assert (execution.status, execution.state) == ("cancelled", "kept")
            sandbox.files.write("go", b"")
            assert call.result().text == "1"
        assert first.run_code("x").text == "1"


def test_closing_the_sandbox_ends_all_branches_and_says_so():
    sandbox = Sandbox(QUIET)
    first, second = sandbox.context.fork(2)
    (init,) = inits_of(zygote_of(QUIET).pid)
    pids = descendants_of(init)
    assert len(pids) == 3
    with running(first.run_code, begun_and_held()) as call:
        sandbox.close()
        execution = call.result()
    assert (execution.status, execution.reason) == ("killed", "the code was ended by the caller")
    for branch in (first, second):
        with pytest.raises(ClosedError):
            branch.run_code("1")
    wait_for(lambda: all(map(is_gone, pids)), "their end")


def test_the_memory_of_a_branch_counts_as_the_sandboxs_and_the_largest_goes():
    with Sandbox(limited(memory_bytes="320MiB")) as sandbox:
        sandbox.run_code("x = 1")
        first, second = sandbox.context.fork(2)
        take = "held = bytearray({0} << 20); held[::4096] = b'x' * len(held[::4096]); x"
        assert first.run_code(take.format(120)).text == "1"
        execution = second.run_code(take.format(230) + "\nimport time; time.sleep(5)", timeout=20)

        assert (execution.status, execution.state) == ("out_of_memory", "lost")
        assert first.run_code("len(held), x").text == f"({120 << 20}, 1)"
        assert sandbox.run_code("x").text == "1"


def test_processor_time_of_a_branch_is_its_own():
    with Sandbox(limited(cpu_seconds=0.6)) as sandbox:
        first, second = sandbox.context.fork(2)
        burn = "import time\nend = time.process_time() + 0.35\nwhile time.process_time() < end: pass\n'done'"
        assert texts([first, second, sandbox.context], burn) == ["'done'"] * 3
        assert first.run_code("while True: pass").status == "timeout"
        assert second.run_code("1").text == "1"


# -- where none can be made ----------------------------------------------------------------------------


def test_with_threads_there_is_no_branch_and_that_is_said():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code(
            "import threading; stop = threading.Event()\n"
            "t = threading.Thread(target=stop.wait, daemon=True); t.start()"
        )
        with pytest.raises(
            CheckpointError, match="no branch was made: the code has another thread"
        ):
            sandbox.context.fork(2)
        sandbox.run_code("stop.set(); t.join(); x = 1")
        assert texts(sandbox.context.fork(2), "x") == ["1", "1"]


def test_without_room_for_a_process_there_is_no_branch_and_nothing_is_left():
    with Sandbox(limited(processes=6)) as sandbox:
        sandbox.run_code("x = 1")
        with pytest.raises(CheckpointError, match="no branch was made: no process can be made"):
            sandbox.context.fork(10)
        assert settles_at(sandbox, 2)
        assert texts(sandbox.context.fork(2), "x") == ["1", "1"]


def test_without_room_for_a_descriptor_there_is_no_branch_and_nothing_is_left():
    with Sandbox(limited(open_files=64)) as sandbox:
        sandbox.run_code(
            "held = []\ntry:\n    while True: held.append(open('/dev/null'))\nexcept OSError: pass"
        )
        with pytest.raises(CheckpointError, match="no branch was made"):
            sandbox.context.fork(2)
        sandbox.run_code("while held: held.pop().close()")
        assert texts(sandbox.context.fork(2), "len(held)") == ["0", "0"]


def test_a_branch_of_an_interpreter_that_has_ended_is_one_of_a_new_one():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 1; import os; os._exit(1)")
        (branch,) = sandbox.context.fork(1)

        assert branch.run_code("'x' in globals()").text == "False"


def test_code_that_has_changed_how_it_works_gets_no_branch_and_the_sandbox_goes_on():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        second.run_code(
            "from protocell_guest.guest import copies\n"
            "copies.branch = lambda fork, streams: ([4242] * len(streams), -1)"
        )
        with pytest.raises(CheckpointError, match="ended as soon as it was made"):
            second.fork(2)
        assert sandbox.run_code("1").text == "1"
        assert [each.id for each in sandbox.list_code_contexts()] == ["default", second.id]


# -- among other things --------------------------------------------------------------------------------


def test_branches_of_a_context_beside_are_in_its_place():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        second.run_code("x = 1; open('/tmp/mine', 'w').close()")
        (branch,) = second.fork(1)

        assert branch.run_code("import os\nx, os.path.exists('/tmp/mine')").text == "(1, True)"
        assert sandbox.run_code("import os\nos.path.exists('/tmp/mine')").text == "False"
        (below,) = branch.fork(1)
        assert below.run_code("x").text == "1"


def test_branches_have_callbacks_streams_variables_and_output_of_their_own():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("x = 1; print('not flushed', end='')")
        first, second = sandbox.context.fork(2)
        told: list[str] = []
        execution = first.run_code("print('mine')", on_stdout=told.append)

        assert (output(execution), told) == ("mine\n", ["mine\n"])
        assert output(second.run_code("1")) == output(sandbox.run_code("1")) == ""
        first.run_code("y = 2")
        assert first.variables().names() == ["x", "y"]
        assert second.variables().names() == ["x"]


def test_branches_import_await_and_start_processes():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code(
            "import asyncio, subprocess\nasync def f(): await asyncio.sleep(0); return 5\nawait f()"
        )
        code = "import colorsys\nawait f(), subprocess.check_output(['echo', 'out'])"

        assert texts(sandbox.context.fork(3), code) == [r"(5, b'out\n')"] * 3


def test_frames_and_figures_go_on_in_branches():
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    with Sandbox(QUIET) as sandbox:
        fine(
            sandbox.run_code(
                "import pandas as pd, matplotlib.pyplot as plt\n"
                "frame = pd.DataFrame({'a': range(5)}); fig, ax = plt.subplots(); ax.plot([1, 2])"
            )
        )
        for number, branch in enumerate(sandbox.context.fork(2)):
            shown = fine(branch.run_code(f"ax.set_title('{number}'); frame['a'] += {number}\nfig"))
            assert [result.png is not None for result in shown.results] == [True]
            assert branch.run_code("int(frame.a.sum()), ax.get_title()").text == (
                f"({10 + 5 * number}, '{number}')"
            )
        assert sandbox.run_code("int(frame.a.sum()), ax.get_title()").text == "(10, '')"


def test_branches_wait_at_a_gate_that_the_host_opens():
    with Sandbox(QUIET) as sandbox:
        (branch,) = sandbox.context.fork(1)
        call = Running(lambda: branch.run_code(gate() + "'passed'"))
        sandbox.files.write("go", b"")

        assert call.result().text == "'passed'"
