"""Going back: what a context has to go on from when its interpreter was ended, and whether it does.

Theory of operation
-------------------
Before an execution the interpreter can leave a frozen copy of itself (a checkpoint), which shares its memory
until one of them writes, and its channel and pipes.  When the interpreter has ended, init ends everything else
of the context but its frozen copies, and wakes one.  It says on the channel that it is awake, after it has
dropped what its original had not read; what the original left there was dropped before by us.  A copy that
does not say so is ended, and the variables are lost.

How many copies there are is bounded; the oldest goes first.  Their memory counts as the sandbox's.
"""

from __future__ import annotations

from contextlib import suppress

from protocell._boxes.kernel_box import KernelBox
from protocell._running.copies import Copies, Copy, CopyMessage, read_copy
from protocell._running.talk import ask, discard, listen
from protocell._waiter import Waiter
from protocell.errors import CheckpointError, ProtocolError, SandboxDiedError

_AWAKE = {"event": "resumed"}


class Revival:
    """The frozen copies of one context, and what is known of them."""

    def __init__(self, box: KernelBox, *, most: int) -> None:
        self._box = box
        self._copies = Copies(most)
        self.why_not = "no checkpoint was made"
        box.keep_copies()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the checkpoints that have one, the oldest first."""
        return self._copies.names

    def take(self, message: CopyMessage, count: int, name: str | None = None) -> None:
        """The interpreter says that it has left a copy, or why not."""
        if not message.pids:
            self.why_not = f"no checkpoint was made: {message.detail}"
            if name is None:
                self._copies.forget_recent()
        else:
            self.why_not = "no checkpoint is left"
            self._box.copies += 1
            self._copies.add(Copy(message.pids[0], count), name)
        self._spare()

    def _spare(self) -> None:
        # init has to know of each: it ends those only that it knows of, may end the code at any time, and takes
        # what is not said to be a branch's for the first interpreter's.
        self._box.kept = self._copies.pids
        self._box.spare()

    async def restore(self, waiter: Waiter) -> Copy | None:
        """Go on from the latest copy that is there; None if there is none."""
        while (copy := self._copies.latest()) is not None:
            if await self._wake(copy, waiter):
                return copy
        return None

    async def go_back(self, name: str | None, count: int, waiter: Waiter) -> Copy:
        """End the interpreter and go on from a copy: one with a name, or the latest.

        Raises:
            CheckpointError: there is none, or it is gone; in the second case the variables are lost.
        """
        copy = self._copies.latest() if name is None else self._copies.named(name)
        if copy is None:
            raise CheckpointError(self._missing(name))
        if not await self._wake(copy, waiter):
            raise CheckpointError(
                "that checkpoint is gone (its code ended it); the variables are lost"
            )
        if name is not None:  # so that one can go back there again
            await self.checkpoint(name, count, waiter)
        return copy

    def _missing(self, name: str | None) -> str:
        if name is None:
            return f"there is nothing to go back to: {self.why_not}"
        there = ", ".join(map(repr, self.names)) or "none"
        return f"there is no checkpoint {name!r}; there are: {there}"

    async def checkpoint(self, name: str, count: int, waiter: Waiter) -> None:
        """Leave a copy with a name.

        Raises:
            CheckpointError: the interpreter cannot be copied now; the message says why.
        """
        answer = await ask(self._box, {"op": "checkpoint", "id": count}, waiter)
        message = read_copy(answer, count)
        self.take(message, count, name)
        if not message.pids:
            raise CheckpointError(f"no checkpoint was made: {message.detail}")

    async def _wake(self, copy: Copy, waiter: Waiter) -> bool:
        box = self._box
        if box.alive:
            box.end()
        # Also of one that is being ended: what it still says is not the copy's.
        await box.ended(waiter)
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

    def clear(self) -> None:
        """None of them can be gone back to any more."""
        self._copies.clear()
        self._box.kept = ()
