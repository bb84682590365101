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

if TYPE_CHECKING:
    from protocell.files import FileSet

Status = Literal["ok", "error", "timeout", "out_of_memory", "output_limit", "killed", "cancelled"]
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

_SHORT_NAMES = {
    "text": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "pdf": "application/pdf",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
}
_MIME_TO_SHORT = {mime: short for short, mime in _SHORT_NAMES.items()}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Result:
    """One value to show: that of the last expression, or one that the code displayed."""

    by_mime: Mapping[str, str]
    """Its forms by MIME type, binary ones in base64; unverified text from inside."""
    is_main_result: bool = False
    """Whether it is the value of the last expression."""

    def formats(self) -> list[str]:
        """The forms that there are, by E2B's short names ("text", "png"), else by MIME type."""
        return [_MIME_TO_SHORT.get(mime, mime) for mime in self.by_mime]

    def __getitem__(self, form: str) -> str:
        return self.by_mime[_SHORT_NAMES.get(form, form)]

    @property
    def text(self) -> str | None:
        """The plain form; there always is one for the main result."""
        return self.by_mime.get("text/plain")

    @property
    def html(self) -> str | None:
        """Markup from inside: hostile to a browser, so show it in a sandboxed frame or not at all."""
        return self.by_mime.get("text/html")

    @property
    def markdown(self) -> str | None:
        """Markdown from inside."""
        return self.by_mime.get("text/markdown")

    @property
    def svg(self) -> str | None:
        """An SVG picture, which is markup too."""
        return self.by_mime.get("image/svg+xml")

    @property
    def png(self) -> str | None:
        """A PNG picture in base64."""
        return self.by_mime.get("image/png")

    @property
    def jpeg(self) -> str | None:
        """A JPEG picture in base64."""
        return self.by_mime.get("image/jpeg")

    @property
    def latex(self) -> str | None:
        """LaTeX from inside."""
        return self.by_mime.get("text/latex")

    @property
    def json(self) -> str | None:
        """The JSON text as it came; parsing what a stranger wrote is left to who wants it."""
        return self.by_mime.get("application/json")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"is_main_result": self.is_main_result, **{f: self[f] for f in self.formats()}}

    def __repr__(self) -> str:
        if self.text is not None:
            return f"Result({printable_line(self.text, 100)})"
        return f"Result(formats: {printable_line(', '.join(self.formats()), 100)})"


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
    exit_code: int | None = None
    """What the code gave to ``SystemExit``, if that is how it ended."""
    execution_count: int | None = None
    usage: Usage = field(default_factory=Usage)
    enforced: tuple[str, ...] = ()
    """Names of the layers that were on, not of those that were asked for."""

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(
                f"status is {self.status!r}; allowed are {', '.join(get_args(Status))}"
            )

    @property
    def text(self) -> str | None:
        """The text of the last expression's value; None if there is none."""
        return next((result.text for result in self.results if result.is_main_result), None)

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
            "text": self.text,
            "results": [result.to_dict() for result in self.results],
            "logs": self.logs.to_dict(),
            "error": self.error.to_dict() if self.error is not None else None,
            "exit_code": self.exit_code,
            "execution_count": self.execution_count,
            "usage": self.usage.to_dict(),
            "enforced": list(self.enforced),
            "files": [
                {"path": file.path, "size": file.size, "sha256": file.sha256, "change": file.change}
                for file in self.files.values()
            ],
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
