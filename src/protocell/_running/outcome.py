"""What a turn saw of an execution, and whom it tells while it looks."""

from __future__ import annotations

import enum
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from protocell._boxes.box import Exit
from protocell._running.copies import CopyMessage
from protocell._running.messages import ErrorMessage, Message, ResultMessage
from protocell._running.pipes import OnOutput


class Stop(enum.Enum):
    """Why the code was asked to stop; it may have done so by itself then."""

    DEADLINE = enum.auto()
    CALLER = enum.auto()


class End(enum.Enum):
    """Why a turn was over although the code did not say that it was done."""

    STOPPED = enum.auto()  # it did not stop when it was asked to
    TOO_MUCH_OUTPUT = enum.auto()
    HUNG_UP = enum.auto()  # end of file on the channel
    GONE = enum.auto()  # init says that the context has ended
    VIOLATION = enum.auto()  # bytes that are not the protocol


@dataclass(slots=True)
class Outcome:
    """What a turn saw; ``verdict`` makes a status and a sentence of it."""

    results: list[ResultMessage] = field(default_factory=list)
    error: ErrorMessage | None = None
    exit_code: int | None = None
    left_out: int = 0
    warnings: tuple[str, ...] = ()
    stop: Stop | None = None
    end: End | None = None
    exit: Exit | None = None
    violation: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    wall_seconds: float = 0.0


class Line(Protocol):
    """Where the calls of tools go that the code of one execution makes."""

    far: socket.socket
    """The code's end."""

    @property
    def most_bytes(self) -> int:
        """Of the arguments of one call."""

    def paused(self) -> float:
        """Seconds so far that were not the code's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Whom a turn tells what it sees, as it comes."""

    meanwhile: Callable[[], None]
    on_stdout: OnOutput | None = None
    on_stderr: OnOutput | None = None
    on_message: Callable[[Message], None] | None = None
    on_copy: Callable[[CopyMessage], None] | None = None
    line: Line | None = None
