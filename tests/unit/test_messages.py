"""Messages from a context: exactly what an honest one sends, and nothing else."""

from typing import Any

import pytest

from protocell._running.messages import (
    MOST_TRACEBACK_BYTES,
    MOST_VALUE_BYTES,
    SLACK_BYTES,
    ClearMessage,
    DoneMessage,
    ErrorMessage,
    Message,
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
    "files": {},
    "display": None,
    "update": False,
}
CLEAR: dict[str, Any] = {"event": "clear", "id": 7, "wait": True}
ERROR: dict[str, Any] = {
    "event": "error",
    "id": 7,
    "name": "ValueError",
    "value": "no",
    "traceback": "Traceback ...",
}
DONE: dict[str, Any] = {"event": "done", "id": 7, "exit_code": None, "left_out": 0}


def parsed(frame: dict[str, Any]) -> Message:
    return parse_message(frame, number=7, result_bytes=1000)


def refusal(frame: dict[str, Any]) -> str:
    with pytest.raises(ProtocolError) as caught:
        parsed(frame)
    return str(caught.value)


def test_an_honest_frame_is_a_message():
    assert parsed(RESULT) == ResultMessage(main=True, formats={"text/plain": "42"})
    assert parsed(ERROR) == ErrorMessage(name="ValueError", value="no", traceback="Traceback ...")
    assert parsed(DONE) == DoneMessage(exit_code=None)
    assert parsed(DONE | {"exit_code": 3, "left_out": 5}) == DoneMessage(exit_code=3, left_out=5)
    assert parsed(CLEAR) == ClearMessage(wait=True)


def test_warnings_are_printable_lines_of_bounded_length():
    long = "é" * 2000
    told = DONE | {"warnings": ["one\n\x1b[2J\ud800\u202e", long]}

    assert parsed(told) == DoneMessage(
        exit_code=None,
        warnings=(r"one\n\x1b[2J\ud800\u202e", "é" * 997 + "..."),
    )
    assert parsed(DONE | {"warnings": []}) == DoneMessage(exit_code=None)


def test_a_result_names_its_files_and_what_it_replaces():
    files = {"text/html": "results/3-1.html", "image/png": "résumé.png"}
    frame = RESULT | {"files": files, "display": "one\ud800", "update": True, "main": False}

    assert parsed(frame) == ResultMessage(
        main=False, formats={"text/plain": "42"}, files=files, display="one?", update=True
    )


def test_the_types_of_what_notebooks_show_are_mime_types():
    forms = {
        "application/vnd.plotly.v1+json": "{}",
        "application/vnd.bokehjs_exec.v0+json": "{}",
        "application/vnd.protocell.data+json": "{}",
        "a" * 127 + "/" + "B" * 127: "",
    }
    formats = {"text/plain": "", **forms}

    assert parsed(RESULT | {"formats": formats}).formats == formats  # type: ignore[union-attr]


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
        (
            {"event": "done", "exit_code": 0, "left_out": 0},
            "'done' has no 'id', or should have none",
        ),
        (DONE | {"left_out": -1}, "'done' has a 'left_out' that no honest context counts to"),
        (DONE | {"left_out": 1 << 60}, "'done' has a 'left_out' that no honest context counts to"),
        (DONE | {"left_out": True}, "'done' has 'left_out' of type bool"),
        (DONE | {"warnings": "no"}, "'done' has 'warnings' of type str"),
        (DONE | {"warnings": [["no"]]}, "'done' has more than 20 'warnings', or one is no text"),
        (DONE | {"warnings": ["x"] * 21}, "'done' has more than 20 'warnings', or one is no text"),
        (CLEAR | {"wait": 1}, "'clear' has 'wait' of type int"),
        (CLEAR | {"id": 8}, "'clear' is about execution 8, not 7"),
        (RESULT | {"update": True}, "'result' is an 'update' of nothing"),
        (RESULT | {"update": 1, "display": "a"}, "'result' has 'update' of type int"),
        (RESULT | {"display": 1}, "'result' has 'display' of type int"),
        (RESULT | {"display": "é" * 501}, "'result' has a 'display' that is too long"),
        (RESULT | {"files": []}, "'result' has 'files' of type list"),
        (
            RESULT | {"files": {f"a/b{i}": "x" for i in range(17)}},
            "'files' has more than 16 names",
        ),
        (
            RESULT | {"files": {"a b": "x"}},
            "'files' has 'a b', which is no file of the workspace",
        ),
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
    ids=range(37),
)
def test_a_frame_that_is_not_honest_is_refused(frame: dict[str, Any], message: str):
    assert refusal(frame)[: len(message)] == message
    assert len(refusal(frame)) < 120


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "./a",
        "a/",
        "~/a",
        "a\n",
        "\x1b[2J",
        "\ud800",
        "x" * 201,
        None,
        1,
    ],
)
def test_a_path_that_is_not_in_its_plainest_form_is_refused(path: object):
    assert refusal(RESULT | {"files": {"text/html": path}}) == (
        "'files' has 'text/html', which is no file of the workspace"
    )


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
    forms = {f"{'a' * 127}/{i:0127}": "" for i in range(15)}
    files = {f"{'a' * 127}/{i:0127}": "😀" * 200 for i in range(16)}
    more = {"files": files, "display": "\0" * 1000}
    error = {
        "name": "\0" * 200,
        "value": "\0" * MOST_VALUE_BYTES,
        "traceback": "\0" * MOST_TRACEBACK_BYTES,
    }

    assert len(encode(RESULT | {"formats": full | forms} | more)) < max_frame_bytes(result_bytes)
    assert len(encode(ERROR | error)) < max_frame_bytes(1)


# -- order -----------------------------------------------------------------------------------------


def read_all(*frames: dict[str, Any]) -> int:
    reader = MessageReader(number=7, result_bytes=1000)
    return len([reader.read(frame) for frame in frames])


def test_an_execution_has_results_and_an_error_and_an_end():
    display = RESULT | {"main": False}

    assert read_all(display, CLEAR, display, RESULT, ERROR, DONE) == 6


@pytest.mark.parametrize(
    "frames, message",
    [
        ([DONE, DONE], "a message after the end of its execution"),
        ([DONE, RESULT], "a message after the end of its execution"),
        ([ERROR, ERROR], "a second error in one execution"),
        ([RESULT, RESULT], "a second main result in one execution"),
        ([CLEAR] * 10_001, "more than 10000 results in one execution"),
    ],
    ids=["done-done", "done-result", "error-error", "main-main", "many"],
)
def test_a_message_out_of_turn_is_refused(frames: list[dict[str, Any]], message: str):
    with pytest.raises(ProtocolError) as caught:
        read_all(*frames)

    assert str(caught.value) == message


def test_ten_thousand_replacements_are_allowed():
    assert read_all(*[RESULT | {"main": False}, CLEAR] * 5000, DONE) == 10_001
