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

The deadline and a caller's wish to stop are a ladder: KeyboardInterrupt in the code first, and if it has
not come to its end after the time of grace, all of its processes are killed.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from protocell._boxes.box import Box, Exit
from protocell._running.agenda import Agenda
from protocell._running.bell import Bell
from protocell._running.board import Board
from protocell._running.copies import read_copy
from protocell._running.messages import DoneMessage, ErrorMessage, MessageReader, max_frame_bytes
from protocell._running.outcome import End, Hooks, Outcome, Stop
from protocell._running.pipes import Pipes
from protocell._waiter import Waiter
from protocell.errors import ProtocolError, SandboxDiedError
from protocell.limits import Limits
from protocell_guest import wire

_READ_BYTES = 1 << 16
_HUNG_UP_SECONDS = 1.0
# What is shorter is not held up: by sandboxes that are made for others on the processors that it needs,
# or by init, which looks after what has used more than a little.
_MEANWHILE_SECONDS = 0.002
_WATCH_SECONDS = 0.02
_PAUSE_SECONDS = 0.05  # between looks at a clock that stands still


class Turn:
    """One execution in one box."""

    def __init__(
        self,
        box: Box,
        limits: Limits,
        *,
        number: int,
        hooks: Hooks,
        bell: Bell,
    ) -> None:
        self._box = box
        self._limits = limits
        self._hooks = hooks
        self._bell = bell
        self._agenda: Agenda[End] = Agenda()
        self._number = number
        streams = (box.stdout, box.stderr)
        self.pipes = Pipes(streams, limits.output_bytes, hooks.on_stdout, hooks.on_stderr)
        self._unsent: memoryview | None = None
        self._frames = wire.FrameReader(max_frame_bytes(limits.result_bytes))
        self._untaken: deque[dict[str, Any]] = deque()  # of a callback that raised, what came after
        self._messages = MessageReader(number=number, result_bytes=limits.result_bytes)
        self._board = Board(limits.results_bytes)
        self._outcome = Outcome(results=self._board.results)
        self._violation = ""
        self._rights: list[int] = []  # descriptors that go with the first bytes
        self._asks_for_copy = hooks.on_copy is not None
        self._done = False
        self._is_sending = False  # True where nobody is: whoever was has been torn away

    async def run(
        self, code: str, envs: Mapping[str, str], wall_seconds: float, waiter: Waiter
    ) -> Outcome:
        """Run the code, with these variables for this time alone, to one of its ends."""
        started = time.monotonic()
        deadline = started + wall_seconds
        request = {
            "op": "execute",
            "id": self._number,
            "code": code,
            "result_bytes": self._limits.result_bytes,
            "results_bytes": self._limits.results_bytes,
            "envs": dict(envs),
            "checkpoint": self._asks_for_copy,
            # A signal that is there when the interpreter reads this may be late, or be meant for this.
            "after_interrupt": self._box.was_interrupted,
        }
        line = self._hooks.line
        if line is not None:
            request["tools"] = line.most_bytes
            self._rights = [line.far.fileno()]
        self._box.was_interrupted = False
        end = await self._talk(wire.encode(request), deadline, waiter)
        if end is None:
            self.pipes.drain()
            self._outcome.wall_seconds = time.monotonic() - started
            with suppress(SandboxDiedError):  # after its work was done: the next call says it
                self._outcome.usage = await self._box.usage(waiter)
                if not self._box.alive:  # it ended as soon as it was done
                    self._outcome.exit = await self._box.ended(waiter)
        else:
            self._outcome.end = end
            self._outcome.violation = self._violation
            self._outcome.exit = await self._end_context(end, waiter)
            self._outcome.usage = self._outcome.exit.usage
            self.pipes.drain()
            self._outcome.wall_seconds = time.monotonic() - started
            # Who has ended is not asked any more what it wrote; what came through the pipes is known.
            known = int(self._outcome.usage.get("bytes_written", 0))
            self._outcome.usage["bytes_written"] = max(known, self.pipes.total_bytes)
        self.pipes.finish()
        return self._outcome

    # -- the conversation -------------------------------------------------------------------------

    async def _talk(self, request: bytes, deadline: float, waiter: Waiter) -> End | None:
        """Until the code says that it is done (None), or another end."""
        if await waiter.wait([self._box.channel.fileno()], [], time.monotonic()):
            return self._early_answer()
        self._box.begin(self._limits.cpu_seconds)  # before the code can use anything
        self._unsent = memoryview(request)
        self._send()
        now = time.monotonic()
        self._agenda.put(now + _MEANWHILE_SECONDS, self._hooks.meanwhile)
        self._agenda.put(now + _WATCH_SECONDS, self._box.watch)
        self._agenda.put(deadline, partial(self._come_due, deadline))
        return await self._listen(waiter)

    async def _listen(self, waiter: Waiter) -> End | None:
        channel, notice, bell = self._box.channel.fileno(), self._box.notice, self._bell.fileno()
        while True:
            writers = [channel] if self._unsent else []
            readers = [channel, notice, bell, *self.pipes.open]
            ready = await waiter.wait(readers, writers, self._agenda.next)
            if bell in ready and self._bell.silence():
                self._stop(Stop.CALLER)
            end = self._agenda.work()  # also when there is always something to read
            if end is not None:
                return end
            self._send()
            self.pipes.read(ready)
            if self.pipes.total_bytes > self._limits.output_total_bytes:
                return End.TOO_MUCH_OUTPUT
            if channel in ready or notice in ready:
                end = self._read_channel(to_the_end=notice in ready)
                if end is not None or self._done:
                    return end

    def _come_due(self, deadline: float) -> None:
        """The time is over, but for what tools have taken of it meanwhile."""
        line, now = self._hooks.line, time.monotonic()
        due = deadline + (line.paused() if line is not None else 0.0)
        if due <= now:
            self._stop(Stop.DEADLINE)
        else:
            self._agenda.put(max(due, now + _PAUSE_SECONDS), partial(self._come_due, deadline))

    def _stop(self, why: Stop) -> None:
        """The first step of the ladder; the second comes when the time of grace is over."""
        if self._outcome.stop is None:
            self._agenda.put(time.monotonic() + self._limits.grace_seconds, lambda: End.STOPPED)
            self._outcome.stop = why  # after that, as Ctrl-C may come in between
            self._box.was_interrupted = True
            self._box.interrupt()
            self._box.watch()  # so that who asks for the usage hears of it after the interrupt

    async def stop(self, waiter: Waiter) -> None:
        """The caller was torn away: end what it started by the ladder; nobody hears of it."""
        if self._unsent is None:
            return
        self._hooks = Hooks(meanwhile=self._hooks.meanwhile, on_copy=self._hooks.on_copy)
        self.pipes.mute()
        # How much has gone out then nobody knows, and what is sent twice would run twice.
        is_torn = self._is_sending
        goes_on = self._box.alive and not self._done
        if goes_on and (is_torn or await self._stopped(waiter) is not None):
            self._box.end()
            await self._box.ended(waiter)
        elif self._outcome.stop is not None and self._box.alive:
            with suppress(SandboxDiedError):  # an interrupt on its way would be the next one's
                await self._box.usage(waiter)
        self.pipes.drain()  # else it would be the next one's

    async def _stopped(self, waiter: Waiter) -> End | None:
        """Climb the ladder; None if the code came to its end."""
        if self._outcome.end is not None:
            return self._outcome.end
        try:
            self._take()
        except ProtocolError:
            return End.VIOLATION
        if self._done:
            return None
        self._stop(Stop.CALLER)
        return await self._listen(waiter)

    def _early_answer(self) -> End:
        """Nothing was asked yet: an answer ahead of its question, or a channel that is closed."""
        with contextlib.suppress(ConnectionError):
            if self._box.channel.recv(1, socket.MSG_PEEK):
                self._violation = "it answered before it was asked"
                return End.VIOLATION
        return End.HUNG_UP

    def _send(self) -> None:
        if not self._unsent:
            return
        self._is_sending = True
        try:
            if self._rights:
                sent = socket.send_fds(self._box.channel, [self._unsent], self._rights)
                self._rights = []
            else:
                sent = self._box.channel.send(self._unsent)
            self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = self._unsent[:0]  # the other end is closed, which reading says as well
        self._is_sending = False

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
            if self.pipes.has_listeners:  # what was written before a result is told before it
                self.pipes.drain()
            try:
                self._take_in(data)
            except (wire.WireError, ProtocolError) as error:
                self._violation = str(error)
                return End.VIOLATION
            if self._done or not to_the_end:
                return None

    def _take_in(self, data: bytes) -> None:
        try:
            self._untaken += self._frames.feed(data)
        except wire.WireError as error:
            self._untaken += error.before  # a copy, which can be gone back to, may be told there
            self._take()
            raise
        self._take()

    def _take(self) -> None:
        while self._untaken:
            frame = self._untaken.popleft()
            if self._asks_for_copy and self._hooks.on_copy is not None:
                self._asks_for_copy = False
                self._hooks.on_copy(read_copy(frame, self._number))
                continue
            message = self._messages.read(frame)
            if self._hooks.on_message is not None:
                self._hooks.on_message(message)
            if isinstance(message, DoneMessage):
                self._done = True
                self._outcome.exit_code = message.exit_code
                self._outcome.left_out = message.left_out
                self._outcome.warnings = message.warnings
            elif isinstance(message, ErrorMessage):
                self._outcome.error = message
            else:
                self._board.take(message)

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
