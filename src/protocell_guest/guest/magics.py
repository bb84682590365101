"""Magics that are done otherwise in a sandbox, and those that would wait for somebody who is not there."""

from __future__ import annotations

import builtins
import functools
import re
import subprocess
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

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
)
_NO_KEYBOARD = {
    "debug": "put print() or an assert where you want to look, or read the traceback",
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
        return lambda line, cell: script(f"{name} {line}", cell)

    for name, instead in _NO_KEYBOARD.items():
        shell.register_magic_function(_refusing(name, instead), "line", name)
    shell.register_magic_function(script, "cell", "script")
    for name in _INTERPRETERS:
        shell.register_magic_function(interpreter(name), "cell", name)
    shell.register_magic_function(lambda _line: shell.show_last_failure(), "line", "tb")
    _put_before(shell, "pdb", _refuse_pdb)
    _put_before(shell, "config", functools.partial(_know_inline, shell))


def _refusing(name: str, instead: str) -> Callable[[str], NoReturn]:
    def magic(_line: str) -> NoReturn:
        raise UsageError(f"%{name} needs somebody at a keyboard, and nobody is there: {instead}.")

    return magic


def _put_before(shell: Any, name: str, step: Callable[[str], object]) -> None:
    """Do this, and then what the magic does."""
    magic = shell.find_line_magic(name)

    @functools.wraps(magic)
    def both(line: str) -> Any:
        step(line)
        return magic(line)

    shell.magics_manager.magics["line"][name] = both


def _refuse_pdb(line: str) -> None:
    if line.strip().lower() in ("", "on", "1"):  # without a word it changes "off" to "on"
        _refusing("pdb", _NO_KEYBOARD["debug"])(line)


def _know_inline(shell: Any, line: str) -> None:
    """As a kernel does from the beginning; here only if it is asked for, since it imports matplotlib."""
    if "InlineBackend" not in line:
        return
    try:
        backend = import_module("matplotlib_inline.config").InlineBackend.instance()
    except ImportError:
        return
    backend.shell = shell
    if backend not in shell.configurables:
        shell.configurables.append(backend)


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
