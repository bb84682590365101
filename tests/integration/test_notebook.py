"""What people know from notebooks works in a real sandbox, and what comes out is data: results, output, errors."""

import base64
import json
from collections.abc import Iterator

import pytest

from protocell import Environment, Execution, Limits, Policy, Sandbox
from protocell.environment import Shell

SHELLS: tuple[Shell, ...] = ("ipython", "plain")


def sandbox_with(shell: Shell, **limits: object) -> Sandbox:
    """Return a sandbox whose interpreter is of this kind."""
    environment = Environment(shell=shell)
    return Sandbox(Policy(environment=environment, limits=Limits.from_dict(limits)))


@pytest.fixture
def notebook() -> Iterator[Sandbox]:
    """A sandbox with IPython."""
    pytest.importorskip("IPython")
    with sandbox_with("ipython") as sandbox:
        yield sandbox


@pytest.fixture(params=SHELLS)
def either(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox with IPython, and one without, which give the same results."""
    if request.param == "ipython":
        pytest.importorskip("IPython")
    with sandbox_with(request.param) as sandbox:
        yield sandbox


def fine(execution: Execution) -> Execution:
    """The execution, which has to have ended well."""
    assert execution.error is None, execution.error.traceback
    assert execution.status == "ok"
    return execution


def stdout(execution: Execution) -> str:
    """Return what the code wrote."""
    return "".join(execution.logs.stdout)


def texts(execution: Execution) -> list[str | None]:
    """Return the plain form of each result."""
    return [result.text for result in execution.results]


# -- with IPython --------------------------------------------------------------------------------------


def test_time_is_told_and_the_value_comes_out(notebook: Sandbox):
    execution = fine(notebook.run_code("%%time\n6 * 7"))

    assert execution.text == "42"
    assert "Wall time: " in stdout(execution)


def test_values_are_remembered_by_the_number_of_the_execution(notebook: Sandbox):
    number = fine(notebook.run_code("41 + 1")).execution_count

    assert notebook.run_code(f"Out[{number}], _, In[{number}]").text == "(42, 42, '41 + 1')"
    assert stdout(notebook.run_code("5")) == ""


def test_commands_run_in_the_sandbox_and_write_to_its_pipes(notebook: Sandbox):
    listed = fine(notebook.run_code("!echo made > made.txt; ls; echo problem >&2; exit 2"))

    assert "made.txt\n" in listed.logs.stdout
    assert listed.logs.stderr == ["problem\n"]
    assert "made.txt" in listed.files
    assert notebook.run_code("_exit_code").text == "2"
    assert notebook.run_code("x = !cat made.txt\nx").text == "['made']"
    assert stdout(notebook.run_code("%%bash\nfor i in 1 2; do echo $i; done")) == "1\n2\n"


def test_moving_about_is_kept(notebook: Sandbox):
    assert fine(notebook.run_code("%cd /tmp\n%pwd")).text == "'/tmp'"
    assert fine(notebook.run_code("!pwd")).logs.stdout == ["/tmp\n"]
    assert fine(notebook.run_code("%cd\n%pwd")).text == "'/home/user'"


def test_help_is_text(notebook: Sandbox):
    execution = fine(notebook.run_code("print?"))

    assert stdout(execution).startswith("Signature: print(*args, sep=' '")
    assert execution.results == []


def test_a_magic_that_is_not_there_says_so(notebook: Sandbox):
    execution = notebook.run_code("%nothing")

    assert (execution.status, execution.reason) == ("error", "the code raised UsageError")
    assert execution.logs.stderr == ["UsageError: Line magic function `%nothing` not found.\n"]


def test_objects_of_ipython_are_results(notebook: Sandbox):
    execution = fine(
        notebook.run_code(
            "from IPython.display import HTML, Image, Javascript, Latex, Markdown, SVG, display\n"
            "display(HTML('<b>'), Markdown('# x'), Latex('$x$'), SVG('<svg/>'), Javascript('f()'))\n"
            "display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n'))\n{'a': 1}"
        )
    )
    html, markdown, latex, svg, javascript, png, main = execution.results

    assert (html.html, markdown.markdown, latex.latex) == ("<b>", "# x", "$x$")
    assert (svg.svg, javascript.javascript) == ("<svg/>", "f()")
    assert base64.b64decode(png.png or "") == b"\x89PNG\r\n\x1a\n"
    assert (main.text, main.is_main_result) == ("{'a': 1}", True)


def test_captured_output_is_not_shown(notebook: Sandbox):
    silent = fine(notebook.run_code("%%capture kept\nprint(1)\n!echo 2\n3"))

    assert (silent.results, silent.logs.stdout) == ([], [])
    assert notebook.run_code("kept.stdout").text == "'1\\n2\\n'"


def test_figures_come_out_of_inline_plots(notebook: Sandbox):
    pytest.importorskip("matplotlib")
    execution = fine(
        notebook.run_code(
            "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 4, 9])\nplt.title('t')"
        )
    )
    main, figure = execution.results

    assert main.is_main_result
    assert base64.b64decode(figure.png or "").startswith(b"\x89PNG")
    assert figure.chart["title"] == "t"


def test_nothing_is_written_beside_what_the_code_writes(notebook: Sandbox):
    # The interpreter itself may lie below /tmp, as in a clone that was made there.
    look = """
import os, sys, threading
found = [name for name in os.listdir('/tmp') if not any(path.startswith(f'/tmp/{name}/') for path in sys.path)]
sorted(os.listdir('/home/user')), found, threading.active_count()"""

    fine(notebook.run_code("1"))
    assert notebook.run_code(look).text == "([], [], 1)"


def test_an_interrupt_of_a_command_leaves_the_variables():
    pytest.importorskip("IPython")
    with sandbox_with("ipython", wall_seconds=1) as sandbox:
        sandbox.run_code("x = 5")
        late = sandbox.run_code("!echo begun; exec sleep 1000")

        assert late.status == "timeout"
        assert late.logs.stdout == ["begun\n"]
        assert sandbox.run_code("x").text == "5"


# -- with IPython and without --------------------------------------------------------------------------


def test_displays_and_the_value_come_in_order(either: Sandbox):
    execution = fine(either.run_code("display(1)\nprint('said')\ndisplay('two')\n3"))

    assert texts(execution) == ["1", "'two'", "3"]
    assert [result.is_main_result for result in execution.results] == [False, False, True]
    assert execution.logs.stdout == ["said\n"]


def test_a_display_that_is_updated_is_one_result(either: Sandbox):
    code = "h = display('a', display_id=True)\ndisplay('b')\nh.update('c')"

    assert texts(fine(either.run_code(code))) == ["'c'", "'b'"]


def test_what_is_shown_in_place_of_it_all_is_all_there_is(either: Sandbox):
    assert texts(fine(either.run_code("for n in range(150): display(n, clear=True)"))) == ["149"]


def test_top_level_await_and_tasks_from_cell_to_cell(either: Sandbox):
    either.run_code(
        "import asyncio\nqueue = asyncio.Queue()\ntask = asyncio.create_task(queue.get())\n"
        "await asyncio.sleep(0)"
    )

    assert fine(either.run_code("await queue.put('sent')\nawait task")).text == "'sent'"


def test_a_question_has_no_answer_and_says_so(either: Sandbox):
    error = either.run_code("input('name? ')").error

    assert error is not None
    assert error.name == "EOFError"
    assert error.value.startswith("nobody is there to answer input(): ")


def test_rich_values_are_the_same(either: Sandbox):
    hooks = (
        "class Rich:\n    def __repr__(self): return 'plain'\n"
        "    def _repr_html_(self): return '<i>'\n    def _repr_svg_(self): return '<svg/>'\nRich()"
    )
    (rich,) = fine(either.run_code(hooks)).results

    assert (rich.text, rich.html, rich.svg) == ("plain", "<i>", "<svg/>")


def test_a_data_frame_is_data(either: Sandbox):
    pytest.importorskip("pandas")
    code = "import pandas\npandas.DataFrame({'a': [1, 2]}, index=['x', 'y'])"
    (frame,) = fine(either.run_code(code)).results

    assert frame.text == "   a\nx  1\ny  2"
    assert frame.data["shape"] == [2, 1]
    assert frame.html is not None


def test_pip_says_why_it_fails_and_does_not_wait_for_a_network(notebook: Sandbox):
    pytest.importorskip("pip")
    execution = fine(notebook.run_code("!pip install no-such-thing"))
    tries = [line for line in execution.logs.stderr if "Retrying" in line]

    # The second try is the last, and comes at once; some versions say nothing of it. What the
    # last words are is pip's affair: Debian's stops at the certificates, which are not inside.
    assert len(tries) <= 1
    assert any(line.startswith("ERROR: ") for line in execution.logs.stderr)


def test_errors_show_the_users_lines_alone(either: Sandbox):
    error = either.run_code("def f():\n    return 1 / 0\nf()").error

    assert error is not None
    assert [line for line in error.traceback.splitlines() if "^" not in line] == [
        "Traceback (most recent call last):",
        '  File "<cell 1>", line 3, in <module>',
        "    f()",
        '  File "<cell 1>", line 2, in f',
        "    return 1 / 0",
        "ZeroDivisionError: division by zero",
    ]


def test_leaving_is_the_end_of_the_cell_alone(either: Sandbox):
    either.run_code("x = 1")

    assert either.run_code("exit(3)").exit_code == 3
    assert either.run_code("x").text == "1"


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_too_long_is_a_file_that_the_result_names(shell: Shell):
    with sandbox_with(shell, result_bytes="4k") as sandbox:
        execution = fine(sandbox.run_code("'a' * 100_000"))
        (result,) = execution.results

        assert result.files == {"text/plain": "results/1-1.txt"}
        assert len(result.text or "") <= 4096
        assert "[... 9" in (result.text or "")
        assert sandbox.files.read("results/1-1.txt") == repr("a" * 100_000)
        assert "results/1-1.txt" in execution.files


@pytest.mark.parametrize("shell", SHELLS)
def test_more_results_than_there_is_room_for_are_counted(shell: Shell):
    with sandbox_with(shell, result_bytes="4k", results_bytes="64k") as sandbox:
        execution = fine(sandbox.run_code("for n in range(120): display('a' * 3000)"))

        assert len(execution.results) == 100
        assert execution.results_left_out == 20
        assert sum(len(text or "") for text in texts(execution)) < (64 + 100) * 1024
        assert json.loads(execution.to_json())["results_left_out"] == 20

        execution = fine(sandbox.run_code("for n in range(120): display(n)\n'the main one'"))
        assert (len(execution.results), execution.results_left_out) == (101, 20)
        assert execution.text == "'the main one'"


# -- without IPython -----------------------------------------------------------------------------------


def test_a_magic_without_ipython_says_what_is_missing():
    pytest.importorskip("IPython")
    missing = "import sys\nsys.modules['IPython'] = None"
    with sandbox_with("plain") as sandbox:
        installed = sandbox.run_code("%%time\n1 + 1").error
        sandbox.run_code(missing)
        gone = sandbox.run_code("%%time\n1 + 1").error

        assert installed is not None
        assert gone is not None
        assert installed.name == gone.name == "SyntaxError"
        assert (
            "this sandbox runs plain Python, although IPython is installed; make it with "
            'Environment(shell="ipython"), or use Python alone' in installed.value
        )
        assert "IPython is not in this environment; install ipython there" in gone.value
