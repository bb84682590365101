"""The blocking face of a sandbox's files, and the values that it gives; names and shapes are those of E2B's SDK."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Literal, Self, overload

from protocell._waiter import BlockingWaiter, drive
from protocell._workspace.filesystem import Events, Filesystem, OnProgress, WriteEntry, Written
from protocell._workspace.stream import Stream
from protocell._workspace.transfer import Content
from protocell._workspace.watch import Watch
from protocell.entries import (
    EntryInfo,
    FilesystemEvent,
    FilesystemEventType,
    FileType,
    Listing,
    Progress,
    Transfer,
    WriteInfo,
)

__all__ = [
    "EntryInfo",
    "FileStreamReader",
    "FileType",
    "Files",
    "FilesystemEvent",
    "FilesystemEventType",
    "Listing",
    "Progress",
    "Transfer",
    "WatchHandle",
    "WriteEntry",
    "WriteInfo",
]


class FileStreamReader:
    """The content of a file in chunks: ``for chunk in files.read(path, format="stream")``.

    It holds the file open until its end, an error, ``close``, or the end of a ``with`` block.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Raises FileError if the file has grown beyond ``files_out_bytes``."""
        if chunk := self._stream.chunk():
            return chunk
        raise StopIteration

    def close(self) -> None:
        """Read no more; may be called twice."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class WatchHandle:
    """What happens in one folder: ``get_new_events`` now and then, or ``for event in handle``, which waits.

    It ends when it is stopped, when the folder is removed, and with the sandbox. One thread reads at a time; any
    thread may stop it.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    @property
    def left_out(self) -> Mapping[str, int]:
        """Events that are not told, by reason: names that are not printable."""
        return self._watch.left_out

    def get_new_events(self) -> Events:
        """What has happened since the last call, in order, at most 20,000 events; does not wait.

        Raises:
            ClosedError: it was stopped, or its sandbox closed.
            BusyError: another thread is reading.
        """
        return self._watch.take()

    def stop(self) -> None:
        """Watch no more; may be called twice."""
        self._watch.stop()

    def __iter__(self) -> Iterator[FilesystemEvent]:
        while (event := drive(self._watch.next(BlockingWaiter()))) is not None:
            yield event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class Files:
    """The workspace of a sandbox, ``/home/user``, from outside; also while code is running.

    A path is ``a/b``, ``~/a/b`` or ``/home/user/a/b``. No link is ever followed. All methods raise ``FileError`` for
    a path that leaves the workspace, ``ClosedError`` and ``SandboxDiedError`` when there is no sandbox any more.
    """

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem

    @overload
    def read(self, path: str, format: Literal["text"] = "text") -> str: ...
    @overload
    def read(self, path: str, format: Literal["bytes"]) -> bytes: ...
    @overload
    def read(self, path: str, format: Literal["stream"]) -> FileStreamReader: ...
    def read(
        self, path: str, format: Literal["text", "bytes", "stream"] = "text"
    ) -> str | bytes | FileStreamReader:
        """The content of a regular file, as text (UTF-8), bytes, or an iterator of chunks of bytes.

        Raises:
            FileError: it is not there, not a regular file, larger than ``files_out_bytes``, not text.
        """
        content = drive(self._filesystem.read(path, format))
        return FileStreamReader(content) if isinstance(content, Stream) else content

    @overload
    def write(self, path: str, data: Content) -> WriteInfo: ...
    @overload
    def write(
        self, path: Sequence[WriteEntry] | Mapping[str, Content], data: None = None
    ) -> Written: ...
    def write(
        self, path: str | Sequence[WriteEntry] | Mapping[str, Content], data: Content | None = None
    ) -> WriteInfo | Written:
        """Put a file there, or many; what was there is overwritten, missing folders are made.

        The content is bytes, text (as UTF-8), a ``pathlib.Path`` of a host file, a file open for reading, or an
        iterable of bytes (``AsyncFiles``: also an asynchronous one). When it fails in the middle, what was written so
        far stays.

        Raises:
            FileError: the content is larger than ``file_bytes``, something is in the way, or there is no room.
            PolicyError: the content is of another type; nothing was written.
        """
        return drive(self._filesystem.write(path, data))

    def write_files(self, files: Sequence[WriteEntry] | Mapping[str, Content]) -> Written:
        """Put many files there: ``[{"path": ..., "data": ...}, ...]`` or ``{path: data, ...}``; as ``write``."""
        return drive(self._filesystem.write_files(files))

    def list(self, path: str = "/home/user", depth: int | None = 1) -> Listing:
        """What is in a folder, by name, and in the folders in it down to ``depth`` (None: all).

        Raises:
            FileError: there is no such folder.
        """
        return drive(self._filesystem.list(path, depth))

    def exists(self, path: str) -> bool:
        """Whether anything has this name; nothing is behind a link."""
        return drive(self._filesystem.exists(path))

    def get_info(self, path: str) -> EntryInfo:
        """Type, size, mode, owner, time of what has this name; a link is told as a link.

        Raises:
            FileError: there is nothing.
        """
        return drive(self._filesystem.get_info(path))

    def make_dir(self, path: str) -> bool:
        """Make a folder, and those above it; False if it was there.

        Raises:
            FileError: something else has its name, or there is no room.
        """
        return drive(self._filesystem.make_dir(path))

    def rename(self, old_path: str, new_path: str) -> EntryInfo:
        """Give a file or folder another name; a file of that name is replaced, missing folders are made.

        Raises:
            FileError: there is nothing to rename, or something is in the way.
        """
        return drive(self._filesystem.rename(old_path, new_path))

    def remove(self, path: str) -> None:
        """Remove a file or link, or a folder with all that is in it; nothing happens if there is nothing.

        Raises:
            FileError: the code keeps making files there, or a mounted folder is in it.
        """
        drive(self._filesystem.remove(path))

    def watch(self, path: str = "/home/user", recursive: bool = False) -> WatchHandle:  # noqa: FBT001, FBT002  (E2B's)
        """Have told what happens in a folder from now on, but not in the folders in it. Linux only.

        Raises:
            FileError: there is no such folder, or the kernel has no watch left.
            PolicyError: ``recursive`` is asked for; the message says why not.
            UnsupportedError: this is not Linux.
        """
        return WatchHandle(drive(self._filesystem.watch(path, recursive=recursive)))

    watch_dir = watch

    def upload(
        self,
        host_folder: str | os.PathLike[str],
        path: str = "/home/user",
        *,
        progress: OnProgress | None = None,
    ) -> Transfer:
        """Copy what is in a folder of the host into a folder here; files of the same names are overwritten.

        Regular files and folders; links, devices, FIFOs, sockets and odd names are left out and counted. Files stay
        executable. ``progress`` is called with a ``Progress`` after each file, and each MiB of a large one.

        Raises:
            FileError: the folder cannot be read or is more than the limits allow, and nothing was written; or
                something is in the way or there is no room any more, and the files so far stay.
        """
        return drive(self._filesystem.upload(host_folder, path, progress))

    def download(
        self,
        path: str,
        host_folder: str | os.PathLike[str],
        *,
        progress: OnProgress | None = None,
        overwrite: bool = False,
    ) -> Transfer:
        """Copy what is in a folder here into a folder of the host, which is made if it is not there.

        Regular files and folders, at most ``workspace_inodes``, and ``files_out_bytes`` together; the rest is left out
        and counted. No link is followed or made on either side, and no file is executable.

        Raises:
            FileError: there is no such folder, or something is in the way (with ``overwrite``: something else than
                a regular file), and nothing was written; or the host cannot write, and the files so far stay.
        """
        return drive(self._filesystem.download(path, host_folder, progress, overwrite=overwrite))
