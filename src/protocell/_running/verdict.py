"""From what a turn saw to a status, a sentence, an error and the usage: pure, and the only place that words them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocell._boxes.box import Exit
from protocell._running.messages import ErrorMessage
from protocell._running.outcome import End, Outcome, Stop
from protocell.execution import ExecutionError, Status, Usage
from protocell.limits import Limits, format_seconds, format_size

Verdict = tuple[Status, str]

_NO_MEMORY = "[Errno 12]"  # ENOMEM, as OSError shows it
_PARSER_GAVE_UP = "Parser stack overflowed"  # a MemoryError since 3.12; before, one of no words
_A_PLACE = re.compile(r"\bline \d")
_BY_HAND = re.compile(r"\braise (MemoryError|OSError)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an execution was allowed, and what its caller did meanwhile."""

    limits: Limits
    wall_seconds: float
    killed: bool
    is_over: bool = False  # the sandbox's own time
    copies: int = 0  # checkpoints, whose memory counts


def judge(outcome: Outcome, terms: Terms) -> Verdict:
    """The status and a sentence that names the cause, and the limit where it was one."""
    if outcome.end is not None and outcome.exit is not None:
        status, why = _judge_end(outcome, outcome.end, outcome.exit, terms)
        told = status == "out_of_memory"
        return status, why if told else _with_kills(why, outcome.exit.usage, terms)
    if outcome.stop is not None:
        status, why = _judge_stop(outcome.stop, terms)
        why = f"{why}; it was interrupted (KeyboardInterrupt) and came to its end"
        return status, _with_kills(why, outcome.usage, terms)
    if outcome.exit is not None and not terms.killed:
        return _judge_end_after(outcome, outcome.exit, terms)
    failed = outcome.error is not None or bool(outcome.exit_code)
    kills = _kills(outcome.usage, terms)
    if kills:
        return ("out_of_memory" if failed else "ok"), kills
    if outcome.error is not None and outcome.exit_code is None:
        return _judge_error(outcome.error, outcome.usage, terms.limits)
    if outcome.exit_code is not None:
        status = "error" if failed else "ok"
        return status, f"the code ended itself with exit code {outcome.exit_code} (SystemExit)"
    return "ok", "the code ran to its end"


def _judge_end_after(outcome: Outcome, how: Exit, terms: Terms) -> Verdict:
    """The code said that it was done, and its interpreter ended before anybody could look."""
    done = (
        "the code ran to its end"
        if outcome.error is None
        else f"the code raised {outcome.error.name}"
    )
    status, why = _judge_end(outcome, End.GONE, how, terms)
    return status, f"{done}; then {why}"


def _kills(usage: Mapping[str, Any], terms: Terms) -> str:
    """What the kernel ended for want of memory while the code itself went on; empty if nothing."""
    kills = int(usage.get("oom_kills", 0))
    what = f"{kills} of the code's processes ended for want of memory: {_memory(terms)}"
    return what if kills else ""


def _with_kills(why: str, usage: Mapping[str, Any], terms: Terms) -> str:
    kills = _kills(usage, terms)
    return f"{why}; {kills}" if kills else why


def _judge_error(error: ErrorMessage, usage: Mapping[str, Any], limits: Limits) -> Verdict:
    if _is_want_of_memory(error, int(usage.get("peak_memory", 0)), limits):
        name = error.name if error.name == "MemoryError" else f"{error.name} {_NO_MEMORY}"
        return "out_of_memory", f"an allocation failed with {name}: {want_of_memory(limits)}"
    return "error", f"the code raised {error.name}"


def _is_want_of_memory(error: ErrorMessage, peak: int, limits: Limits) -> bool:
    """Whether the limit on memory is a plausible cause of an error.

    One large allocation that fails leaves no trace in what was used.  So a small peak refutes it only
    where the error has another origin: a raise that the code wrote, or the parser, which gives up on what
    is nested too deep with a MemoryError that has words of its own, or that comes from no line.
    """
    if error.name == "OSError":
        if not error.value.startswith(_NO_MEMORY):
            return False
    elif error.name != "MemoryError":
        return False
    if peak >= limits.memory_bytes // 2:
        return True
    if error.value.startswith(_PARSER_GAVE_UP) or not _A_PLACE.search(error.traceback):
        return False
    return not _BY_HAND.search(error.traceback)


def _judge_end(outcome: Outcome, end: End, how: Exit, terms: Terms) -> Verdict:
    limits = terms.limits
    if how.cause == "gone" and not terms.killed:
        return "killed", _end_of_all(terms)
    if how.cause == "memory":
        return "out_of_memory", f"the code was ended: {_memory(terms)}"
    if how.cause == "cpu":
        limit = format_seconds(limits.cpu_seconds)
        return "timeout", f"the code used more processor time than its limit cpu_seconds, {limit}"
    if how.cause == "wall":
        return _judge_stop(Stop.DEADLINE, terms)
    if terms.killed:
        return "killed", "the code was ended by the caller"
    if end is End.STOPPED and outcome.stop is not None:
        status, why = _judge_stop(outcome.stop, terms)
        return status, f"{why}; it went on after an interrupt, so all of its processes were ended"
    if end is End.TOO_MUCH_OUTPUT:
        limit = format_size(limits.output_total_bytes)
        return "output_limit", f"the code wrote more than its limit output_total_bytes, {limit}"
    if end is End.VIOLATION:
        return "killed", f"the code was ended: it broke the protocol ({outcome.violation})"
    if how.cause == "host":
        return "killed", "the code was ended: it closed its control channel"
    return "killed", _own_end(how.status)


def _end_of_all(terms: Terms) -> str:
    if terms.is_over:
        return "the sandbox's own time was over, and it ended with everything in it"
    return "the sandbox itself was ended from outside, with everything in it"


def judge_command(outcome: Outcome, terms: Terms) -> tuple[Status, str, int | None]:
    """As ``judge`` for a shell command, with what the shell ended with."""
    how = outcome.exit
    if how is None or outcome.end is None or outcome.end is not End.GONE or how.cause is not None:
        ended = Exit("gone", 0, {}) if how is None else how
        status, why = _judge_end(outcome, outcome.end or End.GONE, ended, terms)
        is_told = status == "out_of_memory"
        return status, why if is_told else _with_kills(why, ended.usage, terms), None
    exit_code = os.waitstatus_to_exitcode(how.status)
    if exit_code < 0:
        exit_code = 128 - exit_code  # as of shells
    if outcome.stop is not None:
        status, why = _judge_stop(outcome.stop, terms)
        why = f"{why}; it was interrupted and ended with exit code {exit_code}"
        return status, _with_kills(why, how.usage, terms), exit_code
    status, why = _judge_exit(exit_code, terms, how.usage)
    return status, why, exit_code


def _judge_exit(exit_code: int, terms: Terms, usage: Mapping[str, Any]) -> Verdict:
    why = f"the command ended with exit code {exit_code}"
    if kills := _kills(usage, terms):
        return ("out_of_memory" if exit_code else "ok"), f"{why}; {kills}"
    return ("error" if exit_code else "ok"), why


def _judge_stop(stop: Stop, terms: Terms) -> Verdict:
    if stop is Stop.CALLER:
        return "cancelled", "the code was stopped by the caller"
    limit = format_seconds(terms.wall_seconds)
    return "timeout", f"the code ran longer than its limit wall_seconds, {limit}"


def _own_end(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        return f"the interpreter was ended by {name} ({signal.strsignal(number)})"
    code = os.WEXITSTATUS(status)
    return f"the code ended its own interpreter with exit code {code} (os._exit or the like)"


def want_of_memory(limits: Limits) -> str:
    """The limit, and that it was too low."""
    return f"it needed more memory than its limit memory_bytes, {format_size(limits.memory_bytes)}"


def _memory(terms: Terms) -> str:
    counted = "its checkpoint" if terms.copies == 1 else f"its {terms.copies} checkpoints"
    also = f" (what {counted} held is counted)" if terms.copies else ""
    return want_of_memory(terms.limits) + also


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
