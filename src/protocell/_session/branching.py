"""Makes branches: copies of a live interpreter that go on by themselves, each with channel and pipes of its own.

Theory of operation
-------------------
The host makes the streams and sends the far ends over the interpreter's channel.  The interpreter forks as
often as there are sets of them, and says which processes it made; each copy puts its set in place of what it
had.  Then init is asked to adopt each: to watch it, to end it by itself, to tell how it ended, on a control
socket of its own.  All of it is the interpreter's own word; what init adopts is a process of that sandbox, or
nothing.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack
from typing import Any, NamedTuple

from protocell._boxes.box import out_of_descriptors
from protocell._boxes.kernel_box import KernelBox
from protocell._running.copies import read_copy
from protocell._running.talk import ask, listen
from protocell._waiter import Waiter
from protocell.errors import CheckpointError, ProtocolError

_MOMENT_SECONDS = 1.0  # between the end of its channel and init's word on its end


class _Streams(NamedTuple):
    """The near ends, or the far ends, of one branch."""

    channel: int
    stdout: int
    stderr: int


class Order(NamedTuple):
    """What is wanted of the interpreter."""

    copies: int
    folders: list[str] | None
    """Theirs to work in, with copies of the files of the present one; None: all stay in that."""
    memory: int
    """Bytes that the copies of the files may take of it."""
    number: int
    """Of the question."""


async def branch(box: KernelBox, order: Order, waiter: Waiter) -> list[KernelBox]:
    """So many copies of the interpreter in this box.

    Raises:
        CheckpointError: it cannot be copied now; the message says why.
        ProtocolError, SandboxDiedError: it does not answer as ours does.
    """
    with ExitStack() as undo, ExitStack() as near_ends:
        request = {"op": "fork", "id": order.number, "folders": order.folders}
        request["memory"] = order.memory
        near = await _fork(box, order.copies, request, waiter, near_ends)
        boxes = []
        for pid, streams in near:
            boxes.append(_adopt(box, pid, streams))
            undo.callback(boxes[-1].close)
        for made in boxes:
            await _hear(made, order.number, waiter)
        undo.pop_all()
    return boxes


async def _hear(made: KernelBox, number: int, waiter: Waiter) -> None:
    """Have a branch say that it goes on; what is wrong with it is nothing against its origin."""
    try:
        detail = read_copy(await listen(made, waiter), number).detail
    except ProtocolError as error:
        why = await _end_of(made, waiter) or str(error)
        raise CheckpointError(f"a branch could not go on: {why}") from error
    if detail:
        raise CheckpointError(f"a branch could not go on: {detail}")


async def _fork(
    box: KernelBox, count: int, request: dict[str, Any], waiter: Waiter, near_ends: ExitStack
) -> list[tuple[int, _Streams]]:
    near: list[_Streams] = []
    with ExitStack() as away:
        far: list[int] = []
        for _ in range(count):
            ours, theirs = _streams()
            near.append(ours)
            for descriptor in theirs:
                away.callback(os.close, descriptor)
            for descriptor in ours:
                near_ends.callback(os.close, descriptor)
            far += theirs
        message = read_copy(await ask(box, request, waiter, far), request["id"])
    if len(message.pids) != count:
        raise CheckpointError(f"no branch was made: {message.detail}")
    return list(zip(message.pids, near, strict=True))


async def _end_of(made: KernelBox, waiter: Waiter) -> str:
    """How a branch has ended that says nothing; nothing if it lives."""
    if not await waiter.wait([made.notice], [], time.monotonic() + _MOMENT_SECONDS):
        return ""
    how = await made.ended(waiter)
    return "it ended" if how.cause != "memory" else "it needed more memory than memory_bytes"


def _streams() -> tuple[_Streams, _Streams]:
    try:
        ours, theirs = socket.socketpair()
        out_reader, out_writer = os.pipe()
        err_reader, err_writer = os.pipe()
    except OSError as error:
        raise out_of_descriptors() from error
    near = _Streams(ours.detach(), out_reader, err_reader)
    return near, _Streams(theirs.detach(), out_writer, err_writer)


def _adopt(box: KernelBox, pid: int, streams: _Streams) -> KernelBox:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        reply, given = box.ask({"op": "adopt", "pid": pid}, [theirs.fileno()])
    if reply["event"] != "adopted":
        ours.close()
        raise CheckpointError("a branch ended as soon as it was made")
    made = KernelBox(ours, box.name, box.door)
    channel, stdout, stderr = map(os.dup, streams)
    made.take_streams(channel, stdout, stderr, given[0])
    made.workspace = os.dup(box.workspace)
    made.enforced, made.tree.kills = box.enforced, box.tree.kills
    return made
