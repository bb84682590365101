"""From the text of a cell to code objects, with the text kept for tracebacks and ``inspect``."""

from __future__ import annotations
import __future__

import builtins
import importlib.util
import linecache
import re
from ast import (
    AST,
    Expr,
    Expression,
    Interactive,
    Module,
    PyCF_ALLOW_TOP_LEVEL_AWAIT,
    PyCF_ONLY_AST,
    stmt,
)
from functools import reduce
from itertools import groupby
from operator import or_
from types import CodeType
from typing import Any, NamedTuple

from protocell_guest import returns
from protocell_guest.guest.reading import Reader

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

KEPT_BYTES = 8 * 1024 * 1024
"""What the sources of old cells may take; the oldest are forgotten first."""

_BYTES_PER_LINE = 64  # a short str and its place in a list
_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect itself is too heavy for every sandbox
_FUTURES = reduce(
    or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
_IPYTHON = re.compile(r"^\s*([\w, ]+=\s*)?(%|!|\?)|\?\s*$")
_RETURN = "'return' outside function"  # CPython's words
_IF_IPYTHON = "if this is a command for IPython (a magic, '!' or '?'): "
_NO_IPYTHON = (
    "IPython is not in this environment; "
    "install ipython there, or use Python alone, as subprocess.run for '!'"
)
_NOT_BY_IPYTHON = (
    "this sandbox runs plain Python, although IPython is installed; make it with "
    "Environment(shell=\"ipython\"), or use Python alone, as subprocess.run for '!'"
)
# Size, no mtime (so that linecache.checkcache does not look for a file), lines, name.
_Entry = tuple[int, None, list[str], str]


class Part(NamedTuple):
    """Some statements of a cell, or one expression whose value is shown."""

    code: CodeType
    shown: bool = False

    @property
    def awaits(self) -> bool:
        """Whether running it gives a coroutine, which is what runs it."""
        return bool(self.code.co_flags & _CO_COROUTINE)


class Program(NamedTuple):
    """A cell as code."""

    parts: tuple[Part, ...]
    source: str
    """What was compiled, which may differ from what was given."""

    @property
    def awaits(self) -> bool:
        """Whether it has an ``await`` (or ``async for``, ``async with``) outside of functions."""
        return any(part.awaits for part in self.parts)


class Cells:
    """The cells so far: their number, their sources, and their ``from __future__`` imports."""

    def __init__(self, reader: Reader | None = None) -> None:
        self.count = 0
        self._reader = reader or Reader()
        self._kept: dict[str, _Entry] = {}
        self._kept_bytes = 0
        self._flags = PyCF_ALLOW_TOP_LEVEL_AWAIT

    def compile(self, code: str, number: int | None = None) -> Program:
        """The next cell as code; ``number`` is what it is called by.

        Raises:
            SyntaxError: with file, line and text, also for characters that no source can have.
            ToolError: a call of a tool would fail (``reading``).
            MemoryError, RecursionError: the parser's, for what is nested too deep.
        """
        self.count = self.count + 1 if number is None else number
        filename = f"<cell {self.count}>"
        self._keep(filename, code)
        try:
            return self._compile(code, filename)
        except SyntaxError as error:
            # Errors that are found after parsing come without their text, as it is in no file.
            if error.filename == filename and error.text is None and error.lineno:
                error.text = self._line(filename, error.lineno, code)
            if error.filename == filename:
                self._explain(error)
            raise

    def restore(self) -> None:
        """Give linecache back what the code took out of it."""
        cache = _cache()
        for filename, entry in self._kept.items():
            cache.setdefault(filename, entry)

    def _compile(self, code: str, filename: str) -> Program:
        source, tree = self._reader.read(code, lambda text: self._checked(text, filename))
        if source != code:
            self._keep(filename, source)
        try:
            return self._program(source, tree, filename)
        except SyntaxError as error:
            if error.msg != _RETURN:
                raise
        return self._program(source, returns.accept(tree), filename)

    def _program(self, source: str, tree: Module, filename: str) -> Program:
        shown = frozenset(self._shown(tree.body, source))
        flags, parts = self._flags, []
        for is_shown, group in groupby(tree.body, key=lambda node: node in shown):
            for piece in _pieces(list(group), is_shown=is_shown):
                mode = {Module: "exec", Expression: "eval", Interactive: "single"}[type(piece)]
                part = Part(self._built(piece, filename, mode, flags), mode == "eval")
                # As in a notebook, a future statement holds for the cells that follow.
                flags |= part.code.co_flags & _FUTURES
                parts.append(part)
        self._flags = flags
        return Program(tuple(parts), source)

    def _built(self, tree: AST, filename: str, mode: str, flags: int) -> CodeType:
        # dont_inherit, because else this file's own __future__ import would apply.
        return compile(tree, filename, mode, flags, dont_inherit=True)  # type: ignore[call-overload, no-any-return]

    def _checked(self, code: str, filename: str) -> tuple[str, Module]:
        _check(code, filename)
        return self._parse(code, filename)

    def _parse(self, code: str, filename: str) -> tuple[str, Module]:
        """The text that is meant by a cell's text, and its syntax tree."""
        flags = self._flags | PyCF_ONLY_AST
        return code, compile(code, filename, "exec", flags, dont_inherit=True)

    def _explain(self, error: SyntaxError) -> None:
        """Say what is missing if the text is no Python because it is a notebook's."""
        if type(error.text) is str and _IPYTHON.search(error.text):
            why = _NOT_BY_IPYTHON if _is_ipython_there() else _NO_IPYTHON
            error.msg = f"{error.msg}: {_IF_IPYTHON}{why}"

    def _shown(self, body: list[stmt], source: str) -> list[stmt]:
        """The statements whose values are shown."""
        last = body[-1] if body else None
        if isinstance(last, Expr) and not ends_with_semicolon(source, last):
            return [last]
        return []

    def _line(self, filename: str, number: int, code: str) -> str | None:
        """A line of what was compiled, without its end."""
        lines = self._kept[filename][2] if filename in self._kept else _lines(code)
        return "".join(lines[number - 1 : number]).removesuffix("\n") or None

    def _keep(self, filename: str, code: str) -> None:
        if len(code) > KEPT_BYTES:
            return
        lines = [line + "\n" for line in _lines(code)]
        entry = (len(code), None, lines, filename)
        if filename in self._kept:
            self._kept_bytes -= _weight(self._kept[filename])
        self._kept[filename] = _cache()[filename] = entry
        self._kept_bytes += _weight(entry)
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            self._kept_bytes -= _weight(self._kept.pop(oldest))
            _cache().pop(oldest, None)


def _is_ipython_there() -> bool:
    try:
        return importlib.util.find_spec("IPython") is not None
    except Exception:  # noqa: BLE001  (the code has changed how imports are found; then it is not there for it)
        return False


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


def ends_with_semicolon(code: str, last: stmt) -> bool:
    """Whether the last token is a semicolon, which tells a notebook not to show the value."""
    if ";" not in code or last.end_lineno is None or last.end_col_offset is None:
        return False
    lines = _lines(code)
    line = lines[last.end_lineno - 1].encode()[last.end_col_offset :].decode()
    rest = "\n".join([line, *lines[last.end_lineno :]])
    return rest.lstrip(" \t\f\\\n").startswith(";")


def _pieces(body: list[stmt], *, is_shown: bool) -> list[AST]:
    if not is_shown:
        return [Module(body=body, type_ignores=[])]
    return [Expression(one.value) if isinstance(one, Expr) else Interactive([one]) for one in body]
