"""The asyncio face of a sandbox: the same names, the same implementation (``house``, ``core``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from protocell._session.choices import Choices
from protocell._session.house import House, living
from protocell._session.listeners import OnError, OnResult, OnText
from protocell._session.streaming import stream_async
from protocell._waiter import AsyncioWaiter
from protocell._workspace.filesystem import Filesystem
from protocell.aio_context import AsyncContext
from protocell.aio_filesystem import AsyncFiles
from protocell.aio_shell import AsyncCommands
from protocell.context import own_id
from protocell.events import Event
from protocell.execution import Execution
from protocell.info import SandboxInfo, info_of
from protocell.policy import Policy

if TYPE_CHECKING:
    from protocell._catalogue.levels import View
    from protocell.tools import Skill, Skills, Tools, Toolset

# For a class that has a method ``list``.
Infos = list[SandboxInfo]
Contexts = list[AsyncContext]


class AsyncSandbox:
    """``Sandbox`` for asyncio: ``async with AsyncSandbox() as sandbox: await sandbox.run_code(…)``.

    A task that is cancelled stops its code by the ladder, as ``interrupt`` does: the sandbox can be used
    again, and the next execution says what became of the variables.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        envs: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        checkpoints: bool | int = False,
        tools: Tools | Toolset | None = None,
        skills: Skills | None = None,
    ) -> None:
        waiter = AsyncioWaiter()
        choices = Choices(
            envs=envs,
            cwd=cwd,
            timeout=timeout,
            metadata=metadata,
            checkpoints=checkpoints,
            tools=tools,
            skills=skills,
        )
        self._house = House(policy, waiter, choices)
        self.files = AsyncFiles(Filesystem(self._house.main.core, waiter))
        self.commands = AsyncCommands(self._house)
        self.context = AsyncContext(self._house, self._house.main)

    @classmethod
    async def create(
        cls,
        policy: Policy | None = None,
        *,
        envs: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        checkpoints: bool | int = False,
        tools: Tools | Toolset | None = None,
        skills: Skills | None = None,
    ) -> Self:
        """As ``Sandbox.create``."""
        sandbox = cls(
            policy,
            envs=envs,
            cwd=cwd,
            timeout=timeout,
            metadata=metadata,
            checkpoints=checkpoints,
            tools=tools,
            skills=skills,
        )
        return await sandbox.__aenter__()

    @staticmethod
    def list() -> Infos:
        """As ``Sandbox.list``."""
        return [info_of(house) for house in living()]

    @property
    def sandbox_id(self) -> str:
        """As ``Sandbox.sandbox_id``."""
        return self._house.id

    @property
    def policy(self) -> Policy:
        """What the code may do."""
        return self._house.policy

    def get_info(self) -> SandboxInfo:
        """As ``Sandbox.get_info``."""
        return info_of(self._house)

    async def is_running(self) -> bool:
        """As ``Sandbox.is_running``."""
        return self._house.is_running

    async def set_timeout(self, timeout: float | None) -> None:
        """As ``Sandbox.set_timeout``."""
        self._house.set_timeout(timeout)

    # -- code -------------------------------------------------------------------------------------

    async def run_code(
        self,
        code: str,
        *,
        context: AsyncContext | str | None = None,
        timeout: float | None = None,
        envs: Mapping[str, str] | None = None,
        wait: bool = False,
        retry_of: Execution | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
        on_result: OnResult | None = None,
        on_error: OnError | None = None,
    ) -> Execution:
        """As ``Sandbox.run_code``; a callback may be a coroutine function, which is awaited."""
        return await self._context(context).run_code(
            code,
            timeout=timeout,
            envs=envs,
            wait=wait,
            retry_of=retry_of,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
            on_result=on_result,
            on_error=on_error,
        )

    def stream(
        self,
        code: str,
        *,
        context: AsyncContext | str | None = None,
        timeout: float | None = None,
        envs: Mapping[str, str] | None = None,
        wait: bool = False,
        retry_of: Execution | None = None,
    ) -> AsyncIterator[Event]:
        """As ``Sandbox.stream``; leave it early with ``contextlib.aclosing``, so that the code ends at once."""
        core = self._context(context).core
        return stream_async(
            lambda listeners, waiter: core.run_code(
                code,
                timeout=timeout,
                envs=envs,
                wait=wait,
                retry_of=retry_of,
                listeners=listeners,
                waiter=waiter,
            ),
            core.waiter,
        )

    def interrupt(self) -> bool:
        """As ``Sandbox.interrupt``."""
        return self.context.interrupt()

    cancel = interrupt

    async def catalogue(self, *, refresh: bool = False) -> View:
        """As ``Sandbox.catalogue``."""
        return await self._house.view(refresh=refresh)

    async def save_skill(
        self, name: str, *, context: AsyncContext | str | None = None, replace: bool = False
    ) -> Skill:
        """As ``Sandbox.save_skill``."""
        return await self._context(context).save_skill(name, replace=replace)

    # -- contexts ---------------------------------------------------------------------------------

    async def create_code_context(
        self,
        cwd: str | None = None,
        envs: Mapping[str, str] | None = None,
        *,
        checkpoints: bool | int | None = None,
    ) -> AsyncContext:
        """As ``Sandbox.create_code_context``."""
        made = await self._house.create_context(cwd, envs, checkpoints=checkpoints)
        return AsyncContext(self._house, made)

    async def list_code_contexts(self) -> Contexts:
        """As ``Sandbox.list_code_contexts``."""
        return [AsyncContext(self._house, member) for member in self._house.members()]

    async def restart_code_context(self, context: AsyncContext | str) -> None:
        """As ``Sandbox.restart_code_context``."""
        await self._context(context).restart()

    async def remove_code_context(self, context: AsyncContext | str) -> None:
        """As ``Sandbox.remove_code_context``."""
        await self._context(context).close()

    def _context(self, context: AsyncContext | str | None) -> AsyncContext:
        if context is None:
            return self.context
        return AsyncContext(self._house, self._house.member(own_id(self._house, context)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._house})"

    # -- end --------------------------------------------------------------------------------------

    async def kill(self) -> None:
        """As ``Sandbox.kill``."""
        self._house.close()

    async def close(self) -> None:
        """As ``Sandbox.close``."""
        self._house.close()

    async def __aenter__(self) -> Self:
        await self._house.main.core.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._house.close()
