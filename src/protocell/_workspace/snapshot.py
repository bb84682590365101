"""A copy of a small workspace, kept by the host beside a checkpoint, and put back with it.

Only regular files and folders can be put back as they were; where there is something else, or too much, none
is taken, and the caller is told.  What is in a file is read and written as by ``files``: no link is followed,
and what is put back is no execution's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from protocell._workspace import listing, opening
from protocell._workspace.place import Place
from protocell._workspace.transfer import write_all
from protocell._workspace.tree import WHOLE
from protocell._workspace.writing import opened
from protocell.entries import FileType, Listing
from protocell.errors import CheckpointError, FileError
from protocell.limits import MIB, format_size
from protocell_guest.plan import HOME

MOST_BYTES = 64 * MIB
MOST_ENTRIES = 2_000
_EXECUTABLE = 0o100


@dataclass(frozen=True, slots=True)
class Kept:
    """One file."""

    content: bytes
    is_executable: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was in a workspace; paths are relative to it."""

    folders: tuple[str, ...]
    files: Mapping[str, Kept]


async def take(place: Place) -> Snapshot:
    """All that is there.

    Raises:
        CheckpointError: it is too much, or not only files and folders.
    """
    return await place.look(_take)


def _take(workspace: int) -> Snapshot:
    entries = _list(workspace)
    odd = [entry.path for entry in entries if entry.type not in (FileType.FILE, FileType.DIR)]
    if odd or entries.left_out:
        what = repr(odd[0]) if odd else ", ".join(entries.left_out)
        raise _refused(f"there is something other than regular files and folders ({what})")
    size = sum(entry.size for entry in entries)
    if size > MOST_BYTES:
        raise _refused(
            f"the files have {format_size(size)}, and {format_size(MOST_BYTES)} are kept"
        )
    files: dict[str, Kept] = {}
    left = MOST_BYTES  # a file can have grown since it was listed
    for entry in entries:
        if entry.type is FileType.FILE:
            content = opening.read(workspace, entry.path, left)
            left -= len(content)
            files[_name(entry.path)] = Kept(content, bool(entry.mode & _EXECUTABLE))
    folders = tuple(_name(entry.path) for entry in entries if entry.type is FileType.DIR)
    return Snapshot(folders, files)


def _list(workspace: int) -> Listing:
    found = listing.list_folder(workspace, HOME, depth=WHOLE, most=MOST_ENTRIES)
    if len(found) >= MOST_ENTRIES:
        raise _refused(f"there are {MOST_ENTRIES} files and folders or more")
    return found


def _refused(why: str) -> CheckpointError:
    return CheckpointError(f"files=True is for small workspaces: {why}; leave it out, or tidy up")


def _name(path: str) -> str:
    return path.removeprefix(HOME + "/")


async def put_back(place: Place, snapshot: Snapshot, most_entries: int) -> None:
    """Make the workspace what it was; ``most_entries`` is what it can hold.

    Raises:
        FileError: something is in the way: code that still runs there, or names that cannot be listed.
    """
    there = await place.look(
        partial(listing.list_folder, path=HOME, depth=WHOLE, most=most_entries)
    )
    same = await place.look(partial(_unchanged, there=there, wanted=snapshot))
    await place.apart(partial(_change, place, snapshot, there, same))
    if there.left_out:
        what = ", ".join(f"{count} left out: {why}" for why, count in there.left_out.items())
        raise FileError(f"the variables are restored, the files not wholly ({what})", path=HOME)


def _unchanged(workspace: int, there: Listing, wanted: Snapshot) -> set[str]:
    """Files that are as they are wanted."""
    found = set()
    for entry in there:
        kept = wanted.files.get(_name(entry.path))
        if kept is None or entry.type is not FileType.FILE or entry.size != len(kept.content):
            continue
        if bool(entry.mode & _EXECUTABLE) is kept.is_executable:
            with suppress(FileError):  # it cannot be read: then it is written anew
                if opening.read(workspace, entry.path, len(kept.content)) == kept.content:
                    found.add(_name(entry.path))
    return found


def _change(place: Place, snapshot: Snapshot, there: Listing, same: set[str]) -> None:
    for entry in sorted(there, key=lambda each: each.path, reverse=True):
        name = _name(entry.path)
        is_kept_folder = entry.type is FileType.DIR and name in snapshot.folders
        if name not in same and not is_kept_folder:
            _remove(place, name)
    for name in snapshot.folders:
        place.ask("make_dir", name)
    for name in snapshot.files.keys() - same:
        kept = snapshot.files[name]
        with (
            place.written([name]),
            opened(place, name, executable=kept.is_executable) as descriptor,
        ):
            write_all(descriptor, memoryview(kept.content), name)


def _remove(place: Place, name: str) -> None:
    with place.removed(name):
        for _ in range(MOST_ENTRIES):
            reply, _ = place.ask("remove", name)
            if not reply["left"]:
                return
