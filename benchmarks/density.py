"""What many live sandboxes cost: memory of each, and whether a call takes longer when others are there.

Pandas is preloaded and nothing is kept ready, so that every sandbox that is there is one that was asked for. Each is
looked at after its idle warm-up, which makes its pages its own: what is measured is what it holds while it waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import memory
from latency import Contest, call, live_sandbox
from protocell import Environment, Policy, ProtocellError, Sandbox
from protocell._boxes.zygotes import ZYGOTES
from quiet import descendants, inits, running_zygotes
from rivals import Program, bwrap_command, naive_command
from samples import BWRAP, LIMIT, NAIVE, Aim, Row, Section

POLICY = Policy(environment=Environment(preload=["pandas"], ready=0))
_RIVAL_SAMPLES = 3
_MOST_GROWTH = 1.1


@dataclass(slots=True)
class Findings:
    """What is found out on the way, in the units of the rows."""

    alone: list[float] = field(default_factory=list)  # PSS of the only sandbox
    each: list[float] = field(default_factory=list)  # PSS of each of many
    added: list[float] = field(default_factory=list)  # anonymous PSS of zygote and sandboxes
    machine: list[float] = field(default_factory=list)  # MemAvailable
    opening: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)  # calls with one live
    same: list[float] = field(default_factory=list)  # calls to it with all live
    in_turn: list[float] = field(default_factory=list)  # calls to each of them
    after: list[float] = field(default_factory=list)  # calls with one live again
    notes: list[str] = field(default_factory=list)


def measure(contest: Contest, program: Program, wanted: int, calls: int) -> Section:
    """Open one sandbox, then many, then close all but the first, and look at each stage."""
    found = Findings()
    ZYGOTES.close()  # those of other environments map the same files, which would flatter each share
    with live_sandbox(POLICY, contest.household) as first:
        contest.household.settle()  # before any call: one that is called at once skips its idle warm-up
        base, free = _everything(), memory.available()
        found.alone = list(_of_each_sandbox(found))
        call(first, program)
        found.before = _calls([first], program, calls)
        with ExitStack() as stack:
            others = _open(stack, contest, wanted - 1, found)
            contest.household.settle()
            _weigh(found, base, free, len(others))
            for sandbox in others:
                call(sandbox, program)
            everybody = [first, *others]
            for turn in range(calls):
                found.same += _calls([first], program, 1)
                found.in_turn += _calls([everybody[turn % len(everybody)]], program, 1)
        contest.household.settle()
        found.after = _calls([first], program, calls)
    rows = [*_memory_rows(contest, found, len(everybody)), *_call_rows(found, len(everybody))]
    return Section(title="Many live sandboxes, pandas loaded", rows=rows, notes=found.notes)


def _open(stack: ExitStack, contest: Contest, count: int, found: Findings) -> list[Sandbox]:
    opened: list[Sandbox] = []
    try:
        for _ in range(count):
            started = time.perf_counter()
            opened.append(stack.enter_context(live_sandbox(POLICY, contest.household)))
            found.opening.append((time.perf_counter() - started) * 1000)
    except (ProtocellError, OSError) as error:
        found.notes.append(
            f"**{count + 1:,} were wanted; the next after {len(opened) + 1:,} failed:** {error}"
        )
    return opened


def _calls(sandboxes: Sequence[Sandbox], program: Program, count: int) -> list[float]:
    return [call(sandbox, program) for _ in range(count) for sandbox in sandboxes]


# -- memory ----------------------------------------------------------------------------------------


def _everything() -> float | None:
    zygote = running_zygotes()[POLICY.environment]
    return memory.proportional(descendants(zygote.pid), "Pss_Anon")


def _of_each_sandbox(found: Findings) -> Iterator[float]:
    for init in inits(running_zygotes()[POLICY.environment]):
        pids = descendants(init)
        readable = memory.readable(pids)
        if len(readable) < len(pids) and not found.notes:
            found.notes.append(
                "init is not dumpable, so an ordinary user cannot read its memory: PSS is of the context alone. "
                "What the whole machine loses is in a row of its own. Run this as root for both processes."
            )
        yield memory.proportional(readable) or 0.0


def _weigh(found: Findings, base: float | None, free: float, count: int) -> None:
    """With ``count`` more sandboxes than when the first two numbers were taken."""
    found.machine.append((free - memory.available()) / count)
    found.each = list(_of_each_sandbox(found))
    now = _everything()
    if base is not None and now is not None:
        found.added.append((now - base) / count)


def _memory_rows(contest: Contest, found: Findings, count: int) -> Iterator[Row]:
    rivals = _rivals_memory(contest)
    yield Row(
        name=f"idle sandbox: PSS of its processes, {count:,} live",
        unit="MB",
        ours=found.each,
        rivals=rivals,
        aim=Aim.at_most(8, "MB"),
    )
    if found.added:
        yield Row(
            name=f"idle sandbox: anonymous PSS that each adds, zygote included, mean of {count - 1:,}",
            unit="MB",
            ours=found.added,
            rivals=rivals,
        )
    yield Row(
        name="idle sandbox: PSS of its processes, no other live",
        unit="MB",
        ours=found.alone,
        rivals=rivals,
    )
    yield Row(
        name=f"idle sandbox: what the machine has less (MemAvailable), mean of {count - 1:,}",
        unit="MB",
        ours=found.machine,
    )


def _rivals_memory(contest: Contest) -> dict[str, Sequence[float]]:
    commands = {NAIVE: naive_command(contest.program)}
    if contest.with_bwrap:
        commands[BWRAP] = bwrap_command(contest.program)
    sizes = {
        name: [memory.of_waiting(command, contest.program) for _ in range(_RIVAL_SAMPLES)]
        for name, command in commands.items()
    }
    sizes[LIMIT] = [memory.of_forked(contest.warm) for _ in range(_RIVAL_SAMPLES)]
    return {
        name: [size for size in found if size is not None]
        for name, found in sizes.items()
        if None not in found
    }


# -- calls -----------------------------------------------------------------------------------------


def _call_rows(found: Findings, count: int) -> Iterator[Row]:
    yield Row(name="opening one more", unit="ms", ours=found.opening)
    yield Row(name="warm call, 1 live (before)", unit="ms", ours=found.before)
    yield Row(name=f"warm call, {count:,} live, to the same sandbox", unit="ms", ours=found.same)
    yield Row(name=f"warm call, {count:,} live, to each in turn", unit="ms", ours=found.in_turn)
    yield Row(name="warm call, 1 live (after)", unit="ms", ours=found.after)
    alone = zip(found.before, found.after, strict=True)
    growth = [many / ((a + b) / 2) for many, (a, b) in zip(found.same, alone, strict=True)]
    yield Row(
        name=f"growth of a warm call, {count:,} live to 1 live (mean of before and after)",
        unit="times",
        ours=growth,
        aim=Aim(f"no growth (at most {_MOST_GROWTH:g} times)", _MOST_GROWTH),
    )
