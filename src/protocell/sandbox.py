"""The blocking face of a sandbox, and ``run_code``: a sandbox used once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from protocell._session.choices import Choices
from protocell._session.house import House, living
from protocell._session.listeners import OnError, OnResult, OnText
from protocell._session.once import run_once
from protocell._session.streaming import stream
from protocell._waiter import BlockingWaiter, drive
from protocell._workspace.filesystem import Filesystem
from protocell._workspace.transfer import Content
from protocell.context import Context, own_id
from protocell.events import Event
from protocell.execution import Execution
from protocell.filesystem import Files
from protocell.info import SandboxInfo, info_of
from protocell.policy import Policy
from protocell.shell import Commands

if TYPE_CHECKING:
    from protocell._catalogue.levels import View
    from protocell.tools import Skill, Skills, Tools, Toolset

# For a class that has a method ``list``.
Infos = list[SandboxInfo]
Contexts = list[Context]


class Sandbox:
    """An isolated place where code runs and variables live on from call to call.

    It is made when it is first used, and gone after ``with``, after ``close`` or ``kill``, when it is
    garbage-collected, when its ``timeout`` is over, or when this process ends.

    ``envs`` and ``cwd`` are for all that runs here; a ``cwd`` in the workspace is made.  ``timeout`` is the
    sandbox's own time in seconds; ``metadata`` is only kept.  With ``checkpoints`` an interpreter that is
    ended goes on from a frozen copy of what it was before that execution (True: three are kept; or how many).
    ``tools`` are functions of the host that the code can call, ``skills`` is a folder of functions beside them.

    Raises:
        PolicyError: an argument is wrong.
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
        waiter = BlockingWaiter()
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
        self.files = Files(Filesystem(self._house.main.core, waiter))
        self.commands = Commands(self._house)
        self.context = Context(self._house, self._house.main)

    @classmethod
    def create(
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
        """As the constructor, and made at once; the caller closes it."""
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
        return sandbox.__enter__()

    @staticmethod
    def list() -> Infos:
        """The sandboxes of this process that are there, of both faces, the oldest first."""
        return [info_of(house) for house in living()]

    @property
    def sandbox_id(self) -> str:
        """Its name, which no other has."""
        return self._house.id

    @property
    def policy(self) -> Policy:
        """What the code may do."""
        return self._house.policy

    def get_info(self) -> SandboxInfo:
        """What is known of it."""
        return info_of(self._house)

    def is_running(self) -> bool:
        """Whether it is there: made, not closed, its time not over, nobody killed it."""
        return self._house.is_running

    def set_timeout(self, timeout: float | None) -> None:
        """From now on the sandbox has so many seconds; it ends then, whatever runs. None: it has no end of its own."""
        self._house.set_timeout(timeout)

    # -- code -------------------------------------------------------------------------------------

    def run_code(
        self,
        code: str,
        *,
        context: Context | str | None = None,
        timeout: float | None = None,
        envs: Mapping[str, str] | None = None,
        wait: bool = False,
        retry_of: Execution | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
        on_result: OnResult | None = None,
        on_error: OnError | None = None,
    ) -> Execution:
        """Run code, in the default context or another one.

        ``context`` is one of this sandbox, or its id. ``timeout`` in seconds and ``envs`` are for this call. While
        other code runs there the call is refused, or waits for its turn (``wait=True``). The callbacks are called as
        text, results and the error come. Calls of tools that ``retry_of`` completed are served from its log.

        Raises:
            PolicyError: the arguments are wrong; nothing ran.
            BusyError: other code is running here.
            ClosedError, SandboxDiedError, UnsupportedError, SetupError: there is no sandbox.
        """
        return self._context(context).run_code(
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
        context: Context | str | None = None,
        timeout: float | None = None,
        envs: Mapping[str, str] | None = None,
        wait: bool = False,
        retry_of: Execution | None = None,
    ) -> Iterator[Event]:
        """Run code and iterate over what it tells: ``Output``, ``Result``, ``ExecutionError``, ``Execution``.

        The last one is the execution. Leaving the loop early ends the code.
        """
        core = self._context(context).core
        return stream(
            lambda listeners, waiter: core.run_code(
                code,
                timeout=timeout,
                envs=envs,
                wait=wait,
                retry_of=retry_of,
                listeners=listeners,
                waiter=waiter,
            )
        )

    def interrupt(self) -> bool:
        """Stop the code of the default context, from another thread; whether there was any.

        KeyboardInterrupt first; what goes on after ``limits.grace_seconds`` is killed.
        """
        return self.context.interrupt()

    cancel = interrupt

    def catalogue(self, *, refresh: bool = False) -> View:
        """What a model is to be shown of the tools: ``.text``, and ``.description`` with our words before it.

        It stays the same, so that caches of prompts hold, until it is asked for with ``refresh``; then
        ``.changes`` says which definitions are other ones. Code finds what there is now in any case.

        Raises:
            PolicyError: there are no tools, or a pinned or direct one fits none.
            ToolError: a server cannot be reached.
            FileError: the file of known definitions cannot be read or written.
        """
        return drive(self._house.view(refresh=refresh))

    def save_skill(
        self, name: str, *, context: Context | str | None = None, replace: bool = False
    ) -> Skill:
        """As ``Context.save_skill``, in the default context or another one."""
        return self._context(context).save_skill(name, replace=replace)

    # -- contexts ---------------------------------------------------------------------------------

    def create_code_context(
        self,
        cwd: str | None = None,
        envs: Mapping[str, str] | None = None,
        *,
        checkpoints: bool | int | None = None,
    ) -> Context:
        """One more live interpreter: it shares the workspace and the limits, and nothing else.

        ``cwd`` has to be there. ``checkpoints`` are as the sandbox's, unless it is said otherwise.
        """
        made = drive(self._house.create_context(cwd, envs, checkpoints=checkpoints))
        return Context(self._house, made)

    def list_code_contexts(self) -> Contexts:
        """Those that there are, the default one first."""
        return [Context(self._house, member) for member in self._house.members()]

    def restart_code_context(self, context: Context | str) -> None:
        """A fresh interpreter in its place; files stay."""
        self._context(context).restart()

    def remove_code_context(self, context: Context | str) -> None:
        """End it with all that it started."""
        self._context(context).close()

    def _context(self, context: Context | str | None) -> Context:
        if context is None:
            return self.context
        return Context(self._house, self._house.member(own_id(self._house, context)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._house})"

    # -- end --------------------------------------------------------------------------------------

    def kill(self) -> None:
        """End the sandbox with everything in it; from any thread."""
        self._house.close()

    def close(self) -> None:
        """The same as ``kill``."""
        self._house.close()

    def __enter__(self) -> Self:
        drive(self._house.main.core.open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def run_code(
    code: str,
    *,
    policy: Policy | None = None,
    files: Mapping[str, Content] | None = None,
    timeout: float | None = None,
    tools: Tools | Toolset | None = None,
) -> Execution:
    """Run code in a sandbox of its own, and return what came of it.

    ``files`` are put into the workspace first: name to bytes, text, or a ``pathlib.Path`` of the host. ``tools`` are
    there as functions; their servers stay started until the toolset is closed.

    Raises:
        PolicyError, FileError: the arguments are wrong; nothing ran.
        UnsupportedError, SetupError: this machine cannot give the sandbox that was asked for.
    """
    choices = Choices(timeout=timeout, tools=tools)
    return drive(run_once(code, policy, files, choices, BlockingWaiter()))
