"""What an execution tells while it runs: at once, in order for each stream, by callbacks and by iterators."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from protocell import AsyncSandbox, Execution, Sandbox
from protocell.errors import BusyError, ClosedError, PolicyError
from protocell.events import Event, Output
from protocell.execution import ExecutionError
from protocell.result import Result
from tests.integration.running import (
    QUIET,
    Running,
    begun_and_held,
    fine,
    gate,
    limited,
    output,
    running,
)

# Ways to write "first" and go on running; where it is told, and what.
WAYS: dict[str, tuple[str, str, str]] = {
    "print": ("print('first')", "stdout", "first\n"),
    "print without a line's end": ("print('first', end='')", "stdout", "first"),
    "print to errors without a line's end": (
        "import sys; print('first', end=' ', file=sys.stderr)",
        "stderr",
        "first ",
    ),
    "print without a line's end, flushed": (
        "print('first', end='', flush=True)",
        "stdout",
        "first",
    ),
    "a bare descriptor": ("import os; os.write(1, b'first')", "stdout", "first"),
    "the bare descriptor of errors": ("import os; os.write(2, b'first')", "stderr", "first"),
    "sys.stderr": ("import sys; print('first', file=sys.stderr)", "stderr", "first\n"),
    "a warning": ("import warnings; warnings.warn('first')", "stderr", "first"),
    "logging": ("import logging; logging.warning('first')", "stderr", "WARNING:root:first\n"),
    "a line of C code": ("import ctypes; ctypes.CDLL(None).puts(b'first')", "stdout", "first\n"),
    "C code": (
        "import ctypes; c = ctypes.CDLL(None); c.printf(b'first'); c.fflush(None)",
        "stdout",
        "first",
    ),
    "a subprocess": ("import subprocess; subprocess.run(['echo', 'first'])", "stdout", "first\n"),
    "a subprocess that goes on": (
        "import subprocess; p = subprocess.Popen('echo first; sleep 1000', shell=True)",
        "stdout",
        "first\n",
    ),
    "a fork": (
        "import os\nif os.fork() == 0:\n    os.write(1, b'first'); os._exit(0)",
        "stdout",
        "first",
    ),
    "a thread": (
        "import threading; t = threading.Thread(target=print, args=('first',)); t.start(); t.join()",
        "stdout",
        "first\n",
    ),
    "a shell line of a notebook": ("!echo first", "stdout", "first\n"),
    "half a character": ("import os; os.write(1, b'first\\xc3')", "stdout", "first"),
}


class Told:
    """What listeners were told; the gate in the workspace opens with the first of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.events: list[tuple[str, Any]] = []

    def tell(self, kind: str) -> Callable[[Any], None]:
        """A listener."""

        def listen(what: Any) -> None:
            self.events.append((kind, what))
            self._sandbox.files.write("go", b"")

        return listen

    def listeners(self) -> dict[str, Any]:
        """All of them."""
        return {f"on_{kind}": self.tell(kind) for kind in ("stdout", "stderr", "result", "error")}

    def text(self, stream: str) -> str:
        """All that one stream told."""
        return "".join(what for kind, what in self.events if kind == stream)


@pytest.mark.parametrize("way", WAYS)
def test_output_is_told_while_the_code_runs(way: str):
    code, stream, text = WAYS[way]
    with Sandbox(QUIET) as sandbox:
        told = Told(sandbox)
        execution = sandbox.run_code(f"{code}\n{gate()}print('last')", **told.listeners())

        assert execution.status == "ok", execution.reason
        kind, first = told.events[0]
        assert (kind, text in first) == (stream, True)
        assert told.text("stdout") == output(execution)[: len(told.text("stdout"))]
        assert output(execution).endswith("last\n")


def test_results_are_told_while_the_code_runs():
    with Sandbox(QUIET) as sandbox:
        told = Told(sandbox)
        execution = fine(sandbox.run_code(f"display('first')\n{gate()}42", **told.listeners()))

        assert [(kind, each.text) for kind, each in told.events] == [
            ("result", "'first'"),
            ("result", "42"),
        ]
        assert [each.is_main_result for _, each in told.events] == [False, True]
        assert [each for _, each in told.events] == execution.results


def test_an_error_is_told_once_and_is_that_of_the_execution():
    with Sandbox(QUIET) as sandbox:
        told = Told(sandbox)
        execution = sandbox.run_code("print('before')\n1 / 0", **told.listeners())

        assert told.events == [("stdout", "before\n"), ("error", execution.error)]


def test_text_and_results_of_one_thread_come_in_their_order():
    with Sandbox(QUIET) as sandbox:
        told = Told(sandbox)
        code = "for n in range(50):\n    print(n)\n    display(n)\nraise LookupError('end')"
        sandbox.run_code(code, **told.listeners())

        results = [int(what.text) for kind, what in told.events if kind == "result"]
        assert results == list(range(50))
        assert told.text("stdout") == "".join(f"{n}\n" for n in range(50))
        places = [place for place, (kind, _) in enumerate(told.events) if kind == "result"]
        for number, place in enumerate(places):
            before = "".join(what for kind, what in told.events[:place] if kind == "stdout")
            assert f"{number}\n" in before
        assert told.events[-1][0] == "error"


def test_order_is_kept_in_each_stream_when_there_is_much():
    with Sandbox(QUIET) as sandbox:
        told = Told(sandbox)
        code = "import sys\nfor n in range(20_000):\n    print(n)\n    print(-n, file=sys.stderr)\n"
        execution = fine(sandbox.run_code(code, **told.listeners()))

        assert told.text("stdout") == "".join(f"{n}\n" for n in range(20_000))
        assert told.text("stderr") == "".join(f"{-n}\n" for n in range(20_000))
        assert output(execution) == told.text("stdout")


def test_characters_that_come_in_pieces_are_told_whole():
    with Sandbox(QUIET) as sandbox:
        told = Told(sandbox)
        code = (
            "import os\n"
            "os.write(1, 'é€'.encode()[:1])\n"
            "os.write(2, b'!')\n"
            f"{gate()}"
            "os.write(1, 'é€'.encode()[1:3]); os.write(1, 'é€'.encode()[3:])\n"
        )
        fine(sandbox.run_code(code, **told.listeners()))

        assert told.text("stdout") == "é€"


def test_what_is_no_text_is_told_as_the_execution_has_it():
    with Sandbox(QUIET) as sandbox:
        told = Told(sandbox)
        execution = fine(
            sandbox.run_code("import os; os.write(1, b'a\\xff\\xc3')\nNone", **told.listeners())
        )

        assert told.text("stdout") == output(execution) == "a\ufffd\ufffd"


def test_output_beyond_what_is_kept_is_told():
    with Sandbox(limited(output_bytes="2KiB")) as sandbox:
        told = Told(sandbox)
        execution = fine(sandbox.run_code("for n in range(5000): print(n)", **told.listeners()))

        assert told.text("stdout") == "".join(f"{n}\n" for n in range(5000))
        assert "left out" in output(execution)


@pytest.mark.parametrize("end", ["import os; os._exit(1)", "import os; os.kill(os.getpid(), 9)"])
def test_what_was_written_before_a_sudden_end_is_told(end: str):
    with Sandbox(QUIET) as sandbox:
        told = Told(sandbox)
        code = f"display(1)\nimport os; os.write(1, b'x' * 60_000)\nprint('last')\n{end}"
        execution = sandbox.run_code(code, **told.listeners())

        assert execution.status == "killed"
        assert told.text("stdout") == "x" * 60_000 + "last\n"
        assert [what.text for kind, what in told.events if kind == "result"] == ["1"]


def test_parts_of_lines_are_not_lost_when_the_interpreter_is_killed():
    code = "import os\nprint('10 %', end=' ... ')\nprint('20 %', end='')\nos.kill(os.getpid(), 9)"
    with Sandbox(QUIET) as sandbox:
        assert output(sandbox.run_code(code)) == "10 % ... 20 %"


def test_what_c_code_holds_of_a_line_comes_with_its_execution_and_once():
    with Sandbox(QUIET, checkpoints=True) as sandbox:
        sandbox.run_code("import ctypes; libc = ctypes.CDLL(None)")
        first = sandbox.run_code("libc.printf(b'one')")
        second = sandbox.run_code("libc.printf(b' two\\nthree')")
        branch = sandbox.context.fork(1)[0]

        assert [output(first), output(second)] == ["one", " two\nthree"]
        assert output(branch.run_code("print('four')")) == "four\n"
        sandbox.context.undo()
        assert output(sandbox.run_code("print('five')")) == "five\n"


def test_a_listener_can_use_the_sandbox_and_its_commands_and_stop_the_code():
    with Sandbox(QUIET) as sandbox:
        seen: list[str] = []

        def listen(text: str) -> None:
            seen.append(sandbox.commands.run(f"echo seen {text}").stdout)
            with pytest.raises(BusyError):
                sandbox.run_code("1")
            assert sandbox.interrupt()

        execution = sandbox.run_code(begun_and_held(), on_stdout=listen)

        assert seen == ["seen begun\n"]
        assert (execution.status, execution.state) == ("cancelled", "kept")


def test_listeners_of_a_context_and_of_a_branch_hear_it():
    with Sandbox(QUIET) as sandbox:
        for context in (sandbox.create_code_context(), *sandbox.context.fork(1)):
            told = Told(sandbox)
            context.run_code("print('mine')\n5", **told.listeners())
            assert [kind for kind, _ in told.events] == ["stdout", "result"]


# -- listeners that raise ------------------------------------------------------------------------------


class MineError(Exception):
    """Raised by a listener."""


def fail(_what: object) -> None:
    """A listener that raises."""
    raise MineError("mine")


@pytest.mark.parametrize(
    "listener, code",
    [
        ("on_stdout", "print('x')"),
        ("on_stderr", "import sys; print('x', file=sys.stderr)"),
        ("on_result", "display(1)"),
        ("on_result", "display(2)\n1"),
        ("on_error", "1 / 0"),
    ],
)
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_listener_that_raises_stops_the_code_and_the_variables_live(
    listener: str, code: str, *, goes_on: bool
):
    with Sandbox(limited(grace_seconds=20)) as sandbox:
        sandbox.run_code("x = 1; stopped = None")
        if goes_on:
            lines = code.replace("\n", "\n    ")
            code = (
                f"import time\ntry:\n    {lines}\n    while True: time.sleep(0.001)\n"
                "except KeyboardInterrupt: stopped = True; raise"
            )
        listeners: dict[str, Any] = {listener: fail}
        with pytest.raises(MineError, match="mine"):
            sandbox.run_code(code, **listeners)

        after = fine(sandbox.run_code("x, stopped"))
        if not goes_on:
            assert after.text == "(1, None)"
        elif listener != "on_error":
            assert after.text == "(1, True)"
        assert after.logs.stdout == after.logs.stderr == []
        assert len(after.results) == 1


def test_a_listener_that_raises_costs_what_does_not_stop_and_the_next_says_so():
    with Sandbox(limited(grace_seconds=0.1)) as sandbox:
        sandbox.run_code("x = 1")
        code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print('x')\nwhile True: pass"
        with pytest.raises(MineError):
            sandbox.run_code(code, on_stdout=fail)

        after = sandbox.run_code("'x' in globals()")
        assert after.text == "False"
        assert after.state_reason.endswith(
            "it began with no variables: the interpreter had ended in between"
        )


# -- iterators -----------------------------------------------------------------------------------------


def shape(event: Event) -> tuple[str, Any]:
    """An event for comparison."""
    if isinstance(event, Output):
        return event.stream, event.text
    if isinstance(event, Result):
        return "result", event.text
    if isinstance(event, ExecutionError):
        return "error", event.name
    return "execution", event.status


def test_events_are_iterated_over_as_they_come_and_the_last_is_the_execution():
    with Sandbox(QUIET) as sandbox:
        code = f"print('first')\n{gate()}display(1)\n{gate('on')}\nprint('last')\n1 / 0"
        events = sandbox.stream(code)

        assert shape(next(events)) == ("stdout", "first\n")
        sandbox.files.write("go", b"")
        assert shape(next(events)) == ("result", "1")
        sandbox.files.write("on", b"")
        *rest, last = events
        assert [shape(event) for event in rest] == [
            ("stdout", "last\n"),
            ("error", "ZeroDivisionError"),
        ]
        assert isinstance(last, Execution)
        assert (last.status, output(last)) == ("error", "first\nlast\n")
        assert [result.text for result in last.results] == ["1"]


def test_events_of_both_streams_are_whole_and_in_order():
    with Sandbox(QUIET) as sandbox:
        code = "import sys\nfor n in range(5000):\n  print(n)\n  print(-n, file=sys.stderr)\n"
        *events, last = sandbox.stream(code)

        for stream, sign in (("stdout", 1), ("stderr", -1)):
            text = "".join(e.text for e in events if isinstance(e, Output) and e.stream == stream)
            assert text == "".join(f"{sign * n}\n" for n in range(5000))
        assert isinstance(last, Execution)
        assert last.status == "ok"


TIDIES = """
import time
try:
    print('a')
    while True: time.sleep(0.001)
except KeyboardInterrupt:
    x = 2
    raise
"""


def test_an_iterator_that_is_left_early_ends_the_code_and_the_variables_live():
    with Sandbox(limited(grace_seconds=20)) as sandbox:
        sandbox.run_code("x = 1")
        for event in sandbox.stream(TIDIES):
            assert shape(event) == ("stdout", "a\n")
            break

        assert sandbox.run_code("x", wait=True).text == "2"


def test_an_iterator_that_is_left_early_ends_what_does_not_stop():
    with Sandbox(limited(grace_seconds=0.1), checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); x = 2; print('a')\nwhile True: pass"
        events = sandbox.stream(code)
        next(events)
        events.close()  # type: ignore[attr-defined]

        after = sandbox.run_code("x")
        assert (after.text, after.state) == ("1", "restored")
        assert after.state_reason.endswith(
            "it began with those of execution 1: the interpreter had ended in between"
        )


def test_an_iterator_that_is_never_begun_runs_nothing():
    with Sandbox(QUIET) as sandbox:
        events = sandbox.stream("open('ran', 'w')")
        del events

        assert not sandbox.files.exists("ran")


def test_an_iterator_in_a_context_and_with_variables_and_time_of_its_own():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        code = "import os; print(os.environ['ONCE'])\nwhile True: pass"
        *events, last = sandbox.stream(code, context=second, envs={"ONCE": "1"}, timeout=0.3)

        assert shape(events[0]) == ("stdout", "1\n")
        assert [shape(event)[0] for event in events] == ["stdout", "error"]
        assert isinstance(last, Execution)
        assert (last.status, last.state) == ("timeout", "kept")


def test_what_is_wrong_with_a_call_is_said_when_the_iterator_begins():
    with Sandbox(QUIET) as sandbox:
        with pytest.raises(PolicyError):
            next(sandbox.stream("1", timeout=-1))
        with running(sandbox.run_code, begun_and_held()) as call:
            with pytest.raises(BusyError):
                next(sandbox.stream("1"))
            sandbox.files.write("go", b"")
            assert call.result().status == "ok"
        assert [shape(event) for event in sandbox.stream("1")] == [
            ("result", "1"),
            ("execution", "ok"),
        ]
    with pytest.raises(ClosedError):
        next(sandbox.stream("1"))


def test_an_iterator_waits_for_its_turn():
    with Sandbox(QUIET) as sandbox, running(sandbox.run_code, begun_and_held()) as call:
        waiting = Running(lambda: list(sandbox.stream("1 + 1", wait=True)))
        sandbox.files.write("go", b"")
        call.result()
        assert [shape(event) for event in waiting.result()] == [
            ("result", "2"),
            ("execution", "ok"),
        ]


def test_other_code_is_refused_while_an_iterator_is_half_way():
    with Sandbox(QUIET) as sandbox:
        events = sandbox.stream(begun_and_held())
        next(events)
        with pytest.raises(BusyError):
            sandbox.run_code("1")
        sandbox.files.write("go", b"")
        assert [shape(event) for event in events] == [("execution", "ok")]
        assert sandbox.run_code("1").text == "1"


def test_an_iterator_tells_that_the_sandbox_was_killed_meanwhile():
    sandbox = Sandbox(QUIET)
    events = sandbox.stream(begun_and_held())
    next(events)
    sandbox.kill()

    (last,) = events
    assert isinstance(last, Execution)
    assert (last.status, last.state) == ("killed", "lost")


def test_an_iterator_half_way_when_its_sandbox_is_left_is_let_go():
    with Sandbox(QUIET) as sandbox:
        events = sandbox.stream(begun_and_held())
        next(events)
    del events


# -- asyncio -------------------------------------------------------------------------------------------


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own."""
    asyncio.run(asyncio.wait_for(coroutine, 60))


def test_callbacks_in_asyncio_are_called_while_the_code_runs():
    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            begun = asyncio.Event()
            texts: list[str] = []

            def listen(text: str) -> None:
                texts.append(text)
                begun.set()

            code = f"print('first')\n{gate()}print('last')\n5"
            results: list[Result] = []
            task = asyncio.create_task(
                sandbox.run_code(code, on_stdout=listen, on_result=results.append)
            )
            await begun.wait()
            assert texts == ["first\n"]
            await sandbox.files.write("go", b"")
            execution = await task
            assert "".join(texts) == output(execution) == "first\nlast\n"
            assert results == execution.results

    run(main())


def test_events_in_asyncio_come_as_they_are_and_the_last_is_the_execution():
    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            code = f"print('first')\n{gate()}display(1)\n{gate('on')}\nprint('last')\n1 / 0"
            events = sandbox.stream(code)
            assert shape(await anext(events)) == ("stdout", "first\n")
            await sandbox.files.write("go", b"")
            assert shape(await anext(events)) == ("result", "1")
            await sandbox.files.write("on", b"")
            rest = [shape(event) async for event in events]
            assert rest == [
                ("stdout", "last\n"),
                ("error", "ZeroDivisionError"),
                ("execution", "error"),
            ]

    run(main())


def test_an_iterator_in_asyncio_that_is_left_early_ends_the_code():
    async def main() -> None:
        async with AsyncSandbox(limited(grace_seconds=20)) as sandbox:
            await sandbox.run_code("x = 1")
            async with contextlib.aclosing(sandbox.stream(TIDIES)) as events:  # type: ignore[type-var]
                async for event in events:
                    assert shape(event) == ("stdout", "a\n")
                    break
            assert (await sandbox.run_code("x")).text == "2"

    run(main())


def test_a_callback_in_asyncio_that_raises_stops_the_code():
    async def main() -> None:
        async with AsyncSandbox(limited(grace_seconds=20)) as sandbox:
            await sandbox.run_code("x = 1")
            with pytest.raises(MineError):
                await sandbox.run_code("print('a')\nwhile True: pass", on_stdout=fail)
            assert (await sandbox.run_code("x")).text == "1"

    run(main())


def test_what_is_wrong_with_a_call_is_said_in_asyncio_when_the_iterator_begins():
    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            with pytest.raises(PolicyError):
                await anext(sandbox.stream("1", timeout=-1))
            assert (await sandbox.run_code("1")).text == "1"

    run(main())


def test_several_iterators_at_once_in_one_loop():
    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            contexts = [await sandbox.create_code_context() for _ in range(3)]

            async def follow(number: int) -> list[tuple[str, Any]]:
                code = f"print({number})\n{gate()}print({number} * 2)"
                return [
                    shape(event) async for event in sandbox.stream(code, context=contexts[number])
                ]

            following = [asyncio.create_task(follow(number)) for number in range(3)]
            await sandbox.files.write("go", b"")
            for number, each in enumerate(await asyncio.gather(*following)):
                assert "".join(text for kind, text in each if kind == "stdout") == (
                    f"{number}\n{number * 2}\n"
                )
                assert each[-1] == ("execution", "ok")

    run(main())
