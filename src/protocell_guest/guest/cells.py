"""From the text of a cell to code objects, with the text kept for tracebacks and ``inspect``."""

from __future__ import annotations
import __future__

import builtins
import linecache
from ast import Expr, Expression, PyCF_ALLOW_TOP_LEVEL_AWAIT, PyCF_ONLY_AST
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import CodeType

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

KEPT_BYTES = 8 * 1024 * 1024
"""What the sources of old cells may take; the oldest are forgotten first."""

_BYTES_PER_LINE = 64  # a short str and its place in a list
_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect itself is too heavy for every sandbox
_FUTURES = reduce(
    or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
# Size, no mtime (so that linecache.checkcache does not look for a file), lines, name.
_Entry = tuple[int, None, list[str], str]


class Program(NamedTuple):
    """A cell as code: its statements, then the last expression if its value is the result."""

    parts: tuple[CodeType, ...]

    @property
    def awaits(self) -> bool:
        """Whether it has an ``await`` (or ``async for``, ``async with``) outside of functions."""
        return any(map(is_coroutine, self.parts))


def is_coroutine(code: CodeType) -> bool:
    """Whether running the code gives a coroutine, which is what runs it."""
    return bool(code.co_flags & _CO_COROUTINE)


class Cells:
    """The cells so far: their number, their sources, and their ``from __future__`` imports."""

    def __init__(self) -> None:
        self._count = 0
        self._kept: dict[str, _Entry] = {}
        self._kept_bytes = 0
        self._flags = PyCF_ALLOW_TOP_LEVEL_AWAIT

    def compile(self, code: str) -> Program:
        """The next cell as code.

        Raises:
            SyntaxError: with file, line and text, also for characters that no source can have.
            MemoryError, RecursionError: the parser's, for what is nested too deep.
        """
        self._count += 1
        filename = f"<cell {self._count}>"
        self._keep(filename, code)
        try:
            return self._compile(code, filename)
        except SyntaxError as error:
            # Errors that are found after parsing come without their text, as it is in no file.
            if error.filename == filename and error.text is None and error.lineno:
                error.text = "".join(_lines(code)[error.lineno - 1 : error.lineno]) or None
            raise

    def restore(self) -> None:
        """Give linecache back what the code took out of it."""
        cache = _cache()
        for filename, entry in self._kept.items():
            cache.setdefault(filename, entry)

    def _compile(self, code: str, filename: str) -> Program:
        _check(code, filename)
        # dont_inherit, because else this file's own __future__ import would apply.
        tree = compile(code, filename, "exec", self._flags | PyCF_ONLY_AST, dont_inherit=True)
        last = tree.body[-1] if tree.body else None
        shown = None
        if isinstance(last, Expr) and not _ends_with_semicolon(code, last):
            shown = Expression(tree.body.pop().value)
        body = compile(tree, filename, "exec", self._flags, dont_inherit=True)
        # As in a notebook, a future statement holds for the cells that follow.
        flags = self._flags | body.co_flags & _FUTURES
        parts = [body]
        if shown is not None:
            parts.append(compile(shown, filename, "eval", flags, dont_inherit=True))
        self._flags = flags
        return Program(tuple(parts))

    def _keep(self, filename: str, code: str) -> None:
        if len(code) > KEPT_BYTES:
            return
        lines = [line + "\n" for line in _lines(code)]
        entry = (len(code), None, lines, filename)
        self._kept[filename] = _cache()[filename] = entry
        self._kept_bytes += _weight(entry)
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            self._kept_bytes -= _weight(self._kept.pop(oldest))
            _cache().pop(oldest, None)


def _weight(entry: _Entry) -> int:
    return entry[0] + _BYTES_PER_LINE * len(entry[2])


def _cache() -> dict[str, Any]:
    cache = getattr(linecache, "cache", None)
    if type(cache) is not dict:
        cache = linecache.cache = {}  # the code replaced it by something else
    return cache


def _lines(code: str) -> list[str]:
    """The lines as the parser counts them: str.splitlines knows more ends than Python does."""
    return code.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _check(code: str, filename: str) -> None:
    """Refuse what the parser refuses with a different exception in each version, or without a place."""
    if (position := code.find("\0")) >= 0:
        raise _unreadable(code, position, "source code has a NUL character", filename)
    try:
        code.encode()
    except UnicodeEncodeError as error:
        why = f"source code has a lone surrogate, {code[error.start]!a}, which is no character"
        raise _unreadable(code, error.start, why, filename) from None


def _unreadable(code: str, position: int, why: str, filename: str) -> SyntaxError:
    before = _lines(code[:position])
    line = _lines(code)[len(before) - 1]
    text = line.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    return SyntaxError(why, (filename, len(before), len(before[-1]) + 1, text))


def _ends_with_semicolon(code: str, last: Expr) -> bool:
    """Whether the last token is a semicolon, which tells a notebook not to show the value."""
    if ";" not in code or last.end_lineno is None:
        return False
    lines = _lines(code)
    line = lines[last.end_lineno - 1].encode()[last.end_col_offset :].decode()
    rest = "\n".join([line, *lines[last.end_lineno :]])
    return rest.lstrip(" \t\f\\\n").startswith(";")
