"""The blocking face of shell commands: ``sandbox.commands.run("pytest -q")``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, overload

from protocell._running.command import Command
from protocell._session.house import House
from protocell._session.listeners import OnText
from protocell._session.orders import Wishes, start
from protocell._waiter import BlockingWaiter, drive
from protocell.commands import CommandResult


class CommandHandle:
    """A command that runs in the background. Its pipes are read by ``wait``; till then it may have to wait itself."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def wait(self) -> CommandResult:
        """Read on until it ends, and tell what came of it."""
        return drive(self._command.result(BlockingWaiter()))

    def interrupt(self) -> None:
        """SIGINT, and the end of it all if it goes on after ``limits.grace_seconds``; ``wait`` does that."""
        self._command.interrupt()

    def kill(self) -> None:
        """End it with all that it started; ``wait`` says how it ended."""
        self._command.kill()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._command})"


class Commands:
    """Shell commands in the default context's place: same files, network, limits; another process."""

    def __init__(self, house: House) -> None:
        self._house = house

    @overload
    def run(
        self,
        command: str,
        background: Literal[False] = False,  # noqa: FBT002
        *,
        envs: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
    ) -> CommandResult: ...
    @overload
    def run(
        self,
        command: str,
        background: Literal[True],
        *,
        envs: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
    ) -> CommandHandle: ...
    def run(
        self,
        command: str,
        background: bool = False,  # noqa: FBT001, FBT002  (as in E2B's SDK)
        *,
        envs: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
    ) -> CommandResult | CommandHandle:
        """Run a line with /bin/sh; ``timeout`` in seconds, else ``limits.wall_seconds``.

        Standard input is empty. A command in the background goes on until it ends, its ``timeout`` is over or
        the sandbox ends.

        Raises:
            PolicyError: an argument is wrong, or the folder is not there; nothing ran.
            ClosedError, SandboxDiedError, UnsupportedError, SetupError: there is no sandbox.
        """
        wishes = Wishes(
            envs=envs, cwd=cwd, timeout=timeout, on_stdout=on_stdout, on_stderr=on_stderr
        )
        waiter = BlockingWaiter()
        made = drive(start(self._house, command, wishes, waiter, background=background))
        return CommandHandle(made) if background else drive(made.result(waiter))
