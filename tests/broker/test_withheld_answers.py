"""A tool that has run has run: whatever keeps its answer from the code, it is told as that, and not run again."""

from typing import Any

import pytest

from protocell import Sandbox
from protocell.calls import ToolCall
from protocell.tools import Budget, Recording, ToolError, ToolLimits, Tools, Toolset


class Bank:
    """Pays, and is heard of by somebody who may fail."""

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.fault: BaseException | None = None

    def pay(self, amount: int) -> str:
        """Pay so much."""
        self.paid.append(amount)
        return f"paid {amount} " + "x" * amount

    def after(self, call: ToolCall) -> None:
        if self.fault is not None and call.outcome == "ok":
            raise self.fault


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def toolset(bank: Bank) -> Toolset:
    return Toolset.of(bank.pay, name="bank")


def test_a_call_whose_answer_a_failing_hook_withheld_has_run_and_is_not_made_again(
    bank: Bank, toolset: Toolset
):
    bank.fault = OSError("/etc/secret of the host")
    with Sandbox(tools=Tools(toolset=toolset, after=bank.after)) as sandbox:
        failed = sandbox.run_code("bank.pay(5)")
        again = sandbox.run_code("bank.pay(5)", retry_of=failed)
        bank.fault = None
        fine = sandbox.run_code("bank.pay(5)", retry_of=again)

    (call,) = failed.tool_calls
    assert (call.outcome, call.ran, call.kind) == ("withheld", True, "denied")
    assert "ran, its answer was withheld: denied" in str(call)
    assert failed.error is not None
    assert failed.error.name == "ToolDeniedError"
    assert failed.tool_calls_note == (
        "Before the code ended, it had made one call of a tool. Do not repeat what has changed something:\n"
        "bank.pay(amount=5): ran, and must not be repeated; its answer was withheld (denied): bank/pay has run, "
        "and its answer is withheld: after= failed (OSError)"
    )
    assert again.error is not None
    assert again.error.value == failed.error.value
    assert [call.served for call in again.tool_calls] == [True]
    assert fine.text == "'paid 5 xxxxx'"
    assert bank.paid == [5]


def test_what_a_hook_raises_by_intent_is_what_the_code_sees_with_the_same_account(
    bank: Bank, toolset: Toolset
):
    bank.fault = ToolError("that is a secret", kind="denied")
    with Sandbox(tools=Tools(toolset=toolset, after=bank.after)) as sandbox:
        failed = sandbox.run_code("bank.pay(5)")
        again = sandbox.run_code("bank.pay(5)", retry_of=failed)

    assert failed.error is not None
    assert again.error is not None
    assert (failed.error.value, again.error.value) == ("that is a secret", "that is a secret")
    assert "bank.pay(amount=5): ran, and must not be repeated" in failed.tool_calls_note
    assert bank.paid == [5]


@pytest.mark.parametrize(
    "options",
    [
        {"limits": ToolLimits(result_bytes=20)},
        {"limits": ToolLimits(total_bytes=20)},
        {"budgets": {"pay": Budget(total_bytes=20)}},
    ],
)
def test_a_call_whose_answer_was_too_large_has_run_and_is_not_made_again(
    bank: Bank, toolset: Toolset, options: dict[str, Any]
):
    with Sandbox(tools=Tools(toolset=toolset, **options)) as sandbox:
        failed = sandbox.run_code("bank.pay(50)")
        again = sandbox.run_code("bank.pay(50)", retry_of=failed)

    assert [(call.outcome, call.kind) for call in failed.tool_calls] == [("withheld", "budget")]
    assert failed.error is not None
    assert again.error is not None
    assert failed.error.value.startswith("bank/pay has run, and ")
    assert failed.error.name == again.error.name == "ToolBudgetError"
    assert failed.error.value == again.error.value
    assert "ran, and must not be repeated" in again.tool_calls_note
    assert bank.paid == [50]


def test_an_answer_that_was_withheld_is_given_nobody_who_does_not_look_at_it(
    bank: Bank, toolset: Toolset, tmp_path: Any
):
    bank.fault = ToolError("that is a secret", kind="denied")
    recording = Recording()
    with Sandbox(tools=Tools(toolset=toolset, after=bank.after, record=recording)) as sandbox:
        failed = sandbox.run_code("bank.pay(5)")
    with Sandbox(tools=toolset) as sandbox:
        elsewhere = sandbox.run_code("bank.pay(5)", retry_of=failed)
    recording.save(tmp_path / "session.jsonl")
    played = Tools.replaying(Recording.load(tmp_path / "session.jsonl"), after=lambda _: None)
    with Sandbox(tools=played) as sandbox:
        later = sandbox.run_code("bank.pay(5)")

    assert "paid 5" not in (tmp_path / "session.jsonl").read_text()
    for execution in (elsewhere, later):
        assert execution.error is not None
        assert execution.error.value == "that is a secret"
    assert bank.paid == [5]


def test_a_call_that_a_hook_refused_before_has_not_run_and_is_not_told_as_made(
    bank: Bank, toolset: Toolset
):
    def before(_request: Any) -> None:
        raise ToolError("not on a Sunday", kind="denied")

    with Sandbox(tools=Tools(toolset=toolset, before=before)) as sandbox:
        failed = sandbox.run_code("bank.pay(5)")

    assert [(call.outcome, call.ran) for call in failed.tool_calls] == [("error", False)]
    assert failed.tool_calls_note == (
        "Refused, and not made:\nbank.pay(amount=5): refused (denied): not on a Sunday"
    )
    assert bank.paid == []


def test_a_tool_that_failed_has_run_though_a_hook_denies_its_error(toolset: Toolset):
    def fail() -> None:
        """Fail."""
        raise ValueError("half way")

    def after(_call: ToolCall) -> None:
        raise OSError("of the host's own")

    tools = Tools(toolset=toolset + Toolset.of(fail, name="half"), after=after)
    with Sandbox(tools=tools) as sandbox:
        failed = sandbox.run_code("half.fail()")

    assert [(call.outcome, call.kind, call.ran) for call in failed.tool_calls] == [
        ("error", "denied", True)
    ]
    assert failed.tool_calls_note.startswith("Before the code ended, it had made one call")


def test_arguments_that_are_too_large_are_in_the_log_without_them(toolset: Toolset, bank: Bank):
    with Sandbox(tools=Tools(toolset=toolset, limits=ToolLimits(argument_bytes=1000))) as sandbox:
        failed = sandbox.run_code("call_tool('bank/pay', amount='1' * 5000)")
        other = sandbox.run_code("bank.pay(7)")

    (call,) = failed.tool_calls
    assert (call.server, call.tool, call.outcome, call.kind, call.ran, dict(call.arguments)) == (
        *("bank", "pay", "error", "budget"),
        *(False, {}),
    )
    assert failed.error is not None
    assert failed.error.name == "ToolBudgetError"
    assert "at most 1000 are taken" in failed.error.value
    assert "at most 1000 are taken" in call.message
    assert failed.tool_calls_note.startswith("Refused, and not made:\nbank.pay(): refused (budget)")
    assert (other.text, bank.paid) == ("'paid 7 xxxxxxx'", [7])
