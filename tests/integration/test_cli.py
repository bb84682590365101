"""``protocell run``: what goes in, what comes out on which stream, how it ends, and what Ctrl-C does."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from protocell import errors
from protocell.cli.run import INTERRUPTED, NOBODY_READS
from protocell.cli.stopper import TERMINATED
from protocell.execution import EXIT_CODES
from tests.integration.commands import (
    Terminal,
    handles_signals,
    has_no_sandbox,
    interrupt,
    is_full,
    protocell,
    read_until,
    run,
    started,
    wait_for,
)

DOCS = Path(__file__).parent.parent.parent / "docs" / "cli.md"
FLOOD = "import os\nwhile True: os.write(1, b'x' * 65536)"


@pytest.fixture
def code_file(tmp_path: Path) -> Callable[[str], str]:
    def write(code: str) -> str:
        (tmp_path / "code.py").write_text(code)
        return str(tmp_path / "code.py")

    return write


# -- code in, output out -----------------------------------------------------------------------------


def test_the_value_of_the_last_expression_is_printed_at_the_end():
    done = run("print('a')\n6 * 7")

    assert (done.code, done.text, done.messages) == (0, "a\n42\n", "protocell: ok in T\n")


def test_the_value_stands_on_a_line_of_its_own():
    assert run("print('a', end='')\n6 * 7", "-q").text == "a\n42\n"


def test_code_comes_from_a_file_in_the_encoding_that_it_names(tmp_path: Path):
    file = tmp_path / "latin.py"
    file.write_bytes("# coding: latin-1\nprint('ä', len('ä'))".encode("latin-1"))

    assert protocell("run", str(file), "-q").text == "ä 1\n"


def test_empty_code_ends_well():
    done = run("", "-q")

    assert (done.code, done.out, done.err) == (0, b"", b"")


def test_each_stream_goes_to_its_own():
    done = run("import sys\nprint('out')\nprint('err', file=sys.stderr)", "--quiet")

    assert (done.code, done.out, done.err) == (0, b"out\n", b"err\n")


def test_output_comes_while_the_code_still_runs():
    code = "print('first', flush=True)\nimport time\nwhile True: time.sleep(0.01)"

    with started("run", "-", "-q", code=code) as process:
        assert read_until(process.stdout.fileno(), b"first\n") == b"first\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == EXIT_CODES["cancelled"]


def test_a_traceback_goes_to_standard_error():
    done = run("print('before')\n1 / 0")

    assert (done.code, done.out) == (1, b"before\n")
    assert done.messages == (
        "Traceback (most recent call last):\n"
        '  File "<cell 1>", line 2, in <module>\n'
        "    1 / 0\n"
        "    ~~^~~\n"
        "ZeroDivisionError: division by zero\n"
        "protocell: error in T: the code raised ZeroDivisionError\n"
    )


def test_quiet_leaves_the_traceback():
    assert (
        run("1 / 0", "--quiet").messages.splitlines()[-1] == "ZeroDivisionError: division by zero"
    )


def test_a_pipe_gets_control_characters_as_they_are_and_only_valid_text():
    done = run("import os\nos.write(1, b'\\x1b[2J\\r\\xff|\\n');", "-q")

    assert done.out == "\x1b[2J\r\ufffd|\n".encode()


def test_characters_that_the_encoding_of_the_output_lacks_become_escapes():
    done = run("print('ä\u20ac')\n'ö'", "-q", env={"PYTHONIOENCODING": "latin-1"})

    assert (done.code, done.out) == (0, "ä\\u20ac\n'ö'\n".encode("latin-1"))


def test_a_terminal_gets_no_control_characters(code_file: Callable[[str], str]):
    code = "print('\\x1b]0;title\\x07a\\rb\\u202e')\nprint('c\\x9b1m', file=__import__('sys').stderr)\n'\\x1b[2J'"
    with Terminal("run", code_file(code), "-q") as terminal:
        assert terminal.end() == 0

    assert terminal.lines == ["\\x1b]0;title\\x07a\\rb\\u202e", "c\\x9b1m", "'\\x1b[2J'", ""]


def test_an_error_has_no_control_characters_on_a_terminal(code_file: Callable[[str], str]):
    with Terminal("run", code_file("raise ValueError('\\x1b[2J')")) as terminal:
        assert terminal.end() == 1

    assert terminal.lines[-3:-2] == ["ValueError: \\x1b[2J"]
    assert re.fullmatch(
        r"\x1b\[2mprotocell: error in [0-9.]+ s: the code raised ValueError\x1b\[0m",
        terminal.lines[-2],
    )


# -- how it ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, arguments, status, reason",
    [
        ("1", (), "ok", ""),
        ("raise SystemExit(0)", (), "ok", ""),
        (
            "raise SystemExit(3)",
            (),
            "error",
            "the code ended itself with exit code 3 (SystemExit)",
        ),
        ("raise KeyboardInterrupt", (), "error", "the code raised KeyboardInterrupt"),
        (
            "import os; os._exit(0)",
            (),
            "killed",
            "the code ended its own interpreter with exit code 0 (os._exit or the like)",
        ),
        (
            "while True: pass",
            ("--timeout", "0.3"),
            "timeout",
            (
                "the code ran longer than its limit wall_seconds, 0.3 s; "
                "it was interrupted (KeyboardInterrupt) and came to its end"
            ),
        ),
        (
            "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
            ("--timeout", "0.3"),
            "timeout",
            (
                "the code ran longer than its limit wall_seconds, 0.3 s; "
                "it went on after an interrupt, so all of its processes were ended"
            ),
        ),
        (
            "while True: pass",
            ("--cpu", "0.2"),
            "timeout",
            "the code used more processor time than its limit cpu_seconds, 0.2 s",
        ),
        (
            "'x' * 10**9",
            ("--memory", "64MiB"),
            "out_of_memory",
            "an allocation failed with MemoryError: it needed more memory than its limit memory_bytes, 64 MiB",
        ),
    ],
)
def test_the_exit_code_tells_the_status(
    code: str, arguments: tuple[str, ...], status: str, reason: str
):
    done = run(code, *arguments)

    assert done.code == EXIT_CODES[status]  # type: ignore[index]
    last = done.messages.splitlines()[-1]
    assert last == f"protocell: {status} in T{reason and ': ' + reason}"


def test_too_much_output_ends_the_code():
    with started(
        "run", "-", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, code=FLOOD
    ) as process:
        assert process.wait(60) == EXIT_CODES["output_limit"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("/nowhere.py",), "cannot read the code from '/nowhere.py': No such file or directory"),
        (("/",), "cannot read the code from '/': Is a directory"),
        (("-", "--timeout", "-1"), "--timeout is -1.0; allowed is 0.001 to 86400 seconds"),
        (("-", "--timeout", "nan"), "--timeout is nan; allowed is 0.001 to 86400 seconds"),
        (("-", "--cpu", "0"), "--cpu is 0.0; allowed is 0.001 to 604800 seconds"),
        (("-", "--memory", "5"), "--memory is '5'; allowed is 16 MiB to 16 TiB"),
        (
            ("-", "--deny-import", "a b"),
            "--deny-import has 'a b' in it; allowed are names as 'json.tool'",
        ),
        (
            ("-", "--memory", "much"),
            (
                "--memory: 'much' is not a size; write bytes or text as in '256MiB' or '64k'; "
                "allowed is 16 MiB to 16 TiB"
            ),
        ),
        (("-", "--mount", "/usr"), "--mount '/usr': write HOST:TARGET, as in ./data:/data"),
        (
            ("-", "--mount", "/nowhere:/data"),
            "--mount source '/nowhere': No such file or directory ('/nowhere')",
        ),
        (("-", "--file", "/nowhere"), "--file '/nowhere': there is no such file"),
        (
            ("-", "--file", "a=/nowhere"),
            "--file '/nowhere': there is no such file (for a path with '=' in it write NAME=a=/nowhere)",
        ),
        (("-", "--file", "=x"), "--file '=x': write PATH or NAME=PATH"),
        (("-", "--file", "/usr"), "--file '/usr' is a folder; show it with --mount HOST:TARGET"),
        (
            ("-", "--file", "/etc/passwd", "--file", "/etc/../etc/passwd"),
            "--file gives 'passwd' twice; name one otherwise with NAME=PATH",
        ),
        (("-", "--isolation", "none"), "--isolation is 'none'; allowed is 'kernel', 'process'"),
        (
            ("-", "--waive", "new-root"),
            "new-root cannot be waived: without it the host's files are readable",
        ),
        (
            ("-", "--waive", "secomp"),
            "--waive has 'secomp', which isolation='kernel' does not have; did you mean 'seccomp'?",
        ),
        (
            ("-", "--preload", "os;rm"),
            "--preload has 'os;rm' in it; allowed are names as 'json.tool'",
        ),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(arguments: tuple[str, ...], message: str):
    done = protocell("run", *arguments, code="print('it ran')")

    assert (done.code, done.out, done.messages) == (2, b"", f"protocell: {message}\n")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"# coding: no-such\n"])
def test_code_that_is_no_text_is_refused(content: bytes):
    done = run(content)

    assert (done.code, done.out) == (2, b"")
    assert done.messages.startswith("protocell: the code from standard input is not text: ")


@pytest.mark.parametrize("arguments", [(), ("run",), ("run", "-", "--no-such"), ("fly",)])
def test_a_command_that_is_no_command_ends_with_2(arguments: tuple[str, ...]):
    assert protocell(*arguments).code == 2


def test_a_name_outside_the_workspace_is_refused():
    done = run("1", "--file", "../a=/etc/passwd")

    assert (done.code, done.out) == (errors.FileError.exit_code, b"")


def test_a_module_to_preload_that_is_not_there_is_an_error_of_ours():
    done = run("print('it ran')", "--preload", "no_such_module")

    assert (done.code, done.out) == (errors.SetupError.exit_code, b"")
    assert "No module named 'no_such_module'" in done.messages


# -- files -------------------------------------------------------------------------------------------


def test_files_come_in_under_their_own_or_another_name(tmp_path: Path):
    (tmp_path / "one.txt").write_text("1")
    (tmp_path / "b=c.txt").write_text("2")
    given = ("--file", f"{tmp_path}/one.txt", "--file", f"data/two.txt={tmp_path}/b=c.txt")

    done = run("[open(name).read() for name in ('one.txt', 'data/two.txt')]", *given)

    assert (done.code, done.text, done.messages) == (0, "['1', '2']\n", "protocell: ok in T\n")


def test_a_folder_is_shown_read_only(tmp_path: Path):
    tmp_path.chmod(0o755)  # to root's code root's private folder is as closed as to anybody
    (tmp_path / "a.txt").write_text("seen")
    code = "print(open('/data/a.txt').read())\nopen('/data/b.txt', 'w')"

    done = run(code, "--mount", f"{tmp_path}:/data")

    assert (done.code, done.text) == (1, "seen\n")
    assert "Read-only file system" in done.messages
    assert os.listdir(tmp_path) == ["a.txt"]


def test_files_are_named_and_not_kept_unless_asked_for():
    done = run("open('a.txt', 'w').write('abc');")

    assert (done.code, done.messages) == (
        0,
        "protocell: ok in T; files not kept (--out DIR saves them): a.txt (made, 3 bytes)\n",
    )


def test_files_that_came_out_are_saved(tmp_path: Path):
    code = "import os\nos.makedirs('a/b')\nopen('a/b/c.txt', 'w').write('abc')\n1 / 0"

    done = run(code, "--out", f"{tmp_path}/new")

    assert done.code == 1  # what an error leaves behind is saved too
    assert done.messages.splitlines()[-1] == (
        "protocell: error in T: the code raised ZeroDivisionError; "
        f"files saved in {tmp_path}/new: a/b/c.txt (made, 3 bytes)"
    )
    assert (tmp_path / "new/a/b/c.txt").read_text() == "abc"
    assert (tmp_path / "new/a/b/c.txt").stat().st_mode & 0o111 == 0


def test_many_files_are_counted_and_not_all_named(tmp_path: Path):
    done = run("for n in range(7): open(f'{n}', 'w').close()", "--out", str(tmp_path))

    assert done.messages == (
        f"protocell: ok in T; files saved in {tmp_path}: 0 (made, 0 bytes), 1 (made, 0 bytes), "
        "2 (made, 0 bytes), 3 (made, 0 bytes), 4 (made, 0 bytes), 2 more\n"
    )
    assert len(os.listdir(tmp_path)) == 7


def test_a_file_that_is_there_already_stays_as_it_is(tmp_path: Path):
    (tmp_path / "a.txt").write_text("mine")

    done = run("for n in 'ab': open(f'{n}.txt', 'w').write(n)", "--out", str(tmp_path))

    assert (done.code, done.messages.splitlines()) == (
        errors.FileError.exit_code,
        [
            f"protocell: '{tmp_path}/a.txt' exists; see --overwrite",
            f"protocell: ok in T; files saved in {tmp_path}: b.txt (made, 1 byte)",
        ],
    )
    assert [(tmp_path / name).read_text() for name in ("a.txt", "b.txt")] == ["mine", "b"]


def test_overwrite_replaces_files(tmp_path: Path):
    (tmp_path / "a.txt").write_text("mine")

    done = run("open('a.txt', 'w').write('its');", "--out", str(tmp_path), "--overwrite", "-q")

    assert (done.code, (tmp_path / "a.txt").read_text()) == (0, "its")


def test_a_link_in_the_target_does_not_lead_out_of_it(tmp_path: Path):
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (target / "a").symlink_to(outside)

    done = run(
        "import os\nos.mkdir('a')\nopen('a/b.txt', 'w').write('x');",
        *("--out", str(target), "--overwrite"),
    )

    assert done.code == errors.FileError.exit_code
    assert done.messages.splitlines()[0] == (
        f"protocell: cannot save 'a/b.txt': '{target}/a' is not a folder"
    )
    assert os.listdir(outside) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")

    done = run("open('a.txt', 'w').write('x');", "--out", f"{tmp_path}/file")

    assert done.code == errors.FileError.exit_code
    assert done.messages.splitlines()[0] == (
        f"protocell: cannot save 'a.txt' in '{tmp_path}/file': File exists"
    )


# -- the other options -------------------------------------------------------------------------------


def test_json_is_one_object_and_nothing_else(tmp_path: Path):
    code = "print('a\\x1b')\nopen('f.txt', 'w').write('x')\n6 * 7"

    done = run(code, "--json", "--out", str(tmp_path))

    told = json.loads(done.out)
    assert (done.code, done.err, done.out.count(b"\n")) == (0, b"", 1)
    assert (told["status"], told["text"], told["logs"]) == (
        "ok",
        "42",
        {"stdout": ["a\x1b\n"], "stderr": []},
    )
    assert [file["path"] for file in told["files"]] == ["f.txt"] == os.listdir(tmp_path)
    assert done.out.isascii()


def test_json_of_a_failure_has_the_same_shape_and_the_exit_code():
    done = run("1 / 0", "--json")

    assert (done.code, done.err) == (1, b"")
    assert json.loads(done.out)["error"]["name"] == "ZeroDivisionError"


def test_a_wrong_request_is_told_on_standard_error_with_json_too():
    done = run("1", "--json", "--memory", "1")

    assert (done.code, done.out) == (2, b"")


def test_imports_can_be_denied():
    done = run("import socket", "--deny-import", "subprocess,socket")

    assert done.code == 1
    assert "ImportError" in done.messages


def test_imports_can_be_allowed_by_name_alone():
    assert run("import math\nmath.pi > 3", "--allow-import", "math", "-q").text == "True\n"
    assert run("import math", "--allow-import", "json", "-q").code == 1


def test_a_module_can_be_loaded_beforehand():
    code = "import sys\n'wave' in sys.modules"

    assert run(code, "-q").text == "False\n"
    assert run(code, "--preload", "json,wave", "-q").text == "True\n"


def test_a_layer_that_is_there_stays_on_when_it_is_waived():
    done = run("1", "--waive", "landlock,seccomp", "--json")

    assert {"landlock", "seccomp"} <= set(json.loads(done.out)["enforced"])


def test_the_weaker_isolation_is_named_for_what_it_is():
    done = run("open('a.txt', 'w').write('x');", "--isolation", "process", "-q")
    told = run("6 * 7", "--isolation", "process")

    assert (done.code, done.err) == (0, b"")
    assert (told.code, told.text, told.messages) == (
        0,
        "42\n",
        "protocell: ok in T; NOT a sandbox: --isolation process has no kernel boundary\n",
    )


def test_the_weaker_isolation_is_ended_like_the_stronger_one():
    with started("run", "-", "--isolation", "process", code=_CATCHES + _NAPS) as process:
        read_until(process.stdout.fileno(), b"started\n")
        interrupt(process)
        read_until(process.stdout.fileno(), b"caught\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == EXIT_CODES["killed"]


# -- signals -----------------------------------------------------------------------------------------

# In short naps: a signal that comes just before a long one, as Python goes, is noticed when that is over.
_NAPS = "while True: time.sleep(0.01)\n"
_WAITS = f"import time\nprint('started', flush=True)\n{_NAPS}"
_CATCHES = (
    "import time\n"
    "try:\n"
    "  print('started', flush=True)\n"
    f"  {_NAPS}"
    "except KeyboardInterrupt: print('caught', flush=True)\n"
)


def test_ctrl_c_interrupts_the_code(code_file: Callable[[str], str]):
    with Terminal("run", code_file(_WAITS)) as terminal:
        terminal.wait_for("started")
        terminal.interrupt()
        assert terminal.end() == EXIT_CODES["cancelled"]

    assert terminal.lines[-3] == "KeyboardInterrupt"
    assert "cancelled in" in terminal.lines[-2]
    assert (
        "the code was stopped by the caller; it was interrupted (KeyboardInterrupt) and came to its end"
        in terminal.lines[-2]
    )


def test_code_that_catches_the_interrupt_can_still_come_to_its_end(
    code_file: Callable[[str], str], tmp_path: Path
):
    code = f"{_CATCHES}open('a.txt', 'w').write('x')\n'went on'"

    with Terminal("run", code_file(code), "-q", "--out", str(tmp_path / "out")) as terminal:
        terminal.wait_for("started")
        terminal.interrupt()
        assert terminal.end() == EXIT_CODES["cancelled"]

    assert terminal.lines[-3:] == ["caught", "'went on'", ""]
    assert (tmp_path / "out" / "a.txt").read_text() == "x"


def test_code_that_catches_the_interrupt_and_goes_on_is_ended_after_the_time_of_grace(
    code_file: Callable[[str], str],
):
    with Terminal("run", code_file(_CATCHES + _NAPS)) as terminal:
        terminal.wait_for("started")
        terminal.interrupt()
        assert terminal.end() == EXIT_CODES["cancelled"]

    assert (
        "the code was stopped by the caller; it went on after an interrupt, so all of its processes were ended"
        in terminal.lines[-2]
    )


def test_the_second_ctrl_c_ends_the_code(code_file: Callable[[str], str]):
    with Terminal("run", code_file(_CATCHES + _NAPS)) as terminal:
        terminal.wait_for("started")
        terminal.interrupt()
        terminal.wait_for("caught")
        terminal.interrupt()
        assert terminal.end() == EXIT_CODES["killed"]

    assert "killed in" in terminal.lines[-2]
    assert "the code was ended by the caller" in terminal.lines[-2]


def test_code_that_ignores_all_signals_is_ended_by_the_second_ctrl_c(
    code_file: Callable[[str], str],
):
    code = (
        "import signal, time\n"
        "for number in range(1, 65):\n"
        "  try: signal.signal(number, signal.SIG_IGN)\n"
        "  except (OSError, ValueError): pass\n"
        "print('started', flush=True)\n"
        "while True: time.sleep(60)\n"
    )

    with Terminal("run", code_file(code)) as terminal:
        terminal.wait_for("started")
        terminal.interrupt()
        terminal.interrupt()
        assert terminal.end() == EXIT_CODES["killed"]


def test_sigterm_ends_the_code_and_what_was_printed_is_there():
    with started("run", "-", code=_WAITS) as process:
        read_until(process.stdout.fileno(), b"started\n")
        process.send_signal(signal.SIGTERM)
        out, err = process.stdout.read(), process.stderr.read()
        assert process.wait(30) == TERMINATED

    assert (process.returncode, out) == (TERMINATED, b"")
    assert re.sub(rb" in [0-9.]+ s", b" in T", err) == (
        b"protocell: killed in T: the code was ended by the caller\n"
    )


@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)]
)
def test_a_signal_before_the_code_runs_ends_the_command(number: int, code: int):
    with started("run", "-") as process:
        wait_for(lambda: handles_signals(process), "the handlers of signals")
        process.send_signal(number)
        assert process.wait(30) == code


def test_two_interrupts_end_it_although_nobody_reads_the_output():
    with started("run", "-", "--timeout", "600", code=FLOOD) as process:
        wait_for(lambda: is_full(process.stdout.fileno()), "a full pipe")
        interrupt(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in {EXIT_CODES["killed"], EXIT_CODES["cancelled"]}


def test_a_reader_that_does_not_read_does_not_hold_the_clock():
    code = "print('x' * 1_000_000, flush=True)\nimport time\ntime.sleep(600)"

    with started("run", "-", "--timeout", "1", code=code) as process:
        wait_for(lambda: is_full(process.stdout.fileno()), "a full pipe")
        wait_for(lambda: has_no_sandbox(process.pid), "the end of the sandbox")
        out, err = process.stdout.read(), process.stderr.read()
        assert process.wait(30) == EXIT_CODES["timeout"]

    assert out.strip(b"x\n") == b""
    assert len(out) > 64 * 1024  # the pipe's content and what was kept for later
    assert float(re.findall(rb"timeout in ([0-9.]+) s", err)[0]) < 5


def test_a_reader_that_goes_away_ends_the_command_without_a_word():
    with started("run", "-", code=FLOOD) as process:
        read_until(process.stdout.fileno(), b"x")
        process.stdout.close()
        assert process.wait(30) == NOBODY_READS
        assert process.stderr.read() == b""


def test_a_full_disk_behind_the_output_is_said():
    with open("/dev/full", "wb") as full, started("run", "-", stdout=full, code="1") as process:
        assert process.wait(30) == errors.FileError.exit_code
        assert process.stderr.read() == (
            b"protocell: cannot write the output: No space left on device\n"
        )


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_standard_streams_that_are_not_needed_are_no_harm(closed: str, tmp_path: Path):
    file = tmp_path / "code.py"
    file.write_text("print('out')\nopen('a.txt', 'w').write('x')\n1")
    script = f'exec "$0" -m protocell.cli run {file} --out {tmp_path}/new {closed}'

    done = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, check=False)

    assert (done.returncode, (tmp_path / "new/a.txt").read_text()) == (0, "x")
    assert done.stdout == b"out\n1\n"


def closed_stream(command: str, closed: str) -> tuple[int, bytes, bytes]:
    script = f'exec "$0" -m protocell.cli {command} {closed}'
    done = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_code_from_a_closed_standard_input_is_no_empty_code():
    said = b"protocell: cannot read the code from standard input: Bad file descriptor\n"

    assert closed_stream("run -", "<&-") == (2, b"", said)


@pytest.mark.parametrize("closed", [">&-", "<&- >&-", "> /dev/full"])
@pytest.mark.parametrize("command", ["run {file}", "run --json {file}", "--version", "doctor"])
def test_output_that_cannot_be_written_is_said(command: str, closed: str, tmp_path: Path):
    file = tmp_path / "code.py"
    file.write_text("print('out')")
    reason = b"No space left on device" if "full" in closed else b"Bad file descriptor"

    code, _, said = closed_stream(command.format(file=file), closed)

    assert (code, said) == (9, b"protocell: cannot write the output: " + reason + b"\n")


def test_output_that_nobody_wrote_is_not_missed(tmp_path: Path):
    file = tmp_path / "code.py"
    file.write_text("1 + 1; None")

    assert closed_stream(f"run -q {file}", ">&-") == (0, b"", b"")


# -- a machine that has run out of something -------------------------------------------------------------


@pytest.mark.parametrize("most", range(6, 15))
def test_want_of_descriptors_is_a_message_and_an_exit_code(most: int, tmp_path: Path):
    file = tmp_path / "code.py"
    file.write_text("1")
    script = f'ulimit -n {most}; exec "$0" -m protocell.cli run {file}'

    done = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, check=False)

    assert done.stderr.startswith(b"protocell: "), done.stderr
    assert done.stderr.count(b"\n") == 1
    assert (done.returncode, b"ulimit -n" in done.stderr) in {(4, True), (2, False)}


@pytest.mark.skipif(os.geteuid() == 0, reason="root has as many processes as it likes")
def test_want_of_processes_is_a_message_and_an_exit_code():
    limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NPROC, (1, 1)); "
    become = "os.execv(sys.executable, [sys.executable, '-m', 'protocell.cli', 'run', '/dev/null'])"

    done = subprocess.run([sys.executable, "-c", limit + become], capture_output=True, check=False)

    assert done.returncode == 4
    assert done.stderr.startswith(b"protocell: cannot start the interpreter")
    assert b"raise the limit on processes (ulimit -u;" in done.stderr


# -- Ctrl-C before anything runs --------------------------------------------------------------------------

INTERRUPTED_WHILE_IT_IMPORTS = """
import builtins, os, signal, sys
plain = builtins.__import__
def importing(name, *arguments, **named):
    if name.startswith({name!r}):
        builtins.__import__ = plain
        os.kill(os.getpid(), signal.SIGINT)
    return plain(name, *arguments, **named)
builtins.__import__ = importing
sys.argv = ["protocell", "run", "/dev/null"]
from protocell.cli import main
main()
"""


@pytest.mark.parametrize(
    "name", ["protocell._boxes.zygotes", "subprocess", "typer", "protocell.cli.run"]
)
def test_an_interrupt_while_it_is_being_loaded_ends_it_quietly(name: str):
    code = INTERRUPTED_WHILE_IT_IMPORTS.format(name=name)

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


# -- help ------------------------------------------------------------------------------------------------


COMMANDS = [("run",), ("doctor",), ("tools", "lint"), ("tools", "show")]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fills_its_lines_and_gives_flags_no_value(command: tuple[str, ...]):
    shown = protocell(*command, "--help", env={"COLUMNS": "80"}).text
    about = re.split(r"\n\s*\n", shown.partition("╭")[0])
    paragraphs = [paragraph.strip().splitlines() for paragraph in about if paragraph.strip()]

    assert "<bool>" not in shown
    for paragraph in paragraphs:
        for line, after in itertools.pairwise(paragraph):
            assert len(line.strip()) + len(" ") + len(after.split()[0]) > 78, (line, after)


# -- the program itself ------------------------------------------------------------------------------


def test_the_version_is_told():
    done = protocell("--version")

    assert done.code == 0
    assert re.fullmatch(r"protocell \S.*, Python 3\.\d+\.\d+\S*\n", done.text)


def test_the_library_loads_nothing_that_only_the_command_line_needs():
    heavy = {"typer", "rich", "click", "pydantic", "asyncio", "ssl", "http", "email", "logging"}
    code = "import sys; from protocell import *; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    before = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
    )

    assert heavy & (set(done.stdout.split()) - set(before.stdout.split())) == set()


def test_running_code_does_not_load_what_draws_tables():
    code = (
        "import sys, atexit; sys.argv = ['protocell', 'run', '/dev/null', '-q']\n"
        "atexit.register(lambda: print(*sys.modules))\n"
        "from protocell.cli import main; main()"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    loaded = set(done.stdout.split())
    assert loaded & {"rich", "protocell.doctor", "asyncio"} == set()
    assert "protocell.cli.run" in loaded


@pytest.mark.parametrize("command", [(), *COMMANDS])
def test_the_documentation_names_each_option_and_no_other(command: tuple[str, ...]):
    title = " ".join(("protocell", *command))
    section = DOCS.read_text().split(f"## `{title}`\n")[1].split("\n## ")[0]
    shown = re.split("Examples|Sources", protocell(*command, "--help").text)[0]

    documented = set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))
    assert documented == set(re.findall(r"^│ (--[a-z-]+)", shown, re.MULTILINE)) - {"--help"}


def test_the_documentation_names_each_exit_code():
    rows = re.findall(r"^\| (\d+) \| ([^|]+?) \|", DOCS.read_text(), re.MULTILINE)
    classes = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.ProtocellError)
    ]
    expected = {(str(code), f"`{status}`") for status, code in EXIT_CODES.items()}
    expected |= {(str(each.exit_code), f"`{each.__name__}`") for each in classes}
    expected -= {("4", "`ProtocellError`"), ("1", "`GuestError`")}
    expected |= {(str(NOBODY_READS), "nobody reads"), (str(TERMINATED), "SIGTERM")}

    named = {(code, name) for code, names in rows for name in names.split(", ")}
    assert named == expected
