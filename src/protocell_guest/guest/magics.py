"""Magics that are done otherwise in a sandbox, and those that would wait for somebody who is not there."""

from __future__ import annotations

import builtins
import re
import subprocess
from importlib import import_module
from typing import TYPE_CHECKING, Any

from protocell_guest.guest import commands

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[[str], object]

# Functions of this module keep these builtins when the code assigns to builtins.str or the like.
globals()["__builtins__"] = dict(vars(builtins))

UsageError: type[Exception] = import_module("IPython.core.error").UsageError

_INTERPRETERS = (
    "bash",
    "sh",
    "perl",
    "ruby",
    "python",
    "python3",
    "python2",
    "pypy",
    "js",
    "javascript",
)
_PROGRAMS = {"js": "node", "javascript": "node"}
_NO_KEYBOARD = {
    "debug": "put print() or an assert where you want to look, or read the traceback",
    "pdb": "put print() or an assert where you want to look, or read the traceback",
    "edit": "write the file with %%writefile and run it with %run",
    "ed": "write the file with %%writefile and run it with %run",
    "recall": "In[n] has the text of cell n, and %rerun n runs it again",
    "rep": "In[n] has the text of cell n, and %rerun n runs it again",
    "load": "read the file with open(), or run it with %run",
    "loadpy": "read the file with open(), or run it with %run",
    "gui": "plots come out as pictures by themselves",
}
_OPTIONS = re.compile(r"--(out|err|proc)[ =](\S+)|(--bg|--no-raise-error|--raise-error)(?!\S)")


def register(shell: Any) -> None:
    """Put these in the place of IPython's own."""

    def refusing(name: str, instead: str) -> Callable[[str], None]:
        def magic(_line: str) -> None:
            raise UsageError(
                f"%{name} needs somebody at a keyboard, and nobody is there: {instead}."
            )

        return magic

    def script(line: str, cell: str) -> None:
        """Give the cell to a program as its input: ``%%script perl``."""
        options = {name: value for name, value, _ in _OPTIONS.findall(line) if name}
        flags = {flag for _, _, flag in _OPTIONS.findall(line) if flag}
        if "--bg" in flags or "proc" in options:
            raise UsageError(
                "a script in the background is not possible here; use subprocess.Popen."
            )
        command = _OPTIONS.sub("", line).split()
        code = _run_script(shell, command, cell, options)
        if code and "--no-raise-error" not in flags:
            raise subprocess.CalledProcessError(code, cell)

    def interpreter(name: str) -> Callable[[str, str], None]:
        return lambda line, cell: script(f"{_PROGRAMS.get(name, name)} {line}", cell)

    for name, instead in _NO_KEYBOARD.items():
        shell.register_magic_function(refusing(name, instead), "line", name)
    shell.register_magic_function(script, "cell", "script")
    for name in _INTERPRETERS:
        shell.register_magic_function(interpreter(name), "cell", name)
    shell.register_magic_function(lambda _line: shell.show_last_failure(), "line", "tb")


def _run_script(shell: Any, command: list[str], cell: str, options: dict[str, str]) -> int:
    shell.check_commands()
    kept: dict[str, list[str]] = {kind: [] for kind in options}
    writers: dict[str, Write | None] = {
        kind: kept[kind].append if kind in kept else None for kind in ("out", "err")
    }
    try:
        return commands.run(command, text=cell, out=writers["out"], err=writers["err"])
    finally:
        for kind, name in options.items():
            shell.user_ns[name] = "".join(kept[kind])
