"""The benchmark script works: a quick run fills every row of every table; no figure is judged here."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "run.py"
SHELLS = ["IPython", "plain"]
WHAT = [
    "fresh sandbox, `print(1)`, one waiting",
    "fresh sandbox, `print(1)`, none waiting, in a row",
    "warm call in a live sandbox, `print(1)`",
    "fresh sandbox, pandas used, one waiting",
    "fresh sandbox, pandas used, none waiting, in a row",
    "first sandbox of a process, zygote start included",
    "fresh sandboxes, `print(1)`, 1 caller",
    "fresh sandboxes, `print(1)`, 4 callers",
    "fresh sandboxes, `print(1)`, 16 callers",
    "fresh sandboxes, pandas used, 1 caller",
    "fresh sandboxes, pandas used, 4 callers",
    "fresh sandboxes, pandas used, 16 callers",
    "warm call, `print(1)`",
    "warm call, `1+1`",
    "opening until the first result, one waiting",
    "opening until the first result, none waiting",
]
ROWS = [
    *(f"{what}, {shell}" for what in WHAT for shell in SHELLS),
    "`import protocell` before it",
    "from `interrupt()` to the answer of the next call, IPython",
    "from `print(…, flush=True)` inside to the callback, IPython",
    "1 live context, call after call, IPython",
    "2 live contexts, fed in turn, IPython",
    "warm call with a checkpoint, an array of 1 MB live",
    "what the checkpoint adds, an array of 1 MB live",
    "warm call with a checkpoint, an array of 1 MB live, all of it written",
    "what the checkpoint adds, an array of 1 MB live, all of it written",
    "from SIGKILL to the answer of the next call, an array of 1 MB live",
    "warm call with a checkpoint, an array of 20 MB live",
    "what the checkpoint adds, an array of 20 MB live",
    "from SIGKILL to the answer of the next call, an array of 20 MB live",
    "warm call with a checkpoint, 20 MB of bytes objects live",
    "what the checkpoint adds, 20 MB of bytes objects live",
    "from SIGKILL to the answer of the next call, 20 MB of bytes objects live",
    "`fork(1)` until the copy has answered, a data frame of 10 MB live",
    "`fork(2)` until the first has answered, a data frame of 10 MB live",
    "`fork(2)` until all have answered, asked in turn, a data frame of 10 MB live",
    "idle sandbox: PSS of its processes, 4 live",
    "idle sandbox: PSS of its processes, no other live",
    "idle sandbox: what the machine has less (MemAvailable), mean of 3",
    "opening one more",
    "warm call, 1 live (before)",
    "warm call, 4 live, to the same sandbox",
    "warm call, 4 live, to each in turn",
    "warm call, 1 live (after)",
    "growth of a warm call, 4 live to 1 live (mean of before and after)",
]
AIMS_BY_KERNEL = 3  # judged where ipykernel and jupyter_client are installed
AIMS = 11 + (AIMS_BY_KERNEL if importlib.util.find_spec("ipykernel") else 0)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tmp_path_factory.mktemp("bench") / "benchmarks.md"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--output", str(target)],
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target.read_text()


def figures(document: str) -> dict[str, list[str]]:
    """The first three cells after the name, of each line of a table of figures: unit and our median."""
    tables = document.partition("## Time from call to result")[2]
    lines = [line.strip("| ").split(" | ") for line in tables.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:3] for cells in lines if cells[0] in ROWS}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_figure(document: str, row: str):
    unit, ours = figures(document)[row]

    assert unit in {"ms", "MB", "runs/s", "calls/s", "times"}
    assert re.match(r"-?[\d,]+(\.\d+)?( \(-?[\d,.]+ to -?[\d,.]+\))?$", ours)


def test_every_aim_is_said_to_be_met_or_missed(document: str):
    aims = document.partition("## Aims")[2].partition("\n## ")[0]

    assert len(re.findall(r"\| (met|\*\*missed\*\*) \|$", aims, re.MULTILINE)) == AIMS


def test_a_quick_run_says_that_it_says_nothing(document: str):
    assert "> **Warning:** This was a quick run" in document
