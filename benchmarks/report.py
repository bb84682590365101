"""The document: facts of the machine, every aim with what was reached, and a table for each kind of measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from method import HOW
from samples import RIVALS, Row, Section, Spread

_HEAD = """\
# Benchmarks

Written by `make bench`; do not edit. Every figure is from one run on one machine. What is compared was measured in
turn, round by round, each round in another order, and a factor is the median of the factors of the rounds: what the
machine did to one, it did to the other. In brackets the 10th and the 95th percentile; n counts our samples.
Factors above 1 are in our favour. Trust factors before absolute numbers.
"""


def document(facts: Mapping[str, str], warnings: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole text."""
    parts = [_HEAD, *(f"> **Warning:** {text}\n" for text in warnings)]
    parts.append("\n".join(_facts(facts)))
    parts.append("\n".join(_aims([row for section in sections for row in section.rows])))
    parts.extend("\n".join(_section(section)) for section in sections)
    return "\n".join([*parts, HOW])


def _facts(facts: Mapping[str, str]) -> Iterator[str]:
    yield "## The machine\n"
    yield "| | |\n|---|---|"
    for name, text in facts.items():
        yield f"| {name} | {text} |"
    yield ""


def _aims(rows: Sequence[Row]) -> Iterator[str]:
    judged = [(row, row.aim) for row in rows if row.aim is not None]
    missed = [row.name for row, aim in judged if not aim.is_met(row)]
    yield "## Aims\n"
    yield f"{len(judged) - len(missed)} of {len(judged)} are met."
    if missed:
        yield "\nMissed:\n"
        yield from (f"- **{name}**" for name in missed)
    yield "\n| what | aim | reached | |\n|---|---|---|---|"
    for row, aim in judged:
        value = aim.value(row)
        reached = f"{_number(value)} {row.unit if aim.rival is None else 'times'}"
        yield f"| {row.name} | {aim.text} | {reached} | {'met' if aim.is_met(row) else '**missed**'} |"
    yield ""


def _section(section: Section) -> Iterator[str]:
    present = [name for name in RIVALS if any(name in row.rivals for row in section.rows)]
    headings = ["", "unit", "protocell"]
    for name in present:
        headings += [name, f"factor to {name}"]
    yield f"## {section.title}\n"
    yield _line([*headings, "n"])
    yield _line(["---", "---", *("---:" for _ in headings[1:])])
    for row in section.rows:
        yield _line(
            [row.name, row.unit, _spread(row.spread), *_rivals(row, present), str(len(row.ours))]
        )
    yield from (f"\n{note}" for note in section.notes)
    yield ""


def _rivals(row: Row, present: Sequence[str]) -> Iterator[str]:
    for name in present:
        if name not in row.rivals:
            yield from ("", "")
            continue
        yield _spread(Spread.of(row.rivals[name]))
        yield f"**{_spread(row.factor(name), bold=True)}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(spread: Spread, *, bold: bool = False) -> str:
    text = _number(spread.median) + ("**" if bold else "")
    if spread.count == 1:
        return text
    return f"{text} ({_number(spread.low)} to {_number(spread.high)})"


def _number(value: float) -> str:
    """Three digits or so: more would be a lie."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:,.{digits}f}"
