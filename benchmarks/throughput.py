"""How many fresh sandboxes a second, with several callers at once, and how many of what others do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from latency import Contest, Sample, Samples, fresh, round_robin
from rivals import bwrap_command, naive_command, run
from samples import BWRAP, LIMIT, NAIVE, Aim, Row, compare
from shells import IPYTHON, SHELLS, policy_of
from sizes import Counts

CALLERS = (1, 4, 16)
# With 16 of them on two processors an import of pandas takes longer than the five seconds of the blog posts.
_PATIENCE_SECONDS = 120.0


def measure(
    contest: Contest, preload: Sequence[str], counts: Counts, rounds: int, aim_at_four: float
) -> list[Row]:
    """One row for each number of callers and each shell."""
    rows = []
    for callers in CALLERS:
        samplers = _samplers(contest, preload, counts, callers)
        taken = round_robin(samplers, rounds, contest.household, rehearsal=False)
        rows += [_row(contest, taken, callers, shell, aim_at_four) for shell in SHELLS]
    return rows


def _row(contest: Contest, taken: Samples, callers: int, shell: str, aim_at_four: float) -> Row:
    what = "`print(1)`" if contest.program.name == "print" else "pandas used"
    who = f"{callers} {'caller' if callers == 1 else 'callers'}"
    is_judged = callers == 4 and shell == IPYTHON
    return compare(
        f"fresh sandboxes, {what}, {who}, {shell}",
        taken,
        shell,
        {name: name for name in (NAIVE, BWRAP, LIMIT)},
        aim=Aim.times(aim_at_four) if is_judged else None,
        unit="runs/s",
    )


def _samplers(
    contest: Contest, preload: Sequence[str], counts: Counts, callers: int
) -> dict[str, Sample]:
    program = contest.program
    gone = contest.household.wait_until_gone

    def ours(shell: str) -> Sample:
        once = partial(fresh, program, policy_of(shell, preload))
        return partial(per_second, once, counts.ours, callers, gone)

    def rival(command: list[str]) -> Sample:
        once = partial(run, command, program, timeout=_PATIENCE_SECONDS)
        return partial(per_second, once, counts.rivals[callers], callers)

    found = {shell: ours(shell) for shell in SHELLS}
    found[NAIVE] = rival(naive_command(program))
    found[LIMIT] = partial(contest.warm.forks_per_second, counts.forks, callers)
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
