"""One execution: send the code, read what comes back, end it when a limit is reached.

Theory of operation
-------------------
A turn waits on four descriptors of a box at once: the channel (frames from model code, never
believed beyond their form), the two pipes, and the notice of the context's end, which comes from
init and is true.  It never writes more than the socket takes, so code that does not read cannot
hold it; and it never waits beyond its deadline plus the bounded time that init needs to answer.

It ends in one of these ways, each of which gives a status and a sentence: the code says it is done;
the deadline; too much output; the context ended by itself or by a limit that init watches; the
caller asked for it; the code broke the protocol.  After every way but the first the context is
gone, and init has said how.  Output that was written before the end is in the pipes and is read out.
"""

from __future__ import annotations

import contextlib
import enum
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from protocell._box import Box, Exit
from protocell._messages import (
    DoneMessage,
    ErrorMessage,
    MessageReader,
    ResultMessage,
    max_frame_bytes,
)
from protocell._output import HeadTail
from protocell._waiter import Waiter
from protocell.errors import ProtocolError, SandboxDiedError
from protocell.limits import Limits
from protocell_guest import wire

_READ_BYTES = 1 << 16
_MAX_PIPE_BYTES = 1 << 20  # /proc/sys/fs/pipe-max-size: more cannot be waiting in one
_HUNG_UP_SECONDS = 1.0
# What is shorter is not held up: by sandboxes that are made for others on the processors that it needs,
# or by init, which looks after what has used more than a little.
_MEANWHILE_SECONDS = 0.002
_WATCH_SECONDS = 0.02

OnOutput = Callable[[bytes], None]


class End(enum.Enum):
    """Why a turn was over although the code did not say that it was done."""

    DEADLINE = enum.auto()
    TOO_MUCH_OUTPUT = enum.auto()
    HUNG_UP = enum.auto()  # end of file on the channel
    GONE = enum.auto()  # init says that the context has ended
    VIOLATION = enum.auto()  # bytes that are not the protocol


@dataclass(slots=True)
class Outcome:
    """What a turn saw; ``_verdict`` makes a status and a sentence of it."""

    results: list[ResultMessage] = field(default_factory=list)
    error: ErrorMessage | None = None
    exit_code: int | None = None
    end: End | None = None
    exit: Exit | None = None
    violation: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    wall_seconds: float = 0.0


class Turn:
    """One execution in one box."""

    def __init__(
        self,
        box: Box,
        limits: Limits,
        *,
        number: int,
        on_stdout: OnOutput | None = None,
        on_stderr: OnOutput | None = None,
        meanwhile: Callable[[], None],
    ) -> None:
        self._box = box
        self._limits = limits
        self._meanwhile = meanwhile
        self._number = number
        self.stdout = HeadTail(limits.output_bytes)
        self.stderr = HeadTail(limits.output_bytes)
        self._pipes = {box.stdout: (self.stdout, on_stdout), box.stderr: (self.stderr, on_stderr)}
        self._frames = wire.FrameReader(max_frame_bytes(limits.result_bytes))
        self._messages = MessageReader(number=number, result_bytes=limits.result_bytes)
        self._outcome = Outcome()
        self._violation = ""
        self._done = False

    async def run(self, code: str, wall_seconds: float, waiter: Waiter) -> Outcome:
        """Run the code to one of its ends."""
        started = time.monotonic()
        deadline = started + wall_seconds
        request = {
            "op": "execute",
            "id": self._number,
            "code": code,
            "result_bytes": self._limits.result_bytes,
        }
        end = await self._talk(wire.encode(request), deadline, waiter)
        if end is None:
            self._drain()
            self._outcome.wall_seconds = time.monotonic() - started
            with suppress(SandboxDiedError):  # after its work was done: the next call says it
                self._outcome.usage = await self._box.usage(waiter)
        else:
            self._outcome.end = end
            self._outcome.violation = self._violation
            self._outcome.exit = await self._end_context(end, waiter)
            self._outcome.usage = self._outcome.exit.usage
            self._drain()
            self._outcome.wall_seconds = time.monotonic() - started
        return self._outcome

    # -- the conversation -------------------------------------------------------------------------

    async def _talk(self, request: bytes, deadline: float, waiter: Waiter) -> End | None:
        """Until the code says that it is done (None), or another end."""
        channel, notice = self._box.channel.fileno(), self._box.notice
        pipes = set(self._pipes)
        if await waiter.wait([channel], [], time.monotonic()):
            return self._early_answer()
        unsent = self._send(memoryview(request))
        self._box.begin(self._limits.cpu_seconds)
        now = time.monotonic()
        chores = [
            (deadline, None),
            (now + _WATCH_SECONDS, self._box.watch),
            (now + _MEANWHILE_SECONDS, self._meanwhile),
        ]
        until = min(deadline, chores[-1][0])
        while True:
            writers = [channel] if unsent else []
            ready = await waiter.wait([channel, notice, *pipes], writers, until)
            if time.monotonic() >= until:  # also when there is always something to read
                _, chore = chores.pop()
                if until == deadline or chore is None:
                    return End.DEADLINE
                chore()
                until = min(deadline, chores[-1][0])
            unsent = self._send(unsent)
            # A pipe that the code closed stays readable for ever: it is not waited on any more.
            pipes -= {pipe for pipe in ready & pipes if not self._read_pipe(pipe)}
            if self._written > self._limits.output_total_bytes:
                return End.TOO_MUCH_OUTPUT
            if channel in ready or notice in ready:
                end = self._read_channel(to_the_end=notice in ready)
                if end is not None or self._done:
                    return end

    def _early_answer(self) -> End:
        """Nothing was asked yet: an answer ahead of its question, or a channel that is closed."""
        with contextlib.suppress(ConnectionError):
            if self._box.channel.recv(1, socket.MSG_PEEK):
                self._violation = "it answered before it was asked"
                return End.VIOLATION
        return End.HUNG_UP

    def _send(self, unsent: memoryview) -> memoryview:
        if not unsent:
            return unsent
        try:
            return unsent[self._box.channel.send(unsent) :]
        except BlockingIOError:
            return unsent
        except OSError:
            return unsent[:0]  # the other end is closed, which reading says as well

    def _read_channel(self, *, to_the_end: bool) -> End | None:
        """Take in what the code has sent; ``to_the_end`` if nobody is there to send more."""
        while True:
            try:
                data = self._box.channel.recv(_READ_BYTES)
            except BlockingIOError:
                return End.GONE if to_the_end else None
            except ConnectionError:
                data = b""
            if not data:
                return End.HUNG_UP
            try:
                self._take(self._frames.feed(data))
            except (wire.WireError, ProtocolError) as error:
                self._violation = str(error)
                return End.VIOLATION
            if self._done or not to_the_end:
                return None

    def _take(self, frames: list[dict[str, Any]]) -> None:
        for frame in frames:
            message = self._messages.read(frame)
            if isinstance(message, DoneMessage):
                self._done = True
                self._outcome.exit_code = message.exit_code
            elif isinstance(message, ErrorMessage):
                self._outcome.error = message
            else:
                self._outcome.results.append(message)

    async def _end_context(self, end: End, waiter: Waiter) -> Exit:
        """Make sure that the context has ended and learn how, on init's word."""
        try:
            if end is End.HUNG_UP:
                # Its process may be ending: then the truth is on its way.
                patience = time.monotonic() + _HUNG_UP_SECONDS
                if not await waiter.wait([self._box.notice], [], patience):
                    self._box.end()
            elif end is not End.GONE:
                self._box.end()
            return await self._box.ended(waiter)
        except SandboxDiedError:
            return Exit("gone", 0, {})

    # -- output -----------------------------------------------------------------------------------

    @property
    def _written(self) -> int:
        return self.stdout.total_bytes + self.stderr.total_bytes

    def _read_pipe(self, descriptor: int) -> int:
        """Take in what is there; the number of bytes, 0 at end of file, -1 if there is nothing."""
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return -1
        kept, callback = self._pipes[descriptor]
        kept.feed(data)
        if callback is not None and data:
            callback(data)
        return len(data)

    def _drain(self) -> None:
        """Read what is in the pipes; what others go on writing meanwhile is the next one's."""
        for pipe in self._pipes:
            left = _MAX_PIPE_BYTES
            while left > 0 and (count := self._read_pipe(pipe)) > 0:
                left -= count
