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

from protocell._messages import (
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
}
_ERROR: dict[str, Any] = {
    "event": "error",
    "id": NUMBER,
    "name": "KeyError",
    "value": "'a'",
    "traceback": 'File "<code>", line 1\n\ud800',
}
_DONE: dict[str, Any] = {"event": "done", "id": NUMBER, "exit_code": None}
CORPUS = (
    encode(_DONE),
    encode(_RESULT) + encode(_DONE),
    encode(_ERROR) + encode(_DONE | {"exit_code": 3}),
    encode(_RESULT | {"main": False}) * 5 + encode(_DONE),
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
    frames = FrameReader(MOST_FRAME_BYTES)
    messages = MessageReader(number=NUMBER, result_bytes=RESULT_BYTES)
    taken = 0
    try:
        for start in range(1, len(data), size):
            for frame in frames.feed(data[start : start + size]):
                message = messages.read(frame)
                if isinstance(message, ResultMessage):
                    assert sum(map(len, message.formats.values())) < MOST_FRAME_BYTES
                repr(message).encode()
                taken += 1
            assert frames.pending <= MOST_FRAME_BYTES + 4
    except (WireError, ProtocolError) as refused:
        assert str(refused).isprintable(), str(refused)
        assert len(str(refused)) < 200, str(refused)
        return type(refused).__name__
    return f"{min(taken, 2)} messages"


def mutated(source: random.Random) -> bytes:
    """One input: a few cuts, repeats, swaps and interesting pieces in something that was right."""
    data = bytearray(source.choice(CORPUS))
    for _ in range(source.choice((0, 1, 1, 2, 3, 8))):
        at = source.randrange(len(data) + 1)
        end = min(len(data), at + source.choice((0, 1, 1, 4, 16)))
        data[at:end] = source.choice(
            (*INTERESTING, bytes([source.randrange(256)]), data[at:end] * 3)
        )
    if source.random() < 0.7:  # make the length right again, or nothing behind it is ever looked at
        data[:4] = max(0, len(data) - 4).to_bytes(4, "little")
    return bytes([source.randrange(256)]) + bytes(data)


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
