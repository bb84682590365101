"""The asyncio face of a sandbox's files: the same names, the same implementation (``filesystem``)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Literal, Self, overload

from protocell._waiter import Waiter
from protocell._workspace.filesystem import Events, Filesystem, OnProgress, WriteEntry, Written
from protocell._workspace.stream import Stream
from protocell._workspace.transfer import Content
from protocell._workspace.watch import Watch
from protocell.entries import EntryInfo, FilesystemEvent, Listing, Transfer, WriteInfo


class AsyncFileStreamReader:
    """As ``FileStreamReader``: ``async for chunk in await files.read(path, format="stream")``."""

    def __init__(self, stream: Stream, waiter: Waiter) -> None:
        self._stream = stream
        self._waiter = waiter

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Raises FileError if the file has grown beyond ``files_out_bytes``."""
        if chunk := await self._waiter.apart(self._stream.chunk):
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Read no more; may be called twice."""
        self._stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class AsyncWatchHandle:
    """As ``WatchHandle``: ``get_new_events`` now and then, or ``async for event in handle``, which waits."""

    def __init__(self, watch: Watch, waiter: Waiter) -> None:
        self._watch = watch
        self._waiter = waiter

    @property
    def left_out(self) -> Mapping[str, int]:
        """Events that are not told, by reason: names that are not printable."""
        return self._watch.left_out

    async def get_new_events(self) -> Events:
        """As ``WatchHandle.get_new_events``."""
        return self._watch.take()

    async def stop(self) -> None:
        """As ``WatchHandle.stop``."""
        self._watch.stop()

    async def __aiter__(self) -> AsyncIterator[FilesystemEvent]:
        while (event := await self._watch.next(self._waiter)) is not None:
            yield event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()


class AsyncFiles:
    """As ``Files``."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem

    @overload
    async def read(self, path: str, format: Literal["text"] = "text") -> str: ...
    @overload
    async def read(self, path: str, format: Literal["bytes"]) -> bytes: ...
    @overload
    async def read(self, path: str, format: Literal["stream"]) -> AsyncFileStreamReader: ...
    async def read(
        self, path: str, format: Literal["text", "bytes", "stream"] = "text"
    ) -> str | bytes | AsyncFileStreamReader:
        """As ``Files.read``."""
        content = await self._filesystem.read(path, format)
        if isinstance(content, Stream):
            return AsyncFileStreamReader(content, self._filesystem.waiter)
        return content

    @overload
    async def write(self, path: str, data: Content) -> WriteInfo: ...
    @overload
    async def write(
        self, path: Sequence[WriteEntry] | Mapping[str, Content], data: None = None
    ) -> Written: ...
    async def write(
        self, path: str | Sequence[WriteEntry] | Mapping[str, Content], data: Content | None = None
    ) -> WriteInfo | Written:
        """As ``Files.write``."""
        return await self._filesystem.write(path, data)

    async def write_files(self, files: Sequence[WriteEntry] | Mapping[str, Content]) -> Written:
        """As ``Files.write_files``."""
        return await self._filesystem.write_files(files)

    async def list(self, path: str = "/home/user", depth: int | None = 1) -> Listing:
        """As ``Files.list``."""
        return await self._filesystem.list(path, depth)

    async def exists(self, path: str) -> bool:
        """As ``Files.exists``."""
        return await self._filesystem.exists(path)

    async def get_info(self, path: str) -> EntryInfo:
        """As ``Files.get_info``."""
        return await self._filesystem.get_info(path)

    async def make_dir(self, path: str) -> bool:
        """As ``Files.make_dir``."""
        return await self._filesystem.make_dir(path)

    async def rename(self, old_path: str, new_path: str) -> EntryInfo:
        """As ``Files.rename``."""
        return await self._filesystem.rename(old_path, new_path)

    async def remove(self, path: str) -> None:
        """As ``Files.remove``."""
        await self._filesystem.remove(path)

    async def watch(self, path: str = "/home/user", recursive: bool = False) -> AsyncWatchHandle:  # noqa: FBT001, FBT002  (E2B's)
        """As ``Files.watch``."""
        watch = await self._filesystem.watch(path, recursive=recursive)
        return AsyncWatchHandle(watch, self._filesystem.waiter)

    watch_dir = watch

    async def upload(
        self,
        host_folder: str | os.PathLike[str],
        path: str = "/home/user",
        *,
        progress: OnProgress | None = None,
    ) -> Transfer:
        """As ``Files.upload``."""
        return await self._filesystem.upload(host_folder, path, progress)

    async def download(
        self,
        path: str,
        host_folder: str | os.PathLike[str],
        *,
        progress: OnProgress | None = None,
        overwrite: bool = False,
    ) -> Transfer:
        """As ``Files.download``."""
        return await self._filesystem.download(path, host_folder, progress, overwrite=overwrite)
