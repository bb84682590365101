"""Who we are measured against: the subprocess of the blog posts, bubblewrap, and the bare fork of a warm interpreter.

Each is given the same program in the same file, and its answer is checked: a rival that fails is not a fast one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_WARM = Path(__file__).with_name("warm_process.py")
# The tree is the host's, read-only, as the usual examples have it; a tmpfs on /tmp would hide the program.
_BWRAP = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session"]
_BWRAP += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]


@dataclass(frozen=True, slots=True)
class Program:
    """A program in a file, and what it prints."""

    name: str
    code: str
    output: str
    file: Path

    @classmethod
    def write(cls, folder: Path, name: str, code: str, output: str) -> Program:
        """Put it where every rival can read it."""
        file = folder / f"{name}.py"
        file.write_text(code, encoding="utf-8")
        return cls(name, code, output, file)


class WrongAnswerError(Exception):
    """What was to be measured did not do its work."""


def programs(folder: Path) -> tuple[Program, Program]:
    """The two that everything is measured with: one that does nothing, and a small use of pandas."""
    frame = (
        "import pandas\n"
        "frame = pandas.DataFrame({'key': ['a', 'b'] * 500, 'value': range(1000)})\n"
        "print(frame.groupby('key')['value'].sum().to_dict())\n"
    )
    return (
        Program.write(folder, "print", "print(1)\n", "1\n"),
        Program.write(folder, "pandas", frame, "{'a': 249500, 'b': 250000}\n"),
    )


def naive_command(program: Program) -> list[str]:
    """Python itself, in isolated mode and nothing more."""
    return [sys.executable, "-I", str(program.file)]


def bwrap_command(program: Program) -> list[str]:
    """The same within new namespaces."""
    return [*_BWRAP, *naive_command(program)]


def run(command: Sequence[str], program: Program, *, timeout: float = 5) -> None:
    """Run a command as blog posts have it.

    Raises:
        WrongAnswerError: it did not print what the program prints.
    """
    done = subprocess.run(
        command, check=False, capture_output=True, timeout=timeout, cwd="/tmp", text=True
    )
    if done.stdout != program.output:
        raise WrongAnswerError(f"{command[0]} printed {done.stdout!r}; {done.stderr.strip()}")


def milliseconds(command: Sequence[str], program: Program) -> float:
    """How long one run takes."""
    started = time.perf_counter()
    run(command, program)
    return (time.perf_counter() - started) * 1000


def why_no_bwrap(program: Program) -> str | None:
    """What stands in the way of measuring bubblewrap here; None if it works."""
    if shutil.which("bwrap") is None:
        return "bwrap is not installed here, so its columns are empty (apt-get install bubblewrap)"
    try:
        run(bwrap_command(program), program)
    except (WrongAnswerError, subprocess.TimeoutExpired) as error:
        return f"bwrap is installed and does not work here, so its columns are empty: {error}"
    return None


class WarmProcess:
    """A warm interpreter of its own that forks on request; no thread lives in it."""

    def __init__(self, *modules: str) -> None:
        single = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_WARM), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, **single},
        )
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Of the process that forks."""
        return self._process.pid

    def fork_milliseconds(self) -> float:
        """Fork, exit and wait, once."""
        return self._ask("fork 1 1") / 1e6

    def forks_per_second(self, count: int, callers: int) -> float:
        """The same many times, with so many children at once."""
        return count / (self._ask(f"fork {count} {callers}") / 1e9)

    def exec_milliseconds(self) -> float:
        """Code run by a loop on two pipes, seen from this side."""
        started = time.perf_counter()
        self._ask("exec")
        return (time.perf_counter() - started) * 1000

    def hold(self) -> int:
        """Fork a child that stays, and return its process id."""
        return self._ask("hold")

    def drop(self) -> None:
        """End that child."""
        self._ask("drop")

    def _ask(self, request: str) -> int:
        print(request, file=self._process.stdin, flush=True)
        return int(self._read())

    def _read(self) -> str:
        if self._process.stdout is None or not (line := self._process.stdout.readline()):
            raise WrongAnswerError("the warm process that is forked as a limit has ended")
        return line
