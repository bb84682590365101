"""A context from its making to its end: opened when it is first needed, one turn at a time, closed from any thread."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from protocell._boxes.box import Box
from protocell._boxes.kernel_box import KernelBox
from protocell._boxes.launch import launch, prepare_next
from protocell._running.bell import Bell
from protocell._running.copies import BEGINNING, Moment
from protocell._running.talk import ask
from protocell._session import checks
from protocell._session.offering import Offer, Told, tell
from protocell._session.revival import Revival
from protocell._session.turns import Turns
from protocell._waiter import Waiter
from protocell._workspace.place import Place
from protocell.errors import ClosedError, PolicyError, SandboxDiedError, UnsupportedError
from protocell.policy import Policy

if TYPE_CHECKING:
    from protocell._broker.desk import Desk
    from protocell.tools.skill_source import SkillSource

DEFAULT_POLICY = Policy()
_CLOSED = "this sandbox was closed or killed; make a new one"
_REMOVED = "this context was removed, or its sandbox was closed; make a new one"
OVER = "the sandbox's own time was up; its variables and files are lost, make a new one"
Launch = Callable[[Waiter], Awaitable[Box]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a context is to be: what its callers chose for it."""

    once: bool = False  # it is closed after the first execution
    envs: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None  # absolute
    checkpoints: int = 0  # how many are kept; 0: none is made before an execution
    count: int = 0  # executions before the first
    now: Moment = BEGINNING  # the state of the variables that it begins with
    launch: Launch | None = None  # how its box is had; None: as a sandbox of its own
    origin: Callable[[], Place | None] | None = None  # whose workspace it shares
    ends_at: Callable[[], float | None] = lambda: None  # of time.monotonic
    makes_cwd: bool = False  # if it is below the workspace and not there
    desk: Desk | None = None  # where the calls of tools that its code makes are taken
    shelf: SkillSource | None = None  # the skills that its code finds
    is_branch: bool = False  # a copy: it begins in the folder and with the variables that it has


class Lifecycle:
    """One context: made when it is first needed, gone when it is closed or forgotten."""

    def __init__(self, policy: Policy | None, waiter: Waiter, manner: Manner | None = None) -> None:
        if policy is not None and not isinstance(policy, Policy):
            raise PolicyError(f"policy is {type(policy).__name__}; allowed is Policy(...) or None")
        self.policy = policy or DEFAULT_POLICY
        self.waiter = waiter
        self._manner = manner or Manner()
        self._owes_next = False  # one was taken; the next is asked for when that holds up nobody
        self._place: Place | None = None
        self._revival: Revival | None = None
        self._bell: Bell | None = None
        self._owner = os.getpid()
        self._turns = Turns()
        self._closing = threading.RLock()  # a signal's handler may interrupt, or close
        self._closed = False
        self._wait_seconds = 0.0
        self.count = self._manner.count
        # What its interpreter was told of tools; None: an interpreter that was told something else, or nothing.
        self.offered: Told | None = None

    # -- life -------------------------------------------------------------------------------------

    @property
    def place(self) -> Place | None:
        """Where it is, if it has been made."""
        return self._place

    @property
    def envs(self) -> Mapping[str, str]:
        """Variables of the environment that were chosen for it."""
        return self._manner.envs

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    @property
    def is_running(self) -> bool:
        """Whether it is there, and neither closed nor ended from outside."""
        return self._place is not None and not self._closed and self._place.box.is_there

    @property
    def is_over(self) -> bool:
        """Whether the sandbox's own time is up."""
        ends_at = self._manner.ends_at()
        return ends_at is not None and time.monotonic() >= ends_at

    async def open(self) -> Place:
        """The context's place, made if it is not there yet."""
        self.check_usable()
        if self._place is None:
            async with self.turn(self.waiter, wait=True):
                await self._opened()
        assert self._place is not None  # noqa: S101  (by ``_opened``)
        return self._place

    async def _opened(self) -> Place:
        """As ``open``, for whoever has the turn."""
        self.check_usable()
        if self._place is None:
            started = time.monotonic()
            box = await self._launch()
            self._wait_seconds = time.monotonic() - started
            weakref.finalize(self, box.close).atexit = False
            if self.policy.isolation == "process":  # others end with their zygote
                weakref.finalize(self, _close_at_exit, box, self._turns)
            try:
                await self._settle(box)
                origin = self._manner.origin
                place = Place(box, self.policy, self.waiter, origin() if origin else None)
            except BaseException:
                box.close()
                raise
            self._place = place
            self.check_usable()  # who closed it meanwhile found nothing to end
        return self._place

    async def _launch(self) -> Box:
        if self._manner.launch is not None:
            return await self._manner.launch(self.waiter)
        self._owes_next = True
        return await launch(self.policy, self.waiter)

    async def _settle(self, box: Box) -> None:
        """What its maker chose for this context alone."""
        if self._manner.ends_at() is not None:
            self._tell_deadline(box)
        if self._manner.checkpoints:
            self.revive(kernel_box(box, "checkpoints"))
        if not self._manner.is_branch:
            await self._apply(box)

    @property
    def revival(self) -> Revival | None:
        """What it can go back to."""
        return self._revival

    def revive(self, box: KernelBox) -> Revival:
        """As ``revival``, made for a context that has none yet."""
        if self._revival is None:
            most = self._manner.checkpoints or checks.MOST_CHECKPOINTS
            named = max(most, checks.MOST_CHECKPOINTS)
            self._revival = Revival(box, most=most, most_named=named)
        return self._revival

    async def _offer_tools(self, box: Box, waiter: Waiter) -> None:
        """Have the code find the tools that there are now, if it does not yet."""
        if self._manner.desk is None:
            return
        offer = Offer(self._manner.desk, self._manner.shelf)
        kernel, is_fresh = kernel_box(box, "tools"), not self.count
        self.offered = await tell(
            offer, kernel, self.offered, waiter, self.count, is_fresh=is_fresh
        )

    async def _apply(self, box: Box) -> None:
        self.offered = None  # a new interpreter knows of nothing
        envs, cwd = self._manner.envs, self._manner.cwd
        if not envs and cwd is None:
            return
        if self._manner.makes_cwd and (name := checks.below_home(cwd)):
            making = {"op": "file", "do": "make_dir", "path": name}
            await self.waiter.apart(
                partial(box.ask, making)
            )  # if it fails, the next answer says so
        request = {"op": "settle", "id": self.count, "envs": dict(envs), "cwd": cwd or "."}
        answer = await ask(kernel_box(box, "envs and cwd"), request, self.waiter)
        if answer.get("detail") is not None:
            advice = "make it before, with files.make_dir()"
            raise PolicyError(f"cwd is {cwd!r}; there is no such folder in the sandbox; {advice}")

    def set_deadline(self) -> None:
        """Tell init when the sandbox's time is up, if it is there."""
        if self._place is not None and not self._closed:
            self._tell_deadline(self._place.box)

    def _tell_deadline(self, box: Box) -> None:
        ends_at = self._manner.ends_at()
        left = None if ends_at is None else max(0.0, ends_at - time.monotonic())
        kernel_box(box, "timeouts of a sandbox").set_deadline(left)

    def _prepare_next(self) -> None:
        """Have sandboxes made for the next callers, when it does not hold up this one."""
        if self._owes_next:
            self._owes_next = False
            prepare_next(self.policy)

    def check_kernel(self, what: str) -> None:
        """Raises UnsupportedError where no init is asked for, as ``kernel_box``."""
        if self.policy.isolation == "process":
            raise unsupported(what)

    def check_usable(self) -> None:
        """Raises ClosedError where it is not, SandboxDiedError where its time is up."""
        if self._closed:
            raise ClosedError(_CLOSED if self._manner.origin is None else _REMOVED)
        if self._owner != os.getpid():
            message = "this sandbox belongs to the process from which this one was forked"
            raise ClosedError(f"{message}; make a new one here")
        if self.is_over:
            raise SandboxDiedError(OVER)

    @asynccontextmanager
    async def turn(self, waiter: Waiter, *, wait: bool) -> AsyncIterator[None]:
        """One at a time; whoever has it closes what was closed meanwhile."""
        advice = "wait for it, pass wait=True, or use another context"
        try:
            async with self._turns.turn(waiter, wait=wait, advice=advice):
                yield
        except SandboxDiedError as error:
            if self.is_over:
                raise SandboxDiedError(OVER) from error
            raise
        finally:
            if self._closed:
                self.close()
            elif not self._manner.once:
                self._prepare_next()

    def close(self) -> None:
        """End the context and everything in it; a running execution ends with status ``killed``."""
        self._closed = True
        if self._turns.try_take():
            try:
                self._give_back()
            finally:
                self._turns.give()
            self._prepare_next()
        elif self._place is not None and self._owner == os.getpid():
            self._place.box.end()  # whoever has the turn closes it

    def _give_back(self) -> None:
        with self._closing:
            if self._place is not None:
                self._place.close()
        self._give_bell_back()

    def _give_bell_back(self) -> None:
        with self._closing:
            bell, self._bell = self._bell, None  # in this order: a signal's handler may ring
            if bell is not None:
                bell.close()

    def interrupt(self) -> bool:
        """Stop the running code by the ladder; whether there was any."""
        with self._closing:
            if not self._turns.taken or self._bell is None or self._owner != os.getpid():
                return False
            self._bell.ring()
            return True


def _close_at_exit(box: Box, turns: Turns) -> None:
    """Unless a thread is using its descriptors: then its supervisor sees the end of this process, and ends it."""
    if turns.try_take():
        box.close()


def kernel_box(box: Box, what: str) -> KernelBox:
    """The box with all that only an init can do; raises UnsupportedError where there is none."""
    if isinstance(box, KernelBox):
        return box
    raise unsupported(what)


def unsupported(what: str) -> UnsupportedError:
    """It needs an init, and there is none."""
    message = f'{what} need isolation="kernel"; this sandbox was asked for with isolation="process"'
    return UnsupportedError(message, missing=(what,), remedy='use Policy(isolation="kernel")')
