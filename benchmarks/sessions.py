"""A live session against a warm ipykernel: its calls, its opening, the end of a loop, its output as it comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from kernels import ENDLESS, Kernel, delays, open_kernel, ticking
from latency import Contest, Sample, call, check, live_sandbox, round_robin
from protocell import Policy, Sandbox
from rivals import Program, WrongAnswerError
from samples import IPYKERNEL, Aim, Row, Section, compare, quantile
from shells import IPYTHON, SHELLS, policy_of
from sizes import SessionSize

_PATIENCE_SECONDS = 60.0
_LINES = 20  # that are printed for one sample of the time until a line is heard of
_AGAINST = {IPYKERNEL: IPYKERNEL}


def measure(contest: Contest, size: SessionSize, *, with_kernel: bool) -> Section:
    """Every row of the table; without a kernel, of ours alone."""
    with ExitStack() as stack:
        kernel = stack.enter_context(Kernel(contest.folder)) if with_kernel else None
        live = {
            shell: stack.enter_context(live_sandbox(policy_of(shell), contest.household))
            for shell in SHELLS
        }
        rows = [
            *_calls(contest, kernel, live, size.rounds),
            *_openings(contest, size.openings, with_kernel=with_kernel),
            _interrupts(contest, kernel, live[IPYTHON], size.rounds),
            _streaming(contest, kernel, live[IPYTHON], size.rounds),
            *_throughput(contest, kernel, live[IPYTHON], size),
        ]
    return Section(title="A live session, against a warm ipykernel", rows=rows)


# -- calls and openings ----------------------------------------------------------------------------


def _calls(
    contest: Contest, kernel: Kernel | None, live: Mapping[str, Sandbox], rounds: int
) -> Iterator[Row]:
    expression = Program.write(contest.folder, "expression", "1+1\n", "2")
    programs = {"`print(1)`": contest.program, "`1+1`": expression}
    samplers: dict[str, Sample] = {}
    for what, program in programs.items():
        for shell, sandbox in live.items():
            samplers[f"{what}, {shell}"] = partial(call, sandbox, program)
        if kernel is not None:
            samplers[f"{what}, {IPYKERNEL}"] = partial(kernel.call, program)
    taken = round_robin(samplers, rounds, contest.household)
    for what in programs:
        for shell in live:
            key, rivals = f"{what}, {shell}", {IPYKERNEL: f"{what}, {IPYKERNEL}"}
            yield compare(f"warm call, {key}", taken, key, rivals, aim=_aim(shell, 10))


def _aim(shell: str, factor: float) -> Aim | None:
    return Aim.times(factor, IPYKERNEL) if shell == IPYTHON else None


def _openings(contest: Contest, rounds: int, *, with_kernel: bool) -> Iterator[Row]:
    program = contest.program
    samplers: dict[str, Sample] = {}
    for shell in SHELLS:
        samplers[f"one waiting, {shell}"] = partial(_open, policy_of(shell), program)
        samplers[f"none waiting, {shell}"] = partial(_open, policy_of(shell, ready=0), program)
    if with_kernel:
        samplers[IPYKERNEL] = partial(open_kernel, contest.folder, program)
    taken = round_robin(samplers, rounds, contest.household)
    for how in ("one waiting", "none waiting"):
        for shell in SHELLS:
            key = f"{how}, {shell}"
            aim = _aim(shell, 100) if how == "one waiting" else None
            yield compare(f"opening until the first result, {key}", taken, key, _AGAINST, aim=aim)


def _open(policy: Policy, program: Program) -> float:
    """Milliseconds until a sandbox that was not there has answered."""
    started = time.perf_counter()
    with Sandbox.create(policy) as sandbox:
        execution = sandbox.run_code(program.code)
        taken = (time.perf_counter() - started) * 1000
    check(execution, program)
    return taken


# -- stops and streams -----------------------------------------------------------------------------


def _interrupts(contest: Contest, kernel: Kernel | None, sandbox: Sandbox, rounds: int) -> Row:
    samplers: dict[str, Sample] = {"ours": partial(_interrupt, sandbox, contest.program)}
    if kernel is not None:
        samplers[IPYKERNEL] = partial(kernel.interrupt, contest.program)
    taken = round_robin(samplers, rounds, contest.household)
    return compare(
        "from `interrupt()` to the answer of the next call, IPython", taken, "ours", _AGAINST
    )


def _interrupt(sandbox: Sandbox, program: Program) -> float:
    """Milliseconds from the interrupt of a loop in another thread until the next call has been answered."""
    began = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(sandbox.run_code, ENDLESS, on_stdout=lambda _: began.set())
        if not began.wait(_PATIENCE_SECONDS):
            raise WrongAnswerError("the endless loop did not begin")
        started = time.perf_counter()
        sandbox.interrupt()
        execution = running.result()
        call(sandbox, program)
        taken = (time.perf_counter() - started) * 1000
    if (execution.status, execution.state) != ("cancelled", "kept"):
        raise WrongAnswerError(f"an interrupt ended as {execution}, variables {execution.state}")
    return taken


def _streaming(contest: Contest, kernel: Kernel | None, sandbox: Sandbox, rounds: int) -> Row:
    samplers: dict[str, Sample] = {"ours": lambda: _median_delay(_delays(sandbox))}
    if kernel is not None:
        samplers[IPYKERNEL] = lambda: _median_delay(kernel.delays(_LINES))
    taken = round_robin(samplers, rounds, contest.household)
    return compare(
        "from `print(…, flush=True)` inside to the callback, IPython", taken, "ours", _AGAINST
    )


def _delays(sandbox: Sandbox) -> list[float]:
    found: list[float] = []
    sandbox.run_code(
        ticking(_LINES), on_stdout=lambda text: found.extend(delays(text, time.monotonic_ns()))
    )
    return found


def _median_delay(found: Sequence[float]) -> float:
    if len(found) != _LINES:
        raise WrongAnswerError(f"{len(found)} of {_LINES} lines were heard of")
    return quantile(found, 0.5)


# -- throughput ------------------------------------------------------------------------------------


def _throughput(
    contest: Contest, kernel: Kernel | None, sandbox: Sandbox, size: SessionSize
) -> Iterator[Row]:
    """Of one live interpreter and of several, which for us are contexts of one sandbox."""
    household, count = contest.household, size.contexts
    samplers: dict[str, Sample] = {}
    with ExitStack() as stack:
        contexts = [sandbox.context]
        for _ in range(count - 1):
            contexts.append(sandbox.create_code_context())
            stack.callback(sandbox.remove_code_context, contexts[-1])
        household.live[sandbox.policy.environment] += count - 1
        ours = [partial(call, context, contest.program) for context in contexts]
        if kernel is not None:
            kernels = [kernel]
            kernels += [stack.enter_context(Kernel(contest.folder)) for _ in range(count - 1)]
            theirs = [partial(each.call, contest.program) for each in kernels]
            samplers[f"{IPYKERNEL}, 1"] = partial(_per_second, theirs[:1], size.calls)
            samplers[f"{IPYKERNEL}, {count}"] = partial(_per_second, theirs, size.calls)
        samplers["ours, 1"] = partial(_per_second, ours[:1], size.calls)
        samplers[f"ours, {count}"] = partial(_per_second, ours, size.calls)
        taken = round_robin(samplers, size.throughput_rounds, household)
        household.live[sandbox.policy.environment] -= count - 1
    names = {1: "1 live context, call after call", count: f"{count} live contexts, fed in turn"}
    for number, name in names.items():
        rivals = {IPYKERNEL: f"{IPYKERNEL}, {number}"}
        yield compare(f"{name}, IPython", taken, f"ours, {number}", rivals, unit="calls/s")


def _per_second(calls: Sequence[Callable[[], object]], count: int) -> float:
    """Calls a second when they are made one by one, to each in turn."""
    started = time.perf_counter()
    for number in range(count):
        calls[number % len(calls)]()
    return count / (time.perf_counter() - started)
