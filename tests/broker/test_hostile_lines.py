"""A line whose far end is held by an attacker: the host stays bounded, and says what it saw."""

import select
import socket
import tracemalloc
from collections.abc import Iterator

import pytest

from protocell._broker.requests import CallRequest, CancelRequest, RequestReader
from protocell.errors import ProtocolError
from protocell.tools.limits import ToolLimits
from protocell_guest import values
from protocell_guest.parcels import CALL, CANCEL, FRAME_BYTES, HEAD, PART, PIECE, Parcel
from tests.broker.conftest import Open


def parcel_of(number: int, tool: str, **arguments: object) -> Iterator[bytes]:
    return values.pack({"tool": tool, "arguments": arguments, "raw": False}).frames(number, CALL)


def call(number: int, tool: object = "host/echo", **arguments: object) -> bytes:
    body = values.dumps({"tool": tool, "arguments": arguments, "raw": False})
    return HEAD.pack(len(body), number, CALL) + body


def in_parts(parts: list[bytes], value: str) -> bytes:
    body = b'{"tool":"x","arguments":{"value":%s},"raw":false}' % value.encode()
    return b"".join(frame(1, PART, part) for part in parts) + frame(1, CALL, body)


def frame(number: int, kind: bytes, body: bytes) -> bytes:
    return HEAD.pack(len(body), number, kind) + body


@pytest.mark.parametrize(
    "data",
    [
        HEAD.pack(1 << 30, 1, CALL),
        HEAD.pack(0xFFFFFFFF, 1, CALL),
        frame(1, b"z", b"{}"),
        frame(1, CALL, b"[]"),
        frame(1, CALL, b'{"tool":"x"}'),
        frame(1, CALL, b'{"tool":1,"arguments":{},"raw":false}'),
        frame(1, CALL, b'{"tool":"x","arguments":[],"raw":false}'),
        frame(1, CALL, b'{"tool":"x","arguments":{},"raw":0}'),
        frame(1, CALL, b'{"tool":"x","arguments":{},"raw":false,"more":1}'),
        frame(1, CALL, b'{"tool":"x","arguments":{},"raw":false,"too_large":5}'),
        frame(1, CALL, b'{"tool":"x","arguments":{"$set":[[1]]},"raw":false}'),
        frame(1, CALL, b"[" * 100_000),
        frame(1, CALL, b"\xff\xfe"),
        frame(1, CANCEL, b"more"),
        frame(0, CALL, b'{"tool":"x","arguments":{},"raw":false}'),
        call(2, value=1) + call(1, value=1),
        call(1, value=1) + call(1, value=1),
    ],
    ids=lambda data: repr(data[:24]),
)
def test_what_is_no_request_ends_the_line(data: bytes):
    with pytest.raises(ProtocolError):
        RequestReader(1 << 20).feed(data)


PIECES = {
    "more than a frame may hold": HEAD.pack(FRAME_BYTES + 1, 1, PIECE),
    "a piece of nothing": frame(1, PIECE, b""),
    "a part of nothing": frame(1, PART, b""),
    "number 0": frame(0, PIECE, b"x"),
    "a number before the last": call(2, value=1) + frame(1, PIECE, b"x"),
    "the number of a call that is whole": call(1, value=1) + frame(1, PIECE, b"x"),
    "two at a time": frame(1, PIECE, b"x") + frame(2, PIECE, b"x"),
    "more after a cancel": frame(1, PIECE, b"x") + frame(1, CANCEL, b"") + frame(1, PIECE, b"x"),
    "an end in the middle of a part": frame(1, PIECE, b"x") + frame(1, CALL, b""),
    "no call in the parts": frame(1, PART, b"[]") + frame(1, CALL, b""),
    "a hundred small parts": frame(1, PART, b"x") * 100,
    "pieces without an end": frame(1, PIECE, b"x" * FRAME_BYTES) * 5,
    "a cancel of nothing": frame(1, CANCEL, b""),
    "cancels without an end": call(1, value=1) + frame(1, CANCEL, b"") * 2,
    "a part that did not come": in_parts([b"x"], '{"$text":1}'),
    "a part before the first": in_parts([b"x"], '{"$text":-1}'),
    "a part by no number": in_parts([b"x"], '{"$text":true}'),
    "a part twice": in_parts([b"x"], '[{"$text":0},{"$text":0}]'),
    "a part twice in two ways": in_parts([b"x"], '[{"$text":0},{"$part":0}]'),
    "a part that is no text": in_parts([b"\xff"], '{"$text":0}'),
    "no parts at all": in_parts([], '{"$text":0}'),
}


@pytest.mark.parametrize("what", PIECES)
def test_pieces_that_make_no_call_end_the_line(what: str):
    with pytest.raises(ProtocolError):
        RequestReader(1 << 20).feed(PIECES[what])


def test_requests_come_whole_however_they_are_cut():
    reader, data = RequestReader(1 << 20), call(1, value="x") + frame(1, CANCEL, b"")
    found = [request for byte in data for request in reader.feed(bytes([byte]))]

    assert [type(request).__name__ for request in found] == ["CallRequest", "CancelRequest"]
    assert isinstance(found[0], CallRequest)
    assert found[0].arguments == {"value": "x"}


def test_a_small_call_goes_between_the_pieces_of_a_large_one():
    reader = RequestReader(1 << 20)
    large = list(
        Parcel(b'{"tool":"x","arguments":{"a":{"$text":0}},"raw":true}', ["y" * 600_000]).frames(
            1, CALL
        )
    )
    found = [
        request
        for data in (*large[:2], call(2, value=1), *large[2:])
        for request in reader.feed(data)
    ]

    assert [request.number for request in found] == [2, 1]
    assert isinstance(found[1], CallRequest)
    assert (found[1].arguments, found[1].raw) == ({"a": "y" * 600_000}, True)


def test_the_half_of_a_call_is_forgotten_when_it_is_cancelled_and_the_next_may_be_as_large():
    reader, piece = RequestReader(1 << 20), b"x" * FRAME_BYTES
    for number in range(1, 20):
        for _ in range(4):
            assert reader.feed(frame(number, PIECE, piece)) == []
        assert reader.feed(frame(number, CANCEL, b"")) == [CancelRequest(number=number)]
    assert reader._arrival is None


@pytest.mark.parametrize("value", ["[],", '"ab",', "1e5,", '{"a":0},'])
def test_what_a_call_weighs_is_about_what_it_becomes(value: str):
    count = 50_000
    body = ('{"tool":"x","arguments":{"v":[' + (value * count)[:-1] + ']},"raw":false}').encode()
    reader = RequestReader(1 << 24)
    tracemalloc.start()
    try:
        pieces = list(Parcel(body).frames(1, CALL))
        before = tracemalloc.get_traced_memory()[0]
        (request,) = [request for piece in pieces for request in reader.feed(piece)]
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert isinstance(request, CallRequest)
    assert grown < 1.5 * request.weight


def test_a_broken_line_costs_its_own_execution_alone(open_line: Open):
    one, other = open_line(), open_line()
    with one.counter.far.dup() as far:
        far.sendall(HEAD.pack(1 << 30, 1, CALL))
        far.settimeout(30)
        assert far.recv(1) == b""

    assert other.tools["echo"](1) == 1
    one.finish()
    assert "at most" in one.counter._ledger.violation


def test_a_flood_of_calls_waits_in_the_code_and_not_in_the_host(open_line: Open):
    session = open_line(ToolLimits(at_once=2, calls=1_000_000))
    with session.counter.far.dup() as far:
        far.settimeout(0.0)
        sent, room = 0, select.poll()
        room.register(far, select.POLLOUT)
        while sent < 64 << 20 and room.poll(300):
            sent += far.send(call(sent + 1, "host/stay", name="x" * 1000))

    assert sent < 8 << 20
    assert len(session.counter._tasks) <= 4


def test_heavy_calls_wait_in_the_code_long_before_there_are_many(open_line: Open):
    session = open_line(ToolLimits(argument_bytes=1 << 20))
    heavy = {"value": [[]] * 40_000, "seconds": 3600}
    data = b"".join(
        frame for number in range(1, 60) for frame in parcel_of(number, "host/echo", **heavy)
    )
    with session.counter.far.dup() as far:
        far.settimeout(0.0)
        sent, room = 0, select.poll()
        room.register(far, select.POLLOUT)
        while sent < len(data) and room.poll(1000):
            sent += far.send(memoryview(data)[sent:])

    assert sent < len(data) / 2
    assert len(session.world.seen) == 2
    assert session.counter._weight <= 16 << 20


def test_answers_that_nobody_reads_hold_up_nobody_else(open_line: Open):
    session, other = open_line(), open_line()
    with session.counter.far.dup() as far:
        for number in range(1, 20):
            far.sendall(call(number, value="x" * 100_000))

    assert other.tools["echo"](1) == 1


def test_replies_from_inside_are_no_replies(open_line: Open):
    session = open_line()
    with session.counter.far.dup() as far:
        far.sendall(frame(1, b"v", b"1"))
        far.settimeout(30)
        assert far.recv(1) == b""
    session.finish()

    (told,) = session.counter.calls
    assert (told.outcome, told.kind) == ("error", "transport")
    assert told.message == (
        "the code broke the line that its calls go over: neither a call nor its end"
    )


def test_a_tool_by_a_wild_name_is_not_found(open_line: Open):
    session = open_line()
    with session.counter.far.dup() as far:
        far.sendall(call(1, "../../etc/passwd\x00" + "x" * 1000))
        far.settimeout(30)
        size, number, kind = HEAD.unpack(far.recv(HEAD.size, socket.MSG_WAITALL))
        told = values.loads(far.recv(size, socket.MSG_WAITALL))

    assert (number, kind, told["kind"]) == (1, b"e", "not_found")
    assert len(told["message"]) < 2000
