"""Questions to a live interpreter about its state: leave a checkpoint, go back to one, tell the variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocell._printable import printable_line
from protocell._running.talk import ask
from protocell._session.core import Core
from protocell._workspace.snapshot import put_back, take
from protocell.errors import CheckpointError, PolicyError, ProtocolError
from protocell.variables import Variable, Variables

_MOST_VARIABLES = 200
_MOST_TEXT = 300
_MOST_NUMBER = 1 << 53
_MOST_DIMENSIONS = 32
_FIELDS = {"name", "type", "shape", "size", "preview"}


async def checkpoint(core: Core, name: str, *, files: bool) -> None:
    """Leave a frozen copy with this name, and one of the workspace if that is wanted."""
    _check_name(name)
    async with core.interpreter("checkpoints") as box:
        place = await core.open()
        snapshot = await take(place) if files else None
        revival = core.revive(box)
        await revival.checkpoint(name, core.count, core.waiter)
        core.snapshots = {
            kept: core.snapshots[kept] for kept in core.snapshots if kept in revival.names
        }
        core.snapshots.pop(name, None)
        if snapshot is not None:
            core.snapshots[name] = snapshot


async def restore(core: Core, name: str) -> None:
    """Go on from the copy with this name."""
    _check_name(name)
    await _go_back(core, name)


async def undo(core: Core) -> None:
    """Go on from what was there before the last execution."""
    await _go_back(core, None)


async def _go_back(core: Core, name: str | None) -> None:
    revival = core.revival
    if revival is None:
        raise CheckpointError("no checkpoint was made here; pass checkpoints=True, or checkpoint()")
    async with core.interpreter("checkpoints", renew=False):
        await revival.go_back(name, core.count, core.waiter)
        snapshot = core.snapshots.get(name) if name is not None else None
        if snapshot is not None:
            most = core.policy.limits.workspace_inodes
            await put_back(await core.open(), snapshot, most)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        raise PolicyError(f"name is {name!r:.60}; allowed is text of 1 to 100 characters")


async def describe(core: Core) -> Variables:
    """What lives there."""
    async with core.interpreter("variables") as box:
        request = {"op": "variables", "id": core.count, "most": _MOST_VARIABLES}
        answer = await ask(box, request, core.waiter)
    return Variables(map(_read, _items(answer, core.count)))


def _items(answer: Mapping[str, Any], number: int) -> list[Any]:
    items = answer.get("items")
    is_ours = answer.get("event") == "variables" and answer.get("id") == number
    if not is_ours or type(items) is not list or len(items) > _MOST_VARIABLES:
        raise ProtocolError("the interpreter does not tell its variables as ours does")
    return items


def _read(item: Any) -> Variable:
    if type(item) is not dict or item.keys() != _FIELDS:
        raise ProtocolError("a variable that is told with odd fields")
    texts = [item[name] for name in ("name", "type", "preview")]
    shape, size = item["shape"], item["size"]
    if any(type(text) is not str for text in texts) or not _is_number(size):
        raise ProtocolError("a variable that is told with odd values")
    if shape is not None and (
        type(shape) is not list or len(shape) > _MOST_DIMENSIONS or not all(map(_is_number, shape))
    ):
        raise ProtocolError("a variable with an odd shape")
    name, kind, preview = (printable_line(text, _MOST_TEXT) for text in texts)
    return Variable(
        name=name,
        type=kind,
        shape=None if shape is None else tuple(shape),
        size=size,
        preview=preview,
    )


def _is_number(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= _MOST_NUMBER)
