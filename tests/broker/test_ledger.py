"""What is kept of the calls of one execution has bounds that the code cannot move."""

from typing import Any

from protocell._broker.ledger import Ledger
from protocell.calls import ToolCall
from protocell.tools.limits import ToolLimits
from protocell_guest import values
from tests.broker.conftest import Open


def record(number: int, **more: Any) -> ToolCall:
    return ToolCall(number=number, server="s", tool="t", arguments={}, outcome="ok", **more)


def test_of_calls_that_are_refused_some_are_kept_and_the_rest_counted():
    ledger = Ledger(2, 1000)
    for number in range(1, 500):
        ledger.enter(record(number))

    assert [call.number for call in ledger.calls] == list(range(1, 104))
    assert ledger.calls[-1].message == "397 further calls were refused: they were too many"
    assert ledger.calls[-1].kind == "budget"


def test_arguments_and_answers_share_one_room():
    ledger = Ledger(10, 10_000)
    large = {"text": "x" * 9_000}

    assert ledger.arguments(large, 9_000) is large
    assert ledger.arguments(large, 9_000) == {
        "text": "[left out: the log of this execution is full]"
    }
    assert ledger.answer(values.pack("y" * 2_000)) is None
    assert ledger.answer(values.pack("z")) == values.dumps("z")


def test_small_arguments_have_their_place_in_any_case():
    ledger = Ledger(10, 0)

    assert ledger.arguments({"x": 1}, 50) == {"x": 1}


def test_large_arguments_of_many_calls_do_not_stay_on_the_host(open_line: Open):
    session = open_line(ToolLimits(log_bytes=300_000))
    for number in range(5):
        session.tools["echo"](f"{number}" * 60_000)
    session.finish()

    kept = [len(call.arguments["value"]) for call in session.counter.calls]
    assert (kept[0], kept[-1]) == (60_000, 45)


def test_the_last_word_is_how_the_code_broke_its_line():
    ledger = Ledger(10, 0)
    ledger.enter(record(1))
    ledger.violation = "nonsense"

    assert [(call.number, call.kind) for call in ledger.calls] == [(1, ""), (2, "transport")]
