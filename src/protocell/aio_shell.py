"""The asyncio face of shell commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, overload

from protocell._running.command import Command
from protocell._session.house import House
from protocell._session.listeners import OnText
from protocell._session.orders import Wishes, start
from protocell._session.relay import Relay
from protocell._waiter import AsyncioWaiter
from protocell.commands import CommandResult


class AsyncCommandHandle:
    """As ``CommandHandle``."""

    def __init__(self, command: Command, relay: Relay) -> None:
        self._command = command
        self._relay = relay

    async def wait(self) -> CommandResult:
        """As ``CommandHandle.wait``."""
        return await self._relay.during(self._command.result(AsyncioWaiter()))

    def interrupt(self) -> None:
        """As ``CommandHandle.interrupt``."""
        self._command.interrupt()

    def kill(self) -> None:
        """As ``CommandHandle.kill``."""
        self._command.kill()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._command})"


class AsyncCommands:
    """As ``Commands``."""

    def __init__(self, house: House) -> None:
        self._house = house

    @overload
    async def run(
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
    async def run(
        self,
        command: str,
        background: Literal[True],
        *,
        envs: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
    ) -> AsyncCommandHandle: ...
    async def run(
        self,
        command: str,
        background: bool = False,  # noqa: FBT001, FBT002  (as in E2B's SDK)
        *,
        envs: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
    ) -> CommandResult | AsyncCommandHandle:
        """As ``Commands.run``; a task that is cancelled ends its command.

        A callback may be a coroutine function, which is awaited.
        """
        relay = Relay()
        wishes = Wishes(
            envs=envs,
            cwd=cwd,
            timeout=timeout,
            on_stdout=relay.of("on_stdout", on_stdout),
            on_stderr=relay.of("on_stderr", on_stderr),
        )
        waiter = AsyncioWaiter()
        made = await start(self._house, command, wishes, waiter, background=background)
        handle = AsyncCommandHandle(made, relay)
        return handle if background else await handle.wait()
