"""Cells behave as in a notebook, and nothing that code does breaks the cells after it by accident."""

import io
import linecache
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from protocell_guest.guest import cells
from protocell_guest.guest.clipping import clip
from protocell_guest.guest.display import Clear, Shown
from protocell_guest.guest.interpreter import Interpreter, warm
from protocell_guest.guest.outcome import Outcome
from protocell_guest.guest.tracebacks import Failure
from tests.guest.children import RunCells


class One(NamedTuple):
    """What came of one cell."""

    outcome: Outcome
    shown: list[Shown | Clear]

    @property
    def error(self) -> Failure | None:
        return self.outcome.error


Run = Callable[[str], One]


@pytest.fixture
def run() -> Iterator[Run]:
    """Run cells in a fresh namespace of this process."""
    with Interpreter.beside():
        interpreter = Interpreter()
        interpreter.take_over()

        def run_one(code: str) -> One:
            shown: list[Shown | Clear] = []
            return One(interpreter.run(code, show=shown.append), shown)

        yield run_one


def text(one: One) -> str | None:
    assert one.error is None, one.error.traceback
    return next((item.formats["text/plain"] for item in one.shown if isinstance(item, Shown)), None)


NOTHING = One(Outcome(), [])


# -- results -----------------------------------------------------------------------------------------


def test_the_value_of_the_last_expression_is_the_result(run: Run):
    assert run("x = 20\nx + 1").shown == [Shown({"text/plain": "21"}, main=True)]


@pytest.mark.parametrize(
    "code", ["", "\n \n", "# a comment", "None", "x = 1", "def f():\n    return 1", "print(end='')"]
)
def test_code_whose_last_statement_has_no_value_has_no_result(run: Run, code: str):
    assert run(code) == NOTHING


@pytest.mark.parametrize(
    "code",
    ["1;", "1 ; # why", "1;\n\n# why;\n", "1 \\\n ;", "x = 1; 2;", "'''\n;'''  ;", "'é\u2028';"],
)
def test_a_semicolon_at_the_end_hides_the_value_as_in_a_notebook(run: Run, code: str):
    assert run(code) == NOTHING


@pytest.mark.parametrize(
    "code, expected",
    [
        ("1  # why;", "1"),
        ("';'", "';'"),
        ("x = 1; x", "1"),
        ("x = ';'\n(x\n)\n\n# done;", "';'"),
        ('"""Not a docstring."""', "'Not a docstring.'"),
        ("'\x0c;'\n2", "2"),
        ("'\u2028;'\n'\u2028'", r"'\u2028'"),
        ("x = 1\r\nx\r\n", "1"),
        ("x = 1\rx", "1"),
    ],
)
def test_a_semicolon_elsewhere_hides_nothing(run: Run, code: str, expected: str):
    assert text(run(code)) == expected


def test_a_hidden_value_is_computed_all_the_same(run: Run):
    run("seen = []\nseen.append(1);")

    assert text(run("seen")) == "[1]"


@pytest.mark.parametrize("letter", ["a", "é", "語", "😀", "\ud800"])
@pytest.mark.parametrize("limit", [0, 1, 2, 3, 5, 36, 37, 40, 41, 50, 99, 100, 101, 399, 400])
def test_clipped_text_fits_in_bytes_and_counts_right(letter: str, limit: int):
    whole = letter * 100
    shown = clip(whole, limit)
    size = len(whole.encode("utf-8", "surrogatepass"))

    assert len(shown.encode("utf-8", "surrogatepass")) <= limit
    assert (shown == whole) == (size <= limit)
    if "[" in shown:
        head, _, rest = shown.partition("[... ")
        count, _, tail = rest.partition(" characters left out ...]")
        assert head + letter * int(count) + tail == whole


@pytest.mark.parametrize(
    "body, expected",
    [
        ("raise ValueError('no')", "<Odd object whose repr raised ValueError: no>"),
        ("raise GeneratorExit", "<Odd object whose repr raised GeneratorExit: >"),
        (
            "return 7",
            "<Odd object whose repr raised TypeError: __repr__ returned non-string (type int)>",
        ),
        ("return Text('as it is')", "as it is"),
    ],
)
def test_a_repr_that_misbehaves_is_a_readable_result(run: Run, body: str, expected: str):
    run("class Text(str):\n    __str__ = __len__ = encode = __getitem__ = lambda *a: 1 / 0")
    outcome = run(f"class Odd:\n    def __repr__(self):\n        {body}\nOdd()")

    assert text(outcome) == expected
    assert type(text(outcome)) is str


def test_the_name_of_a_class_is_not_taken_from_its_metaclass(run: Run):
    meta = "class Meta(type):\n    __name__ = property(lambda cls: 1 / 0)\n"
    outcome = run(meta + "class Odd(metaclass=Meta):\n    __repr__ = None\nOdd()")

    assert text(outcome) == (
        "<Odd object whose repr raised TypeError: 'NoneType' object is not callable>"
    )


def test_an_interrupt_in_a_repr_is_an_interrupt(run: Run):
    outcome = run("class Odd:\n    def __repr__(self):\n        raise KeyboardInterrupt\nOdd()")

    assert outcome.error is not None
    assert outcome.error.name == "KeyboardInterrupt"


def test_an_exit_in_a_repr_is_an_exit(run_cells: RunCells):
    session = run_cells("class Odd:\n    def __repr__(self):\n        raise SystemExit(3)\nOdd()")

    assert session.outcomes == [Outcome(None, 3)]


# -- the namespace -----------------------------------------------------------------------------------


def test_variables_live_from_cell_to_cell(run: Run):
    run("x = 1")
    run("x += 1\n1 / 0")

    assert text(run("x")) == "2"


@pytest.mark.parametrize(
    "code, expected",
    [
        ("__name__", "'__main__'"),
        ("import sys\nvars(sys.modules['__main__']) is globals()", "True"),
        ("import builtins\n__builtins__ is builtins", "True"),
        ("import sys\nsys.argv", "['']"),
        ("class C:\n    pass\nimport pickle\ntype(pickle.loads(pickle.dumps(C()))) is C", "True"),
        (
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int' = 1\nP(2)",
            "P(x=2)",
        ),
        (
            "import typing\ndef f(a: 'int') -> 'str': ...\ntyping.get_type_hints(f)",
            "{'a': <class 'int'>, 'return': <class 'str'>}",
        ),
        (
            "import inspect\ndef f():\n    return 1\ninspect.getsource(f)",
            r"'def f():\n    return 1\n'",
        ),
        ("x: int = 1\n__annotations__", "{'x': <class 'int'>}"),
    ],
)
def test_the_namespace_is_that_of_a_real_main_module(run: Run, code: str, expected: str):
    assert text(run(code)) == expected


def test_forked_workers_find_what_the_code_defined(run_cells: RunCells):
    fork = "import multiprocessing as m\ndef f(x):\n    return x * x\n"
    pool = (
        "with m.get_context('fork').Pool(2) as pool:\n    squares = pool.map(f, [1, 2, 3])\nsquares"
    )

    assert run_cells(fork, pool).texts == [None, "[1, 4, 9]"]


def test_a_future_statement_holds_for_later_cells(run: Run):
    run("from __future__ import annotations")

    assert text(run("def f(x: not_defined): ...\nf.__annotations__")) == "{'x': 'not_defined'}"


def test_future_statements_of_the_interpreter_itself_do_not_apply(run: Run):
    assert text(run("def f(x: int): ...\nf.__annotations__")) == "{'x': <class 'int'>}"


def test_modules_in_the_workspace_can_be_imported_but_shadow_nothing(
    run_cells: RunCells, tmp_path: Path
):
    (tmp_path / "helper.py").write_text("answer = 42")
    (tmp_path / "queue.py").write_text("raise AssertionError('not this one')")
    session = run_cells(
        "import helper\nhelper.answer",
        "import queue\nqueue.Queue().qsize()",
        "import asyncio\nawait asyncio.sleep(0, 'slept')",
        workspace=str(tmp_path),
    )

    assert session.texts == ["42", "0", "'slept'"]


def test_a_warning_on_the_same_line_of_another_cell_is_shown_again(run_cells: RunCells):
    session = run_cells(*["import warnings\nwarnings.warn('mind')"] * 2)

    assert [line for line in session.stderr.splitlines() if line.startswith("<")] == [
        "<cell 1>:2: UserWarning: mind",
        "<cell 2>:2: UserWarning: mind",
    ]


def test_a_warning_of_the_compiler_names_the_cell(run: Run):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run("x = 1\nx is 1")

    assert [(one.filename, one.lineno) for one in caught] == [("<cell 1>", 2)]


def test_sources_of_old_cells_are_forgotten_when_they_take_too_much(run: Run):
    line = "x = 1" + " " * 1_000_000
    for _ in range(20):
        run(line)
    kept = [name for name in linecache.cache if name.startswith("<cell ")]

    assert kept == [f"<cell {number}>" for number in range(13, 21)]


def test_the_source_of_one_huge_cell_is_not_kept(run: Run):
    outcome = run("1 / 0 #" + "a" * cells.KEPT_BYTES)

    assert outcome.error is not None
    assert outcome.error.traceback == (
        'Traceback (most recent call last):\n  File "<cell 1>", line 1, in <module>\n'
        "ZeroDivisionError: division by zero\n"
    )


# -- source that is none -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, value",
    [
        ("1 +", "invalid syntax (<cell 1>, line 1)"),
        ("class A:\n    return 1", "'return' outside function (<cell 1>, line 2)"),
        ("yield 1", "'yield' outside function (<cell 1>, line 1)"),
        ("x = 1\ny = '\0'", "source code has a NUL character (<cell 1>, line 2)"),
        (
            "x = '\udc80'",
            r"source code has a lone surrogate, '\udc80', which is no character (<cell 1>, line 1)",
        ),
        ("(" * 1_000 + ")" * 1_000, "too many nested parentheses (<cell 1>, line 1)"),
    ],
)
def test_source_that_is_no_python_is_a_syntax_error(run: Run, code: str, value: str):
    outcome = run(code)

    assert outcome.error is not None
    assert (outcome.error.name, outcome.error.value) == ("SyntaxError", value)


def test_a_syntax_error_runs_nothing_of_the_cell(run: Run):
    run("x = 1\nx = 2\nyield x")

    assert run("x").error is not None


@pytest.mark.parametrize(
    "code, names",
    [
        ("-" * 100_000 + "1", {"MemoryError"}),
        ("+".join(["1"] * 100_000), {"RecursionError"}),
        ("a" + ".b" * 100_000, {"RecursionError"}),
        ("x = " + "[" * 150 + "]" * 150 + "(" * 100_000, {"SyntaxError", "MemoryError"}),
    ],
)
def test_source_that_is_too_much_for_the_parser_is_an_ordinary_error(
    run: Run, code: str, names: set[str]
):
    outcome = run(code)

    assert outcome.error is not None
    assert outcome.error.name in names
    assert text(run("1 + 1")) == "2"


@pytest.mark.parametrize("code", ["#" * 20_000_000 + "\n7", "len('" + "a" * 20_000_000 + "')"])
def test_twenty_megabytes_of_code_run(run: Run, code: str):
    assert text(run(code)) in {"7", "20000000"}


# -- await -------------------------------------------------------------------------------------------

_WITH_ASYNCIO = "import asyncio\n"


@pytest.mark.parametrize(
    "code, expected",
    [
        ("await asyncio.sleep(0, 7)", "7"),
        ("x = await asyncio.sleep(0, 7)\nx + 1", "8"),
        ("async with asyncio.Lock() as x: pass\n1", "1"),
        ("async def g():\n    yield 1\n[x async for x in g()]", "[1]"),
        ("async def f(): return 5\nasyncio.run(f())", "5"),
        ("import contextlib\nwith contextlib.suppress(ZeroDivisionError): 1 / 0\n2", "2"),
    ],
)
def test_code_can_await_outside_of_functions(run_cells: RunCells, code: str, expected: str):
    assert run_cells(_WITH_ASYNCIO + code).texts == [expected]


def test_asyncio_is_loaded_for_a_cell_that_awaits_and_for_no_other(run_cells: RunCells):
    loaded = "import sys\n'asyncio' in sys.modules"
    later = "loaded = 'asyncio' in sys.modules\nasync def f(): ...\nawait f()\nloaded"

    assert run_cells(loaded, "async def f(): ...", loaded, later).texts == [
        "False",
        None,
        "False",
        "True",
    ]


def test_the_event_loop_and_its_tasks_live_from_cell_to_cell(run_cells: RunCells):
    session = run_cells(
        _WITH_ASYNCIO + "queue = asyncio.Queue()\ntask = asyncio.create_task(queue.get())\n"
        "loop = asyncio.get_running_loop()\nawait asyncio.sleep(0)",
        "await queue.put('sent')\nawait task",
        "loop is asyncio.get_event_loop()",
        "await asyncio.sleep(0)\nloop is asyncio.get_running_loop()",
    )

    assert session.texts == [None, "'sent'", "True", "True"]


def test_a_closed_event_loop_is_replaced(run_cells: RunCells):
    close = _WITH_ASYNCIO + "await asyncio.sleep(0)"
    session = run_cells(close, "asyncio.get_event_loop().close()", "await asyncio.sleep(0, 1)")

    assert session.texts == [None, None, "1"]


def test_context_variables_live_from_cell_to_cell_with_await_or_without(run_cells: RunCells):
    session = run_cells(
        "from contextvars import ContextVar\nv = ContextVar('v', default=0)\nv.set(1);",
        "async def f(): v.set(v.get() + 1)\nawait f()",
        "v.get()",
        "class R:\n    def __repr__(self): return f'R{v.get()}'\nR()",
    )

    assert session.texts == [None, None, "2", "R2"]


def test_an_error_after_await_shows_no_frames_of_asyncio(run_cells: RunCells):
    session = run_cells(
        _WITH_ASYNCIO + "async def f():\n    await asyncio.sleep(0)\n    [][0]\nawait f()"
    )
    error = session.outcomes[0].error

    assert error is not None
    assert [line for line in error.traceback.splitlines() if "File" in line] == [
        '  File "<cell 1>", line 5, in <module>',
        '  File "<cell 1>", line 4, in f',
    ]


_WAIT_AND_CLEAN = (
    "try:\n    await asyncio.Event().wait()\nfinally:\n    print('cleaned', flush=True)"
)


@pytest.mark.parametrize(
    "code, error, exit_code",
    [
        (
            "import signal\nloop = asyncio.get_running_loop()\n"
            "loop.call_soon(signal.raise_signal, signal.SIGINT)\n" + _WAIT_AND_CLEAN,
            "KeyboardInterrupt",
            None,
        ),
        (
            "async def leave(): raise SystemExit(4)\ntask = asyncio.create_task(leave())\n"
            + _WAIT_AND_CLEAN,
            None,
            4,
        ),
        (
            "asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)\n"
            + _WAIT_AND_CLEAN,
            "CancelledError",
            None,
        ),
        (
            "asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)\n"
            + _WAIT_AND_CLEAN,
            "RuntimeError",
            None,
        ),
    ],
    ids=["interrupt", "exit of a task", "cancel", "stop"],
)
def test_whatever_ends_a_wait_lets_the_cell_clean_up(
    run_cells: RunCells, code: str, error: str | None, exit_code: int | None
):
    session = run_cells(_WITH_ASYNCIO + code, "await asyncio.sleep(0, 'alive')")

    assert session.stdout == "cleaned\n"
    assert session.errors == [error, None]
    assert session.outcomes[0].exit_code == exit_code
    assert session.texts[1] == "'alive'"


# -- how a cell ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argument",
    ["", "None", "0", "3", "True", "255", "256", "-1", "2**31", "'bye'", "[1]", "(1, 2)"],
)
def test_exit_codes_are_those_of_plain_python(run_cells: RunCells, argument: str):
    code = f"import sys\nsys.exit({argument})"
    plain = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False
    )
    session = run_cells(code, "'alive'")
    message = plain.stderr.removesuffix("\n")
    failure = Failure("SystemExit", message, "") if message else None

    assert session.outcomes[0] == Outcome(failure, plain.returncode)
    assert (session.stdout, session.stderr) == (plain.stdout, plain.stderr)
    assert session.texts[1] == "'alive'"


def test_an_exit_code_that_no_machine_has_is_that_of_plain_python(run_cells: RunCells):
    code = "raise SystemExit(2**70)"
    plain = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=False)

    assert run_cells(code).outcomes == [Outcome(None, plain.returncode)]


@pytest.mark.parametrize("code", ["exit()", "quit(0)", "raise SystemExit"])
def test_leaving_is_no_error(run_cells: RunCells, code: str):
    assert run_cells(code).outcomes == [Outcome(None, 0)]


def test_an_exit_whose_message_cannot_be_shown_is_an_exit_all_the_same(run: Run):
    code = "class M:\n    def __str__(self):\n        return 1 / 0\nraise SystemExit(M())"

    assert run(code).outcome == Outcome(None, 1)


def test_an_interrupt_is_an_error_and_the_variables_live(run_cells: RunCells):
    session = run_cells("import signal\nx = 1\nsignal.raise_signal(signal.SIGINT)\nx = 2", "x")

    assert session.errors == ["KeyboardInterrupt", None]
    assert session.texts == [None, "1"]


def test_an_exception_of_a_signal_handler_between_our_own_lines_is_an_error(run_cells: RunCells):
    cell = (
        "import signal, sys\n"
        "def trace(frame, event, argument):\n"
        "    if frame.f_code.co_name == '_show':\n"
        "        sys.settrace(None)\n"
        "        raise LookupError('from outside')\n"
        "sys.settrace(trace)\n"
    )

    assert run_cells(cell + "1", "2").errors == ["LookupError", None]


def test_a_forked_child_that_the_code_did_not_end_ends_with_its_cell(run_cells: RunCells):
    fork = "import os\nx = os.fork()\n"
    wait = "_, status = os.waitpid(x, 0)\nos.waitstatus_to_exitcode(status)"
    session = run_cells(
        f"{fork}if x == 0:\n    print('child')\nelse:\n    {wait.splitlines()[0]}",
        "os.waitstatus_to_exitcode(status)",
        f"{fork}1 / x\n{wait}",
        f"{fork}if x == 0:\n    raise SystemExit(9)\n{wait}",
    )

    assert session.texts == [None, "0", "1", "9"]
    assert session.stdout == "child\n"
    assert session.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("call", ["f()", "async def g():\n    f()\nawait g()"])
def test_objects_of_a_failed_cell_are_freed_without_the_garbage_collector(
    run_cells: RunCells, call: str
):
    define = (
        "import gc, weakref\ngc.disable()\nclass C: pass\n"
        "def f():\n    global r\n    c = C()\n    r = weakref.ref(c)\n    1 / 0"
    )
    session = run_cells(define, call, "r() is None")

    assert session.errors == [None, "ZeroDivisionError", None]
    assert session.texts[2] == "True"


@pytest.mark.parametrize(
    "code, asked",
    [
        ("input('name? ')", "answer input()"),
        ("import getpass\ngetpass.getpass()", "answer getpass()"),
        ("from getpass import getpass\ngetpass('key: ')", "answer getpass()"),
        ("breakpoint()", "debug at breakpoint()"),
    ],
)
def test_who_asks_a_person_is_told_that_nobody_is_there(run_cells: RunCells, code: str, asked: str):
    session = run_cells(code, "'alive'")

    assert session.errors == ["EOFError", None]
    assert session.outcomes[0].error is not None
    assert session.outcomes[0].error.value.startswith(f"nobody is there to {asked}: ")


def test_displays_are_shown_beside_the_value(run_cells: RunCells):
    session = run_cells(
        "h = display(1, 'two', display_id='x')\nh.update(3)\nh.display(4)\n5",
        "display(6, clear=True)\ndisplay(display_id='y');",
        "display({'text/html': '<b>', 'odd': 1}, raw=True)",
    )
    names = [(one.display, one.update) for one in session.shown[0] if isinstance(one, Shown)]

    assert session.displayed == [["1", "'two'", "3", "4"], ["clear, wait=True", "6", ""], [""]]
    assert session.texts == ["5", None, None]
    assert names == [("x", False), ("x", False), ("x", True), ("x", False), (None, False)]


# -- standard output and error -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        "sys.stdout = None",
        "sys.stdout.close()",
        "sys.stdout.detach();",
        "del sys.stdout",
        "sys.stdout = open('/dev/null', 'w')\nsys.stdout.close()",
        "sys.stdout = sys.stderr = None",
    ],
)
def test_a_stream_that_was_closed_or_removed_is_there_again_in_the_next_cell(
    run_cells: RunCells, broken: str
):
    session = run_cells(f"import sys\nprint('one')\n{broken}", "print('two')", "1 / 0")

    assert session.stdout == "one\ntwo\n"
    assert session.errors == [None, None, "ZeroDivisionError"]


def test_a_stream_that_was_replaced_stays_replaced(run_cells: RunCells):
    session = run_cells(
        "import io, sys\nprint('to the pipe')\nsys.stdout = io.StringIO()",
        "print('kept')",
        "sys.stdout.getvalue()",
    )

    assert session.stdout == "to the pipe\n"
    assert session.texts == [None, None, r"'kept\n'"]


@pytest.mark.parametrize("method", ["write", "flush"])
def test_a_stream_that_raises_harms_only_those_who_write_to_it(run_cells: RunCells, method: str):
    broken = (
        "import sys\nclass S:\n    def write(self, text): return len(text)\n"
        f"    def flush(self): ...\n    def {method}(self, *a): raise SystemExit(5)\n"
        "sys.stdout = sys.stderr = S()"
    )
    session = run_cells(broken, "1", "raise SystemExit('unseen')")

    assert session.texts == [None, "1", None]
    assert session.outcomes[2] == Outcome(Failure("SystemExit", "unseen", ""), 1)


def test_what_was_printed_is_flushed_when_the_cell_ends():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, write_through=False)
    with Interpreter.beside():
        sys.stdout = stream
        Interpreter().run("print('x', end='')", show=print)

    assert raw.getvalue() == b"x"


# -- code that breaks things -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sabotage",
    [
        "import builtins\nbuiltins.repr = builtins.str = None",
        "import builtins\nworld = vars(builtins)\nfor name in list(world):\n    world[name] = None",
        "import builtins\nvars(builtins).clear()",
        "import sys\nsys.modules.clear()",
        "import sys\nsys.modules = None",
        "import sys\nfor name in list(sys.modules): sys.modules[name] = None",
        "import traceback\ntraceback.format_exception = traceback.TracebackException = None",
        "import traceback\ntraceback.TracebackException.format = None",
        "import traceback\nfor name in list(vars(traceback)): vars(traceback)[name] = None",
        "import linecache\nlinecache.cache = None",
        "import linecache\ndel linecache.cache",
        "import linecache\nlinecache.getline = linecache.getlines = linecache.checkcache = 1",
        "import ast\nast.parse = ast.Expr = ast.Module = None",
        "import sys\nsys.excepthook = sys.displayhook = sys.unraisablehook = None",
        "import sys\nsys.tracebacklimit = 'many'",
        "import sys\nsys.setrecursionlimit(60)",
        "import io, contextvars, os\nfor m in (io, contextvars, os): vars(m).clear()",
        "del __builtins__",
        "globals().clear()",
        "import sys\ndel sys.modules['__main__'], sys.argv, sys.path",
        "import gc\ngc.disable()\nimport signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
    ],
)
def test_what_code_overwrites_does_not_break_later_cells(run_cells: RunCells, sabotage: str):
    session = run_cells(sabotage, "'a' + 'b'", "{}['missing']")
    first, second, third = session.outcomes

    assert first.error is None
    assert second == Outcome()
    assert session.texts[1] == "'ab'"
    assert third.error is not None
    assert third.error[:2] == ("KeyError", "'missing'")
    assert third.error.traceback.splitlines()[-1] == "KeyError: 'missing'"


def test_sources_that_code_removed_from_linecache_are_shown_all_the_same(run: Run):
    run("def f():\n    return [][0]")
    run("import linecache\nlinecache.clearcache()")
    outcome = run("f()")

    assert outcome.error is not None
    assert "    return [][0]\n" in outcome.error.traceback.splitlines(keepends=True)


def test_the_hooks_of_the_code_are_not_called(run: Run, capfd: pytest.CaptureFixture[str]):
    run("import sys\nhooks = sys.excepthook, sys.displayhook")
    run("sys.excepthook = sys.displayhook = lambda *a: print('called')\n1")
    run("1 / 0")
    run("sys.excepthook, sys.displayhook = hooks")

    assert capfd.readouterr() == ("", "")


# -- warming up --------------------------------------------------------------------------------------


def test_warming_up_leaves_no_state():
    def state() -> tuple[object, ...]:
        return sys.modules["__main__"], sys.argv, list(sys.path), dict(linecache.cache)

    before = state()
    warm()

    assert state() == before


def test_warming_up_beside_a_live_interpreter_leaves_its_cells_alone(run: Run):
    run("def f():\n    return [][0]")
    warm()

    assert text(run("import inspect\ninspect.getsource(f)")) == r"'def f():\n    return [][0]\n'"
    assert text(run("import sys\nvars(sys.modules['__main__']) is globals()")) == "True"


def test_after_warming_up_nothing_more_is_imported(run_cells: RunCells):
    cell = "import sys\nbefore = set(sys.modules)"
    fail = "[][0]\n'é' + 語()"
    session = run_cells(
        cell, "1 +", fail, "[][0]", "sorted(set(sys.modules) - before)", before="import runpy"
    )

    assert session.texts[-1] == "[]"
