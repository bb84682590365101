"""isolation="process": all that a sandbox does works without the kernel's help, and says how little protects it."""

import asyncio
import gc
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import protocell
import protocell_guest
from protocell import Environment, Execution, Limits, Policy, Sandbox
from protocell._boxes.box import ANSWER_SECONDS
from protocell.aio import AsyncSandbox
from protocell.errors import (
    ClosedError,
    FileError,
    SandboxDiedError,
    SetupError,
    UnsupportedError,
)
from tests.workspaces import no_free_descriptor

PROCESS = Policy(isolation="process")
GUEST = Path(protocell_guest.__file__).parent / "guest"
PATIENCE_SECONDS = 5.0
LAYERS = ("clean-environment", "isolated-mode", "rlimits", "session", "temporary-directory")
RESIST = "for n in {*range(1, 32)} - {9, 19}: signal.signal(n, signal.SIG_IGN)"
SLEEPER = "import subprocess; child = subprocess.Popen(['sleep', '1000'])"


@pytest.fixture
def moved() -> Iterator[Path]:
    """A place to which code can move its folder, emptied by the test because nobody else can."""
    path = Path(f"{os.path.realpath(tempfile.gettempdir())}/moved-{os.getpid()}")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(PROCESS) as made:
        yield made


def value(execution: Execution) -> Any:
    """The Python value that the code's last expression printed as."""
    assert execution.status == "ok", f"{execution.reason}: {execution.error}"
    return eval(execution.text or "", {})


def limited(**limits: object) -> Policy:
    return Policy(isolation="process", limits=Limits.from_dict(limits))


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or goes within the patience."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE_SECONDS)[0])
    finally:
        os.close(descriptor)


def becomes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.01)
    return True


def folder_of(sandbox: Sandbox) -> Path:
    return Path(value(sandbox.run_code("import os; os.path.dirname(os.getcwd())")))


def is_gone(path: Path) -> bool:
    return becomes_true(lambda: not os.path.lexists(path))


# -- running code --------------------------------------------------------------------------------------


def test_it_has_to_be_asked_for_by_name():
    assert Policy().isolation == "kernel"


def test_code_gives_a_result_and_output_and_says_how_little_was_enforced():
    code = "import sys; print('out'); print('err', file=sys.stderr); 6 * 7"

    execution = protocell.run_code(code, policy=PROCESS)

    assert (execution.status, execution.text) == ("ok", "42")
    assert (execution.logs.stdout, execution.logs.stderr) == (["out\n"], ["err\n"])
    assert execution.enforced == LAYERS


def test_a_layer_can_be_required():
    execution = protocell.run_code("1", policy=Policy(isolation="process", require=LAYERS))

    assert execution.status == "ok"


def test_variables_live_on_from_call_to_call_and_after_an_error(sandbox: Sandbox):
    sandbox.run_code("x = 20")

    failed = sandbox.run_code("x += 1\n1 / 0")

    assert failed.error is not None
    assert (failed.status, failed.error.name) == ("error", "ZeroDivisionError")
    assert failed.error.traceback == (
        'Traceback (most recent call last):\n  File "<cell 2>", line 2, in <module>\n'
        "    1 / 0\n    ~~^~~\nZeroDivisionError: division by zero\n"
    )
    assert sandbox.run_code("x * 2").text == "42"


def test_two_sandboxes_of_one_event_loop_run_at_once():
    async def both() -> tuple[Execution, Execution]:
        async with AsyncSandbox(PROCESS) as one, AsyncSandbox(PROCESS) as two:
            await two.files.write("name", b"two")
            code = (
                "import time; start = time.monotonic(); time.sleep(0.2); (start, time.monotonic())"
            )
            done = await asyncio.gather(one.run_code(code), two.run_code(code))
            assert await two.files.read("name") == "two"
            assert [entry.name for entry in await one.files.list()] == []
            return done

    starts, ends = zip(*map(value, asyncio.run(both())), strict=True)

    assert max(starts) < min(ends)


def test_a_task_that_is_cancelled_ends_its_code_and_the_files_stay():
    async def run() -> Execution:
        async with AsyncSandbox(PROCESS) as sandbox:
            started = asyncio.Event()
            code = "open('kept', 'w').close(); print('started')\nwhile True: pass"
            task = asyncio.create_task(sandbox.run_code(code, on_stdout=lambda text: started.set()))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await sandbox.run_code("import os; os.listdir()")

    assert value(asyncio.run(run())) == ["kept"]


def test_an_import_policy_explains_itself():
    policy = Policy(isolation="process", deny_imports=["socket"])

    execution = protocell.run_code("import socket", policy=policy)

    assert execution.error is not None
    assert execution.error.value == (
        "import of 'socket' is refused by the import policy (deny_imports: socket). "
        "Allowed: everything else."
    )


def test_packages_are_loaded_ahead():
    policy = Policy(isolation="process", environment=Environment(preload=["decimal"]))

    execution = protocell.run_code("import sys; 'decimal' in sys.modules", policy=policy)

    assert execution.text == "True"


def test_a_package_that_is_not_there_is_named():
    policy = Policy(isolation="process", environment=Environment(preload=["no_such_package"]))

    with pytest.raises(SetupError) as caught:
        protocell.run_code("1", policy=policy)

    assert caught.value.step == "preload"
    assert str(caught.value) == (
        "the sandbox could not start: No module named 'no_such_package'; install it for this "
        "interpreter or leave it out of preload"
    )


@pytest.mark.parametrize("program, words", [("true", "it ended with status 0"),
                                            ("false", "it ended with status 1")])  # fmt: skip
def test_an_interpreter_that_is_none_is_an_error(program: str, words: str):
    policy = Policy(isolation="process", environment=Environment(python=f"/bin/{program}"))

    with pytest.raises(SetupError) as caught:
        protocell.run_code("1", policy=policy)

    assert str(caught.value) == f"the sandbox could not start: {words}"


def test_without_a_free_descriptor_it_is_an_error_that_leaves_nothing_behind():
    with no_free_descriptor(), pytest.raises(SetupError) as caught:
        protocell.run_code("1", policy=PROCESS)

    assert caught.value.errno == 24


# -- what the code sees --------------------------------------------------------------------------------


def test_the_environment_is_the_one_that_is_written_down(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    policy = Policy(isolation="process", envs={"MODE": "test"})

    found = value(protocell.run_code("import os; dict(os.environ)", policy=policy))

    assert {name: found[name] for name in found if not name.endswith("_NUM_THREADS")} == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": found["HOME"],
        "TMPDIR": f"{os.path.dirname(found['HOME'])}/tmp",
        "MPLCONFIGDIR": f"{os.path.dirname(found['HOME'])}/tmp/matplotlib",
        "MPLBACKEND": "agg",
        "PIP_RETRIES": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "USER": "user",
        "LOGNAME": "user",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "MODE": "test",
    }


def test_the_supervisor_knows_no_secret_either(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    code = "import os; b'SECRET' in open(f'/proc/{os.getppid()}/environ', 'rb').read()"

    assert protocell.run_code(code, policy=PROCESS).text == "False"


def test_home_and_working_directory_are_a_fresh_private_folder(sandbox: Sandbox):
    code = """
import os, sys, tempfile
home = os.getcwd()
facts = (home == os.environ['HOME'] == os.path.expanduser('~') == sys.path[-1], os.listdir(),
         tempfile.gettempdir() == os.path.join(os.path.dirname(home), 'tmp'))
facts"""

    assert value(sandbox.run_code(code)) == (True, [], True)
    folder = folder_of(sandbox)
    assert str(folder.parent) == os.path.realpath(tempfile.gettempdir())
    for path in (folder, folder / "user", folder / "tmp"):
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (os.geteuid(), 0o700)


def test_the_interpreter_is_isolated_and_leads_a_session_of_its_own(sandbox: Sandbox):
    code = """
import os, sys
sys.flags.isolated, sys.argv, os.getsid(0) == os.getpgid(0) == os.getpid() != os.getppid()"""

    assert value(sandbox.run_code(code)) == (1, [""], True)


def test_standard_input_is_empty(sandbox: Sandbox):
    assert value(sandbox.run_code("import sys; sys.stdin.read()")) == ""
    failed = sandbox.run_code("input()")
    assert failed.error is not None
    assert failed.error.name == "EOFError"


def test_no_descriptor_of_the_host_is_open_inside(tmp_path: Path):
    secret = os.open(tmp_path / "secret", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(secret, True)  # noqa: FBT003  (the function's own signature)
    try:
        code = "import os; sorted(set(os.listdir('/proc/self/fd')) - {'4'})"  # 4: the listing
        found = value(protocell.run_code(code, policy=PROCESS))
    finally:
        os.close(secret)

    assert found == ["0", "1", "2", "3"]


def test_nothing_of_the_kernel_side_is_loaded():
    code = """
import sys
sorted(name for name in sys.modules
       if name.partition('.')[0] in ('ctypes', 'protocell') or name.startswith('protocell_guest.'))"""

    plain = Environment(shell="plain")
    with Sandbox(Policy(isolation="process", environment=plain)) as sandbox:
        found = value(sandbox.run_code(code))

    assert [name for name in found if not name.startswith("protocell_guest.guest")] == [
        "protocell_guest.card_index",
        *(
            f"protocell_guest.code_{name}"
            for name in ("arguments", "calls", "names", "reach", "text")
        ),
        "protocell_guest.content",
        "protocell_guest.foreign",
        "protocell_guest.forms",
        "protocell_guest.page_signs",
        "protocell_guest.parcels",
        "protocell_guest.plan",
        "protocell_guest.process_runner",
        "protocell_guest.process_runner.folder",
        "protocell_guest.process_runner.runner",
        "protocell_guest.process_runner.supervisor",
        "protocell_guest.process_runner.usage",
        "protocell_guest.ranking",
        "protocell_guest.returns",
        "protocell_guest.skill_terms",
        "protocell_guest.tags",
        "protocell_guest.values",
        "protocell_guest.wire",
    ]
    ours = {f"protocell_guest.guest.{path.stem}" for path in GUEST.glob("[!_]*.py")}
    assert {name.rpartition(".")[2] for name in ours - set(found)} == {
        "randomness",
        "warmups",
        *("commands", "leaving", "magics", "notebook", "notebook_cells", "notebook_display"),
        *("notebook_loan", "notebook_shell", "notebook_store"),  # IPython's side
    }


# -- limits and endings --------------------------------------------------------------------------------


def test_code_that_runs_too_long_is_ended_and_the_files_stay(sandbox: Sandbox):
    code = "open('kept', 'w').write('x'); print('partial')\nwhile True: pass"

    execution = sandbox.run_code(code, timeout=0.3)

    assert (execution.status, execution.logs.stdout) == ("timeout", ["partial\n"])
    assert execution.reason == (
        "the code ran longer than its limit wall_seconds, 0.3 s; "
        "it was interrupted (KeyboardInterrupt) and came to its end"
    )
    assert execution.state == "kept"
    assert list(execution.files) == ["kept"]
    assert sandbox.run_code("import os; os.listdir()").text == "['kept']"


def test_processor_time_is_limited_for_each_cell():
    with Sandbox(limited(cpu_seconds=1)) as sandbox:
        burn = (
            "import time; start = time.process_time()\nwhile time.process_time() - start < {}: pass"
        )
        assert [sandbox.run_code(burn.format(0.6)).status for _ in range(3)] == ["ok"] * 3

        execution = sandbox.run_code("while True: pass")

    assert (execution.status, execution.reason) == (
        "timeout",
        "the code used more processor time than its limit cpu_seconds, 1 s",
    )
    # The kernel counts for this limit in ticks: to who runs at one it charges all of it, which on a busy machine is
    # more than was used (getrusage(2) tells the exact sum).
    assert execution.usage.user_seconds + execution.usage.system_seconds >= 0.5


def test_memory_is_limited():
    execution = protocell.run_code("bytearray(100 << 20)", policy=limited(memory_bytes="64MiB"))

    assert execution.status == "out_of_memory"
    assert execution.reason == (
        "an allocation failed with MemoryError: it needed more memory than its limit "
        "memory_bytes, 64 MiB"
    )
    ok = protocell.run_code("len(bytearray(100 << 20))", policy=limited(memory_bytes="160MiB"))
    assert ok.text == "104857600"


def test_files_and_descriptors_are_limited_and_no_core_is_written():
    code = """
import os, resource
errors = []
try:
    with open('large', 'wb', 0) as file:
        while True: file.write(bytes(1000))
except OSError as error: errors.append((error.errno, os.path.getsize('large')))
try: kept = [open('/dev/null') for _ in range(100)]
except OSError as error: errors.append(error.errno)
errors, resource.getrlimit(resource.RLIMIT_CORE)"""

    found = value(protocell.run_code(code, policy=limited(file_bytes=4096, open_files=32)))

    assert found == ([(27, 4096), 24], (1, 1))


def test_a_flood_of_output_is_cut_and_then_ended():
    limits = {"output_bytes": 1024, "output_total_bytes": "1MiB"}

    execution = protocell.run_code("while True: print('x' * 1000)", policy=limited(**limits))

    assert (execution.status, execution.reason) == (
        "output_limit",
        "the code wrote more than its limit output_total_bytes, 1 MiB",
    )
    assert len("".join(execution.logs.stdout)) < 1200


@pytest.mark.parametrize(
    "code, reason",
    [
        (
            "import os; os._exit(3)",
            "the code ended its own interpreter with exit code 3 (os._exit or the like)",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            "the interpreter was ended by SIGKILL (Killed)",
        ),
        (
            "import ctypes; ctypes.string_at(0)",
            "the interpreter was ended by SIGSEGV (Segmentation fault)",
        ),
        (
            "import os; os.close(3)\nwhile True: pass",
            "the code was ended: it closed its control channel",
        ),
        (
            "import os; os.write(3, b'\\2\\0\\0\\0[]')",
            "the code was ended: it broke the protocol (message is a JSON list, not an object)",
        ),
    ],
)
def test_code_that_ends_its_interpreter_is_told_by_cause(sandbox: Sandbox, code: str, reason: str):
    execution = sandbox.run_code("print('partial')\n" + code)

    assert (execution.status, execution.logs.stdout) == ("killed", ["partial\n"])
    assert sandbox.run_code("1").text == "1"
    assert execution.reason == reason


def test_system_exit_is_an_ending_like_another(sandbox: Sandbox):
    execution = sandbox.run_code("raise SystemExit(4)")

    assert (execution.status, execution.exit_code) == ("error", 4)


def test_an_interrupt_reaches_the_code_and_variables_live(sandbox: Sandbox):
    code = "x = 1; print('started')\nwhile True: pass"

    execution = sandbox.run_code(code, on_stdout=lambda text: sandbox.interrupt())

    assert (execution.status, execution.reason) == (
        "cancelled",
        "the code was stopped by the caller; it was interrupted (KeyboardInterrupt) and came to its end",
    )
    assert sandbox.run_code("x").text == "1"


def test_a_kill_from_another_thread_ends_the_code(sandbox: Sandbox):
    started = threading.Event()

    def kill() -> None:
        started.wait(PATIENCE_SECONDS)
        sandbox.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    code = "print('started')\nwhile True: pass"

    execution = sandbox.run_code(code, on_stdout=lambda text: started.set())

    killer.join()
    assert (execution.status, execution.reason) == ("killed", "the code was ended by the caller")
    with pytest.raises(ClosedError):
        sandbox.run_code("1")


@pytest.mark.parametrize(
    "code",
    [
        f"import signal\n{RESIST}\nwhile True: pass",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    ],
    ids=["ignores every signal", "stops itself"],
)
def test_code_that_resists_is_ended_in_time(sandbox: Sandbox, code: str):
    pid = value(sandbox.run_code("import os; os.getpid()"))

    execution = sandbox.run_code(code, timeout=0.3)

    assert (execution.status, execution.state) == ("timeout", "lost")
    assert execution.reason == (
        "the code ran longer than its limit wall_seconds, 0.3 s; "
        "it went on after an interrupt, so all of its processes were ended"
    )
    assert execution.usage.wall_seconds < PATIENCE_SECONDS
    assert has_ended(pid)


def test_code_that_closes_its_output_is_stopped_in_time_as_well(sandbox: Sandbox):
    pid = value(sandbox.run_code("import os; os.getpid()"))
    code = "import os, time; [os.close(n) for n in range(3)]; time.sleep(1000)"

    execution = sandbox.run_code(code, timeout=0.3)

    assert (execution.status, execution.state) == ("timeout", "kept")
    assert execution.usage.wall_seconds < PATIENCE_SECONDS
    assert sandbox.run_code("os.getpid()").text == str(pid)


def test_what_was_used_is_told(sandbox: Sandbox):
    burn = "import time; start = time.process_time()\nwhile time.process_time() - start < 0.2: pass"

    idle, busy = sandbox.run_code("1").usage, sandbox.run_code(burn).usage
    large = sandbox.run_code("len(bytearray(64 << 20))").usage

    assert idle.user_seconds + idle.system_seconds < 0.1
    assert 0.15 < busy.user_seconds + busy.system_seconds < 0.5
    assert busy.wall_seconds > 0.2
    assert busy.peak_memory_bytes < 64 << 20 < large.peak_memory_bytes
    assert idle.wait_seconds > 0


# -- processes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["timeout", "crash", "close", "forgotten"])
def test_processes_of_the_code_end_with_it(end: str):
    sandbox = Sandbox(PROCESS)
    pid = value(sandbox.run_code(f"{SLEEPER}; child.pid"))

    if end == "timeout":
        deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
        assert sandbox.run_code(f"{deaf}\nwhile True: pass", timeout=0.2).state == "lost"
    elif end == "crash":
        sandbox.run_code("import os; os._exit(0)")
    elif end == "close":
        sandbox.close()
    else:
        folder = folder_of(sandbox)
        del sandbox
        gc.collect()
        assert is_gone(folder)

    assert has_ended(pid)
    if end in ("timeout", "crash"):
        sandbox.close()


def test_a_process_that_leaves_the_group_escapes_and_this_is_why_it_is_no_sandbox():
    code = "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True).pid"
    with Sandbox(PROCESS) as sandbox:
        pid = value(sandbox.run_code(code))
        folder = folder_of(sandbox)

    try:
        assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
        assert is_gone(folder)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_code_that_kills_its_supervisor_ends_itself_and_leaves_nothing(sandbox: Sandbox):
    folder = folder_of(sandbox)
    pid = value(sandbox.run_code(f"{SLEEPER}; open('file', 'w').close(); child.pid"))

    execution = sandbox.run_code("import os, time; os.kill(os.getppid(), 9); time.sleep(1000)")

    assert (execution.status, execution.reason) == (
        "killed",
        "the sandbox itself was ended from outside, with everything in it",
    )
    assert has_ended(pid)
    with pytest.raises(SandboxDiedError):
        sandbox.run_code("1")
    sandbox.close()
    sandbox.close()
    assert is_gone(folder)


def test_code_that_kills_its_supervisor_and_comes_to_its_end_is_told_by_its_end(sandbox: Sandbox):
    code = "import os; os.kill(os.getppid(), 9); 1"

    execution = sandbox.run_code(code)

    assert execution.status in ("ok", "killed")  # whichever the host hears of first
    with pytest.raises(SandboxDiedError):
        sandbox.run_code("1")


def test_code_that_stops_its_supervisor_holds_nobody(sandbox: Sandbox):
    started = time.monotonic()

    execution = sandbox.run_code("import os, signal; os.kill(os.getppid(), signal.SIGSTOP); 1")
    ended = sandbox.run_code(
        "import os, signal; os.kill(os.getppid(), signal.SIGSTOP)\nwhile True: pass", timeout=0.2
    )
    stopped = sandbox.run_code("import os, signal; os.kill(os.getppid(), signal.SIGSTOP)")
    folder = Path(os.readlink(f"/proc/self/fd/{sandbox.context.core._place.box.workspace}")).parent  # type: ignore[union-attr]
    sandbox.close()

    assert [execution.status, ended.status, stopped.status] == ["ok", "timeout", "ok"]
    assert time.monotonic() - started < ANSWER_SECONDS
    assert is_gone(folder)


HOST = """
import os, protocell, sys
sandbox = protocell.Sandbox(protocell.Policy(isolation="process"))
code = "import os, subprocess; child = subprocess.Popen(['sleep', '1000'])\\n"
code += "os.getpid(), os.getppid(), child.pid, os.path.dirname(os.getcwd())"
print(*sandbox.run_code(code).text.split(), flush=True)  # IPython breaks what is longer than a line
"""


class Host:
    """Another process with a sandbox."""

    def __init__(self, then: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOST + then],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.runner, self.supervisor, self.child, folder = eval(self.process.stdout.readline())
        self.folder = Path(folder)
        self.processes = (self.runner, self.supervisor, self.child)

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(PATIENCE_SECONDS)

    def has_left_nothing(self) -> bool:
        return all(map(has_ended, self.processes)) and is_gone(self.folder)


@pytest.mark.parametrize("then", ["", "sys.exit(3)", "sandbox.close(); sys.stdin.read()"])
def test_a_host_that_ends_leaves_nothing(then: str):
    with Host(then) as host:
        assert host.has_left_nothing()


def test_a_host_that_is_killed_leaves_nothing():
    with Host("sys.stdin.read()") as host:
        host.process.kill()

        assert host.has_left_nothing()


def test_a_host_that_is_killed_in_mid_run_leaves_nothing():
    with Host("sandbox.run_code('while True: pass')") as host:
        host.process.kill()

        assert host.has_left_nothing()


def test_a_host_that_is_killed_leaves_no_process_although_a_fork_of_it_holds_its_sockets():
    with Host("print(os.fork(), flush=True); sys.stdin.read()") as host:
        host.process.kill()

        assert all(map(has_ended, host.processes))
    # The fork could still read files in the folder, so that stays as long as it.
    assert is_gone(host.folder)


def test_a_fork_of_the_host_that_ends_does_not_end_the_sandbox(sandbox: Sandbox):
    sandbox.run_code("x = 1")
    pid = os.fork()
    if pid == 0:
        sandbox.close()
        os._exit(0)

    assert os.waitpid(pid, 0)[1] == 0
    assert sandbox.run_code("x").text == "1"


def test_a_fork_of_the_host_that_lives_on_does_not_hold_what_is_closed():
    sandbox = Sandbox(PROCESS)
    runner = value(sandbox.run_code("import os; os.getpid()"))
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)

    started = time.monotonic()
    sandbox.close()

    assert time.monotonic() - started < 1.0
    assert has_ended(runner)
    os.close(writer)
    assert os.waitpid(pid, 0)[1] == 0


def test_what_a_host_killed_with_its_supervisor_has_left_goes_at_the_next_start():
    with Host("sys.stdin.read()") as host:
        os.kill(host.supervisor, signal.SIGSTOP)
        host.process.kill()
        host.process.wait(PATIENCE_SECONDS)
        for pid in (host.runner, host.child, host.supervisor):
            os.kill(pid, signal.SIGKILL)
        assert has_ended(host.supervisor)
        assert host.folder.is_dir()

        assert protocell.run_code("1", policy=PROCESS).text == "1"

        assert is_gone(host.folder)


def test_a_folder_whose_host_lives_is_not_swept():
    with Host("sys.stdin.read()") as host:
        assert protocell.run_code("1", policy=PROCESS).text == "1"

        assert host.folder.is_dir()


# -- files ---------------------------------------------------------------------------------------------


def test_files_go_in_and_out(sandbox: Sandbox):
    sandbox.files.write("data/in.txt", "hello")

    execution = sandbox.run_code("open('out.txt', 'w').write(open('data/in.txt').read().upper())")

    assert [(file.path, file.change) for file in execution.files.values()] == [("out.txt", "made")]
    assert execution.files["out.txt"].text() == "HELLO"
    assert sandbox.files.read("/home/user/out.txt") == "HELLO"
    assert [entry.name for entry in sandbox.files.list()] == ["data", "out.txt"]


def test_a_file_that_is_given_along_is_there():
    execution = protocell.run_code("open('in.csv').read()", policy=PROCESS, files={"in.csv": "a,b"})

    assert execution.text == "'a,b'"
    assert list(execution.files) == []


def test_a_large_file_is_there_as_long_as_somebody_may_read_it():
    execution = protocell.run_code(
        "import os; open('large', 'wb').write(bytes(1 << 20)); os.path.dirname(os.getcwd())",
        policy=PROCESS,
    )
    folder = Path(value(execution))

    assert folder.is_dir()
    assert execution.files["large"].read() == bytes(1 << 20)
    del execution
    gc.collect()
    assert is_gone(folder)


@pytest.mark.parametrize(
    "prepare, path",
    [
        ("os.symlink({outside!r}, 'link')", "link/file"),
        ("os.symlink({outside!r} + '/file', 'link')", "link"),
        ("os.mkfifo('fifo')", "fifo"),
        ("os.mkdir('folder')", "folder"),
    ],
)
def test_the_host_writes_through_no_link_and_into_nothing_but_files(
    sandbox: Sandbox, tmp_path: Path, prepare: str, path: str
):
    (tmp_path / "file").write_text("before")
    sandbox.run_code("import os; " + prepare.format(outside=str(tmp_path)))

    with pytest.raises(FileError):
        sandbox.files.write(path, "after")

    assert (tmp_path / "file").read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_the_host_does_not_write_into_the_second_name_of_a_file(tmp_path: Path):
    with tempfile.NamedTemporaryFile("w+") as outside, Sandbox(PROCESS) as sandbox:
        outside.write("before")
        outside.flush()
        linked = sandbox.run_code(f"import os; os.link({outside.name!r}, 'name')")
        assert linked.status == "ok"

        sandbox.files.write("name", "after")

        assert Path(outside.name).read_text() == "before"
        assert sandbox.files.read("name") == "after"


def test_a_file_can_be_written_over(sandbox: Sandbox):
    sandbox.files.write("file", "a longer text")
    sandbox.files.write("file", "short")

    assert sandbox.files.read("file") == "short"


def test_the_folder_is_removed_whatever_the_code_made_of_it(tmp_path: Path):
    (tmp_path / "kept").write_text("kept")
    code = f"""
import os, socket
open('line\\nbreak', 'w').close(); open(b'not utf-8 \\xff', 'w').close()
os.mkfifo('fifo'); os.symlink({str(tmp_path)!r}, 'link')
socket.socket(socket.AF_UNIX).bind('socket')
os.mkdir('locked'); os.mkdir('locked/in'); open('locked/in/file', 'w').close()
os.symlink({str(tmp_path)!r}, 'locked/link')
for path, mode in (('locked/in', 0), ('locked', 0)): os.chmod(path, mode)
os.mkdir('read-only'); open('read-only/file', 'w').close(); os.chmod('read-only', 0o500)
here = os.getcwd()
for _ in range(1500): os.mkdir('deep'); os.chdir('deep')
open('bottom', 'w').close(); os.chmod('.', 0)
os.chmod(here, 0)"""
    with Sandbox(PROCESS) as sandbox:
        folder = folder_of(sandbox)
        execution = sandbox.run_code(code)
        assert execution.status == "ok", execution.error

    assert is_gone(folder)
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_home_that_the_code_has_opened_or_closed_is_private_again(sandbox: Sandbox):
    for mode in (0o777, 0):
        execution = sandbox.run_code(f"import os; os.chmod('.', {mode}); os._exit(0)")
        assert execution.status == "killed"

        assert value(sandbox.run_code("import os; oct(os.stat('.').st_mode)")) == "0o40700"


def test_a_home_that_the_code_has_moved_away_is_no_home_for_the_next(sandbox: Sandbox):
    sandbox.run_code("import os; home = os.getcwd(); os.rename(home, home + '2')")
    sandbox.run_code("os.symlink('/', home); os._exit(0)")

    with pytest.raises(UnsupportedError) as caught:
        sandbox.run_code("1")

    assert caught.value.missing == ("temporary-directory",)


MOVE = """
import os
open('file', 'w').close(); here = os.path.dirname(os.getcwd())
os.rename(here, {moved!r}); os.symlink({link!r}, here)"""


def test_a_folder_that_the_code_has_renamed_is_emptied_and_nothing_else_is_touched(
    tmp_path: Path, moved: Path
):
    (tmp_path / "kept").write_text("kept")
    with Sandbox(PROCESS) as sandbox:
        folder = folder_of(sandbox)
        code = MOVE.format(moved=str(moved), link=str(tmp_path))
        assert sandbox.run_code(code).status == "ok"

    assert becomes_true(lambda: os.listdir(moved) == [])
    assert is_gone(folder)
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_link_in_the_place_of_a_folder_is_not_followed_by_a_janitor_either(
    tmp_path: Path, moved: Path
):
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "kept").write_text("kept")
    with Sandbox(PROCESS) as sandbox:
        folder = folder_of(sandbox)
        code = MOVE.format(moved=str(moved), link=str(tmp_path)) + "; os.kill(os.getppid(), 9)"
        sandbox.run_code(code)

    assert (tmp_path / "user" / "kept").read_text() == "kept"
    folder.unlink()


# -- what there is not -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what, ask",
    [
        ("commands", lambda sandbox: sandbox.commands.run("true")),
        ("further contexts", lambda sandbox: sandbox.create_code_context()),
        ("checkpoints", lambda sandbox: sandbox.context.checkpoint("a")),
        ("checkpoints", lambda sandbox: sandbox.context.restore("a")),
        ("checkpoints", lambda sandbox: sandbox.context.undo()),
        ("branches", lambda sandbox: sandbox.context.fork()),
        ("variables", lambda sandbox: sandbox.context.variables()),
        ("timeouts of a sandbox", lambda sandbox: sandbox.set_timeout(5)),
    ],
    ids=["commands", "contexts", "checkpoint", "restore", "undo", "fork", "variables", "timeout"],
)
def test_what_only_an_init_can_do_is_refused_and_costs_nothing(
    sandbox: Sandbox, what: str, ask: Callable[[Sandbox], object]
):
    sandbox.run_code("x = 1")
    with pytest.raises(UnsupportedError, match=f'{what} need isolation="kernel"') as caught:
        ask(sandbox)

    assert caught.value.missing == (what,)
    assert sandbox.get_info().end_at is None
    execution = sandbox.run_code("x")
    assert (execution.text, execution.state) == ("1", "kept")


@pytest.mark.parametrize(
    "choice", [{"envs": {"A": "b"}}, {"cwd": "/tmp"}, {"timeout": 5}, {"checkpoints": True}]
)
def test_a_sandbox_that_would_need_an_init_is_refused_when_it_is_made(choice: dict[str, Any]):
    with pytest.raises(UnsupportedError, match='need isolation="kernel"'):
        Sandbox.create(PROCESS, **choice)
