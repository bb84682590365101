"""Three MCP servers and two Python functions as one toolset; a program as a model would write it joins what they give.

    make code-mode

A repository, a time sheet and the team's time zones: who worked late, and did not write it down? The model writes one
program (examples/programs/late_work.py). As static tools every definition, and the result of every one of its calls,
would go through its context; here three lines do. All of it is made here, in a temporary folder; nothing leaves this
machine.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from code_mode_data import make_repository, make_time_sheet
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from protocell import Execution, Sandbox
from protocell.tools import Approval, ApprovalRequest, Tools, Toolset

PROGRAM = Path(__file__).resolve().parent / "programs" / "late_work.py"
ZONES = {"Ada": "Europe/Berlin", "Grace": "America/New_York", "Kiyoshi": "Asia/Tokyo"}


class Office:
    """What the host has of its own: a directory of the staff, and a way to write to them."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def time_zone(self, person: str) -> str:
        """The IANA time zone that a member of the team works in."""
        return ZONES[person]

    def send_message(self, to: str, text: str) -> None:
        """Send a message to a member of the team."""
        self.sent.append((to, text))


def main() -> int:
    """Show it."""
    console = Console(highlight=False)
    office = Office()
    with tempfile.TemporaryDirectory(prefix="protocell-office-") as folder:
        repository = make_repository(Path(folder) / "repository")
        sheet = make_time_sheet(Path(folder) / "hours.xlsx")
        with toolset(office, repository, sheet.parent) as tools:
            sandbox_tools = Tools(toolset=tools, approve=approve, account=True)
            with Sandbox(tools=sandbox_tools, envs={"REPOSITORY": str(repository)}) as sandbox:
                console.print(f"[bold]shown[/bold]    {shown(sandbox)}")
                execution = sandbox.run_code(PROGRAM.read_text(encoding="utf-8"))
                execution.raise_for_error()
    show(console, execution, office)
    return 0


@contextmanager
def toolset(office: Office, repository: Path, folder: Path) -> Iterator[Toolset]:
    """Three servers as processes of their own, started when they are needed, and two functions."""
    programs = Path(sys.executable).parent
    git = [str(programs / "mcp-server-git"), "--repository", str(repository)]
    clock = [str(programs / "mcp-server-time")]
    excel = [str(programs / "excel-mcp-server"), "stdio", "--allow-dir", str(folder)]
    with (
        Toolset.mcp(git, name="git")
        + Toolset.mcp(clock, name="clock")
        + Toolset.mcp(excel, name="excel")
        + Toolset.of(office.time_zone, office.send_message, name="office")
    ) as every:
        # A rule for one tool, decided for each call of it, as it would be for a direct one.
        yield every.permit({"office/send_message": "ask"})


def approve(request: ApprovalRequest) -> Approval:
    """In place of a person: messages to the team are fine, to anybody else they are not."""
    return Approval(allowed=request.arguments["to"] in ZONES, reason="not one of the team")


def shown(sandbox: Sandbox) -> str:
    """What the model is told of the tools, once."""
    view = sandbox.catalogue()
    return f"{view.count} for {len(view.text.splitlines())} lines of {view.level} descriptions"


def show(console: Console, execution: Execution, office: Office) -> None:
    """What the model reads, what it did not have to, and what that saved."""
    for line in execution.logs.stdout:
        console.print(f"[bold]printed[/bold]  {escape(line.rstrip())}")
    console.print(trace(execution))
    for to, text in office.sent:
        console.print(f"[bold]message[/bold]  to {escape(to)}: {escape(text)}", soft_wrap=True)
    console.print(escape(str(execution.token_account)))


def trace(execution: Execution) -> Table:
    """The nested calls, by tool: none of them went through the model's context."""
    table = Table("tool", "calls", "bytes given", "median ms", "allowed", title="nested calls")
    calls = execution.tool_calls
    names = Counter(f"{call.server}/{call.tool}" for call in calls)
    for name, count in names.items():
        these = [call for call in calls if f"{call.server}/{call.tool}" == name]
        given = sum(call.result_bytes for call in these)
        milliseconds = 1000 * median(call.seconds for call in these)
        table.add_row(name, str(count), f"{given:,}", f"{milliseconds:.1f}", these[0].approval)
    return table


if __name__ == "__main__":
    sys.exit(main())
