"""Calls of tools on their way to the host and their answers back, from any thread and any task at once.

Theory of operation
-------------------
One socket for each execution, made by the host, which came with the request; it is closed when the execution
ends, and who calls or waits then is told so.  What goes and comes is cut into frames (``parcels``).  Everything that
comes is from the host, which is trusted; what goes there is not.

Frames of small calls go between those of a large one.  Of large ones one goes at a time: the host takes no more than
one call that is not whole yet.  Who cannot send takes in what there is meanwhile, since the host may be waiting for
just that before it reads on.

No thread reads.  Of the threads that wait for an answer one is the reader: it hands each answer to whom it
belongs, and when its own is there it wakes another one to read on.  Tasks of an event loop wait for a future; as
long as there are any, their loop reads when there is something to be read and no thread does.
"""

from __future__ import annotations

import builtins
import contextlib
import select
import socket
from _thread import allocate_lock
from os import getpid
from typing import TYPE_CHECKING, Any

from protocell_guest import values
from protocell_guest.guest.tool_errors import error_of
from protocell_guest.guest.tool_reply import Replies, Reply
from protocell_guest.parcels import CALL, CANCEL, FRAME_BYTES, HEAD, Parcel

if TYPE_CHECKING:
    import asyncio

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_CHUNK = 1 << 18
_MOMENT_MILLISECONDS = 50
_MOST_NAME_CHARACTERS = 300
_ENDED = "the execution that tools could be called from has ended"
_UNNAMED = "arguments have names: hand over a dict whose keys are text"
_FORKED = (
    "tools are called from the process that runs the code, not from one that it has started: call it there, "
    "in a thread if it is to run beside others, and hand the value over"
)


class Line:
    """The calls of one execution."""

    def __init__(self, line: socket.socket, most_bytes: int) -> None:
        self._line = line
        self._most_bytes = most_bytes
        self._process = getpid()
        self._most_items = values.most_items(most_bytes)
        self._sending, self._reading = allocate_lock(), allocate_lock()
        self._large = allocate_lock()
        self._replies = Replies()
        self._count = 0
        self._loops: set[asyncio.AbstractEventLoop] = set()
        self._is_open = True

    # -- for who calls ----------------------------------------------------------------------------

    def begin(self, tool: str, arguments: dict[str, Any], *, raw: bool = False) -> Reply:
        """Send a call on its way.

        Raises:
            ToolError: it cannot be sent.
        """
        parcel = self._parcel(tool, arguments, raw=raw)
        if len(parcel) <= FRAME_BYTES:
            return self._begin(tool, parcel)
        with self._large:
            return self._begin(tool, parcel)

    def wait(self, reply: Reply) -> Any:
        """What the tool gave; this thread waits for it, and reads for others meanwhile.

        Raises:
            ToolError: it gave nothing.
        """
        if not reply.is_here:
            self._refuse_elsewhere(reply.tool)
        reply.has_thread = True
        try:
            while not reply.is_here:
                if self._reading.acquire(blocking=False):
                    try:
                        self._until(select.POLLIN)  # an interrupt here spoils nothing
                        self._read()
                    finally:
                        self._reading.release()
                else:
                    reply.sleep()
        except BaseException:
            self._abandon(reply)
            raise
        finally:
            self._replies.wake_another(reply)
        return reply.value()

    async def awaited(self, reply: Reply) -> Any:
        """As ``wait``, for a task."""
        import asyncio  # noqa: PLC0415  (loaded: there is a loop)

        loop = asyncio.get_running_loop()
        if not reply.is_here:
            self._refuse_elsewhere(reply.tool)
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
        for loop in list(self._loops):
            self._listen_no_more(loop)
        with contextlib.suppress(OSError):  # the host has closed its end
            self._line.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads
        self._line.close()
        self._replies.end(_ENDED)

    def _refuse_elsewhere(self, tool: str) -> None:
        if getpid() != self._process:
            raise error_of({"kind": "transport", "message": _FORKED, "tool": tool})

    # -- what goes out ----------------------------------------------------------------------------

    def _parcel(self, tool: str, arguments: dict[str, Any], *, raw: bool) -> Parcel:
        self._refuse_elsewhere(tool)
        if not all(isinstance(name, str) for name in arguments):  # the host would hang up
            raise error_of({"kind": "validation", "message": _UNNAMED, "tool": tool})
        try:
            parcel = values.pack({"tool": tool, "arguments": arguments, "raw": raw})
        except values.UnfitError as error:
            message = _unfit(tool, arguments, error)
            raise error_of({"kind": "validation", "message": message, "tool": tool}) from None
        message = self._too_much(parcel)
        if message:  # which the host has to hear of: a call that was tried belongs in its log
            told = {"tool": tool[:_MOST_NAME_CHARACTERS], "arguments": {}, "raw": raw}
            return values.pack({**told, "too_large": message})
        return parcel

    def _too_much(self, parcel: Parcel) -> str:
        if len(parcel) > self._most_bytes:
            return f"the arguments are {len(parcel)} bytes; at most {self._most_bytes} are taken"
        if len(parcel.body) > self._most_items:
            try:
                values.check_shape(parcel.body, self._most_items)
            except values.UnfitError as error:
                return f"the arguments: {error}; hand over less at a time, or one text or bytes"
        return ""

    def _begin(self, tool: str, parcel: Parcel) -> Reply:
        with self._sending:
            if not self._is_open:
                raise error_of({"kind": "transport", "message": _ENDED, "tool": tool})
            self._count += 1
            reply = self._replies.expect(tool, self._count)
            frames = parcel.frames(self._count, CALL)
            self._send(next(frames))
        try:
            for frame in frames:
                with self._sending:
                    if not self._is_open:
                        break
                    self._send(frame)
        except BaseException:
            self._abandon(reply)
            raise
        return reply

    def _send(self, frame: bytes) -> None:
        try:
            with memoryview(frame) as view:
                sent = 0
                while sent < len(view):
                    sent += self._sent(view[sent:])
        except OSError:
            self._break()
        except BaseException:  # an interrupt: nobody knows how much of it has gone out
            self._break()
            raise

    def _sent(self, view: memoryview) -> int:
        try:
            return self._line.send(view, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._make_room()
            return 0

    def _make_room(self) -> None:
        """Wait until more can be sent, or a moment; whatever comes meanwhile is taken in."""
        if not self._reading.acquire(blocking=False):  # another thread reads
            self._until(select.POLLOUT, _MOMENT_MILLISECONDS)
            return
        try:
            if self._until(select.POLLIN | select.POLLOUT) & select.POLLIN:
                self._read()
        finally:
            self._reading.release()
            self._replies.wake_another(None)

    def _until(self, events: int, milliseconds: int | None = None) -> int:
        """Wait for one of these events; which of them came, all of them where the line was closed meanwhile."""
        poll = select.poll()
        try:
            poll.register(self._line, events)
        except ValueError:
            return events
        return sum(came for _, came in poll.poll(milliseconds))

    def _abandon(self, reply: Reply) -> None:
        # A process that the code has started has no call to give up.
        if self._process == getpid() and self._replies.give_up(reply):
            with self._sending:
                if self._is_open:
                    self._send(HEAD.pack(0, reply.number, CANCEL))

    # -- what comes in ----------------------------------------------------------------------------

    def _listen_in(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop not in self._loops:
            self._loops -= {each for each in self._loops if each.is_closed()}
            self._loops.add(loop)
            loop.add_reader(self._line, self._read_in_loop, loop)

    def _listen_no_more(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop in self._loops:
            self._loops.discard(loop)
            if not loop.is_closed():
                loop.remove_reader(self._line)

    def _read_in_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._reading.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._reading.release()
                self._replies.wake_another(None)  # which may have found this one reading
        if not self._is_open:  # it would be called for ever
            self._listen_no_more(loop)

    def _read(self) -> None:
        """Take in what is there."""
        try:
            data = self._received()
            if data:
                self._replies.feed(data)
        except BaseException:  # an interrupt: nobody knows how much of it was taken in
            self._break()
            raise

    def _received(self) -> bytes:
        try:
            data = self._line.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._break()
        return data

    def _break(self) -> None:
        """Nothing that is said over this line can be understood any more."""
        self._is_open = False
        with contextlib.suppress(OSError):  # the host has closed its end
            self._line.shutdown(socket.SHUT_RDWR)
        self._replies.end(_ENDED)


def _unfit(tool: str, arguments: dict[str, Any], error: values.UnfitError) -> str:
    """Which argument of which tool it is that cannot be sent."""
    path = error.path.removeprefix("['arguments']")
    for name in arguments:
        if path.startswith(f"[{name!r}]"):
            place = path.removeprefix(f"[{name!r}]")
            return f"{tool}: {name}{place} cannot be sent: {error.message}"
    return f"{tool}: the arguments cannot be sent: {error.message}"
