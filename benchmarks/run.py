"""Measures protocell against what everybody does and against what the machine can do; writes docs/benchmarks.md.

make bench, or: python benchmarks/run.py [--quick] [--many] [--output FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import density
import latency
import machine
import protocell
import report
import throughput
from latency import Contest
from protocell import Environment, Policy
from quiet import Household
from rivals import WarmProcess, programs, why_no_bwrap
from samples import Section
from throughput import Counts

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    print_rounds: int
    pandas_rounds: int
    first_rounds: int
    throughput_rounds: int
    print_counts: Counts
    pandas_counts: Counts
    live: int
    calls: int


FULL = Size(
    print_rounds=100,
    pandas_rounds=20,
    first_rounds=15,
    throughput_rounds=3,
    print_counts=Counts(ours=200, rivals={1: 20, 4: 48, 16: 48}, forks=500),
    pandas_counts=Counts(ours=100, rivals={1: 3, 4: 4, 16: 16}, forks=200),
    live=200,
    calls=400,
)
QUICK = Size(
    print_rounds=2,
    pandas_rounds=1,
    first_rounds=1,
    throughput_rounds=1,
    print_counts=Counts(ours=16, rivals={1: 1, 4: 4, 16: 4}, forks=16),
    pandas_counts=Counts(ours=16, rivals={1: 1, 4: 1, 16: 1}, forks=16),
    live=4,
    calls=4,
)
MANY = 1000


def main() -> int:
    """Measure and write."""
    arguments = _arguments()
    warnings = [text for text in (machine.warning(),) if text]
    size = QUICK if arguments.quick else FULL
    if arguments.quick:
        warnings.append(
            "This was a quick run: it shows that the script works, and its figures say nothing."
        )
    for text in warnings:
        print(f"warning: {text}", file=sys.stderr)
    machine.raise_descriptor_limit()
    started = time.monotonic()
    facts = machine.facts(protocell.run_code("print(1)").enforced)
    text = _measure(size, MANY if arguments.many else size.live, facts, warnings)
    _say(f"done in {time.monotonic() - started:.0f} s")
    if arguments.output is None:
        print(text)
    else:
        arguments.output.write_text(text, encoding="utf-8")
        _say(f"written to {arguments.output}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure, and write docs/benchmarks.md.")
    parser.add_argument("--quick", action="store_true", help="a few samples, to see that it works")
    parser.add_argument(
        "--many", action="store_true", help=f"{MANY:,} live sandboxes, not {FULL.live}"
    )
    parser.add_argument(
        "--output", type=Path, help="write here (default: docs/benchmarks.md; of --quick: print)"
    )
    arguments = parser.parse_args()
    if arguments.output is None and not arguments.quick:
        arguments.output = DOCUMENT
    return arguments


def _measure(size: Size, live: int, facts: dict[str, str], warnings: list[str]) -> str:
    with _contests() as (plain, pandas, why_not):
        notes = [why_not] if why_not else []
        sections = list(_sections(size, live, plain, pandas))
    return report.document(facts, [*warnings, *notes], sections)


@contextmanager
def _contests() -> Iterator[tuple[Contest, Contest, str | None]]:
    """One contest for each of the two programs, and why bubblewrap takes no part in them."""
    with ExitStack() as stack:
        # Not in TMPDIR, which may lie where another namespace does not look.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="protocell-bench-")))
        household, (plain, pandas) = Household(), programs(folder)
        why_not = why_no_bwrap(plain)
        yield (
            Contest(household, stack.enter_context(WarmProcess()), plain, why_not is None),
            Contest(household, stack.enter_context(WarmProcess("pandas")), pandas, why_not is None),
            why_not,
        )


def _sections(size: Size, live: int, plain: Contest, pandas: Contest) -> Iterator[Section]:
    _say("fresh sandboxes and warm calls")
    rows = latency.measure_print(plain, size.print_rounds)
    _say("fresh sandboxes with pandas")
    rows += latency.measure_pandas(pandas, size.pandas_rounds)
    yield Section(title="Time from call to result", rows=rows)
    _say("the first sandbox of a process")
    yield Section(
        title="The first sandbox of a process", rows=latency.measure_first(plain, size.first_rounds)
    )
    _say("throughput")
    rounds, with_pandas = (
        size.throughput_rounds,
        Policy(environment=Environment(preload=["pandas"])),
    )
    rows = throughput.measure(plain, Policy(), size.print_counts, rounds, 3)
    _say("throughput with pandas")
    rows += throughput.measure(pandas, with_pandas, size.pandas_counts, rounds, 100)
    yield Section(title="Throughput of fresh sandboxes", rows=rows)
    _say(f"{live:,} live sandboxes")
    yield density.measure(pandas, plain.program, live, size.calls)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
