"""What an execution needs of a sandbox, whatever keeps it inside: a namespace, or a process group."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from protocell._waiter import Waiter
from protocell.errors import SetupError

ANSWER_SECONDS = 10.0  # within which a trusted process answers, whatever the code does
OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})


def out_of_descriptors() -> SetupError:
    """This process, not the sandbox, has too many open files."""
    message = "this process has no descriptor left: close sandboxes, or raise its limit (ulimit -n)"
    return SetupError(message, step="descriptors", errno=errno.EMFILE)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a context ended, on the word of its parent."""

    cause: str | None  # None: by itself; "cpu", "memory": a limit; "host": we asked for it
    status: int  # as of waitpid(2)
    usage: dict[str, Any]  # as of ``Box.usage``


class Box(Protocol):
    """What an execution needs of a sandbox, whatever keeps it inside."""

    channel: socket.socket
    stdout: int
    stderr: int
    workspace: int
    enforced: tuple[str, ...]
    alive: bool  # whether a context is there to run code
    was_interrupted: (
        bool  # the last execution: its signal may still be on its way to the interpreter
    )

    @property
    def notice(self) -> int:
        """A descriptor that becomes readable when the context has ended."""
        ...

    @property
    def is_there(self) -> bool:
        """Whether the sandbox lives, with or without a context."""
        ...

    def begin(self, cpu_seconds: float) -> None:
        """Start measuring one execution; called when the code has just been sent."""
        ...

    def watch(self) -> None:
        """The execution takes more than a moment: have its limits watched; does not wait."""
        ...

    async def usage(self, waiter: Waiter) -> dict[str, Any]:
        """What it used: user, system (seconds), processes, bytes_written, peak_memory, oom_kills."""
        ...

    async def ended(self, waiter: Waiter) -> Exit:
        """Wait for the end of the context."""
        ...

    async def settle(self, waiter: Waiter) -> None:
        """Take note of an end that came when nothing was running; does not wait."""
        ...

    def end(self) -> None:
        """Kill the context and everything that it started; does not wait, never fails."""
        ...

    def interrupt(self) -> None:
        """KeyboardInterrupt in the running code; does not wait, never fails."""
        ...

    async def renew(self, waiter: Waiter) -> None:
        """A fresh context in the same place, after the old one has ended."""
        ...

    def ask(
        self, request: dict[str, Any], descriptors: Sequence[int] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        """Something about the whole sandbox, its files above all; from any thread, waits for the answer."""
        ...

    def close(self) -> None:
        """End the sandbox and give back every descriptor; may be called twice."""
        ...
