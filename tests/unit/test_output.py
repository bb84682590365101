"""Head and tail of a stream: exact, bounded, and honest about what is missing."""

import pytest

from protocell._running.output import HeadTail


def kept(limit: int, *chunks: bytes) -> HeadTail:
    output = HeadTail(limit)
    for chunk in chunks:
        output.feed(chunk)
    return output


def test_what_fits_is_kept_whole():
    output = kept(10, b"01234", b"56789")

    assert output.text() == "0123456789"
    assert (output.total_bytes, output.left_out_bytes, output.truncated) == (10, 0, False)


def test_what_does_not_fit_is_cut_in_the_middle():
    output = kept(10, b"0123456789A")

    assert output.text() == "01234\n[... 1 bytes left out ...]\n6789A"
    assert (output.total_bytes, output.left_out_bytes, output.truncated) == (11, 1, True)


def test_the_line_in_between_has_its_own_line_and_thousands_are_marked():
    output = kept(8, b"a\nb\n", b"x" * 1_234_567, b"\nyz\n")

    assert output.text() == "a\nb\n[... 1,234,567 bytes left out ...]\n\nyz\n"


def test_lines_keep_their_ends():
    assert kept(100, b"a\nb\r\nc").lines() == ["a\n", "b\r\n", "c"]
    assert kept(100, b"a\n\n").lines() == ["a\n", "\n"]
    assert kept(100).lines() == []
    assert kept(4, b"abcdefg\n").lines() == ["ab\n", "[... 4 bytes left out ...]\n", "g\n"]


def test_a_line_ends_at_a_newline_only():
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f\rg\n"

    assert kept(100, text.encode()).lines() == [text]


def test_bytes_that_are_no_text_are_replaced_at_the_end():
    assert kept(100, b"a\xff\xc3").text() == "a\ufffd\ufffd"


def test_a_character_in_two_chunks_is_one_character():
    assert kept(100, b"\xf0\x9f", b"\x98\x80").text() == "\U0001f600"


@pytest.mark.parametrize("character", ["é", "漢", "\U0001f600"])
@pytest.mark.parametrize("limit", range(20, 32))
def test_a_cut_through_a_character_leaves_it_out(character: str, limit: int):
    text = character * 100
    output = kept(limit, text.encode())

    head, _, tail = output.text().partition("\n")
    tail = tail.partition("\n")[2]

    assert set(head + tail) == {character}
    assert output.left_out_bytes == len(text.encode()) - len((head + tail).encode())
    assert output.left_out_bytes - (output.total_bytes - limit) < 2 * len(character.encode())


def test_bytes_that_are_no_text_stay_at_a_cut():
    output = kept(8, b"abc\xffx" * 3)

    assert output.text() == "abc\ufffd\n[... 7 bytes left out ...]\nbc\ufffdx"


def test_nothing_is_kept_with_a_limit_of_nothing():
    output = kept(0, b"abc", b"def")

    assert output.text() == "[... 6 bytes left out ...]\n"


def test_a_limit_cannot_be_negative():
    with pytest.raises(ValueError, match=r"^limit_bytes is -1; it cannot be negative$"):
        HeadTail(-1)
