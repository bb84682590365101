"""How a call of a tool fails inside: it raises, and what it raises is caught as what it is."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Functions of this module keep these builtins when the code assigns to builtins.str or the like.
globals()["__builtins__"] = dict(vars(builtins))


class ToolError(Exception):
    """A call of a tool failed. ``kind`` says how, ``tool`` and ``server`` which, ``data`` what the tool added."""

    kind = "tool"

    def __init__(
        self, message: str = "", *, tool: str = "", server: str = "", data: Any = None
    ) -> None:
        super().__init__(message)
        self.tool = tool
        self.server = server
        self.data = data

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ToolValidationError(ToolError, ValueError):
    """The arguments do not fit; nothing was called."""

    kind = "validation"


class ToolNotFoundError(ToolError, LookupError):
    """There is no such tool."""

    kind = "not_found"


class ToolTimeoutError(ToolError, TimeoutError):
    """It took too long, and was cancelled."""

    kind = "timeout"


class ToolDeniedError(ToolError, PermissionError):
    """A rule or a person said no."""

    kind = "denied"


class ToolBudgetError(ToolError, RuntimeError):
    """Too many calls, or too much in one."""

    kind = "budget"


class ToolTransportError(ToolError, ConnectionError):
    """Its server is not there, has died, or does not speak the protocol."""

    kind = "transport"


class ToolFailedError(ToolError, RuntimeError):
    """The tool ran and said no."""


_KINDS: dict[str, type[ToolError]] = {
    kind.kind: kind
    for kind in (
        ToolValidationError,
        ToolNotFoundError,
        ToolTimeoutError,
        ToolDeniedError,
        ToolBudgetError,
        ToolTransportError,
        ToolFailedError,
    )
}
_ALL: list[type[ToolError]] = [ToolError, *_KINDS.values()]
NAMES: dict[str, type[ToolError]] = {kind.__name__: kind for kind in _ALL}
for _kind in _ALL:
    _kind.__module__ = "__main__"  # as the code finds it, and its tracebacks name it


def error_of(told: Mapping[str, Any]) -> ToolError:
    """What is to be raised for a failure as the host tells it."""
    kind = _KINDS.get(str(told.get("kind")), ToolFailedError)
    tool = str(told.get("tool", ""))
    return kind(
        str(told.get("message", "")),
        tool=tool,
        server=str(told.get("server", "") or tool.partition("/")[0]),
        data=told.get("data"),
    )
