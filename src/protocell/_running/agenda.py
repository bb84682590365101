"""What is to be done at which time while code runs: the earliest first, each once."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


class Agenda(Generic[T]):
    """Times of ``time.monotonic`` and what to do then; never empty while something is awaited."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[], T | None]]] = []
        self._order = count()  # of two at the same time, the first put in

    def put(self, at: float, do: Callable[[], T | None]) -> None:
        """Do this then."""
        heapq.heappush(self._entries, (at, next(self._order), do))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def next(self) -> float:
        """When there is something to do."""
        return self._entries[0][0]

    def work(self) -> T | None:
        """Do what is due, until something has an outcome that ends the wait."""
        while self._entries and self._entries[0][0] <= time.monotonic():
            outcome = heapq.heappop(self._entries)[2]()
            if outcome is not None:
                return outcome
        return None
