"""Going back: what a context has to go on from when its interpreter was ended, and whether it does.

Theory of operation
-------------------
Before an execution the interpreter can leave a frozen copy of itself (a checkpoint), which shares its memory
until one of them writes, and its channel and pipes.  When the interpreter has ended, init ends everything else
of the context but its frozen copies, and wakes one.  It says on the channel that it is awake, after it has
dropped what its original had not read; what the original left there was dropped before by us.  A copy that
does not say so is ended, and the variables are lost.

How many copies there are is bounded, for those with names and those without apart; the oldest goes first.
Their memory counts as the sandbox's.  Where it runs out, those without a name go before the code does, the
oldest first, but for the latest one (``protocell_guest.requests``), and it is said.

A copy has the channel and the pipes of the interpreter that it was made of.  Where a fresh interpreter takes
that one's place, the box keeps them (a *line*) for as long as there is a copy that has them.
"""

from __future__ import annotations

from contextlib import suppress

from protocell._boxes.kernel_box import KernelBox
from protocell._running.copies import Copies, Copy, CopyMessage, Moment, read_copy
from protocell._running.talk import ask, discard, listen
from protocell._waiter import Waiter
from protocell.errors import CheckpointError, ProtocolError, SandboxDiedError

_AWAKE = {"event": "resumed"}


class Revival:
    """The frozen copies of one context, and what is known of them."""

    def __init__(self, box: KernelBox, *, most: int, most_named: int) -> None:
        self._box = box
        self._copies = Copies(most, most_named)
        self._made = 0
        self.why_not = "no checkpoint was made"
        self.absent = ""  # why none was made before the present execution; empty if one was
        box.keep_copies()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the checkpoints that have one, the oldest first."""
        return self._copies.names

    @property
    def count(self) -> int:
        """How many checkpoints there are."""
        return len(self._copies.pids)

    def take(self, message: CopyMessage, moment: Moment, name: str | None = None) -> None:
        """The interpreter says that it has left a copy of this state, or why not."""
        if name is None:
            self.absent = message.detail if not message.pids else ""
        if not message.pids:
            self.why_not = f"no checkpoint was made: {message.detail}"
        else:
            self.why_not = "no checkpoint is left"
            self._box.tree.copies += 1
            self._made += 1
            copy = Copy(message.pids[0], moment, self._made, self._box.line)
            self._copies.add(copy, name)
        self._spare()

    def _spare(self) -> None:
        # init has to know of each: it ends those only that it knows of, may end the code at any time, and takes
        # what is not said to be a branch's for the first interpreter's.
        self._box.kept = self._copies.pids
        self._box.spare(self._copies.spendable)
        self._box.keep_lines({copy.line for copy in self._copies})

    def give_up(self) -> int:
        """Forget those that went for want of memory; returns how many."""
        gone, self._box.tree.fallen = self._box.tree.fallen, []
        count = self._copies.drop(gone)
        if count:
            self.why_not = "the checkpoint was given up for want of memory"
            self._box.kept = self._copies.pids
        return count

    async def restore(self, waiter: Waiter) -> Copy | None:
        """Go on from the latest copy that is there; None if there is none."""
        while (copy := self._copies.latest()) is not None:
            if await self._wake(copy, waiter):
                return copy
        return None

    async def undo(self, now: Moment, waiter: Waiter) -> Moment:
        """End the interpreter and go on from the state before its last execution.

        Raises:
            CheckpointError: there is none, or it is gone; in the second case the variables are lost.
        """
        copy = self._copies.latest()
        if copy is None or copy.moment.serial != now.before:
            raise CheckpointError(f"there is nothing to go back to: {self.why_not}")
        await self._go_on_from(copy, waiter)
        return copy.moment

    async def go_back(self, name: str, number: int, waiter: Waiter) -> Moment:
        """End the interpreter and go on from the copy with this name; raises as ``undo``."""
        copy = self._copies.named(name)
        if copy is None:
            there = ", ".join(map(repr, self.names)) or "none"
            raise CheckpointError(f"there is no checkpoint {name!r}; there are: {there}")
        await self._go_on_from(copy, waiter)
        # So that one can go back there again.
        await self.checkpoint(name, number, copy.moment, waiter)
        return copy.moment

    async def _go_on_from(self, copy: Copy, waiter: Waiter) -> None:
        if not await self._wake(copy, waiter):
            raise CheckpointError(
                "that checkpoint is gone (its code ended it); the variables are lost"
            )

    async def checkpoint(self, name: str, number: int, moment: Moment, waiter: Waiter) -> None:
        """Leave a copy of this state with a name.

        Raises:
            CheckpointError: the interpreter cannot be copied now; the message says why.
        """
        answer = await ask(self._box, {"op": "checkpoint", "id": number}, waiter)
        message = read_copy(answer, number)
        self.take(message, moment, name)
        if not message.pids:
            raise CheckpointError(f"no checkpoint was made: {message.detail}")

    async def _wake(self, copy: Copy, waiter: Waiter) -> bool:
        box = self._box
        if box.alive:
            box.end()
        # Also of one that is being ended: what it still says is not the copy's.
        await box.ended(waiter)
        box.go_back_to(copy.line)
        discard(box)
        self._copies.take(copy)
        # It must be among those that are spared until it lives.
        box.kept = (*self._copies.pids, copy.pid)
        woken = await box.resume(copy.pid, waiter)
        box.kept = self._copies.pids
        self.why_not = "the checkpoint is gone: its code ended it"
        if not woken:
            return False
        try:
            if await listen(box, waiter) == _AWAKE:
                self.why_not = "no checkpoint is left"
                return True
        except ProtocolError:
            self.why_not = "the checkpoint did not go on: its code has changed how it works"
        box.end()
        with suppress(SandboxDiedError):
            await box.ended(waiter)
        return False

    def begin_anew(self) -> None:
        """A fresh interpreter, whose executions are counted from the first: those with names are left."""
        self._copies.begin_anew(", before the restart")
        self._spare()
