"""What one execution came to, as data: whatever guest code does ends here and not in an exception.

Names and shapes are those of E2B's code-interpreter SDK (``results``, ``logs``, ``error``, ``text``),
lists included, so that its users change one import. Every text in here was chosen by guest code: it
is shown with control characters visible, and there is no ``_repr_html_``, because markup from inside
would run in the notebook that shows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from protocell._printable import printable_line
from protocell.errors import GuestError
from protocell.limits import format_seconds, format_size
from protocell.result import Result

if TYPE_CHECKING:
    from protocell._catalogue.account import TokenAccount
    from protocell.calls import ToolCall
    from protocell.files import FileSet

Status = Literal["ok", "error", "timeout", "out_of_memory", "output_limit", "killed", "cancelled"]
State = Literal["kept", "restored", "lost"]
"""Of the variables: as the code left them; as they were before it; gone."""
EXIT_CODES: Mapping[Status, int] = {
    "ok": 0,
    "error": 1,
    "timeout": 124,  # as of timeout(1)
    "out_of_memory": 20,
    "output_limit": 21,
    "killed": 22,
    "cancelled": 130,  # 128 + SIGINT, as of shells
}
"""What a command line ends with for each status; ``protocell.errors`` has those of exceptions."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Logs:
    """What the code and its subprocesses wrote, as lines with their ends: ``"".join`` is the text."""

    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"stdout": list(self.stdout), "stderr": list(self.stderr)}

    def __repr__(self) -> str:
        out, err = ("".join(lines[:100]) for lines in (self.stdout, self.stderr))
        return f"Logs(stdout={printable_line(out, 100)!r}, stderr={printable_line(err, 100)!r})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExecutionError:
    """The exception that ended the code: its class, its text, and the user's frames."""

    name: str
    value: str
    traceback: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return printable_line(f"{self.name}: {self.value}" if self.value else self.name)

    def __repr__(self) -> str:
        return f"ExecutionError({self})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the execution cost, as the kernel and the host's clock saw it, not as the code says."""

    wall_seconds: float = 0.0
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    peak_memory_bytes: int = 0
    processes: int = 0
    """Processes and threads started; 0 if they were threads alone and all of them had ended."""
    bytes_written: int = 0
    wait_seconds: float = 0.0
    """Time spent waiting for a sandbox, before the clock of the execution started."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"wall {format_seconds(round(self.wall_seconds, 6))}, "
            f"CPU {format_seconds(round(self.user_seconds + self.system_seconds, 6))}, "
            f"memory {format_size(self.peak_memory_bytes)}, {self.processes} processes, "
            f"{self.bytes_written} bytes written, "
            f"waited {format_seconds(round(self.wait_seconds, 6))}"
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Execution:
    """One piece of code that was run: what it gave, how it ended, what it cost."""

    status: Status
    reason: str
    """One sentence: the cause, and the limit where it was a limit."""
    files: FileSet
    """Files that the code made or changed in the workspace, by path."""
    results: list[Result] = field(default_factory=list)
    logs: Logs = field(default_factory=Logs)
    error: ExecutionError | None = None
    state: State = "kept"
    """What became of the variables; files of the workspace stay as they are.

    ``lost`` and ``restored`` also where the interpreter had ended between the execution before and this one, which
    has run to its end then: what it left is there, what was there before is not.
    """
    state_reason: str = ""
    """One sentence: which state it was gone back to, or why there was none to go back to."""
    exit_code: int | None = None
    """What the code gave to ``SystemExit``, if that is how it ended."""
    execution_count: int | None = None
    results_left_out: int = 0
    """Values that the code showed beyond what one execution may show."""
    warnings: list[str] = field(default_factory=list)
    """What was noticed before the code ran: servers of tools that did not start; what was taken off so that it could
    be read, calls of tools that cannot work in places that are perhaps not reached, and calls that the code's end cut
    off. A line each, for the model too.
    """
    usage: Usage = field(default_factory=Usage)
    enforced: tuple[str, ...] = ()
    """Names of the layers that were on, not of those that were asked for."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    """What the code called of the host's tools, in order, and how that ended; the model is not shown it."""
    token_account: TokenAccount | None = None
    """What it cost in tokens, and what the same calls had cost without code; None unless ``Tools(account=True)``."""

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(
                f"status is {self.status!r}; allowed are {', '.join(get_args(Status))}"
            )

    @property
    def text(self) -> str | None:
        """The text of the last expression's value; None if there is none."""
        return next((result.text for result in self.results if result.is_main_result), None)

    @property
    def tool_calls_note(self) -> str:
        """What a model has to know before it tries again: which calls its failed code had made, and how they ended.

        Some 2,000 characters at most; empty if the code succeeded or had called nothing.
        """
        if self.status == "ok" or not self.tool_calls:
            return ""
        from protocell.calls import note  # noqa: PLC0415  (few executions call tools)

        return note(self.tool_calls)

    def raise_for_error(self) -> Self:
        """The execution itself if its status is ``ok``.

        Raises:
            GuestError: it is not.
        """
        if self.status != "ok":
            raise GuestError(self)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Everything but the bytes of the files, for JSON."""
        return {
            "status": self.status,
            "reason": self.reason,
            "state": self.state,
            "state_reason": self.state_reason,
            "text": self.text,
            "results": [result.to_dict() for result in self.results],
            "logs": self.logs.to_dict(),
            "error": self.error.to_dict() if self.error is not None else None,
            "exit_code": self.exit_code,
            "execution_count": self.execution_count,
            "results_left_out": self.results_left_out,
            "warnings": list(self.warnings),
            "usage": self.usage.to_dict(),
            "enforced": list(self.enforced),
            "files": [
                {"path": file.path, "size": file.size, "sha256": file.sha256, "change": file.change}
                for file in self.files.values()
            ],
            "files_removed": list(self.files.removed),
            "files_left_out": dict(self.files.left_out),
            "tool_calls": [call.to_dict() for call in self.tool_calls],
            "tool_calls_note": self.tool_calls_note,
            "token_account": None if self.token_account is None else self.token_account.to_dict(),
        }

    def to_json(self) -> str:
        """The same as ASCII text, so that no lone surrogate and no control character is in it."""
        return json.dumps(self.to_dict())

    def __str__(self) -> str:
        line = f"{self.status} in {format_seconds(round(self.usage.wall_seconds, 3))}"
        told = self.text if self.status == "ok" else self.reason
        return f"{line}: {printable_line(told)}" if told else line

    def __repr__(self) -> str:
        text = f", text={printable_line(self.text, 60)!r}" if self.text is not None else ""
        error = f", error={self.error}" if self.error is not None else ""
        return (
            f"Execution({self.status}{text}{error}, {len(self.logs.stdout)} lines of stdout, "
            f"{len(self.logs.stderr)} of stderr, {len(self.files)} files)"
        )
