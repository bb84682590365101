"""One request gives its results, its error and its end, in this order, and leaves nothing behind."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocell_guest.guest import streams
from protocell_guest.guest.clipping import clip
from protocell_guest.guest.execution import execute
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.guest.interrupts import Interrupts

Events = list[dict[str, Any]]
Run = Callable[..., Events]


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGURG)}
    yield Interrupts()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def run(tmp_path: Path, interrupts: Interrupts) -> Iterator[Run]:
    """Execute code in one interpreter whose workspace is ``tmp_path``."""
    with Interpreter.beside():
        interpreter = Interpreter(workspace=str(tmp_path))
        interpreter.take_over()

        def run_one(code: str, **request: Any) -> Events:
            events: Events = []
            request = {"id": 7, "code": code, "result_bytes": 1000, "results_bytes": 8000} | request
            execute(interpreter, request, interrupts, events.append)
            return events

        yield run_one


def texts(events: Events) -> list[str]:
    return [event["formats"]["text/plain"] for event in events if event["event"] == "result"]


def test_results_come_first_then_the_error_then_the_end(run: Run):
    events = run("display(1)\ndisplay(2)\n1 / 0")

    assert [event["event"] for event in events] == ["result", "result", "error", "done"]
    assert events[0] == {
        "event": "result",
        "id": 7,
        "main": False,
        "formats": {"text/plain": "1"},
        "files": {},
        "display": None,
        "update": False,
    }
    assert (events[2]["id"], events[2]["name"]) == (7, "ZeroDivisionError")
    assert events[3] == {"event": "done", "id": 7, "exit_code": None, "left_out": 0}


def test_the_value_is_the_main_result_and_the_exit_code_that_of_the_code(run: Run):
    assert [event.get("main") for event in run("display(1)\n2")] == [False, True, None]
    assert run("raise SystemExit(3)") == [{"event": "done", "id": 7, "exit_code": 3, "left_out": 0}]


def test_a_result_leaves_when_it_is_shown_after_what_was_printed_before(
    run: Run, interrupts: Interrupts, capfd: pytest.CaptureFixture[str]
):
    order: list[str] = []

    def send(event: dict[str, Any]) -> None:
        order.append(capfd.readouterr().out)
        order.append(event["event"])

    with Interpreter.beside():
        sys.stdout = os.fdopen(os.dup(1), "w")
        code = "print('one')\ndisplay(1)\nprint('two')"
        request = {"id": 1, "code": code, "result_bytes": 100, "results_bytes": 100}
        execute(Interpreter(), request, interrupts, send)
        sys.stdout.close()

    assert order == ["one\n", "result", "two\n", "done"]


# -- the environment -----------------------------------------------------------------------------------


def test_variables_of_the_environment_are_those_of_this_run_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PROTOCELL_OLD", "before")
    monkeypatch.delenv("PROTOCELL_NEW", raising=False)
    envs = {"PROTOCELL_OLD": "now", "PROTOCELL_NEW": "here"}
    look = "import os\n[os.environ.get('PROTOCELL_' + name) for name in ('OLD', 'NEW')]"

    assert texts(run(look, envs=envs)) == ["['now', 'here']"]
    assert texts(run(look)) == ["['before', None]"]
    run("import os\nos.environ['PROTOCELL_NEW'] = 'changed'\n1 / 0", envs=envs)
    assert texts(run(look)) == ["['before', None]"]


def test_programs_see_them_too(run: Run):
    code = "import subprocess\nsubprocess.check_output(['sh', '-c', 'echo $PROTOCELL_NEW'])"

    assert texts(run(code, envs={"PROTOCELL_NEW": "here"})) == [r"b'here\n'"]
    assert texts(run(code)) == [r"b'\n'"]


# -- interrupts ----------------------------------------------------------------------------------------


def test_an_interrupt_ends_the_code_and_the_variables_live(run: Run):
    events = run("import signal\nx = 1\nsignal.raise_signal(signal.SIGINT)\nx = 2")

    assert events[0]["name"] == "KeyboardInterrupt"
    assert texts(run("x")) == ["1"]


def test_an_interrupt_between_executions_is_nothing(run: Run):
    run("1")
    signal.raise_signal(signal.SIGINT)

    assert texts(run("2")) == ["2"]


def test_an_interrupt_while_output_goes_out_is_not_lost(run: Run):
    code = (
        "import io, signal, sys\nclass Slow(io.StringIO):\n"
        "    def flush(self): signal.raise_signal(signal.SIGINT)\n"
        "before, sys.stdout = sys.stdout, Slow()\n"
        "try:\n    display(1)\nfinally:\n    sys.stdout = before"
    )

    assert [event.get("name") for event in run(code)] == ["KeyboardInterrupt", None]


def test_an_interrupt_in_the_midst_of_an_event_comes_after_it(interrupts: Interrupts):
    sent: Events = []

    def send(event: dict[str, Any]) -> None:
        if event["event"] == "result":
            signal.raise_signal(signal.SIGINT)
        sent.append(event)

    with Interpreter.beside():
        request = {"id": 1, "result_bytes": 100, "results_bytes": 100}
        execute(Interpreter(), request | {"code": "display(1)\ndisplay(2)"}, interrupts, send)

    assert [event["event"] for event in sent] == ["result", "error", "done"]
    assert sent[1]["name"] == "KeyboardInterrupt"


def test_a_signal_handler_of_the_codes_does_not_run_in_the_midst_of_an_event(
    interrupts: Interrupts,
):
    sent: Events = []

    def send(event: dict[str, Any]) -> None:
        if event["event"] == "result":
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        sent.append(event)

    code = (
        "import signal\ndef late(*_): raise TimeoutError\n"
        "before = signal.signal(signal.SIGUSR1, late)\ntry:\n    display(1)\n"
        "except TimeoutError:\n    display('caught')\nsignal.signal(signal.SIGUSR1, before);"
    )
    with Interpreter.beside():
        request = {"id": 1, "result_bytes": 100, "results_bytes": 100}
        execute(Interpreter(), request | {"code": code}, interrupts, send)

    assert texts(sent) == ["1", "'caught'"]


@pytest.mark.parametrize("moment", ["asked", "begun"])
def test_an_interrupt_that_comes_before_the_code_begins_is_that_codes(
    run: Run, interrupts: Interrupts, moment: str
):
    interrupts.asked = moment == "asked"
    signal.raise_signal(signal.SIGINT)
    first, second = run("x = 1"), run("'x' in globals()")

    expected = ["error", "done"] if moment == "asked" else ["done"]
    assert [event["event"] for event in first] == expected
    assert [event.get("name") for event in first[:-1]] == ["KeyboardInterrupt"] * (
        len(expected) - 1
    )
    assert texts(second) == [str(moment != "asked")]


# -- what is too long, and too much --------------------------------------------------------------------


def test_a_long_text_is_shown_in_part_and_written_as_a_whole(run: Run, tmp_path: Path):
    (event, _) = run("'a' * 5000", result_bytes=2000)

    assert event["files"] == {"text/plain": "results/7-1.txt"}
    assert (tmp_path / "results/7-1.txt").read_text() == repr("a" * 5000)
    assert event["formats"]["text/plain"] == clip(repr("a" * 5000), 2000)


_RICH = (
    "class Rich:\n"
    "    def __repr__(self): return 'plain'\n"
    "    def _repr_html_(self): return '<b>' * 1000\n"
    "    def _repr_png_(self): return bytes(3000)\n"
    "    def _repr_latex_(self): return '$x$'\n"
)


def test_forms_that_are_too_long_become_files_and_the_others_stay(run: Run, tmp_path: Path):
    (event, _) = run(_RICH + "Rich()")

    assert event["formats"] == {"text/plain": "plain", "text/latex": "$x$"}
    assert event["files"] == {"text/html": "results/7-1.html", "image/png": "results/7-1.png"}
    assert (tmp_path / "results/7-1.html").read_text() == "<b>" * 1000
    assert (tmp_path / "results/7-1.png").read_bytes() == bytes(3000)


def test_no_file_of_the_codes_is_overwritten(run: Run, tmp_path: Path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/7-1.txt").write_text("the code's own")
    (event, _) = run("'a' * 5000")

    assert event["files"] == {"text/plain": "results/7-1-2.txt"}
    assert (tmp_path / "results/7-1.txt").read_text() == "the code's own"


def test_a_form_that_cannot_be_written_is_left_out_and_this_is_said(run: Run, tmp_path: Path):
    (tmp_path / "results").write_text("no folder")
    (event, _) = run(_RICH + "Rich()")
    first, html, _png = event["formats"]["text/plain"].splitlines()

    assert first == "plain"
    assert html.startswith("[text/html, 3,000 bytes, is left out: [Errno 17] File exists: ")
    assert event["files"] == {}


def test_a_frame_is_sent_whole_if_that_fits_else_as_a_preview_and_a_file(run: Run, tmp_path: Path):
    pytest.importorskip("pandas")
    data = "application/vnd.protocell.data+json"
    code = "import pandas\npandas.DataFrame({'a': range(20_000)})"
    large, small = (
        run(code, result_bytes=size, results_bytes=size)[0] for size in (1_000_000, 10_000)
    )
    sent, preview = (json.loads(event["formats"][data]) for event in (large, small))

    assert (sent["whole"], preview["whole"]) == (True, False)
    assert (len(sent["rows"]), len(preview["rows"])) == (20_000, 40)
    assert (large["files"], small["files"]) == ({}, {data: "results/7-1.data.json"})
    assert (tmp_path / "results/7-1.data.json").read_text() == large["formats"][data]
    assert list(large["formats"]) == list(small["formats"]) == ["text/plain", "text/html", data]


def test_a_frame_whose_preview_is_too_long_as_well_is_a_file(run: Run, tmp_path: Path):
    pytest.importorskip("pandas")
    code = "import pandas\npandas.DataFrame({'a' * 1000: range(20_000)})"
    (event, _) = run(code, result_bytes=1000)

    assert event["files"] == {
        "application/vnd.protocell.data+json": "results/7-1.data.json",
        "text/html": "results/7-1.html",
        "text/plain": "results/7-1.txt",
    }
    assert json.loads((tmp_path / "results/7-1.data.json").read_text())["whole"] is True


def test_all_results_together_are_bounded(run: Run, tmp_path: Path):
    events = run("for n in range(5):\n    display('a' * 900)", results_bytes=2000)
    *results, done = events

    assert [len(event["formats"]["text/plain"]) for event in results] == [902, 902, 902, 902, 902]
    assert done["left_out"] == 0
    many = run("for n in range(5):\n    display('a' * 5000)", result_bytes=5100, results_bytes=9000)
    assert [len(text) for text in texts(many)] == [5002, 3998, 1024, 1024, 1024]
    assert [event["files"] for event in many[:-1]] == [
        {},
        *({"text/plain": f"results/7-{n}.txt"} for n in (2, 3, 4, 5)),
    ]


def test_the_main_result_is_sent_however_many_were_shown_before_it(run: Run):
    *results, done = run("for n in range(130):\n    display(n)\n'the main one'")

    assert [event["formats"]["text/plain"] for event in results[99:]] == ["99", "'the main one'"]
    assert [event["main"] for event in results[99:]] == [False, True]
    assert done["left_out"] == 30

    updates = "handle = display(0, display_id=True)\nfor n in range(10_100): handle.update(n)\n5"
    *results, done = run(updates)
    assert results[-1]["formats"]["text/plain"] == "5"
    assert (len(results), done["left_out"]) == (10_001, 101)


def test_a_hundred_results_are_sent_and_the_others_counted(run: Run):
    *results, done = run("for n in range(130):\n    display(n)")

    assert len(results) == 100
    assert done["left_out"] == 30


def test_replacements_and_what_was_cleared_away_do_not_count(run: Run):
    *results, done = run(
        "h = display(0, display_id=True)\nfor n in range(500):\n    h.update('a' * 900)",
        results_bytes=1500,
    )

    assert len(results) == 501
    assert done["left_out"] == 0
    assert {len(text) for text in texts(results[1:])} == {902}


def test_events_are_bounded(run: Run):
    *results, done = run("h = display(0, display_id=True)\nfor n in range(10_020): h.update(n)")

    assert len(results) == 10_000
    assert done["left_out"] == 21


def test_names_of_displays_are_bounded(run: Run):
    (event, _) = run("display(1, display_id='x' * 1000);")

    assert 190 < len(event["display"]) <= 200


def test_a_value_has_sixteen_forms_at_most(run: Run):
    (event, _) = run("display({f'a/b{n}': 'x' for n in range(30)}, raw=True)")

    assert len(event["formats"]) == 16


def test_a_name_that_was_given_before_stands_in_one_more_place_and_counts_there(run: Run):
    show = "for n in range({}):\n    display('a' * 5000, display_id='x')"
    *_, done = run(show.format(130))
    *results, _ = run(show.format(3), result_bytes=5100, results_bytes=9000)

    assert done["left_out"] == 30
    assert [len(text) for text in texts(results)] == [5002, 4498, 3000]


# -- text in the place of what is to be cleared --------------------------------------------------------


@pytest.fixture
def run_on_pipes(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Execute code that finds its streams as in a sandbox."""

    def run_one(code: str) -> Events:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", streams.opened(1))
            patch.setattr(sys, "stderr", streams.opened(2))
            return run(code)

    return run_one


def kinds(events: Events) -> list[str]:
    return [
        f"clear, wait={event['wait']}" if "wait" in event else event["event"] for event in events
    ]


@pytest.mark.parametrize(
    "print_it", ["print('new')", "import sys\nsys.stderr.write('new')", "print('new', flush=True)"]
)
def test_what_is_printed_clears_what_waits_to_be_cleared(run_on_pipes: Run, print_it: str):
    events = run_on_pipes(f"display('old')\ndisplay(clear=True)\n{print_it}\nprint('more')\n2")

    assert kinds(events) == ["result", "clear, wait=True", "clear, wait=False", "result", "done"]


def test_what_was_printed_before_or_goes_elsewhere_clears_nothing(run_on_pipes: Run):
    code = (
        "import contextlib, io, os\nprint('before', end='')\ndisplay(clear=True)\n"
        "with contextlib.redirect_stdout(io.StringIO()): print('elsewhere')\n"
        "if os.fork() == 0:\n    print('in a child', flush=True)\n    os._exit(0)\nos.wait();"
    )

    assert kinds(run_on_pipes(code)) == ["clear, wait=True", "done"]
    assert kinds(run_on_pipes("print('in the next cell')")) == ["done"]


def test_a_value_that_clears_leaves_nothing_to_be_cleared_by_text(run_on_pipes: Run):
    events = run_on_pipes("display(clear=True)\ndisplay(1)\nprint('new')")

    assert kinds(events) == ["clear, wait=True", "result", "done"]


# -- others than the cell ------------------------------------------------------------------------------


def test_a_thread_of_the_cell_may_show_things(run: Run):
    code = (
        "import threading\n"
        "all = [threading.Thread(target=display, args=(n,)) for n in range(20)]\n"
        "for one in all: one.start()\nfor one in all: one.join()"
    )

    assert sorted(texts(run(code)), key=int) == [str(n) for n in range(20)]


def test_a_child_of_the_cell_prints_what_it_would_show(run: Run):
    code = (
        "import os, sys\nreader, writer = os.pipe()\n"
        "if (pid := os.fork()) == 0:\n"
        "    sys.stdout = os.fdopen(writer, 'w')\n    display('from the child')\n"
        "    sys.stdout.flush()\n    os._exit(0)\n"
        "os.waitpid(pid, 0);\nos.read(reader, 100)"
    )

    assert texts(run(code)) == [r'''b"'from the child'\n"''']


def test_a_thread_that_outlives_its_cell_shows_nothing_after_the_end(run: Run):
    code = (
        "import threading\ngo, gone = threading.Event(), threading.Event()\n"
        "def late():\n    go.wait()\n    display('late')\n    gone.set()\n"
        "threading.Thread(target=late).start()"
    )
    assert [event["event"] for event in run(code)] == ["done"]

    assert texts(run("go.set()\ngone.wait()\n1")) == ["'late'", "1"]
