"""The calls of one execution, from the first to the last: read, checked, performed side by side, answered.

Theory of operation
-------------------
One socket pair for each execution.  The far end goes into the context with the request; the near end is served by
a task in the loop of the toolset (``runtime``), not by whoever waits for the execution.  What comes is hostile:
a request that is none, or too long, ends the line, and with it every call.  At most ``at_once`` calls run beside
each other, and no more is read while that many and as many again are waiting, so the code inside waits in its
write and the host's memory stays bounded.  ``finish`` cancels what still runs and waits for its end; the near end is
closed then, so that whatever thread of the code calls later is told that the execution has ended.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from protocell._boxes.box import out_of_descriptors
from protocell._broker.clock import Clock
from protocell._broker.gate import Gate
from protocell._broker.requests import ERROR, HEAD, VALUE, CallRequest, RequestReader
from protocell._broker.work import Work
from protocell._running.bell import Bell
from protocell.calls import ToolCall
from protocell.errors import ProtocolError
from protocell.tools.errors import ToolError

if TYPE_CHECKING:
    from protocell._broker.desk import Desk
    from protocell.tools.call_log import CallLog

_READ_BYTES = 1 << 18


class Counter:
    """Serves the calls of one execution."""

    def __init__(self, desk: Desk, execution: int, earlier: CallLog | None = None) -> None:
        """``earlier``: calls whose answers are given again in place of making them again."""
        self._desk = desk
        self._execution = execution
        self._limits = desk.limits
        try:
            self._line, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            raise out_of_descriptors() from error
        self._line.settimeout(0.0)
        self._requests = RequestReader(self._limits.argument_bytes)
        self._earlier = earlier
        self._log_room = desk.log_room
        self._gate = Gate(desk.approve, self._limits.approval_seconds)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._records: dict[int, ToolCall] = {}
        self._slots = asyncio.Semaphore(self._limits.at_once)
        self._sending = asyncio.Lock()
        self._room = asyncio.Event()
        self._away = Clock()  # of the code: with a tool, with a person, in the queue
        self.tools = Clock()  # that work
        self._ended = Bell()
        self._serving: asyncio.Task[None] | None = None
        self.violation = ""

    # -- for who runs the execution, in any thread ------------------------------------------------

    def begin(self) -> None:
        """From now on calls are answered."""
        self._desk.runtime.post(self._serve())

    @property
    def most_bytes(self) -> int:
        """Of the arguments of one call."""
        return self._limits.argument_bytes

    def paused(self) -> float:
        """Seconds so far in which a tool or a person worked for the code: not the code's own time."""
        return self._away.seconds

    def finish(self) -> Bell:
        """Cancel what still runs; the bell rings when all of it has ended."""
        self._desk.runtime.post(self._finish())
        return self._ended

    @property
    def calls(self) -> list[ToolCall]:
        """What was called, in order, and that the code broke its line if it did; whole after ``finish``."""
        calls = [self._records[number] for number in sorted(self._records)]
        return [*calls, *self._broken(calls)]

    def _broken(self, calls: list[ToolCall]) -> Iterator[ToolCall]:
        if self.violation:
            number = calls[-1].number + 1 if calls else 1
            yield ToolCall(
                number=number,
                server="",
                tool="",
                arguments={},
                outcome="error",
                kind="transport",
                message=f"the code broke the line that its calls go over: {self.violation}",
            )

    def close(self) -> None:
        """Give the descriptors back."""
        self.far.close()
        self._line.close()
        self._ended.close()

    # -- in the loop ------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._serving = asyncio.current_task()
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._line, _READ_BYTES):
                for request in self._requests.feed(data):
                    if isinstance(request, CallRequest):
                        await self._accept(request)
                    elif (task := self._tasks.get(request.number)) is not None:
                        task.cancel()
        except ProtocolError as error:
            self.violation = str(error)
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:  # the code has closed its end, or was ended
            return

    async def _accept(self, request: CallRequest) -> None:
        while len(self._tasks) >= 2 * self._limits.at_once:
            self._room.clear()
            await self._room.wait()
        task = asyncio.get_running_loop().create_task(self._perform(request))
        self._tasks[request.number] = task
        task.add_done_callback(lambda _: self._done(request.number))

    def _done(self, number: int) -> None:
        self._tasks.pop(number, None)
        self._room.set()

    async def _finish(self) -> None:
        serving = () if self._serving is None else (self._serving,)
        for task in (*serving, *self._tasks.values()):
            task.cancel()
        # Whoever hears the bell closes the line: until then nothing of the loop may look at it.
        while going := [task for task in (*serving, *self._tasks.values()) if not task.done()]:
            await asyncio.wait(going)
        self._ended.ring()

    # -- one call ---------------------------------------------------------------------------------

    async def _perform(self, request: CallRequest) -> None:
        work = Work(self, request)
        self._away.start()
        try:
            async with self._slots:
                body = await work.run()
            kind = VALUE
        except ToolError as error:
            kind, body = ERROR, work.failed(error)
        finally:
            self._away.stop()
            self._records[request.number] = work.record()
        await self._send(request.number, kind, body)

    async def _send(self, number: int, kind: bytes, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with self._sending:
                await loop.sock_sendall(self._line, HEAD.pack(len(body), number, kind) + body)
        except OSError:  # nobody is there any more
            return

    def check_budget(self, request: CallRequest) -> None:
        """Raises ToolError where this call is one too many."""
        if request.number > self._limits.calls:
            text = f"an execution may make {self._limits.calls} calls, and this is one more"
        elif self.tools.seconds > self._limits.seconds:
            text = f"the calls of this execution have taken {self._limits.seconds:g} s, which is all they may"
        else:
            return
        raise ToolError(f"{text}; do with what there is, or ask for less at a time", kind="budget")

    def earlier(self, request: CallRequest) -> ToolCall | None:
        """The call that was made before, and need not be made again."""
        if self._earlier is None:
            return None
        arguments = self._desk.redacted(request.tool, request.arguments)
        return self._earlier.take(request.tool, arguments, raw=request.raw)

    def kept(self, body: bytes | None) -> bytes | None:
        """The answer, if the log has room for it."""
        if body is None or len(body) > self._log_room:
            return None
        self._log_room -= len(body)
        return body

    @property
    def desk(self) -> Desk:
        """Whose it is."""
        return self._desk

    @property
    def gate(self) -> Gate:
        """What its calls have to pass."""
        return self._gate

    @property
    def execution(self) -> int:
        """Its number."""
        return self._execution
