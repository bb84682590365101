"""A toolset as one sandbox has it: how much of it its code may use, and who is asked."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, ClassVar, Literal, Self, get_args

from protocell._fields import Settings, keep, names, quoted
from protocell.calls import ToolCall
from protocell.errors import PolicyError
from protocell.tools.approval import ApprovalRequest, Approve
from protocell.tools.budget import Budget
from protocell.tools.limits import ToolLimits
from protocell.tools.recording import Recording, refuse_no_recording, sources
from protocell.tools.tool import Question, Reply
from protocell.tools.toolset import Toolset

Ask = Callable[[Question], Reply | Awaitable[Reply]]
Progress = Callable[["CallNumber", str, float | None, float | None], None]
Level = Literal["full", "compact", "search"]
"""How much a model is shown of tools: stubs with all docs; a line each; a count, and how to search."""
LEVELS: tuple[Level, ...] = get_args(Level)
BUDGET_TOKENS = 6_000
_MOST_TOKENS = 10_000_000


class CallNumber(int):
    """The number of a call in its execution, from 1; it says whose it is."""

    tool: str
    """``server/name``."""
    execution: int

    @classmethod
    def of(cls, number: int, tool: str, execution: int) -> CallNumber:
        """Of one call."""
        made = cls(number)
        made.tool, made.execution = tool, execution
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools(Settings):
    """What ``Sandbox(tools=…)`` takes where a toolset alone does not say enough.

    Raises:
        PolicyError: a field is something else.
    """

    required: ClassVar = ("toolset",)

    toolset: Toolset
    limits: ToolLimits = field(default_factory=ToolLimits)
    approve: Approve | None = None
    """Decides about calls that a rule (``Toolset.permit``) says are to be asked about: "allow", "deny", or a
    function, async, or in a thread where it may wait for somebody. None: these are denied."""
    before: Callable[[ApprovalRequest], Any] | None = None
    """Hears of each call that is about to be made, as ``approve`` does, when that has allowed it. What it raises
    is raised inside: the call is not made."""
    after: Callable[[ToolCall], Any] | None = None
    """Hears of each call that has come to its end; not of those that were cancelled. What it raises is raised
    inside, in place of the answer. The tool has run all the same: the call is ``withheld`` then, and no retry
    makes it again."""
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    """What one tool may use, by a name or glob as for ``Toolset.filter``; each tool has its own, and of several
    that fit the one counts that ``Toolset.permit`` would take. One that fits no tool is refused when the tools
    are known."""
    ask: Ask | None = None
    """Answers what a tool asks in the middle of a call (MCP's elicitation): async, or in a thread. None: it is
    declined."""
    on_progress: Progress | None = None
    """Hears how far a call is: its number (which says ``.tool`` and ``.execution`` too), a text, how much is done,
    and of how much. What it raises stops the code, and comes out of ``run_code``."""
    redact: Collection[str] = ()
    """Names of arguments that the log is not to have, nor of fields in them at any depth: ``"password"``, or
    of one tool ``"server/tool:password"``, which is named as for ``Toolset.filter``; both may be globs. What
    fits no tool, and a name that is no field of any, is refused when the tools are known."""
    record: Recording | None = None
    """Gets every call, with what it gave, as far as it has room."""
    replay: Recording | None = None
    """What is served in place of calling; see ``Tools.replaying``."""
    budget_tokens: int = BUDGET_TOKENS
    """Tokens that the catalogue of the tools may take of what the model is shown."""
    pinned: Collection[str] = ()
    """Tools that are shown however many there are: ids (``github/create_issue``), paths
    (``github.create_issue``), or globs of these."""
    level: Level | None = None
    """How much is shown; None: the most that is within the budget."""
    direct: Collection[str] = ()
    """Tools that the model is better given directly, named as ``pinned`` ones are:
    ``protocell.catalogue.direct_specs`` has their definitions for the agent's own loop. Code can call
    them as well."""
    known: str | PathLike[str] | None = None
    """A file of the definitions that are known: the catalogue says what is another one than there. It is
    written where it is not there yet, and by ``protocell.catalogue.accept``."""
    account: bool = False
    """Count tokens: ``Execution.token_account`` says what the same work had cost without code."""

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
        for called in ("ask", "on_progress", "before", "after"):
            _check_callable(called, getattr(self, called))
        _refuse_async("on_progress", self.on_progress)
        if self.approve not in ("allow", "deny"):
            _check_callable("approve", self.approve, "'allow', 'deny', ")
        keep(self, "budgets", _checked_budgets(self.budgets))
        keep(self, "redact", names("redact", self.redact))  # a bare string would redact nothing
        keep(self, "pinned", names("pinned", self.pinned))
        keep(self, "direct", names("direct", self.direct))
        _check_budget(self.budget_tokens)
        _check_level(self.level)
        if self.known is not None and not isinstance(self.known, str | PathLike):
            raise PolicyError(
                f"known is {quoted(self.known)}; allowed is the path of a file, or None"
            )
        if type(self.account) is not bool:
            raise PolicyError(f"account is {quoted(self.account)}; allowed are True and False")


def as_tools(given: Tools | Toolset) -> Tools:
    """What was given, in full.

    Raises:
        PolicyError: it is neither.
    """
    if isinstance(given, Tools):
        return given
    if not isinstance(given, Toolset):
        raise PolicyError(
            f"tools is {quoted(given)}; allowed is a Toolset, as Toolset.of(function, ...) makes one, "
            "or Tools(toolset=...)"
        )
    return Tools(toolset=given)


def _checked_budgets(given: object) -> dict[str, Budget]:
    """The same, the caller's own no more; raises PolicyError where that is something else."""
    found: dict[Any, Any] = dict(given) if isinstance(given, Mapping) else {None: None}
    if not all(type(name) is str and isinstance(each, Budget) for name, each in found.items()):
        raise PolicyError(
            f"budgets is {quoted(given)}; allowed is a mapping of tools to Budget(...), as in "
            '{"github/*": Budget(calls=5)}'
        )
    return found


def _check_callable(name: str, function: object, more: str = "") -> None:
    """Raises PolicyError where that cannot be called."""
    if function is not None and not callable(function):
        raise PolicyError(f"{name} is {quoted(function)}; allowed is a function, {more}or None")


def _refuse_async(name: str, function: object) -> None:
    """Raises PolicyError where nobody awaited what it returns."""
    called = function if inspect.isroutine(function) else getattr(function, "__call__", None)  # noqa: B004
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called):
        raise PolicyError(
            f"{name} is the coroutine function {quoted(function)}, which nobody awaits; allowed is a plain "
            "function, which may hand over to one, as with asyncio.create_task or a queue"
        )


def _check_budget(tokens: object) -> None:
    """Raises PolicyError where that is no number of tokens."""
    if type(tokens) is not int or not 0 < tokens <= _MOST_TOKENS:
        what = f"a whole number of tokens from 1 to {_MOST_TOKENS:,}"
        raise PolicyError(f"budget_tokens is {quoted(tokens)}; allowed is {what}")


def _check_level(level: object) -> None:
    """Raises PolicyError where there is no such level."""
    if level is not None and level not in LEVELS:
        raise PolicyError(f"level is {quoted(level)}; allowed are {', '.join(LEVELS)}, and None")
