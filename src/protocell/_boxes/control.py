"""The host's end of a control socket: requests to a sandbox's init about one life, and what it tells.

init is ours, so its word is taken.  Requests that are answered carry a number, since an answer may come when
its asker has been torn away.  One task at a time waits here; ``send`` may be called from any thread, since a
packet is sent whole or not at all.

A KeyboardInterrupt can come between the system call that takes a packet and the line that looks at it, and
that packet is lost.  Who receives next knows: an answer that was owed is not waited for any more, and an end
that may have been told is asked for again (``has_missed``).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from protocell._boxes.box import ANSWER_SECONDS, out_of_descriptors
from protocell._waiter import Waiter
from protocell.errors import SandboxDiedError
from protocell_guest import wire

Message = dict[str, Any]


class Control:
    """A conversation with init; ``note`` sees every message as it comes."""

    def __init__(self, end: socket.socket, note: Callable[[Message], None]) -> None:
        end.setblocking(False)  # noqa: FBT003  (the socket's own signature)
        self._end = end
        self._note = note
        self._owner = os.getpid()
        # So that no thread sends to a number that another has closed.
        self._lock = threading.RLock()
        self.gone = False
        self.asked = 0
        self._owes = False
        self._is_taking = False  # a packet; True where nobody takes one: whoever did was torn away
        self._missed = False  # one, perhaps

    def fileno(self) -> int:
        """A descriptor that becomes readable when init has something to say."""
        return self._end.fileno()

    @property
    def owes(self) -> bool:
        """Whether the last question has not been answered yet, as far as is known."""
        self._look_back()
        return self._owes

    def has_missed(self) -> bool:
        """Whether something that init told may have been lost since this was last asked."""
        self._look_back()
        missed, self._missed = self._missed, False
        return missed

    def _look_back(self) -> None:
        if self._is_taking:
            self._is_taking, self._owes, self._missed = False, False, True

    def is_connected(self) -> bool:
        """Whether init is still at the other end."""
        with self._lock:
            if self._end.fileno() < 0:
                return False
            poll = select.poll()
            poll.register(self._end, 0)
            return not poll.poll(0)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Tell init something.

        Raises:
            SandboxDiedError: it is gone.
        """
        try:
            with self._lock:
                wire.send_packet(self._end, message, descriptors)
        except OSError as error:
            self.gone = True
            raise died() from error

    def ask(self, message: Message) -> None:
        """Send what ``answer`` is to wait for."""
        self.asked += 1
        self._owes = True
        self.send(message | {"number": self.asked})

    async def answer(
        self, waiter: Waiter, *expected: str, deadline: float | None = None
    ) -> tuple[Message, list[int]]:
        """What init tells by itself (it has no number), or its answer to what was asked last.

        The rest is dropped: answers to questions whose asker was torn away before they came.

        Raises:
            SandboxDiedError: it is gone, or does not answer in time.
            SetupError: this process has no descriptor left.
        """
        until = time.monotonic() + ANSWER_SECONDS if deadline is None else deadline
        while True:
            message, descriptors = await self.receive(waiter, until)
            if message["event"] in expected and message.get("number") in {None, self.asked}:
                return message, descriptors
            close_all(descriptors)

    async def receive(self, waiter: Waiter, deadline: float) -> tuple[Message, list[int]]:
        """Whatever comes next; raises as ``answer``."""
        self._look_back()
        if not await waiter.wait([self.fileno()], [], deadline):
            self.gone = True
            raise SandboxDiedError("the sandbox's init did not answer in time; make a new one")
        self._is_taking = True
        try:
            message, descriptors = wire.recv_packet(self._end)
        except wire.WireError as error:
            # Init sends none that is odd: there was no room for its descriptors (unix(7)).
            raise out_of_descriptors() from error
        if message is None:
            self.gone = True
            raise died()
        if message.get("number") == self.asked:
            self._owes = False
        self._note(message)
        self._is_taking = False
        return message, descriptors

    def close(self) -> None:
        """Let go; init ends what this is about, also if a forked child still holds a copy of the socket."""
        with self._lock:
            if os.getpid() == self._owner:
                with contextlib.suppress(OSError):
                    self._end.shutdown(socket.SHUT_RDWR)
            self._end.close()


def died() -> SandboxDiedError:
    """The other end is gone."""
    return SandboxDiedError(
        "the sandbox ended (its init or its zygote was killed); its variables and files are lost, "
        "make a new one"
    )


def close_all(descriptors: Sequence[int]) -> None:
    """Descriptors that came and are not wanted."""
    for descriptor in descriptors:
        os.close(descriptor)
