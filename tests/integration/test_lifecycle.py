"""A sandbox from its first use to its end, whoever ends it and however: by close, by the collector, by fork."""

import gc
import json
import multiprocessing
import os
import random
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from protocell import Environment, Limits, Mount, Policy, Sandbox, run_code
from protocell.errors import (
    ClosedError,
    FileError,
    ProtocellError,
    SetupError,
    UnsupportedError,
)
from tests.faults.processes import (
    ALONE,
    descendants_of,
    host,
    inits_of,
    is_gone,
    python_with,
    value_of,
    wait_for,
    zygote_of,
)
from tests.workspaces import AS_ROOT


def family(policy: Policy) -> set[int]:
    """Every process of this policy's sandboxes."""
    inits = set(inits_of(zygote_of(policy).pid))
    return inits.union(*map(descendants_of, inits))


def assert_all_gone(pids: set[int]) -> None:
    wait_for(lambda: all(map(is_gone, pids)), f"the end of {pids}")


# -- the end -------------------------------------------------------------------------------------------


def test_a_sandbox_may_be_closed_twice_and_killed_after_that():
    sandbox = Sandbox(ALONE)
    sandbox.run_code("1")
    pids = family(ALONE)

    sandbox.close()
    sandbox.close()
    sandbox.kill()
    sandbox.interrupt()

    assert_all_gone(pids)


def test_a_sandbox_that_was_never_used_may_be_closed():
    Sandbox(ALONE).close()


@pytest.mark.parametrize(
    "use",
    [
        lambda sandbox: sandbox.run_code("1"),
        lambda sandbox: sandbox.files.write("x", b""),
        lambda sandbox: sandbox.files.read("x"),
        lambda sandbox: sandbox.files.list(),
        lambda sandbox: sandbox.__enter__(),
    ],
    ids=["run", "write", "read", "list", "with"],
)
@pytest.mark.parametrize("uses_before", [0, 1])
def test_use_after_the_end_says_so(use: Callable[[Sandbox], object], uses_before: int):
    sandbox = Sandbox(ALONE)
    for _ in range(uses_before):
        sandbox.run_code("1")
    sandbox.close()

    with pytest.raises(ClosedError, match="make a new one"):
        use(sandbox)


def test_a_forgotten_sandbox_ends():
    sandbox = Sandbox(ALONE)
    sandbox.run_code("1")
    pids, gone = family(ALONE), weakref.ref(sandbox)

    del sandbox

    gc.collect()
    assert gone() is None
    assert_all_gone(pids)


def test_a_forgotten_sandbox_in_a_cycle_ends_when_it_is_collected():
    sandbox = Sandbox(ALONE)
    sandbox.run_code("1")
    pids = family(ALONE)
    cycle: list[object] = [sandbox]
    cycle.append(cycle)

    del sandbox, cycle
    gc.collect()

    assert_all_gone(pids)


def test_kill_from_another_thread_at_any_moment_ends_the_run_and_the_sandbox():
    seeded = random.Random(1)
    for _ in range(30):
        sandbox = Sandbox(ALONE)
        timer = threading.Timer(seeded.random() * 0.012, sandbox.kill)
        timer.start()
        try:
            execution = sandbox.run_code("while True: pass", timeout=30)
        except ClosedError:
            pass  # before it was begun
        else:
            assert (execution.status, execution.reason) == (
                "killed",
                "the code was ended by the caller",
            )
        timer.join()
        with pytest.raises(ClosedError):
            sandbox.run_code("1")


def test_kill_at_any_moment_of_a_renewal_ends_it():
    seeded = random.Random(2)
    for _ in range(20):
        sandbox = Sandbox(ALONE)
        sandbox.run_code("import os; os._exit(0)")
        timer = threading.Timer(seeded.random() * 0.008, sandbox.kill)
        timer.start()
        with suppress(ClosedError):
            assert sandbox.run_code("while True: pass", timeout=30).status == "killed"
        timer.join()


def use_until_closed(sandbox: Sandbox) -> None:
    """Write and read, and never see anything but what was written."""
    while True:
        sandbox.files.write("y", b"y" * 1000)
        assert sandbox.files.read("x", format="bytes") == b"x" * 100_000


def test_close_while_files_are_written_and_read_is_no_harm():
    for round_ in range(10):
        sandbox = Sandbox(ALONE)
        sandbox.files.write("x", b"x" * 100_000)
        timer = threading.Timer(0.0005 * round_, sandbox.close)
        timer.start()
        with pytest.raises(ClosedError):
            use_until_closed(sandbox)
        timer.join()


# -- what a run leaves ---------------------------------------------------------------------------------


STAYING = {
    "forks": """
import os, signal
for _ in range(5):
    if os.fork() == 0: signal.pause()
""",
    "daemonises": """
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: signal.pause()
    os._exit(0)
""",
    "starts a session": "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)",
    "ignores every signal": """
import os, signal
for number in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    while True: pass
""",
    "stops itself": "import os, signal\nif os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP)",
    "closes its output": "import os\nos.close(1); os.close(2)",
    "closes what it finds": "import os\nos.close(0); os.closerange(4, 100)\nif os.fork() == 0:\n    while True: pass",
    "has threads": "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()",
}


@pytest.mark.parametrize("code", STAYING.values(), ids=STAYING.keys())
@pytest.mark.parametrize("ending", ["close", "timeout"])
def test_whatever_a_run_started_is_gone_with_its_sandbox(code: str, ending: str):
    sandbox = Sandbox(ALONE)
    if ending == "timeout":
        execution = sandbox.run_code(
            code + "\nimport signal\nwhile True: signal.pause()", timeout=0.3
        )
        assert execution.status == "timeout"
    else:
        assert sandbox.run_code(code, timeout=30).status == "ok"
    pids = family(ALONE)
    assert pids

    sandbox.close()

    assert_all_gone(pids)


def test_code_that_stops_itself_is_ended_by_its_timeout_and_the_sandbox_goes_on():
    with Sandbox(ALONE) as sandbox:
        code = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
        assert sandbox.run_code(code, timeout=0.3).status == "timeout"
        assert sandbox.run_code("1 + 1").text == "2"


def test_code_that_closes_its_standard_output_loses_it_and_nothing_else():
    with Sandbox(ALONE) as sandbox:
        assert sandbox.run_code("import os\nos.close(1)\n1 + 1").text == "2"
        for _ in range(3):
            assert sandbox.run_code("1 + 1", timeout=30).text == "2"


# -- fork ----------------------------------------------------------------------------------------------


def in_child(work: Callable[[], object]) -> int:
    """Fork, do it there, and return the child's exit code; it ends as an interpreter ends, but for pytest."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            work()
            gc.collect()
            status = 0
        except BaseException as error:  # noqa: BLE001  (what would come of it must not go on in pytest)
            os.write(2, f"in the child: {error!r}\n".encode())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_the_end_of_a_forked_child_does_not_end_the_parents_sandboxes():
    with Sandbox(ALONE) as sandbox:
        sandbox.run_code("x = 1")

        assert in_child(lambda: None) == 0
        assert in_child(sandbox.close) == 0
        assert in_child(sandbox.interrupt) == 0

        assert sandbox.run_code("x").text == "1"


def test_a_forked_child_cannot_use_the_parents_sandboxes_and_can_make_its_own():
    def work() -> None:
        with pytest.raises(ClosedError, match="forked"):
            sandbox.run_code("x")
        with pytest.raises(ClosedError, match="forked"):
            sandbox.files.read("x")
        assert run_code("1 + 1", policy=ALONE).text == "2"
        with Sandbox(ALONE) as own:
            assert own.run_code("1 + 1").text == "2"

    with Sandbox(ALONE) as sandbox:
        sandbox.run_code("x = 1")

        assert in_child(work) == 0
        assert sandbox.run_code("x").text == "1"


def test_the_parents_close_ends_a_sandbox_although_a_forked_child_lives_on():
    sandbox = Sandbox(ALONE)
    sandbox.run_code("1")
    pids = family(ALONE)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    try:
        sandbox.close()
        assert_all_gone(pids)
        zygote = zygote_of(ALONE)
        pid = zygote.pid
        zygote.close()
        assert is_gone(pid)
    finally:
        os.close(writer)
        os.waitpid(child, 0)


def test_a_fork_in_mid_run_disturbs_neither_side():
    def fork(_: str) -> None:
        assert in_child(sandbox.kill) == 0

    with Sandbox(ALONE) as sandbox:
        execution = sandbox.run_code("print('x', flush=True)\n1 + 1", on_stdout=fork, timeout=30)
        assert (execution.status, execution.text) == ("ok", "2")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_workers_of_multiprocessing_have_sandboxes_of_their_own():
    with Sandbox(ALONE) as sandbox:
        sandbox.run_code("x = 1")
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(value_of, ["1 + 1", "2 + 2", "3 + 3"]) == ["2", "4", "6"]
            pool.close()
            pool.join()
        assert sandbox.run_code("x").text == "1"


def test_spawned_workers_of_multiprocessing_have_sandboxes_of_their_own():
    # In a process of its own: multiprocessing keeps a helper process for as long as its user lives.
    code = """
import multiprocessing
from protocell import run_code
from tests.faults.processes import value_of
if __name__ == "__main__":
    run_code("1")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(pool.map(value_of, ["1 + 1", "2 + 2"]))
        pool.close()
        pool.join()
"""
    with host(code) as program:
        assert program.end() == (0, "['2', '4']\n", "")


# -- environments --------------------------------------------------------------------------------------


def other_interpreters() -> list[str]:
    """Other versions that this user can start."""
    found = [Path("/usr/bin/python3"), *Path.home().glob(".pyenv/versions/3.1[123]*/bin/python3")]
    return sorted(str(path) for path in found if os.access(path, os.X_OK))


@pytest.mark.parametrize("python", other_interpreters())
def test_code_runs_under_another_interpreter(python: str):
    if AS_ROOT and python.startswith("/root/"):
        assert os.path.realpath(python)
    policy = Policy(environment=Environment(python=python, ready=0))

    execution = run_code("import sys\nsys.version_info[:2], sys.executable", policy=policy)

    assert execution.status == "ok", execution.error
    assert execution.text is not None
    assert python.rpartition("/")[0] in execution.text


def test_a_package_that_is_not_there_is_said_each_time():
    policy = Policy(environment=Environment(preload=["no_such_module"]))
    for _ in range(3):
        with pytest.raises(SetupError, match="No module named 'no_such_module'; install it in"):
            run_code("1", policy=policy)


def test_a_package_that_breaks_is_said_with_its_own_words():
    with python_with("broken", "raise RuntimeError('the module says no')") as python:
        policy = Policy(environment=Environment(python=python, preload=["broken"]))
        with pytest.raises(SetupError, match="the module says no"):
            run_code("1", policy=policy)


def test_a_package_that_starts_a_thread_is_said():
    source = (
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    with python_with("busy", source) as python:
        policy = Policy(environment=Environment(python=python, preload=["busy"]))
        with pytest.raises(SetupError, match="a package of busy starts threads; leave it out"):
            run_code("1", policy=policy)
        unloaded = Policy(environment=Environment(python=python))
        assert run_code("import busy; 1", policy=unloaded).text == "1"


@pytest.mark.parametrize(
    "script, message",
    [
        ("#!/bin/sh\nexit 3\n", "it ended with status 3"),
        ("#!/bin/sh\necho no python here >&2\nexit 1\n", "no python here"),
        ("#!/bin/sh\nkill -9 $$\n", "it ended with status -9"),
        (
            "#!/bin/sh\nexec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-\nexec /bin/cat /dev/null\n",
            "could not start",
        ),
        ("#!/no/such/program\n", "cannot start the interpreter"),
        ("not a program at all", "cannot start the interpreter"),
    ],
)
def test_an_interpreter_that_does_not_start_is_said_with_its_last_words(
    script: str, message: str, tmp_path: Path
):
    python = tmp_path / "python"
    python.write_text(script)
    python.chmod(0o755)
    policy = Policy(environment=Environment(python=python))

    for _ in range(2):
        with pytest.raises(SetupError, match=message):
            run_code("1", policy=policy)


@pytest.mark.parametrize("program", ["/bin/true", "/bin/cat", "/bin/sh"])
def test_a_program_that_is_no_interpreter_is_said_to_be_none(program: str):
    policy = Policy(environment=Environment(python=program))

    with pytest.raises(SetupError, match=r"^the zygote could not start: ") as caught:
        run_code("1", policy=policy)

    end = f"; {program!r} does not run Python: set Environment(python=…) to one that does"
    assert str(caught.value).endswith(end)


TELL_WHAT_IS_WRONG = (
    "import json, protocell, sys\n"
    "policy = protocell.Policy(require=sys.argv[1:])\n"
    "try: print(json.dumps(protocell.run_code('1', policy=policy).status))\n"
    "except protocell.UnsupportedError as error: print(json.dumps([str(error), error.remedy]))\n"
)


def told_where(prepare: str, *require: str) -> list[str]:
    """Message and remedy on a machine that is changed before, in a mount namespace of its own."""
    before = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    script = f'{prepare} && exec "$0" "$@"'
    program = (sys.executable, "-c", TELL_WHAT_IS_WRONG, *require)
    done = subprocess.run(
        [*before, script, *program], check=True, capture_output=True, text=True, timeout=60
    )
    return list(json.loads(done.stdout))


def test_a_missing_proc_is_named():
    message, remedy = told_where("mount -t tmpfs none /proc")

    assert message == f"no sandbox can be made: {remedy}"
    assert remedy.startswith("there is no /proc here, or something else is mounted over it")


@pytest.mark.parametrize("layer", ["cgroup-v1", "cgroup-v2"])
def test_a_cgroup_that_is_required_and_not_there_is_said_with_the_reason(layer: str):
    message, remedy = told_where("mount -t tmpfs none /sys/fs/cgroup", layer)

    assert message == f"the policy requires {layer}, which this machine does not give: {remedy}"
    reason, _, what_to_do = remedy.partition("; ")
    assert "cgroup" in reason
    assert "container" in what_to_do


def test_what_stands_in_for_a_layer_that_is_required_is_said():
    on = run_code("1").enforced
    here = next(name for name in ("cgroup-v1", "cgroup-v2", "memory-watch") if name in on)
    missing = "memory-watch" if here != "memory-watch" else "cgroup-v2"
    instead = f"; it gives {here} in its place" if here != "memory-watch" else ": user "

    with pytest.raises(UnsupportedError) as caught:
        run_code("1", policy=Policy(require=[missing]))

    said = f"the policy requires {missing}, which this machine does not give{instead}"
    assert str(caught.value).startswith(said)
    assert caught.value.missing == (missing,)
    assert str(caught.value).endswith(caught.value.remedy)


def test_threads_that_wait_for_one_interpreter_that_does_not_start_are_all_told():
    policy = Policy(environment=Environment(preload=["no_such_module"]))
    errors: list[ProtocellError] = []

    def use() -> None:
        with pytest.raises(SetupError, match="no_such_module") as caught:
            run_code("1", policy=policy)
        errors.append(caught.value)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(errors) == 4


# -- mounts and files ----------------------------------------------------------------------------------


def mounting(source: Path, target: str = "/data", ready: int = 0) -> Policy:
    """A policy that mounts this."""
    mounts = [Mount(source=source, target=target)]
    return Policy(mounts=mounts, environment=Environment(ready=ready))


def shared(path: Path) -> Path:
    """A folder that the code may read, whatever it is outside."""
    for each in (path, *list(path.parents)[:2]):
        each.chmod(0o755)
    return path


def test_a_mount_that_has_vanished_is_said_and_the_zygote_lives_on(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    policy = mounting(shared(folder))
    run_code("1", policy=ALONE)
    zygote = zygote_of(ALONE).pid
    folder.rmdir()

    for _ in range(2):
        with pytest.raises(SetupError, match=r"No such file or directory") as caught:
            run_code("1", policy=policy)
        assert str(folder) in str(caught.value)
    assert run_code("1 + 1", policy=ALONE).text == "2"
    assert zygote_of(ALONE).pid == zygote

    folder.mkdir()
    assert run_code("import os; os.listdir('/data')", policy=policy).text == "[]"


@pytest.mark.parametrize("ready", [0, 2])
def test_a_mount_shows_what_stands_under_its_name_now(tmp_path: Path, ready: int):
    file = shared(tmp_path) / "file.txt"
    file.write_text("one")
    policy = mounting(file, "/data.txt", ready)
    read = "open('/data.txt').read()"
    assert run_code(read, policy=policy).text == "'one'"

    (tmp_path / "new").write_text("two")
    (tmp_path / "new").rename(file)

    assert run_code(read, policy=policy).text == "'two'"
    assert run_code(read, policy=policy).text == "'two'"


@pytest.mark.skipif(not AS_ROOT, reason="only root can mount what the code's user cannot read")
def test_a_mount_that_the_code_may_not_read_is_its_permission_error(tmp_path: Path):
    folder = shared(tmp_path) / "closed"
    folder.mkdir(mode=0o700)

    execution = run_code("import os; os.listdir('/data')", policy=mounting(folder))

    assert execution.error is not None
    assert execution.error.name == "PermissionError"


def test_mounts_below_the_workspace_are_no_work_of_the_code(tmp_path: Path):
    (shared(tmp_path) / "table.csv").write_text("a")
    with Sandbox(mounting(tmp_path, "/home/user/data")) as sandbox:
        execution = sandbox.run_code("open('out', 'w').write(open('data/table.csv').read())")

        assert list(execution.files) == ["out"]
        assert execution.files.left_out == {}
        assert sandbox.run_code("1").files.left_out == {}


@pytest.mark.parametrize("path", [".", "~", "/home/user", "/home/user/", "./", "~/."])
def test_the_workspace_itself_is_no_file(path: str):
    with Sandbox(ALONE) as sandbox:
        with pytest.raises(FileError, match="is the workspace itself; name a file in it"):
            sandbox.files.write(path, b"x")
        with pytest.raises(FileError):
            sandbox.files.read(path)
        assert sandbox.files.list(path) == []


@pytest.mark.parametrize(
    "path", ["", "..", "a/../b", "/etc/passwd", "a\0b", "a\nb", "x" * 256, "a/" * 70 + "b"]
)
def test_odd_names_are_refused_before_anything_is_made(path: str):
    sandbox = Sandbox(ALONE)
    with pytest.raises(FileError):
        sandbox.files.write(path, b"x")
    with pytest.raises(FileError):
        sandbox.files.read(path)
    sandbox.close()


def test_a_name_that_is_a_folder_or_below_a_file_is_refused():
    with Sandbox(ALONE) as sandbox:
        sandbox.run_code(
            "import os; os.mkdir('folder'); open('file', 'x'); os.symlink('/etc', 'link')"
        )
        for path in ("folder", "file/below", "link/passwd", "link"):
            with pytest.raises(FileError):
                sandbox.files.write(path, b"x")
        sandbox.files.write("folder/new", b"x")
        assert [entry.name for entry in sandbox.files.list("folder")] == ["new"]


def test_limits_as_low_as_they_go_still_give_a_sandbox():
    lowest = Limits(
        processes=1,
        open_files=32,
        workspace_bytes=65536,
        workspace_inodes=16,
        tmp_bytes=65536,
        file_bytes=4096,
    )
    assert (
        run_code("1 + 1", policy=Policy(limits=lowest, environment=Environment(ready=0))).text
        == "2"
    )


def test_this_interpreter_is_the_default():
    assert run_code("import sys\nsys.executable").text == repr(os.path.abspath(sys.executable))
