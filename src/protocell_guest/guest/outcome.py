"""How a cell ended, and what that means for the process in which it ran."""

from __future__ import annotations

import builtins
import sys
from os import _exit, write
from typing import NamedTuple, NoReturn

from protocell_guest.guest.tracebacks import Failure

# Functions of this module keep these builtins when the code assigns to builtins.int or the like.
globals()["__builtins__"] = dict(vars(builtins))

_code_of = SystemExit.__dict__["code"].__get__


class Outcome(NamedTuple):
    """How a cell ended: with an error, with SystemExit, or at its end."""

    error: Failure | None = None
    exit_code: int | None = None
    """What the shell would have seen, if SystemExit ended the cell."""


def exit_code(error: SystemExit) -> int:
    """What the shell sees, as in CPython's _Py_HandleSystemExit."""
    code = _code_of(error)
    if code is None:
        return 0
    if issubclass(type(code), int):
        number = int.__index__(code)
        return number & 0xFF if -(2**63) <= number < 2**63 else 0xFF
    try:
        sys.stderr.write(f"{code}\n")
    except BaseException:  # noqa: BLE001  (its __str__ or stream is broken; CPython says nothing either)
        return 1
    return 1


def end_child(outcome: Outcome) -> NoReturn:
    """End a process that the cell forked and did not end, as a script's end would."""
    if outcome.error is not None:
        write(2, outcome.error.traceback.encode("utf-8", "backslashreplace"))
    _exit(outcome.exit_code if outcome.exit_code is not None else int(outcome.error is not None))
