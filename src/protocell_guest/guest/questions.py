"""``input()``, ``getpass()`` and ``breakpoint()`` where nobody is there: an error at once, whose sentence helps."""

from __future__ import annotations

import builtins
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from protocell_guest.guest.on_import import when_imported

if TYPE_CHECKING:
    from types import ModuleType

# Functions of this module keep these builtins when the code assigns to builtins.str or the like.
globals()["__builtins__"] = dict(vars(builtins))

_WHY = (
    "nobody is there to answer {}: the code runs in a sandbox without a keyboard. "
    "Put the answer into the code, or into a file or a variable of the environment."
)


_NO_DEBUGGER = (
    "nobody is there to debug at breakpoint(): put print() or an assert where you want to look, "
    "or read the traceback."
)


def refuse() -> None:
    """Let them raise EOFError from now on, in this process and its children."""
    builtins.input = _input
    sys.breakpointhook = _breakpoint
    when_imported("getpass", _take_getpass)


def _take_getpass(module: ModuleType) -> None:
    module.getpass = _getpass  # type: ignore[attr-defined]


def _input(prompt: object = "", /) -> NoReturn:
    """As the builtin, which reads a line; here there is never one."""
    if prompt != "":
        sys.stdout.write(f"{prompt}\n")
        sys.stdout.flush()
    raise EOFError(_WHY.format("input()"))


def _getpass(prompt: str = "Password: ", stream: object = None, **_echo: object) -> NoReturn:  # noqa: ARG001
    """As getpass.getpass, which reads a line; here there is never one."""
    raise EOFError(_WHY.format("getpass()"))


def _breakpoint(*_arguments: object, **_more: object) -> None:
    """As sys.breakpointhook, which starts a debugger; PYTHONBREAKPOINT=0 goes on as there."""
    if os.environ.get("PYTHONBREAKPOINT") != "0":
        raise EOFError(_NO_DEBUGGER)
