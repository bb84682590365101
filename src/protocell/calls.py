"""What the code called while it ran, as values: for whoever has to know what has happened already."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from protocell._printable import printable_line
from protocell_guest import values

CallOutcome = Literal["ok", "error", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call of a tool, as it went on the host's side."""

    number: int
    """In its execution, from 1, in the order in which calls came."""
    server: str
    tool: str
    """Original name; text that the code sent, where there is no such tool."""
    arguments: Mapping[str, Any]
    """By original names, as they came; what the toolset redacts is ``"[redacted]"``."""
    outcome: CallOutcome
    kind: str = ""
    """Of the error: validation, not_found, timeout, denied, budget, transport or tool."""
    message: str = ""
    """Of the error; of a call that was cancelled, that its tool goes on, where that did not end."""
    approval: str = ""
    """How it came to be allowed: allowed, approved, approved with other arguments; "" if it never was."""
    approved_arguments: Mapping[str, Any] | None = None
    """Those that a person put in place of ``arguments``."""
    served: bool = False
    """It was not made: what it gave is from the log of an execution or a session before."""
    raw: bool = False
    """The code wanted all that the tool gave, as it gave it."""
    seconds: float = 0.0
    """That the tool took."""
    asked_seconds: float = 0.0
    """That a person took to decide."""
    argument_bytes: int = 0
    result_bytes: int = 0
    argument_tokens: int | None = None
    """Of the call, had the model written it: name and arguments. None unless ``Tools(account=True)``."""
    result_tokens: int | None = None
    """Of what came of it, had the model been shown that."""

    body: bytes | None = field(default=None, repr=False, compare=False)
    """The answer as it went to the code, encoded; None where there was none, or the log had no room."""

    @property
    def value(self) -> Any:
        """What the code got.

        Raises:
            LookupError: nothing, or the log does not have it.
        """
        if self.outcome != "ok" or self.body is None:
            raise LookupError(f"the log has no value of call {self.number}: {self}")
        return values.loads(self.body, most_items=None)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without what the tool gave; what JSON has not stands in tags, as bytes do."""
        told = asdict(self) | {"arguments": values.encode(dict(self.arguments))}
        if self.approved_arguments is not None:
            told["approved_arguments"] = values.encode(dict(self.approved_arguments))
        del told["body"]
        return told

    def __str__(self) -> str:
        cancelled = ": ".join(filter(None, ("cancelled before its end", self.message)))
        ending = {"ok": f"ok, {self.result_bytes} bytes", "cancelled": cancelled}
        ended = ending.get(self.outcome, f"{self.kind}: {self.message}")
        from_log = ", from the log" if self.served else ""
        text = f"{self.number}. {self.server}/{self.tool}: {ended}{from_log} ({self.seconds:.3f} s)"
        return printable_line(text, _MOST_CHARACTERS)


_MOST_CHARACTERS = 2_000
_MOST_CHARACTERS_OF_A_CALL = 160


def note(calls: Sequence[ToolCall]) -> str:
    """What a model has to know before it tries again: which calls had been made, and how they ended.

    At most some 2,000 characters, of one line for each call; empty if there were none.
    """
    made = [call for call in calls if call.kind not in ("validation", "not_found")]
    if not made:
        return ""
    lines: list[str] = []
    room = _MOST_CHARACTERS
    for line in map(_line, made):
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
    if len(lines) < len(made):
        lines.append(f"... and {len(made) - len(lines)} more: {_counted(made[len(lines) :])}")
    return "\n".join((f"{_head(made)} Do not repeat what has changed something:", *lines))


def _head(calls: Sequence[ToolCall]) -> str:
    some = "one call of a tool" if len(calls) == 1 else f"{len(calls)} calls of tools"
    return f"Before the code ended, it had made {some}."


def _line(call: ToolCall) -> str:
    arguments = ", ".join(_arguments(call.approved_arguments or call.arguments))
    return f"{printable_line(f'{call.server}.{call.tool}({arguments})', 100)}: {_ending(call)}"


def _arguments(arguments: Mapping[str, Any]) -> Iterator[str]:
    for name, value in arguments.items():
        yield f"{name}={reprlib.repr(value)}"


def _ending(call: ToolCall) -> str:
    if call.outcome == "ok":
        return "returned" + (" (from the log, not called again)" if call.served else "")
    if call.outcome == "cancelled":
        return f"did not finish; {call.message or 'whether it had an effect is not known'}"
    return printable_line(f"failed ({call.kind}): {call.message}", _MOST_CHARACTERS_OF_A_CALL)


def _counted(calls: Sequence[ToolCall]) -> str:
    names = {"ok": "returned", "error": "failed", "cancelled": "did not finish"}
    counts = {outcome: sum(call.outcome == outcome for call in calls) for outcome in names}
    return ", ".join(f"{count} {names[outcome]}" for outcome, count in counts.items() if count)
