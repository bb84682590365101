"""A context: one live interpreter of a sandbox, and the ways back to what it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from protocell._session.core import Core
from protocell._session.house import House
from protocell._session.keeping import save_skill
from protocell._session.listeners import Listeners, OnError, OnResult, OnText
from protocell._session.members import Member
from protocell._session.states import checkpoint, describe, restore, undo
from protocell._waiter import drive
from protocell.errors import PolicyError
from protocell.execution import Execution
from protocell.variables import Variables

if TYPE_CHECKING:
    from protocell.tools import Skill


class Context:
    """One live interpreter of a sandbox; made by ``Sandbox.create_code_context`` or ``fork``."""

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

    def run_code(
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
        """As ``Sandbox.run_code``, here."""
        listeners = Listeners(
            on_stdout=on_stdout, on_stderr=on_stderr, on_result=on_result, on_error=on_error
        )
        core = self._member.core
        return drive(
            core.run_code(
                code, timeout=timeout, envs=envs, wait=wait, retry_of=retry_of, listeners=listeners
            )
        )

    def interrupt(self) -> bool:
        """Stop the code that runs here, from another thread; whether there was any."""
        return self._member.core.interrupt()

    cancel = interrupt

    def checkpoint(self, name: str, *, files: bool = False) -> None:
        """Leave a frozen copy of the interpreter to go back to, variables and imports as they are now.

        ``files=True`` keeps the files of the workspace as well, up to 64 MiB and 2,000 of them: of a branch, those in
        its own folder; of other contexts, everybody's, but for the folders of branches.

        As many are kept as of the automatic ones, three at least: what has a name is pushed out by nothing but more of
        its kind, the oldest first, and outlives crashes and ``restart``. Its memory counts as the sandbox's; to use a
        name again gives the memory of the old one back.

        Waits without limit while code runs here, as ``restore``, ``undo``, ``variables`` and ``fork`` do. Who is torn
        away from one of these (Ctrl-C, a task that is cancelled) is so when it has come to its end.

        Raises:
            CheckpointError: it cannot be copied now, as when its code has other threads.
            BusyError: this was called from a callback of the code that runs here, which would wait for itself.
        """
        drive(checkpoint(self._member.core, name, files=files))

    def checkpoints(self) -> list[str]:
        """The names that can be gone back to, the oldest first."""
        revival = self._member.core.revival
        return [] if revival is None else list(revival.names)

    def restore(self, name: str) -> None:
        """Go back to a checkpoint; what the interpreter is now is given up. Waits as ``checkpoint`` does.

        Files stay as they are, unless the checkpoint was made with ``files=True``.

        Raises:
            CheckpointError: there is none of this name, or it is gone.
        """
        drive(restore(self._member.core, name))

    def undo(self) -> None:
        """Go back to before the last execution; needs ``checkpoints=True``. Files stay as they are.

        Waits as ``checkpoint`` does. It goes back by one execution or not at all: where no checkpoint was made before
        the last one (its code had threads), or it was given up for want of memory, there is nothing to go back to.

        Raises:
            CheckpointError: there is nothing to go back to; the message says why.
        """
        drive(undo(self._member.core))

    def variables(self) -> Variables:
        """Names, types, shapes and sizes of what lives here, on the code's own word. Waits as ``checkpoint`` does.

        ``state_reason`` of what is returned says so if the interpreter has ended since the last execution.
        """
        return drive(describe(self._member.core))

    def save_skill(self, name: str, *, replace: bool = False) -> Skill:
        """Keep the function of that name, with all that it needs, in the folder of the sandbox's ``skills``.

        The imports, functions, classes and constants that it uses are written into its file. Whoever calls this
        agrees to what is run then: ``Skills.read`` shows it. Waits as ``checkpoint`` does.

        Raises:
            PolicyError: it is no function, or uses what cannot be written down; the message says what.
            FileError: there is a skill of that name and it is not to be replaced, or it cannot be written.
        """
        core, shelf = self._member.core, self._house.shelf
        return drive(save_skill(core, shelf, name, replaces=replace))

    def fork(
        self, n: int = 1, *, files: str = "copied", checkpoints: bool | int | None = None
    ) -> list[Context]:
        """``n`` independent copies of this live interpreter, each a context of its own.

        ``files="copied"`` gives each a working folder with a copy of the files in the present one, which has to be in
        the workspace; ``"shared"`` lets all of them work in the present one. The folders are below
        ``/home/user/.branches``; listings and downloads of the whole workspace leave them out. ``checkpoints`` are as
        this context's, unless it is said otherwise. Waits as ``checkpoint`` does.

        Raises:
            CheckpointError: it cannot be copied now, or there is no room; the message says why.
        """
        copied, waiter = as_copied(files), self._member.core.waiter
        members = drive(
            self._house.fork(self._member, n, waiter, copied=copied, checkpoints=checkpoints)
        )
        return [Context(self._house, member) for member in members]

    def restart(self) -> None:
        """A fresh interpreter in the same place; files and checkpoints with a name stay.

        Raises:
            BusyError: code runs here; this does not wait for it. ``interrupt`` stops it.
        """
        drive(self._member.core.restart())

    def close(self) -> None:
        """End this context with all that it started, its branches too; from any thread.

        A branch's own folder is removed with it: take out what is worth it before.
        """
        drive(self._house.remove(self._member, self._member.core.waiter))

    kill = close

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, cwd={self.cwd!r})"


def own_id(house: House, context: object) -> str:
    """The id of a context of this sandbox; raises PolicyError."""
    if isinstance(context, str):
        return context
    belongs_to: Callable[[House], bool] | None = getattr(context, "belongs_to", None)
    if belongs_to is None:
        raise PolicyError(
            f"context is {context!r:.60}; allowed is a context of this sandbox, or its id"
        )
    if not belongs_to(house):
        raise PolicyError(f"context is {context!r:.100}, which belongs to another sandbox")
    return str(getattr(context, "id", ""))


def as_copied(files: str) -> bool:
    """What ``files`` of ``fork`` means; raises PolicyError."""
    if files not in ("copied", "shared"):
        raise PolicyError(f"files is {files!r:.60}; allowed is 'copied' or 'shared'")
    return files == "copied"
