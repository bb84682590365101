"""One context of a sandbox as its house knows it, and the folder that a branch has to itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from protocell._boxes.box import Box
from protocell._session.core import Core
from protocell._waiter import Waiter
from protocell._workspace.place import Place, used_bytes
from protocell.errors import ClosedError, SandboxDiedError


@dataclass(eq=False)
class Member:
    """One context of a sandbox."""

    id: str
    core: Core
    cwd: str
    checkpoints: int = 0  # how many it keeps
    home: Member | None = None  # of a branch: the context that it lives with, and ends with
    folder: str | None = None  # below the workspace; of a branch, and of those that share its files


async def memory_for_files(place: Place, core: Core) -> int:
    """Bytes that the limit on memory leaves for more files, if nothing but files took any."""
    return core.policy.limits.memory_bytes - await place.look(used_bytes)


def clear(places: Sequence[Place | None], folder: str) -> None:
    """Remove the folder of a branch, by the first of these that is there."""
    for place in places:
        if place is not None:
            with suppress(ClosedError, SandboxDiedError):
                place.remove_own(folder)
                return


async def given(box: Box, _waiter: Waiter) -> Box:
    """A box that is there already, for a context that wants one."""
    return box
