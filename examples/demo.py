"""Three programs as a model would write them, each in a sandbox of its own, next to the way everybody does it today.

    make demo

The programs stand in examples/programs, what they read in examples/data (seen by them as /data, read-only), and what
they made is put into examples/out. The unsafe way is one `python -I file` in a scratch folder, as blog posts have it.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

import protocell
from protocell import Environment, Execution, Mount, Policy

Made = TypeVar("Made")

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
OUT = HERE / "out"
PROGRAMS = {
    "list_logs": "list and filter log files",
    "clean_sheet": "clean a spreadsheet, group it, write CSV, JSON, XML and XLSX",
    "resize_images": "resize and crop photos in parallel, report their metadata",
}
# A secret that the usual way hands on to the code without a word.
os.environ["DEMO_API_KEY"] = "sk-demo"
ATTEMPTS = {
    "list your SSH keys": f"import os; os.listdir({str(Path.home() / '.ssh')!r})",
    "read this machine's users": "open('/etc/passwd').read()",
    "change its own input": "open('/data/sales.xlsx', 'r+b')",
    "see other processes": "import os; [int(name) for name in os.listdir('/proc') if name.isdigit()]",
    "find keys in the environment": "import os; [name for name in os.environ if 'KEY' in name]",
    "open a connection": "import socket; socket.create_connection(('1.1.1.1', 53), 3)",
}
POLICY = Policy(
    mounts=[Mount(source=DATA, target="/data")],
    # Imported once, by the process that every sandbox is forked from.
    environment=Environment(
        preload=["pandas", "openpyxl", "lxml.etree", "PIL.Image", "PIL.ImageOps"]
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One program, both ways."""

    what: str
    sandbox_seconds: float
    naive_seconds: float


def main() -> int:
    """Run everything and show it; the exit code is 0 if every program ended well."""
    console = Console(highlight=False, soft_wrap=True)
    first, seconds = timed(lambda: protocell.run_code("1 + 1", policy=POLICY))
    console.print(
        f"The first sandbox, with pandas imported once for all that follow: {seconds:.2f} s\n"
    )

    rows = [
        compare("print(1)", "print(1)"),
        compare("first use of pandas", "import pandas; print(pandas.Series([1, 2]).sum())"),
    ]
    for name, what in PROGRAMS.items():
        console.rule(f"{name}.py: {what}", align="left")
        row = run_program(console, name)
        if row is None:
            return 1
        rows.append(row)
    show_attempts(console)
    show_comparison(console, rows)
    console.print(f"\nEnforced in each of them: {', '.join(first.enforced)}")
    return 0


def run_program(console: Console, name: str) -> Compared | None:
    """Run one program both ways, show and keep what came out; None if it did not end well."""
    source = (HERE / "programs" / f"{name}.py").read_text(encoding="utf-8")
    execution, seconds = timed(lambda: protocell.run_code(source, policy=POLICY))
    show(console, execution, seconds)
    if execution.status != "ok":
        return None
    save(console, execution, OUT / name)
    return Compared(what=f"{name}.py", sandbox_seconds=seconds, naive_seconds=naive(source))


def timed(run: Callable[[], Made]) -> tuple[Made, float]:
    """Return what was made and how long it took."""
    start = time.perf_counter()
    made = run()
    return made, time.perf_counter() - start


def compare(what: str, code: str) -> Compared:
    """Time a small program both ways, and take the best of five: the machine's noise is not the point."""
    sandbox = min(after_a_thought(code) for _ in range(5))
    return Compared(
        what=what, sandbox_seconds=sandbox, naive_seconds=min(naive(code) for _ in range(5))
    )


def after_a_thought(code: str) -> float:
    """Return how long a sandbox takes when, as with an agent, the next one was made while the model was thinking."""
    time.sleep(0.2)  # noqa: TID251  it stands for the model; there is nothing to wait for
    return timed(lambda: protocell.run_code(code, policy=POLICY))[1]


def naive(source: str) -> float:
    """Run a program the unsafe way and return how long it took; only the path of its input is changed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "program.py")
        file.write_text(source.replace('"/data', f'"{DATA}'), encoding="utf-8")
        command = [sys.executable, "-I", str(file)]
        return timed(
            lambda: subprocess.run(command, capture_output=True, check=True, timeout=60, cwd=folder)
        )[1]


def show(console: Console, execution: Execution, seconds: float) -> None:
    """Print what came out of one program."""
    console.print(Text("".join(execution.logs.stdout).rstrip("\n")))
    console.print(Text("".join(execution.logs.stderr).rstrip("\n"), style="red"), end="")
    if execution.text:
        console.print(Text(f"=> {execution.text}", style="bold"))
    if execution.status != "ok":
        console.print(Text(f"{execution.status}: {execution.reason}", style="bold red"))
        console.print(Text(execution.error.traceback if execution.error else ""))
    for file in execution.files.values():
        console.print(
            Text(
                f"   {file.path:<24} {file.size:>9,} bytes  sha256 {file.sha256[:12]}", style="dim"
            )
        )
    usage = execution.usage
    console.print(
        f"{execution.status} in {seconds * 1000:.0f} ms, sandbox included; "
        f"CPU {usage.user_seconds + usage.system_seconds:.2f} s, peak {usage.peak_memory_bytes >> 20} MiB, "
        f"{usage.processes} more processes and threads\n",
        style="green",
    )


def save(console: Console, execution: Execution, folder: Path) -> None:
    """Keep the files that a program made, where whoever runs the demo can open them."""
    if not execution.files:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for file in execution.files.values():
        file.save(folder / file.path, overwrite=True)
    console.print(f"saved in {folder.relative_to(HERE.parent)}\n", style="dim")


def show_attempts(console: Console) -> None:
    """Show what the same sandbox answers to code that wants more than it was given."""
    console.rule("and what such code does not get", align="left")
    table = Table("it tries to", "it gets", box=None, pad_edge=False)
    for what, code in ATTEMPTS.items():
        execution = protocell.run_code(code, policy=POLICY)
        error = execution.error
        table.add_row(what, Text(f"{error.name}: {error.value}" if error else str(execution.text)))
    console.print(table)


def show_comparison(console: Console, rows: list[Compared]) -> None:
    """Show both ways next to each other."""
    console.print()
    console.rule(
        "a fresh sandbox (ready before the call), and the usual `python -I file`", align="left"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("program", "sandbox", "python -I", "faster"):
        table.add_column(heading, justify="left" if heading == "program" else "right")
    for row in rows:
        sandbox, plain = row.sandbox_seconds * 1000, row.naive_seconds * 1000
        table.add_row(
            row.what, f"{sandbox:.1f} ms", f"{plain:.0f} ms", f"{plain / sandbox:.1f} times"
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
