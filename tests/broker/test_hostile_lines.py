"""A line whose far end is held by an attacker: the host stays bounded, and says what it saw."""

import select
import socket
import struct

import pytest

from protocell._broker.requests import CALL, CANCEL, CallRequest, RequestReader
from protocell.errors import ProtocolError
from protocell.tools.limits import ToolLimits
from protocell_guest import values
from tests.broker.conftest import Open

HEAD = struct.Struct("<IIc")


def call(number: int, tool: object = "host/echo", **arguments: object) -> bytes:
    body = values.dumps({"tool": tool, "arguments": arguments, "raw": False})
    return HEAD.pack(len(body), number, CALL) + body


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


def test_requests_come_whole_however_they_are_cut():
    reader, data = RequestReader(1 << 20), call(1, value="x") + frame(1, CANCEL, b"")
    found = [request for byte in data for request in reader.feed(bytes([byte]))]

    assert [type(request).__name__ for request in found] == ["CallRequest", "CancelRequest"]
    assert isinstance(found[0], CallRequest)
    assert found[0].arguments == {"value": "x"}


def test_a_broken_line_costs_its_own_execution_alone(open_line: Open):
    one, other = open_line(), open_line()
    with one.counter.far.dup() as far:
        far.sendall(HEAD.pack(1 << 30, 1, CALL))
        far.settimeout(30)
        assert far.recv(1) == b""

    assert other.tools["echo"](1) == 1
    one.finish()
    assert "at most" in one.counter.violation


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
        "the code broke the line that its calls go over: "
        "neither a call nor its end, or a number that was there before"
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
