"""The fuzzer for frames, for as long as a test may take, and what it must have reached in that time."""

import tracemalloc

import pytest

from protocell_guest.wire import FrameReader, WireError
from tests.fuzz.fuzz_frames import CORPUS, check, fuzz

FLOOD_BYTES = 1 << 20
FLOODS = [
    b"[" * FLOOD_BYTES,
    b'{"a":' * (FLOOD_BYTES // 5),
    b"[{}" + b",{}" * (FLOOD_BYTES // 3 - 2) + b"]",
    b'[""' + b',""' * (FLOOD_BYTES // 3 - 2) + b"]",
    b"[0" + b",0" * (FLOOD_BYTES // 2 - 2) + b"]",
    b'{"a":' + b"9" * (FLOOD_BYTES - 6) + b"}",
    b'{"a":"' + b"\\u00e9" * (FLOOD_BYTES // 6 - 2) + b'"}',
    b'{"a":"' + b"\\\\" * (FLOOD_BYTES // 2 - 4) + b'"}',
]


def test_mutations_of_frames_find_nothing_and_reach_every_end():
    ends = fuzz(3_000, seed=1)

    assert set(ends) == {"0 messages", "1 messages", "2 messages", "ProtocolError", "WireError"}
    assert ends["2 messages"] > 50


def test_the_same_seed_gives_the_same_mutations():
    assert fuzz(200, seed=5) == fuzz(200, seed=5)


@pytest.mark.parametrize("case", range(len(CORPUS)))
def test_what_was_right_or_was_once_found_is_dealt_with(case: int):
    ends = {check(bytes([size]) + CORPUS[case]) for size in range(7)}

    assert len(ends) == 1


@pytest.mark.parametrize("case", range(len(FLOODS)))
def test_the_worst_frames_cost_a_small_multiple_of_their_length(case: int):
    assert peak_memory(FLOODS[case]) < 6 * FLOOD_BYTES


def peak_memory(body: bytes) -> int:
    frame = len(body).to_bytes(4, "little") + body
    tracemalloc.start()
    try:
        FrameReader(FLOOD_BYTES).feed(frame)
    except WireError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak
