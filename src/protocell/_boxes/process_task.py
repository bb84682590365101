"""What the supervisor of a process sandbox is told to do, and what its refusals mean."""

from __future__ import annotations

from typing import Any

from protocell._layers import PROCESS_LAYERS
from protocell.errors import ProtocellError, SetupError, UnsupportedError
from protocell.policy import Policy

_LIMITS = ("memory_bytes", "open_files", "file_bytes", "cpu_seconds")


def task_of(policy: Policy) -> dict[str, Any]:
    """The message that says it all."""
    return {
        "op": "task",
        "limits": {name: getattr(policy.limits, name) for name in _LIMITS},
        "envs": dict(policy.envs),
        "deny_imports": policy.deny_imports,
        "allow_imports": policy.allow_imports,
        "preload": policy.environment.preload,
        "shell": policy.environment.shell,
    }


def explained(step: str, code: int, detail: str) -> ProtocellError:
    """The exception that a step which failed is."""
    if step in PROCESS_LAYERS:
        return UnsupportedError(f"cannot enforce {step}: {detail}", missing=(step,), remedy=detail)
    if step == "preload":
        detail += "; install it for this interpreter or leave it out of preload"
    return SetupError(f"the sandbox could not start: {detail}", step=step, errno=code)
