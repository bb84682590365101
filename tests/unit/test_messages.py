"""Messages from a context: exactly what an honest one sends, and nothing else."""

from typing import Any

import pytest

from protocell._messages import (
    MOST_TRACEBACK_BYTES,
    MOST_VALUE_BYTES,
    SLACK_BYTES,
    DoneMessage,
    ErrorMessage,
    MessageReader,
    ResultMessage,
    max_frame_bytes,
    parse_message,
)
from protocell.errors import ProtocolError
from protocell_guest.wire import encode

RESULT: dict[str, Any] = {
    "event": "result",
    "id": 7,
    "main": True,
    "formats": {"text/plain": "42"},
}
ERROR: dict[str, Any] = {
    "event": "error",
    "id": 7,
    "name": "ValueError",
    "value": "no",
    "traceback": "Traceback ...",
}
DONE: dict[str, Any] = {"event": "done", "id": 7, "exit_code": None}


def parsed(frame: dict[str, Any]) -> ResultMessage | ErrorMessage | DoneMessage:
    return parse_message(frame, number=7, result_bytes=1000)


def refusal(frame: dict[str, Any]) -> str:
    with pytest.raises(ProtocolError) as caught:
        parsed(frame)
    return str(caught.value)


def test_an_honest_frame_is_a_message():
    assert parsed(RESULT) == ResultMessage(main=True, formats={"text/plain": "42"})
    assert parsed(ERROR) == ErrorMessage(name="ValueError", value="no", traceback="Traceback ...")
    assert parsed(DONE) == DoneMessage(exit_code=None)
    assert parsed(DONE | {"exit_code": 3}) == DoneMessage(exit_code=3)


@pytest.mark.parametrize(
    "frame, message",
    [
        ({}, "None is no event of an execution"),
        ({"event": "ready"}, "'ready' is no event of an execution"),
        ({"event": ["done"]}, "a list is no event of an execution"),
        ({"event": "\x1b[2J" * 100}, "'\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J"),
        (DONE | {"id": 8}, "'done' is about execution 8, not 7"),
        (DONE | {"id": 7.0}, "'done' is about execution a float, not 7"),
        (DONE | {"id": True}, "'done' is about execution True, not 7"),
        (DONE | {"exit_code": True}, "'done' has 'exit_code' of type bool"),
        (DONE | {"exit_code": "0"}, "'done' has 'exit_code' of type str"),
        (DONE | {"more": 1}, "'done' has no 'more', or should have none"),
        ({"event": "done", "id": 7}, "'done' has no 'exit_code', or should have none"),
        ({"event": "done", "exit_code": 0}, "'done' has no 'id', or should have none"),
        (ERROR | {"name": None}, "'error' has 'name' of type NoneType"),
        (ERROR | {"value": ["no"]}, "'error' has 'value' of type list"),
        (RESULT | {"main": 1}, "'result' has 'main' of type int"),
        (RESULT | {"formats": []}, "'result' has 'formats' of type list"),
        (
            RESULT | {"formats": {}},
            "'formats' lacks text/plain or has more than 16 forms",
        ),
        (
            RESULT | {"formats": {"text/plain": "", **{f"a/b{i}": "" for i in range(16)}}},
            "'formats' lacks text/plain or has more than 16 forms",
        ),
        (
            RESULT | {"formats": {"text/plain": 42}},
            "'formats' has 'text/plain', which is no MIME type with text",
        ),
        (
            RESULT | {"formats": {"text/plain": "", "text/a\n": ""}},
            "'formats' has 'text/a\\n', which is no MIME type with text",
        ),
        (
            RESULT | {"formats": {"text/plain": "x" * 5097}},
            "a result of 5097 bytes; at most 1000 are allowed",
        ),
        (
            RESULT | {"formats": {"text/plain": "é" * 2548, "text/html": "x"}},
            "a result of 5097 bytes; at most 1000 are allowed",
        ),
    ],
    ids=range(22),
)
def test_a_frame_that_is_not_honest_is_refused(frame: dict[str, Any], message: str):
    assert refusal(frame)[: len(message)] == message
    assert len(refusal(frame)) < 120


def test_a_result_may_be_as_long_as_its_limit_and_what_says_that_it_was_cut():
    text = "x" * (1000 + SLACK_BYTES)

    assert parsed(RESULT | {"formats": {"text/plain": text}}).formats["text/plain"] == text  # type: ignore[union-attr]


def test_lone_surrogates_are_replaced():
    odd = "a\ud800"

    assert parsed(RESULT | {"formats": {"text/plain": odd}}) == ResultMessage(
        main=True, formats={"text/plain": "a?"}
    )
    assert parsed(ERROR | {"name": odd, "value": odd, "traceback": odd}) == ErrorMessage(
        name="a\\ud800", value="a?", traceback="a?"
    )


def test_the_name_of_an_error_is_short_and_printable():
    assert parsed(ERROR | {"name": "\x1b[31m\nX"}).name == "\\x1b[31m\\nX"  # type: ignore[union-attr]
    assert parsed(ERROR | {"name": "X" * 300}).name == "X" * 197 + "..."  # type: ignore[union-attr]
    assert parsed(ERROR | {"name": ""}).name == "Exception"  # type: ignore[union-attr]


def test_the_texts_of_an_error_are_cut_between_characters():
    message = parsed(ERROR | {"value": "é" * 16_385, "traceback": "x" + "é" * 131_072})

    assert message == ErrorMessage(
        name="ValueError",
        value="é" * 16_384 + "\n[... cut ...]",
        traceback="x" + "é" * 131_071 + "\n[... cut ...]",
    )


def test_a_small_limit_for_results_does_not_cut_errors():
    text = "x" * 10_000

    assert parse_message(ERROR | {"value": text}, number=7, result_bytes=1) == ErrorMessage(
        name="ValueError", value=text, traceback="Traceback ..."
    )


def test_the_longest_honest_frame_fits():
    result_bytes = 1 << 20
    full = {"text/plain": "\0" * (result_bytes + SLACK_BYTES)}
    forms = {f"{'a' * 20}/{i:0100}": "" for i in range(15)}
    error = {
        "name": "\0" * 200,
        "value": "\0" * MOST_VALUE_BYTES,
        "traceback": "\0" * MOST_TRACEBACK_BYTES,
    }

    assert len(encode(RESULT | {"formats": full | forms})) < max_frame_bytes(result_bytes)
    assert len(encode(ERROR | error)) < max_frame_bytes(1)


# -- order -----------------------------------------------------------------------------------------


def read_all(*frames: dict[str, Any]) -> int:
    reader = MessageReader(number=7, result_bytes=1000)
    return len([reader.read(frame) for frame in frames])


def test_an_execution_has_results_and_an_error_and_an_end():
    display = RESULT | {"main": False}

    assert read_all(display, display, RESULT, ERROR, DONE) == 5


@pytest.mark.parametrize(
    "frames, message",
    [
        ([DONE, DONE], "a message after the end of its execution"),
        ([DONE, RESULT], "a message after the end of its execution"),
        ([ERROR, ERROR], "a second error in one execution"),
        ([RESULT, RESULT], "a second main result in one execution"),
        ([RESULT | {"main": False}] * 101, "more than 100 results in one execution"),
    ],
    ids=["done-done", "done-result", "error-error", "main-main", "many"],
)
def test_a_message_out_of_turn_is_refused(frames: list[dict[str, Any]], message: str):
    with pytest.raises(ProtocolError) as caught:
        read_all(*frames)

    assert str(caught.value) == message


def test_a_hundred_results_are_allowed():
    assert read_all(*[RESULT | {"main": False}] * 100, DONE) == 101
