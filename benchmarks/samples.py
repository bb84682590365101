"""What was measured, and how it compares: samples taken in the same round are compared pair by pair.

The machine's speed drifts while a benchmark runs. Two samples of one round saw the same machine, so their ratio says
more than the ratio of two medians.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

NAIVE = "naive"
BWRAP = "bwrap"
LIMIT = "limit"
IPYKERNEL = "ipykernel"
WITHOUT = "no checkpoints"
RIVALS = (NAIVE, BWRAP, LIMIT, IPYKERNEL, WITHOUT)

Unit = Literal["ms", "MB", "runs/s", "calls/s", "times"]
_MORE_IS_BETTER = ("runs/s", "calls/s")


@dataclass(frozen=True, slots=True)
class Spread:
    """A set of samples in four numbers."""

    median: float
    low: float  # tenth percentile
    high: float  # 95th percentile
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one sample."""
        return cls(
            quantile(values, 0.5), quantile(values, 0.1), quantile(values, 0.95), len(values)
        )


def quantile(values: Sequence[float], fraction: float) -> float:
    """Interpolated linearly between the nearest two; of a single sample, that one."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure is to reach: a factor over a rival, or (no rival) a value in the row's own unit."""

    text: str
    bound: float
    rival: str | None = None

    @classmethod
    def times(cls, bound: float, rival: str = NAIVE) -> Aim:
        """So many times better than a rival."""
        return cls(f"at least {bound:g} times {rival}", bound, rival)

    @classmethod
    def at_most(cls, bound: float, unit: Unit) -> Aim:
        """Not more than this."""
        return cls(f"at most {bound:g} {unit}", bound)

    def value(self, row: Row) -> float:
        """The figure that is held against the bound."""
        return row.spread.median if self.rival is None else row.factor(self.rival).median

    def is_met(self, row: Row) -> bool:
        """Whether the median reaches it."""
        value = self.value(row)
        return value <= self.bound if self.rival is None else value >= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table: our samples, and those of the others in the same order of rounds."""

    name: str
    unit: Unit
    ours: Sequence[float]
    rivals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    aim: Aim | None = None

    @property
    def spread(self) -> Spread:
        """Ours."""
        return Spread.of(self.ours)

    def factor(self, rival: str) -> Spread:
        """How many times better we are than a rival (below 1: worse): of pairs, or else of medians."""
        theirs = self.rivals[rival]
        if len(theirs) == len(self.ours):
            return Spread.of(list(self._factors(rival)))
        medians = {rival: [quantile(theirs, 0.5)]}
        return Row(
            name=self.name, unit=self.unit, ours=[self.spread.median], rivals=medians
        ).factor(rival)

    def _factors(self, rival: str) -> Iterator[float]:
        for ours, theirs in zip(self.ours, self.rivals[rival], strict=True):
            yield ours / theirs if self.unit in _MORE_IS_BETTER else theirs / ours


def compare(
    name: str,
    taken: Mapping[str, Sequence[float]],
    ours: str,
    rivals: Mapping[str, str],
    *,
    aim: Aim | None = None,
    unit: Unit = "ms",
) -> Row:
    """The row of what was taken under ``ours``, against what was taken of each rival, by column.

    A rival that took no part has no column, and an aim that is measured by it is not judged.
    """
    there = {column: taken[key] for column, key in rivals.items() if key in taken}
    if aim is not None and aim.rival is not None and aim.rival not in there:
        aim = None
    return Row(name=name, unit=unit, ours=taken[ours], rivals=there, aim=aim)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows that stand in one table, and what has to be known to read them."""

    title: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
