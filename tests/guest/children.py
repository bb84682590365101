"""Cells run in a Python of their own, for tests of code that changes its whole process."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import protocell_guest
from protocell_guest.guest.interpreter import Outcome
from protocell_guest.guest.tracebacks import Failure

SOURCE = str(Path(protocell_guest.__path__[0]).parent)

_CHILD = """
import builtins, json, os, sys
sys.path.insert(0, sys.argv[1])
from protocell_guest.guest.interpreter import Interpreter
answer = os.open(sys.argv[2], os.O_WRONLY)
request = json.load(sys.stdin)
world, given = vars(builtins), dict(vars(builtins))
dumps, write, leave = json.dumps, os.write, os._exit
exec(request["before"])
interpreter = Interpreter(**request["options"])
size = request["result_bytes"]
outcomes = [interpreter.run(cell, result_bytes=size) for cell in request["cells"]]
world.update(given)
write(answer, dumps(outcomes).encode())
sys.stdout = None
leave(0)
"""


class Session(NamedTuple):
    """What came of some cells that ran one after the other."""

    outcomes: list[Outcome]
    stdout: str
    stderr: str

    @property
    def texts(self) -> list[str | None]:
        return [
            None if formats is None else formats["text/plain"] for formats, _, _ in self.outcomes
        ]

    @property
    def errors(self) -> list[str | None]:
        return [None if error is None else error.name for _, error, _ in self.outcomes]


def run_cells(
    *cells: str, before: str = "", result_bytes: int = 10_000, **options: Sequence[str]
) -> Session:
    """Run the cells in one new interpreter; ``before`` runs in its process first."""
    request = {
        "cells": cells,
        "before": before,
        "result_bytes": result_bytes,
        "options": options,
    }
    with tempfile.NamedTemporaryFile() as answer:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _CHILD, SOURCE, answer.name],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        outcomes = json.loads(answer.read())
    return Session([_outcome(*fields) for fields in outcomes], done.stdout, done.stderr)


def _outcome(
    formats: dict[str, str] | None, error: list[str] | None, exit_code: int | None
) -> Outcome:
    return Outcome(formats, None if error is None else Failure(*error), exit_code)
