"""Text that a terminal can be shown: everything it would obey is visible."""

import pytest

from protocell._printable import is_printable_line, printable, printable_line


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain é 漢 \U0001f600\n\ttext", "plain é 漢 \U0001f600\n\ttext"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("over\rwritten", "over\\rwritten"),
        ("\x00\x08\x0b\x0c\x7f\x80\x9b\x9f", "\\x00\\x08\\x0b\\x0c\\x7f\\x80\\x9b\\x9f"),
        ("a\u202eb\u2066c\u200fd", "a\\u202eb\\u2066c\\u200fd"),
        ("\ud800\udfff", "\\ud800\\udfff"),
    ],
)
def test_what_a_terminal_obeys_becomes_visible(text: str, shown: str):
    assert printable(text) == shown


def test_a_line_has_no_line_breaks_of_any_kind():
    assert printable_line("a\nb\tc\rd\u2028e\u2029f\x85") == "a\\nb\\tc\\rd\\u2028e\\u2029f\\x85"


def test_a_line_is_cut_to_its_limit():
    assert printable_line("x" * 10, 10) == "x" * 10
    assert printable_line("x" * 11, 10) == "xxxxxxx..."
    assert printable_line("\x00" * 5, 10) == "\\x00\\x0..."


def test_a_line_needs_room_for_what_says_that_it_was_cut():
    with pytest.raises(ValueError, match=r"^limit is 2; at least 3 characters are needed$"):
        printable_line("x", 2)


def test_a_line_that_is_shown_as_it_is():
    assert is_printable_line("a b é")
    assert not is_printable_line("a\nb")
    assert not is_printable_line("\ud800")
