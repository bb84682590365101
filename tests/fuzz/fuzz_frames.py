"""A fuzzer for what the host does with bytes from a context: with atheris if it is here, else by seeded mutation.

    python tests/fuzz/fuzz_frames.py            100,000 mutations, seed 0; needs nothing but Python
    python tests/fuzz/fuzz_frames.py 5000 7     5,000 mutations, seed 7
    pip install atheris, then the same          coverage-guided, until stopped; libFuzzer's options

An input is what a hostile context writes to its socket. Anything but messages within their bounds, a
WireError or a ProtocolError is a finding. An input that was found is kept as a case in CORPUS.
"""

import importlib
import importlib.util
import random
import sys
from typing import Any

from protocell._running.board import Board
from protocell._running.messages import (
    SLACK_BYTES,
    ClearMessage,
    MessageReader,
    ResultMessage,
    max_frame_bytes,
)
from protocell.errors import ProtocolError
from protocell_guest.wire import FrameReader, WireError, encode

NUMBER = 7
RESULT_BYTES = 64
MOST_FRAME_BYTES = max_frame_bytes(RESULT_BYTES)
CHUNKS = (1, 3, 4, 5, 64, 4096, 65536)
INTERESTING = (
    *(b"[", b"]", b"{", b"}", b'"', b"\\", b'\\"', b"\\\\", b",", b":", b"\\ud800", b"\0", b"\xff"),
    *(b"NaN", b"1e999", b"-0", b"9" * 30, b"true", b"null", b"[" * 40, b'{"a":' * 40),
    *(b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x02\0\0\0{}", b'"id":7', b'"event":"done"'),
)
_RESULT: dict[str, Any] = {
    "event": "result",
    "id": NUMBER,
    "main": True,
    "formats": {"text/plain": "42"},
    "files": {"text/html": "results/1-1.html"},
    "display": "one",
    "update": False,
}
_CLEAR: dict[str, Any] = {"event": "clear", "id": NUMBER, "wait": False}
_ERROR: dict[str, Any] = {
    "event": "error",
    "id": NUMBER,
    "name": "KeyError",
    "value": "'a'",
    "traceback": 'File "<code>", line 1\n\ud800',
}
_DONE: dict[str, Any] = {"event": "done", "id": NUMBER, "exit_code": None, "left_out": 0}
ODD_NAMES = ("image/png", "text/plain", "text/\n", "", "a" * 300, "\ud800/x")
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 8, 2**63 - 1, 0.5, "", "x" * 9000, "\x1b[2J\n\u202e", "\ud800"),
    *([], {}, [[]], {"text/plain": 1}, {"text/plain": "x" * 5000}, {"a": "b"}, "result", "done"),
)
CORPUS = (
    encode(_DONE),
    encode(_RESULT) + encode(_DONE),
    encode(_ERROR) + encode(_DONE | {"exit_code": 3}),
    encode(_RESULT | {"main": False}) * 5 + encode(_DONE),
    encode(_RESULT) + encode(_CLEAR) + encode(_RESULT | {"update": True}) + encode(_DONE),
    encode({"event": "done", "id": NUMBER, "exit_code": [[{"a": []}]]}),
    b"\x10\0\0\0" + b"[" * 16,
    b"\0\0\0\0",
    b"",
)


def check(data: bytes) -> str:
    """What the host makes of this stream, its first byte saying in which chunks it comes.

    Raises:
        AssertionError: something that a hostile context must not be able to do.
    """
    size = CHUNKS[data[0] % len(CHUNKS)] if data else 1
    try:
        return f"{min(taken(data[1:], size), 2)} messages"
    except (WireError, ProtocolError) as refused:
        end, reason = type(refused).__name__, str(refused)
    assert reason.isprintable(), reason
    assert len(reason) < 200, reason
    return end


def taken(stream: bytes, size: int) -> int:
    """How many messages the host takes from this stream, until it refuses something."""
    frames = FrameReader(MOST_FRAME_BYTES)
    messages = MessageReader(number=NUMBER, result_bytes=RESULT_BYTES)
    board = Board(RESULT_BYTES)
    count = 0
    for start in range(0, len(stream), size):
        for frame in frames.feed(stream[start : start + size]):
            message = messages.read(frame)
            if isinstance(message, ResultMessage | ClearMessage):
                board.take(message)
            if isinstance(message, ResultMessage):
                assert sum(map(len, message.formats.values())) <= RESULT_BYTES + SLACK_BYTES
            repr(message).encode()  # whatever it holds can be shown
            count += 1
        assert frames.pending <= MOST_FRAME_BYTES + 4
    return count


def mutated(source: random.Random) -> bytes:
    """One input: messages that were right, with odd values, then odd bytes, then odd lengths put in."""
    bodies = [bytearray(encode(odd_message(source))[4:]) for _ in range(source.randrange(1, 5))]
    for _ in range(source.choice((0, 0, 0, 1, 2, 8))):
        body = source.choice(bodies)
        at = source.randrange(len(body) + 1)
        end = min(len(body), at + source.choice((0, 1, 1, 4, 16)))
        byte = bytes([source.randrange(256)])
        body[at:end] = source.choice((*INTERESTING, byte, body[at:end] * 3))
    stream = bytearray().join(len(body).to_bytes(4, "little") + body for body in bodies)
    if source.random() < 0.1:
        stream[source.randrange(len(stream))] = source.randrange(256)
    return bytes([source.randrange(256)]) + bytes(stream)


def odd_message(source: random.Random) -> dict[str, Any]:
    """A message that is right, or has a field more, a field less, or a value that it should not have."""
    message = dict(source.choice((_RESULT, _RESULT | {"main": False}, _CLEAR, _ERROR, _DONE)))
    name = source.choice((*message, "more"))
    match source.randrange(6):
        case 0:
            message[name] = source.choice(ODD_VALUES)
        case 1:
            message.pop(name, None)
        case 2 if "formats" in message:
            message["formats"] = {"text/plain": "", source.choice(ODD_NAMES): "x" * 3}
    return message


def fuzz(iterations: int, seed: int = 0) -> dict[str, int]:
    """Checks this many mutations; the same seed gives the same ones. Returns how often each end came."""
    source = random.Random(seed)
    ends: dict[str, int] = {}
    for _ in range(iterations):
        data = mutated(source)
        try:
            end = check(data)
        except BaseException:
            print(f"finding: {data!r}", file=sys.stderr)
            raise
        ends[end] = ends.get(end, 0) + 1
    return ends


def main() -> None:
    """Runs until stopped under atheris, or the given number of mutations without it."""
    if importlib.util.find_spec("atheris") is not None:
        atheris = importlib.import_module("atheris")
        atheris.Setup(sys.argv, check)
        atheris.Fuzz()
        return
    iterations, seed = (*map(int, sys.argv[1:3]), *(100_000, 0)[len(sys.argv[1:3]) :])
    print(fuzz(iterations, seed))


if __name__ == "__main__":
    main()
