"""From what a turn saw to a status, a sentence, an error and the usage: pure, and the only place that words them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from protocell._box import Exit
from protocell._turn import End, Outcome
from protocell.execution import ExecutionError, Status, Usage
from protocell.limits import Limits, format_seconds, format_size

Verdict = tuple[Status, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an execution was allowed, and what its caller did meanwhile."""

    limits: Limits
    wall_seconds: float
    interrupted: bool
    killed: bool


def judge(outcome: Outcome, terms: Terms) -> Verdict:
    """The status and a sentence that names the cause, and the limit where it was one."""
    if outcome.end is not None and outcome.exit is not None:
        return _judge_end(outcome, outcome.end, outcome.exit, terms)
    failed = outcome.error is not None or bool(outcome.exit_code)
    kills = int(outcome.usage.get("oom_kills", 0))
    if kills:
        what = f"{kills} of the code's processes ended for want of memory: {_memory(terms.limits)}"
        return ("out_of_memory" if failed else "ok"), what
    if outcome.error is not None:
        return _judge_error(outcome.error.name, terms)
    if outcome.exit_code is not None:
        status: Status = "error" if failed else "ok"
        return status, f"the code ended itself with exit code {outcome.exit_code} (SystemExit)"
    return "ok", "the code ran to its end"


def _judge_error(name: str, terms: Terms) -> Verdict:
    if name == "MemoryError":
        return "out_of_memory", f"an allocation failed with MemoryError: {_memory(terms.limits)}"
    if name == "KeyboardInterrupt" and terms.interrupted:
        return "cancelled", "the code was interrupted by the caller (KeyboardInterrupt)"
    return "error", f"the code raised {name}"


def _judge_end(outcome: Outcome, end: End, how: Exit, terms: Terms) -> Verdict:
    limits = terms.limits
    if how.cause == "gone":
        return "killed", "the sandbox itself was ended from outside, with everything in it"
    if how.cause == "memory":
        return "out_of_memory", f"the code was ended: {_memory(limits)}"
    if how.cause == "cpu":
        limit = format_seconds(limits.cpu_seconds)
        return "timeout", f"the code used more processor time than its limit cpu_seconds, {limit}"
    if terms.killed:
        return "killed", "the code was ended by the caller"
    if end is End.DEADLINE:
        limit = format_seconds(terms.wall_seconds)
        return "timeout", f"the code ran longer than its limit wall_seconds, {limit}"
    if end is End.TOO_MUCH_OUTPUT:
        limit = format_size(limits.output_total_bytes)
        return "output_limit", f"the code wrote more than its limit output_total_bytes, {limit}"
    if end is End.VIOLATION:
        return "killed", f"the code was ended: it broke the protocol ({outcome.violation})"
    if how.cause == "host":
        return "killed", "the code was ended: it closed its control channel"
    return "killed", _own_end(how.status)


def _own_end(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        return f"the interpreter was ended by {name} ({signal.strsignal(number)})"
    code = os.WEXITSTATUS(status)
    return f"the code ended its own interpreter with exit code {code} (os._exit or the like)"


def _memory(limits: Limits) -> str:
    return f"it needed more memory than its limit memory_bytes, {format_size(limits.memory_bytes)}"


def error_of(outcome: Outcome) -> ExecutionError | None:
    """What the code raised, or how it ended itself."""
    if outcome.error is not None:
        error = outcome.error
        return ExecutionError(name=error.name, value=error.value, traceback=error.traceback)
    if outcome.exit_code:
        return ExecutionError(name="SystemExit", value=str(outcome.exit_code), traceback="")
    return None


def usage_of(outcome: Outcome, wait_seconds: float) -> Usage:
    """What the kernel counted, in the public form."""
    raw = outcome.usage
    return Usage(
        wall_seconds=outcome.wall_seconds,
        user_seconds=float(raw.get("user", 0.0)),
        system_seconds=float(raw.get("system", 0.0)),
        peak_memory_bytes=int(raw.get("peak_memory", 0)),
        processes=int(raw.get("processes", 0)),
        bytes_written=int(raw.get("bytes_written", 0)),
        wait_seconds=wait_seconds,
    )
