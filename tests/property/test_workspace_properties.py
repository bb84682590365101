"""Whatever happens to a tree, a scan tells the difference; whatever a path says, it stays in the workspace."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocell._printable import is_printable_line
from protocell._workspace.listing import list_folder
from protocell._workspace.opening import read
from protocell._workspace.paths import MAX_DEPTH, MAX_NAME_BYTES, normalise
from protocell._workspace.scan import Scanner
from protocell.errors import FileError
from tests.workspaces import Place, made_place, no_descriptor_left

Tree = dict[str, bytes]
Edit = tuple[str, str, str, bytes]

FOLDERS = ["", "f/", "f/g/", "h/"]
NAMES = ["a", "b", "f", "g", "ü ö"]
PATHS = st.builds("".join, st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES)))
# Few contents of few sizes, so that rewriting the same bytes, and other bytes of the same size, happens often.
CONTENTS = st.sampled_from([b"", b"0", b"1", b"00", b"01", b"x" * 5000, b"y" * 5000])
KINDS = ["write", "write", "rewrite", "remove", "rename", "touch", "forge", "link", "prune"]
EDITS = st.lists(st.tuples(st.sampled_from(KINDS), PATHS, PATHS, CONTENTS), max_size=12)


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    with no_descriptor_left():
        yield


def apply(place: Place, edit: Edit) -> None:
    """Do what model-written code could do; what cannot be done to this tree is not done."""
    kind, name, other, content = edit
    path, target = place.path / name, place.path / other
    try:
        if kind == "write":
            place.write(name, content)
        elif kind == "rewrite":
            with path.open("r+b") as stream:
                stream.write(content)
        elif kind == "remove":
            path.unlink()
        elif kind == "rename":
            path.rename(target)
        elif kind == "touch":
            path.touch(exist_ok=True)
        elif kind == "forge":
            status = path.stat()
            path.write_bytes(content)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        elif kind == "link":
            path.unlink()
            path.symlink_to(place.outside / "secret.txt")
        elif kind == "prune":
            shutil.rmtree(path)
    except OSError:
        return


def tree_of(place: Place) -> Tree:
    """Every regular file with its content, as a naive program would find it in a tree that nobody changes."""
    found = (Path(folder) / name for folder, _, files in os.walk(place.path) for name in files)
    return {
        str(path.relative_to(place.path)): path.read_bytes()
        for path in found
        if path.is_file() and not path.is_symlink()
    }


@settings(max_examples=150, deadline=None)
@given(st.lists(EDITS, min_size=1, max_size=5))
def test_what_a_scan_tells_is_the_difference_of_two_trees(rounds: list[list[Edit]]):
    with made_place() as place:
        scanner, before = Scanner(place.fd), Tree()
        for edits in rounds:
            for edit in edits:
                apply(place, edit)
            after = tree_of(place)

            files = scanner.scan()

            assert {path: file.change for path, file in files.items()} == {
                path: "changed" if path in before else "made"
                for path, content in after.items()
                if before.get(path) != content
            }
            assert {path: file.read() for path, file in files.items()} == {
                path: after[path] for path in files
            }
            assert files.removed == tuple(sorted(before.keys() - after.keys()))
            before = after


@settings(max_examples=60, deadline=None)
@given(EDITS)
def test_every_file_that_is_told_can_be_read_and_is_listed(edits: list[Edit]):
    with made_place() as place:
        for edit in edits:
            apply(place, edit)

        for path, file in Scanner(place.fd).scan().items():
            folder, _, name = path.rpartition("/")
            listing = list_folder(place.fd, folder or ".", most=100)
            assert read(place.fd, path, file.size) == file.read()
            assert [e.size for e in listing if (e.name, e.type) == (name, "file")] == [file.size]


@given(
    st.text() | st.lists(st.sampled_from([".", "..", "~", "a", "", "home", "user"])).map("/".join)
)
def test_a_path_either_stays_in_the_workspace_or_is_refused(path: str):
    try:
        parts = normalise(path)
    except FileError as refused:
        parts, message = (), str(refused)
    else:
        message = ""
    assert is_printable_line(message)
    assert {"", ".", ".."}.isdisjoint(parts)
    assert all("/" not in part and is_printable_line(part) for part in parts)
    assert all(len(part.encode()) <= MAX_NAME_BYTES for part in parts)
    assert len(parts) <= MAX_DEPTH
    assert normalise("/home/user/" + "/".join(parts)) == parts
