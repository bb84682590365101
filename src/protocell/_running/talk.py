"""One question to a context and its answer, outside of any execution; bounded in time and in size.

What comes back is the code's own word.  Who gets no answer, or an odd one, has an interpreter that is not to
be used any more, and ends it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from protocell._boxes.box import ANSWER_SECONDS
from protocell._boxes.kernel_box import KernelBox
from protocell._waiter import Waiter
from protocell.errors import ProtocolError
from protocell_guest import wire

_MAX_ANSWER_BYTES = 1 << 20
_READ_BYTES = 1 << 16


async def ask(
    box: KernelBox, request: dict[str, Any], waiter: Waiter, descriptors: Sequence[int] = ()
) -> dict[str, Any]:
    """The answer of the interpreter in this box.

    Raises:
        ProtocolError: it gave none in time, or one that is no message.
        SandboxDiedError: it does not take the question.
    """
    box.send_with(wire.encode(request), descriptors)
    box.owes = True
    return await listen(box, waiter)


async def listen(box: KernelBox, waiter: Waiter) -> dict[str, Any]:
    """The next thing that the interpreter says; raises ProtocolError as ``ask``."""
    reader, deadline = wire.FrameReader(_MAX_ANSWER_BYTES), time.monotonic() + ANSWER_SECONDS
    box.owes = True
    while await waiter.wait([box.channel.fileno(), box.notice], [], deadline):
        try:
            data = box.channel.recv(_READ_BYTES)
            frames = reader.feed(data)
        except BlockingIOError:  # then it is the notice of its end
            raise ProtocolError("the interpreter ended before it answered; ask again") from None
        except (OSError, wire.WireError) as error:
            raise ProtocolError(f"the interpreter answers nonsense: {error}") from error
        if frames:
            box.owes = False
            return frames[0]
        if not data:
            break
    raise ProtocolError("the interpreter does not answer; has its code changed how it works?")


def discard(box: KernelBox) -> None:
    """Drop what an interpreter that has ended left on the channel."""
    while True:
        try:
            if not box.channel.recv(_READ_BYTES):
                return
        except OSError:
            return
