"""The asyncio face of a context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from protocell._session.core import Core
from protocell._session.house import House
from protocell._session.keeping import save_skill
from protocell._session.listeners import Listeners, OnError, OnResult, OnText
from protocell._session.members import Member
from protocell._session.relay import Relay
from protocell._session.states import checkpoint, describe, restore, undo
from protocell.context import as_copied
from protocell.execution import Execution
from protocell.variables import Variables

if TYPE_CHECKING:
    from protocell.tools import Skill


class AsyncContext:
    """``Context`` for asyncio: the same names, the same implementation."""

    def __init__(self, house: House, member: Member) -> None:
        self._house = house
        self._member = member

    @property
    def core(self) -> Core:
        """Its implementation, which both faces share."""
        return self._member.core

    def belongs_to(self, house: House) -> bool:
        """Whether it is a context of this sandbox."""
        return self._house is house

    @property
    def id(self) -> str:
        """Its name in the sandbox."""
        return self._member.id

    @property
    def cwd(self) -> str:
        """The folder that it began in."""
        return self._member.cwd

    @property
    def language(self) -> str:
        """Always Python."""
        return "python"

    async def run_code(
        self,
        code: str,
        *,
        timeout: float | None = None,
        envs: Mapping[str, str] | None = None,
        wait: bool = False,
        retry_of: Execution | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
        on_result: OnResult | None = None,
        on_error: OnError | None = None,
    ) -> Execution:
        """As ``Context.run_code``; a callback may be a coroutine function, which is awaited."""
        relay = Relay()
        listeners = Listeners(
            on_stdout=relay.of("on_stdout", on_stdout),
            on_stderr=relay.of("on_stderr", on_stderr),
            on_result=relay.of("on_result", on_result),
            on_error=relay.of("on_error", on_error),
        )
        return await relay.during(
            self.core.run_code(
                code, timeout=timeout, envs=envs, wait=wait, retry_of=retry_of, listeners=listeners
            )
        )

    def interrupt(self) -> bool:
        """As ``Context.interrupt``."""
        return self.core.interrupt()

    cancel = interrupt

    async def checkpoint(self, name: str, *, files: bool = False) -> None:
        """As ``Context.checkpoint``."""
        await checkpoint(self.core, name, files=files)

    def checkpoints(self) -> list[str]:
        """As ``Context.checkpoints``."""
        revival = self.core.revival
        return [] if revival is None else list(revival.names)

    async def restore(self, name: str) -> None:
        """As ``Context.restore``."""
        await restore(self.core, name)

    async def undo(self) -> None:
        """As ``Context.undo``."""
        await undo(self.core)

    async def variables(self) -> Variables:
        """As ``Context.variables``."""
        return await describe(self.core)

    async def save_skill(self, name: str, *, replace: bool = False) -> Skill:
        """As ``Context.save_skill``."""
        return await save_skill(self.core, self._house.shelf, name, replaces=replace)

    async def fork(
        self, n: int = 1, *, files: str = "copied", checkpoints: bool | int | None = None
    ) -> list[AsyncContext]:
        """As ``Context.fork``."""
        copied = as_copied(files)
        made = await self._house.fork(
            self._member, n, self.core.waiter, copied=copied, checkpoints=checkpoints
        )
        return [AsyncContext(self._house, member) for member in made]

    async def restart(self) -> None:
        """As ``Context.restart``."""
        await self.core.restart()

    async def close(self) -> None:
        """As ``Context.close``."""
        await self._house.remove(self._member, self.core.waiter)

    kill = close

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, cwd={self.cwd!r})"
