"""Head and tail for any stream in any chunks, against the obvious way that keeps everything."""

from hypothesis import given
from hypothesis import strategies as st

from protocell._running.output import HeadTail

CHUNKS = st.lists(st.binary(max_size=40), max_size=20)
TEXT_CHUNKS = st.text(alphabet="aé漢\U0001f600\n", max_size=200)
LIMITS = st.integers(min_value=0, max_value=120)


def kept(limit: int, chunks: list[bytes]) -> HeadTail:
    output = HeadTail(limit)
    for chunk in chunks:
        output.feed(chunk)
        held = len(output._head) + len(output._tail)
        assert held <= limit
    return output


@given(CHUNKS, LIMITS)
def test_head_and_tail_are_exact_and_everything_is_counted(chunks: list[bytes], limit: int):
    whole = b"".join(chunks)
    output = kept(limit, chunks)

    assert output.total_bytes == len(whole)
    assert output.truncated == (len(whole) > limit)
    if not output.truncated:
        assert bytes(output._head + output._tail) == whole
        assert output.text() == whole.decode(errors="replace")
    else:
        assert bytes(output._head) == whole[: limit // 2]
        assert bytes(output._tail) == whole[len(whole) - (limit - limit // 2) :]
        assert len(whole) - limit <= output.left_out_bytes <= len(whole) - limit + 6


@given(CHUNKS, LIMITS, st.integers(min_value=1, max_value=50))
def test_chunks_make_no_difference(chunks: list[bytes], limit: int, size: int):
    whole = b"".join(chunks)
    other = [whole[start : start + size] for start in range(0, len(whole), size)]

    assert kept(limit, chunks).text() == kept(limit, other).text()


@given(CHUNKS, LIMITS)
def test_lines_are_the_text(chunks: list[bytes], limit: int):
    output = kept(limit, chunks)

    assert "".join(output.lines()) == output.text()
    assert [line for line in output.lines() if "\n" in line[:-1] or line == ""] == []


@given(TEXT_CHUNKS, LIMITS)
def test_a_cut_never_makes_replacement_characters_out_of_text(text: str, limit: int):
    assert "\ufffd" not in kept(limit, [text.encode()]).text()
