"""Code is looked at before it runs, in real sandboxes: it is made readable, and what must fail has called nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from protocell import Environment, Execution, Policy, Sandbox
from protocell._broker.runtime import of_this_process
from protocell.environment import Shell
from protocell.tools import Toolset

of_this_process()  # the one loop of the blocking face, which stays until the process ends
SHELLS: tuple[Shell, ...] = ("ipython", "plain")
NOTHING = "nothing has run, because this would have failed:\n"
FENCE = "The code was changed before it ran: the fence around it was taken off."


class Shop:
    """A host's own code, and what was called of it."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def order(self, number: int) -> dict[str, Any]:
        """One order by its number."""
        self.called.append(f"order {number}")
        return {"number": number, "total": number * 10}

    async def refund(self, number: int, reason: str = "") -> str:
        """Pay an order back."""
        self.called.append(f"refund {number} {reason}")
        return "paid back"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture(params=SHELLS)
def either(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Sandbox]:
    """A sandbox with IPython, and one without, with the shop's tools in it."""
    if request.param == "ipython":
        pytest.importorskip("IPython")
    toolset = Toolset.of(shop.order, shop.refund, name="shop")
    policy = Policy(environment=Environment(shell=request.param))
    with Sandbox(policy, tools=toolset) as sandbox:
        yield sandbox


def error_of(execution: Execution) -> tuple[str, str]:
    assert (execution.status, execution.state) == ("error", "kept")
    assert execution.error is not None
    return execution.error.name, execution.error.value


# -- before the first call -----------------------------------------------------------------------------


def test_nothing_was_called_when_a_later_line_has_a_wrong_argument_name(
    either: Sandbox, shop: Shop
):
    execution = either.run_code(
        "print('began')\nfor n in range(3):\n    order(n)\nshop.refund(number=1, resaon='late')"
    )

    assert error_of(execution) == (
        "ToolValidationError",
        NOTHING + "line 4: shop.refund has no parameter 'resaon' (did you mean reason?). "
        "Parameters (* = required): number*, reason\n"
        "    shop.refund(number=1, resaon='late')\n"
        "    ^",
    )
    assert (shop.called, execution.tool_calls, execution.logs.stdout) == ([], [], [])


def test_nothing_was_called_when_a_later_line_has_an_unknown_tool(either: Sandbox, shop: Shop):
    execution = either.run_code("order(1)\nawait shop.refnd(1)")

    assert error_of(execution) == (
        "ToolNotFoundError",
        NOTHING + "line 2: there is no tool shop.refnd; did you mean shop.refund or shop.order?\n"
        "    await shop.refnd(1)\n"
        "          ^",
    )
    assert shop.called == []


@pytest.mark.parametrize("code", ["ordre(1)", "old.order(1)"])
def test_a_name_like_that_of_a_tool_is_told_where_no_other_tool_is_called(
    either: Sandbox, shop: Shop, code: str
):
    name, told = error_of(either.run_code(f"print('began')\n{code}"))

    wrong = code.partition("(")[0]
    assert name == "ToolNotFoundError"
    assert f"line 2: there is no tool {wrong}; did you mean shop.order?" in told


def test_a_name_that_is_like_no_tool_is_pythons_to_complain_about(either: Sandbox):
    assert error_of(either.run_code("quarter(1)")) == (
        "NameError",
        "name 'quarter' is not defined",
    )


DEFINES = """
import functools

@functools.cache
def define():
    global ordre
    ordre = order

class Maker:
    @property
    def made(self):
        exec("global refnd; refnd = shop.refund")
"""


def test_a_name_that_earlier_code_binds_when_it_is_called_is_no_unknown_tool(
    either: Sandbox, shop: Shop
):
    either.run_code(DEFINES)
    first = either.run_code("define()\nordre(1)['number']")
    second = either.run_code("Maker().made\nrefnd(2)")

    assert [(each.text, each.warnings) for each in (first, second)] == [
        ("1", []),
        ("'paid back'", []),
    ]


def test_nothing_was_called_when_a_later_line_imports_an_unknown_tool(either: Sandbox, shop: Shop):
    name, told = error_of(either.run_code("order(1)\nfrom shop import ordre"))

    assert name == "ToolNotFoundError"
    assert "line 2: there is no tool shop.ordre; did you mean shop.order or shop.refund?" in told
    assert shop.called == []


def test_a_module_that_the_code_writes_is_what_it_imports_from(either: Sandbox, shop: Shop):
    written = either.run_code(
        "print(open('shop.py', 'w').write('ordre = 3'))\nfrom shop import ordre\nordre"
    )
    later = either.run_code("from shop import ordre as again\nagain")

    assert (written.text, later.text) == ("3", "3")


def test_of_a_namespace_that_was_deleted_call_tool_is_told(either: Sandbox, shop: Shop):
    either.run_code("del shop")

    assert (
        "there is no tool ordre; did you mean call_tool('shop/order', {...})?"
        in (error_of(either.run_code("ordre(1)"))[1])
    )
    assert (
        "under that name any more; write call_tool('shop/order', {...})"
        in (error_of(either.run_code("shop.order(1)"))[1])
    )
    assert either.run_code("call_tool('shop/order', {'number': 1})['number']").text == "1"


def test_all_that_is_wrong_is_told_at_once(either: Sandbox, shop: Shop):
    name, told = error_of(either.run_code("order()\ncall_tool('shop/oder', {})\nshop.refnd(1)"))

    assert name == "ToolValidationError"
    assert [line[:6] for line in told.split("\n") if line.startswith("line ")] == [
        "line 1",
        "line 2",
        "line 3",
    ]
    assert shop.called == []


def test_correct_code_runs_and_nothing_is_said(either: Sandbox, shop: Shop):
    execution = either.run_code(
        "totals = [order(number=n)['total'] for n in (1, 2)]\n"
        "note = await shop.refund({'number': 2, 'reason': 'late'})\n"
        "call_tool('shop/refund', {'number': 3})\n"
        "return sum(totals), note"
    )

    assert (execution.text, execution.warnings) == ("(30, 'paid back')", [])
    assert shop.called == ["order 1", "order 2", "refund 2 late", "refund 3 "]


def test_a_wrong_call_that_is_not_surely_reached_only_warns(either: Sandbox, shop: Shop):
    execution = either.run_code(
        "one = order(1)\nif one['total'] > 10:\n    shop.refund(1, reson='much')\none['total']"
    )

    assert execution.text == "10"
    assert execution.warnings == [
        (
            "Line 3, if it is reached: shop.refund has no parameter 'reson' (did you mean reason?). "
            "Parameters (* = required): number*, reason."
        )
    ]
    assert execution.to_dict()["warnings"] == execution.warnings
    assert shop.called == ["order 1"]


def test_a_wrong_call_whose_error_is_caught_is_caught(either: Sandbox, shop: Shop):
    execution = either.run_code(
        "order(1)\ntry:\n    order(nmber=2)\nexcept ToolValidationError as error:\n    print(error.kind)"
    )

    assert execution.status == "ok"
    assert execution.logs.stdout == ["validation\n"]
    assert len(execution.warnings) == 1
    assert shop.called == ["order 1"]


def test_a_name_that_was_bound_anew_means_what_the_code_says(either: Sandbox, shop: Shop):
    here = either.run_code("def order(nmber):\n    return nmber\norder(nmber=1)")
    later = either.run_code("order(nmber=2)")
    tools = either.run_code("shop.order(number=3)['number']")

    assert [(each.text, each.warnings) for each in (here, later, tools)] == [
        ("1", []),
        ("2", []),
        ("3", []),
    ]
    assert shop.called == ["order 3"]


def test_a_tool_that_the_code_wrapped_is_left_alone(either: Sandbox, shop: Shop):
    either.run_code("kept = shop.order\nshop.order = lambda nmber: kept(number=nmber)")

    assert either.run_code("shop.order(nmber=4)['number']").text == "4"
    assert shop.called == ["order 4"]


def test_after_a_refusal_everything_goes_on(either: Sandbox, shop: Shop):
    either.run_code("x = 1")
    either.run_code("x = 2\norder(nmber=1)")

    assert either.run_code("x, order(x)['number']").text == "(1, 1)"


def test_a_further_context_and_a_branch_look_as_well(either: Sandbox, shop: Shop):
    (branch,) = either.context.fork(1)
    for context in (branch, either.create_code_context()):
        assert error_of(context.run_code("order(1)\norder(nmber=1)"))[0] == "ToolValidationError"

    assert shop.called == []


# -- what is around it ---------------------------------------------------------------------------------


def test_a_fence_is_taken_off_and_lines_keep_their_numbers(either: Sandbox, shop: Shop):
    good = either.run_code("Sure:\n```python\nx = order(1)\nreturn x['total']\n```")
    bad = either.run_code("```python\nx = 1\nx / 0\n```")
    wrong = either.run_code("```python\n\norder(nmber=1)\n```")

    assert (good.text, good.warnings) == ("10", [FENCE])
    assert bad.error is not None
    assert '  File "<cell 2>", line 3, in <module>\n    x / 0\n' in bad.error.traceback
    assert bad.warnings == wrong.warnings == [FENCE]
    assert "\nline 3: shop.order has no parameter" in error_of(wrong)[1]
    assert shop.called == ["order 1"]


def test_a_syntax_error_has_line_caret_and_advice(either: Sandbox):
    script = either.run_code("let x = 1;")
    fenced = either.run_code("```python\nx = 1\ny = (x\n```")

    assert script.error is not None
    assert fenced.error is not None
    assert script.error.traceback == (
        '  File "<cell 1>", line 1\n    let x = 1;\n        ^\n'
        "SyntaxError: invalid syntax. This looks like JavaScript: send Python.\n"
    )
    assert fenced.error.traceback == (
        "  File \"<cell 2>\", line 3\n    y = (x\n        ^\nSyntaxError: '(' was never closed\n"
    )


def test_return_and_await_stand_at_the_top_level_together(either: Sandbox, shop: Shop):
    execution = either.run_code(
        "import asyncio\n"
        "for n in range(9):\n"
        "    found, _ = await asyncio.gather(shop.order(n), shop.refund(n))\n"
        "    if found['total'] == 20:\n"
        "        return found\n"
    )

    assert execution.text == "{'number': 2, 'total': 20}"
    assert execution.results[0].is_main_result
    assert either.run_code("found['number']").text == "2"


def test_magics_go_on_beside_tools():
    pytest.importorskip("IPython")
    shop = Shop()
    policy = Policy(environment=Environment(shell="ipython"))
    with Sandbox(policy, tools=Toolset.of(shop.order, name="shop")) as sandbox:
        command = sandbox.run_code("!echo out\nshop.order(1)['total']")
        fenced = sandbox.run_code("```python\nx = !echo in\nx[0], order(2)['total']\n```")
        cell = sandbox.run_code("%%bash\necho '```'")

    assert (command.text, command.logs.stdout, command.warnings) == ("10", ["out\n"], [])
    assert (fenced.text, fenced.warnings) == ("('in', 20)", [FENCE])
    assert (cell.logs.stdout, cell.warnings) == (["```\n"], [])


@pytest.mark.parametrize("shell", SHELLS)
def test_without_tools_code_is_read_in_the_same_way(shell: Shell):
    if shell == "ipython":
        pytest.importorskip("IPython")
    with Sandbox(Policy(environment=Environment(shell=shell))) as sandbox:
        returned = sandbox.run_code("if True:\n    return 7")
        escaped = sandbox.run_code("x = 3\\nx * 2")
        plain = sandbox.run_code("x")

    assert (returned.text, returned.warnings) == ("7", [])
    assert (escaped.text, escaped.warnings) == (
        "6",
        ["The code was changed before it ran: it had been escaped twice."],
    )
    assert (plain.text, plain.warnings) == ("3", [])


def test_names_are_looked_up_where_imports_are_few():
    shop = Shop()
    policy = Policy(environment=Environment(ready=0), allow_imports=("math",))
    with Sandbox(policy, tools=Toolset.of(shop.order, name="shop")) as sandbox:
        execution = sandbox.run_code("import math\norder(1)\nshop.ordre(2)")

    assert "there is no tool shop.ordre; did you mean shop.order?" in error_of(execution)[1]
    assert shop.called == []
