"""Code is looked at before it runs: made readable where it is not, and searched for calls of tools that must fail.

Code that parses is not touched, and costs one look at its names where there are any tools. Code that does not parse
has taken off it what models put around code, if it parses then; lines keep their numbers, and what was done is told
as a warning. A call that cannot work and is surely reached ends the code before anything of it has run, so that
nothing of it has to be undone or repeated; one that is perhaps reached is worth a warning.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from protocell_guest.code_calls import Checker, Names, Problem, report
from protocell_guest.code_text import advice, bare, readable
from protocell_guest.guest.clipping import clip
from protocell_guest.guest.tool_errors import error_of

if TYPE_CHECKING:
    from ast import Module
    from collections.abc import Callable, Mapping, Sequence

    Parse = Callable[[str], tuple[str, Module]]
    """The text that is meant by a cell's text, and its syntax tree; raises SyntaxError."""

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

MOST_CHARACTERS = 200_000
"""Longer code is not looked at, only run."""
_MOST_WARNING_BYTES = 900
_NOTHING_HAS_RUN = "nothing has run, because this would have failed:\n"


class Reader:
    """Reads the cells of one interpreter; ``names`` says what names mean there."""

    def __init__(self, names: Names | None = None) -> None:
        self.warnings: list[str] = []
        """What is to be said about the cell that was read last, a sentence or two each."""
        self._names = names
        self._cards: Sequence[Mapping[str, Any]] = ()
        self._checker: Checker | None = None

    def know(self, cards: Sequence[Mapping[str, Any]]) -> None:
        """These are the tools from now on."""
        self._cards, self._checker = cards, None

    def read(self, code: str, parse: Parse) -> tuple[str, Module]:
        """The text that is meant, and its syntax tree.

        Raises:
            SyntaxError: it is none, whatever is taken off; says what may be wrong.
            ToolError: it has a call of a tool that must fail.
        """
        try:
            meant, tree = parse(code)
        except SyntaxError as error:
            meant, tree = self._mended(code, parse, error)
        # Code that was escaped twice and begins with a comment is a comment as a whole.
        if not tree.body and len(code) <= MOST_CHARACTERS and (hint := advice(code)):
            self.warnings.append(f"There is nothing to run in it. {hint}")
        self._look_for_calls(tree, meant)
        return meant, tree

    def _mended(self, code: str, parse: Parse, error: SyntaxError) -> tuple[str, Module]:
        if len(code) > MOST_CHARACTERS:
            raise error
        found: dict[str, tuple[str, Module]] = {}

        def try_(text: str) -> None:
            if text == code:
                raise SyntaxError  # as is known
            found[text] = parse(text)

        text, note = readable(code, try_)
        if text in found:
            self.warnings.append(f"The code was changed before it ran: {note}.")
            return found[text]
        raise _explained(code, parse, error) from None

    def _look_for_calls(self, tree: Module, code: str) -> None:
        if not self._cards or len(code) > MOST_CHARACTERS:
            return
        lines = code.replace("\r\n", "\n").replace("\r", "\n")
        problems = self._problems(tree, lines)
        sure = [problem for problem in problems if problem.sure]
        self.warnings += [_warning(problem) for problem in problems if not problem.sure]
        if sure:
            message = _NOTHING_HAS_RUN + report(sure, lines)
            raise error_of({"kind": sure[0].kind, "message": message})

    def _problems(self, tree: Module, code: str) -> list[Problem]:
        try:
            if self._checker is None:
                self._checker = Checker(self._cards)
            return self._checker.problems(tree, code, self._names)
        except Exception:  # noqa: BLE001  (the code has replaced what this is made with; the calls themselves will say it)
            return []


def _explained(code: str, parse: Parse, error: SyntaxError) -> SyntaxError:
    """The error that is worth telling: that of the code itself, not that of what stands around it."""
    inner = bare(code)
    if inner != code:
        try:
            parse(inner)
        except SyntaxError as inner_error:
            error = inner_error
    if hint := advice(code):
        error.msg = f"{error.msg}. {hint}"
    return error


def _warning(problem: Problem) -> str:
    text = f"Line {problem.line}, if it is reached: {problem.text}"
    return clip(text if text.endswith("?") else f"{text}.", _MOST_WARNING_BYTES)
