"""Calls of tools on their way to the host and their answers back, from any thread and any task at once.

Theory of operation
-------------------
One socket for each execution, made by the host, which came with the request; it is closed when the execution
ends, and who calls or waits then is told so.  A message is a length, the number of the call, a kind, and a body
(``values``).  Everything that comes is from the host, which is trusted; what goes there is not.

No thread reads.  Of the threads that wait for an answer one is the reader: it hands each answer to whom it
belongs, and when its own is there it wakes another one to read on.  Tasks of an event loop wait for a future; as
long as there are any, their loop reads when there is something to be read and no thread does.
"""

from __future__ import annotations

import builtins
import contextlib
import socket
import struct
from _thread import allocate_lock
from os import getpid
from typing import TYPE_CHECKING, Any

from protocell_guest import values
from protocell_guest.guest.tool_errors import error_of

if TYPE_CHECKING:
    import asyncio

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

HEAD = struct.Struct("<IIc")  # bytes of the body, number of the call, kind
CALL, CANCEL, VALUE, ERROR = b"c", b"x", b"v", b"e"

_CHUNK = 1 << 18
_ENDED = "the execution that tools could be called from has ended"
_FORKED = (
    "tools are called from the process that runs the code, not from one that it has started: call it there, "
    "in a thread if it is to run beside others, and hand the value over"
)


class Reply:
    """The answer to one call, for a thread that waits for it and for tasks that do."""

    def __init__(self, tool: str, number: int) -> None:
        self.tool = tool
        self.number = number
        self.answer: tuple[bytes, bytes] | None = None
        self.has_thread = False  # that waits, or is about to
        self._bell = allocate_lock()
        self._bell.acquire()
        self._futures: list[asyncio.Future[None]] = []

    def take(self, kind: bytes, body: bytes) -> None:
        """Here it is; from any thread."""
        self.answer = kind, body
        self.wake()
        for future in list(self._futures):
            self._tell(future)

    def wake(self) -> None:
        """Let the thread that waits look again."""
        if self._bell.locked():
            self._bell.release()

    def sleep(self) -> None:
        """Until somebody wakes this thread."""
        self._bell.acquire()

    def future(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Done when the answer is here."""
        future: asyncio.Future[None] = loop.create_future()
        self._futures.append(future)
        if self.answer is not None:
            self._tell(future)
        return future

    def value(self) -> Any:
        """What the tool gave.

        Raises:
            ToolError: it gave none.
        """
        assert self.answer is not None  # noqa: S101  (whoever asks has waited for it)
        kind, body = self.answer
        told = values.loads(body, most_items=None)
        if kind == VALUE:
            return told
        raise error_of({"tool": self.tool, **told})

    @staticmethod
    def _tell(future: asyncio.Future[None]) -> None:
        loop = future.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(_finish, future)


class Line:
    """The calls of one execution."""

    def __init__(self, line: socket.socket, most_bytes: int) -> None:
        self._line = line
        self._most_bytes = most_bytes
        self._process = getpid()
        self._sending, self._reading = allocate_lock(), allocate_lock()
        self._waiting: dict[int, Reply] = {}
        self._buffer = bytearray()
        self._count = 0
        self._loops: set[asyncio.AbstractEventLoop] = set()
        self._is_open = True

    # -- for who calls ----------------------------------------------------------------------------

    def begin(self, tool: str, arguments: dict[str, Any], *, raw: bool = False) -> Reply:
        """Send a call on its way.

        Raises:
            ToolError: it cannot be sent.
        """
        body = self._body(tool, arguments, raw=raw)
        with self._sending:
            if not self._is_open:
                raise error_of({"kind": "transport", "message": _ENDED, "tool": tool})
            self._count += 1
            reply = self._waiting[self._count] = Reply(tool, self._count)
            self._send(self._count, CALL, body)
        return reply

    def wait(self, reply: Reply) -> Any:
        """What the tool gave; this thread waits for it, and reads for others meanwhile.

        Raises:
            ToolError: it gave nothing.
        """
        reply.has_thread = True
        try:
            while reply.answer is None:
                if self._reading.acquire(blocking=False):
                    try:
                        self._read(wait=True)
                    finally:
                        self._reading.release()
                else:
                    reply.sleep()
        except BaseException:
            self._abandon(reply)
            raise
        finally:
            self._wake_another(reply)
        return reply.value()

    async def awaited(self, reply: Reply) -> Any:
        """As ``wait``, for a task."""
        import asyncio  # noqa: PLC0415  (loaded: there is a loop)

        loop = asyncio.get_running_loop()
        if reply.answer is None:
            self._listen_in(loop)
            try:
                await reply.future(loop)
            except BaseException:
                self._abandon(reply)
                raise
        return reply.value()

    def close(self) -> None:
        """The execution is over: nobody's call is answered any more."""
        if self._process != getpid():
            return
        self._is_open = False
        for loop in self._loops:
            if not loop.is_closed():
                loop.remove_reader(self._line)
        self._loops.clear()
        with contextlib.suppress(OSError):  # the host has closed its end
            self._line.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads
        self._line.close()
        self._end()

    # -- what goes out ----------------------------------------------------------------------------

    def _body(self, tool: str, arguments: dict[str, Any], *, raw: bool) -> bytes:
        if getpid() != self._process:
            raise error_of({"kind": "transport", "message": _FORKED, "tool": tool})
        try:
            body = values.dumps({"tool": tool, "arguments": arguments, "raw": raw})
        except values.UnfitError as error:
            raise error_of({"kind": "validation", "message": str(error), "tool": tool}) from None
        if len(body) > self._most_bytes:
            message = f"the arguments are {len(body)} bytes; at most {self._most_bytes} are taken"
            raise error_of({"kind": "budget", "message": message, "tool": tool})
        return body

    def _send(self, number: int, kind: bytes, body: bytes) -> None:
        try:
            self._line.sendall(HEAD.pack(len(body), number, kind) + body)
        except OSError:
            self._is_open = False
            self._end()
        except BaseException:  # an interrupt: nobody knows how much of it has gone out
            self._is_open = False
            self._line.shutdown(socket.SHUT_RDWR)
            self._end()
            raise

    def _abandon(self, reply: Reply) -> None:
        if self._waiting.pop(reply.number, None) is not None:
            with self._sending:
                if self._is_open:
                    self._send(reply.number, CANCEL, b"")

    # -- what comes in ----------------------------------------------------------------------------

    def _listen_in(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop not in self._loops:
            self._loops.add(loop)
            loop.add_reader(self._line, self._read_in_loop)

    def _read_in_loop(self) -> None:
        if self._reading.acquire(blocking=False):
            try:
                self._read(wait=False)
            finally:
                self._reading.release()

    def _read(self, *, wait: bool) -> None:
        """Take in what is there, or what comes next."""
        try:
            data = self._line.recv(_CHUNK, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._is_open = False
            self._end()
            return
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            size, number, kind = HEAD.unpack_from(self._buffer)
            if len(self._buffer) < HEAD.size + size:
                return
            body = bytes(memoryview(self._buffer)[HEAD.size : HEAD.size + size])
            del self._buffer[: HEAD.size + size]
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                waiting.take(kind, body)

    def _wake_another(self, last: Reply) -> None:
        """The thread that read has what it wanted: another one reads on."""
        for reply in list(self._waiting.values()):
            if reply is not last and reply.has_thread:
                reply.wake()
                return

    def _end(self) -> None:
        body = values.dumps({"kind": "transport", "message": _ENDED})
        while self._waiting:
            self._waiting.popitem()[1].take(ERROR, body)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
