"""The workspace of a sandbox from outside, written once; ``Files`` and ``AsyncFiles`` are its two faces.

Every method that waits is a coroutine and waits through the ``Waiter`` it was given. What is changed inside is changed
by the sandbox's init (``protocell_guest.workshop``); what is looked at, the host looks at itself (``workspace``).
Work comes in steps, each done apart, so that a task can be cancelled between two of them.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Literal, Protocol, TypedDict, TypeVar

from protocell._waiter import Waiter
from protocell._workspace import listing, opening
from protocell._workspace.download import Download
from protocell._workspace.paths import bad_path
from protocell._workspace.place import Place
from protocell._workspace.stream import Stream
from protocell._workspace.transfer import Content, Source
from protocell._workspace.tree import WHOLE
from protocell._workspace.upload import Upload
from protocell._workspace.watch import Watch
from protocell._workspace.watch import start as start_watch
from protocell._workspace.writing import pour, write_steps
from protocell.entries import (
    EntryInfo,
    FilesystemEvent,
    FileType,
    Listing,
    Progress,
    Transfer,
    WriteInfo,
)
from protocell.errors import FileError, PolicyError
from protocell.policy import Policy
from protocell_guest.plan import HOME

S = TypeVar("S")

Format = Literal["text", "bytes", "stream"]
# For classes that have a method ``list``.
Written = list[WriteInfo]
Events = list[FilesystemEvent]
OnProgress = Callable[[Progress], None]


class WriteEntry(TypedDict):
    """One of several files to write."""

    path: str
    data: Content


class Home(Protocol):
    """What a file system needs of a sandbox."""

    policy: Policy

    async def open(self) -> Place:
        """The sandbox, made if it is not there yet."""
        ...


class Filesystem:
    """What can be done with a workspace."""

    def __init__(self, home: Home, waiter: Waiter) -> None:
        self._home = home
        self.waiter = waiter
        self._limits = home.policy.limits

    # -- looking ----------------------------------------------------------------------------------

    async def read(self, path: str, format: Format) -> str | bytes | Stream:
        """A regular file."""
        if format not in ("text", "bytes", "stream"):
            raise PolicyError(f"format is {format!r}; allowed is 'text', 'bytes' or 'stream'")
        opening.normalise(path)
        most = self._limits.files_out_bytes
        place = await self._home.open()
        if format == "stream":
            return await place.look(partial(Stream, path=path, most=most))
        content = await place.look(partial(opening.read, path=path, max_bytes=most))
        return content if format == "bytes" else _as_text(content, path)

    async def list(self, path: str, depth: int | None) -> Listing:
        """A folder."""
        opening.normalise(path)
        if depth is None:
            depth = WHOLE
        if type(depth) is not int or depth < 1:
            raise PolicyError(f"depth is {depth!r}; allowed is 1 or more, or None for all")
        most = self._limits.workspace_inodes
        look = partial(listing.list_folder, path=path, depth=depth, most=most)
        return await (await self._home.open()).look(look)

    async def exists(self, path: str) -> bool:
        """Whether something has this name."""
        opening.normalise(path)
        return await (await self._home.open()).look(partial(listing.is_there, path=path))

    async def get_info(self, path: str) -> EntryInfo:
        """What has this name."""
        opening.normalise(path)
        return await (await self._home.open()).look(partial(listing.look_up, path=path))

    async def watch(self, path: str, *, recursive: bool) -> Watch:
        """A folder from now on."""
        if recursive:
            raise PolicyError(
                "recursive=True is not supported: each folder would take one of the inotify watches of this "
                "machine's user, and code inside could use them all up; watch folders one by one"
            )
        parts = opening.normalise(path)
        place = await self._home.open()

        def start(workspace: int) -> Watch:
            with opening.explained(path):
                folder = opening.open_folder(workspace, parts, os.fstat(workspace))
            try:
                return start_watch(folder, path)
            finally:
                os.close(folder)

        watch = await place.look(start)
        place.add_watch(watch)
        return watch

    # -- changing ---------------------------------------------------------------------------------

    async def write(
        self, path: str | Sequence[WriteEntry] | Mapping[str, Content], data: Content | None = None
    ) -> WriteInfo | Written:
        """One file, or many."""
        if isinstance(path, str):
            return (await self.write_files({path: data}))[0]  # type: ignore[dict-item]
        return await self.write_files(path)

    async def write_files(self, files: Sequence[WriteEntry] | Mapping[str, Content]) -> Written:
        """All of them, or none if one of the names or types is wrong."""
        most = self._limits.file_bytes
        found = [(_name(path), Source(path, data, most)) for path, data in _pairs(files)]
        if found:
            place = await self._home.open()
            at_once = [(name, source) for name, source in found if source.later is None]
            await self._through(write_steps(place, at_once))
            for name, source in found:
                if source.later is not None:
                    await self._pour(pour(place, name, source), source.later)
        return [_info(name) for name, _ in found]

    async def _pour(self, sink: Generator[None, object], chunks: AsyncIterable[object]) -> None:
        """Write content that has to be awaited."""
        try:
            await self.waiter.apart(partial(next, sink))
            async for chunk in chunks:
                await self.waiter.apart(partial(sink.send, chunk))
        finally:
            await self.waiter.apart(sink.close)

    async def make_dir(self, path: str) -> bool:
        """A folder, and those above it."""
        name = "/".join(opening.normalise(path))
        place = await self._home.open()
        if not name:
            return False
        reply, _ = await self.waiter.apart(partial(place.ask, "make_dir", name))
        return bool(reply["made"])

    async def rename(self, old_path: str, new_path: str) -> EntryInfo:
        """Another name for a file or folder."""
        old, new = _name(old_path), _name(new_path)
        place = await self._home.open()
        await self.waiter.apart(partial(place.rename, old, new))
        return await place.look(partial(listing.look_up, path=f"{HOME}/{new}"))

    async def remove(self, path: str) -> None:
        """Whatever has this name, with all that is in it."""
        name = _name(path)
        place = await self._home.open()
        await self._through(place.remove_steps(name))

    # -- folders ----------------------------------------------------------------------------------

    async def upload(
        self, host_folder: str | os.PathLike[str], path: str, progress: OnProgress | None
    ) -> Transfer:
        """A folder of the host, into the workspace."""
        upload = Upload(os.fspath(host_folder), path, self._limits)
        place = await self._home.open()
        await self._through(upload.steps(place), progress)
        assert upload.tally is not None  # noqa: S101  (made by the first step)
        return upload.tally.transfer

    async def download(
        self,
        path: str,
        host_folder: str | os.PathLike[str],
        progress: OnProgress | None,
        *,
        overwrite: bool,
    ) -> Transfer:
        """A folder of the workspace, to the host."""
        folder = os.fspath(host_folder)
        download = Download(path, folder, self._limits, overwrite=overwrite)
        place = await self._home.open()
        await self._through(download.steps(place), progress)
        assert download.tally is not None  # noqa: S101  (made by the first step)
        return download.tally.transfer

    async def _through(self, steps: Generator[S], tell: Callable[[S], None] | None = None) -> None:
        """Go through them, each apart; what they hold is given back also when one fails or this is cancelled."""
        try:
            while (step := await self.waiter.apart(partial(next, steps, _END))) is not _END:
                if tell is not None:
                    tell(step)
        finally:
            await self.waiter.apart(steps.close)


_END: object = object()


def _name(path: str) -> str:
    """The path below the workspace; raises FileError if it is the workspace itself, or leaves it."""
    parts = opening.normalise(path)
    if not parts:
        raise bad_path(path, "is the workspace itself; name a file in it")
    return "/".join(parts)


def _pairs(files: Sequence[WriteEntry] | Mapping[str, Content]) -> list[tuple[str, Content]]:
    if isinstance(files, Mapping):
        return list(files.items())
    try:
        return [(entry["path"], entry["data"]) for entry in files]
    except (TypeError, KeyError) as error:
        allowed = (
            "a path and its content, a mapping of them, or a list of {'path': ..., 'data': ...}"
        )
        raise PolicyError(f"what to write is not understood; allowed is {allowed}") from error


def _info(name: str) -> WriteInfo:
    return WriteInfo(name=name.rpartition("/")[2], type=FileType.FILE, path=f"{HOME}/{name}")


def _as_text(content: bytes, path: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        text = f"{path!r} is not UTF-8 text (byte {error.start}); use format='bytes'"
        raise FileError(text, path=path) from error
