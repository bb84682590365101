"""The asyncio face of a sandbox: the same names, the same implementation (``_core``)."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Self, overload

from protocell._core import Core, OnText
from protocell._transfer import Content
from protocell._waiter import AsyncioWaiter
from protocell.execution import Execution
from protocell.files import Entry, Listing
from protocell.policy import Policy
from protocell.sandbox import as_format


class AsyncFiles:
    """The workspace of a sandbox, ``/home/user``, from outside."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def write(self, path: str, data: Content) -> Entry:
        """As ``Files.write``."""
        return await self._core.write_file(path, data)

    @overload
    async def read(self, path: str, format: Literal["text"] = "text") -> str: ...
    @overload
    async def read(self, path: str, format: Literal["bytes"]) -> bytes: ...
    async def read(self, path: str, format: Literal["text", "bytes"] = "text") -> str | bytes:
        """As ``Files.read``."""
        return as_format(await self._core.read_file(path), path, format)

    async def list(self, path: str = "/home/user") -> Listing:
        """As ``Files.list``."""
        return await self._core.list_files(path)


class AsyncSandbox:
    """``Sandbox`` for asyncio: ``async with AsyncSandbox() as sandbox: await sandbox.run_code(…)``.

    A task that is cancelled while its code runs ends that code: the variables are lost, the files
    stay, and the sandbox can be used again.
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self._core = Core(policy, AsyncioWaiter())
        self.files = AsyncFiles(self._core)

    @property
    def policy(self) -> Policy:
        """What the code may do."""
        return self._core.policy

    async def run_code(
        self,
        code: str,
        *,
        timeout: float | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
    ) -> Execution:
        """As ``Sandbox.run_code``."""
        return await self._core.run_code(
            code, timeout=timeout, on_stdout=on_stdout, on_stderr=on_stderr
        )

    def interrupt(self) -> None:
        """As ``Sandbox.interrupt``."""
        self._core.interrupt()

    async def kill(self) -> None:
        """As ``Sandbox.kill``."""
        self._core.close()

    async def close(self) -> None:
        """As ``Sandbox.close``."""
        self._core.close()

    async def __aenter__(self) -> Self:
        await self._core.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._core.close()
