"""Takes off what models put around code, where it does not parse with it: fences, indentation, a second escaping.

Code that parses is never touched. What is done to other code is kept only if it parses then, and lines keep their
numbers, so that errors name the lines that the model wrote.
"""

from __future__ import annotations

import builtins
import json
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))


class Readable(NamedTuple):
    """Code as it can be parsed."""

    code: str
    note: str
    """What was done to it, as a sentence without its end; no text where it is as it came."""


_FENCE = re.compile(
    # Possessive: nothing that was passed is tried again.
    r"^[ \t]{0,3}(?P<mark>`{3,}+|~{3,}+)[ \t]*+(?P<language>[\w+.-]*+)[^\n`]*+$",
    re.MULTILINE,
)
_PYTHON = frozenset(("", "py", "python", "python3", "py3", "ipython", "tool_code", "code"))
_PLAIN_QUOTE = re.compile(r'(?<!\\)"')
# After texts and what stands between them.
_LINE_END = re.compile(r"""(?:[^'"\\]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*\\n""")
_JAVASCRIPT = re.compile(r"^[ \t]*(?:const|let|var|function)[ \t]+\w|=>[ \t]*\{", re.MULTILINE)


def readable(code: str, parse: Callable[[str], object]) -> Readable:
    """The code as it is meant. ``parse`` raises SyntaxError, or another error, where it is not to be understood."""
    if _parses(code, parse):
        return Readable(code, "")
    for candidate, note in _candidates(code):
        if candidate.strip() and candidate != code and _parses(candidate, parse):
            return Readable(candidate, note)
    return Readable(code, "")


def advice(code: str) -> str:
    """What may be wrong with code that cannot be read, as a sentence; no text where nothing is recognised."""
    if len(list(_blocks(code))) > 1:
        return "It has several fenced blocks: send the code of one, without fences."
    if any(language not in _PYTHON for language, *_ in _blocks(code)):
        return "The fenced block is in another language: send Python."
    if _LINE_END.match(code) and "\n" not in code.strip():
        return "It has \\n where its lines should end, so it was escaped twice: send it with real line ends."
    # A text may have some of them, but not all quotes there are.
    if '\\"' in code and _PLAIN_QUOTE.search(code) is None:
        return (
            'It has \\" where quotes should be, so it was escaped twice: send it with plain quotes.'
        )
    if _JAVASCRIPT.search(code):
        return "This looks like JavaScript: send Python."
    return ""


def bare(code: str) -> str:
    """The code without its fence, and without the indentation of its first line."""
    return _dedented(_unfenced(code))


def _parses(code: str, parse: Callable[[str], object]) -> bool:
    try:
        parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def _candidates(code: str) -> Iterator[tuple[str, str]]:
    bare = _unfenced(code)
    yield bare, "the fence around it was taken off"
    yield (
        _dedented(bare),
        "fence and indentation were taken off" if bare != code else "its indentation was taken off",
    )
    if (unescaped := _unescaped(code)) != code:
        yield unescaped, "it had been escaped twice"
        yield _dedented(_unfenced(unescaped)), "it had been escaped twice"


def _blocks(code: str) -> Iterator[tuple[str, int, int]]:
    """Language, beginning and end of what stands in each fence; a last one may be open."""
    opened: re.Match[str] | None = None
    for mark in _FENCE.finditer(code):
        if opened is None:
            opened = mark
        elif mark["mark"].startswith(opened["mark"]) and not mark["language"]:
            yield opened["language"].lower(), opened.end() + 1, mark.start()
            opened = None
    if opened is not None:
        yield opened["language"].lower(), opened.end() + 1, len(code)


def _unfenced(code: str) -> str:
    blocks = list(_blocks(code))
    if len(blocks) != 1 or blocks[0][0] not in _PYTHON:
        return code
    _, start, end = blocks[0]
    inside = code[start:end]
    if inside.strip():
        return "\n" * code.count("\n", 0, start) + inside
    # A fence that only ends: the code stands before it.
    return (
        code[: code.rfind("\n", 0, max(0, start - 1)) + 1] if start >= len(code.rstrip()) else code
    )


def _dedented(code: str) -> str:
    """Without the indentation of its first line, where the others have it: those of a text over lines need not."""
    first = next((line for line in code.split("\n") if line.strip()), "")
    indentation = first[: len(first) - len(first.lstrip(" \t"))]
    if not indentation:
        return code
    return "\n".join(line.removeprefix(indentation) for line in code.split("\n"))


def _unescaped(code: str) -> str:
    """What was escaped as a whole, as JSON does it; only where there is no line end left in it."""
    body = code.strip()
    if "\n" in body or "\\n" not in body:
        return code
    try:
        said = json.loads(body if body.startswith('"') and body.endswith('"') else f'"{body}"')
    except ValueError:
        return body.replace("\\n", "\n").replace("\\t", "\t")
    return said if isinstance(said, str) else code
