"""Run model-written Python in a sandbox that the kernel enforces, faster than starting an interpreter.

Each name is loaded when it is first used: so importing this costs next to nothing, and the command line can
be interrupted before anything of it is there.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from protocell.aio import AsyncSandbox
    from protocell.calls import ToolCall
    from protocell.environment import Environment
    from protocell.errors import (
        BusyError,
        CheckpointError,
        ClosedError,
        FileError,
        GuestError,
        PolicyError,
        ProtocellError,
        ProtocolError,
        SandboxDiedError,
        SetupError,
        UnsupportedError,
    )
    from protocell.execution import Execution
    from protocell.limits import Limits
    from protocell.policy import Mount, Policy
    from protocell.sandbox import Sandbox, run_code

__all__ = [
    "AsyncSandbox",
    "BusyError",
    "CheckpointError",
    "ClosedError",
    "Environment",
    "Execution",
    "FileError",
    "GuestError",
    "Limits",
    "Mount",
    "Policy",
    "PolicyError",
    "ProtocellError",
    "ProtocolError",
    "Sandbox",
    "SandboxDiedError",
    "SetupError",
    "ToolCall",
    "UnsupportedError",
    "run_code",
]

_HOMES = {
    "aio": ("AsyncSandbox",),
    "calls": ("ToolCall",),
    "environment": ("Environment",),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "execution": ("Execution",),
    "files": (),
    "limits": ("Limits",),
    "policy": ("Mount", "Policy"),
    "sandbox": ("Sandbox", "run_code"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> typing.Any:
    if name in _HOMES:
        return importlib.import_module(f"protocell.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'protocell' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"protocell.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_HOMES})
