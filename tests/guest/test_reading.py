"""Code is looked at before it runs: what is around it is taken off, and calls that must fail are found."""

import ast
from collections.abc import Iterator
from typing import Any

import pytest

from protocell_guest.guest.display import Clear, Shown
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.guest.outcome import Outcome
from protocell_guest.guest.reading import MOST_CHARACTERS, Reader
from protocell_guest.guest.tool_errors import ToolError
from protocell_guest.guest.toolbox import Toolbox
from tests.guest import children
from tests.guest.children import RunCells, Session

FENCE = "The code was changed before it ran: the fence around it was taken off."
DEDENTED = "The code was changed before it ran: its indentation was taken off."
BOTH = "The code was changed before it ran: fence and indentation were taken off."
TWICE = "The code was changed before it ran: it had been escaped twice."
NOTHING = "nothing has run, because this would have failed:\n"


def warnings_of(session: Session) -> list[list[str]]:
    return [list(outcome.warnings) for outcome in session.outcomes]


def traceback_of(session: Session) -> str:
    (outcome,) = session.outcomes
    assert outcome.error is not None
    return outcome.error.traceback


# -- what is around it ---------------------------------------------------------------------------------


AROUND = {
    "```python\nx = 6\nx * 7\n```": FENCE,
    "Here it is:\n```\ny = 6\ny * 7\n```\nIt computes 42.": FENCE,
    "z = 6\nz * 7\n```": FENCE,
    "u = 6\\nu * 7": TWICE,
    "```python\\nv = 6\\nv * 7\\n```": TWICE,
    "```python\n    w = 6\n    return w * 7\n```": BOTH,  # but IPython takes indentation off by itself
}


def test_what_stands_around_code_is_taken_off_and_that_is_told(run_cells: RunCells):
    session = run_cells(*AROUND)

    assert session.texts == ["42"] * len(AROUND)
    *told, last = warnings_of(session)
    assert [*told, [BOTH]] == [[warning] for warning in AROUND.values()]
    assert last in ([BOTH], [FENCE])
    assert (session.stdout, session.stderr) == ("", "")


def test_indentation_that_all_lines_have_is_taken_off(run_cells: RunCells):
    assert run_cells("    x = 6\n    if x:\n        x = 7\n    x * 6").texts == ["42"]


def test_that_indentation_was_taken_off_is_told_where_a_notebook_would_not_have_done_it():
    assert warnings_of(children.run_cells("  1", kind="plain")) == [[DEDENTED]]


def test_code_that_parses_is_not_touched(run_cells: RunCells):
    cells = ["'''\n```python\nx\n```\n'''", "1", "", "'a\\nb'", "# ```\n", "return 1"]

    assert warnings_of(run_cells(*cells)) == [[]] * len(cells)


def test_a_warning_is_of_its_cell_alone(run_cells: RunCells):
    assert warnings_of(run_cells("```\n1\n```", "2")) == [[FENCE], []]


def test_code_that_a_notebook_understands_is_not_touched():
    pytest.importorskip("IPython")
    cells = ["%%bash\ncat <<'END'\n```\nEND", "x = !echo said\nx", "%pwd", "ast?"]
    session = children.run_cells(*cells, kind="ipython")

    assert warnings_of(session) == [[], [], [], []]
    assert session.texts[1] == "['said']"
    assert "```\n" in session.stdout


def test_magics_in_a_fence_are_magics_and_lines_keep_their_numbers():
    pytest.importorskip("IPython")
    session = children.run_cells(
        "```python\n\n%pwd\n1 / 0\n```", "\n\n!true\n1 / 0", kind="ipython"
    )

    assert warnings_of(session) == [[FENCE], []]
    for outcome in session.outcomes:
        assert outcome.error is not None
        assert ", line 4, in <module>\n    1 / 0\n" in outcome.error.traceback


def test_errors_in_a_fence_name_the_lines_that_the_model_wrote(run_cells: RunCells):
    shown = traceback_of(run_cells("Look:\n```python\ndef f():\n    return 1 / 0\nf()\n```"))

    assert '  File "<cell 1>", line 5, in <module>\n    f()\n' in shown
    assert '  File "<cell 1>", line 4, in f\n    return 1 / 0\n' in shown


def test_a_comment_that_has_swallowed_the_code_is_told(run_cells: RunCells):
    session = run_cells("# first\\nx = 1\\nprint(x)", "# 'a' and\nNone")

    assert warnings_of(session) == [
        [
            (
                "There is nothing to run in it. It has \\n where its lines should end, so it was escaped "
                "twice: send it with real line ends."
            )
        ],
        [],
    ]


def test_very_long_code_is_run_as_it_is(run_cells: RunCells):
    session = run_cells("```\n1\n```\n" + "#" * MOST_CHARACTERS)

    assert session.errors == ["SyntaxError"]


# -- syntax errors -------------------------------------------------------------------------------------


def test_a_syntax_error_in_a_fence_is_that_of_the_code(run_cells: RunCells):
    assert traceback_of(run_cells("```python\nx = 1\ny = (x\n```")) == (
        "  File \"<cell 1>\", line 3\n    y = (x\n        ^\nSyntaxError: '(' was never closed\n"
    )


def test_an_error_that_is_found_after_parsing_shows_its_line_in_a_fence_too(run_cells: RunCells):
    shown = traceback_of(run_cells("```python\n  x = 1\n  break\n```"))

    assert shown.startswith('  File "<cell 1>", line 3\n    break\n    ^^^^^\nSyntaxError: ')


def test_what_may_be_wrong_is_said_behind_the_error(run_cells: RunCells):
    (outcome,) = run_cells("const x = await f({a: 1});").outcomes

    assert outcome.error == (
        "SyntaxError",
        "invalid syntax. This looks like JavaScript: send Python. (<cell 1>, line 1)",
        (
            '  File "<cell 1>", line 1\n    const x = await f({a: 1});\n          ^\n'
            "SyntaxError: invalid syntax. This looks like JavaScript: send Python.\n"
        ),
    )


def test_of_several_blocks_none_is_chosen(run_cells: RunCells):
    (outcome,) = run_cells("```python\nx = 1\n```\nand\n```python\nx = 2\n```").outcomes

    assert outcome.error is not None
    assert "It has several fenced blocks: send the code of one, without fences." in (
        outcome.error.value
    )


# -- return --------------------------------------------------------------------------------------------


RETURNED = {
    "return 42": "42",
    "x = 41\nif x:\n    return x + 1\nx = 0": "42",
    "for i in range(99):\n    if i == 42:\n        return i": "42",
    "import asyncio\nreturn await asyncio.sleep(0, 42)": "42",
    "import asyncio\nif asyncio:\n    return await asyncio.sleep(0, 42)\n1": "42",
    "```python\nreturn 42\n```": "42",
    "return": None,
    "if False:\n    return 1": None,
    "return 42;": None,
}


def test_return_gives_the_value_of_the_code(run_cells: RunCells):
    session = run_cells(*RETURNED)

    assert session.errors == [None] * len(RETURNED)
    assert session.texts == [*RETURNED.values()]


def test_what_code_with_return_binds_lives_on_and_its_errors_keep_their_lines(run_cells: RunCells):
    session = run_cells("x = 1\nif x:\n    y = 2\n    return x / 0", "x, y", "return _undefined")

    assert session.errors == ["ZeroDivisionError", None, "NameError"]
    assert session.texts[1] == "(1, 2)"
    assert session.outcomes[0].error is not None
    assert '<cell 1>", line 4, in ' in session.outcomes[0].error.traceback


def test_return_where_no_function_could_have_it_is_an_error(run_cells: RunCells):
    session = run_cells("class A:\n    return 1", "yield 1\nreturn 2")

    assert session.errors == ["SyntaxError", "SyntaxError"]


# -- calls of tools ------------------------------------------------------------------------------------


def card(space: str, name: str, *names: str, flat: bool = True) -> dict[str, Any]:
    parameters = [
        {"name": each, "identifier": each, "kind": "normal", "required": True, "hint": "int"}
        for each in names
    ]
    return {
        "id": f"{space}/{name}",
        "space": space,
        "name": name,
        "open": False,
        "flat": flat,
        "call": f"{space}.{name}(...)",
        "head": f"def {name}(...)",
        "doc": "",
        "parameters": parameters,
        "returns": "Any",
    }


CARDS = [
    card("shop", "order", "number"),
    card("shop", "pay_back", "number", "why"),
    card("files", "read", "path", flat=False),
    card("pages", "read", "path", flat=False),
]


class Shop:
    """An interpreter with tools that nobody answers."""

    def __init__(self) -> None:
        self.interpreter = Interpreter()
        self.interpreter.take_over()
        self.interpreter.offer(Toolbox(CARDS).names(), CARDS)
        self.shown: list[Shown | Clear] = []

    def run(self, code: str) -> Outcome:
        return self.interpreter.run(code, show=self.shown.append)

    def refusal(self, code: str) -> str:
        """Why nothing of the code has run."""
        outcome = self.run(f"ran = True\n{code}")
        assert outcome.error is not None
        assert outcome.error.value.startswith(NOTHING), outcome.error.traceback
        assert outcome.error.traceback == f"{outcome.error.name}: {outcome.error.value}\n"
        assert self.run("ran").error is not None
        return outcome.error.value.removeprefix(NOTHING)

    def passes(self, code: str) -> None:
        """Nothing is found in it; what it raises when it runs is its own affair."""
        outcome = self.run(code)
        assert outcome.warnings == ()
        assert outcome.error is None or not outcome.error.value.startswith(NOTHING)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Interpreter.beside():
        yield Shop()


def test_a_wrong_name_of_an_argument_is_told_with_line_caret_and_parameters(shop: Shop):
    assert shop.refusal("a = order(1)\nb = shop.pay_back(number=1, reason='x')") == (
        "line 3: shop.pay_back has no parameter 'reason' and needs why. "
        "Parameters (* = required): number*, why*\n"
        "    b = shop.pay_back(number=1, reason='x')\n"
        "        ^"
    )


@pytest.mark.parametrize(
    "call, near",
    [
        ("shop.ordr(1)", "shop.ordr; did you mean shop.order?"),
        ("call_tool('shop/pay_bak', {})", "shop/pay_bak; did you mean shop/pay_back?"),
        ("pay_bak(1, 2)", "pay_bak; did you mean shop.pay_back?"),
        ("read('a')", "read; did you mean files.read or pages.read?"),
        ("shp.order(1)", "shp.order; did you mean shop.order?"),
    ],
)
def test_a_tool_that_is_not_there_is_told_with_those_that_are(shop: Shop, call: str, near: str):
    assert shop.refusal(f"order(1)\nx = {call}") == (
        f"line 3: there is no tool {near}\n    x = {call}\n        ^"
    )


def test_the_error_is_of_the_first_problem(shop: Shop):
    for code, name in (
        ("shop.ordr(1)\norder()", "ToolNotFoundError"),
        ("order()\nshop.ordr(1)", "ToolValidationError"),
    ):
        outcome = shop.run(code)
        assert outcome.error is not None
        assert outcome.error.name == name
        assert outcome.error.value.count("\nline ") == 2


def test_of_very_many_problems_some_are_told(shop: Shop):
    assert shop.refusal("shop.ordr(1)\n" * 100).count("there is no tool shop.ordr") == 10


@pytest.mark.parametrize(
    "code",
    [
        "if shop is None:\n    order(nmbr=1)",
        "try:\n    order(nmbr=1)\nexcept ToolError:\n    pass",
        "def never():\n    order(nmbr=1)",
        "def never():\n    order(nmbr=1)\nif shop is None:\n    never()",
        "[order(nmbr=n) for n in () if n]",
    ],
)
def test_a_wrong_call_that_is_perhaps_not_reached_is_a_warning(shop: Shop, code: str):
    outcome = shop.run(code)
    number = next(n for n, line in enumerate(code.split("\n"), 1) if "nmbr" in line)

    assert outcome.warnings == (
        (
            f"Line {number}, if it is reached: shop.order has no parameter 'nmbr' (did you mean number?) "
            "and needs number. Parameters (* = required): number*."
        ),
    )
    assert outcome.error is None or not outcome.error.value.startswith(NOTHING)


def test_a_warning_that_is_a_question_ends_as_one(shop: Shop):
    assert shop.run("if shop is None:\n    shop.ordr()").warnings == (
        "Line 2, if it is reached: there is no tool shop.ordr; did you mean shop.order?",
    )


@pytest.mark.parametrize(
    "before",
    [
        "shop = files = __import__('types').SimpleNamespace(ordr=print)",
        "shop.ordr = print",
        "setattr(shop, 'ordr', print)",
        "import builtins\nordr = print\nclass shop:\n    ordr = print",
    ],
)
def test_a_name_that_earlier_code_gave_a_meaning_has_that_meaning(shop: Shop, before: str):
    assert shop.run(before).error is None

    assert shop.run("shop.ordr('x', end='')") == Outcome()


def test_what_earlier_code_wrapped_is_called_as_it_wishes(shop: Shop):
    wrapped = "@functools.wraps(shop.order)\ndef order(*numbers, nmbr=0):\n    return nmbr\n"
    assert shop.run(f"import functools\n{wrapped}shop.order = order").error is None

    assert shop.run("order(nmbr=1), shop.order(nmbr=2)") == Outcome()


def test_what_is_offered_in_place_of_a_namespace_is_left_alone(shop: Shop):
    shop.interpreter.offer({**Toolbox(CARDS).names(), "shop": ast}, CARDS)

    shop.passes("shop.walk, shop.ordr")
    assert "has no parameter 'nmbr'" in shop.refusal("order(nmbr=1)")


def test_a_tool_that_was_looked_at_is_still_a_tool(shop: Shop):
    assert shop.run("shop.order, help, list(shop), shop.pay_back.__doc__").error is None

    assert "has no parameter 'nmbr'" in shop.refusal("shop.order(nmbr=1)")


def test_a_name_that_was_given_back_means_the_tool_again(shop: Shop):
    shop.run("kept = order\norder = print")
    shop.passes("order(nmbr=1)")
    shop.run("order = kept")

    assert "has no parameter 'nmbr'" in shop.refusal("order(nmbr=1)")


@pytest.mark.parametrize(
    "code",
    [
        "order(1)",
        "shop.pay_back(1, why='x')",
        "helper(1)",
        "np.array([1])",
        "return order(1)",
        "print(read_me)",
        "def read(path):\n    return path\nread('a')",
        "exec('read = print')\nread('a')",
    ],
)
def test_what_is_right_or_no_tool_is_not_mentioned(shop: Shop, code: str):
    shop.passes(code)


def test_code_is_looked_at_where_lines_end_otherwise_too(shop: Shop):
    assert shop.refusal("a = 1\r\nif a:\r\n    pass\r\norder(nmbr=1)\r\n").split("\n")[1:] == [
        "    order(nmbr=1)",
        "    ^",
    ]


def test_that_the_code_has_replaced_what_it_is_looked_at_with_costs_it_the_look_alone(
    shop: Shop,
):
    assert shop.run("import ast\nkept, ast.walk = ast.walk, None").error is None
    try:
        shop.passes("shop.ordr(1)")
    finally:
        shop.run("ast.walk = kept")


def test_code_that_parses_is_parsed_once_and_code_without_tools_is_not_looked_through(
    monkeypatch: pytest.MonkeyPatch,
):
    asked: list[str] = []

    def parse(code: str) -> tuple[str, ast.Module]:
        asked.append(code)
        return code, ast.parse(code)

    reader = Reader()
    reader.know(CARDS)
    monkeypatch.setattr(ast, "walk", None)
    for code in ("x = 1", "reorder(nmbr=1)", "'```'"):
        assert reader.read(code, parse)[0] == code

    assert asked == ["x = 1", "reorder(nmbr=1)", "'```'"]
    monkeypatch.undo()
    with pytest.raises(ToolError):
        reader.read("shop.order(nmbr=1)", parse)
