"""What an execution cost in tokens, and what the same calls had cost without code."""

import json
from typing import Any

import pytest

from protocell._catalogue import tokens, weight
from protocell._catalogue.account import Prices, TokenAccount, account, prices
from protocell._catalogue.levels import view
from protocell._catalogue.tokens import count
from protocell.calls import ToolCall
from protocell.execution import Execution, ExecutionError, Logs
from protocell.files import FileSet
from protocell.result import Result
from protocell.tools.skill_tool import SkillTool
from protocell.tools.tool import Tool
from protocell_guest import values
from tests.catalogue.tools import ISSUE, catalogue, real, some, tool

PRICES = Prices(
    definitions={"shop/order": 60, "shop/cancel": 40, "shop/list": 100},
    description=300,
    direct=frozenset(),
    is_estimate=False,
)


def call(number: int = 1, name: str = "shop/order", **more: Any) -> ToolCall:
    server, _, tool_name = name.partition("/")
    fields: dict[str, Any] = {"outcome": "ok", "argument_tokens": 10, "result_tokens": 40}
    return ToolCall(number=number, server=server, tool=tool_name, arguments={}, **(fields | more))


def execution(calls: list[ToolCall], *, shown: str = "12", **more: Any) -> Execution:
    logs = Logs(stdout=[f"{shown}\n"])
    fields: dict[str, Any] = {"status": "ok", "reason": "", "files": FileSet()}
    return Execution(**(fields | more), logs=logs, tool_calls=calls)


def of(calls: int, *, written: int = 30, output: int = 20, **more: Any) -> TokenAccount:
    """An account of so many calls, each of 10 tokens and 40 of result, with three small tools."""
    fields: dict[str, Any] = {
        "static_definitions": 200,
        "static_arguments": 10 * calls,
        "static_results": 40 * calls,
        "code_definitions": 300,
        "code_written": written,
        "code_output": output,
        "calls": calls,
        "called": ("shop/order",) if calls else (),
        "is_estimate": False,
    }
    return TokenAccount(**(fields | more))


def test_a_loop_of_calls_whose_results_stay_inside_is_cheaper_in_code():
    found = of(50)

    assert (found.static_total, found.code_total) == (2_700, 350)
    assert (found.saved, found.ratio, found.code_mode_loses) == (2_350, 350 / 2_700, False)
    assert found.better_direct == ()
    assert found.advice == "Code mode saved 2,350 tokens (87%)."


def test_two_calls_of_few_tools_are_dearer_in_code_and_it_says_so():
    found = of(2, written=60, output=80)

    assert (found.static_total, found.code_total, found.code_mode_loses) == (300, 440, True)
    assert found.better_direct == ("shop/order",)
    assert found.advice == (
        "Code mode lost: it cost 140 tokens more than static tools. The calls alone were dearer in code "
        "(140 tokens, 100 if called directly). Where so few calls are usual, give these directly: "
        "Tools(direct=['shop/order'])."
    )


def test_few_calls_among_many_tools_win_as_a_whole_and_are_dearer_by_themselves():
    found = of(2, written=60, output=80, static_definitions=90_000)

    assert (found.code_mode_loses, found.better_direct) == (False, ("shop/order",))
    assert found.advice.startswith(
        "Code mode saved 89,660 tokens (100%). The calls alone were dearer"
    )


def test_where_the_description_alone_is_dearer_no_tool_is_named():
    found = of(2, written=20, output=10)

    assert (found.code_mode_loses, found.better_direct) == (True, ())
    assert found.advice == (
        "Code mode lost: it cost 30 tokens more than static tools. The calls alone were cheaper in code "
        "(30 tokens, 100 if called directly): what is dearer is the description of the one tool, which is "
        "sent whatever is called."
    )


def test_code_that_prints_all_it_was_given_is_told_to_print_less():
    found = of(50, output=2_600)

    assert found.better_direct == ()
    assert found.advice.endswith("Printing less of what they gave would have made it cheaper.")


def test_without_calls_there_is_nothing_to_compare():
    found = of(0)

    assert (found.code_mode_loses, found.advice) == (
        False,
        "No tool was called: there is nothing to compare.",
    )


def test_a_chain_of_executions_with_a_call_each_is_few_calls_each():
    chain = TokenAccount.total([of(1, written=40, output=40) for _ in range(12)])

    assert (chain.executions, chain.calls) == (12, 12)
    assert (chain.static_definitions, chain.code_definitions) == (200, 300)
    assert (chain.static_total, chain.code_total) == (800, 1_260)
    assert chain.better_direct == ("shop/order",)


def test_of_no_account_there_is_no_total():
    with pytest.raises(ValueError, match="no account"):
        TokenAccount.total([])


def test_it_reads_as_a_table():
    assert str(of(50)) == (
        "tokens                static tools     code mode\n"
        "definitions                    200           300\n"
        "calls, or code                 500            30\n"
        "results, or output           2,000            20\n"
        "total                        2,700           350\n"
        "Code mode saved 2,350 tokens (87%)."
    )
    assert str(of(50, is_estimate=True)).endswith("\nThese numbers are estimates.")


def test_as_json_it_has_what_follows_from_the_numbers_too():
    found = json.loads(json.dumps(of(2, written=60, output=80).to_dict()))

    assert (found["static_total"], found["code_total"], found["saved"]) == (300, 440, -140)
    assert (found["code_mode_loses"], found["better_direct"]) == (True, ["shop/order"])
    assert found["called"] == ["shop/order"]


def test_counted_are_code_output_error_and_the_calls():
    shown = Result(by_mime={"text/plain": "a value"}, is_main_result=True)
    error = ExecutionError(name="KeyError", value="'x'", traceback="Traceback: KeyError")
    ran = execution([call(1), call(2, "shop/list")], results=[shown], error=error)

    found = account(PRICES, "order(1)", ran)

    assert (found.static_definitions, found.code_definitions) == (200, 300)
    assert (found.static_arguments, found.static_results, found.calls) == (20, 80, 2)
    assert found.code_written == count('{"code": "order(1)"}').tokens
    assert found.code_output == count("12\na valueTraceback: KeyError").tokens
    assert found.called == ("shop/list", "shop/order")


def test_what_code_called_wrongly_is_no_tool_to_be_given_directly():
    made_up = call(1, "Tools(direct=['shop/x'])/x", outcome="error", kind="not_found")

    assert account(PRICES, "x()", execution([made_up])).called == ()


def test_tools_that_are_direct_already_cost_their_definition_and_are_not_advised():
    direct = Prices(
        definitions=PRICES.definitions,
        description=300,
        direct=frozenset({"shop/order"}),
        is_estimate=False,
    )

    found = account(direct, "order(1)", execution([call(1)]))

    assert (found.code_definitions, found.called) == (360, ())


def test_calls_that_nobody_counted_are_none():
    broken = call(1, "/", argument_tokens=None, result_tokens=None, outcome="error")
    cancelled = call(2, result_tokens=None, outcome="cancelled")

    found = account(PRICES, "order(1)", execution([broken, cancelled]))

    assert (found.calls, found.static_arguments, found.static_results) == (1, 10, 0)


@pytest.fixture
def tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is installed, and counts words."""
    monkeypatch.setattr(tokens, "_tokenizer", lambda: lambda text: len(text.split()))


def test_without_a_tokenizer_it_is_an_estimate(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokens, "_tokenizer", lambda: None)

    assert account(PRICES, "order(1)", execution([call(1)])).is_estimate


@pytest.mark.usefixtures("tokenizer")
def test_a_result_that_was_too_large_to_be_counted_makes_it_an_estimate():
    small, large = call(1), call(1, result_bytes=weight.MOST_BYTES + 1)

    assert not account(PRICES, "order(1)", execution([small])).is_estimate
    assert account(PRICES, "order(1)", execution([large])).is_estimate


def test_the_definitions_of_real_servers_cost_what_they_cost_as_static_tools():
    shown = some("github")
    found = prices(shown, view(shown))

    # As that server lists them, o200k_base counts 4,473.
    assert 3_500 < sum(found.definitions.values()) < 5_000
    assert found.definitions.keys() == {each.id for each in shown.tools}
    assert found.description < 1_700


def test_of_many_servers_the_one_description_is_a_fraction():
    shown = real()
    found = prices(shown, view(shown))

    assert found.description < 600
    assert found.description < sum(found.definitions.values()) / 100


def test_a_definition_counts_as_name_description_and_schema():
    shown = catalogue(tool("create_issue", schema=ISSUE, description="Create one."))
    found = prices(shown, view(shown))
    spec = {"name": "github__create_issue", "description": "Create one.", "input_schema": ISSUE}

    text = json.dumps([spec], separators=(",", ":"))
    assert found.definitions == {"github/create_issue": count(text).tokens}


def test_a_skill_has_no_definition_and_cannot_be_direct():
    skill = SkillTool(**{name: getattr(tool("sum_up"), name) for name in Tool.__slots__})
    shown = catalogue(skill, tool("a"))

    assert prices(shown, view(shown)).definitions.keys() == {"github/a"}
    assert view(shown, direct=["github.*"]).direct == {"github__a": "github/a"}


@pytest.mark.parametrize(
    "value, text",
    [
        ("two\nlines", "two\nlines"),
        ("ä", "ä"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ([b"xx" * 1_000], "[null]"),
        (float("nan"), '{"$float":"nan"}'),
    ],
)
def test_a_value_weighs_what_a_model_would_have_read(value: object, text: str):
    assert weight.weigh(values.dumps(value)) == count(text)


def test_what_is_large_is_weighed_by_its_beginning():
    found = weight.weigh(values.dumps(["word"] * 1_000_000))

    assert found.tokenizer == "estimate"
    assert found.tokens == pytest.approx(count('"word",' * 10_000).tokens * 100, rel=0.02)


@pytest.mark.usefixtures("tokenizer")
def test_texts_beside_the_json_are_weighed_too_and_not_more_than_a_megabyte_of_them():
    word = "word " * 20_000
    alone = count(word).tokens
    some_of_them, many = weight.weigh(b"null", [word] * 2), weight.weigh(b"null", [word] * 500)

    assert (some_of_them.tokens, some_of_them.is_exact) == (1 + 2 * alone, True)
    assert many.tokens == pytest.approx(500 * alone, rel=0.01)
    assert many.tokenizer == "estimate"


@pytest.mark.usefixtures("tokenizer")
def test_a_long_text_is_weighed_in_the_same_way():
    assert weight.weigh_text("word " * 1_000).is_exact
    found = weight.weigh_text("word " * 1_000_000)

    assert found.tokens == pytest.approx(1_000_000, rel=0.01)
    assert found.tokenizer == "estimate"
