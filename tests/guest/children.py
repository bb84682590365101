"""Cells run in a Python of their own, for tests of code that changes its whole process."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import protocell_guest
from protocell_guest.guest.display import Clear, Shown
from protocell_guest.guest.outcome import Outcome
from protocell_guest.guest.tracebacks import Failure

SOURCE = str(Path(protocell_guest.__path__[0]).parent)

_CHILD = """
import builtins, json, os, sys
sys.path.insert(0, sys.argv[1])
from protocell_guest.guest import shells
answer = os.open(sys.argv[2], os.O_WRONLY)
request = json.load(sys.stdin)
shells.prepare(request["kind"])
world, given = vars(builtins), dict(vars(builtins))
dumps, write, leave = json.dumps, os.write, os._exit
exec(request["before"])
interpreter = shells.make(request["kind"], **request["options"])
interpreter.rehearse()
sessions = []
for cell in request["cells"]:
    shown = []
    sessions.append((interpreter.run(cell, show=shown.append), shown))
world.update(given)
write(answer, dumps([(outcome, [(*one,) for one in shown]) for outcome, shown in sessions]).encode())
sys.stdout = None
leave(0)
"""

Item = Shown | Clear
RunCells = Callable[..., "Session"]


class Session(NamedTuple):
    """What came of some cells that ran one after the other."""

    outcomes: list[Outcome]
    shown: list[list[Item]]
    stdout: str
    stderr: str

    @property
    def texts(self) -> list[str | None]:
        """Of each cell the text of its last expression's value."""
        return [next((text_of(one) for one in items if is_main(one)), None) for items in self.shown]

    @property
    def displayed(self) -> list[list[str]]:
        """Of each cell the texts of what it displayed beside that."""
        return [[text_of(one) for one in items if not is_main(one)] for items in self.shown]

    @property
    def errors(self) -> list[str | None]:
        """Of each cell the class of the error that ended it."""
        return [each.error and each.error.name for each in self.outcomes]


def text_of(item: Item) -> str:
    return item.formats["text/plain"] if isinstance(item, Shown) else f"clear, wait={item.wait}"


def is_main(item: Item) -> bool:
    return isinstance(item, Shown) and item.main


def run_cells(
    *cells: str, before: str = "", kind: str = "plain", **options: Sequence[str] | str
) -> Session:
    """Run the cells in one new interpreter; ``before`` runs in its process first."""
    request = {"cells": cells, "before": before, "kind": kind, "options": options}
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
        answers = json.loads(answer.read())
    outcomes = [_outcome(*outcome) for outcome, _ in answers]
    shown = [[_item(fields) for fields in items] for _, items in answers]
    return Session(outcomes, shown, done.stdout, done.stderr)


def _outcome(error: list[str] | None, exit_code: int | None, warnings: list[str]) -> Outcome:
    return Outcome(None if error is None else Failure(*error), exit_code, tuple(warnings))


def _item(fields: list[Any]) -> Item:
    return Shown(*fields) if len(fields) > 1 else Clear(*fields)
