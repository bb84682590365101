"""How long one run takes, from the call to the result: everybody in turn, nothing else at work."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import protocell
from protocell import Environment, Execution, Policy, Sandbox
from quiet import Household
from rivals import (
    Program,
    WarmProcess,
    WrongAnswerError,
    bwrap_command,
    milliseconds,
    naive_command,
)
from samples import BWRAP, LIMIT, NAIVE, Aim, Row

# So many, one right after the other, make one sample of "none waiting": what one leaves to be torn down slows the next.
IN_A_ROW = 5

_FIRST = """
import time
start = time.perf_counter()
import protocell
imported = time.perf_counter()
execution = protocell.run_code("print(1)")
done = time.perf_counter()
assert execution.logs.stdout == ["1\\n"], execution
print(imported - start, done - imported)
"""

Sample = Callable[[], float]
Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Contest:
    """What every measurement of this kind needs."""

    household: Household
    warm: WarmProcess
    program: Program
    with_bwrap: bool

    def rivals(self) -> dict[str, Sample]:
        """How each rival is measured once."""
        found: dict[str, Sample] = {
            NAIVE: partial(milliseconds, naive_command(self.program), self.program),
            LIMIT: self.warm.fork_milliseconds,
        }
        if self.with_bwrap:
            found[BWRAP] = partial(milliseconds, bwrap_command(self.program), self.program)
        return found


def round_robin(
    samplers: dict[str, Sample], rounds: int, household: Household, *, rehearsal: bool = True
) -> Samples:
    """Everybody once in each round, another one first each time; a rehearsal before them does not count."""
    taken: Samples = {name: [] for name in samplers}
    names = list(samplers)
    for number in range(-1 if rehearsal else 0, rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            household.settle()
            sample = samplers[name]()
            if number >= 0:
                taken[name].append(sample)
    return taken


def check(execution: Execution, program: Program) -> None:
    """A run counts only if the code did its work.

    Raises:
        WrongAnswerError: it did not.
    """
    if execution.status != "ok" or "".join(execution.logs.stdout) != program.output:
        raise WrongAnswerError(f"protocell: {execution}")


def fresh(program: Program, policy: Policy) -> float:
    """Milliseconds of a run in a sandbox of its own."""
    started = time.perf_counter()
    execution = protocell.run_code(program.code, policy=policy)
    taken = (time.perf_counter() - started) * 1000
    check(execution, program)
    return taken


def fresh_in_a_row(program: Program, policy: Policy) -> float:
    """Milliseconds of one run when several follow each other and none was made ahead."""
    return sum(fresh(program, policy) for _ in range(IN_A_ROW)) / IN_A_ROW


def call(sandbox: Sandbox, program: Program) -> float:
    """Milliseconds of a call in a sandbox that is there."""
    started = time.perf_counter()
    execution = sandbox.run_code(program.code)
    taken = (time.perf_counter() - started) * 1000
    check(execution, program)
    return taken


@contextmanager
def live_sandbox(policy: Policy, household: Household) -> Iterator[Sandbox]:
    """A sandbox that stays, known to whoever waits for quiet."""
    with Sandbox(policy) as sandbox:
        household.live[policy.environment] += 1
        yield sandbox
    household.live[policy.environment] -= 1


def measure_print(contest: Contest, rounds: int) -> list[Row]:
    """Fresh sandboxes and a warm call, with a program that does nothing."""
    ready, none = Policy(), Policy(environment=Environment(ready=0))
    program = contest.program
    with live_sandbox(ready, contest.household) as sandbox:
        samplers = contest.rivals() | {
            "ready": partial(fresh, program, ready),
            "none": partial(fresh_in_a_row, program, none),
            "call": partial(call, sandbox, program),
            "exec": contest.warm.exec_milliseconds,
        }
        taken = round_robin(samplers, rounds, contest.household)
    in_the_loop = taken | {LIMIT: taken["exec"]}
    return [
        _row("fresh sandbox, `print(1)`, one waiting", taken, "ready", _times(20)),
        _row("fresh sandbox, `print(1)`, none waiting, in a row", taken, "none", _times(3)),
        _row("warm call in a live sandbox, `print(1)`", in_the_loop, "call", _at_most_1_ms()),
    ]


def measure_pandas(contest: Contest, rounds: int) -> list[Row]:
    """Fresh sandboxes in which pandas is used, preloaded, against rivals that have to import it."""
    ready = Policy(environment=Environment(preload=["pandas"]))
    none = Policy(environment=Environment(preload=["pandas"], ready=0))
    samplers = contest.rivals() | {
        "ready": partial(fresh, contest.program, ready),
        "none": partial(fresh_in_a_row, contest.program, none),
    }
    taken = round_robin(samplers, rounds, contest.household)
    return [
        _row("fresh sandbox, pandas used, one waiting", taken, "ready", _times(100)),
        _row("fresh sandbox, pandas used, none waiting, in a row", taken, "none", None),
    ]


def measure_first(contest: Contest, rounds: int) -> list[Row]:
    """The first sandbox of a process, each time in a new process."""
    imports: list[float] = []

    def first() -> float:
        # Not isolated mode: the library may stand on PYTHONPATH.
        command = [sys.executable, "-s", "-P", "-c", _FIRST]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        imported, ran = (float(text) * 1000 for text in done.stdout.split())
        imports.append(imported)
        return ran

    taken = round_robin(contest.rivals() | {"first": first}, rounds, contest.household)
    taken["import"] = imports[-rounds:]
    aim = Aim("at most 400 ms", 400, "at most")
    return [
        _row("first sandbox of a process, zygote start included", taken, "first", aim),
        Row(name="`import protocell` before it", unit="ms", ours=taken["import"]),
    ]


def _times(bound: int) -> Aim:
    return Aim(f"at least {bound} times naive", bound, "times naive")


def _at_most_1_ms() -> Aim:
    return Aim("at most 1 ms", 1, "at most")


def _row(name: str, taken: Samples, ours: str, aim: Aim | None) -> Row:
    rivals = {rival: taken[rival] for rival in (NAIVE, BWRAP, LIMIT) if rival in taken}
    return Row(name=name, unit="ms", ours=taken[ours], rivals=rivals, aim=aim)
