"""What a docstring says about each parameter, in the three styles in use: Google's, NumPy's and Sphinx's.

A few lines in place of a parser: all that is wanted is the text for each name, and the rest without it,
since the parameters' own texts are shown with the parameters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

_GOOGLE = re.compile(r"(?:Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments):\s*$")
_NUMPY = re.compile(r"(?:Other )?Parameters\s*$")
_UNDERLINE = re.compile(r"-{3,}\s*$")
_SPHINX = re.compile(
    r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:(.*)"
)
_SPHINX_TYPE = re.compile(r":(?:type)\s+\*{0,2}\w+\s*:.*")
_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:(.*)")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


def parse(text: str, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """The docstring without what it says about these parameters, and that, by name."""
    lines = text.expandtabs().splitlines()
    told: dict[str, str] = {}
    kept: list[str] = []
    at = 0
    while at < len(lines):
        end, found = _section(lines, at)
        if found and any(name in names for name, _ in found):
            told.update({name: about for name, about in found if name in names})
            at = end
        else:
            kept.append(lines[at])
            at += 1
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), told


def _section(lines: list[str], at: int) -> tuple[int, list[tuple[str, str]]]:
    """Where what begins here ends, and the parameters that it is about; none, if it is about none."""
    line = lines[at].strip()
    if _GOOGLE.match(line):
        end = _end_of_block(lines, at + 1, _indent(lines[at]) + 1)
        return end, list(_google(lines[at + 1 : end]))
    if _NUMPY.match(line) and at + 1 < len(lines) and _UNDERLINE.match(lines[at + 1].strip()):
        end = _end_of_numpy(lines, at + 2)
        return end, list(_numpy(lines[at + 2 : end]))
    if (entry := _SPHINX.match(line)) is not None:
        end = _end_of_block(lines, at + 1, _indent(lines[at]) + 1)
        about = _joined([entry[2], *lines[at + 1 : end]])
        return _after_types(lines, end), [(entry[1], about)]
    return at, []


def _google(block: list[str]) -> Iterator[tuple[str, str]]:
    """``name (type): text``, and lines further in that go on."""
    first = next((_indent(line) for line in block if line.strip()), 0)
    for head, rest in _entries(block, first):
        entry = _ENTRY.match(head)
        if entry is not None:
            yield entry[1], _joined([entry[2], *rest])


def _numpy(block: list[str]) -> Iterator[tuple[str, str]]:
    """``name : type``, with the text further in below; several names may share one."""
    first = next((_indent(line) for line in block if line.strip()), 0)
    for head, rest in _entries(block, first):
        entry = _NUMPY_ENTRY.match(head)
        if entry is not None:
            for name in entry[1].split(","):
                yield name.strip(" *"), _joined(rest)


def _entries(block: list[str], first: int) -> Iterator[tuple[str, list[str]]]:
    head, rest = "", list[str]()
    for line in block:
        if line.strip() and _indent(line) <= first:
            if head:
                yield head, rest
            head, rest = line.strip(), []
        else:
            rest.append(line)
    if head:
        yield head, rest


def _end_of_block(lines: list[str], at: int, least: int) -> int:
    """Behind the last line that stands at least so far in."""
    end = at
    while at < len(lines) and (not lines[at].strip() or _indent(lines[at]) >= least):
        at += 1
        end = at if lines[at - 1].strip() else end
    return end


def _end_of_numpy(lines: list[str], at: int) -> int:
    """Before the next heading, which is a line with dashes under it."""
    for end in range(at, len(lines)):
        if end + 1 < len(lines) and lines[end].strip() and _UNDERLINE.match(lines[end + 1].strip()):
            return end
    return len(lines)


def _after_types(lines: list[str], at: int) -> int:
    while at < len(lines) and _SPHINX_TYPE.match(lines[at].strip()):
        at += 1
    return at


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())
