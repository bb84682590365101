"""The wire format: what goes through unchanged, and what is refused before it costs anything."""

import array
import fcntl
import math
import os
import socket
import tracemalloc
from collections.abc import Iterator

import pytest

from protocell_guest.wire import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_PACKET_BYTES,
    FrameReader,
    WireError,
    decode_packet,
    encode,
    recv_packet,
    send_packet,
)

Pair = tuple[socket.socket, socket.socket]


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + body


def refusal(body: bytes, max_frame_bytes: int = 1 << 20) -> str:
    with pytest.raises(WireError) as caught:
        FrameReader(max_frame_bytes).feed(framed(body))
    return str(caught.value)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


# -- frames ----------------------------------------------------------------------------------------


def test_a_frame_is_a_little_endian_length_and_ascii_json():
    assert encode({"a": "é\n", "b": [1, None]}) == b'\x1d\0\0\0{"a":"\\u00e9\\n","b":[1,null]}'


def test_a_lone_surrogate_arrives_as_it_left():
    assert FrameReader(100).feed(encode({"a": "\ud800x\udfff"})) == [{"a": "\ud800x\udfff"}]


def test_frames_are_found_whatever_the_chunks_are():
    stream = encode({"n": 1}) + encode({"n": 2}) + encode({"n": 3})
    reader = FrameReader(100)

    found = [message for byte in stream for message in reader.feed(bytes([byte]))]

    assert found == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert reader.pending == 0


def test_a_torn_frame_is_pending():
    reader = FrameReader(100)

    assert reader.feed(encode({"n": 1})[:-1]) == []
    assert reader.pending == 10


def test_a_length_over_the_bound_is_refused_before_its_body_comes():
    reader = FrameReader(100)

    with pytest.raises(WireError, match=r"^frame says it has 101 bytes; at most 100 are allowed$"):
        reader.feed(b"\x65\0\0\0")


def test_a_length_at_the_bound_is_allowed():
    body = b'{"a":"' + b"x" * 92 + b'"}'

    assert FrameReader(100).feed(framed(body)) == [{"a": "x" * 92}]


def test_after_a_refusal_everything_is_refused():
    reader = FrameReader(100)
    with pytest.raises(WireError):
        reader.feed(framed(b"[]"))

    assert reader.pending == 0
    with pytest.raises(WireError, match=r"^message is a JSON list, not an object$"):
        reader.feed(encode({"n": 1}))


def test_of_equal_keys_the_last_wins():
    assert FrameReader(100).feed(framed(b'{"a":1,"a":2}')) == [{"a": 2}]


@pytest.mark.parametrize(
    "body, message",
    [
        (b"", "message is not JSON: Expecting value at byte 0"),
        (b"null", "message is a JSON NoneType, not an object"),
        (b'"text"', "message is a JSON str, not an object"),
        (b"{} {}", "message is not JSON: Extra data at byte 3"),
        (b'{"a":"\xc3\xa9"}', "message is not ASCII: ordinal not in range(128) at byte 6"),
        (b'{"a":"\n"}', "message is not JSON: Invalid control character at at byte 6"),
        (b'{"a":NaN}', "message has NaN in it, which is not JSON"),
        (b'{"a":-Infinity}', "message has -Infinity in it, which is not JSON"),
        (b'{"a":1e999}', "message has a number in it that is too large for a float"),
        (
            b'{"a":' + b"1" * 21 + b"}",
            "message has an integer of 21 characters; at most 20",
        ),
        (
            b'{"a":0.' + b"1" * 63 + b"}",
            "message has a number of 65 characters; at most 64",
        ),
    ],
)
def test_what_is_not_a_message_is_refused(body: bytes, message: str):
    assert refusal(body) == message


def test_a_refusal_does_not_repeat_what_the_peer_wrote():
    assert refusal(b'{"a": \x1b[2J}') == "message is not JSON: Expecting value at byte 6"


def test_the_largest_and_smallest_integers_of_64_bits_go_through():
    message = {"a": 2**63 - 1, "b": -(2**63)}

    assert FrameReader(100).feed(encode(message)) == [message]


@pytest.mark.parametrize("opener, closer", [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_allowed_up_to_the_bound(opener: bytes, closer: bytes):
    inner = MAX_DEPTH - 1

    FrameReader(1000).feed(framed(b'{"a":' + opener * inner + b"1" + closer * inner + b"}"))
    deeper = refusal(b'{"a":' + opener * (inner + 1) + b"1" + closer * (inner + 1) + b"}")

    assert deeper == "message is nested deeper than 32"


def test_nesting_without_an_end_is_refused():
    assert (
        refusal(b'{"a":' + b"[" * 100_000) == "message has 100002 items; at most 10000 are allowed"
    )
    assert refusal(b'{"a":' + b"[" * 9_000) == "message is nested deeper than 32"


def test_brackets_and_quotes_in_text_do_not_count():
    message = {"a": '[{"\\' * 20_000, "b": "\\" * 7, "c": '"'}

    assert FrameReader(1 << 20).feed(encode(message)) == [message]


def test_many_brackets_side_by_side_are_not_deep():
    message = {"a": [[1]] * 100}

    assert FrameReader(1 << 20).feed(encode(message)) == [message]


@pytest.mark.parametrize(
    "body, message",
    [
        (b"[0" + b",0" * MAX_ITEMS + b"]", "message has 10001 items; at most 10000 are allowed"),
        (b'[""' + b',""' * MAX_ITEMS + b"]", "message has more than 10000 strings"),
        (b"[[]" + b",[]" * 5_000 + b"]", "message has 10002 items; at most 10000 are allowed"),
    ],
)
def test_too_many_items_are_refused(body: bytes, message: str):
    assert refusal(body) == message


def test_a_flood_of_small_objects_is_refused_before_the_parser_makes_them():
    body = framed(b"[" + b"{}," * 300_000 + b"{}]")
    reader = FrameReader(1 << 20)
    tracemalloc.start()

    with pytest.raises(WireError):
        reader.feed(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 6 * len(body)  # copies of the bytes; as objects it would be 20 times as much


def test_a_reader_holds_one_frame_and_one_chunk_at_most():
    reader = FrameReader(1 << 16)
    frame = framed(b'{"a":"' + b"x" * ((1 << 16) - 8) + b'"}')
    stream, most, messages = frame * 20, 0, 0

    for start in range(0, len(stream), 4096):
        messages += len(reader.feed(stream[start : start + 4096]))
        most = max(most, reader.pending)

    assert messages == 20
    assert most < len(frame) + 4096


def test_a_reader_needs_a_bound():
    with pytest.raises(ValueError, match=r"^max_frame_bytes is 0; allowed is 1 to 4294967295$"):
        FrameReader(0)


def test_nan_is_not_sent():
    with pytest.raises(WireError, match=r"^message cannot be sent: Out of range float values"):
        encode({"a": math.nan})


def test_a_message_that_contains_itself_is_not_sent():
    message: dict[str, object] = {}
    message["a"] = message

    with pytest.raises(WireError, match=r"^message cannot be sent: Circular reference detected$"):
        encode(message)


# -- packets ---------------------------------------------------------------------------------------


def test_a_packet_goes_through_with_its_descriptors(pair: Pair):
    reading, writing = os.pipe()
    send_packet(pair[0], {"op": "fork"}, [writing])

    message, fds = recv_packet(pair[1])

    assert message == {"op": "fork"}
    os.write(fds[0], b"here")
    assert os.read(reading, 10) == b"here"
    for fd in (reading, writing, *fds):
        os.close(fd)


def test_a_received_descriptor_is_closed_on_exec(pair: Pair):
    send_packet(pair[0], {}, [0])

    _, (fd,) = recv_packet(pair[1])

    assert fcntl.fcntl(fd, fcntl.F_GETFD) == fcntl.FD_CLOEXEC
    os.close(fd)


def test_end_of_file_is_no_message(pair: Pair):
    pair[0].close()

    assert recv_packet(pair[1]) == (None, [])


def test_what_was_sent_before_the_end_is_read_before_the_end(pair: Pair):
    send_packet(pair[0], {"last": "words"})
    pair[0].close()

    assert recv_packet(pair[1]) == ({"last": "words"}, [])
    assert recv_packet(pair[1]) == (None, [])


def test_a_peer_that_went_without_reading_is_no_error(pair: Pair):
    send_packet(pair[1], {"never": "read"})
    send_packet(pair[0], {"last": "words"})
    pair[0].close()

    assert recv_packet(pair[1]) == ({"last": "words"}, [])
    assert recv_packet(pair[1]) == (None, [])


def test_nothing_to_read_on_a_socket_that_does_not_block(pair: Pair):
    pair[1].settimeout(0)

    with pytest.raises(BlockingIOError):
        recv_packet(pair[1])


def test_sending_to_a_peer_that_went_raises_and_sends_no_signal(pair: Pair):
    pair[1].close()

    with pytest.raises(BrokenPipeError):
        send_packet(pair[0], {})


def test_the_longest_packet_fits_into_the_socket(pair: Pair):
    message = {"a": "x" * (MAX_PACKET_BYTES - 8)}
    send_packet(pair[0], message)

    assert recv_packet(pair[1]) == (message, [])


def test_a_longer_packet_is_not_sent(pair: Pair):
    with pytest.raises(
        WireError, match=r"^message has 196609 bytes; a packet holds at most 196608$"
    ):
        send_packet(pair[0], {"a": "x" * (MAX_PACKET_BYTES - 7)})


def test_a_longer_packet_is_not_taken(pair: Pair):
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    pair[0].send(b'{"a":"' + b"x" * MAX_PACKET_BYTES + b'"}')

    with pytest.raises(WireError, match=r"^packet is longer than 196608 bytes$"):
        recv_packet(pair[1])


@pytest.mark.parametrize("most", [0, 1, 2, 7])
def test_more_descriptors_than_asked_for_are_refused_and_closed(pair: Pair, most: int):
    send_packet(pair[0], {}, [0] * (most + 1))
    before = descriptors()

    with pytest.raises(WireError) as caught:
        recv_packet(pair[1], max_fds=most)

    assert str(caught.value) == f"packet came with something other than at most {most} descriptors"
    assert descriptors() == before


@pytest.mark.parametrize("most", [1, 2, 7])
def test_as_many_descriptors_as_asked_for_are_taken(pair: Pair, most: int):
    send_packet(pair[0], {}, [0] * most)

    _, fds = recv_packet(pair[1], max_fds=most)

    assert len(fds) == most
    for fd in fds:
        os.close(fd)


def test_descriptors_of_a_packet_that_is_no_message_are_closed(pair: Pair):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 0]))]
    pair[0].sendmsg([b"[]"], rights)
    before = descriptors()

    with pytest.raises(WireError, match=r"^message is a JSON list, not an object$"):
        recv_packet(pair[1])

    assert descriptors() == before


def test_other_ancillary_data_is_refused(pair: Pair):
    pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    send_packet(pair[0], {})

    with pytest.raises(WireError, match=r"^packet came with something other than at most 8"):
        recv_packet(pair[1])


def test_a_packet_that_was_peeked_at_can_be_decoded():
    assert decode_packet(b'{"event":"hello"}') == {"event": "hello"}
