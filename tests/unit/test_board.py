"""What stands at the end of an execution is what the code left there, and never too much."""

import pytest

from protocell._running.board import MOST_RESULTS, Board
from protocell._running.messages import SLACK_BYTES, ClearMessage, ResultMessage
from protocell.errors import ProtocolError

CLEAR, CLEAR_LATER = ClearMessage(wait=False), ClearMessage(wait=True)


def shown(text: str, display: str | None = None, *, update: bool = False) -> ResultMessage:
    return ResultMessage(main=False, formats={"text/plain": text}, display=display, update=update)


def standing(*messages: ResultMessage | ClearMessage, results_bytes: int = 1000) -> list[str]:
    board = Board(results_bytes)
    for message in messages:
        board.take(message)
    return [result.formats["text/plain"] for result in board.results]


def test_results_stand_in_the_order_in_which_they_came():
    assert standing(shown("a"), shown("b"), shown("a")) == ["a", "b", "a"]


def test_an_update_takes_the_place_of_all_that_have_its_name():
    assert standing(
        shown("a", "x"), shown("b"), shown("c", "x"), shown("d", "y"), shown("e", "x", update=True)
    ) == ["e", "b", "e", "d"]


def test_an_update_of_what_an_earlier_execution_showed_is_a_result_of_its_own():
    assert standing(shown("a"), shown("b", "x", update=True), shown("c", "x", update=True)) == [
        "a",
        "c",
    ]


def test_a_display_with_a_name_that_is_taken_is_one_more_and_what_stands_there_is_as_it():
    assert standing(shown("a", "x"), shown("b"), shown("c", "y"), shown("d", "x")) == [
        *("d", "b", "c", "d")
    ]
    assert standing(shown("a", "x"), CLEAR, shown("b", "x")) == ["b"]


def test_what_takes_the_place_of_others_is_the_main_result_nowhere_else():
    board = Board(1000)
    board.take(shown("a", "x"))
    board.take(ResultMessage(main=True, formats={"text/plain": "b"}, display="x"))

    assert [(one.formats["text/plain"], one.main) for one in board.results] == [
        *(("b", False), ("b", True))
    ]


def test_clearing_takes_away_what_stands_now_or_when_something_takes_its_place():
    assert standing(shown("a"), CLEAR) == []
    assert standing(shown("a"), CLEAR, shown("b")) == ["b"]
    assert standing(shown("a"), CLEAR_LATER) == ["a"]
    assert standing(shown("a"), CLEAR_LATER, shown("b"), shown("c")) == ["b", "c"]
    assert standing(shown("a", "x"), CLEAR_LATER, shown("b", "x", update=True)) == ["b"]
    assert standing(shown("a"), CLEAR_LATER, CLEAR, shown("b"), shown("c")) == ["b", "c"]


def test_a_hundred_may_stand_at_once():
    assert len(standing(*[shown("a")] * MOST_RESULTS)) == 100
    with pytest.raises(ProtocolError, match=r"^more than 100 results at once$"):
        standing(*[shown("a")] * (MOST_RESULTS + 1))


def test_there_is_room_for_the_main_result_beside_the_hundred_others():
    main = ResultMessage(main=True, formats={"text/plain": "main"})
    full = [shown("a")] * MOST_RESULTS

    assert standing(*full, main)[-1] == "main"
    with pytest.raises(ProtocolError, match=r"^more than 100 results at once$"):
        standing(*full, main, shown("b"))


def test_those_that_were_cleared_or_replaced_do_not_count():
    assert len(standing(*[shown("a" * 900, "x", update=True)] * 500)) == 1
    with pytest.raises(ProtocolError, match=r"^more than 100 results at once$"):
        standing(*[shown("a", "x")] * (MOST_RESULTS + 1), results_bytes=10_000)
    frames: list[ResultMessage | ClearMessage] = [CLEAR_LATER, shown("a" * 900)]
    assert len(standing(*frames * 500)) == 1


def test_all_that_stand_are_bounded_together():
    most = 1000 + 2 * SLACK_BYTES

    assert len(standing(shown("a" * (most // 2)), shown("é" * (most // 4)))) == 2
    with pytest.raises(
        ProtocolError, match=rf"^results of {most + 2} bytes; at most 1000 are allowed$"
    ):
        standing(shown("a" * (most // 2)), shown("é" * (most // 4 + 1)))
