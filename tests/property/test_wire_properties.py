"""The wire format for any message, any chunks and any garbage."""

import socket
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocell_guest import wire
from protocell_guest.wire import FrameReader, WireError, encode

# Text that is hard on a scanner which has to know what is inside a string and what is not.
NASTY_TEXT = st.text(alphabet='\\"[]{},:\n\0é\ud800a', max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | NASTY_TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY_TEXT, inner, max_size=4),
    max_leaves=10,
)
MESSAGES = st.dictionaries(NASTY_TEXT, VALUES, max_size=3)
CUTS = st.lists(st.integers(min_value=0, max_value=400), max_size=8)
MOST = 1 << 16


def chunks(stream: bytes, cuts: list[int]) -> list[bytes]:
    borders = [0, *sorted({min(cut, len(stream)) for cut in cuts}), len(stream)]
    return [stream[start:end] for start, end in pairwise(borders)]


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def items_of(value: Any) -> int:
    """Opening brackets, commas between elements, and strings, keys included."""
    if isinstance(value, dict):
        inside = sum(1 + items_of(element) for element in value.values())
        return 1 + max(0, len(value) - 1) + inside
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(items_of, value))
    return 1 if isinstance(value, str) else 0


@given(st.lists(MESSAGES, max_size=4), CUTS)
def test_messages_come_back_whatever_they_are_and_however_they_are_cut(
    messages: list[dict[str, Any]], cuts: list[int]
):
    stream = b"".join(map(encode, messages))
    reader = FrameReader(MOST)

    assert [found for chunk in chunks(stream, cuts) for found in reader.feed(chunk)] == messages
    assert reader.pending == 0


@given(MESSAGES)
def test_a_packet_comes_back_whatever_it_is(message: dict[str, Any]):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        wire.send_packet(ours, message)

        assert wire.recv_packet(theirs) == (message, [])


@given(st.binary(max_size=400), CUTS)
def test_garbage_is_messages_or_a_wire_error(garbage: bytes, cuts: list[int]):
    messages, refusal = fed(garbage, cuts, max_frame_bytes=100)

    assert {type(message) for message in messages} <= {dict}
    assert refusal.isprintable()


@given(MESSAGES, st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_a_frame_with_one_wrong_byte_is_a_message_or_a_wire_error(
    message: dict[str, Any], position: int, byte: int
):
    frame = bytearray(encode(message))
    frame[position % len(frame)] = byte
    messages, refusal = fed(bytes(frame), [])

    assert {type(message) for message in messages} <= {dict}
    assert refusal.isprintable()


@given(MESSAGES)
def test_depth_and_items_are_counted_as_a_walk_over_the_message_counts_them(
    message: dict[str, Any],
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "MAX_DEPTH", 3)
        patch.setattr(wire, "MAX_ITEMS", 12)
        _, refusal = fed(encode(message), [])

    too_many = f"message has {items_of(message)} items; at most 12 are allowed"
    if items_of(message) > 12:
        assert refusal in ("message has more than 12 strings", too_many)
    elif depth_of(message) > 3:
        assert refusal == "message is nested deeper than 3"
    else:
        assert refusal == ""


def fed(
    stream: bytes, cuts: list[int], max_frame_bytes: int = MOST
) -> tuple[list[dict[str, Any]], str]:
    """The messages that were found and why no more were; the reader's bound holds all the way."""
    reader = FrameReader(max_frame_bytes)
    found: list[dict[str, Any]] = []
    try:
        for chunk in chunks(stream, cuts):
            found += reader.feed(chunk)
            assert reader.pending <= max_frame_bytes + 4
    except WireError as refused:
        return found, str(refused)
    return found, ""
