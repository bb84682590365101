"""What a cell came to, in one form for a sandbox and for a real kernel, so that the two can be laid side by side."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from protocell.execution import Execution
from protocell.result import Result

Forms = dict[str, str]

OWN = "application/vnd.protocell."

# What differs from run to run, whatever runs it.
_VARYING = [
    (re.compile(r"0x[0-9a-f]{6,}|\bat [0-9a-f]{12}\b", re.IGNORECASE), "0x…"),
    (re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)? (?:ns|us|μs|µs|ms|s)\b"), "… s"),
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}(?![0-9a-f])"), "…id…"),
    (re.compile(r"\bT_[0-9a-f]{5}"), "T_…"),
    (re.compile(r"<dc:date>[^<]*|\b[Cmp][0-9a-f]{10}\b"), "…svg…"),
]
_OUR_CELL = re.compile(r"<cell \d+>")
# A file name, and in the message of a SyntaxError the last part of one.
_THEIR_CELL = re.compile(r"/\S*/ipykernel_\d+/\d+\.py|\b\d{3,}\.py(?=, line)")
_OUR_LINE = re.compile(r'^ *File "<cell (\d+)>", line (\d+)', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One value on the page."""

    forms: Forms
    main: bool = False
    """Whether it stands beside ``Out[n]:``."""
    display: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What stands below a cell in the end."""

    stdout: str = ""
    stderr: str = ""
    status: str = "ok"
    error: str | None = None
    lines: list[tuple[int, int]] = field(default_factory=list)
    """Where the error came from: cell and line, the outermost first."""
    shown: list[Shown] = field(default_factory=list)
    count: int | None = None

    def normal(self, home: str) -> "Outcome":
        """The same without what differs from run to run; ``home`` is where it ran."""
        return replace(
            self,
            stdout=normal(self.stdout, home),
            stderr=normal(self.stderr, home),
            error=None if self.error is None else normal(self.error, home),
            shown=[replace(one, forms=_normal_forms(one.forms, home)) for one in self.shown],
        )


def normal(text: str, home: str) -> str:
    """A text without addresses, times and places."""
    text = _THEIR_CELL.sub("<cell>", _OUR_CELL.sub("<cell>", text.replace(home, "/home/user")))
    for pattern, sign in _VARYING:
        text = pattern.sub(sign, text)
    return text


def _normal_forms(forms: Forms, home: str) -> Forms:
    """Also without our own forms, and with JSON in one way of writing it."""
    return {
        mime: normal(_rewritten(text) if mime.endswith("json") else text, home).rstrip("\n")
        for mime, text in forms.items()
        if not mime.startswith(OWN)
    }


def _rewritten(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text


def of_execution(execution: Execution, read: Callable[[str], bytes]) -> Outcome:
    """What a sandbox tells; ``read`` reads a file of its workspace."""
    error = execution.error
    return Outcome(
        stdout="".join(execution.logs.stdout),
        stderr="".join(execution.logs.stderr),
        status=execution.status,
        error=None if error is None else f"{error.name}: {error.value}",
        lines=[] if error is None else numbers(_OUR_LINE, error.traceback),
        shown=[
            Shown(forms=_forms(one, read), main=one.is_main_result) for one in execution.results
        ],
        count=execution.execution_count,
    )


def _forms(result: Result, read: Callable[[str], bytes]) -> Forms:
    """All of them, those too that were over budget and are files."""
    forms = dict(result.by_mime)
    for mime, path in result.files.items():
        data = read(path)
        is_text = mime.startswith("text/") or mime.endswith(("json", "xml", "javascript"))
        forms[mime] = data.decode() if is_text else base64.b64encode(data).decode()
    return forms


def numbers(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """Cell and line of each frame, a recursion's once."""
    found = [(int(cell), int(line)) for cell, line in pattern.findall(text)]
    return [one for place, one in enumerate(found) if place == 0 or found[place - 1] != one]


def compared(ours: Outcome, theirs: Outcome) -> list[str]:
    """In what the two differ, a line for each."""
    found: list[str] = []
    for name in (one.name for one in fields(Outcome)):
        here, there = getattr(ours, name), getattr(theirs, name)
        if here != there:
            found.append(f"{name}: ours {_seen(here, there)}, a notebook's {_seen(there, here)}")
    return found


def _seen(value: Any, other: Any) -> str:
    """As much of it as shows the difference."""
    text, against = str(value), str(other)
    if len(text) < 1_000:
        return repr(value)
    same = next(
        (n for n, pair in enumerate(zip(text, against, strict=False)) if len(set(pair)) > 1), 0
    )
    return f"[{len(text)} characters, from {same}] {text[max(0, same - 100) : same + 300]!r}"
