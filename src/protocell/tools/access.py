"""A toolset as one sandbox has it: how much of it its code may use, and who is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Self

from protocell.errors import PolicyError
from protocell.tools.approval import Approve
from protocell.tools.limits import ToolLimits
from protocell.tools.recording import Recording, refuse_no_recording, sources
from protocell.tools.tool import Question, Reply
from protocell.tools.toolset import Toolset

Ask = Callable[[Question], Awaitable[Reply]]
Progress = Callable[[int, str, float | None, float | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What ``Sandbox(tools=…)`` takes where a toolset alone does not say enough.

    Raises:
        PolicyError: a field is something else.
    """

    toolset: Toolset
    limits: ToolLimits = field(default_factory=ToolLimits)
    approve: Approve | None = None
    """Decides about calls that a rule says are to be asked about; sync or async. None: these are denied."""
    ask: Ask | None = None
    """Answers what a tool asks in the middle of a call (MCP's elicitation). None: it is declined."""
    on_progress: Progress | None = None
    """Hears how far a call is: its number, a text, how much is done, and of how much."""
    redact: Collection[str] = ()
    """Names of arguments that the log is not to have: ``"password"``, or ``"server/tool:password"``."""
    record: Recording | None = None
    """Gets every call, with what it gave, as far as it has room."""
    replay: Recording | None = None
    """What is served in place of calling; see ``Tools.replaying``."""

    @classmethod
    def replaying(cls, recording: Recording, **options: Any) -> Self:
        """The tools of a recording, served from it: no server is started, and nothing is called.

        Code that calls what was not called then gets a ToolError of kind ``transport``. ``options`` are the
        other fields; give the ``redact`` with which it was recorded.
        """
        toolset = sum((Toolset.source(each) for each in sources(recording)), Toolset())
        return cls(toolset=toolset, replay=recording, **options)

    def __post_init__(self) -> None:
        refuse_no_recording("record", self.record)
        refuse_no_recording("replay", self.replay)
        if not isinstance(self.toolset, Toolset):
            raise PolicyError(f"toolset is {self.toolset!r:.60}; allowed is a Toolset")
        if not isinstance(self.limits, ToolLimits):
            raise PolicyError(f"limits is {self.limits!r:.60}; allowed is ToolLimits(...)")


def as_tools(given: Tools | Toolset) -> Tools:
    """What was given, in full.

    Raises:
        PolicyError: it is neither.
    """
    return given if isinstance(given, Tools) else Tools(toolset=given)
