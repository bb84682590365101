"""What it costs to keep a way back and to branch: checkpoints before each call, a restore after a kill, forks.

Pandas is preloaded, as in a session that works on data, and all rows are of the default shell. The memory limit is
3 GiB here, since the default of 1 GiB has no room for 1 GB of data.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from latency import Contest, Sample, Samples, call, check, live_sandbox, round_robin
from protocell import Environment, Limits, Policy, Sandbox
from rivals import Program, WrongAnswerError
from samples import WITHOUT, Aim, Row, Section, compare
from sizes import StateSize

POLICY = Policy(
    limits=Limits(memory_bytes="3 GiB"), environment=Environment(preload=["pandas"], ready=0)
)
_MOST_MILLISECONDS_OF_A_FORK = 20
# Written, not only asked for, so that each page is there. An array of this size lies on huge pages where the
# machine's setting is "madvise" or "always", since numpy asks for them; many bytes objects lie on small ones.
_DATA = {
    "an array of {}": "import numpy\ndata = [numpy.ones({} * 125_000)]\n",
    "{} of bytes objects": "data = [b'x' * 1_000_000 for _ in range({})]\n",
}
_WRITE = "data[0] += 1\nprint(1)\n"
_KILL = (
    "import os, signal, time\n"
    "print(time.monotonic_ns(), flush=True)\n"
    "os.kill(os.getpid(), signal.SIGKILL)\n"
)
# Half of its memory is numbers and half is text, one object for each cell.
_FRAME = """
import numpy, pandas
rows = {} * 1_000_000 // 160
frame = pandas.DataFrame(numpy.ones((rows, 10)))
frame['text'] = pandas.Series([f'a value {{n:015d}}' for n in range(rows)], dtype=object)
print(round(frame.memory_usage(deep=True).sum() / 1e6))
"""


def measure(contest: Contest, size: StateSize) -> Section:
    """Every row of the table."""
    arrays, objects = _DATA
    rows = [
        *_with_data(contest, size, arrays, size.small, written=True),
        *_with_data(contest, size, arrays, size.large),
        *_with_data(contest, size, objects, size.large),
        *_forks(contest, size),
    ]
    return Section(title="Checkpoints and branches, IPython, pandas loaded", rows=rows)


# -- checkpoints -----------------------------------------------------------------------------------


def _with_data(
    contest: Contest, size: StateSize, kind: str, megabytes: int, *, written: bool = False
) -> Iterator[Row]:
    """Two sandboxes with the same data, one of which leaves a checkpoint before each call."""
    what, load = f"{kind.format(_text(megabytes))} live", _DATA[kind].format(megabytes)
    household, program = contest.household, contest.program
    with (
        live_sandbox(POLICY, household) as without,
        live_sandbox(POLICY, household, checkpoints=True) as kept,
    ):
        for sandbox in (without, kept):
            sandbox.run_code(load).raise_for_error()
        samplers: dict[str, Sample] = {
            "ours": partial(call, kept, program),
            WITHOUT: partial(call, without, program),
        }
        if written:
            writer = Program.write(contest.folder, "writer", _WRITE, program.output)
            samplers["ours, written"] = partial(call, kept, writer)
            samplers[f"{WITHOUT}, written"] = partial(call, without, writer)
        taken = round_robin(samplers, size.call_rounds, household)
        again = round_robin({"ours": partial(_restore, kept)}, size.restore_rounds, household)
    yield from _cost_rows(taken, what, "")
    if written:
        yield from _cost_rows(taken, f"{what}, all of it written", ", written")
    yield Row(
        name=f"from SIGKILL to the answer of the next call, {what}", unit="ms", ours=again["ours"]
    )


def _text(megabytes: int) -> str:
    return f"{megabytes / 1000:g} GB" if megabytes >= 1000 else f"{megabytes} MB"


def _cost_rows(taken: Samples, what: str, key: str) -> Iterator[Row]:
    ours, without = f"ours{key}", f"{WITHOUT}{key}"
    yield compare(f"warm call with a checkpoint, {what}", taken, ours, {WITHOUT: without})
    added = [with_it - bare for with_it, bare in zip(taken[ours], taken[without], strict=True)]
    yield Row(name=f"what the checkpoint adds, {what}", unit="ms", ours=added)


def _restore(sandbox: Sandbox) -> float:
    """Milliseconds from the moment before code kills its interpreter until the data has been used again."""
    killed = sandbox.run_code(_KILL)
    execution = sandbox.run_code("print(len(data))\n")
    now = time.monotonic_ns()
    if (killed.status, killed.state) != ("killed", "restored") or execution.status != "ok":
        raise WrongAnswerError(f"not restored: {killed}, {killed.state_reason}; then {execution}")
    return (now - int("".join(killed.logs.stdout))) / 1e6


# -- branches --------------------------------------------------------------------------------------


def _forks(contest: Contest, size: StateSize) -> Iterator[Row]:
    household, aim = contest.household, Aim.at_most(_MOST_MILLISECONDS_OF_A_FORK, "ms")
    many = size.branches
    last: list[float] = []
    with live_sandbox(POLICY, household) as sandbox:
        made = sandbox.run_code(_FRAME.format(size.frame)).raise_for_error()
        expected = Program.write(contest.folder, "frame", "print(len(frame))\n", _rows_of(sandbox))

        def several() -> float:
            times = _fork(sandbox, many, expected)
            last.append(times[-1])
            return times[0]

        samplers: dict[str, Sample] = {
            "one": lambda: _fork(sandbox, 1, expected)[0],
            "first": several,
        }
        taken = round_robin(samplers, size.fork_rounds, household)
    what = f"a data frame of {''.join(made.logs.stdout).strip()} MB live"
    answered = {
        f"`fork(1)` until the copy has answered, {what}": (taken["one"], aim),
        f"`fork({many})` until the first has answered, {what}": (taken["first"], aim),
        f"`fork({many})` until all have answered, asked in turn, {what}": (last[1:], None),
    }
    for name, (ours, reach) in answered.items():
        yield Row(name=name, unit="ms", ours=ours, aim=reach)


def _rows_of(sandbox: Sandbox) -> str:
    return "".join(sandbox.run_code("print(len(frame))\n").raise_for_error().logs.stdout)


def _fork(sandbox: Sandbox, count: int, program: Program) -> list[float]:
    """Milliseconds until each of the copies has answered its first call; they are gone afterwards."""
    started = time.perf_counter()
    copies = sandbox.context.fork(count)
    answered = []
    for copy in copies:
        check(copy.run_code(program.code), program)
        answered.append((time.perf_counter() - started) * 1000)
    for copy in copies:
        copy.close()
    return answered
