"""Listing a workspace: what is there is told, by name, within bounds, and nothing is opened or followed."""

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from protocell._workspace.listing import is_there, list_folder, look_up
from protocell._workspace.place import not_done
from protocell.entries import EntryInfo, FileType, Listing
from protocell.errors import FileError
from tests.workspaces import (
    AS_ROOT,
    NOBODY,
    Place,
    flatten,
    made_place,
    make_deep,
    no_descriptor_left,
    no_free_descriptor,
)

THROUGH = "leads through or to something that is not a folder; links are never followed"


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    with no_descriptor_left():
        yield


@pytest.fixture
def place() -> Iterator[Place]:
    with made_place() as made:
        yield made


def told(listing: Listing) -> list[tuple[str, str, int]]:
    return [(entry.path, entry.type, entry.size) for entry in listing]


def test_a_folder_is_listed_by_name_with_types_and_sizes(place: Place):
    place.write("b.txt", b"12345")
    place.write("c/inner", b"")
    os.mkfifo(place.path / "d")
    (place.path / "a").symlink_to("/etc/passwd")

    listing = list_folder(place.fd, ".", most=10)

    assert told(listing) == [
        ("/home/user/a", "symlink", 0),
        ("/home/user/b.txt", "file", 5),
        ("/home/user/c", "dir", 0),
        ("/home/user/d", "other", 0),
    ]
    assert listing.left_out == {}
    assert told(list_folder(place.fd, "c", most=10)) == [("/home/user/c/inner", "file", 0)]


def test_a_tree_is_listed_down_to_a_depth_each_folder_before_what_is_in_it(place: Place):
    for name in ("a/b/c/d", "a/x", "a.txt", "b/y"):
        place.write(name)

    def paths(depth: int) -> list[str]:
        found = list_folder(place.fd, ".", depth=depth, most=100)
        return [entry.path.removeprefix("/home/user/") for entry in found]

    assert paths(1) == ["a", "a.txt", "b"]
    assert paths(2) == ["a", "a/b", "a/x", "a.txt", "b", "b/y"]
    assert paths(99) == ["a", "a/b", "a/b/c", "a/b/c/d", "a/x", "a.txt", "b", "b/y"]


def test_an_entry_says_what_the_kernel_says(place: Place):
    path = place.write("run.sh", b"123")
    path.chmod(0o750)
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))

    assert look_up(place.fd, "~/run.sh") == EntryInfo(
        name="run.sh",
        type=FileType.FILE,
        path="/home/user/run.sh",
        size=3,
        mode=0o750,
        permissions="rwxr-x---",
        owner="user",
        group="user",
        modified_time=datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC),
    )


def test_the_workspace_itself_is_an_entry(place: Place):
    entry = look_up(place.fd, "/home/user")

    assert (entry.name, entry.path, entry.type) == ("user", "/home/user", "dir")


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_what_another_user_owns_is_nobodys(place: Place):
    os.chown(place.write("a"), NOBODY, NOBODY)

    entry = look_up(place.fd, "a")

    assert (entry.owner, entry.group) == ("nobody", "nobody")


@pytest.mark.parametrize(
    "target, said", [("/etc/passwd", "/etc/passwd"), ("..", ".."), ("a\x1b[31mb", None), ("ü", "ü")]
)
def test_a_link_is_told_as_a_link_with_what_it_says_if_that_can_be_shown(
    place: Place, target: str, said: str | None
):
    (place.path / "link").symlink_to(target)

    (listed,) = list_folder(place.fd, ".", depth=9, most=10)

    assert (listed.type, listed.symlink_target) == (FileType.SYMLINK, said)
    assert look_up(place.fd, "link") == listed


@pytest.mark.parametrize("seconds", [2**62 // 10**9, -(2**62) // 10**9, 253_402_300_800, 0])
def test_a_time_that_no_calendar_has_is_the_nearest_that_there_is(place: Place, seconds: int):
    path = place.write("a")
    try:
        os.utime(path, (0, seconds))
    except OSError:
        pytest.skip("this file system has no such times")

    year = look_up(place.fd, "a").modified_time.year

    assert 1 <= year <= 9999


def test_there_is_nothing_behind_a_link_and_nothing_at_a_wrong_name(place: Place):
    place.write("a/b")
    (place.path / "alias").symlink_to("a")

    names = ["a", "a/b", "alias", ".", "alias/b", "a/b/c", "nope", "nope/x"]
    assert [is_there(place.fd, name) for name in names] == [True] * 4 + [False] * 4
    with pytest.raises(FileError, match="is not in the workspace"):
        is_there(place.fd, "/etc/passwd")
    with pytest.raises(FileError, match="'nope' does not exist in the workspace"):
        look_up(place.fd, "nope")


def test_a_listing_is_bounded_and_says_what_is_not_in_it(place: Place):
    for number in range(25):
        place.write(f"file{number}")
    place.write("with\nnewline")
    os.close(os.open(b"\xff\xfe", os.O_CREAT, dir_fd=place.fd))

    listing = list_folder(place.fd, "~", most=10)

    assert len(listing) == 10
    assert listing.left_out == {"too many entries": 15, "name not printable": 2}


def test_a_listing_of_long_paths_is_bounded_by_their_length_too(place: Place):
    folder = "/".join(["x" * 250] * 12)
    for number in range(40):
        place.write(f"{folder}/{number}")

    listing = list_folder(place.fd, ".", depth=20, most=60)

    assert sum(len(entry.path) for entry in listing) <= 60 * 1024 + 60 * len("/home/user/")
    assert len(listing) + listing.left_out["too many entries"] == 52


def test_listings_at_once_do_not_disturb_each_other(place: Place):
    for number in range(100):
        place.write(f"file{number}")

    with ThreadPoolExecutor(4) as pool:
        listings = list(pool.map(lambda _: list_folder(place.fd, ".", most=1000), range(200)))

    assert {len(listing) for listing in listings} == {100}


@pytest.mark.parametrize("name", ["file", "link", "fifo"])
def test_only_folders_are_listed(place: Place, name: str):
    place.write("file")
    (place.path / "link").symlink_to(place.outside)
    os.mkfifo(place.path / "fifo")

    with pytest.raises(FileError) as caught:
        list_folder(place.fd, name, most=10)

    assert str(caught.value) == f"'{name}' {THROUGH}"


def test_a_folder_deeper_than_any_path_is_listed_as_deep_as_paths_go(place: Place):
    make_deep(place, 10_000)
    try:
        assert told(list_folder(place.fd, "d/" * 64, most=10)) == [
            ("/home/user/" + "/".join("d" * 65), "dir", 0)
        ]
        whole = list_folder(place.fd, ".", depth=65, most=1000)
        assert (len(whole), whole.left_out) == (64, {"too deep": 1})
    finally:
        flatten(place)


def test_a_host_without_descriptors_says_so(place: Place):
    with no_free_descriptor(), pytest.raises(FileError) as caught:
        list_folder(place.fd, ".", most=10)

    assert caught.value.errno == errno.EMFILE


def test_a_listing_is_a_list():
    assert Listing() == []
    assert Listing().left_out == {}


def test_what_the_kernel_refuses_is_said_in_words():
    error = not_done("make_dir", "a/b", errno.ELOOP, "Too many levels of symbolic links")

    assert (error.errno, error.path) == (errno.ELOOP, "a/b")
    assert str(error) == (
        "cannot make 'a/b' in the workspace: it is a link or behind one, which is never followed"
    )
    assert str(not_done("write", "a", errno.ENOSPC, "No space left on device")) == (
        "cannot write 'a' in the workspace: no room is left for one more file or folder; "
        "the limit is workspace_inodes"
    )
    assert str(not_done("rename", "a", errno.EINVAL, "Invalid argument")) == (
        "cannot rename 'a' in the workspace: a folder cannot be moved into itself"
    )
