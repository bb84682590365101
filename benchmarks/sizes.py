"""How much is measured, in full and to see that it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """How many runs make one sample: ours, a rival's for each number of callers, bare forks."""

    ours: int
    rivals: dict[int, int]
    forks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSize:
    """Of live sessions against a warm kernel."""

    rounds: int
    openings: int
    contexts: int
    throughput_rounds: int
    calls: int  # of one sample of throughput


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSize:
    """Of checkpoints and branches; sizes in MB (a million bytes)."""

    small: int
    large: int
    frame: int
    call_rounds: int
    restore_rounds: int
    fork_rounds: int
    branches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of everything."""

    print_rounds: int
    pandas_rounds: int
    first_rounds: int
    throughput_rounds: int
    print_counts: Counts
    pandas_counts: Counts
    session: SessionSize
    state: StateSize
    live: int
    calls: int


FULL = Size(
    print_rounds=100,
    pandas_rounds=20,
    first_rounds=15,
    throughput_rounds=3,
    print_counts=Counts(ours=200, rivals={1: 20, 4: 48, 16: 48}, forks=500),
    pandas_counts=Counts(ours=100, rivals={1: 3, 4: 4, 16: 16}, forks=200),
    session=SessionSize(rounds=50, openings=15, contexts=10, throughput_rounds=5, calls=200),
    state=StateSize(
        small=10,
        large=1000,
        frame=100,
        call_rounds=50,
        restore_rounds=20,
        fork_rounds=20,
        branches=4,
    ),
    live=200,
    calls=400,
)
QUICK = Size(
    print_rounds=2,
    pandas_rounds=1,
    first_rounds=1,
    throughput_rounds=1,
    print_counts=Counts(ours=8, rivals={1: 1, 4: 4, 16: 4}, forks=16),
    pandas_counts=Counts(ours=4, rivals={1: 1, 4: 1, 16: 1}, forks=16),
    session=SessionSize(rounds=1, openings=1, contexts=2, throughput_rounds=1, calls=4),
    state=StateSize(
        small=1,
        large=20,
        frame=10,
        call_rounds=2,
        restore_rounds=1,
        fork_rounds=1,
        branches=2,
    ),
    live=4,
    calls=4,
)
MANY = 1000
