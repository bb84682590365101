"""From what IPython understands to code objects.

Text that parses as Python is not given to IPython's transformer, which would leave it as it is: that takes
a while for a long cell, and lines keep their numbers.  But a single word may be the name of a magic
(``ls``, ``pwd``), and the code may have brought transformers of its own.
"""

from __future__ import annotations

import ast
import builtins
import sys
from typing import TYPE_CHECKING, Any

from protocell_guest.guest.cells import Cells, Program, ends_with_semicolon

if TYPE_CHECKING:
    from protocell_guest.guest.notebook_shell import Shell
    from protocell_guest.guest.reading import Reader

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_COPIES_LINES = (3, 12) <= sys.version_info < (3, 12, 4)  # gh-119118
_LONG_LINE = 10_000
_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class NotebookCells(Cells):
    """Cells whose text IPython is asked about, where it is not Python."""

    def __init__(self, shell: Shell, reader: Reader) -> None:
        super().__init__(reader)
        self._shell: Any = shell
        self._given = self._transformers()

    def compile(self, code: str, number: int | None = None) -> Program:
        """As without IPython, by its settings."""
        self._flags = self._flags | _AWAIT if self._shell.autoawait else self._flags & ~_AWAIT
        return super().compile(code, number)

    def _parse(self, code: str, filename: str) -> tuple[str, ast.Module]:
        meant, tree = self._meaning(code, filename)
        if self._shell.ast_transformers:
            tree = self._shell.transform_ast(tree)
        return meant, tree

    def _meaning(self, code: str, filename: str) -> tuple[str, ast.Module]:
        if self._is_plain(code):
            try:
                return super()._parse(code, filename)
            except SyntaxError:
                if _is_beyond_tokenize(code) or (meant := self._transformed(code)) == code:
                    raise
        else:
            meant = self._transformed(code)
        return super()._parse(meant, filename)

    def _transformed(self, code: str) -> str:
        """As IPython, which takes away empty lines before the first one: lines are to keep their numbers."""
        meant: str = self._shell.transform_cell(code)
        return "\n" * (_empty_lines(code) - _empty_lines(meant)) + meant

    def _is_plain(self, code: str) -> bool:
        """Whether text that parses as Python means what it says."""
        if self._transformers() != self._given or code.startswith("In ["):
            return False
        line = code.strip()
        if "\n" in line or not line:
            return True
        word = line.split(maxsplit=1)[0].partition("(")[0]
        return not (word.isidentifier() and self._is_special(word))

    def _is_special(self, word: str) -> bool:
        """Whether a line that begins with this word may be a magic, a macro or a call without brackets."""
        shell = self._shell
        if word in shell.user_ns:
            return not isinstance(shell.user_ns[word], _ORDINARY)
        return shell.find_line_magic(word) is not None or shell.alias_manager.is_alias(word)

    def _transformers(self) -> list[Any]:
        manager = self._shell.input_transformer_manager
        return [
            *manager.cleanup_transforms,
            *manager.line_transforms,
            *manager.token_transformers,
            *self._shell.input_transformers_post,
        ]

    def _explain(self, error: SyntaxError) -> None:
        """Nothing is missing."""

    # -- what is shown ----------------------------------------------------------------------------

    def _shown(self, body: list[ast.stmt], source: str) -> list[ast.stmt]:
        mode = self._shell.ast_node_interactivity
        if mode == "last_expr_or_assign" and body:
            _show_assigned(body)
        if mode in ("last_expr", "last_expr_or_assign"):
            return super()._shown(body, source)
        if not body or mode == "none" or ends_with_semicolon(source, body[-1]):
            return []
        return list(body) if mode == "all" else body[-1:]


def _is_beyond_tokenize(code: str) -> bool:
    """Whether IPython would take gigabytes for it: in these versions each token holds a copy of its line."""
    if not _COPIES_LINES or code.lstrip().startswith(
        "%%"
    ):  # cell magics are not looked at by token
        return False
    return max(map(len, code.split("\n"))) > _LONG_LINE


def _empty_lines(code: str) -> int:
    """How many there are before the first one with something in it."""
    return code.count("\n", 0, len(code) - len(code.lstrip()))


def _show_assigned(body: list[ast.stmt]) -> None:
    """Let the name that the last statement assigns to stand as an expression after it."""
    last = body[-1]
    targets = last.targets if isinstance(last, ast.Assign) else [getattr(last, "target", None)]
    if isinstance(last, ast.Assign | ast.AnnAssign | ast.AugAssign) and len(targets) == 1:
        target = targets[0]
        if isinstance(target, ast.Name):
            shown = ast.Expr(ast.Name(target.id, ast.Load()))
            body.append(ast.fix_missing_locations(ast.copy_location(shown, last)))


_ORDINARY = (int, float, str, list, tuple, dict, set, bytes, type(None))
