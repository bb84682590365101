"""Makes text from inside safe to show, because a terminal obeys what it prints.

ESC sequences move the cursor, rewrite what was there, set the title, fill the clipboard (OSC 52);
a carriage return hides the start of a line; bidirectional controls reorder source code
(CVE-2021-42574); a lone surrogate makes ``print`` itself fail. All of them become visible here.
A backslash stays as it is, so the result is to be read by a person and cannot be turned back.
"""

from __future__ import annotations

import re

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE = re.compile(f"[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f{_BIDI}\\ud800-\\udfff]")
_UNSAFE_IN_LINE = re.compile(f"[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029{_BIDI}\\ud800-\\udfff]")
_ELLIPSIS = "..."


def printable(text: str) -> str:
    r"""Makes visible, as ``\x1b``, everything that a terminal would obey but newline and tab."""
    return _UNSAFE.sub(_visible, text)


def printable_line(text: str, limit: int = 200) -> str:
    r"""The same on one line of at most ``limit`` characters: newline is ``\n``, tab is ``\t``."""
    if limit < len(_ELLIPSIS):
        raise ValueError(f"limit is {limit}; at least {len(_ELLIPSIS)} characters are needed")
    line = _UNSAFE_IN_LINE.sub(_visible, text[: limit + 1])  # what is cut off is not looked at
    return line if len(line) <= limit else line[: limit - len(_ELLIPSIS)] + _ELLIPSIS


def is_printable_line(text: str) -> bool:
    """Whether the text is one line that a terminal shows as it is."""
    return _UNSAFE_IN_LINE.search(text) is None


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    if named is not None:
        return named
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
