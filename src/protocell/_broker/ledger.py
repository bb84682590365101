"""What is kept of the calls of one execution: every one of them while there is room, and the number of the rest.

The code decides how many calls there are and how large their arguments are, and an execution may be kept for long.
So one room is for all that the records hold; what has no place in it is left out, and it is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from protocell.calls import ToolCall
from protocell.tools.errors import ToolError
from protocell_guest import values
from protocell_guest.parcels import Parcel

_LEFT_OUT = "[left out: the log of this execution is full]"
_MOST_REFUSED = 100
_SMALL_BYTES = 4096  # of arguments that have their place in any case: there are only so many calls


class Ledger:
    """The records, by the number of the call."""

    def __init__(self, most_calls: int, room: int) -> None:
        """``most_calls`` may be made; of those beyond, which are refused, a few are kept."""
        self._most = most_calls + _MOST_REFUSED
        self._room = room
        self._records: dict[int, ToolCall] = {}
        self._unkept = 0
        self.violation = ""
        """How the code broke its line; no text if it did not."""

    def arguments(self, given: Mapping[str, Any], weight: int) -> Mapping[str, Any]:
        """The arguments for the record; ``weight`` is what they take, in bytes."""
        if weight <= _SMALL_BYTES:
            return given
        if weight > self._room:
            return dict.fromkeys(list(given)[:_MOST_REFUSED], _LEFT_OUT)
        self._room -= weight
        return given

    def answer(self, answer: Parcel | None) -> bytes | None:
        """The answer for the record, if there is room for it."""
        if answer is None or len(answer) > self._room:
            return None
        self._room -= len(answer)
        return values.sealed(answer)

    def enter(self, record: ToolCall) -> None:
        """One call has come to its end."""
        if len(self._records) < self._most:
            self._records[record.number] = record
        else:
            self._unkept += 1

    @property
    def calls(self) -> list[ToolCall]:
        """In the order in which they came; then what else is to be said."""
        calls = [self._records[number] for number in sorted(self._records)]
        number = calls[-1].number if calls else 0
        return [
            *calls,
            *(_said(number + place, *what) for place, what in enumerate(self._more(), 1)),
        ]

    def _more(self) -> Iterator[tuple[str, str]]:
        if self._unkept:
            yield "budget", f"{self._unkept} further calls were refused: they were too many"
        if self.violation:
            text = f"the code broke the line that its calls go over: {self.violation}"
            yield "transport", text


def given_again(call: ToolCall, *, is_heard: bool) -> Parcel:
    """What a call gave that was made before; ``is_heard`` if ``Tools.after`` looks at it before the code has it.

    Raises:
        ToolError: it gave an error; so does what was kept from the code, unless it is looked at once more.
    """
    if call.outcome == "withheld" and (call.body is None or not is_heard):
        kind: Any = call.kind
        raise ToolError(call.message, kind=kind, server=call.server)
    body = call.body or b""
    if call.outcome in ("ok", "withheld"):
        return Parcel(body)
    told = values.loads(body, most_items=None)
    raise ToolError(told["message"], kind=told["kind"], server=told["server"], data=told["data"])


def _said(number: int, kind: str, message: str) -> ToolCall:
    return ToolCall(
        number=number,
        server="",
        tool="",
        arguments={},
        outcome="error",
        kind=kind,
        message=message,
    )
