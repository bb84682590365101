"""How a cell ended, and what that means for the process in which it ran."""

from __future__ import annotations

import builtins
import sys
from os import _exit, write
from typing import NamedTuple, NoReturn

from protocell_guest.guest.clipping import clip
from protocell_guest.guest.tracebacks import MAX_VALUE, Failure

# Functions of this module keep these builtins when the code assigns to builtins.int or the like.
globals()["__builtins__"] = dict(vars(builtins))

_code_of = SystemExit.__dict__["code"].__get__


class Outcome(NamedTuple):
    """How a cell ended: with an error, with SystemExit (with both if that has a message), or at its end."""

    error: Failure | None = None
    exit_code: int | None = None
    """What the shell would have seen, if SystemExit ended the cell."""
    warnings: tuple[str, ...] = ()
    """What was noticed before it ran."""


def left_with(error: SystemExit) -> Outcome:
    """What the shell sees, as in CPython's _Py_HandleSystemExit; a message on standard error is the error's value."""
    code = _code_of(error)
    if code is None:
        return Outcome(exit_code=0)
    if issubclass(type(code), int):
        number = int.__index__(code)
        return Outcome(exit_code=number & 0xFF if -(2**63) <= number < 2**63 else 0xFF)
    try:
        message = str.__str__(f"{code}")
    except BaseException:  # noqa: BLE001  (its __str__ is broken; CPython says nothing either)
        return Outcome(exit_code=1)
    _say(message)
    return Outcome(error=Failure("SystemExit", clip(message, MAX_VALUE), ""), exit_code=1)


def _say(message: str) -> None:
    try:
        sys.stderr.write(f"{message}\n")
    except BaseException:  # noqa: BLE001  (the stream is the code's own, and broken; it is in the error as well)
        return


def end_child(outcome: Outcome) -> NoReturn:
    """End a process that the cell forked and did not end, as a script's end would."""
    if outcome.error is not None:
        write(2, outcome.error.traceback.encode("utf-8", "backslashreplace"))
    _exit(outcome.exit_code if outcome.exit_code is not None else int(outcome.error is not None))
