"""Any frame is a typed message within its bounds, or a protocol error with a short reason."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocell._printable import is_printable_line
from protocell._running.messages import (
    MOST_TRACEBACK_BYTES,
    MOST_VALUE_BYTES,
    MOST_WARNING_CHARACTERS,
    MOST_WARNINGS,
    SLACK_BYTES,
    ClearMessage,
    ErrorMessage,
    Message,
    MessageReader,
    ResultMessage,
)
from protocell.errors import ProtocolError

RESULT_BYTES = 50
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TEXT = st.text(st.characters(categories=["L", "Cc", "Cs"]), max_size=80)
NUMBERS = st.just(7) | ANYTHING
# Nearly right frames get further than garbage does: each field is right most of the time.
FRAMES = st.one_of(
    st.fixed_dictionaries(
        {
            "event": st.just("done"),
            "id": NUMBERS,
            "exit_code": ANYTHING,
            "left_out": st.integers() | ANYTHING,
        },
        optional={"warnings": st.lists(TEXT | st.just("x" * 2000), max_size=25) | ANYTHING},
    ),
    st.fixed_dictionaries(
        {"event": st.just("clear"), "id": NUMBERS, "wait": st.booleans() | ANYTHING}
    ),
    st.fixed_dictionaries(
        {
            "event": st.just("error"),
            "id": NUMBERS,
            "name": TEXT | ANYTHING,
            "value": TEXT | ANYTHING | st.just("é" * MOST_VALUE_BYTES),
            "traceback": TEXT | ANYTHING,
        }
    ),
    st.fixed_dictionaries(
        {
            "event": st.just("result"),
            "id": NUMBERS,
            "main": st.booleans() | ANYTHING,
            "formats": st.dictionaries(
                st.sampled_from(["text/plain", "image/png", "text/\n"]) | st.text(),
                TEXT | ANYTHING | st.just("x" * (RESULT_BYTES + SLACK_BYTES + 1)),
                max_size=3,
            ),
            "files": st.dictionaries(
                st.sampled_from(["text/plain", "text/\n"]), st.text() | ANYTHING, max_size=2
            ),
            "display": st.none() | st.text() | ANYTHING,
            "update": st.booleans() | ANYTHING,
        },
        optional={"more": ANYTHING},
    ),
    st.dictionaries(st.text(), ANYTHING, max_size=4),
)


@given(st.lists(FRAMES, max_size=6))
def test_any_frames_are_messages_within_bounds_or_one_protocol_error(
    frames: list[dict[str, Any]],
):
    messages, refusal = read(frames)

    for message in messages:
        check(message)
    assert refusal.isprintable()
    assert len(refusal) <= 160


def read(frames: list[dict[str, Any]]) -> tuple[list[Message], str]:
    reader = MessageReader(number=7, result_bytes=RESULT_BYTES)
    messages: list[Message] = []
    for frame in frames:
        try:
            messages.append(reader.read(frame))
        except ProtocolError as refused:
            return messages, str(refused)
    return messages, ""


def check(message: Message) -> None:
    if isinstance(message, ResultMessage):
        texts = list(message.formats.values())
        assert type(message.main) is type(message.update) is bool
        assert message.display is not None or not message.update
        assert all(
            path.isprintable() and not path.startswith("/") for path in message.files.values()
        )
        assert sum(len(text.encode()) for text in texts) <= RESULT_BYTES + SLACK_BYTES
    elif isinstance(message, ErrorMessage):
        assert message.name.isprintable()
        assert 1 <= len(message.name) <= 200
        assert len(message.value.encode()) <= MOST_VALUE_BYTES + 20
        assert len(message.traceback.encode()) <= MOST_TRACEBACK_BYTES + 20
    elif isinstance(message, ClearMessage):
        assert type(message.wait) is bool
    else:
        assert message.left_out >= 0
        assert message.exit_code is None or type(message.exit_code) is int
        assert len(message.warnings) <= MOST_WARNINGS
        assert all(len(text) <= MOST_WARNING_CHARACTERS for text in message.warnings)
        assert all(map(is_printable_line, message.warnings))
