"""An agent's hour in one sandbox, played in seconds: what its code does costs it nothing of what it had.

    make hour

Every step says what it shows, and asserts it.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from protocell import Environment, Limits, Mount, Policy, Sandbox

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
POLICY = Policy(
    limits=Limits(memory_bytes="1GiB", wall_seconds=20),
    mounts=[Mount(source=HERE / "data", target="/data")],
    environment=Environment(preload=["pandas", "openpyxl", "matplotlib.pyplot"]),
)
LOAD = """
import pandas as pd

raw = pd.read_excel("/data/sales.xlsx", sheet_name="Orders", header=2)
raw = raw[raw["Order ID"].astype("string").str.startswith("SO-")].drop_duplicates("Order ID")
for name in ("Units", "Unit Price"):
    text = raw[name].astype("string").str.replace(r"[^0-9.-]", "", regex=True)
    raw[name] = pd.to_numeric(text.replace("", pd.NA), errors="coerce")
sales = raw.dropna(subset=["Units", "Unit Price"]).reset_index(drop=True)
sales["value"] = (sales["Units"] * sales["Unit Price"]).astype(float)
sales[["value"]].describe()
"""
PLOT = """
import matplotlib.pyplot as plt

plt.plot(sales.index[:200], sales["value"][:200].cumsum())
plt.title("Sales so far")
plt.xlabel("row")
plt.show()
"""
# Each tries another way to cut off outliers, and says how much it kept and how calm the rest is.
TRY = """
import os
low, high = sales["value"].quantile([{share}, 1 - {share}])
kept = sales[sales["value"].between(low, high)]
kept.to_csv("kept.csv", index=False)
score = round(len(kept) / len(sales) - kept["value"].std() / sales["value"].std(), 3)
float(score)
"""
SHARES = (0.005, 0.02, 0.05, 0.1)


class Story:
    """Tells the steps and counts the time."""

    def __init__(self) -> None:
        self._console = Console()
        self._started = time.monotonic()

    def step(self, what: str, told: object) -> None:
        """One line."""
        seconds = time.monotonic() - self._started
        line = f"[dim]{seconds:5.1f} s[/dim]  [bold]{what:16}[/bold] {escape(str(told))}"
        self._console.print(line, soft_wrap=True, highlight=False)


def main() -> None:
    """The hour."""
    story = Story()
    with Sandbox(POLICY, checkpoints=True, metadata={"task": "sales"}) as sandbox:
        for act in (load, plot, blow_the_memory, loop_for_ever, fork_and_keep_the_best, take_out):
            act(sandbox, story.step)


Tell = Callable[[str, object], None]


def load(sandbox: Sandbox, tell: Tell) -> None:
    """A real, dirty spreadsheet."""
    execution = sandbox.run_code(LOAD).raise_for_error()
    frame = execution.results[0].data
    assert frame["kind"] == "pandas.DataFrame"
    assert frame["index"]["values"][0] == "count"
    rows = int(sandbox.run_code("len(sales)").text or 0)
    assert rows > 1000
    tell(
        "load", f"{rows} rows of sales; the model gets the summary as data, not as a picture of it"
    )


def plot(sandbox: Sandbox, tell: Tell) -> None:
    """A figure is a picture for people and numbers for the model."""
    (figure,) = sandbox.run_code(PLOT).raise_for_error().results
    assert figure.png is not None
    assert figure.chart["type"] == "line"
    assert figure.chart["title"] == "Sales so far"
    tell("plot", f"{', '.join(figure.formats())}: a {figure.chart['type']} chart with its numbers")


def blow_the_memory(sandbox: Sandbox, tell: Tell) -> None:
    """It ends at its memory limit, and its variables are there, also if the interpreter is not.

    Which limit it meets first is the kernel's affair: the one of its process, where CPython raises
    MemoryError and lives on, or the one of the sandbox, where it goes on from an earlier copy.
    """
    execution = sandbox.run_code("hoard = []\nwhile True: hoard.append(bytearray(32 << 20))")
    assert execution.status == "out_of_memory", execution.reason
    assert execution.state in ("kept", "restored"), execution.state_reason
    after = sandbox.run_code(
        "lived_on = globals().pop('hoard', None) is not None\nlen(sales) > 1000"
    )
    assert after.text == "True"
    assert sandbox.run_code("lived_on").text == str(execution.state == "kept")
    tell("blow the memory", f"{execution.status}, variables {execution.state}")


def loop_for_ever(sandbox: Sandbox, tell: Tell) -> None:
    """Asked to stop it does, with all that it had; if it does not hear, it is ended and goes back."""
    execution = sandbox.run_code("seen = 'before the loop'\nwhile True: pass", timeout=0.5)
    assert (execution.status, execution.state) == ("timeout", "kept"), execution.reason
    assert sandbox.run_code("seen").text == "'before the loop'"
    deaf = "import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass"
    execution = sandbox.run_code(deaf, timeout=0.5)
    assert (execution.status, execution.state) == ("timeout", "restored"), execution.reason
    assert sandbox.run_code("seen").text == "'before the loop'"
    names = [variable.name for variable in sandbox.context.variables()]
    assert "sales" in names
    tell("loop for ever", f"twice timeout, variables kept and restored: {', '.join(names[-4:])}")


def fork_and_keep_the_best(sandbox: Sandbox, tell: Tell) -> None:
    """Four copies of the live interpreter try four ways at once; nothing is loaded again."""
    started = time.monotonic()
    branches = sandbox.context.fork(len(SHARES))
    milliseconds = 1000 * (time.monotonic() - started)
    with ThreadPoolExecutor() as pool:
        tries = [
            pool.submit(branch.run_code, TRY.format(share=share))
            for branch, share in zip(branches, SHARES, strict=True)
        ]
        scores = [float(each.result().raise_for_error().text or 0) for each in tries]
    best = scores.index(max(scores))
    for number, branch in enumerate(branches):
        if number != best:
            branch.kill()
    assert sandbox.run_code("'kept' in globals()").text == "False"
    assert float(branches[best].run_code("float(score)").text or 0) == max(scores)
    branches[best].run_code("kept.to_csv('/home/user/best.csv', index=False)").raise_for_error()
    tell("fork four ways", f"in {milliseconds:.0f} ms; scores {scores}, the best one goes on")


def take_out(sandbox: Sandbox, tell: Tell) -> None:
    """Files come out as bytes that were looked at, never as links that are followed."""
    execution = sandbox.run_code("import os; os.path.getsize('best.csv')").raise_for_error()
    content = sandbox.files.read("best.csv")
    assert len(content.encode()) == int(execution.text or 0)
    OUT.mkdir(exist_ok=True)
    (OUT / "best.csv").write_text(content)
    tell("take out", f"{len(content.splitlines()) - 1} rows in examples/out/best.csv")


if __name__ == "__main__":
    main()
