"""An interrupt is for the request that is there when it comes, read or not, and for no other."""

import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from protocell_guest import wire
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.guest.interrupts import Interrupts
from protocell_guest.guest.loop import Doubles, Server

Frames = list[dict[str, Any]]
Serve = Callable[[Callable[["Host"], None]], Frames]


class Host:
    """The host's end of the channel, and what it has init send."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel

    def ask(self, number: int, code: str, **more: Any) -> None:
        request = {"op": "execute", "id": number, "code": code, "result_bytes": 1000} | more
        self.channel.sendall(wire.encode(request))

    def interrupt(self) -> None:
        signal.raise_signal(signal.SIGINT)


class _Server(Server):
    """One whose host does something at once when it hears that an execution is done."""

    when_done: Callable[[], None] | None = None

    def _send(self, message: dict[str, Any]) -> None:
        super()._send(message)
        if message["event"] == "done" and self.when_done is not None:
            when_done, self.when_done = self.when_done, None
            when_done()


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGURG)}
    yield Interrupts()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def answers(
    sockets: tuple[socket.socket, socket.socket],
    interrupts: Interrupts,
    before: Callable[[Host], None],
    when_done: Callable[[Host], None] | None = None,
) -> list[str]:
    """What is answered, by number: the error, or the text of the value."""
    ours, theirs = sockets
    host = Host(ours)
    with Interpreter.beside():
        interpreter = Interpreter()
        interpreter.take_over()
        server = _Server(
            theirs, interpreter, interrupts, Doubles(lambda: -1, lambda: None, lambda: None)
        )
        before(host)
        if when_done is None:
            ours.shutdown(socket.SHUT_WR)
        else:
            server.when_done = lambda: _last_words(host, when_done)
        server.serve(idle=lambda: None)
    theirs.shutdown(socket.SHUT_WR)
    frames = wire.FrameReader(1 << 20).feed(b"".join(iter(lambda: ours.recv(1 << 16), b"")))
    return [
        f"{frame['id']}: {frame.get('name') or frame['formats']['text/plain']}"
        for frame in frames
        if frame["event"] in {"error", "result"}
    ]


def _last_words(host: Host, say: Callable[[Host], None]) -> None:
    say(host)
    host.channel.shutdown(socket.SHUT_WR)


def test_one_that_comes_before_its_request_is_read_is_raised_when_the_code_begins(
    sockets: tuple[socket.socket, socket.socket], interrupts: Interrupts
):
    def before(host: Host) -> None:
        host.ask(1, "x = 'reached'")
        host.interrupt()
        host.ask(2, "'x' in globals()")

    assert answers(sockets, interrupts, before) == ["1: KeyboardInterrupt", "2: False"]


def test_one_that_comes_before_anything_was_answered_is_the_first_requests(
    sockets: tuple[socket.socket, socket.socket], interrupts: Interrupts
):
    def before(host: Host) -> None:
        host.interrupt()
        host.ask(1, "1")
        host.ask(2, "2")

    assert answers(sockets, interrupts, before) == ["1: KeyboardInterrupt", "2: 2"]


def test_one_that_comes_with_the_end_of_the_code_is_not_the_next_ones(
    sockets: tuple[socket.socket, socket.socket], interrupts: Interrupts
):
    def before(host: Host) -> None:
        host.ask(1, "1")

    def when_done(host: Host) -> None:
        host.interrupt()
        host.ask(2, "2")

    assert answers(sockets, interrupts, before, when_done) == ["1: 1", "2: 2"]


@pytest.mark.parametrize(
    "hint, answer",
    [
        ({"after_interrupt": False}, "KeyboardInterrupt"),
        ({"after_interrupt": True}, "2"),
        ({}, "2"),
    ],
)
def test_where_it_may_be_late_the_host_knows_whose_it_is(
    sockets: tuple[socket.socket, socket.socket],
    interrupts: Interrupts,
    hint: dict[str, bool],
    answer: str,
):
    """Both are there when this process looks, the signal and the next request."""

    def before(host: Host) -> None:
        host.ask(1, "1")

    def when_done(host: Host) -> None:
        host.ask(2, "2", **hint)
        host.interrupt()
        host.ask(3, "3")

    assert answers(sockets, interrupts, before, when_done) == ["1: 1", f"2: {answer}", "3: 3"]


def test_one_that_comes_while_variables_are_asked_for_is_nobodys(
    sockets: tuple[socket.socket, socket.socket], interrupts: Interrupts
):
    def before(host: Host) -> None:
        code = (
            "import signal\nclass Sly:\n"
            "    def __len__(self): signal.raise_signal(signal.SIGINT); return 1\n"
            "    shape = property(__len__)\nsly = Sly()\n1"
        )
        host.ask(1, code)
        host.channel.sendall(wire.encode({"op": "variables", "id": 2, "most": 10}))
        host.ask(3, "3", after_interrupt=False)

    assert answers(sockets, interrupts, before) == ["1: 1", "3: 3"]
