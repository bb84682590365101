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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from protocell._boxes.box import Box
from protocell._boxes.kernel_box import KernelBox
from protocell._boxes.launch import launch
from protocell._boxes.zygote import Beside
from protocell._running.command import Command
from protocell._running.copies import MOST_BRANCHES
from protocell._session import checks
from protocell._session.branching import branch
from protocell._session.core import Core
from protocell._session.lifecycle import Manner, kernel_box
from protocell._waiter import Waiter
from protocell._workspace.place import Place
from protocell.errors import ClosedError, PolicyError, SetupError
from protocell.policy import Policy
from protocell_guest.plan import HOME

MOST_CONTEXTS = 32
_BRANCHES = ".branches"
_MOST_METADATA = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the maker of a sandbox chose for it."""

    envs: Mapping[str, str] | None = None
    cwd: str | None = None
    timeout: float | None = None
    metadata: Mapping[str, str] | None = None
    checkpoints: bool | int = False

    def check(self) -> None:
        """Raises PolicyError."""
        checks.variables(self.envs)
        checks.seconds(self.timeout, 1.0)
        checks.folder(self.cwd)
        checks.kept(self.checkpoints)
        given: object = self.metadata or {}
        if not isinstance(given, Mapping) or len(given) > _MOST_METADATA:
            raise PolicyError("metadata is not a mapping of at most 100 names to text")


@dataclass(eq=False)
class Member:
    """One context of a sandbox."""

    id: str
    core: Core
    cwd: str
    home: Member | None = None  # of a branch: the context that it lives with, and ends with


class House:
    """A sandbox with all that lives in it."""

    def __init__(self, policy: Policy | None, waiter: Waiter, choices: Choices) -> None:
        choices.check()
        self.id = secrets.token_hex(10)
        self.metadata = dict(choices.metadata or {})
        self.started_at = datetime.now(UTC)
        self._waiter = waiter
        self.envs = checks.variables(choices.envs)
        self._ends_at = None if choices.timeout is None else time.monotonic() + choices.timeout
        manner = self._manner(choices.envs, choices.cwd, choices.checkpoints)
        self.main = Member("default", Core(policy, waiter, manner), choices.cwd or HOME)
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
        )

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
        checkpoints: bool | int = False,
    ) -> Member:
        """One more interpreter, beside the others."""
        self._check_room(1)
        manner = replace(
            self._manner(envs, cwd, checkpoints),
            launch=self._launch_beside,
            origin=lambda: self.main.core.place,
        )
        core = Core(self.policy, self._waiter, manner)
        member = Member(secrets.token_hex(8), core, cwd or HOME)
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
        kernel_box(made, "further contexts").kills = box.kills
        return made

    async def fork(
        self, member: Member, count: int, *, copied: bool, waiter: Waiter
    ) -> list[Member]:
        """Copies of a live interpreter, each a context of its own."""
        if type(count) is not int or not 1 <= count <= MOST_BRANCHES:
            raise PolicyError(f"n is {count!r}; allowed is 1 to {MOST_BRANCHES}")
        self._check_room(count)
        names = [secrets.token_hex(8) for _ in range(count)]
        folders = [f"{HOME}/{_BRANCHES}/{name}" for name in names] if copied else None
        core = member.core
        async with core.interpreter("branches") as box:
            boxes = await branch(box, count, folders, core.count, waiter)
            with ExitStack() as undo:
                for name, made in zip(names, boxes, strict=True):
                    undo.callback(self._others.pop, name, None)
                    undo.callback(made.close)
                await waiter.apart(partial(_accept, core.place, folders or []))
                members = [
                    self._add_branch(name, made, member, folders[at] if folders else member.cwd)
                    for at, (name, made) in enumerate(zip(names, boxes, strict=True))
                ]
                for each in members:  # so that it can be ended before it was ever used
                    await each.core.open()
                undo.pop_all()
        return members

    def _add_branch(self, name: str, box: KernelBox, parent: Member, cwd: str) -> Member:
        manner = Manner(
            envs=parent.core.envs,
            cwd=cwd,
            is_branch=True,
            ends_at=lambda: self._ends_at,
            count=parent.core.count,
            launch=partial(_given, box),
            origin=lambda: self.main.core.place,
        )
        core = Core(self.policy, self._waiter, manner)
        member = Member(name, core, cwd, parent.home or parent)
        self._others[name] = member
        return member

    def remove(self, member: Member) -> None:
        """End a context with its branches; the first one is the sandbox itself."""
        if member is self.main:
            raise PolicyError("the default context is the sandbox itself; use kill()")
        for other in [each for each in self._others.values() if each.home is member]:
            self.remove(other)
        member.core.close()
        self._others.pop(member.id, None)

    # -- life -------------------------------------------------------------------------------------

    def set_timeout(self, seconds: float) -> None:
        """From now on the whole sandbox has so long; it ends then, whatever runs."""
        self._ends_at = time.monotonic() + checks.seconds(seconds, 1.0)
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


def _accept(place: Place | None, folders: list[str]) -> None:
    if place is not None:
        for path in folders:
            place.accept_folder(path)


async def _given(box: Box, _waiter: Waiter) -> Box:
    return box


_LIVING: weakref.WeakSet[House] = weakref.WeakSet()


def living() -> list[House]:
    """The sandboxes of this process that are there, the oldest first."""
    return sorted((one for one in _LIVING if one.is_running), key=lambda one: one.started_at)
