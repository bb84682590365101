"""What a shell command came to, as data; names are those of E2B's SDK, and a failure is no exception."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from protocell._printable import printable_line
from protocell.execution import Status, Usage
from protocell.limits import format_seconds


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CommandResult:
    """One command that was run in a sandbox."""

    status: Status
    reason: str
    """One sentence: the cause, and the limit where it was a limit."""
    exit_code: int | None
    """What the shell ended with; 128 and the signal's number if a signal ended it; None if we did."""
    stdout: str = ""
    stderr: str = ""
    usage: Usage = field(default_factory=Usage)
    enforced: tuple[str, ...] = ()
    """Names of the layers that were on."""

    @property
    def error(self) -> str | None:
        """The reason, if it did not end well."""
        return None if self.status == "ok" else self.reason

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "status": self.status,
            "reason": self.reason,
            "exit_code": self.exit_code,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "usage": self.usage.to_dict(),
            "enforced": list(self.enforced),
        }

    def __repr__(self) -> str:
        took = format_seconds(round(self.usage.wall_seconds, 3))
        return f"CommandResult({self.status} in {took}: {printable_line(self.reason)})"
