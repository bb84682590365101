"""A copy of a small workspace, kept by the host beside a checkpoint, and put back with it.

Only regular files and folders can be put back as they were, with their modes; where there is something else, or
too much, none is taken, and the caller is told.  What is in a file is read and written as by ``files``: no link
is followed, and what is put back is no execution's work.

A branch that has a folder of its own keeps that and nothing else; any other context keeps the whole workspace,
which it may share, but for the folders of branches.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from protocell._workspace import listing, opening
from protocell._workspace.place import Place
from protocell._workspace.transfer import write_all
from protocell._workspace.tree import OF_BRANCHES, WHOLE
from protocell._workspace.writing import opened
from protocell.entries import FileType, Listing
from protocell.errors import CheckpointError, FileError
from protocell.limits import MIB, format_size
from protocell_guest.plan import HOME

MOST_BYTES = 64 * MIB
MOST_ENTRIES = 2_000
_MODE = 0o777
_OWNERS = 0o700  # without these nothing can be put into a folder


@dataclass(frozen=True, slots=True)
class Kept:
    """One file."""

    content: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was in a workspace, or in the folder of a branch; paths are relative to the workspace."""

    root: str
    """Where it was, as a whole path."""
    folders: Mapping[str, int]
    """With their modes."""
    files: Mapping[str, Kept]


async def take(place: Place) -> Snapshot:
    """All that is there.

    Raises:
        CheckpointError: it is too much, or not only files and folders.
    """
    root = f"{HOME}/{place.folder}" if place.folder else HOME
    return await place.look(partial(_take, root=root))


def _take(workspace: int, root: str) -> Snapshot:
    entries = _list(workspace, root)
    odd = [entry.path for entry in entries if entry.type not in (FileType.FILE, FileType.DIR)]
    left_out = [reason for reason in entries.left_out if reason != OF_BRANCHES]
    if odd or left_out:
        what = repr(odd[0]) if odd else ", ".join(left_out)
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
            files[_name(entry.path)] = Kept(content, entry.mode & _MODE)
    folders = {
        _name(entry.path): entry.mode & _MODE for entry in entries if entry.type is FileType.DIR
    }
    return Snapshot(root, folders, files)


def _list(workspace: int, root: str) -> Listing:
    found = listing.list_folder(workspace, root, depth=WHOLE, most=MOST_ENTRIES)
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
    if (root := _name(snapshot.root)) != HOME:
        await place.apart(partial(place.ask, "make_dir", root))
    look = partial(listing.list_folder, path=snapshot.root, depth=WHOLE, most=most_entries)
    there = await place.look(look)
    same = await place.look(partial(_unchanged, there=there, wanted=snapshot))
    await place.apart(partial(_change, place, snapshot, there, same))
    lost = {why: count for why, count in there.left_out.items() if why != OF_BRANCHES}
    if lost:
        what = ", ".join(f"{count} left out: {why}" for why, count in lost.items())
        raise FileError(f"the variables are restored, the files not wholly ({what})", path=HOME)


def _unchanged(workspace: int, there: Listing, wanted: Snapshot) -> set[str]:
    """Files that are as they are wanted."""
    found = set()
    for entry in there:
        kept = wanted.files.get(_name(entry.path))
        if kept is None or entry.type is not FileType.FILE or entry.size != len(kept.content):
            continue
        if entry.mode & _MODE == kept.mode:
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
    for name, mode in snapshot.folders.items():
        place.ask("make_dir", name, mode=mode | _OWNERS)
    for name in snapshot.files.keys() - same:
        kept = snapshot.files[name]
        with place.written([name]), opened(place, name, mode=kept.mode) as descriptor:
            write_all(descriptor, memoryview(kept.content), name)
    for name in sorted(snapshot.folders, reverse=True):
        if snapshot.folders[name] & _OWNERS != _OWNERS:
            place.ask("make_dir", name, mode=snapshot.folders[name])


def _remove(place: Place, name: str) -> None:
    for _ in place.remove_steps(name):
        pass
