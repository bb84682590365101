"""Questions to a live interpreter about its state: leave a checkpoint, go back to one, tell the variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocell._printable import printable_line
from protocell._running.talk import ask
from protocell._session.core import Core
from protocell._session.revival import Revival
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
    async with core.interpreter("checkpoints") as (box, patience):
        place = await core.open()
        snapshot = await take(place) if files else None
        revival = core.revive(box)
        await revival.checkpoint(name, core.count, core.now, patience)
        core.snapshots = {
            kept: core.snapshots[kept] for kept in core.snapshots if kept in revival.names
        }
        core.snapshots.pop(name, None)
        if snapshot is not None:
            core.snapshots[name] = snapshot


async def restore(core: Core, name: str) -> None:
    """Go on from the copy with this name."""
    _check_name(name)
    revival = _revival(core)
    async with core.interpreter("checkpoints", renew=False) as (_, patience):
        core.offered = None
        core.now = await revival.go_back(name, core.count, patience)
        snapshot = core.snapshots.get(name)
        if snapshot is not None:
            await put_back(await core.open(), snapshot, core.policy.limits.workspace_inodes)


async def undo(core: Core) -> None:
    """Go on from what was there before the last execution."""
    revival = _revival(core)
    async with core.interpreter("checkpoints", renew=False) as (_, patience):
        core.offered = None
        core.now = await revival.undo(core.now, patience)


def _revival(core: Core) -> Revival:
    if core.revival is None:
        core.check_kernel("checkpoints")
        raise CheckpointError("no checkpoint was made here; pass checkpoints=True, or checkpoint()")
    return core.revival


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        raise PolicyError(f"name is {name!r:.60}; allowed is text of 1 to 100 characters")


async def describe(core: Core) -> Variables:
    """What lives there."""
    async with core.interpreter("variables") as (box, patience):
        number = core.count
        request = {"op": "variables", "id": number, "most": _MOST_VARIABLES}
        items, left_out = _items(await ask(box, request, patience), number)
        return Variables(
            map(_read, items), state_reason=core.why_not_kept, variables_left_out=left_out
        )


def _items(answer: Mapping[str, Any], number: int) -> tuple[list[Any], int]:
    items, left_out = answer.get("items"), answer.get("left_out")
    is_ours = answer.get("event") == "variables" and answer.get("id") == number
    if not is_ours or type(items) is not list or len(items) > _MOST_VARIABLES:
        raise ProtocolError("the interpreter does not tell its variables as ours does")
    if type(left_out) is not int or not _is_number(left_out):
        raise ProtocolError("the interpreter does not tell how many variables it left out")
    return items, left_out


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
