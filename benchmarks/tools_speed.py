"""How fast a call of a host's function is: round trips, calls a second, a thousand at once, a large value.

Times are taken inside, by the code that calls. Against them stands the limit: a bare round trip of as many bytes over
a socket pair between two Python processes, in the same round.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from protocell import Execution, Limits, Policy, Sandbox
from protocell.context import Context
from protocell.tools import ToolLimits, Tools, Toolset
from samples import LIMIT, Aim, Row, Section, compare

_BODY = 64  # bytes of a request and of an answer, as large as those of the calls that are measured
_LARGE = Path(__file__).with_name("tools_large.py")
_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int
    calls: int  # of one sample
    contexts: int
    at_once: int
    megabytes: int
    large_rounds: int


FULL = Size(rounds=20, calls=1_000, contexts=10, at_once=1_000, megabytes=100, large_rounds=5)
QUICK = Size(rounds=2, calls=20, contexts=2, at_once=40, megabytes=2, large_rounds=1)


def nothing(number: int) -> int:
    """Give it back."""
    return number


async def nothing_async(number: int) -> int:
    """Give it back."""
    return number


class Meeting:
    """A function that ends when as many calls of it are there as were announced: only if they are there at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._there = 0
        self._all = asyncio.Event()

    async def meet(self) -> int:
        """Wait for all the others."""
        self._there += 1
        if self._there == self._size:
            self._all.set()
        await self._all.wait()
        return self._there


def sections(size: Size, say: Callable[[str], None]) -> list[Section]:
    """All of it."""
    say("speed: round trips")
    rows = _round_trips(size)
    say("speed: calls a second")
    rows += _throughput(size)
    say(f"speed: {size.at_once:,} calls at once")
    rows += _at_once(size)
    say(f"speed: a value of {size.megabytes} MB")
    return [
        Section(title="Calls of the host's functions", rows=rows),
        Section(title=f"A value of {size.megabytes} MB", rows=_large(size)),
    ]


# -- one after another ----------------------------------------------------------------------------

_EACH = """\
import json, statistics
from time import perf_counter
taken = []
for number in range({calls}):
    start = perf_counter()
    {call}
    taken.append(perf_counter() - start)
taken.sort()
print(json.dumps([statistics.median(taken) * 1000, taken[len(taken) * 95 // 100] * 1000]))"""
_WAYS = {
    "sync function": "nothing(number)",
    "async function": "nothing_async(number)",
    "async function, awaited": "await nothing_async(number)",
}


def _round_trips(size: Size) -> list[Row]:
    taken: dict[str, list[float]] = {}
    with _sandbox(size) as sandbox, _Echo() as echo:
        for way in (*_WAYS, *_WAYS):  # warm, twice each
            _printed(sandbox.run_code(_program(way, size.calls)))
        for number in range(size.rounds):
            ways = list(_WAYS)
            for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                median, slow = json.loads(_printed(sandbox.run_code(_program(way, size.calls))))
                taken.setdefault(way, []).append(median)
                taken.setdefault(f"{way}, slow", []).append(slow)
            taken.setdefault(LIMIT, []).append(echo.median(size.calls))
    rows = []
    for way in _WAYS:
        aim = Aim.at_most(0.3, "ms") if way == "sync function" else None
        name = f"round trip of one call, {way}"
        rows.append(compare(name, taken, way, {LIMIT: LIMIT}, aim=aim))
        rows.append(Row(name=f"{name}: the 95th of 100", unit="ms", ours=taken[f"{way}, slow"]))
    return rows


def _program(way: str, calls: int) -> str:
    return _EACH.format(calls=calls, call=_WAYS[way])


class _Echo:
    """A Python process that sends back what it gets, as cheaply as Python can."""

    _PROGRAM = (
        "import socket, sys\n"
        f"line = socket.socket(fileno=int(sys.argv[1]))\n"
        f"while data := line.recv({_BODY}): line.sendall(data)"
    )

    def __enter__(self) -> _Echo:
        self._near, far = socket.socketpair()
        command = [sys.executable, "-I", "-c", self._PROGRAM, str(far.fileno())]
        with far:
            self._process = subprocess.Popen(command, pass_fds=[far.fileno()])
        return self

    def __exit__(self, *_: object) -> None:
        self._near.close()
        self._process.wait()

    def median(self, calls: int) -> float:
        """Of so many round trips, in ms."""
        taken = []
        for _ in range(calls):
            start = time.perf_counter()
            self._near.sendall(b"x" * _BODY)
            self._near.recv(_BODY)
            taken.append(time.perf_counter() - start)
        return statistics.median(taken) * 1000


# -- calls a second -------------------------------------------------------------------------------

_ALL = """\
from time import monotonic
start = monotonic()
for number in range({calls}):
    nothing(number)
print(start, monotonic())"""


def _throughput(size: Size) -> list[Row]:
    rows = []
    with _sandbox(size) as sandbox:
        contexts = [sandbox.context]
        contexts += [sandbox.create_code_context() for _ in range(size.contexts - 1)]
        _together(contexts, size.calls)  # warm
        for some in (contexts[:1], contexts):
            name = f"calls of a sync function, {len(some)} context{'s' * (len(some) > 1)}"
            taken = [_together(some, size.calls) for _ in range(size.rounds)]
            rows.append(Row(name=name, unit="calls/s", ours=taken))
    return rows


def _together(contexts: list[Context], calls: int) -> float:
    """Calls a second of all together, from the first call to the last answer; the clock is the same in all."""
    begin = threading.Barrier(len(contexts))
    code = _ALL.format(calls=calls)

    def run(context: Context) -> tuple[float, float]:
        begin.wait()
        start, end = _printed(context.run_code(code)).split()
        return float(start), float(end)

    with ThreadPoolExecutor(len(contexts)) as pool:
        times = list(pool.map(run, contexts))
    spent = max(end for _, end in times) - min(start for start, _ in times)
    return calls * len(contexts) / spent


# -- at once --------------------------------------------------------------------------------------

_POOL = """\
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
with ThreadPoolExecutor({threads}) as pool:
    start = perf_counter()
    found = list(pool.map({call}, range({calls})))
    print((perf_counter() - start) * 1000)
assert len(found) == {calls}"""
# The stacks of a thousand threads, as large as usual, would be more memory than a sandbox has by default.
_SMALL_STACKS = "import threading\nthreading.stack_size(1 << 18)\n"
_GATHER = """\
import asyncio
from time import perf_counter
start = perf_counter()
found = await asyncio.gather(*(nothing_async(n) for n in range({calls})))
print((perf_counter() - start) * 1000)
assert len(found) == {calls}"""
_POOL_THREADS = 32


def _at_once(size: Size) -> list[Row]:
    calls = size.at_once
    few = _POOL.format(threads=_POOL_THREADS, call="nothing", calls=calls)
    many = _SMALL_STACKS + _POOL.format(threads=calls, call="lambda _: meet()", calls=calls)
    rows = []
    for name, code in (
        (f"{calls:,} calls of a sync function, a pool of {_POOL_THREADS} threads", few),
        (f"{calls:,} calls of an async function, `asyncio.gather`", _GATHER.format(calls=calls)),
    ):
        with _sandbox(size) as sandbox:
            sandbox.run_code(code)
            taken = [float(_printed(sandbox.run_code(code))) for _ in range(size.rounds)]
        rows.append(Row(name=name, unit="ms", ours=taken))
    name = f"{calls:,} calls that wait for each other, a pool of {calls:,} threads"
    return [*rows, Row(name=name, unit="ms", ours=[_met(calls, many) for _ in range(size.rounds)])]


def _met(calls: int, code: str) -> float:
    """With a sandbox of its own, since a meeting takes place once."""
    policy = Policy(limits=Limits(wall_seconds=_SECONDS, processes=calls + 64))
    toolset = Toolset.of(Meeting(calls).meet)
    tools = Tools(toolset=toolset, limits=ToolLimits(calls=calls, at_once=calls))
    with Sandbox(policy, tools=tools) as sandbox:
        return float(_printed(sandbox.run_code(code)))


# -- large ----------------------------------------------------------------------------------------


def _large(size: Size) -> list[Row]:
    """Each in a process of its own, since the most memory that a process ever had does not go down."""
    taken: dict[str, list[float]] = {}
    for _ in range(size.large_rounds):
        command = [sys.executable, str(_LARGE), str(size.megabytes * 1_000_000)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        for name, value in json.loads(done.stdout).items():
            taken.setdefault(name, []).append(value)
    return [
        Row(name=name, unit="ms" if name.startswith("time") else "MB", ours=values)
        for name, values in taken.items()
    ]


def _sandbox(size: Size) -> Sandbox:
    policy = Policy(limits=Limits(wall_seconds=_SECONDS, cpu_seconds=_SECONDS))
    most = max(size.calls, size.at_once)
    toolset = Toolset.of(nothing, nothing_async)
    return Sandbox(policy, tools=Tools(toolset=toolset, limits=ToolLimits(calls=most)))


def _printed(execution: Execution) -> str:
    if execution.status != "ok":
        raise RuntimeError(f"the code ended with {execution.status}: {execution.error}")
    return "".join(execution.logs.stdout)
