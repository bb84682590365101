"""How many fresh sandboxes a second, with several callers at once, and how many of what others do."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from latency import Contest, Sample, fresh, round_robin
from protocell import Policy
from rivals import bwrap_command, naive_command, run
from samples import BWRAP, LIMIT, NAIVE, Aim, Row

CALLERS = (1, 4, 16)
# With 16 of them on two processors an import of pandas takes longer than the five seconds of the blog posts.
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many runs make one sample: ours, a rival's for each number of callers, bare forks."""

    ours: int
    rivals: dict[int, int]
    forks: int


def measure(
    contest: Contest, policy: Policy, counts: Counts, rounds: int, aim_at_four: float
) -> list[Row]:
    """One row for each number of callers."""
    rows = []
    for callers in CALLERS:
        samplers = _samplers(contest, policy, counts, callers)
        taken = round_robin(samplers, rounds, contest.household, rehearsal=False)
        rivals = {name: taken[name] for name in (NAIVE, BWRAP, LIMIT) if name in taken}
        aim = Aim(f"at least {aim_at_four:g} times naive", aim_at_four, "times naive")
        rows.append(
            Row(
                name=f"fresh sandboxes, {_what(contest)}, {callers} {'caller' if callers == 1 else 'callers'}",
                unit="runs/s",
                ours=taken["ours"],
                rivals=rivals,
                aim=aim if callers == 4 else None,
            )
        )
    return rows


def _what(contest: Contest) -> str:
    return "`print(1)`" if contest.program.name == "print" else "pandas used"


def _samplers(contest: Contest, policy: Policy, counts: Counts, callers: int) -> dict[str, Sample]:
    program = contest.program
    gone = contest.household.wait_until_gone

    def rival(command: list[str]) -> Sample:
        once = partial(run, command, program, timeout=_PATIENCE_SECONDS)
        return partial(per_second, once, counts.rivals[callers], callers)

    found: dict[str, Sample] = {
        "ours": partial(per_second, partial(fresh, program, policy), counts.ours, callers, gone),
        NAIVE: rival(naive_command(program)),
        LIMIT: partial(contest.warm.forks_per_second, counts.forks, callers),
    }
    if contest.with_bwrap:
        found[BWRAP] = rival(bwrap_command(program))
    return found


def per_second(
    once: Callable[[], object],
    count: int,
    callers: int,
    afterwards: Callable[[], None] | None = None,
) -> float:
    """Runs a second; what is left to be cleaned up afterwards belongs to the time."""
    with ThreadPoolExecutor(callers) as threads:
        started = time.perf_counter()
        for future in [threads.submit(once) for _ in range(count)]:
            future.result()
        if afterwards is not None:
            afterwards()
        return count / (time.perf_counter() - started)
