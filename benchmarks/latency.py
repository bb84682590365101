"""How long one run takes, from the call to the result: everybody in turn, nothing else at work."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import protocell
from protocell import Execution, Policy, Sandbox
from protocell.context import Context
from quiet import Household
from rivals import (
    Program,
    WarmProcess,
    WrongAnswerError,
    bwrap_command,
    milliseconds,
    naive_command,
)
from samples import BWRAP, LIMIT, NAIVE, Aim, Row, compare
from shells import IPYTHON, SHELLS, policy_of

# So many, one right after the other, make one sample of "none waiting": what one leaves to be torn down slows the next.
IN_A_ROW = 5

_FIRST = """
import sys, time
start = time.perf_counter()
import protocell
imported = time.perf_counter()
policy = protocell.Policy(environment=protocell.Environment(shell=sys.argv[1]))
execution = protocell.run_code("print(1)", policy=policy)
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

    @property
    def folder(self) -> Path:
        """Where files for the rivals go; it is removed at the end."""
        return self.program.file.parent

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
    said = "".join(execution.logs.stdout) + (execution.text or "")
    if execution.status != "ok" or said != program.output:
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


def call(sandbox: Sandbox | Context, program: Program) -> float:
    """Milliseconds of a call in a sandbox, or one of its contexts, that is there."""
    started = time.perf_counter()
    execution = sandbox.run_code(program.code)
    taken = (time.perf_counter() - started) * 1000
    check(execution, program)
    return taken


@contextmanager
def live_sandbox(
    policy: Policy, household: Household, *, checkpoints: bool = False
) -> Iterator[Sandbox]:
    """A sandbox that stays, known to whoever waits for quiet."""
    with Sandbox(policy, checkpoints=checkpoints) as sandbox:
        household.live[policy.environment] += 1
        yield sandbox
    household.live[policy.environment] -= 1


def measure_print(contest: Contest, rounds: int) -> list[Row]:
    """Fresh sandboxes and a warm call, with a program that does nothing."""
    program = contest.program
    samplers = contest.rivals() | _fresh_samplers(program, ())
    with ExitStack() as stack:
        for shell in SHELLS:
            sandbox = stack.enter_context(live_sandbox(policy_of(shell), contest.household))
            samplers[f"call {shell}"] = partial(call, sandbox, program)
        samplers["exec"] = contest.warm.exec_milliseconds
        taken = round_robin(samplers, rounds, contest.household)
    in_the_loop = taken | {LIMIT: taken["exec"]}
    return [
        *_rows("fresh sandbox, `print(1)`, one waiting", taken, "ready", Aim.times(20)),
        *_rows("fresh sandbox, `print(1)`, none waiting, in a row", taken, "none", Aim.times(3)),
        *_rows(
            "warm call in a live sandbox, `print(1)`", in_the_loop, "call", Aim.at_most(1, "ms")
        ),
    ]


def measure_pandas(contest: Contest, rounds: int) -> list[Row]:
    """Fresh sandboxes in which pandas is used, preloaded, against rivals that have to import it."""
    samplers = contest.rivals() | _fresh_samplers(contest.program, ("pandas",))
    taken = round_robin(samplers, rounds, contest.household)
    return [
        *_rows("fresh sandbox, pandas used, one waiting", taken, "ready", Aim.times(100)),
        *_rows("fresh sandbox, pandas used, none waiting, in a row", taken, "none", None),
    ]


def measure_first(contest: Contest, rounds: int) -> list[Row]:
    """The first sandbox of a process, each time in a new process."""
    imports: list[float] = []

    def first(shell: str) -> float:
        # Not isolated mode: the library may stand on PYTHONPATH.
        command = [sys.executable, "-s", "-P", "-c", _FIRST, SHELLS[shell]]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        imported, ran = (float(text) * 1000 for text in done.stdout.split())
        imports.append(imported)
        return ran

    samplers = {f"first {shell}": partial(first, shell) for shell in SHELLS}
    taken = round_robin(contest.rivals() | samplers, rounds, contest.household)
    what = "first sandbox of a process, zygote start included"
    return [
        *_rows(what, taken, "first", Aim.at_most(400, "ms")),
        Row(name="`import protocell` before it", unit="ms", ours=imports[len(SHELLS) :]),
    ]


def _fresh_samplers(program: Program, preload: Sequence[str]) -> dict[str, Sample]:
    """With one waiting and with none, for each shell."""
    found: dict[str, Sample] = {}
    for shell in SHELLS:
        ready, none = policy_of(shell, preload), policy_of(shell, preload, ready=0)
        found[f"ready {shell}"] = partial(fresh, program, ready)
        found[f"none {shell}"] = partial(fresh_in_a_row, program, none)
    return found


def _rows(what: str, taken: Samples, ours: str, aim: Aim | None) -> Iterator[Row]:
    """One for each shell; the aim is for the default."""
    rivals = {rival: rival for rival in (NAIVE, BWRAP, LIMIT)}
    for shell in SHELLS:
        reach = aim if shell == IPYTHON else None
        yield compare(f"{what}, {shell}", taken, f"{ours} {shell}", rivals, aim=reach)
