"""Parcels: however a value is cut into parts and frames, and these are mixed, it comes out as it went in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocell._broker.requests import RequestReader
from protocell.errors import ProtocolError
from protocell_guest import forms, parcels, values
from protocell_guest.parcels import CALL, CANCEL, HEAD, PART, PIECE, VALUE, Arrival, Parcel
from tests.property.test_values_properties import VALUES, alike


def arrived(frames: list[bytes]) -> Parcel:
    """What the other side has of them."""
    arrival = Arrival()
    *pieces, last = frames
    for frame in pieces:
        size, _, kind = HEAD.unpack_from(frame)
        assert size == len(frame) - HEAD.size <= parcels.FRAME_BYTES
        assert kind in (PIECE, PART)
        arrival.add(kind, memoryview(frame)[HEAD.size :])
    assert HEAD.unpack_from(last) == (len(last) - HEAD.size, 1, VALUE)
    return arrival.parcel(last[HEAD.size :])


@given(VALUES, st.integers(1, 6), st.integers(4, 12))
def test_a_value_comes_out_of_its_frames_as_it_went_in(value: Any, part: int, frame: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "PART_BYTES", part)
        patch.setattr(parcels, "FRAME_BYTES", frame)
        parcel = values.pack(value)
        frames = list(parcel.frames(1, VALUE))
        kept = values.sealed(parcel)

        assert sum(len(each) - HEAD.size for each in frames) == len(parcel)
        assert alike(values.unpack(arrived(frames)), value)
        assert alike(values.loads(kept), value)


FRAMES = st.tuples(
    st.integers(0, 4),
    st.sampled_from([CALL, CANCEL, PIECE, PART, VALUE, b"?"]),
    st.sampled_from([b"", b"x", b'{"tool":"x","arguments":{"a":{"$text":0}},"raw":false}'])
    | st.binary(max_size=9),
)


@given(st.lists(FRAMES, max_size=12), st.integers(1, 30))
def test_whatever_comes_is_requests_or_a_refusal(frames: list[tuple[int, bytes, bytes]], step: int):
    reader = RequestReader(1 << 12)
    data = b"".join(HEAD.pack(len(body), number, kind) + body for number, kind, body in frames)
    try:
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
    except ProtocolError:
        return
    assert reader._arrival is None or reader._arrival.size < len(data)
