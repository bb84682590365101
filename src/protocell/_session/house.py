"""A sandbox as a whole: its contexts, its commands, its time; written once for both faces.

The first context is the sandbox itself: its workspace and limits are everybody's, and when it is closed
everything ends.  A further context is a sandbox of its own, with namespaces and an init of its own, that is
given the first one's workspace and cgroup: so the two share these and nothing else.  A branch is a copy of an
interpreter and lives where that lives.
"""

from __future__ import annotations

import os
import secrets
import time
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from protocell._boxes.box import Box
from protocell._boxes.kernel_box import KernelBox
from protocell._boxes.launch import launch
from protocell._boxes.zygote import Beside
from protocell._running.command import Command
from protocell._running.copies import MOST_BRANCHES
from protocell._session import checks
from protocell._session.branching import Order, branch
from protocell._session.choices import Choices
from protocell._session.core import Core
from protocell._session.keeping import with_folder
from protocell._session.lifecycle import Manner, kernel_box
from protocell._session.members import Member, clear, given, memory_for_files
from protocell._session.patience import Patience
from protocell._waiter import Waiter
from protocell._workspace.tree import BRANCHES
from protocell.errors import ClosedError, PolicyError, SetupError
from protocell.policy import Policy
from protocell_guest.plan import HOME

if TYPE_CHECKING:
    from protocell._catalogue.levels import View

MOST_CONTEXTS = 32


class House:
    """A sandbox with all that lives in it."""

    def __init__(self, policy: Policy | None, waiter: Waiter, choices: Choices) -> None:
        choices.check()
        self.id = secrets.token_hex(10)
        self.metadata = checks.metadata(choices.metadata)
        self.started_at = datetime.now(UTC)
        self._waiter = waiter
        self.envs = checks.variables(choices.envs)
        self._ends_at = None if choices.timeout is None else time.monotonic() + choices.timeout
        self.shelf = choices.shelf()
        self._desk = choices.desk(self.shelf)
        manner = self._manner(choices.envs, choices.cwd, choices.checkpoints)
        core = Core(with_folder(policy, choices.skills), waiter, replace(manner, makes_cwd=True))
        self.main = Member("default", core, manner.cwd or HOME, manner.checkpoints)
        self._others: dict[str, Member] = {}
        self.commands: weakref.WeakSet[Command] = weakref.WeakSet()  # that may still run
        _LIVING.add(self)

    @property
    def policy(self) -> Policy:
        """What the code may do."""
        return self.main.core.policy

    def _manner(self, envs: Mapping[str, str] | None, cwd: str | None, checkpoints: int) -> Manner:
        return Manner(
            envs=self.envs | checks.variables(envs),
            cwd=checks.folder(cwd),
            checkpoints=checks.kept(checkpoints),
            ends_at=lambda: self._ends_at,
            desk=self._desk,
            shelf=self.shelf,
        )

    def __str__(self) -> str:
        if self.main.core.is_closed:
            return f"id={self.id!r}, closed"
        if self.main.core.place is None:
            return f"id={self.id!r}, not made yet"
        what = "running" if self.is_running else "ended"
        return f"id={self.id!r}, {what}, {len(self.members())} contexts"

    # -- contexts ---------------------------------------------------------------------------------

    def members(self) -> list[Member]:
        """The contexts that there are, the first first."""
        for gone in [one.id for one in self._others.values() if one.core.is_closed]:
            del self._others[gone]
        return [self.main, *self._others.values()]

    def member(self, name: str) -> Member:
        """A context by its id.

        Raises:
            ClosedError: there is none (any more).
        """
        for one in self.members():
            if one.id == name:
                return one
        raise ClosedError(f"this sandbox has no context {name!r:.80} (any more)")

    async def create_context(
        self,
        cwd: str | None = None,
        envs: Mapping[str, str] | None = None,
        *,
        checkpoints: bool | int | None = None,
    ) -> Member:
        """One more interpreter, beside the others; with checkpoints as the first one, unless it is said."""
        self._check_room(1)
        kept = self.main.checkpoints if checkpoints is None else checkpoints
        manner = replace(
            self._manner(envs, cwd, kept),
            launch=self._launch_beside,
            origin=lambda: self.main.core.place,
        )
        core = Core(self.policy, self._waiter, manner)
        member = Member(secrets.token_hex(8), core, manner.cwd or HOME, manner.checkpoints)
        try:
            await core.open()
        except BaseException:
            core.close()
            raise
        self._others[member.id] = member
        self.main.core.check_usable()
        return member

    def _check_room(self, count: int) -> None:
        self.main.core.check_usable()
        if len(self.members()) + count > MOST_CONTEXTS:
            message = f"a sandbox has at most {MOST_CONTEXTS} contexts; remove some"
            raise PolicyError(message)

    async def _launch_beside(self, waiter: Waiter) -> Box:
        box = kernel_box((await self.main.core.open()).box, "further contexts")
        reply, given = box.ask({"op": "share"})
        if reply["event"] == "refused":
            message = f"the workspace cannot be shared: {reply['detail']}"
            raise SetupError(message, step="share", errno=reply["errno"])
        (workspace,) = given
        try:
            made = await launch(self.policy, waiter, Beside(box.name, workspace))
        finally:
            os.close(workspace)
        kernel_box(made, "further contexts").tree.kills = box.tree.kills
        return made

    # -- branches ---------------------------------------------------------------------------------

    async def fork(
        self,
        member: Member,
        count: int,
        waiter: Waiter,
        *,
        copied: bool,
        checkpoints: bool | int | None = None,
    ) -> list[Member]:
        """Copies of a live interpreter, each a context of its own."""
        if type(count) is not int or not 1 <= count <= MOST_BRANCHES:
            raise PolicyError(f"n is {count!r}; allowed is 1 to {MOST_BRANCHES}")
        kept = member.checkpoints if checkpoints is None else checks.kept(checkpoints)
        self._check_room(count)
        names = [secrets.token_hex(8) for _ in range(count)]
        folders = [f"{BRANCHES}/{name}" for name in names] if copied else []
        core = member.core
        async with core.interpreter("branches") as (box, patience):
            place = await core.open()
            place.set_apart(folders)
            whole = [f"{HOME}/{folder}" for folder in folders] or None
            order = Order(count, whole, await memory_for_files(place, core), core.count)
            try:
                boxes = await branch(box, order, patience)
                each = [*folders] if copied else [member.folder] * count
                made = zip(names, boxes, each, strict=True)
                return await self._added([*made], member, kept, patience, is_own=copied)
            except BaseException:
                for folder in folders:
                    await waiter.apart(partial(clear, [place], folder))
                raise

    async def _added(
        self,
        made: list[tuple[str, KernelBox, str | None]],
        parent: Member,
        checkpoints: int,
        patience: Patience,
        *,
        is_own: bool,
    ) -> list[Member]:
        members = []
        with ExitStack() as undo:
            for _, box, _ in made:
                undo.callback(box.close)
            for name, box, folder in made:
                undo.callback(self._others.pop, name, None)
                cwd = f"{HOME}/{folder}" if is_own else parent.cwd
                member = self._add_branch(name, box, parent, cwd, checkpoints)
                member.folder = folder
                place = await member.core.open()  # so that it can be ended before it was ever used
                place.folder = folder or ""
                if is_own:
                    await patience.apart(place.accept_own)
                members.append(member)
            patience.give_in()  # whose caller was torn away shall leave none behind
            undo.pop_all()
        return members

    def _add_branch(
        self, name: str, box: KernelBox, parent: Member, cwd: str, checkpoints: int
    ) -> Member:
        manner = Manner(
            envs=parent.core.envs,
            cwd=cwd,
            makes_cwd=True,
            checkpoints=checkpoints,
            desk=self._desk,
            shelf=self.shelf,
            is_branch=True,
            ends_at=lambda: self._ends_at,
            count=parent.core.count,
            now=parent.core.now,
            launch=partial(given, box),
            origin=lambda: self.main.core.place,
        )
        core = Core(self.policy, self._waiter, manner)
        member = Member(name, core, cwd, checkpoints, parent.home or parent)
        self._others[name] = member
        return member

    async def remove(self, member: Member, waiter: Waiter) -> None:
        """End a context with its branches and their folders; the first one is the sandbox itself."""
        if member is self.main:
            raise PolicyError("the default context is the sandbox itself; use kill()")
        for other in [each for each in self._others.values() if each.home is member]:
            await self.remove(other, waiter)
        member.core.close()
        self._others.pop(member.id, None)
        folder = member.folder
        if folder is None or any(other.folder == folder for other in self._others.values()):
            return
        # First by the init that has just been told to end the branch, and has done so before it removes anything.
        places = [home.core.place for home in (member.home or self.main, self.main)]
        await waiter.apart(partial(clear, places, folder))

    # -- tools ------------------------------------------------------------------------------------

    async def view(self, *, refresh: bool) -> View:
        """What a model is shown of its tools."""
        self.main.core.check_usable()
        if self._desk is None:
            raise PolicyError("this sandbox has no tools to be shown; make it with tools=...")
        if self.shelf is not None and refresh:
            await self._waiter.apart(self.shelf.refresh)
        return await self._desk.view(self._waiter, refresh=refresh)

    # -- life -------------------------------------------------------------------------------------

    def set_timeout(self, seconds: float | None) -> None:
        """From now on the whole sandbox has so long, or no end of its own; it ends then, whatever runs."""
        wanted = None if seconds is None else checks.seconds(seconds, 1.0)
        self.main.core.check_kernel("timeouts of a sandbox")
        self._ends_at = None if wanted is None else time.monotonic() + wanted
        for member in self.members():
            member.core.set_deadline()

    @property
    def ends_at(self) -> datetime | None:
        """When its time is up."""
        if self._ends_at is None:
            return None
        return datetime.fromtimestamp(time.time() + self._ends_at - time.monotonic(), UTC)

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        return self.main.core.is_running

    def close(self) -> None:
        """End everything."""
        for command in list(self.commands):
            command.kill()
        for member in reversed([self.main, *self._others.values()]):
            member.core.close()


_LIVING: weakref.WeakSet[House] = weakref.WeakSet()


def living() -> list[House]:
    """The sandboxes of this process that are there, the oldest first."""
    return sorted((one for one in _LIVING if one.is_running), key=lambda one: one.started_at)
