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
from pathlib import Path

import density
import latency
import machine
import protocell
import report
import sessions
import states
import throughput
from kernels import why_no_kernel
from latency import Contest
from quiet import Household
from rivals import WarmProcess, programs, why_no_bwrap
from samples import Section
from sizes import FULL, MANY, QUICK, Size

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


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
    no_kernel = why_no_kernel()
    with _contests() as (plain, pandas, no_bwrap):
        sections = list(_fresh_sections(size, plain, pandas))
        sections += _live_sections(size, live, plain, pandas, with_kernel=no_kernel is None)
    notes = [why_not for why_not in (no_bwrap, no_kernel) if why_not]
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


def _fresh_sections(size: Size, plain: Contest, pandas: Contest) -> Iterator[Section]:
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
    rounds = size.throughput_rounds
    rows = throughput.measure(plain, (), size.print_counts, rounds, 3)
    _say("throughput with pandas")
    rows += throughput.measure(pandas, ("pandas",), size.pandas_counts, rounds, 100)
    yield Section(title="Throughput of fresh sandboxes", rows=rows)


def _live_sections(
    size: Size, live: int, plain: Contest, pandas: Contest, *, with_kernel: bool
) -> Iterator[Section]:
    _say("live sessions")
    yield sessions.measure(plain, size.session, with_kernel=with_kernel)
    _say("checkpoints and branches")
    yield states.measure(plain, size.state)
    _say(f"{live:,} live sandboxes")
    yield density.measure(pandas, plain.program, live, size.calls)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
