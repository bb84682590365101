"""Changing a workspace for the host: what is asked for is done, through no link, and in bounded steps."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from protocell_guest.kernel import beneath
from protocell_guest.workshop import MOST_STEPS, open_plainly, perform
from tests.workspaces import (
    AS_ROOT,
    Place,
    can_make_devices,
    exchange,
    made_place,
    make_deep,
    meanwhile,
    no_descriptor_left,
    ordinary_user,
)

Open = Callable[[int, str, int, int], int]

REFUSED = {"ELOOP", "ENOTDIR"}
DONE = {"{}", "{'made': True}"}


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    with no_descriptor_left():
        yield


@pytest.fixture
def place() -> Iterator[Place]:
    with made_place() as made:
        yield made


@pytest.fixture(params=[open_plainly, beneath.open_below], ids=["plainly", "openat2"])
def open_below(request: pytest.FixtureRequest) -> Open:
    """Both ways to open one component: with and without the kernel's help."""
    chosen: Open = request.param
    return chosen


def ask(place: Place, open_below: Open, what: str, path: str, **more: Any) -> Any:
    """Do it; gives the answer without its first word, or the name of the errno."""
    reply, descriptors = perform(place.fd, {"do": what, "path": path, **more}, open_below)
    for descriptor in descriptors:
        os.write(descriptor, b"new")
        os.close(descriptor)
    if reply["event"] == "refused":
        assert reply["detail"]
        return errno.errorcode[reply["errno"]]
    assert reply.pop("event") == "filed"
    return reply


def remove(place: Place, open_below: Open, path: str) -> int:
    """Remove all of it; how many requests it took."""
    for count in range(1, 1000):
        if not ask(place, open_below, "remove", path)["left"]:
            return count
    raise AssertionError("it is never removed")


def test_a_file_is_made_with_its_folders_and_written_over(place: Place, open_below: Open):
    assert ask(place, open_below, "write", "a/b/c") == {}
    assert (place.path / "a/b/c").read_bytes() == b"new"
    place.write("a/b/c", b"something longer")

    assert ask(place, open_below, "write", "a/b/c") == {}

    assert (place.path / "a/b/c").read_bytes() == b"new"


def test_a_file_is_executable_if_that_is_asked_for(place: Place, open_below: Open):
    modes = []
    for executable in (False, True):
        ask(place, open_below, "write", "a", mode=0o755 if executable else None)
        modes.append(stat.S_IMODE((place.path / "a").stat().st_mode))

    assert modes == [0o644, 0o755]


def test_the_other_name_of_a_file_is_left_as_it_is(place: Place, open_below: Open):
    secret = place.outside / "secret.txt"
    os.link(secret, place.path / "a")

    ask(place, open_below, "write", "a")

    assert secret.read_bytes() == b"secret"
    assert (place.path / "a").read_bytes() == b"new"


@pytest.mark.parametrize(
    "name, error",
    [
        ("link", "ELOOP"),
        ("dangling", "ELOOP"),
        ("fifo", "EINVAL"),
        ("folder", "EISDIR"),
        ("file/below", "ENOTDIR"),
    ],
)
def test_nothing_but_a_regular_file_is_written(
    place: Place, open_below: Open, name: str, error: str
):
    place.write("file")
    (place.path / "link").symlink_to(place.outside / "secret.txt")
    (place.path / "dangling").symlink_to(place.outside / "made")
    os.mkfifo(place.path / "fifo")
    (place.path / "folder").mkdir()

    assert ask(place, open_below, "write", name) == error
    assert os.listdir(place.outside) == ["secret.txt"]
    assert (place.outside / "secret.txt").read_bytes() == b"secret"


def test_a_device_is_not_opened(place: Place, open_below: Open):
    if not can_make_devices(place):
        pytest.skip("devices cannot be made here")
    os.mknod(place.path / "full", 0o666 | stat.S_IFCHR, os.makedev(1, 7))

    assert ask(place, open_below, "write", "full") == "EINVAL"


@pytest.mark.parametrize(
    "request_", [("write", {}), ("make_dir", {}), ("remove", {}), ("rename", {"to": "x"})]
)
@pytest.mark.parametrize("path", ["link/secret.txt", "link/x/y"])
def test_no_path_leads_through_a_link(
    place: Place, open_below: Open, request_: tuple[str, dict[str, str]], path: str
):
    (place.path / "link").symlink_to(place.outside)
    what, more = request_

    assert ask(place, open_below, what, path, **more) in {"ELOOP", "ENOTDIR"}
    assert os.listdir(place.outside) == ["secret.txt"]
    assert os.listdir(place.path) == ["link"]


def test_nothing_is_renamed_through_a_link(place: Place, open_below: Open):
    place.write("a", b"own")
    (place.path / "link").symlink_to(place.outside)

    assert ask(place, open_below, "rename", "a", to="link/a") in {"ELOOP", "ENOTDIR"}
    assert os.listdir(place.outside) == ["secret.txt"]


@pytest.mark.parametrize("path", ["", ".", "..", "a/../b", "/etc", "a//b", "a/", "x/" * 64 + "x"])
def test_a_path_that_is_none_is_refused(place: Place, open_below: Open, path: str):
    assert ask(place, open_below, "write", path) == "EINVAL"
    assert ask(place, open_below, "remove", path) == "EINVAL"


def test_a_folder_is_made_once(place: Place, open_below: Open):
    place.write("file")

    assert ask(place, open_below, "make_dir", "a/b") == {"made": True}
    assert ask(place, open_below, "make_dir", "a/b") == {"made": False}
    assert ask(place, open_below, "make_dir", "a") == {"made": False}
    assert ask(place, open_below, "make_dir", "file") == "ENOTDIR"


def test_a_folder_is_not_mistaken_for_a_link_to_one(place: Place, open_below: Open):
    (place.path / "link").symlink_to(place.outside)

    assert ask(place, open_below, "make_dir", "link") in {"ELOOP", "ENOTDIR"}


def test_files_folders_and_links_are_renamed_themselves(place: Place, open_below: Open):
    place.write("file", b"own")
    place.write("folder/a")
    (place.path / "link").symlink_to(place.outside)

    for name in ("file", "folder", "link"):
        assert ask(place, open_below, "rename", name, to=f"to/{name}2") == {}

    assert (place.path / "to/file2").read_bytes() == b"own"
    assert os.listdir(place.path / "to/folder2") == ["a"]
    assert os.readlink(place.path / "to/link2") == str(place.outside)
    assert os.listdir(place.outside) == ["secret.txt"]


def test_a_file_that_is_renamed_takes_the_place_of_a_file_or_link(place: Place, open_below: Open):
    place.write("a", b"own")
    (place.path / "link").symlink_to(place.outside / "secret.txt")

    assert ask(place, open_below, "rename", "a", to="link") == {}

    assert (place.path / "link").read_bytes() == b"own"
    assert (place.outside / "secret.txt").read_bytes() == b"secret"


def test_what_cannot_be_renamed_is_refused_and_no_folder_is_made(place: Place, open_below: Open):
    place.write("folder/a")
    place.write("other/a")

    assert ask(place, open_below, "rename", "nope", to="new/x") == "ENOENT"
    assert ask(place, open_below, "rename", "folder", to="folder/b") == "EINVAL"
    assert ask(place, open_below, "rename", "folder", to="other") == "ENOTEMPTY"
    assert sorted(os.listdir(place.path)) == ["folder", "other"]


@pytest.mark.parametrize("name", ["file", "folder", "link", "fifo", "nope", "nope/x"])
def test_whatever_it_is_it_is_removed_itself(place: Place, open_below: Open, name: str):
    place.write("file")
    place.write("folder/a/b/c")
    place.write("folder/d")
    (place.path / "folder/out").symlink_to(place.outside)
    (place.path / "link").symlink_to(place.outside)
    os.mkfifo(place.path / "fifo")
    before = set(os.listdir(place.path))

    assert remove(place, open_below, name) == 1

    assert set(os.listdir(place.path)) == before - {name}
    assert os.listdir(place.outside) == ["secret.txt"]


def test_a_large_folder_goes_in_several_requests_each_of_bounded_size(
    place: Place, open_below: Open
):
    for number in range(2 * MOST_STEPS):
        place.write(f"a/{number % 7}/{number}")

    before = len(list(place.path.rglob("*")))
    assert ask(place, open_below, "remove", "a") == {"left": True}
    assert before - len(list(place.path.rglob("*"))) <= MOST_STEPS
    assert remove(place, open_below, "a") <= 4
    assert os.listdir(place.path) == []


def test_a_folder_deeper_than_any_path_is_removed(place: Place, open_below: Open):
    make_deep(place, 10_000)

    assert remove(place, open_below, "d") <= 60

    assert os.listdir(place.path) == []


@pytest.mark.skipif(not AS_ROOT, reason="a mode is changed by its owner")
def test_a_folder_that_its_owner_closed_is_refused_where_modes_count(
    place: Place, open_below: Open
):
    place.write("closed/a")
    (place.path / "closed").chmod(0)

    with ordinary_user(place):
        assert ask(place, open_below, "remove", "closed") == "EACCES"
        assert ask(place, open_below, "write", "closed/a") == "EACCES"
        assert ask(place, open_below, "rename", "closed/a", to="a") == "EACCES"


def test_a_read_only_file_is_replaced(place: Place, open_below: Open):
    place.write("a", b"before").chmod(0o444)

    with ordinary_user(place):
        assert ask(place, open_below, "write", "a") == {}

    assert (place.path / "a").read_bytes() == b"new"


def test_a_folder_swapped_for_a_link_all_the_time_leads_nowhere(place: Place, open_below: Open):
    (place.path / "a").mkdir()
    (place.path / "evil").symlink_to(place.outside)
    outcomes: dict[str, set[str]] = {"write": set(), "make_dir": set(), "rename": set()}

    with meanwhile(exchange(place.path / "a", place.path / "evil")):
        for number in range(20_000):
            for what, seen in outcomes.items():
                path = f"a/{what}{number % 3}"
                more = {"to": f"a/renamed{number % 3}"} if what == "rename" else {}
                seen.add(str(ask(place, open_below, what, path, **more)))
            ask(place, open_below, "write", f"a/rename{number % 3}")
            ask(place, open_below, "remove", f"a/make_dir{number % 3}")
            if all(seen & REFUSED and seen & DONE for seen in outcomes.values()):
                break

    assert (place.outside / "secret.txt").read_bytes() == b"secret"
    assert os.listdir(place.outside) == ["secret.txt"]
    assert [what for what, seen in outcomes.items() if not (seen & REFUSED and seen & DONE)] == []


def test_a_folder_swapped_for_a_link_while_it_is_removed_leads_nowhere(
    place: Place, open_below: Open
):
    for round_ in range(30):
        for number in range(40):
            place.write(f"top/a/{number}")
        (place.path / "top/evil").symlink_to(place.outside)

        with meanwhile(exchange(place.path / "top/a", place.path / "top/evil")):
            for _ in range(100):
                outcome = ask(place, open_below, "remove", "top")
                assert outcome in ({"left": False}, {"left": True})
                if not outcome["left"]:
                    break

        assert os.listdir(place.outside) == ["secret.txt"], round_
        remove(place, open_below, "top")
