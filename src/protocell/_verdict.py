"""From what a turn saw to a status and a sentence: pure, and the only place that words them."""

from __future__ import annotations

import os
import signal

from protocell._box import Exit
from protocell._turn import End, Outcome
from protocell.execution import Status
from protocell.limits import Limits, format_seconds, format_size

Verdict = tuple[Status, str]


def judge(
    outcome: Outcome, limits: Limits, wall_seconds: float, *, interrupted: bool, killed: bool
) -> Verdict:
    """The status and a sentence that names the cause, and the limit where it was one."""
    if outcome.end is not None and outcome.exit is not None:
        return _judge_end(outcome, outcome.end, outcome.exit, limits, wall_seconds, killed)
    if outcome.usage.get("oom_kills") and (outcome.error or outcome.exit_code):
        return "out_of_memory", f"a process of the code was ended: {_memory(limits)}"
    if outcome.error is not None:
        return _judge_error(outcome.error.name, limits, interrupted)
    if outcome.exit_code:
        return "error", f"the code ended itself with exit code {outcome.exit_code} (SystemExit)"
    if outcome.exit_code == 0:
        return "ok", "the code ended itself with exit code 0 (SystemExit)"
    return "ok", "the code ran to its end"


def _judge_error(name: str, limits: Limits, interrupted: bool) -> Verdict:
    if name == "MemoryError":
        return "out_of_memory", f"an allocation failed with MemoryError: {_memory(limits)}"
    if name == "KeyboardInterrupt" and interrupted:
        return "cancelled", "the code was interrupted by the caller (KeyboardInterrupt)"
    return "error", f"the code raised {name}"


def _judge_end(
    outcome: Outcome, end: End, how: Exit, limits: Limits, wall_seconds: float, killed: bool
) -> Verdict:
    if how.cause == "gone":
        return "killed", "the sandbox itself was ended from outside, with everything in it"
    if how.cause == "memory":
        return "out_of_memory", f"the code was ended: {_memory(limits)}"
    if how.cause == "cpu":
        limit = format_seconds(limits.cpu_seconds)
        return "timeout", f"the code used more processor time than its limit cpu_seconds, {limit}"
    if killed:
        return "killed", "the code was ended by the caller"
    if end is End.DEADLINE:
        limit = format_seconds(wall_seconds)
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
