"""Runs the checks in real sandboxes and makes rows of what they saw."""

from __future__ import annotations

from collections.abc import Iterable

from protocell._layers import KERNEL_LAYERS
from protocell.doctor.bait import Bait
from protocell.doctor.checks import (
    CHECK_OF_MEMORY,
    CHECKS,
    CHECKS_OF_LIMITS,
    FILE_BYTES,
    MEMORY,
    OPEN_FILES,
    PROCESSES,
    Check,
)
from protocell.doctor.prelude import PRELUDE
from protocell.doctor.report import Row, Trial
from protocell.environment import Environment
from protocell.errors import ProtocellError, SetupError
from protocell.limits import Limits
from protocell.policy import Policy
from protocell.sandbox import Sandbox

MEMORY_LAYERS = ("cgroup-v2", "cgroup-v1", "memory-watch")
_ENVIRONMENT = Environment(ready=0)
_LIMITS = Limits(
    memory_bytes=MEMORY, processes=PROCESSES, open_files=OPEN_FILES, file_bytes=FILE_BYTES
)
_REPORT_IT = "this is a bug in protocell or in the kernel: please report it with this table"


def try_all(bait: Bait, waived: frozenset[str]) -> list[Row]:
    """One row for each layer that is on, in the table's order.

    Raises:
        UnsupportedError, SetupError: there is no sandbox.
    """
    policy = Policy(environment=_ENVIRONMENT, waive=waived)
    enforced, trials = _run(policy, CHECKS, bait)
    narrow = Policy(environment=_ENVIRONMENT, waive=waived, limits=_LIMITS)
    _, more = _run(narrow, (*CHECKS_OF_LIMITS, CHECK_OF_MEMORY), bait)
    trials |= more
    trials["network-namespace"].append(_nobody_came(bait))
    trials["pid-namespace"].append(_still_there(bait))
    memory = trials.pop(CHECK_OF_MEMORY.layer)
    for layer in MEMORY_LAYERS:
        trials[layer] = memory
    return [_row(layer, trials) for layer in KERNEL_LAYERS if layer in enforced]


def _run(
    policy: Policy, checks: Iterable[Check], bait: Bait
) -> tuple[tuple[str, ...], dict[str, list[Trial]]]:
    trials: dict[str, list[Trial]] = {}
    facts = "\n".join(f"{name} = {value!r}" for name, value in bait.facts().items())
    with Sandbox(policy) as sandbox:
        prepared = sandbox.run_code(PRELUDE + facts)
        if prepared.status != "ok":
            raise SetupError(f"the doctor's own code failed: {prepared}", step="doctor")
        for check in checks:
            trials.setdefault(check.layer, []).append(_try(sandbox, check))
    return prepared.enforced, trials


def _try(sandbox: Sandbox, check: Check) -> Trial:
    try:
        execution = sandbox.run_code(check.program)
    except ProtocellError as error:
        return Trial(what=check.what, seen=str(error), held=False)
    if execution.status in check.expected:  # the code itself was ended
        return Trial(what=check.what, seen=execution.status, held=True)
    seen = execution.text if execution.status == "ok" else str(execution)
    held = seen in [repr(expected) for expected in check.expected]
    return Trial(what=check.what, seen=str(seen).strip("'"), held=held)


def _nobody_came(bait: Bait) -> Trial:
    visited = bait.was_visited()
    seen = "somebody connected" if visited else "nobody connected"
    return Trial(what="the host service was not reached", seen=seen, held=not visited)


def _still_there(bait: Bait) -> Trial:
    alive = bait.is_alive()
    seen = "it runs" if alive else "it has ended"
    return Trial(what="the host process was not ended", seen=seen, held=alive)


def _row(layer: str, trials: dict[str, list[Trial]]) -> Row:
    tried = tuple(trials.get(layer, ()))
    if all(trial.held for trial in tried):
        return Row(layer=layer, works="yes", tried=tried)
    return Row(layer=layer, works="no", tried=tried, remedy=_REPORT_IT)
