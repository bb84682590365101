"""Tracebacks read like Python's own, show the user's frames only, and are bounded whatever is raised."""

import linecache
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.guest.tracebacks import (
    MAX_NAME,
    MAX_TRACEBACK,
    MAX_VALUE,
    Failure,
    describe,
)
from tests.guest.children import RunCells

Fail = Callable[[str], Failure]

HEADER = "Traceback (most recent call last):\n"


@pytest.fixture
def fail() -> Iterator[Fail]:
    """Run cells that fail in a fresh namespace of this process."""
    with Interpreter.beside():
        interpreter = Interpreter()
        interpreter.take_over()

        def failure(code: str) -> Failure:
            error = interpreter.run(code, show=print).error
            assert error is not None
            return error

        yield failure


def python_says(code: str) -> str:
    """What the standard library makes of the same code, without the frame that runs it."""
    lines = [line + "\n" for line in code.split("\n")]
    linecache.cache["<cell 1>"] = (len(code), None, lines, "<cell 1>")
    try:
        exec(compile(code, "<cell 1>", "exec", dont_inherit=True), {"__name__": "__main__"})
    except BaseException as error:  # noqa: BLE001  (that is what it is about)
        trace = error.__traceback__
        assert trace is not None
        users = trace.tb_next if trace.tb_next or isinstance(error, SyntaxError) else trace
        return "".join(traceback.format_exception(type(error), error, users))
    raise AssertionError("the code did not fail")


def without_depth(text: str) -> str:
    """How deep recursion gets depends on the frames below."""
    return re.sub(r"repeated \d+ more", "repeated n more", text)


def bounded(failure: Failure) -> bool:
    sizes = [len(text.encode("utf-8", "surrogatepass")) for text in failure]
    exact = {type(text) for text in failure} == {str}
    return exact and all(map(int.__le__, sizes, (MAX_NAME, MAX_VALUE, MAX_TRACEBACK)))


# -- like Python's own -------------------------------------------------------------------------------

ORDINARY = {
    "a line": "x = 1\n[][x]",
    "a function": "def f(a):\n    return a / 0\n\nf(1) + 2",
    "binary operator": "a = b = 0\nx = (a + 1) / b + 7",
    "several lines": "def f(*a):\n    1 / 0\nx = f(\n    1,\n    2,\n    3,\n    4,\n)",
    "wide letters": "語 = {}\nprint('é', 語['x'], 'é')",
    "a cause": "try:\n    1 / 0\nexcept Exception as e:\n    raise ValueError('x') from e",
    "a context": "try:\n    1 / 0\nexcept Exception:\n    {}['x']",
    "a hidden context": "try:\n    1 / 0\nexcept Exception:\n    raise ValueError('x') from None",
    "notes": "e = ValueError('x')\ne.add_note('mind\\nthis')\nraise e",
    "a group": "raise ExceptionGroup('g', [ValueError(1), ExceptionGroup('h', [TypeError(2)])])",
    "a wide group": "raise ExceptionGroup('g', [ValueError(n) for n in range(30)])",
    "a library": "import json\njson.loads('{')",
    "a missing name": "def f():\n    valeu = 1\n    return value + value_of\nf()",
    "a missing attribute": "''.uper()",
    "a missing module": "import numpyy_",
    "a class of the code's": "class Oops(Exception): pass\nraise Oops('my', 'fault')",
    "an empty message": "assert 1 == 2",
    "a long message": "raise ValueError('x' * 5_000)",
    "a message of lines": "raise ValueError('one\\ntwo')",
    "an interrupt": "raise KeyboardInterrupt",
    "recursion": "def f(n):\n    return f(n + 1)\nf(1)",
    "a syntax error at run time": "x = 1\nexec('1 +')",
    "a number too long": "int('1' * 5_000)",
}

NO_PYTHON = {
    "an operator": "x = 1\nx +",
    "a bracket": "print((1)",
    "a string": "x = 'abc",
    "a block": "if True:\nprint(1)",
    "an indent": "x = 1\n  y = 2",
    "tabs": "if True:\n        x = 1\n\ty = 2",
    "print": "print 'hello'",
    "a name": "for 1 in x: pass",
    "a character": "x = “hello”",
}


@pytest.mark.parametrize(
    "code", [*ORDINARY.values(), *NO_PYTHON.values()], ids=[*ORDINARY, *NO_PYTHON]
)
def test_a_traceback_is_what_this_python_prints(fail: Fail, code: str):
    shown = fail(code).traceback

    assert without_depth(shown) == without_depth(python_says(code))


@pytest.mark.parametrize(
    "code, failure",
    [
        (
            "x = 1\n1 / 0;",
            ("ZeroDivisionError", "division by zero", "line 2, in <module>\n    1 / 0;\n"),
        ),
        (
            "import json\njson.loads('')",
            (
                "JSONDecodeError",
                "Expecting value: line 1 column 1 (char 0)",
                "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)\n",
            ),
        ),
    ],
)
def test_a_failure_has_name_and_value_and_traceback(
    fail: Fail, code: str, failure: tuple[str, str, str]
):
    name, value, part = failure
    error = fail(code)

    assert error[:2] == (name, value)
    assert part in error.traceback


@pytest.mark.parametrize(
    "code, number, line, carets",
    [
        ("x = 1\nyield x", 2, "yield x", "^^^^^^^"),
        ("def f():\n    break", 2, "break", "^^^^^"),
        ("x = 1\nx = '\0'", 2, r"x = '\0'", "     ^^"),
        ("\ry = '\udc80'", 2, r"y = '\udc80'", "     ^^"),
    ],
)
def test_what_is_found_after_parsing_shows_its_line_too(
    fail: Fail, code: str, number: int, line: str, carets: str
):
    shown = fail(code).traceback.splitlines()

    assert shown[:2] == [f'  File "<cell 1>", line {number}', f"    {line}"]
    assert shown[2].startswith(f"    {carets}"[:-1])
    assert shown[3].startswith("SyntaxError: ")


def test_lines_are_counted_as_the_parser_counts_them(fail: Fail):
    error = fail("x = '\x0c\x1c\u2028\x85'\r\ny = 2\r\n\r\n1 / 0")

    assert error.traceback.splitlines()[1:3] == [
        '  File "<cell 1>", line 4, in <module>',
        "    1 / 0",
    ]


def test_cells_are_told_apart(fail: Fail):
    with pytest.raises(AssertionError):
        fail("def f():\n    return [][0]")
    lines = fail("f()").traceback.splitlines()

    assert [line for line in lines if "^" not in line and "~" not in line] == [
        HEADER.strip(),
        '  File "<cell 2>", line 1, in <module>',
        "    f()",
        '  File "<cell 1>", line 2, in f',
        "    return [][0]",
        "IndexError: list index out of range",
    ]


def test_frames_of_the_import_system_and_of_ours_are_dropped(run_cells: RunCells, tmp_path: Path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    code = "import broken"
    session = run_cells(code, deny_imports=["socket"], workspace=str(tmp_path))
    error = session.outcomes[0].error

    assert error is not None
    assert [line for line in error.traceback.splitlines() if "File" in line] == [
        '  File "<cell 1>", line 1, in <module>',
        f'  File "{tmp_path}/broken.py", line 1, in <module>',
    ]


def test_our_frames_are_dropped_from_every_link_of_a_chain(fail: Fail):
    code = "class R:\n    def __str__(self): return '' + 1\n"
    lines = fail(
        code + "try:\n    str(R())\nexcept TypeError as e:\n    raise OSError from e"
    ).traceback

    assert "protocell_guest" not in lines


# -- long stacks -------------------------------------------------------------------------------------


def test_functions_that_call_each_other_for_ever_are_cut_in_the_middle(fail: Fail):
    lines = fail("def a():\n    b()\ndef b():\n    a()\na()").traceback.splitlines()
    places = [line for line in lines if line.startswith("  File")]
    (gap,) = [line for line in lines if "left out" in line]

    assert len(places) == 100
    assert lines.index(gap) < lines.index("    b()", lines.index(gap))
    count = int(gap.removeprefix("  [... ").removesuffix(" frames left out ...]").replace(",", ""))
    # 100 are shown, the limit is 1000, and a few frames below are ours and pytest's.
    assert 800 <= count <= 900


def test_a_stack_of_fifty_thousand_frames_is_counted_and_cut(run_cells: RunCells):
    error = (
        run_cells(
            "import sys\nsys.setrecursionlimit(60_000)\ndef a(n):\n    b(n)\ndef b(n):\n"
            "    if n == 0: raise KeyError('deep')\n    a(n - 1)",
            "a(24_999)",
        )
        .outcomes[1]
        .error
    )

    assert error is not None
    lines = error.traceback.splitlines()
    assert lines[0] + "\n" == HEADER
    assert lines[1:5] == [
        '  File "<cell 2>", line 1, in <module>',
        "    a(24_999)",
        '  File "<cell 1>", line 4, in a',
        "    b(n)",
    ]
    # One frame of the cell and 50,000 of the functions, of which 100 are shown.
    assert "  [... 49,901 frames left out ...]" in lines
    assert lines[-2:] == ["    if n == 0: raise KeyError('deep')", "KeyError: 'deep'"]


def test_a_deep_recursion_of_one_line_is_counted(run_cells: RunCells):
    error = (
        run_cells(
            "import sys\nsys.setrecursionlimit(60_000)\ndef f(n):\n    0 if n else [][0]; f(n - 1)",
            "f(20_000)",
        )
        .outcomes[1]
        .error
    )

    assert error is not None
    assert "  [Previous line repeated 19998 more times]" in error.traceback.splitlines()


# -- large and odd exceptions ------------------------------------------------------------------------


def chain_of(length: int) -> BaseException:
    newest: BaseException = ValueError("oldest")
    for number in range(length):
        error = ValueError(number)
        error.__context__ = newest
        newest = error
    return newest


def unchain(error: BaseException | None) -> None:
    """Take a long chain apart from its newest end, so that freeing it does not recurse."""
    while error is not None:
        error.__context__, error = None, error.__context__


def test_a_huge_message_is_clipped():
    failure = describe(ValueError("a" * 50_000_000 + "b" * 50_000_000))

    assert bounded(failure)
    assert failure.value.startswith("aaa")
    assert failure.value.endswith("bbb")
    gap = "[... 99,990,041 characters left out ...]"
    assert (len(failure.value), gap in failure.value) == (MAX_VALUE - 1, True)
    assert failure.traceback == f"ValueError: {failure.value}\n"


def test_a_long_traceback_keeps_head_and_tail_and_says_what_is_missing(fail: Fail):
    failure = fail("raise ExceptionGroup('g', [ValueError('x' * 9_999) for _ in range(15)])")
    lines = failure.traceback.splitlines()
    (gap,) = [line for line in lines if line.startswith("[... ")]

    assert bounded(failure)
    assert len(failure.traceback) > MAX_TRACEBACK - 10
    assert lines[0] == "  + Exception Group Traceback (most recent call last):"
    assert lines[-1] == "    +------------------------------------"
    assert gap.endswith(" characters left out ...]")


def test_the_name_of_a_class_is_clipped():
    failure = describe(type("N" * 100_000, (Exception,), {})())

    assert bounded(failure)
    assert failure.name == f"{'N' * 82}[... 99,837 characters left out ...]{'N' * 81}"


def test_a_cycle_of_contexts_ends():
    first, second = ValueError(1), ValueError(2)
    first.__context__, second.__context__ = second, first

    assert describe(first).traceback == (
        "ValueError: 2\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        "ValueError: 1\n"
    )
    first.__context__ = None


def test_a_chain_of_a_million_exceptions_shows_the_newest():
    newest = chain_of(1_000_000)
    failure = describe(newest)
    unchain(newest)

    assert bounded(failure)
    lines = failure.traceback.splitlines()
    assert lines[0] == "[... the exceptions before this one are left out ...]"
    assert [line for line in lines if line.startswith("ValueError")] == [
        f"ValueError: {number}" for number in range(999_984, 1_000_000)
    ]


def test_groups_that_share_members_do_not_multiply():
    group: Exception = ValueError("x")
    for _ in range(60):
        group = ExceptionGroup("g", [group, group])
    failure = describe(group)

    assert failure == Failure(
        "ExceptionGroup",
        "g (2 sub-exceptions)",
        "ExceptionGroup: g (2 sub-exceptions)\n" + "  | ExceptionGroup: g (2 sub-exceptions)\n" * 2,
    )


def test_a_group_of_a_hundred_thousand_shows_the_first():
    one = ValueError("x")
    failure = describe(ExceptionGroup("g", [one] * 100_000))

    assert failure.traceback == (
        "ExceptionGroup: g (100000 sub-exceptions)\n"
        + "  | ValueError: x\n" * 15
        + "  | and 99,985 more\n"
    )


def test_notes_without_number_are_left_out():
    error = ValueError("x")
    error.__notes__ = ["note"] * 1_000_000

    assert describe(error).traceback == "ValueError: x\n"


class Odd:
    """Parts of exceptions that are not what they seem."""

    class Text(str):
        __slots__ = ()
        encode = __len__ = __getitem__ = __str__ = strip = lambda *a: 1 / 0  # type: ignore[assignment]

    class RaisingStrError(Exception):
        def __str__(self):
            raise SystemExit(1)

    class NumberStrError(Exception):
        def __str__(self):
            return cast("str", 7)

    class SubclassStrError(Exception):
        def __str__(self):
            return Odd.Text("text")

    class EndlessCauseError(Exception):
        @property
        def __cause__(self):  # type: ignore[override]
            return Odd.EndlessCauseError()

    class NoAttributesError(Exception):
        def __getattribute__(self, name):
            raise LookupError(name)

    class EndlessError(Exception):
        def __getattr__(self, name):
            return self

        def __getitem__(self, index):
            return self

    class FalsyError(Exception):
        def __bool__(self):
            raise MemoryError

    class Meta(type):
        __name__ = property(lambda cls: 1 / 0)
        __subclasscheck__ = __instancecheck__ = __eq__ = lambda *a: 1 / 0  # type: ignore[assignment]
        __hash__ = None  # type: ignore[assignment]

    class WithMetaError(Exception, metaclass=Meta):
        pass

    class SyntaxPartsError(SyntaxError):
        @property
        def text(self):  # type: ignore[override]
            return "x" * 10**9


def syntax_error(**parts: object) -> SyntaxError:
    error = SyntaxError("odd")
    for name, value in parts.items():
        setattr(error, name, value)
    return error


# Made inside the test: pytest would look at them too closely.
ODD: dict[str, tuple[Callable[[], BaseException], str, str]] = {
    "str raises": (Odd.RaisingStrError, "RaisingStrError", "<exception str() failed>"),
    "str is a number": (Odd.NumberStrError, "NumberStrError", "<exception str() failed>"),
    "str of its own": (Odd.SubclassStrError, "SubclassStrError", "text"),
    "argument of its own": (
        lambda: ValueError(Odd.Text("text")),
        "ValueError",
        "<exception str() failed>",
    ),
    "causes without end": (lambda: Odd.EndlessCauseError("x"), "EndlessCauseError", "x"),
    "no attributes": (lambda: Odd.NoAttributesError("x"), "NoAttributesError", "x"),
    "every attribute": (lambda: Odd.EndlessError("x"), "EndlessError", "x"),
    "neither true nor false": (lambda: Odd.FalsyError("x"), "FalsyError", "x"),
    "a metaclass": (lambda: Odd.WithMetaError("x"), "WithMetaError", "x"),
    "a module that is a number": (
        lambda: type(Odd.Text("E"), (Exception,), {"__module__": 7})("x"),
        "E",
        "x",
    ),
    "letters that are none": (lambda: ValueError("\ud800\0\x1b"), "ValueError", "\ud800\0\x1b"),
    "an empty syntax error": (SyntaxError, "SyntaxError", "None"),
    "syntax parts of its own": (lambda: Odd.SyntaxPartsError("odd"), "SyntaxPartsError", "odd"),
    "a caret far away": (
        lambda: syntax_error(offset=10**9, text="x", lineno=1),
        "SyntaxError",
        "odd (line 1)",
    ),
    "carets without end": (
        lambda: syntax_error(end_offset=10**9, offset=1, text="x"),
        "SyntaxError",
        "odd",
    ),
    "parts of other types": (
        lambda: syntax_error(lineno="one", offset="two", text=b"three"),
        "SyntaxError",
        "odd",
    ),
    "a line without end": (
        lambda: syntax_error(text="x" * 10**7, lineno=1, offset=1),
        "SyntaxError",
        "odd (line 1)",
    ),
    "no Exception": (lambda: BaseException("x"), "BaseException", "x"),
    "the end of a generator": (GeneratorExit, "GeneratorExit", ""),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_exceptions_are_described_all_the_same(kind: str):
    make, name, value = ODD[kind]
    failure = describe(make())

    assert bounded(failure)
    assert failure[:2] == (name, value)
    assert name in failure.traceback


def test_a_str_that_was_interrupted_is_not_called_again():
    calls = []

    class StuckError(Exception):
        def __str__(self):
            calls.append(self)
            raise KeyboardInterrupt

    failure = describe(StuckError())

    assert failure == Failure(
        "StuckError", "<exception str() failed>", "StuckError: <exception str() failed>\n"
    )
    assert len(calls) == 1


def test_a_very_long_source_line_is_shown_in_part(fail: Fail):
    shown = fail("x = '" + "a" * 100_000 + "' + 1").traceback.splitlines()

    assert shown[1] == '  File "<cell 1>", line 1, in <module>'
    assert len(shown[2]) == 4 + 1_999  # the number is shorter than the place kept for it
    assert shown[2].endswith("aaa' + 1")
    assert shown[3] == 'TypeError: can only concatenate str (not "int") to str'


def test_the_place_of_a_syntax_error_in_a_very_long_line_is_named(fail: Fail):
    assert fail("x = '" + "a" * 100_000 + "' +").traceback == (
        "SyntaxError: invalid syntax (<cell 1>, line 1)\n"
    )


def test_a_file_name_without_end_is_clipped(fail: Fail):
    failure = fail(
        "def f(): exec(code) if len(a) > 9 else (a.append(1), f())\na = []\n"
        "code = compile('1 / 0', 'n' * 1_000_000, 'exec')\nf()"
    )

    assert len(failure.traceback) < 10_000
    assert failure.traceback.splitlines()[-1] == "ZeroDivisionError: division by zero"


# -- the plain form ----------------------------------------------------------------------------------

_CHAINED = (
    "def f(n):\n    return f(n - 1) if n else [][0]\n"
    "try:\n    f(9)\nexcept IndexError as error:\n    raise OSError('no') from error"
)


def test_without_the_standard_library_a_traceback_lacks_carets_and_nothing_else(
    run_cells: RunCells,
):
    session = run_cells("import traceback\ntraceback.TracebackException.format = None", _CHAINED)
    error = session.outcomes[1].error

    assert error is not None
    assert error.traceback == (
        HEADER
        + '  File "<cell 2>", line 4, in <module>\n    f(9)\n'
        + '  File "<cell 2>", line 2, in f\n    return f(n - 1) if n else [][0]\n' * 3
        + "  [Previous line repeated 7 more times]\n"
        "IndexError: list index out of range\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        + HEADER
        + "  File \"<cell 2>\", line 6, in <module>\n    raise OSError('no') from error\n"
        "OSError: no\n"
    )


def test_without_linecache_a_traceback_lacks_source_lines(run_cells: RunCells):
    session = run_cells("import linecache\nlinecache.getline = None", "1 / 0")
    error = session.outcomes[1].error

    assert error is not None
    assert error.traceback == (
        HEADER + '  File "<cell 2>", line 1, in <module>\nZeroDivisionError: division by zero\n'
    )


def test_errors_in_threads_are_printed_by_python_itself(run_cells: RunCells):
    session = run_cells(
        "import threading\nthread = threading.Thread(target=lambda: 1 / 0, name='T')\n"
        "thread.start()\nthread.join()"
    )

    assert session.errors == [None]
    assert session.stderr.splitlines()[0] == "Exception in thread T:"
    assert session.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_an_exhausted_memory_is_an_ordinary_error(run_cells: RunCells):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))"
    session = run_cells(limit, "x = []\nwhile True:\n    x.append(bytes(10**7))", "x = 0\n1 + 1")

    assert session.errors == [None, "MemoryError", None]
    assert session.texts[2] == "2"


def test_only_this_package_counts_as_ours():
    package = os.path.dirname(os.path.dirname(sys.modules[describe.__module__].__file__ or ""))
    code = compile("1 / 0", package + "_of_the_user/x.py", "exec")
    with pytest.raises(ZeroDivisionError) as caught:
        exec(code)

    assert f'"{package}_of_the_user/x.py", line 1' in describe(caught.value).traceback
