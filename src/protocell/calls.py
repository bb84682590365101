"""What the code called while it ran, as values: for whoever has to know what has happened already."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from protocell._printable import printable_line
from protocell_guest import values

CallOutcome = Literal["ok", "error", "withheld", "cancelled"]
"""``withheld``: the tool has run to its end, and what it changes is changed; but the code was given an error in place
of the answer, which was too large, or which ``Tools.after`` kept from it."""


class _NoValueError(LookupError, AttributeError):
    """There is no value, for whoever looks for one and for whoever asks whether there is one."""


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
    """Of the error; of a call that was cancelled, that its tool goes on, where that did not end. Where a rule of
    the caller's failed, it says how, which the code is not told."""
    ran: bool = False
    """The tool was begun, in this execution or in the one that it was ``served`` from: what it changes may be
    changed, whatever came of the call."""
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
    """The answer as it went to the code (one that is ``withheld``: as it would have), encoded; None where there was
    none, or the log had no room."""

    @property
    def value(self) -> Any:
        """What the code got.

        Raises:
            LookupError: nothing, or the log does not have it; an AttributeError too, so that ``hasattr`` says so.
        """
        if self.outcome != "ok" or self.body is None:
            raise _NoValueError(f"the log has no value of call {self.number}: {self}")
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
        failed = f"{self.kind}: {self.message}"
        ending = {
            "ok": f"ok, {self.result_bytes} bytes",
            "cancelled": cancelled,
            "withheld": f"ran, its answer was withheld: {failed}",
        }
        ended = ending.get(self.outcome, failed)
        from_log = ", from the log" if self.served else ""
        text = f"{self.number}. {self.server}/{self.tool}: {ended}{from_log} ({self.seconds:.3f} s)"
        return printable_line(text, _MOST_CHARACTERS)


_MOST_CHARACTERS = 2_000
_MOST_CHARACTERS_OF_A_CALL = 160
_REFUSALS = ("denied", "budget")
_NOT_MADE = ("validation", "not_found", *_REFUSALS)  # calls of which no tool was begun


def note(calls: Sequence[ToolCall]) -> str:
    """What a model has to know before it tries again: which calls had been made, and how they ended.

    After them, those that were refused: they were not made. At most some 2,000 characters, of one line for each
    call; empty if there were none.
    """
    made = [call for call in calls if _was_made(call)]
    refused = [call for call in calls if not _was_made(call) and call.kind in _REFUSALS]
    told: list[str] = []
    if made:
        told += [f"{_head(made)} Do not repeat what has changed something:", *_lines(made)]
    room = _MOST_CHARACTERS - sum(map(len, told))
    if refused:
        told += [_not_made(refused), *_lines(refused, max(room, 0))]
    return "\n".join(told)


def _was_made(call: ToolCall) -> bool:
    return call.ran or call.kind not in _NOT_MADE


def _lines(calls: Sequence[ToolCall], room: int = _MOST_CHARACTERS) -> list[str]:
    lines: list[str] = []
    for line in map(_line, calls):
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
    if len(lines) < len(calls):
        lines.append(f"... and {len(calls) - len(lines)} more: {_counted(calls[len(lines) :])}")
    return lines


def cut_off(calls: Sequence[ToolCall], ended: Collection[int]) -> tuple[str, ...]:
    """What is to be said of calls that went on when the code had ended; ``ended`` has the numbers of the others."""
    cut = [call for call in calls if call.outcome == "cancelled" and call.number not in ended]
    if not cut:
        return ()
    some, were = (
        ("One call of a tool", "was") if len(cut) == 1 else (f"{len(cut)} calls of tools", "were")
    )
    counts = Counter(f"{call.server}.{call.tool}" for call in cut)
    tools = [f"{tool} ({count} times)" if count > 1 else tool for tool, count in counts.items()]
    which = printable_line(", ".join(tools), _MOST_CHARACTERS_OF_A_CALL)
    text = f"{some} {were} still going on when the code ended, and {were} cancelled: {which}."
    return (f"{text} Wait for calls whose effect or value matters.",)


def _head(calls: Sequence[ToolCall]) -> str:
    some = "one call of a tool" if len(calls) == 1 else f"{len(calls)} calls of tools"
    return f"Before the code ended, it had made {some}."


def _not_made(calls: Sequence[ToolCall]) -> str:
    return "Refused, and not made:" if len(calls) == 1 else f"{len(calls)} refused, and not made:"


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
    failed = f"({call.kind}): {call.message}"
    if call.outcome == "withheld":
        ended = f"ran, and must not be repeated; its answer was withheld {failed}"
    else:
        ended = f"{'failed' if _was_made(call) else 'refused'} {failed}"
    return printable_line(ended, _MOST_CHARACTERS_OF_A_CALL)


def _counted(calls: Sequence[ToolCall]) -> str:
    names = {
        "ok": "returned",
        "withheld": "ran and gave no answer",
        "error": "failed" if _was_made(calls[0]) else "refused",
        "cancelled": "did not finish",
    }
    counts = {outcome: sum(call.outcome == outcome for call in calls) for outcome in names}
    return ", ".join(f"{count} {names[outcome]}" for outcome, count in counts.items() if count)
