"""Third parties' text made fit to be shown to a model: bounded, visible, and inside the fence that it is put in.

Descriptions, names and keys of results were written by whoever runs the server. What a person would not see of them
is taken out: control characters, bidirectional controls (CVE-2021-42574), zero-width characters, and the tags of
U+E0000, which spell whole sentences that no screen shows. Backquotes that could end a fence become apostrophes. What
the words say is left as it is: they are shown as somebody's words, and never as ours.
"""

from __future__ import annotations

import re

MOST_CHARACTERS = 4_000
"""Of one description, where it is shown whole."""

_ELLIPSIS = "..."
_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls, but line ends and tabs
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # fillers and soft hyphens
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x85\u2028\u2029]")
_FENCE = re.compile("`{3,}|~{3,}")
_EMPTY_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+\n")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|\n\s*\n|\n\s*[-*#]")
# "e.g. this" does not end there.
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|no|approx)|\b[A-Z])\.$", re.IGNORECASE)


def clean(text: object, most: int = MOST_CHARACTERS) -> str:
    """The text with its lines, of at most ``most`` characters; what is not text is none."""
    if not isinstance(text, str):
        return ""
    # What is far beyond the cap is not looked at; what is taken out makes room for some of it.
    shown = _LINE_ENDS.sub("\n", text[: 4 * most + 1_000])
    shown = _INVISIBLE.sub("", shown).expandtabs(4)
    shown = _FENCE.sub(lambda found: "'" * len(found.group()), shown)
    lines = [line.rstrip() for line in shown.strip().split("\n")]
    return clip(_EMPTY_LINES.sub("\n\n", "\n".join(lines)), most)


def one_line(text: object, most: int = 200) -> str:
    """The text on one line, all white space in it single."""
    if not isinstance(text, str):
        return ""
    return clip(" ".join(clean(text, 4 * most + 100).split()), most)


def first_sentence(text: object, most: int = 160) -> str:
    """What a description begins with, on one line, without the full stop."""
    shown = clean(text, 2_000)
    for end in _SENTENCE_END.finditer(shown):
        if not _ABBREVIATION.search(shown[max(0, end.start() - 12) : end.start()]):
            shown = shown[: end.start()]
            break
    return one_line(shown, most).removesuffix(".")


def has_hidden(text: object) -> bool:
    """Whether there is something in the text that nobody sees; emoji may have such characters too."""
    shown = re.sub("[\ufe0e\ufe0f\u200d]", "", text) if isinstance(text, str) else ""
    return _INVISIBLE.search(shown) is not None


def clip(text: str, most: int) -> str:
    """At most ``most`` characters, three points in place of the rest."""
    if len(text) <= most:
        return text
    return (
        text[: most - len(_ELLIPSIS)].rstrip() + _ELLIPSIS if most > len(_ELLIPSIS) else text[:most]
    )


def indented(text: str, by: str = "    ") -> str:
    """Every line but empty ones moved to the right."""
    return "\n".join(by + line if line else line for line in text.split("\n"))
