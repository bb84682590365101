"""What running code gives: results, output, errors, statuses with their sentences, usage, files."""

import subprocess
import threading
from pathlib import Path

import pytest

import protocell
from protocell import Execution, Limits, Mount, Policy, Sandbox, run_code
from protocell.errors import BusyError, ClosedError, FileError, GuestError, PolicyError

MIB = 1 << 20


def stdout(execution: Execution) -> str:
    """Return what the code wrote."""
    return "".join(execution.logs.stdout)


def limited(**limits: object) -> Policy:
    """Return the default policy with these limits."""
    return Policy(limits=Limits.from_dict(limits))


def test_the_value_of_the_last_expression_is_the_result():
    execution = run_code("x = 20\nx + 22")

    assert execution.status == "ok"
    assert execution.reason == "the code ran to its end"
    assert execution.text == "42"
    assert [result.is_main_result for result in execution.results] == [True]
    assert execution.results[0].formats() == ["text"]
    assert execution.error is None


def test_output_of_python_of_c_code_and_of_subprocesses_is_seen():
    execution = run_code(
        """
import ctypes, os, subprocess, sys
print("python")
os.write(1, b"descriptor\\n")
subprocess.run(["/bin/sh", "-c", "echo shell; echo problem >&2"])
libc = ctypes.CDLL(None)
libc.puts(b"c library")
libc.fflush(None)
print("python too", file=sys.stderr)
"""
    )

    assert execution.logs.stdout == ["python\n", "descriptor\n", "shell\n", "c library\n"]
    assert execution.logs.stderr == ["problem\n", "python too\n"]


def test_an_exception_comes_with_the_users_frames_and_lines_only():
    execution = run_code("def half(x):\n    return 1 / x\n\nhalf(0)")

    assert execution.status == "error"
    assert execution.reason == "the code raised ZeroDivisionError"
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == (
        "ZeroDivisionError",
        "division by zero",
    )
    assert execution.error.traceback == (
        "Traceback (most recent call last):\n"
        '  File "<cell 1>", line 4, in <module>\n'
        "    half(0)\n"
        '  File "<cell 1>", line 2, in half\n'
        "    return 1 / x\n"
        "           ~~^~~\n"
        "ZeroDivisionError: division by zero\n"
    )
    with pytest.raises(GuestError):
        execution.raise_for_error()


def test_variables_live_from_call_to_call_and_end_with_the_sandbox():
    with Sandbox() as sandbox:
        sandbox.run_code("import math\nx = math.pi")
        assert sandbox.run_code("round(x, 2)").text == "3.14"
        assert sandbox.run_code("1").execution_count == 3

    assert run_code("x").error.name == "NameError"  # type: ignore[union-attr]


def test_top_level_await_works():
    assert run_code("import asyncio\nawait asyncio.sleep(0, 'slept')").text == "'slept'"


def test_the_message_of_an_exit_is_the_value_of_its_error():
    execution = run_code("import sys\nsys.exit('no such column: price')")

    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("SystemExit", "no such column: price")
    assert (execution.status, execution.exit_code) == ("error", 1)
    assert execution.reason == "the code ended itself with exit code 1 (SystemExit)"
    assert execution.logs.stderr == ["no such column: price\n"]


@pytest.mark.parametrize(
    "code, status, reason",
    [
        ("import sys; sys.exit(3)", "error", "the code ended itself with exit code 3 (SystemExit)"),
        ("import sys; sys.exit()", "ok", "the code ended itself with exit code 0 (SystemExit)"),
        (
            "import os; os._exit(7)",
            "killed",
            "the code ended its own interpreter with exit code 7 (os._exit or the like)",
        ),
        (
            "import ctypes; ctypes.string_at(0)",
            "killed",
            "the interpreter was ended by SIGSEGV (Segmentation fault)",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            "killed",
            "the interpreter was ended by SIGKILL (Killed)",
        ),
        ("import os; os.abort()", "killed", "the interpreter was ended by SIGABRT (Aborted)"),
        ("def f(): f()\nf()", "error", "the code raised RecursionError"),
    ],
)
def test_each_end_has_a_true_status_and_keeps_what_was_written(code: str, status: str, reason: str):
    execution = run_code(
        "import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr, flush=True)\n" + code
    )

    assert (execution.status, execution.reason) == (status, reason)
    assert stdout(execution) == "out\n"
    assert execution.logs.stderr == ["err\n"]


def test_death_by_recursion_in_c_is_told_and_the_next_call_works():
    with Sandbox() as sandbox:
        execution = sandbox.run_code(
            "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f.__call__()\nf()",
            timeout=20,
        )
        assert execution.status in {"killed", "error", "out_of_memory"}
        assert sandbox.run_code("1 + 1").text == "2"


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(1000)",
        "9 ** 9 ** 9",
        "import threading\nthreading.Thread(target=lambda: all(iter(int, 1))).start()\nwhile 1: pass",
    ],
)
def test_a_timeout_stops_what_the_code_does_and_the_variables_live(code: str):
    # The grace of the last one, whose thread takes turns with it, on a busy machine.
    with Sandbox(limited(grace_seconds=5)) as sandbox:
        execution = sandbox.run_code("x = 1; print('begun', flush=True)\n" + code, timeout=0.5)

        assert (execution.status, execution.state) == ("timeout", "kept")
        assert execution.reason == (
            "the code ran longer than its limit wall_seconds, 0.5 s; "
            "it was interrupted (KeyboardInterrupt) and came to its end"
        )
        assert execution.error is not None
        assert execution.error.name == "KeyboardInterrupt"
        assert stdout(execution) == "begun\n"
        assert execution.usage.wall_seconds < 5
        assert sandbox.run_code("x").text == "1"


@pytest.mark.parametrize(
    "code",
    [
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64)); signal.pause()",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        # Not "while": CPython 3.11 looks for a handler one instruction before the loop, which is outside.
        "while True:\n    try:\n        for _ in iter(int, 1): pass\n    except BaseException: pass",
    ],
)
def test_a_timeout_ends_what_does_not_stop_and_says_so(code: str):
    with Sandbox() as sandbox:
        execution = sandbox.run_code("x = 1; print('begun', flush=True)\n" + code, timeout=0.5)

        assert (execution.status, execution.state) == ("timeout", "lost")
        assert execution.reason == (
            "the code ran longer than its limit wall_seconds, 0.5 s; "
            "it went on after an interrupt, so all of its processes were ended"
        )
        assert stdout(execution) == "begun\n"
        assert 1.5 <= execution.usage.wall_seconds < 10
        assert sandbox.run_code("'x' in globals()").text == "False"


def test_a_limit_on_processor_time_ends_the_code_though_its_children_use_it():
    execution = run_code(
        "import os\nfor _ in range(2): os.fork()\nwhile True: pass",
        policy=limited(cpu_seconds=0.4),
        timeout=30,
    )

    assert execution.status == "timeout"
    assert execution.reason == "the code used more processor time than its limit cpu_seconds, 0.4 s"


def test_too_much_memory_in_one_process_is_a_memory_error_and_the_variables_live():
    with Sandbox(limited(memory_bytes=256 * MIB)) as sandbox:
        sandbox.run_code("kept = 1")
        execution = sandbox.run_code("data = bytearray(2 << 30)")

        assert execution.status == "out_of_memory"
        assert "memory_bytes, 256 MiB" in execution.reason
        assert execution.error is not None
        assert execution.error.name == "MemoryError"
        assert sandbox.run_code("kept").text == "1"


def test_too_much_memory_that_no_single_process_holds_ends_the_code():
    execution = run_code(
        """
import os, signal
for _ in range(6):
    if os.fork() == 0:
        data = b"x" * (40 << 20)
        signal.pause()
with open("/dev/shm/held", "wb") as file:
    while True:
        file.write(b"x" * (1 << 20))
""",
        policy=limited(memory_bytes=128 * MIB),
        timeout=30,
    )

    assert execution.status == "out_of_memory"
    assert "memory_bytes, 128 MiB" in execution.reason


def test_a_flood_of_output_ends_the_code_and_head_and_tail_are_kept():
    execution = run_code(
        "print('head')\nwhile True: print('x' * 1000)",
        policy=limited(output_bytes=4096, output_total_bytes=4 * MIB),
    )

    assert execution.status == "output_limit"
    assert execution.reason == "the code wrote more than its limit output_total_bytes, 4 MiB"
    assert execution.logs.stdout[0] == "head\n"
    assert len(stdout(execution)) < 4096 + 200
    assert "bytes left out" in stdout(execution)


def test_a_closed_control_channel_is_told_within_a_bounded_time():
    execution = run_code(
        "import os, signal\nprint('x', flush=True)\nos.close(3)\nsignal.pause()", timeout=30
    )

    assert execution.status == "killed"
    assert execution.reason == "the code was ended: it closed its control channel"
    assert stdout(execution) == "x\n"


def test_bytes_that_are_not_the_protocol_end_the_code():
    execution = run_code(
        "import os, signal\nos.write(3, b'garbage!' * 10)\nsignal.pause()", timeout=30
    )

    assert execution.status == "killed"
    assert execution.reason.startswith("the code was ended: it broke the protocol (")


def test_output_is_streamed_while_the_code_runs():
    seen = threading.Event()
    with Sandbox() as sandbox:
        parts: list[str] = []

        def take(text: str) -> None:
            parts.append(text)
            seen.set()

        thread = threading.Thread(
            target=sandbox.run_code,
            args=("print('early', flush=True)\nimport signal\nsignal.pause()",),
            kwargs={"on_stdout": take, "timeout": 30},
        )
        thread.start()
        assert seen.wait(10)
        assert parts == ["early\n"]
        sandbox.kill()
        thread.join(10)
        assert not thread.is_alive()


def test_interrupt_raises_keyboardinterrupt_in_the_code_and_the_variables_live():
    with Sandbox() as sandbox:
        sandbox.run_code("x = 1")
        execution = sandbox.run_code(
            "print('begun', flush=True)\nwhile True: pass",
            on_stdout=lambda _: sandbox.interrupt(),
            timeout=30,
        )

        assert execution.status == "cancelled"
        assert execution.reason == (
            "the code was stopped by the caller; it was interrupted (KeyboardInterrupt) and came to its end"
        )
        assert execution.state == "kept"
        assert sandbox.run_code("x").text == "1"


def test_kill_from_another_thread_ends_the_code_with_status_killed():
    sandbox = Sandbox()
    execution = sandbox.run_code(
        "print('begun', flush=True)\nwhile True: pass",
        on_stdout=lambda _: sandbox.kill(),
        timeout=30,
    )

    assert (execution.status, execution.reason) == ("killed", "the code was ended by the caller")
    with pytest.raises(ClosedError):
        sandbox.run_code("1")


def test_two_callers_at_once_in_one_sandbox_are_refused():
    with Sandbox() as sandbox:
        errors: list[Exception] = []

        def second(_: str) -> None:
            try:
                sandbox.run_code("2")
            except BusyError as error:
                errors.append(error)

        assert sandbox.run_code("print(1, flush=True)\n1", on_stdout=second).text == "1"
        assert len(errors) == 1


def test_after_a_kill_the_sandbox_goes_on_with_its_files_and_without_its_variables():
    with Sandbox() as sandbox:
        sandbox.run_code("x = 1\nopen('kept.txt', 'w').write('kept')")
        assert sandbox.run_code("import os; os._exit(1)").status == "killed"
        assert sandbox.run_code("open('kept.txt').read()").text == "'kept'"
        assert sandbox.run_code("x").error.name == "NameError"  # type: ignore[union-attr]


def test_usage_tells_what_the_kernel_saw():
    execution = run_code(
        """
import os, subprocess, threading
data = b"x" * (64 << 20)
end = os.times().user + 0.2
while os.times().user < end: pass
subprocess.run(["/bin/true"])
thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
open("file", "wb").write(b"y" * 100_000)
"""
    )
    usage = execution.usage

    assert 0.15 < usage.user_seconds + usage.system_seconds < 10
    assert usage.wall_seconds > 0.15
    assert 64 * MIB < usage.peak_memory_bytes < 256 * MIB
    assert usage.processes >= 2
    assert usage.bytes_written >= 100_000
    assert usage.wait_seconds > 0


def test_what_was_enforced_is_on_every_result():
    enforced = set(run_code("1").enforced)

    assert {
        "user-namespace",
        "pid-namespace",
        "mount-namespace",
        "network-namespace",
        "ipc-namespace",
    } <= enforced
    assert {
        "uts-namespace",
        "cgroup-namespace",
        "new-root",
        "no-capabilities",
        "no-new-privileges",
    } <= enforced
    assert {
        "seccomp",
        "landlock",
        "rlimits",
        "clean-environment",
        "closed-descriptors",
        "no-core-dumps",
    } <= enforced
    assert len(enforced & {"cgroup-v1", "cgroup-v2", "memory-watch"}) == 1


def test_files_go_in_and_come_out(tmp_path):
    host_file = tmp_path / "host.bin"
    host_file.write_bytes(b"\0\1\2")
    execution = run_code(
        """
import os
os.mkdir("out")
open("out/sum.txt", "w").write(str(len(open("text.txt").read()) + len(open("sub/host.bin", "rb").read())))
open("text.txt", "a").write("!")
os.unlink("gone.txt")
""",
        files={"text.txt": "héllo", "sub/host.bin": host_file, "gone.txt": b"x"},
    )

    assert execution.status == "ok", execution.error
    assert {file.path: file.change for file in execution.files.values()} == {
        "out/sum.txt": "made",
        "text.txt": "changed",
    }
    assert execution.files["out/sum.txt"].text() == "8"
    assert execution.files["text.txt"].read() == "héllo!".encode()
    assert execution.files.removed == ("gone.txt",)


def test_the_last_variables_are_told_and_how_many_there_are_before_them():
    with Sandbox() as sandbox:
        sandbox.run_code("for number in range(250): globals()[f'x{number}'] = number")
        variables = sandbox.context.variables()

    assert variables.names() == [f"x{number}" for number in range(50, 250)]
    assert variables.variables_left_out == 51  # "number" was made first
    assert str(variables).startswith("(51 older ones left out)\nx50: int 50\n")


def test_a_data_frame_comes_whole_or_as_a_preview_and_a_file():
    pytest.importorskip("pandas")
    code = "import pandas\npandas.DataFrame({'a': range(50_000)})"
    with Sandbox(limited(result_bytes="64 KiB")) as sandbox:
        preview = sandbox.run_code(code).results[0]
        (path,) = preview.files.values()
        written = sandbox.files.read(path)
    whole = run_code(code).results[0]

    assert (preview.data["whole"], preview.data["shape"]) == (False, [50_000, 1])
    assert (whole.data["whole"], len(whole.data["rows"])) == (True, 50_000)
    assert whole.files == {}
    assert written == whole["data"]


def test_files_of_a_sandbox_are_written_read_and_listed():
    with Sandbox() as sandbox:
        sandbox.files.write("data/a.csv", "x,y\n1,2\n")
        sandbox.files.write("/home/user/b.bin", b"\xff\0")

        assert sandbox.run_code("open('data/a.csv').read()").text == repr("x,y\n1,2\n")
        assert sandbox.files.read("data/a.csv") == "x,y\n1,2\n"
        assert sandbox.files.read("b.bin", format="bytes") == b"\xff\0"
        assert [(entry.name, entry.type, entry.size) for entry in sandbox.files.list()] == [
            ("b.bin", "file", 2),
            ("data", "dir", 0),
        ]
        with pytest.raises(FileError):
            sandbox.files.read("b.bin")
        with pytest.raises(FileError):
            sandbox.files.read("missing")


def test_a_big_file_is_read_on_demand_after_the_sandbox_is_gone():
    execution = run_code("open('big', 'wb').write(b'z' * 5_000_000)")

    assert execution.files["big"].size == 5_000_000
    assert execution.files["big"].read() == b"z" * 5_000_000


def test_a_mounted_folder_is_readable(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "table.csv").write_text("a,b\n")
    policy = Policy(mounts=[Mount(source=tmp_path, target="/data")])

    assert run_code("open('/data/table.csv').read()", policy=policy).text == repr("a,b\n")


def test_an_import_policy_says_what_it_refuses():
    execution = run_code("import socket", policy=Policy(deny_imports=["socket"]))

    assert execution.status == "error"
    assert execution.error is not None
    assert execution.error.name == "ImportError"
    assert "deny_imports: socket" in execution.error.value


def test_code_can_serve_itself_use_threads_processes_and_sqlite():
    execution = run_code(
        """
import http.server, json, multiprocessing, sqlite3, threading, urllib.request, zoneinfo, getpass, datetime
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
open("page.txt", "w").write("served")
page = urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/page.txt").read().decode()
def square(x): return x * x
with multiprocessing.get_context("fork").Pool(2) as pool:
    squares = pool.map(square, range(4))
database = sqlite3.connect("db.sqlite")
database.execute("create table t (x)")
database.execute("insert into t values (1)")
database.commit()
zone = datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")).utcoffset().total_seconds()
json.dumps([page, squares, database.execute("select x from t").fetchall(), zone, getpass.getuser()])
"""
    )

    assert execution.text == repr('["served", [0, 1, 4, 9], [[1]], 3600.0, "user"]'), (
        execution.error,
        execution.logs,
    )


@pytest.mark.parametrize("value", [b"code", None, 1, ["x"]])
def test_code_that_is_not_text_is_refused_at_once(value: object):
    with pytest.raises(PolicyError, match="code is"):
        run_code(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True, 1e9])
def test_a_timeout_that_is_none_is_refused_at_once(timeout: object):
    with pytest.raises(PolicyError, match="timeout is"):
        run_code("1", timeout=timeout)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "code, status",
    [
        ("", "ok"),
        ("\n\n# only a comment", "ok"),
        ("a\0b", "error"),
        ("'\ud800'", "error"),
        ("1 +", "error"),
    ],
)
def test_odd_source_is_an_ordinary_result(code: str, status: str):
    assert run_code(code).status == status


def test_twenty_megabytes_of_source_are_taken():
    execution = run_code("x = '" + "a" * (20 << 20) + "'\nlen(x)", timeout=60)

    assert execution.text == str(20 << 20)


def test_source_beyond_the_bound_is_refused_at_once():
    with pytest.raises(PolicyError, match="pass data as files"):
        run_code("#" * (33 << 20))


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a\nb",
        "a\0b",
        "x" * 300,
        "",
        ".",
        "a/" * 100 + "x",
        "\ud800",
    ],
)
def test_odd_file_names_are_refused_at_once(name: str):
    with pytest.raises(FileError):
        run_code("1", files={name: b"x"})


def test_a_file_larger_than_its_limit_or_of_a_wrong_kind_is_refused():
    with pytest.raises(FileError, match="file_bytes"):
        run_code("1", files={"big": b"x" * 8192}, policy=limited(file_bytes=4096))
    with pytest.raises(PolicyError, match="the content for"):
        run_code("1", files={"x": 5})  # type: ignore[dict-item]


def test_a_folder_is_no_file_to_put_in_and_mounts_are_pointed_to(tmp_path: Path):
    with pytest.raises(FileError) as caught:
        run_code("1", files={"x": tmp_path})

    what = "is a folder; show it with Policy(mounts=[Mount(source=..., target=...)])"
    assert str(caught.value) == f"{str(tmp_path)!r} {what}"


def test_a_full_workspace_refuses_a_file_with_the_reason():
    with (
        Sandbox(limited(workspace_bytes=65536)) as sandbox,
        pytest.raises(FileError, match="no room is left"),
    ):
        sandbox.files.write("big", b"x" * 200_000)


def test_a_policy_of_another_type_is_refused():
    with pytest.raises(PolicyError):
        run_code("1", policy={"limits": {}})  # type: ignore[arg-type]
    with pytest.raises(PolicyError):
        protocell.Sandbox("strict")  # type: ignore[arg-type]


def test_what_the_host_starts_meanwhile_is_not_counted_as_the_codes():
    def start_three(_text: str) -> None:
        for _ in range(3):
            subprocess.run(["true"], check=True)

    with Sandbox() as sandbox:
        alone = sandbox.run_code("print('go')", on_stdout=start_three)
        both = sandbox.run_code(
            "import subprocess; subprocess.run(['true']); print('go')", on_stdout=start_three
        )
        after = sandbox.run_code("1")

    assert [each.usage.processes for each in (alone, both, after)] == [0, 1, 0]
