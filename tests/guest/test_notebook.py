"""What people know from notebooks works, and what needs a person, a terminal or a home says so."""

import os
from pathlib import Path

import pytest

from protocell_guest.guest.outcome import Outcome
from tests.guest.children import Session, run_cells

pytest.importorskip("IPython")

Policy = dict[str, list[str]]


def notebook(*cells: str, before: str = "", policy: Policy | None = None) -> Session:
    return run_cells(*cells, before=before, kind="ipython", **(policy or {}))


def value_of(*cells: str) -> str | None:
    """The text of the last cell's value, after cells that all went well."""
    session = notebook(*cells)
    assert session.errors == [None] * len(cells), session
    return session.texts[-1]


# -- values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cells, expected",
    [
        (["6 * 7", "_"], "42"),
        (["6 * 7", "1", "__"], "42"),
        (["6 * 7", "1", "Out[1]"], "42"),
        (["6 * 7", "_1 + 1"], "43"),
        (["6 * 7;", "Out"], "{}"),
        (["x = 1", "In[1]"], "'x = 1'"),
        (["x = 1", "_i"], "'x = 1'"),
        (["!true", "In[1]"], "\"get_ipython().system('true')\""),
        (["get_ipython().execution_count"], "2"),
        (["1 / 1", "_ = 5", "7", "_"], "5"),
        (["{1: 'a' * 60, 2: 'b' * 60}"], f"{{1: '{'a' * 60}',\n 2: '{'b' * 60}'}}"),
    ],
)
def test_what_was_shown_and_said_is_remembered(cells: list[str], expected: str):
    session = notebook(*cells)

    assert session.errors == [None] * len(cells)
    assert session.texts[-1] == expected
    assert (session.stdout, session.stderr) == ("", "")


def test_numbers_are_those_that_the_caller_gives():
    code = (
        "from protocell_guest.guest import shells\n"
        "one = shells.make('ipython')\n"
        "for number, cell in ((5, '55'), (9, 'Out, len(In), In[5], get_ipython().execution_count')):\n"
        "    one.run(cell, show=lambda item: os.write(1, item.formats['text/plain'].encode()), number=number)"
    )

    assert notebook(before=code).stdout == "55({5: 55}, 10, '55', 10)"


@pytest.mark.parametrize(
    "mode, shown, main",
    [
        ("all", ["1", "0", "1"], "3"),
        ("last", [], "3"),
        ("last_expr", [], "3"),
        ("none", [], None),
    ],
)
def test_the_class_says_which_expressions_are_shown(mode: str, shown: list[str], main: str | None):
    session = notebook(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        f"InteractiveShell.ast_node_interactivity = {mode!r}",
        "1\nfor i in range(2):\n    i\n3",
    )

    assert session.displayed[1] == shown
    assert session.texts[1] == main


def test_an_assignment_can_be_shown():
    choose = "%config InteractiveShell.ast_node_interactivity = 'last_expr_or_assign'"

    assert notebook(choose, "x = 3", "x += 1", "y: int = 7", "a = b = 1").texts == [
        *(None, "3", "4", "7", None)
    ]


def test_transformers_of_the_code_are_asked():
    text = "def plus(lines): return [line.replace('plus', '+') for line in lines]\n"
    text += "get_ipython().input_transformers_cleanup.append(plus)"
    tree = (
        "import ast\nclass Double(ast.NodeTransformer):\n"
        "    def visit_Constant(self, node): return ast.Constant(node.value * 2)\n"
        "get_ipython().ast_transformers.append(Double())"
    )

    assert value_of(text, "1 plus 2") == "3"
    assert value_of(tree, "21") == "42"


# -- display -------------------------------------------------------------------------------------------


def test_displays_come_in_order_and_the_value_is_marked():
    session = notebook("display(1, 'two')\ndisplay({'a': 3})\n4")

    assert session.displayed == [["1", "'two'", "{'a': 3}"]]
    assert session.texts == ["4"]


@pytest.mark.parametrize(
    "code, mime, expected",
    [
        ("HTML('<b>x</b>')", "text/html", "<b>x</b>"),
        ("Markdown('# x')", "text/markdown", "# x"),
        ("Latex('$x$')", "text/latex", "$x$"),
        ("Math('x')", "text/latex", "$\\displaystyle x$"),
        ("SVG('<svg/>')", "image/svg+xml", "<svg/>"),
        ("JSON({'a': [1]})", "application/json", '{"a":[1]}'),
        ("Javascript('f()')", "application/javascript", "f()"),
        ("Image(data=b'\\x89PNG\\r\\n\\x1a\\n')", "image/png", "iVBORw0KGgo="),
        ("Image(data=b'\\xff\\xd8\\xff')", "image/jpeg", "/9j/"),
    ],
)
def test_objects_of_ipythons_own_have_their_form(code: str, mime: str, expected: str):
    session = notebook(f"from IPython.display import *\n{code}")
    (shown,) = session.shown[0]

    assert shown.formats[mime].strip() == expected  # type: ignore[union-attr]


def test_the_hooks_of_a_value_are_asked():
    hooks = (
        "class Rich:\n"
        "    def __repr__(self): return 'plain'\n"
        "    def _repr_html_(self): return '<i>'\n"
        "    def _repr_png_(self): return b'png'\n"
        "    def _repr_mimebundle_(self, include=None, exclude=None): return {'x/y': 'own'}\n"
        "Rich()"
    )
    (shown,) = notebook(hooks).shown[0]

    assert shown.formats == {  # type: ignore[union-attr]
        "text/plain": "plain",
        "text/html": "<i>",
        "image/png": "cG5n",
        "x/y": "own",
    }


def test_a_value_that_shows_itself_is_shown_by_itself():
    session = notebook(
        "class Own:\n    def _ipython_display_(self): display('own')\nOwn()", "display(Own())"
    )

    assert session.displayed == [["'own'"], ["'own'"]]
    assert session.texts == [None, None]


def test_formatters_that_the_code_registers_count():
    register = (
        "forms = get_ipython().display_formatter.formatters\n"
        "forms['text/html'].for_type(int, lambda n: f'<b>{n}</b>')\n"
        "forms['text/plain'].for_type(int, lambda n, p, cycle: p.text('I' * n))\n3"
    )
    (shown,) = notebook(register).shown[0]

    assert shown.formats == {"text/plain": "III", "text/html": "<b>3</b>"}  # type: ignore[union-attr]


def test_a_display_is_updated_under_its_name():
    session = notebook(
        "h = display('a', display_id='one')\nh.update('b')\nh.display('c')",
        "from IPython.display import update_display\nupdate_display('d', display_id='one')",
        "h = display(display_id=True)\nh.update(1)",
    )
    names = [[(one.display, one.update) for one in items] for items in session.shown]  # type: ignore[union-attr]

    assert session.displayed == [["'a'", "'b'", "'c'"], ["'d'"], ["", "1"]]
    assert names[:2] == [[("one", False), ("one", True), ("one", False)], [("one", True)]]
    assert names[2][0][0] == names[2][1][0]


def test_what_was_shown_is_cleared():
    session = notebook(
        "from IPython.display import clear_output\nclear_output()\nclear_output(True)"
    )

    assert session.displayed == [["clear, wait=False", "clear, wait=True"]]
    assert (session.stdout, session.stderr) == ("", "")


def test_captured_output_can_be_looked_at():
    cells = [
        "%%capture kept\nimport sys\nprint('out')\nprint('err', file=sys.stderr)\ndisplay(1)\n!echo shell\n2",
        "kept.stdout, kept.stderr, [one.data for one in kept.outputs]",
        "kept()",
    ]
    session = notebook(*cells)

    assert session.texts[1] == (
        "('out\\nshell\\n', 'err\\n', [{'text/plain': '1'}, {'text/plain': '2'}])"
    )
    assert session.displayed == [[], [], ["1", "2"]]
    assert (session.stdout, session.stderr) == ("out\nshell\n", "err\n")


# -- magics --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cells, expected",
    [
        (["%%time\n20 + 1"], "21"),
        (["%time 20 + 1"], "21"),
        (["x = %time 20 + 1", "x"], "21"),
        (["%timeit -n1 -r1 -o 1", "type(_).__name__"], "'TimeitResult'"),
        (["%%timeit -n1 -r1\nx = 1", "1"], "1"),
        (["a, b = 1, 2\n%who_ls"], "['a', 'b']"),
        (["%env ANSWER=42", "import os\nos.environ['ANSWER']"], "'42'"),
        (["%cd /", "%pwd"], "'/'"),
        (["%cd /", "pwd"], "'/'"),
        (["%precision 2", "3.14159"], "3.14"),
        (["%load_ext autoreload\n%autoreload 2", "1"], "1"),
        (["x = 3\n%store x", "x = 4\n%store -r x\nx"], "3"),
        (["%reset -f", "1"], "1"),
        (["x = y = [1]\nz = 3", "x", "%xdel x", "%xdel z", "'y' in globals(), Out"], "(False, {})"),
        (["x = 1", "%reset", "'x' in globals()"], "False"),
        (["%macro twice 1", "1"], "1"),
        (["%matplotlib inline", "1"], "1"),
        (["%config InlineBackend.figure_format = 'retina'", "1"], "1"),
        (["%alias say echo %s", "say 1", "1"], "1"),
        (
            [
                "%%writefile /tmp/protocell_test_magics.py\nx = 77",
                "%run /tmp/protocell_test_magics.py",
                "x",
            ],
            "77",
        ),
    ],
)
def test_magics_do_what_they_do_in_a_notebook(cells: list[str], expected: str):
    assert value_of(*cells) == expected


@pytest.mark.parametrize("backend", ["", "notebook", "widget", "qt", "tk"])
def test_a_display_that_is_not_there_is_inline(backend: str):
    pytest.importorskip("matplotlib")
    plot = "import matplotlib.pyplot as plt\nplt.plot([1]);"
    session = notebook(f"%matplotlib {backend}", plot, "plt.get_backend()")

    assert session.errors == [None, None, None]
    assert session.displayed[1] == ["<Figure size 640x480 with 1 Axes>"]
    assert "inline" in (session.texts[2] or "")


@pytest.mark.parametrize("question", ["print?", "?print", "print??", "%pinfo print"])
def test_questions_are_answered_as_text(question: str):
    session = notebook(question)

    assert session.stdout.startswith("Signature: print(*args, sep=' ', end='\\n'")
    assert "\x1b" not in session.stdout
    assert session.shown == [[]]


def test_the_source_of_a_cell_is_found():
    session = notebook("def f():\n    return 'here'", "f??", "%psource f")

    assert session.stdout.count("return 'here'") == 2
    assert session.errors == [None, None, None]


@pytest.mark.parametrize(
    "code, value",
    [
        ("%nothing", "Line magic function `%nothing` not found."),
        ("%%nothing\n1", "Cell magic `%%nothing` not found."),
        (
            "%bash",
            "Line magic function `%bash` not found (But cell magic `%%bash` exists, did you mean that instead?).",
        ),
        (
            "%debug",
            (
                "%debug needs somebody at a keyboard, and nobody is there: put print() or an assert where you "
                "want to look, or read the traceback."
            ),
        ),
        *(
            (
                line,
                (
                    "%pdb needs somebody at a keyboard, and nobody is there: put print() or an assert where "
                    "you want to look, or read the traceback."
                ),
            )
            for line in ("%pdb on", "%pdb 1", "%pdb")
        ),
        (
            "%edit x.py",
            (
                "%edit needs somebody at a keyboard, and nobody is there: write the file with %%writefile and "
                "run it with %run."
            ),
        ),
        (
            "%recall 1",
            (
                "%recall needs somebody at a keyboard, and nobody is there: In[n] has the text of cell n, and "
                "%rerun n runs it again."
            ),
        ),
        (
            "%%script --bg bash\ntrue",
            "a script in the background is not possible here; use subprocess.Popen.",
        ),
    ],
)
def test_a_magic_that_cannot_be_is_an_error_that_says_so(code: str, value: str):
    session = notebook("x = 1", code, "x")
    error = session.outcomes[1].error

    assert error is not None
    assert error == ("UsageError", value, f"UsageError: {value}\n")
    assert session.stderr == f"UsageError: {value}\n"
    assert session.texts[2] == "1"


def test_the_last_error_is_shown_again():
    session = notebook("1 / 0", "%tb")

    assert session.errors == ["ZeroDivisionError", None]
    assert session.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


# -- programs ------------------------------------------------------------------------------------------


def test_commands_write_to_the_streams_of_the_cell():
    session = notebook(
        "print('before')\n!echo out; echo err >&2; exit 3\nprint('after')", "_exit_code"
    )

    assert session.stdout == "before\nout\nafter\n"
    assert session.stderr == "err\n"
    assert session.texts == [None, "3"]
    assert session.errors == [None, None]


@pytest.mark.parametrize(
    "cells, expected",
    [
        (["x = !echo a; echo b >&2; echo c\nx"], "['a', 'b', 'c']"),
        (["x = !exit 4\n_exit_code"], "4"),
        (["x = 3\ny = !echo $x {x + 1} $$HOME_OF_NOBODY.\ny"], "['3 4 .']"),
        (["!!echo a"], "['a']"),
        (["%sx echo a"], "['a']"),
        (["x = !echo a b\nx.fields(1)"], "['b']"),
        (["!kill -INT $$", "_exit_code"], "-2"),
        (["!cat", "_exit_code"], "0"),
        (["%%bash --out x\necho {1..3}", "x"], "'1 2 3\\n'"),
        (["%%bash --no-raise-error\nexit 4", "1"], "1"),
        (["%%script python3 -\nprint(1)", "1"], "1"),
        (["def f(n):\n    x = !echo $n\n    return x\nf(5)"], "['5']"),
    ],
)
def test_programs_give_what_they_write(cells: list[str], expected: str):
    assert value_of(*cells) == expected


def test_a_script_that_fails_is_an_error_with_its_output():
    session = notebook("%%bash\necho out\necho err >&2\nexit 4")
    error = session.outcomes[0].error

    assert (session.stdout, session.stderr) == ("out\n", "err\n")
    assert error is not None
    assert error.name == "CalledProcessError"
    assert error.value.endswith("returned non-zero exit status 4.")


NOTED = "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"


def test_an_interrupt_ends_a_command():
    session = notebook(f"{NOTED}!kill -INT $$PPID; exec sleep 1000", "'alive'")

    assert session.errors == ["KeyboardInterrupt", None]
    assert session.texts[1] == "'alive'"


def test_an_interrupt_in_the_middle_of_a_start_leaves_no_program_behind():
    begin = """
import subprocess
class Slow(subprocess.Popen):
    def _execute_child(self, *given):
        super()._execute_child(*given)
        os.write(2, b"%d" % self.pid)
        signal.raise_signal(signal.SIGINT)
subprocess.Popen, usual = Slow, subprocess.Popen
"""
    session = notebook(f"{NOTED}{begin}", "!exec sleep 1000", "subprocess.Popen = usual")

    assert session.errors == [None, "KeyboardInterrupt", None]
    with pytest.raises(ProcessLookupError):
        os.kill(int(session.stderr), 0)


def test_scripts_and_commands_leave_no_thread_behind():
    count = "import os\nlen(os.listdir('/proc/self/task'))"

    assert value_of("%%bash\ntrue", "!true", "x = !true", count) == "1"


@pytest.mark.parametrize("policy", [{"deny_imports": ["subprocess"]}, {"allow_imports": ["math"]}])
@pytest.mark.parametrize("code", ["!true", "x = !true", "%%bash\ntrue", "%sx true", "%system true"])
def test_commands_are_refused_where_subprocess_is(policy: Policy, code: str):
    session = notebook("%%time\n1 + 1", code, "%pwd", policy=policy)
    error = session.outcomes[1].error

    assert session.texts[0] == "2"
    assert session.errors[2] is None
    assert error is not None
    assert error.name == "ImportError"
    assert error.value.startswith(
        "commands are run by subprocess, and import of 'subprocess' is refused by the import policy"
    )


# -- errors --------------------------------------------------------------------------------------------


def test_a_traceback_shows_the_users_lines_and_none_of_ipythons():
    session = notebook("def f():\n    return 1 / 0", "%%time\nf()")
    error = session.outcomes[1].error

    assert error is not None
    assert [line for line in error.traceback.splitlines() if "^" not in line] == [
        "Traceback (most recent call last):",
        '  File "<cell 2>", line 1, in <module>',
        "    get_ipython().run_cell_magic('time', '', 'f()\\n')",
        '  File "<timed eval>", line 1, in <module>',
        '  File "<cell 1>", line 2, in f',
        "    return 1 / 0",
        "ZeroDivisionError: division by zero",
    ]


def test_a_syntax_error_beside_a_magic_shows_its_line():
    error = notebook("%pwd\nx = (").outcomes[0].error

    assert error is not None
    assert error[:2] == ("SyntaxError", "'(' was never closed (<cell 1>, line 2)")
    assert error.traceback.splitlines()[1] == "    x = ("


def test_a_handler_of_the_codes_has_its_errors_and_no_others():
    session = notebook(
        "def mine(shell, kind, value, trace, tb_offset=None): print('mine:', kind.__name__, value)\n"
        "get_ipython().set_custom_exc((ZeroDivisionError, SyntaxError), mine)",
        "1 / 0",
        "x = (",
        "[][0]",
    )

    assert session.stdout == (
        "mine: ZeroDivisionError division by zero\n"
        "mine: SyntaxError '(' was never closed (<cell 3>, line 1)\n"
    )
    assert session.errors == [None, "ZeroDivisionError", "SyntaxError", "IndexError"]
    assert session.outcomes[1].error == (
        *("ZeroDivisionError", "division by zero", "ZeroDivisionError: division by zero\n"),
    )
    assert "<cell 4>" in session.outcomes[3].error.traceback  # type: ignore[union-attr]


def test_a_handler_of_the_codes_that_fails_is_asked_once():
    session = notebook(
        "get_ipython().set_custom_exc((ZeroDivisionError,), lambda *_, tb_offset: [][0])",
        "1 / 0",
        "1 / 0",
    )

    assert session.errors == [None, "ZeroDivisionError", "ZeroDivisionError"]
    assert session.stderr == "Custom TB Handler failed, unregistering\n"
    assert "IndexError: list index out of range" in session.stdout
    assert "<cell 3>" in session.outcomes[2].error.traceback  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "code",
    ["%%capture\n1 / 0", "get_ipython().run_cell('1 / 0')", "%run /tmp/protocell_test_fails.py"],
)
def test_an_error_in_a_nested_cell_is_not_lost(code: str):
    write = "%%writefile /tmp/protocell_test_fails.py\n1 / 0"
    session = notebook(write, f"{code}\nafter = 1", "1")

    assert session.errors == [None, "ZeroDivisionError", None]


@pytest.mark.parametrize(
    "code, expected", [("exit", 0), ("quit", 0), ("exit()", 0), ("exit(3)", 3), ("quit(4)", 4)]
)
def test_leaving_ends_the_cell_and_nothing_else(code: str, expected: int):
    session = notebook("x = 1", code, "x")

    assert session.outcomes[1] == Outcome(None, expected)
    assert session.texts[2] == "1"
    assert session.stdout == ""


def test_who_keeps_the_kernel_does_not_leave():
    assert value_of("x = 1", "exit(keep_kernel=True)\nx = 2", "x") == "2"


@pytest.mark.parametrize(
    "code, name",
    [("input('name? ')", "input()"), ("import getpass\ngetpass.getpass()", "getpass()")],
)
def test_a_question_says_that_nobody_is_there(code: str, name: str):
    session = notebook(code)
    error = session.outcomes[0].error

    assert error is not None
    assert error[:2] == (
        "EOFError",
        (
            f"nobody is there to answer {name}: the code runs in a sandbox without a keyboard. "
            "Put the answer into the code, or into a file or a variable of the environment."
        ),
    )


# -- events and tasks ----------------------------------------------------------------------------------


def test_those_who_want_to_know_of_cells_are_told():
    register = (
        "ip = get_ipython()\n"
        "ip.events.register('pre_execute', lambda: print('pre'))\n"
        "ip.events.register('pre_run_cell', lambda info: print('begin', info.raw_cell))\n"
        "ip.events.register('post_execute', lambda: print('post'))\n"
        "ip.events.register('post_run_cell', lambda result: print('end', result.success))"
    )
    session = notebook(register, "1", "1 / 0")

    assert session.stdout.splitlines() == [
        *("post", "end True"),
        *("pre", "begin 1", "post", "end True"),
        *("pre", "begin 1 / 0", "post", "end False"),
    ]


def test_an_interrupt_of_one_of_those_ends_the_cell_and_their_failures_do_not():
    session = notebook(
        "def fail(info): 1 / 0\nget_ipython().events.register('pre_run_cell', fail)",
        "x = 1",
        "get_ipython().events.unregister('pre_run_cell', fail)\n"
        "def interrupt(info): raise KeyboardInterrupt\n"
        "get_ipython().events.register('pre_run_cell', interrupt)",
        "x = 2",
    )

    assert session.errors[1:] == ["ZeroDivisionError", "ZeroDivisionError", "KeyboardInterrupt"]
    assert session.stdout.startswith("Error in callback <function fail at ")


def test_a_task_goes_on_while_a_later_cell_waits():
    session = notebook(
        "import asyncio\nasync def count():\n    for n in range(3):\n        print(n)\n"
        "        await asyncio.sleep(0)\ntask = asyncio.create_task(count())\nawait asyncio.sleep(0)",
        "print('between')",
        "await task",
    )

    assert session.stdout == "0\n1\n2\nbetween\n"


# -- nothing is left anywhere --------------------------------------------------------------------------


def test_no_file_no_thread_and_no_terminal_is_used(tmp_path: Path):
    look = (
        "import os, pathlib, threading\n"
        "files = sorted(str(path) for path in pathlib.Path.home().rglob('*'))\n"
        "files, os.path.exists(get_ipython().ipython_dir), threading.active_count()"
    )
    before = f"import os\nos.environ['HOME'] = os.environ['IPYTHONDIR'] = {str(tmp_path)!r}\nos.chdir('/')"
    session = notebook("1", "%cd /tmp\n%pwd", "%history", "print?", look, before=before)

    assert session.errors == [None] * 5
    assert session.texts[-1] == "([], False, 1)"
    assert "\x1b" not in session.stdout
    assert "Out[" not in session.stdout


def test_one_session_knows_nothing_of_the_one_before_it_in_the_same_template():
    before = (
        "first = shells.make('ipython')\n"
        "first.run('secret = 1\\n2', show=print, number=3)\n"
        "get_ipython().db['x'] = 1"
    )
    look = (
        "ip = get_ipython()\n'secret' in globals(), Out, len(In), _, len(ip.db), ip.execution_count"
    )

    assert notebook(look, before=before).texts == ["(False, {}, 2, '', 0, 2)"]


def test_what_the_code_breaks_of_ipython_costs_it_ipython_alone():
    session = notebook(
        "get_ipython().events = None\nget_ipython().history_manager = None", "x = 1", "x + 1"
    )

    assert session.errors == [None, None, None]
    assert session.shown[2] != []
    assert session.stderr.splitlines()[0] == (
        "IPython is damaged: AttributeError: 'NoneType' object has no attribute 'callbacks'"
    )
