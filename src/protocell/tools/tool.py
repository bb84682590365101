"""One callable thing as data, and how it is called: what every source gives and every reader takes."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, Protocol, TypeVar

from protocell.tools.permission import ALLOW, Permission

T = TypeVar("T")


class Missing(enum.Enum):
    """The type of ``MISSING``, for annotations."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""No value was given; None is a value."""

Kind = Literal["normal", "positional_only", "variadic", "keyword_only", "keywords"]
"""How Python takes it: ``f(normal)``, ``f(x, /)``, ``f(*variadic)``, ``f(*, x)``, ``f(**keywords)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One argument that a tool takes."""

    name: str
    """As the server says it; the key in the arguments that are sent."""
    identifier: str
    """As the code writes it."""
    schema: Mapping[str, Any]
    """JSON schema of its value; ``$ref`` points into the ``$defs`` of the tool's ``input_schema``."""
    required: bool
    default: Any = MISSING
    """JSON; what the server says that it takes where nothing is given."""
    description: str = ""
    kind: Kind = "normal"
    """Other than ``normal`` for Python functions only. The arguments of ``variadic`` are a list under
    its name, and its schema is that of the list; those of ``keywords`` are further keys beside the
    other ones, and its schema is that of each value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """What a server says about its own tool: untrusted, so it may make a rule stricter, never milder."""

    title: str = ""
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something that a tool wants to know from a person in the middle of a call."""

    text: str
    schema: Mapping[str, Any] | None = None
    """JSON schema of the object that is wanted; None where a plain yes or no is."""
    url: str | None = None
    """A page that the person should visit for it, in place of a form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the person said."""

    action: Literal["accept", "decline", "cancel"]
    content: Mapping[str, Any] | None = None
    """What was filled in, where it was accepted."""


class Call(Protocol):
    """One call while it goes on: what its tool may do meanwhile.

    A Python function that is a tool gets its call when one of its parameters is annotated with this
    class; the model does not see that parameter. In a function that is not async it is a
    ``ThreadCall``, which is the better annotation there.
    """

    @property
    def id(self) -> int:
        """Number of the call in its execution, from 1."""

    def progress(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Says how far it is, in units of the tool's own; from any thread."""

    def ask(self, question: Question) -> Awaitable[Reply]:
        """Asks a person, through the approval channel; the clock of the tool stands still."""

    def run_sync(self, work: Callable[[], T]) -> Awaitable[T]:
        """Runs a function that blocks in a thread of the broker's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a tool gave."""

    value: Any
    """What the code gets: JSON, and what else ``protocell_guest.values`` can carry (dates, bytes,
    sets, ``Image`` ...) as Python objects; not yet encoded."""
    raw: Any = MISSING
    """The original, as JSON; MISSING where the value is the original."""
    text: str = ""
    """What the tool gave as text, whole; for logs, where it is more than the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One callable thing, and what its source says of it. Names and texts are untrusted."""

    server: str
    """Namespace as the user gave it ("github"); of functions "functions", unless named."""
    name: str
    """Original name; unique in its server."""
    identifier: str
    """Python name in the namespace; unique there."""
    description: str
    """Whole, as given; it is cut where it is shown."""
    parameters: tuple[Parameter, ...]
    """In the order of the schema, required ones first."""
    input_schema: Mapping[str, Any]
    """JSON schema 2020-12 of the object of all arguments."""
    output_schema: Mapping[str, Any] | None = None
    """Of the value as the code gets it: a lone ``result`` is unwrapped. None: nothing is promised."""
    annotations: Annotations = field(default_factory=Annotations)
    permission: Permission = ALLOW
    native: bool = False
    """A Python function: what its schema calls ``format: date-time``, ``binary``, ``uuid`` ... comes
    and goes as datetime, bytes, UUID ...; of other tools the same is text."""
    check: Callable[[dict[str, Any]], None] | None = None
    """In place of the JSON schema: raises ToolError where these arguments do not fit."""
    shown: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Of arguments that fit, what the work makes of them; None: they are what it gets."""
    invoke: Callable[[dict[str, Any], Call], Awaitable[Answer]]
    """Takes the arguments by original names, as ``validation.prepare`` gave them, and the call.
    Raises ToolError. Runs in the event loop of the broker; cancelling it cancels the work, and if it
    goes on all the same, what it gives is dropped."""

    @property
    def id(self) -> str:
        """``server/name``: what ``call_tool`` takes, and rules name."""
        return f"{self.server}/{self.name}"

    def seen_by_rules(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What rules and people decide about: what the work will have, and not what stands for it."""
        return arguments if self.shown is None else self.shown(arguments)

    @property
    def digest(self) -> str:
        """SHA-256, as hex, of what its source says of it: another one means that it changed."""
        told = {
            "name": self.name,
            "description": self.description,
            "input": self.input_schema,
            "output": self.output_schema,
            "annotations": asdict(self.annotations),
        }
        canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), default=repr)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()


class Source(Protocol):
    """Where tools come from: Python functions, one MCP server, one OpenAPI service.

    All of it is called in one event loop, after each other. ``start`` may be called again after
    ``close``, and after it has failed.
    """

    changed: Callable[[], None] | None
    """Set by the toolset; the source calls it, in its loop, when its list of tools is another one."""

    @property
    def name(self) -> str:
        """The server's name, as the user gave it."""

    async def start(self) -> None:
        """Connects, or does nothing where that is done. Raises ToolError, kind ``transport``."""

    async def tools(self) -> tuple[Tool, ...]:
        """What there is now; fresh after ``changed``. Raises ToolError."""

    async def close(self) -> None:
        """Ends processes and connections; calls that go on end with ToolError. Never raises."""


class StaticSource:
    """Tools that are here already, and stay: there is nothing to start."""

    def __init__(self, name: str, tools: Iterable[Tool]) -> None:
        self.changed: Callable[[], None] | None = None
        self._name = name
        self._tools = tuple(tools)

    @property
    def name(self) -> str:
        """Their namespace."""
        return self._name

    async def start(self) -> None:
        """Does nothing."""

    async def tools(self) -> tuple[Tool, ...]:
        """All of them, as they were handed over."""
        return self._tools

    async def close(self) -> None:
        """Does nothing; calls that go on are the caller's to cancel."""
