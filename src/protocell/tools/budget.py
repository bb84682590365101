"""How much of one tool the code of one execution may use, where that is less than of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from protocell._fields import Settings
from protocell.errors import PolicyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Settings):
    """Bounds of one tool's calls in one execution; None: only those of ``ToolLimits``, which hold as well.

    Raises:
        PolicyError: a value is not allowed.
    """

    calls: int | None = None
    at_once: int | None = None
    """Calls that run beside each other; further ones wait."""
    call_seconds: float | None = None
    """Time for one call; waiting for a person does not count."""
    seconds: float | None = None
    """Time of all its calls, those beside each other counted once."""
    total_bytes: int | None = None
    """Of all that its calls give."""

    def __post_init__(self) -> None:
        for name in ("calls", "at_once", "call_seconds", "seconds", "total_bytes"):
            value = getattr(self, name)
            kind = float if name.endswith("seconds") else int
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | kind) or not value > 0
            ):
                raise PolicyError(f"{name} is {value!r:.60}; allowed is a number above 0, or None")


def strictest(budgets: Iterable[Budget]) -> Budget:
    """Of each bound the smallest."""
    found: dict[str, Any] = {}
    for budget in budgets:
        for each in fields(budget):
            value = getattr(budget, each.name)
            if value is not None:
                found[each.name] = min(value, found.get(each.name, value))
    return Budget(**found)
