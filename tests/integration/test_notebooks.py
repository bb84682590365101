"""Notebooks as people write them give what a notebook gives: each runs here and in a real ipykernel, cell beside cell.

Compared are output, errors with the lines they came from, everything shown with all its forms, and the number. Where
the two may differ, the cell says so (see notebook_files.py) and a row of DIFFERENCES says why.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from protocell import Environment, Limits, Policy, Sandbox
from protocell.environment import Shell
from tests.integration.notebook_files import PATHS, Cell, Notebook, read
from tests.integration.notebook_mends import (
    Mend,
    counted,
    each_figure_once,
    ends_of_output,
    error_by_name,
    failed_hook,
    forms_without,
    last_line,
    last_printed,
    meant,
    one_terminal,
    plotly_shown,
    without,
    without_colours,
    without_last_figure,
    without_main,
)
from tests.integration.notebook_outcomes import Outcome, compared, of_execution
from tests.integration.notebook_page import Page

if TYPE_CHECKING:
    from tests.integration.real_kernel import RealKernel

OURS = "/home/user"
NOTEBOOKS = [read(path) for path in PATHS]
LIMITS = Limits(wall_seconds=60, cpu_seconds=120)
PRELOAD = ("pandas", "matplotlib.pyplot")  # else each sandbox imports them anew


class Difference(NamedTuple):
    """Why a cell comes to something else than in a notebook, and the two without that difference."""

    reason: str
    mend: Mend


DIFFERENCES = {
    # -- what is shown
    "no-jpeg": Difference(
        "the same picture as PNG, without losses, is there", forms_without("image/jpeg")
    ),
    "charts": Difference(
        "the text of a chart says what it shows, and its specification comes with it",
        forms_without("text/plain", "application/vnd.vegalite.v6+json"),
    ),
    "plotly": Difference("plotly wants nbformat for what needs no nbformat", plotly_shown),
    "figures-once": Difference(
        "a figure is shown once by a cell, not once more at its end", each_figure_once
    ),
    "figures-left-open": Difference(
        "a figure that a cell leaves open comes out with that cell, whatever plt.ioff() says: later it has no place",
        without_last_figure,
    ),
    "always-a-text": Difference(
        "a result has a text, if an empty one", forms_without("text/plain")
    ),
    "failed-hook": Difference(
        "that a value cannot be shown is no failure of the cell: its other forms are shown, and why is said",
        failed_hook,
    ),
    "one-main-result": Difference(
        "a cell has one main result: that of its own last line", without_main
    ),
    "replaced-later": Difference("an execution that is over does not change", counted),
    "update-of-earlier": Difference(
        "an execution that is over does not change: what replaces its values is a value of the next one",
        without("shown"),
    ),
    # -- output
    "no-terminal": Difference(
        "programs write into pipes and not to a terminal: no carriage returns, no columns, stderr apart",
        one_terminal,
    ),
    "colours": Difference("models read no colours", without_colours),
    "all-printed": Difference("what was printed is kept when the page is cleared", last_printed),
    "output-kept": Difference("of long output the two ends are kept", ends_of_output),
    "half-characters": Difference(
        "half a surrogate pair is shown as an escape; a kernel drops it all",
        without("stdout", "stderr"),
    ),
    # -- errors
    "no-keyboard": Difference(
        "nobody is there to answer, and the error says what to do instead",
        without("stdout", "stderr", "status", "error", "lines"),
    ),
    "exits": Difference(
        "SystemExit ends the cell as it ends a program: the exit code is the outcome, not a traceback",
        without("stderr", "status", "error", "lines"),
    ),
    "caught": Difference(
        "an error that IPython has caught for the cell is on stderr too, where code that goes on can be told from it",
        without("stderr", "status", "error", "lines"),
    ),
    "script-in-error": Difference(
        "the script stands in the error as text, not as the repr of bytes", error_by_name
    ),
    "own-tracebacks": Difference(
        "tracebacks are Python's own, whatever %xmode says", without("lines")
    ),
    "chains": Difference(
        "IPython gives the line of the last error to those before it as well", last_line
    ),
    "incomplete": Difference(
        "IPython takes what is not closed for unfinished typing; ours is Python's own message",
        without("error"),
    ),
    "groups": Difference(
        "IPython prints the traceback of a group to stderr", without("stderr", "lines")
    ),
    # -- how a cell runs
    "read-as-meant": Difference(
        "models put fences around code and end it with return: what they mean is run, and what was done is told",
        meant,
    ),
    "own-loop": Difference(
        "the event loop runs while a cell awaits, not all the time: so asyncio.run() works, which a notebook refuses",
        without("status", "error", "lines", "shown"),
    ),
    "empty-cell": Difference("every call counts, that of an empty cell too", without("count")),
}

WITHOUT_IPYTHON = Difference(
    "without IPython the text of a value is its repr, and not printed prettily",
    forms_without("text/plain"),
)


# -- side by side --------------------------------------------------------------------------------------


def left_over(cell: Cell, ours: Outcome, theirs: Outcome) -> list[str]:
    """What is wrong with a cell: it differs in what no row excuses, or a row excuses nothing."""
    rows = rows_of(cell)
    found = compared(*mended(rows, ours, theirs))
    needless = [
        f"needs no mark {name!r}"
        for name, row in zip(cell.differences, rows, strict=True)
        if not compared(*mended([other for other in rows if other is not row], ours, theirs))
    ]
    return found + needless


def left_over_without_ipython(cell: Cell, ours: list[Outcome], theirs: Outcome) -> list[str]:
    """In what a cell differs that ran without IPython, if it did."""
    rows = [*rows_of(cell), WITHOUT_IPYTHON]
    return [
        f"without IPython, {sentence}"
        for one in ours
        for sentence in compared(*mended(rows, one, theirs))
    ]


def rows_of(cell: Cell) -> list[Difference]:
    """What may differ."""
    return [DIFFERENCES[name] for name in cell.differences]


def mended(rows: list[Difference], ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
    """The two without these differences."""
    for row in rows:
        ours, theirs = row.mend(ours, theirs)
    return ours, theirs


def run_all(
    notebook: Notebook, kernel: "RealKernel", environments: list[Environment]
) -> Iterator[tuple[Cell, list[Outcome], Outcome]]:
    """Run all cells here and there at the same time, and look at both when all of them ran."""
    page, ours = Page(), list[list[Outcome]]()
    kernel.begin()
    with ExitStack() as stack:
        sandboxes = [
            stack.enter_context(Sandbox(Policy(environment=environment, limits=LIMITS)))
            for environment in environments
        ]
        for cell in notebook.cells:
            request = kernel.send(cell.code)
            ours.append([run_one(sandbox, cell.code) for sandbox in sandboxes])
            page.take(*kernel.wait(request))
    for cell, here, there in zip(notebook.cells, ours, page.outcomes, strict=True):
        yield cell, [one.normal(OURS) for one in here], there.normal(str(kernel.home))


def run_one(sandbox: Sandbox, code: str) -> Outcome:
    """A cell in a sandbox."""
    execution = sandbox.run_code(code)
    return of_execution(execution, lambda path: sandbox.files.read(path, format="bytes"))


@contextmanager
def new_kernel() -> Iterator["RealKernel"]:
    """A kernel, and its end."""
    if os.environ.get("PROTOCELL_MUST_WORK") != "1":
        pytest.importorskip("ipykernel")
        pytest.importorskip("jupyter_client")
    from tests.integration.real_kernel import RealKernel  # noqa: PLC0415

    with (
        tempfile.TemporaryDirectory(prefix="notebooks-") as folder,
        RealKernel(Path(folder)) as kernel,
    ):
        yield kernel


@pytest.fixture(scope="module")
def shared_kernel() -> Iterator["RealKernel"]:
    """A kernel for one notebook after the other."""
    with new_kernel() as kernel:
        yield kernel


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.name)
def test_a_notebook_gives_what_a_notebook_gives(notebook: Notebook, shared_kernel: "RealKernel"):
    shells: list[Shell] = ["ipython", "plain"] if notebook.is_plain else ["ipython"]
    preload = () if notebook.is_fresh else PRELOAD
    environments = [Environment(shell=shell, preload=preload) for shell in shells]
    with new_kernel() if notebook.is_fresh else nullcontext(shared_kernel) as kernel:
        wrong = [
            f"cell {cell.number}, {cell.code[:60]!r}: {sentence}"
            for cell, ours, theirs in run_all(notebook, kernel, environments)
            for sentence in [
                *left_over(cell, ours[0], theirs),
                *left_over_without_ipython(cell, ours[1:], theirs),
            ]
        ]

    assert wrong == [], "\n".join(["", *wrong])


# -- marks ---------------------------------------------------------------------------------------------


def test_there_are_about_thirty_notebooks_and_each_says_what_it_is():
    assert len(NOTEBOOKS) >= 30
    assert [one.name for one in NOTEBOOKS if not re.match(r"# \S.*\.\n", one.head)] == []


def test_every_mark_names_a_row_and_every_row_is_needed_by_a_cell():
    cells = [cell for notebook in NOTEBOOKS for cell in notebook.cells]

    assert {name for cell in cells for name in cell.differences} == DIFFERENCES.keys()
