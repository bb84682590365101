"""MCP over a server's standard input and output: one JSON-RPC message a line, for the SDK's client.

Theory of operation: one task reads lines and gives the SDK messages, one writes what the SDK sends; both
end with the connection, and the process is ended after them. The SDK has such a transport too. This one
bounds what one line may hold, knows the process it started (``mcp_process``), and tells apart what else
comes on standard output: chatter before or between messages is no harm and is skipped, as real servers
print some, but a line that is a message and is broken means that an answer is lost, and a call that
waits for it would wait for ever. Then, as when the server ends, the whole connection is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import anyio
import mcp_types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from pydantic_core import from_json

from protocell.tools.mcp_process import ServerProcess

_Incoming = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[_Incoming], MemoryObjectSendStream[SessionMessage]]

# So many messages may wait for a server that does not read: enough that the news of a cancelled call
# finds room behind its request, and cancelling does not wait for that server.
_WAITING_MESSAGES = 64
_FLUSH_SECONDS = 0.5


@contextlib.asynccontextmanager
async def stdio_transport(
    start: Callable[[], ServerProcess], *, message_bytes: int, ended: Callable[[str], None]
) -> AsyncGenerator[Streams]:
    """The streams of a server that is started for them, and stopped at the end.

    ``ended`` is told, once and before the streams end, why the server can say no more.
    """
    process = start()
    to_client, from_server = anyio.create_memory_object_stream[_Incoming](0)
    from_client, to_server = anyio.create_memory_object_stream[SessionMessage](_WAITING_MESSAGES)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, process, to_client, message_bytes, ended)
            written = anyio.Event()
            tasks.start_soon(_write, process, to_server, written)
            try:
                yield from_server, from_client
            finally:
                from_client.close()
                with anyio.move_on_after(_FLUSH_SECONDS, shield=True):
                    await written.wait()
                tasks.cancel_scope.cancel()
    finally:
        for stream in (to_client, from_server, from_client, to_server):
            stream.close()
        with anyio.CancelScope(shield=True):
            await process.stop()


async def _read(
    process: ServerProcess,
    to_client: MemoryObjectSendStream[_Incoming],
    message_bytes: int,
    ended: Callable[[str], None],
) -> None:
    lines = Lines(message_bytes)
    why = ""
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with to_client:
            try:
                while chunk := await process.read():
                    for line in lines.feed(chunk):
                        if (message := parse(line)) is not None:
                            await to_client.send(message)
                    # Reading does not suspend while there is something to read, and others want to run.
                    await asyncio.sleep(0)
            except BadMessageError as error:
                why = str(error)
            except OSError:
                why = "closed its output"
            if not why:
                await process.gone(_FLUSH_SECONDS)
            ended(why or process.ending)


async def _write(
    process: ServerProcess,
    to_server: MemoryObjectReceiveStream[SessionMessage],
    written: anyio.Event,
) -> None:
    try:
        async with to_server:
            async for message in to_server:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.write(text.encode() + b"\n")
    except OSError:
        # It reads no more. That it writes no more either, the reader will find.
        return
    finally:
        written.set()


class BadMessageError(Exception):
    """An answer is lost: what the server did, as the end of a sentence."""


class Lines:
    """Cuts what comes into lines, and bounds a line that does not end."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._open: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk. Raises BadMessageError."""
        *ends, rest = chunk.split(b"\n")
        lines = []
        for end in ends:
            self._add(end)
            lines.append(b"".join(self._open))
            self._open, self._size = [], 0
        self._add(rest)
        return lines

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most:
            raise BadMessageError(f"sent a message of more than {self._most} bytes")
        if piece:
            self._open.append(piece)


def parse(line: bytes) -> SessionMessage | None:
    """The message in this line; None where it is chatter. Raises BadMessageError."""
    text = line.strip()
    if not text.startswith(b"{"):
        return None
    try:
        # In two steps: which kind of message it is, validate_json finds out in copies of its texts.
        message = mcp_types.jsonrpc_message_adapter.validate_python(from_json(text), by_name=False)
    except ValueError:
        if b'"jsonrpc"' in text:
            raise BadMessageError("sent a message that is broken") from None
        return None
    return SessionMessage(message)
