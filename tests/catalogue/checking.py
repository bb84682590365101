"""Looks at code as a context is to do before it runs it: the modules of ``protocell_guest`` for that, put together."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection
from dataclasses import dataclass

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.entries import cards
from protocell_guest import code_text, returns
from protocell_guest.code_calls import Checker, Names, Problem, report

MOST_CHARACTERS = 200_000
"""Longer code is not looked at, only run."""
_FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found out about code that has not run."""

    code: str
    """As it is to be run: without what was put around it."""
    note: str = ""
    """What was done to it; no text where it is as it came."""
    refusal: str = ""
    """Why it would fail, for the model, with lines and carets; no text where it may work."""
    warning: str = ""
    """The same of what is wrong in places that are perhaps not reached."""
    problems: tuple[Problem, ...] = ()
    """What was found about calls of tools."""


class _Bound(Names):
    """Some names mean what earlier code bound them to, and some nothing."""

    def __init__(self, rebound: Collection[str], unknown: Collection[str]) -> None:
        self._rebound, self._unknown = rebound, unknown

    def is_ours(self, name: str) -> bool:
        return name not in self._rebound and name not in self._unknown

    def is_known(self, name: str) -> bool:
        return name not in self._unknown


class CodeCheck:
    """The check for one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._checker = Checker(cards(catalogue))

    def check(
        self, code: str, *, rebound: Collection[str] = (), unknown: Collection[str] = ()
    ) -> Checked:
        """Look at code.

        ``rebound`` are names that earlier code of the same context may have bound, ``unknown`` mean nothing.
        """
        if len(code) > MOST_CHARACTERS:
            return Checked(code=code)
        readable = code_text.readable(code, _parse)
        try:
            tree = _parse(readable.code)
        except SyntaxError as error:
            return Checked(code=code, refusal=_syntax(error, code))
        except (ValueError, MemoryError, RecursionError) as error:
            return Checked(code=code, refusal=f"This cannot be read as Python: {error}.")
        found = self._checker.problems(tree, readable.code, _Bound(rebound, unknown))
        sure = [problem for problem in found if problem.sure]
        return Checked(
            code=readable.code,
            note=readable.note,
            refusal=f"Nothing has run.\n{report(sure, readable.code)}" if sure else "",
            warning=report([each for each in found if not each.sure], readable.code),
            problems=tuple(found),
        )


def _parse(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes: they are for whoever runs the code
        tree = compile(code, "<code>", "exec", _FLAGS, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


def accept_return(code: str) -> ast.Module:
    """The syntax tree of code in which ``return`` at the top level has become its value.

    Raises:
        SyntaxError: it is no Python.
    """
    return returns.accept(_parse(code))


def _syntax(error: SyntaxError, code: str) -> str:
    """A syntax error with its line and a caret, and what may be wrong."""
    told = [f"SyntaxError in line {error.lineno or 1}: {error.msg}"]
    lines = code.split("\n")
    line = lines[error.lineno - 1] if error.lineno and error.lineno <= len(lines) else ""
    if line.strip() and len(line) <= 200:
        told += [f"    {line}", f"    {' ' * max(0, (error.offset or 1) - 1)}^"]
    if advice := code_text.advice(code):
        told.append(advice)
    return "\n".join(told)
