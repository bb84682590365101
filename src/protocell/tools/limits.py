"""How much of the host's tools the code of one execution may use."""

from __future__ import annotations

from dataclasses import dataclass

from protocell._fields import Settings
from protocell.errors import PolicyError

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits(Settings):
    """Bounds of the calls of one execution; change them with ``dataclasses.replace``.

    Raises:
        PolicyError: a value is not allowed.
    """

    calls: int = 1_000
    """Calls of one execution, failed ones included."""
    at_once: int = 64
    """Calls that run beside each other; further ones wait."""
    call_seconds: float = 60.0
    """Time for one call; waiting for a person does not count."""
    seconds: float = 600.0
    """Time of all calls of one execution, those beside each other counted once."""
    approval_seconds: float = 300.0
    """How long somebody may take to decide about one call."""
    argument_bytes: int = 16 * MIB
    """Of the arguments of one call."""
    result_bytes: int = 256 * MIB
    """Of the value that one call gives."""

    total_bytes: int = 4096 * MIB
    """Of the values that all calls of one execution give."""
    log_bytes: int = 16 * MIB
    """Of what the calls of one execution gave, as far as ``Execution.tool_calls`` keeps it: it is what a
    retry is served from."""

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 < value <= most
            ):
                raise PolicyError(f"{name} is {value!r:.60}; allowed is a number up to {most:g}")


_MOST = {
    "calls": 1_000_000,
    "at_once": 10_000,
    "call_seconds": 86_400.0,
    "seconds": 86_400.0,
    "approval_seconds": 7 * 86_400.0,
    "argument_bytes": 1 << 31,
    "result_bytes": 1 << 31,
    "total_bytes": 1 << 40,
    "log_bytes": 1 << 40,
}
