"""The calls of one execution, from the first to the last: read, checked, performed side by side, answered.

Theory of operation
-------------------
One socket pair for each execution.  The far end goes into the context with the request; the near end is served by
a task in the loop of the toolset (``runtime``), not by whoever waits for the execution.  What comes is hostile:
a request that is none, or too long, ends the line, and with it every call.  At most ``at_once`` calls run beside
each other, and no more is read while that many and as many again are waiting, or while their arguments weigh too
much, so the code inside waits in its write and the host's memory stays bounded.  For the same reason none is begun
while the code does not read what was answered; that is its own time.  ``finish`` cancels what still runs and waits
for its end, or until it is given up (``cancelling``); the near end is closed then, so that whatever thread of the code
calls later is told that the execution has ended.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from protocell._boxes.box import out_of_descriptors
from protocell._broker.answers import Answers
from protocell._broker.budgets import Budgets
from protocell._broker.cancelling import shared_context
from protocell._broker.clock import Clock
from protocell._broker.gate import Gate
from protocell._broker.ledger import Ledger
from protocell._broker.requests import CallRequest, RequestReader
from protocell._broker.work import Work
from protocell._running.bell import Bell
from protocell._waiter import Waiter
from protocell.calls import ToolCall
from protocell.errors import ProtocolError
from protocell.tools.approval import ApprovalRequest
from protocell.tools.errors import ToolError
from protocell_guest.parcels import ERROR, VALUE, Parcel

if TYPE_CHECKING:
    from protocell._broker.desk import Desk
    from protocell.tools.access import CallNumber
    from protocell.tools.call_log import CallLog
    from protocell.tools.tool import Tool

_READ_BYTES = 1 << 15  # at a turn of the loop, which is not the code's alone
_MOST_WEIGHT = 16  # times what the arguments of one call may be: of all that are being performed


class Counter:
    """Serves the calls of one execution."""

    def __init__(self, desk: Desk, execution: int, earlier: CallLog | None = None) -> None:
        """``earlier``: calls whose answers are given again in place of making them again."""
        self._desk = desk
        self.execution = execution
        self._limits = desk.limits
        try:
            self._line, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            raise out_of_descriptors() from error
        self._line.settimeout(0.0)
        self._requests = RequestReader(self._limits.argument_bytes)
        self._earlier = earlier
        self._ledger = Ledger(self._limits.calls, desk.log_room)
        self._gate = Gate(desk, self._limits.approval_seconds)
        self.budgets = Budgets(self._limits, desk.budgets)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(self._limits.at_once)
        self._weight = 0  # of the arguments of all tasks
        self._answers = Answers(self._line, desk.largest_answers)
        self._room = asyncio.Event()
        self._away = Clock()  # of the code: with a tool, with a person, in the queue
        self._ended = Bell()
        self._serving: asyncio.Task[None] | None = None
        self._stop: Callable[[], object] = lambda: None
        self.fault: BaseException | None = None
        """What the caller's ``on_progress`` has raised."""

    # -- for who runs the execution, in any thread ------------------------------------------------

    def begin(self, stop: Callable[[], object] | None = None) -> None:
        """From now on calls are answered; ``stop`` is to end the code, from any thread, when there is a ``fault``."""
        self._stop = stop or self._stop
        self._desk.runtime.post(self._serve())

    @property
    def most_bytes(self) -> int:
        """Of the arguments of one call."""
        return self._limits.argument_bytes

    def paused(self) -> float:
        """Seconds so far in which a tool or a person worked for the code: not the code's own time."""
        return self._away.seconds

    def finish(self) -> Bell:
        """Cancel what still runs; the bell rings when all of it has ended, or was given up."""
        self._stop = lambda: None
        self._desk.runtime.post(self._finish())
        return self._ended

    async def ended(self, waiter: Waiter) -> list[ToolCall]:
        """All calls, when all has ended and is recorded; who is torn away meanwhile leaves no descriptors open."""
        try:
            await waiter.wait([self.finish().fileno()], [], None)
            self._desk.record(self.calls)
        except BaseException:
            self._desk.runtime.post(self._abandon())
            raise
        self.close()
        return self.calls

    @property
    def calls(self) -> list[ToolCall]:
        """What was called, in order, and that the code broke its line if it did; whole after ``finish``."""
        return self._ledger.calls

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
                    else:
                        self._cancel(request.number)
                # Reading does not suspend while there is something to read, and others want to run.
                await asyncio.sleep(0)
        except ProtocolError as error:
            self._ledger.violation = str(error)
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:  # the code has closed its end, or was ended
            return

    async def _accept(self, request: CallRequest) -> None:
        while self._tasks and not self._has_room(request):
            self._room.clear()
            await self._room.wait()
        self._weight += request.weight
        loop, context = asyncio.get_running_loop(), shared_context()
        task = loop.create_task(self._perform(request), context=context)
        self._tasks[request.number] = task
        task.add_done_callback(lambda _: self._done(request))

    def _has_room(self, request: CallRequest) -> bool:
        most = _MOST_WEIGHT * self._limits.argument_bytes
        is_light = self._weight + request.weight <= most
        return is_light and len(self._tasks) < 2 * self._limits.at_once

    def _cancel(self, number: int) -> None:
        task = self._tasks.get(number)
        if task is not None and not self._answers.withdraw(number):
            task.cancel()

    def _done(self, request: CallRequest) -> None:
        self._tasks.pop(request.number, None)
        self._weight -= request.weight
        self._room.set()

    async def _finish(self) -> None:
        await self._all_ended()
        self._ended.ring()

    async def _abandon(self) -> None:
        await self._all_ended()
        self.close()

    async def _all_ended(self) -> None:
        serving = () if self._serving is None else (self._serving,)
        for task in (*serving, *self._tasks.values()):
            task.cancel()
        # Whoever hears the bell closes the line: until then nothing of the loop may look at it.
        while going := [task for task in (*serving, *self._tasks.values()) if not task.done()]:
            await asyncio.wait(going)

    # -- one call ---------------------------------------------------------------------------------

    async def _perform(self, request: CallRequest) -> None:
        work = Work(self, request)
        try:
            kind, body = await self._answer(work)
        except BaseException:
            self._answers.leave(request.number)
            raise
        finally:
            self._ledger.enter(work.record(self._ledger))
        await self._answers.send(request.number, kind, body)

    async def _answer(self, work: Work) -> tuple[bytes, Parcel]:
        self._away.start()
        try:
            async with self._slots:
                answer = await self._tried(work)
            try:
                await self._desk.hooks.after(work.record)
            except ToolError as error:
                return ERROR, work.failed(error)
            return answer
        finally:
            self._away.stop()

    async def make_room(self, request: CallRequest) -> None:
        """Until the answer may come; whether there is room is up to the code, which reads, so its clock goes on."""
        self._away.stop()
        try:
            await self._answers.room(request.number, request.tool)
        finally:
            self._away.start()

    async def _tried(self, work: Work) -> tuple[bytes, Parcel]:
        try:
            return VALUE, await work.run()
        except ToolError as error:
            return ERROR, work.failed(error)

    def tell_progress(
        self, call: CallNumber, text: str, done: float | None, total: float | None
    ) -> None:
        """To whoever listens; what he raises ends the code, and is his: no tool is to take it for its own."""
        listener = self._desk.on_progress
        if listener is None or self.fault is not None:
            return
        try:
            listener(call, text, done, total)
        except BaseException as error:  # noqa: BLE001 - raised where the execution was asked for
            self.fault = error
            self._stop()

    def earlier(self, request: CallRequest) -> ToolCall | None:
        """The call that was made before, and need not be made again."""
        if self._earlier is None:
            return None
        arguments = self._desk.redacted(request.tool, request.arguments)
        return self._earlier.take(request.tool, arguments, raw=request.raw)

    def asked(self, tool: Tool, arguments: dict[str, Any], request: CallRequest) -> ApprovalRequest:
        """One of its calls, for who decides about it or hears of it."""
        return ApprovalRequest(
            tool=tool.id,
            description=tool.description,
            arguments=arguments,
            execution=self.execution,
            call=request.number,
        )

    @property
    def desk(self) -> Desk:
        """Whose it is."""
        return self._desk

    @property
    def gate(self) -> Gate:
        """What its calls have to pass."""
        return self._gate
