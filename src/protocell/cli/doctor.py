"""``protocell doctor``: what the doctor found, as a table for people or as JSON."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table
from rich.text import Text

from protocell._printable import printable
from protocell.cli.stopper import Stopper
from protocell.doctor import Report, examine

_STYLES = {"yes": "green", "no": "bold red", "untried": "yellow"}


def show(*, as_json: bool) -> int:
    """Examine this machine and print the report; the exit code of the command."""
    with Stopper():  # so that SIGTERM too removes what the examination has laid out
        report = examine()
    console = Console(highlight=False, markup=False)
    if as_json:
        console.out(json.dumps(report.to_dict()))
        return report.exit_code
    console.print(", ".join(f"{name}: {value}" for name, value in report.machine.items()))
    remedies = list(dict.fromkeys(row.remedy for row in report.rows if row.remedy))
    console.print(_table(report, remedies))
    for number, remedy in enumerate(remedies, start=1):
        console.print(f"Remedy {number}: {printable(remedy)}", soft_wrap=True)
    if report.note:
        console.print(printable(report.note), soft_wrap=True)
    console.print(_verdict(report), soft_wrap=True)
    return report.exit_code


def _table(report: Report, remedies: list[str]) -> Table:
    """The rows; what is to be done is long, and to be copied, so it stands below, by number."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("layer", "works?", "what it protects", "tried", "remedy"):
        table.add_column(heading, no_wrap=heading in ("layer", "works?"), overflow="fold")
    for row in report.rows:
        table.add_row(
            row.layer,
            Text(row.works, style=_STYLES[row.works]),
            row.protects,
            printable(row.summary),
            f"see {remedies.index(row.remedy) + 1}" if row.remedy else "",
        )
    return table


def _verdict(report: Report) -> str:
    if report.enforceable:
        return "The default policy can be enforced on this machine."
    error = report.error
    for row in report.rows:  # what to do stands above already
        error = error.removesuffix(f": {row.remedy}")
    why = f": {printable(error)}" if error else ""
    return f"The default policy CANNOT be enforced on this machine{why}."
