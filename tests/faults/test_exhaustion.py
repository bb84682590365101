"""Something runs out: descriptors of the host, room in the workspace, processes, memory."""

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from protocell import Environment, Execution, Limits, Policy, Sandbox, run_code
from protocell._boxes.zygotes import ZYGOTES
from protocell.errors import FileError, ProtocellError, SetupError
from tests.faults.processes import ALONE, zygote_of

pytestmark = pytest.mark.claim("faults.what-runs-out")

MIB = 1 << 20


@contextmanager
def free_descriptors(count: int) -> Iterator[None]:
    """Let this process open so many more, and no more."""
    gc.collect()
    taken = [int(name) for name in os.listdir("/proc/self/fd")]
    fillers = []
    highest = max(taken) + 1
    while (filler := os.dup(0)) < highest:
        fillers.append(filler)
    os.close(filler)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (filler + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in fillers:
            os.close(each)


def has_cgroup(execution: Execution) -> bool:
    """Whether the kernel counts for all processes together."""
    return any(layer.startswith("cgroup-v") for layer in execution.enforced)


def limited(**limits: object) -> Policy:
    """The default policy with these limits, alone with its zygote."""
    return Policy(limits=Limits.from_dict(limits), environment=Environment(ready=0))


# -- descriptors of the host ---------------------------------------------------------------------------


def open_descriptors() -> int:
    """How many there are, without what waits for the collector."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def tried_with_few_descriptors(policy: Policy) -> Iterator[ProtocellError | None]:
    """What a run comes to with no descriptor left, with one left, and so on until it surely works."""
    for count in range(30):
        error = None
        with free_descriptors(count):
            try:
                assert run_code("1 + 1", policy=policy, files={"in": b"x"}).text == "2"
            except ProtocellError as caught:
                error = caught.with_traceback(None)
        yield error


def assert_clear(errors: list[ProtocellError | None]) -> None:
    """It failed at first and worked in the end, and said why it failed."""
    assert isinstance(errors[0], SetupError)
    assert "descriptor" in str(errors[0])
    assert sum(error is not None for error in errors) >= 5
    assert errors[-1] is None


def test_a_host_without_descriptors_gets_a_clear_error_and_works_again_afterwards():
    run_code("1", policy=ALONE)
    before = open_descriptors()
    errors = []
    for error in tried_with_few_descriptors(ALONE):
        errors.append(error)
        assert open_descriptors() == before

    assert_clear(errors)
    assert run_code("1 + 1", policy=ALONE).text == "2"


def test_a_zygote_that_cannot_be_started_for_want_of_descriptors_is_started_later():
    policy = Policy(environment=Environment(ready=0, preload=("csv",)))
    before = open_descriptors()
    errors = []
    for error in tried_with_few_descriptors(policy):
        errors.append(error)
        zygote = ZYGOTES._by_environment.pop(policy.environment, None)
        if zygote is not None:
            zygote.close()
        assert open_descriptors() == before

    assert_clear(errors)
    assert run_code("1 + 1", policy=policy).text == "2"


def test_a_sandbox_outlives_a_time_without_descriptors():
    with Sandbox(ALONE) as sandbox:
        sandbox.files.write("kept.txt", "kept")
        for count in range(6):
            with free_descriptors(count):
                for use in (
                    lambda: sandbox.run_code("open('made.txt', 'w').write('made')"),
                    lambda: sandbox.run_code("import os; os._exit(1)"),
                    lambda: sandbox.files.write("x.txt", "x"),
                    lambda: sandbox.files.read("kept.txt"),
                    sandbox.files.list,
                ):
                    try:
                        use()
                    except ProtocellError:
                        continue
            assert sandbox.run_code("1 + 1").text == "2", count
            assert sandbox.files.read("kept.txt") == "kept"


def test_descriptors_above_1023_are_no_trouble():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("the hard limit on descriptors is too low here")
    policy = Policy(environment=Environment(ready=1, preload=("bisect",)))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    fillers = [os.dup(0)]
    try:
        while fillers[-1] < 1100:
            fillers.append(os.dup(0))
        assert run_code("1 + 1", policy=policy, files={"x": b"x"}).text == "2"
        zygote = zygote_of(policy)
        zygote.close()
        assert not zygote.is_alive()
    finally:
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_zygote_does_not_inherit_a_low_limit():
    policy = Policy(environment=Environment(ready=0, preload=("heapq",)))
    with free_descriptors(40):
        assert run_code("1 + 1", policy=policy).text == "2"
    with Sandbox(policy) as sandbox:
        many = "files = [open('/dev/null') for _ in range(200)]\nlen(files)"
        assert sandbox.run_code(many).text == "200"


# -- the workspace -------------------------------------------------------------------------------------


def test_a_full_workspace_is_an_error_of_the_code_and_of_a_write_and_can_be_emptied():
    with Sandbox(limited(workspace_bytes=256 * 1024)) as sandbox:
        execution = sandbox.run_code(
            "with open('big', 'wb') as file:\n    while True: file.write(b'x' * 4096)"
        )

        assert execution.status == "error"
        assert execution.error is not None
        assert (execution.error.name, execution.error.value) == (
            "OSError",
            "[Errno 28] No space left on device",
        )
        assert execution.files["big"].size <= 256 * 1024
        with pytest.raises(FileError, match="no room is left"):
            sandbox.files.write("more", b"x" * 8192)
        assert sandbox.run_code("import os; os.unlink('big'); os.unlink('more')").status == "ok"
        sandbox.files.write("more", b"x" * 8192)
        assert sandbox.files.read("more", format="bytes") == b"x" * 8192


def test_a_workspace_without_inodes_is_an_error_of_the_code_and_of_a_write():
    with Sandbox(limited(workspace_inodes=64)) as sandbox:
        execution = sandbox.run_code("for n in range(1000): open(f'{n}', 'x').close()")

        assert execution.error is not None
        assert execution.error.value.startswith("[Errno 28] No space left on device")
        assert 50 <= len(execution.files) <= 64
        with pytest.raises(FileError, match="no room is left"):
            sandbox.files.write("more", b"x")
        assert sandbox.run_code("1 + 1").text == "2"


# -- processes -----------------------------------------------------------------------------------------


def test_code_without_processes_left_goes_on_and_so_does_its_sandbox():
    code = """
import os, signal
children = []
try:
    while True:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        children.append(pid)
except OSError as error:
    print(error.errno, 2 <= len(children) <= 16)
"""
    with Sandbox(limited(processes=16)) as sandbox:
        assert sandbox.run_code(code).logs.stdout == ["11 True\n"]
        assert (
            sandbox.run_code("for pid in children: os.kill(pid, 9); os.waitpid(pid, 0)").status
            == "ok"
        )
        assert (
            sandbox.run_code("import subprocess; subprocess.run(['true']).returncode").text == "0"
        )


def test_a_fork_bomb_in_mid_run_is_ended_by_its_timeout_and_leaves_the_sandbox_usable():
    code = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    with Sandbox(limited(processes=32)) as sandbox:
        assert sandbox.run_code(code, timeout=0.5).status == "timeout"
        assert sandbox.run_code("1 + 1").text == "2"


def test_threads_that_cannot_be_started_are_an_error_of_the_code():
    code = """
import threading
stop = threading.Event()
try:
    while True: threading.Thread(target=stop.wait).start()
finally:
    stop.set()
"""
    execution = run_code(code, policy=limited(processes=16))

    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == (
        "RuntimeError",
        "can't start new thread",
    )


# -- memory --------------------------------------------------------------------------------------------


def test_memory_that_runs_out_in_mid_run_ends_the_code_and_not_the_sandbox():
    code = """
import os, signal
print("begun", flush=True)
for _ in range(8):
    if os.fork() == 0:
        data = b"x" * (40 << 20)
        signal.pause()
os.wait()
"""
    with Sandbox(limited(memory_bytes=128 * MIB)) as sandbox:
        sandbox.files.write("kept.txt", "kept")
        execution = sandbox.run_code(code, timeout=20)
        # A cgroup ends single processes, here one of the children; without one, all is ended.
        assert execution.status == ("ok" if has_cgroup(execution) else "out_of_memory")
        assert "memory_bytes, 128 MiB" in execution.reason
        assert execution.logs.stdout == ["begun\n"]
        assert sandbox.run_code("open('kept.txt').read()").text == "'kept'"


def test_a_workspace_that_fills_the_memory_does_not_lock_the_host_out():
    policy = limited(memory_bytes=64 * MIB, workspace_bytes=512 * MIB, file_bytes=512 * MIB)
    with Sandbox(policy) as sandbox:
        execution = sandbox.run_code(
            "with open('big', 'wb') as file:\n    while True: file.write(b'x' * (1 << 20))",
            timeout=30,
        )
        assert execution.status == "out_of_memory"
        assert [entry.name for entry in sandbox.files.list()] == ["big"]
