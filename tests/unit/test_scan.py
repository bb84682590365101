"""Scanning a workspace: what was made, changed and removed is told exactly, and what is hostile is counted."""

import errno
import mmap
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from hashlib import sha256

import pytest

from protocell._workspace.reading import HELD_BYTES
from protocell._workspace.scan import Scanner
from protocell.errors import FileError
from protocell.files import FileSet
from tests.workspaces import (
    AS_ROOT,
    NOBODY,
    Place,
    can_make_devices,
    flatten,
    flip_file,
    flip_folder,
    is_tmpfs,
    made_place,
    make_deep,
    meanwhile,
    no_descriptor_left,
    no_free_descriptor,
    ordinary_user,
    wait_until_certain,
)

TIB = 1024**4


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    with no_descriptor_left():
        yield


@pytest.fixture
def place() -> Iterator[Place]:
    with made_place() as made:
        yield made


def told(files: FileSet) -> tuple[dict[str, str], tuple[str, ...], dict[str, int]]:
    return {path: file.change for path, file in files.items()}, files.removed, dict(files.left_out)


NOTHING: tuple[dict[str, str], tuple[str, ...], dict[str, int]] = ({}, (), {})


def test_the_first_scan_tells_everything_and_the_next_one_nothing(place: Place):
    place.write("b/c.txt", b"abc")
    place.write("a.txt", b"a")
    scanner = Scanner(place.fd)

    files = scanner.scan()

    assert told(files) == ({"a.txt": "made", "b/c.txt": "made"}, (), {})
    assert files["b/c.txt"].size == 3
    assert files["b/c.txt"].sha256 == sha256(b"abc").hexdigest()
    assert files["b/c.txt"].read() == b"abc"
    assert told(scanner.scan()) == NOTHING


def test_an_empty_workspace_has_nothing_to_tell(place: Place):
    assert told(Scanner(place.fd).scan()) == NOTHING


def test_each_scan_tells_what_was_done_since_the_last(place: Place):
    place.write("changed", b"1")
    place.write("removed", b"1")
    place.write("folder/removed", b"1")
    place.write("stays", b"1")
    scanner = Scanner(place.fd)
    scanner.scan()

    place.write("changed", b"22")
    place.write("made", b"1")
    (place.path / "removed").unlink()
    shutil.rmtree(place.path / "folder")

    changes = {"changed": "changed", "made": "made"}
    assert told(scanner.scan()) == (changes, ("folder/removed", "removed"), {})
    assert told(scanner.scan()) == NOTHING


def test_writing_the_same_bytes_again_is_no_change(place: Place):
    place.write("a", b"same")
    scanner = Scanner(place.fd)
    scanner.scan()

    place.write("a", b"same")
    assert told(scanner.scan()) == NOTHING
    (place.path / "a").unlink()
    place.write("a", b"same")
    assert told(scanner.scan()) == NOTHING
    (place.path / "a").touch()
    (place.path / "a").chmod(0o600)
    assert told(scanner.scan()) == NOTHING


def test_a_renamed_file_is_removed_here_and_made_there(place: Place):
    place.write("a", b"1")
    place.write("b", b"2")
    scanner = Scanner(place.fd)
    scanner.scan()

    (place.path / "a").rename(place.path / "b")
    (place.path / "folder").mkdir()
    assert told(scanner.scan()) == ({"b": "changed"}, ("a",), {})
    (place.path / "b").rename(place.path / "folder/c")
    assert told(scanner.scan()) == ({"folder/c": "made"}, ("b",), {})


def test_a_file_that_becomes_a_folder_is_removed(place: Place):
    place.write("a", b"1")
    scanner = Scanner(place.fd)
    scanner.scan()

    (place.path / "a").unlink()
    place.write("a/b", b"1")

    assert told(scanner.scan()) == ({"a/b": "made"}, ("a",), {})


def test_a_rewrite_of_the_same_size_is_seen_however_soon(place: Place):
    place.write("a", b"0000")
    scanner = Scanner(place.fd)
    scanner.scan()
    contents = []

    for number in range(1, 301):
        place.write("a", b"%04d" % number)
        contents.append(scanner.scan()["a"].read())

    assert contents == [b"%04d" % number for number in range(1, 301)]


def test_a_forged_mtime_hides_no_change(place: Place):
    path = place.write("a", b"1")
    scanner = Scanner(place.fd)
    scanner.scan()
    before = path.stat()

    for content in (b"2", b"3", b"4"):
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert told(scanner.scan()) == ({"a": "changed"}, (), {})


def test_a_change_without_any_new_stamp_is_seen_within_two_ticks(place: Place):
    """A second write to a mapped page leaves no stamp, as a second write(2) within one tick does."""
    if not is_tmpfs(place):
        pytest.skip("needs a tmpfs at /dev/shm")
    path = place.write("a", b"\0" * 4096)
    files, number = FileSet(), 0
    while not files and number < 250:  # until one change is made within two ticks
        number += 2
        with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 4096) as mapped:
            mapped[0] = number
            scanner = Scanner(place.fd)
            stamp = path.stat().st_ctime_ns
            scanner.scan()
            mapped[0] = number + 1
            files = scanner.scan()
            assert path.stat().st_ctime_ns == stamp

    assert told(files) == ({"a": "changed"}, (), {})


def test_a_change_that_only_the_digest_tells_counts_against_the_limit_too(place: Place):
    if not is_tmpfs(place):
        pytest.skip("needs a tmpfs at /dev/shm")
    path = place.write("b", b"\0" * 4096)
    files, number = FileSet(), 0
    while not files.left_out and number < 250:  # until one change is made within two ticks
        number += 2
        (place.path / "a").unlink(missing_ok=True)
        with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 4096) as mapped:
            mapped[0] = number
            scanner = Scanner(place.fd, max_files=1)
            scanner.scan()
            mapped[0] = number + 1
            place.write("a", b"x")
            files = scanner.scan()

    assert told(files) == ({"a": "made"}, (), {"too many files": 1})


def test_links_fifos_and_sockets_are_counted_once(place: Place):
    (place.path / "file").symlink_to("/etc/passwd")
    (place.path / "folder").symlink_to(place.outside)
    (place.path / "dangling").symlink_to("gone")
    os.mkfifo(place.path / "fifo")
    scanner = Scanner(place.fd)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{place.fd}/socket")

    assert told(scanner.scan()) == ({}, (), {"not a regular file": 5})
    (place.path / "another").symlink_to("/")
    assert told(scanner.scan()) == ({}, (), {"not a regular file": 1})


def test_a_file_that_becomes_a_link_is_removed(place: Place):
    path = place.write("secret.txt", b"own")
    scanner = Scanner(place.fd)
    scanner.scan()

    path.unlink()
    path.symlink_to("../outside/secret.txt")

    assert told(scanner.scan()) == ({}, ("secret.txt",), {"not a regular file": 1})


def test_devices_are_counted_and_not_opened(place: Place):
    if not can_make_devices(place):
        pytest.skip("only root outside a user namespace makes devices")
    os.mknod(place.path / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))

    assert told(Scanner(place.fd).scan()) == ({}, (), {"not a regular file": 1})


def test_what_is_mounted_below_stays_out():
    mounted = [entry.path for entry in os.scandir("/dev") if os.path.ismount(entry.path)]
    if not mounted:
        pytest.skip("nothing is mounted below /dev")
    devices = os.open("/dev", os.O_RDONLY | os.O_DIRECTORY)
    try:
        left_out = Scanner(devices, max_files=0).scan().left_out
    finally:
        os.close(devices)

    assert left_out["on another file system"] == len(mounted)


def test_a_tree_deeper_than_any_stack_ends_at_a_bound(place: Place):
    make_deep(place, 10_000)
    place.write("d/" * 63 + "last", b"x")
    place.write("d/" * 64 + "beyond", b"x")
    place.write("a", b"x")
    scanner = Scanner(place.fd)
    try:
        made = {"a": "made", "d/" * 63 + "last": "made"}
        assert told(scanner.scan()) == (made, (), {"too deep": 1})
        assert told(scanner.scan()) == NOTHING
    finally:
        (place.path / ("d/" * 63 + "last")).unlink()
        (place.path / ("d/" * 64 + "beyond")).unlink()
        flatten(place)


def test_the_first_256_of_5000_files_are_told_and_the_rest_is_counted(place: Place):
    for number in range(5000):
        place.write(f"{number:04}", b"x")
    scanner = Scanner(place.fd)

    files = scanner.scan()

    assert list(files) == [f"{number:04}" for number in range(256)]
    assert files.left_out == {"too many files": 4744}
    assert told(scanner.scan()) == NOTHING
    place.write("4999", b"y")
    assert told(scanner.scan()) == ({"4999": "changed"}, (), {})


def test_more_removed_files_than_may_be_named_are_counted(place: Place):
    for number in range(10):
        place.write(f"{number}", b"x")
    scanner = Scanner(place.fd, max_files=4)
    scanner.scan()

    for number in range(10):
        (place.path / f"{number}").unlink()

    assert told(scanner.scan()) == ({}, ("0", "1", "2", "3"), {"removed, not named": 6})


def test_names_that_cannot_be_shown_are_counted_and_not_entered(place: Place):
    for name in [b"new\nline", b"\xff\xfe", b"escape\x1b[2J", "rtl\u202e".encode(), b"tab\t"]:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=place.fd))
    os.mkdir(b"folder\xff", dir_fd=place.fd)
    os.close(os.open(b"folder\xff/a", os.O_CREAT | os.O_WRONLY, dir_fd=place.fd))
    scanner = Scanner(place.fd)

    assert told(scanner.scan()) == ({}, (), {"name not printable": 6})
    assert told(scanner.scan()) == NOTHING


def test_names_of_255_bytes_and_of_any_language_are_told(place: Place):
    names = ["x" * 255, "ü" * 127, "日本語.csv", "a b", "👩‍🔬.txt", "a'\"\\"]
    for name in names:
        place.write(name, b"x")

    assert list(Scanner(place.fd).scan()) == sorted(names)


def test_paths_longer_than_any_system_call_takes_are_counted(place: Place):
    folder = os.dup(place.fd)
    for _ in range(17):
        os.mkdir("x" * 250, dir_fd=folder)
        below = os.open("x" * 250, os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)

    assert told(Scanner(place.fd).scan()) == ({}, (), {"path too long": 1})


def test_a_large_file_is_counted_by_its_size_alone(place: Place):
    place.write("small", b"x")
    place.write("sparse")
    os.truncate(place.path / "sparse", TIB)
    scanner = Scanner(place.fd)

    assert told(scanner.scan()) == ({"small": "made"}, (), {"too large": 1})
    assert told(scanner.scan()) == NOTHING
    os.truncate(place.path / "sparse", 10)
    assert scanner.scan()["sparse"].read() == b"\0" * 10


def test_files_beyond_the_bytes_that_may_go_out_are_counted(place: Place):
    for name in "abc":
        place.write(name, b"x" * 40)
    place.write("d", b"x" * 20)

    files = Scanner(place.fd, max_bytes=100).scan()

    assert told(files) == (dict.fromkeys("abd", "made"), (), {"too many bytes": 1})


def test_what_could_not_be_compared_is_counted_and_compared_the_next_time(place: Place):
    place.write("b", b"b" * 60)
    scanner, files, number = Scanner(place.fd, max_bytes=120), FileSet(), 0
    scanner.scan()
    while not files.left_out and number < 100:  # until two scans are within two ticks
        number += 1
        place.write("b", b"%060d" % number)
        scanner.scan()
        place.write("a", b"%0100d" % number)
        files = scanner.scan()

    assert files.left_out == {"not compared": 1}
    wait_until_certain(place.path / "a")
    assert told(scanner.scan()) == ({}, (), {"not compared": 1})
    assert told(scanner.scan()) == NOTHING


def test_out_of_time_is_said_and_nothing_is_called_removed(place: Place):
    path = place.write("a/b", b"x")
    scanner = Scanner(place.fd)
    scanner.scan()
    path.unlink()
    hurried = Scanner(place.fd, max_seconds=0)
    hurried._known = scanner._known  # a scan that was in time, then one that was not

    assert told(hurried.scan()) == ({}, (), {"out of time": 1})
    assert told(scanner.scan()) == ({}, ("a/b",), {})


def test_too_many_entries_are_said_and_nothing_is_called_removed(place: Place):
    for number in range(5):
        place.write(f"{number}", b"x")
    scanner = Scanner(place.fd, max_entries=10)
    scanner.scan()

    (place.path / "0").unlink()
    for number in range(100, 200):
        place.write(f"folder/{number}", b"x")
    files = scanner.scan()

    assert files.left_out == {"too many entries": 1}
    assert [path for path in files.removed if path != "0"] == []
    shutil.rmtree(place.path / "folder")
    assert "0" in {*files.removed, *scanner.scan().removed}


def test_folders_that_were_not_entered_any_more_keep_their_files(place: Place):
    for name in ["a/1", "a/2", "b/1", "b/2", "c/1", "c/2"]:
        place.write(name, b"x")
    scanner, hurried = Scanner(place.fd), Scanner(place.fd, max_entries=4)
    scanner.scan()
    hurried._known = scanner._known

    assert told(hurried.scan()) == ({}, (), {"too many entries": 3})


def test_paths_take_a_bounded_amount_of_memory(place: Place):
    name = "x" * 200
    place.write("/".join([name] * 15), b"x")

    assert told(Scanner(place.fd, max_entries=100).scan())[2] == {}
    assert told(Scanner(place.fd, max_entries=50).scan()) == ({}, (), {"too many entries": 1})


def test_reading_ends_when_the_time_is_over(place: Place):
    place.write("a")
    os.truncate(place.path / "a", 250_000_000)  # takes at least a tenth of a second to read
    place.write("b", b"x")
    scanner = Scanner(place.fd, max_seconds=0.02)

    assert told(scanner.scan())[:2] == ({}, ())
    assert told(Scanner(place.fd).scan()) == ({"a": "made", "b": "made"}, (), {})


def test_a_folder_that_became_unreadable_is_counted_once_and_its_files_are_not_called_removed(
    place: Place,
):
    folder = place.write("folder/a", b"x").parent
    place.write("folder/below/b", b"x")
    place.write("c", b"x")
    place.write("other/d", b"x")
    scanner = Scanner(place.fd)
    with ordinary_user(place):
        scanner.scan()

        folder.chmod(0)
        place.write("c", b"y")
        (place.path / "other/d").unlink()
        assert told(scanner.scan()) == ({"c": "changed"}, ("other/d",), {"unreadable": 1})
        assert told(scanner.scan()) == NOTHING
        folder.chmod(0o400)  # listed, but nothing in it can be looked at
        assert told(scanner.scan()) == NOTHING
        folder.chmod(0o700)
        (folder / "a").unlink()
        assert told(scanner.scan()) == ({}, ("folder/a",), {})


def test_an_unreadable_home_is_counted_and_nothing_is_called_removed(place: Place):
    place.write("a", b"x")
    scanner = Scanner(place.fd)
    with ordinary_user(place):
        scanner.scan()
        place.path.chmod(0)
        assert told(scanner.scan()) == ({}, (), {"unreadable": 1})
        place.path.chmod(0o700)
        assert told(scanner.scan()) == NOTHING


def test_an_unreadable_file_is_counted_and_told_when_it_can_be_read(place: Place):
    with ordinary_user(place):
        path = place.write("a", b"x")
        path.chmod(0)
        scanner = Scanner(place.fd)

        assert told(scanner.scan()) == ({}, (), {"unreadable": 1})
        assert told(scanner.scan()) == NOTHING
        path.chmod(0o600)
        assert told(scanner.scan()) == ({"a": "changed"}, (), {})


def test_each_name_of_a_file_is_told(place: Place):
    os.link(place.write("a", b"x"), place.path / "b")
    scanner = Scanner(place.fd)

    assert told(scanner.scan()) == ({"a": "made", "b": "made"}, (), {})
    place.write("a", b"y")
    assert told(scanner.scan()) == ({"a": "changed", "b": "changed"}, (), {})


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_a_second_name_of_a_file_of_another_owner_stays_out(place: Place):
    os.link(place.outside / "secret.txt", place.path / "b")
    os.chown(place.path, NOBODY, NOBODY)

    assert told(Scanner(place.fd).scan()) == ({}, (), {"hard link to another owner's file": 1})


def test_a_link_that_takes_the_place_of_a_folder_during_the_scan_is_not_followed(place: Place):
    place.write("folder/own.txt", b"own")
    place.write_outside("only-outside.txt", b"secret")
    paths, contents, reasons = set(), set(), set()

    with meanwhile(flip_folder(place, "folder")):
        for _ in range(3000):
            files = Scanner(place.fd).scan()
            paths |= set(files)
            contents |= {file.read() for file in files.values()}
            reasons |= set(files.left_out)

    assert (paths, contents) == ({"folder/own.txt"}, {b"own"})
    assert reasons <= {"not a regular file", "changed during the scan"}


def test_a_link_that_takes_the_place_of_a_file_during_the_scan_is_not_followed(place: Place):
    place.write("file", b"own")
    link = place.outside / "link"
    link.symlink_to(place.outside / "secret.txt")
    contents = set()

    with meanwhile(flip_file(place, "file", link)):
        for _ in range(3000):
            contents |= {file.read() for file in Scanner(place.fd).scan().values()}

    assert contents == {b"own"}


def test_a_file_that_grows_during_the_scan_is_told_within_the_limit(place: Place):
    path = place.write("growing", b"x")
    sizes_are_true = set()

    def grow() -> None:
        with path.open("ab") as stream:
            stream.write(b"x" * 300)
        os.truncate(path, 1)

    with meanwhile(grow):
        for _ in range(500):
            files = Scanner(place.fd, max_bytes=200).scan()
            sizes_are_true |= {len(file.read()) == file.size for file in files.values()}

    assert sizes_are_true == {True}


def test_small_files_are_held_and_outlive_the_workspace(place: Place):
    place.write("a", b"x" * HELD_BYTES)
    with no_descriptor_left():
        files = Scanner(place.fd).scan()
        place.write("a", b"other")

        assert files["a"].read() == b"x" * HELD_BYTES


def test_only_so_much_is_held_in_memory(place: Place):
    place.write("a", b"a" * (HELD_BYTES // 2 + 1))
    place.write("b", b"b" * (HELD_BYTES // 2 + 1))
    before = len(os.listdir("/proc/self/fd"))

    files = Scanner(place.fd).scan()
    place.write("a", b"other")
    place.write("b", b"other")

    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert files["a"].read() == b"a" * (HELD_BYTES // 2 + 1)
    with pytest.raises(FileError):
        files["b"].read()


def test_large_files_share_one_descriptor_that_goes_with_the_last_of_them(place: Place):
    place.write("a", b"a" * (HELD_BYTES + 1))
    place.write("b", b"b" * (HELD_BYTES + 1))
    scanner = Scanner(place.fd)
    before = len(os.listdir("/proc/self/fd"))

    first = scanner.scan()
    place.write("c", b"c" * (HELD_BYTES + 1))
    second = scanner.scan()
    open_while_both = len(os.listdir("/proc/self/fd"))
    kept = second["c"]
    del first, second

    assert open_while_both == before + 1
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert kept.read() == b"c" * (HELD_BYTES + 1)
    del kept
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_large_file_is_read_after_the_sandbox_gave_its_descriptor_back(place: Place):
    place.write("folder/a", b"a" * (HELD_BYTES + 1))
    workspace = os.dup(place.fd)
    files = Scanner(workspace).scan()
    os.close(workspace)

    assert files["folder/a"].read() == b"a" * (HELD_BYTES + 1)


@pytest.mark.parametrize("content", [b"b" * (HELD_BYTES + 1), b"a" * (HELD_BYTES + 2), b"", None])
def test_a_large_file_that_changed_since_is_an_error(place: Place, content: bytes | None):
    path = place.write("a", b"a" * (HELD_BYTES + 1))
    file = Scanner(place.fd).scan()["a"]

    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)

    with pytest.raises(FileError) as caught:
        file.read()

    stale = "'a' has changed since it was reported; use sandbox.files.read for what is there now"
    assert str(caught.value).startswith(stale)


def test_what_the_host_wrote_is_accepted_and_not_told(place: Place):
    place.write("input.csv", b"x")
    scanner = Scanner(place.fd)
    scanner.accept()

    assert told(scanner.scan()) == NOTHING
    place.write("input.csv", b"y")
    place.write("output.csv", b"x")
    assert told(scanner.scan()) == ({"input.csv": "changed", "output.csv": "made"}, (), {})


def test_single_files_are_accepted_and_others_still_told(place: Place):
    place.write("removed", b"x")
    scanner = Scanner(place.fd)
    scanner.scan()

    place.write("folder/from-host", b"x")
    place.write("from-inside", b"x")
    (place.path / "removed").unlink()
    scanner.accept(["/home/user/folder/from-host", "removed", "never-there", "."])

    assert told(scanner.scan()) == ({"from-inside": "made"}, (), {})


def test_a_path_outside_cannot_be_accepted(place: Place):
    with pytest.raises(FileError, match="is not in the workspace"):
        Scanner(place.fd).accept(["/etc/passwd"])


def test_a_large_input_is_accepted_without_being_read(place: Place):
    path = place.write("input")
    os.truncate(path, TIB)
    scanner = Scanner(place.fd)
    scanner.accept()

    assert told(scanner.scan()) == NOTHING
    os.truncate(path, 5)
    assert told(scanner.scan()) == ({"input": "changed"}, (), {})


@pytest.mark.parametrize("size", [1, HELD_BYTES + 1])
def test_a_host_without_descriptors_says_so_and_the_next_scan_tells_it_all(place: Place, size: int):
    place.write("a", b"x" * size)
    scanner = Scanner(place.fd)

    with no_free_descriptor(), pytest.raises(FileError) as caught:
        scanner.scan()

    assert str(caught.value) == "the host cannot read the workspace: Too many open files"
    assert caught.value.errno == errno.EMFILE
    assert told(scanner.scan()) == ({"a": "made"}, (), {})


# -- the host's own work -------------------------------------------------------------------------------


def test_what_the_host_is_writing_is_not_looked_at_until_it_is_accepted(place: Place):
    place.write("known", b"1")
    scanner = Scanner(place.fd)
    scanner.scan()

    with scanner.held(["new", "known", "folder"]):
        place.write("new", b"half")
        place.write("known", b"half")
        place.write("folder/below", b"half")
        assert told(scanner.scan()) == NOTHING
        place.write("new", b"whole")
        scanner.accept(["new", "known", "folder/below"], workspace_fd=place.fd)

    assert told(scanner.scan()) == NOTHING


def test_what_is_held_is_looked_at_again_when_the_last_has_let_go(place: Place):
    scanner = Scanner(place.fd)
    with scanner.held(["a"]):
        with scanner.held(["a", "b"]):
            place.write("a", b"1")
        assert told(scanner.scan()) == NOTHING

    assert told(scanner.scan()) == ({"a": "made"}, (), {})


def test_what_the_host_removes_was_not_removed_by_the_code(place: Place):
    for name in ("folder/a", "folder/b/c", "folder2", "file"):
        place.write(name, b"1")
    scanner = Scanner(place.fd)
    scanner.scan()

    with scanner.held(["folder"]):
        shutil.rmtree(place.path / "folder")
        assert told(scanner.scan()) == NOTHING
        scanner.forget("folder", workspace_fd=place.fd)
    (place.path / "folder2").unlink()

    assert told(scanner.scan()) == ({}, ("folder2",), {})


def test_what_the_host_could_not_remove_is_still_known(place: Place):
    place.write("folder/gone", b"1")
    place.write("folder/there", b"1")
    scanner = Scanner(place.fd)
    scanner.scan()
    (place.path / "folder/gone").unlink()
    place.write("folder/there", b"the code's")

    scanner.forget("folder", workspace_fd=place.fd)

    assert told(scanner.scan()) == ({"folder/there": "changed"}, (), {})


def test_what_the_code_makes_again_after_the_host_removed_it_is_made(place: Place):
    place.write("a", b"1")
    scanner = Scanner(place.fd)
    scanner.scan()
    (place.path / "a").unlink()
    scanner.forget("a", workspace_fd=place.fd)

    place.write("a", b"1")

    assert told(scanner.scan()) == ({"a": "made"}, (), {})


@pytest.mark.parametrize("size", [1, HELD_BYTES * 5])
def test_a_rename_by_the_host_is_no_change(place: Place, size: int):
    place.write("a/b", b"x" * size)
    place.write("c", b"x" * size)
    (place.path / "a/link").symlink_to("/etc")
    scanner = Scanner(place.fd, max_bytes=HELD_BYTES)  # the large one is known by its stamps only
    scanner.scan()

    for old, new in (("a", "new"), ("c", "d")):
        (place.path / old).rename(place.path / new)
        scanner.moved(old, new, workspace_fd=place.fd)

    assert told(scanner.scan()) == NOTHING


def test_what_the_code_changed_before_the_host_renamed_it_is_changed(place: Place):
    for name in ("a", "b"):
        place.write(name, b"1")
    scanner = Scanner(place.fd)
    scanner.scan()
    place.write("a", b"2")
    place.write("new", b"1")

    for old, new in (("a", "b"), ("new", "newer")):
        (place.path / old).rename(place.path / new)
        scanner.moved(old, new, workspace_fd=place.fd)

    assert told(scanner.scan()) == ({"b": "changed", "newer": "made"}, (), {})


# -- folders that belong to one branch -----------------------------------------------------------------


def test_what_changes_in_a_folder_that_is_set_apart_is_told_to_its_owner_alone(place: Place):
    place.write("ours/old", b"x")
    place.write("ours/gone", b"x")
    place.write("all", b"x")
    scanner = Scanner(place.fd)
    scanner.scan()
    scanner.set_apart(["ours", "theirs"])
    place.write("ours/old", b"new")
    place.write("ours/new", b"new")
    place.write("theirs/new", b"new")
    (place.path / "ours/gone").unlink()
    os.mkfifo(place.path / "ours/fifo")
    place.write("all", b"new")

    assert told(scanner.scan()) == ({"all": "changed"}, (), {})
    assert told(scanner.scan("ours")) == (
        {"ours/new": "made", "ours/old": "changed"},
        ("ours/gone",),
        {"not a regular file": 1},
    )
    assert told(scanner.scan()) == NOTHING
    assert told(scanner.scan("ours")) == NOTHING
    assert told(scanner.scan("theirs")) == ({"theirs/new": "made"}, (), {})


def test_a_folder_that_is_nobodys_any_more_is_told_to_everybody(place: Place):
    scanner = Scanner(place.fd)
    scanner.set_apart(["ours"])
    place.write("ours/new", b"new")
    assert told(scanner.scan()) == NOTHING
    scanner.put_together("ours")

    assert told(scanner.scan()) == ({"ours/new": "made"}, (), {})


def test_a_folder_with_the_same_beginning_is_not_set_apart(place: Place):
    scanner = Scanner(place.fd)
    scanner.set_apart(["ours"])
    place.write("ours-too/new", b"new")
    place.write("deep/ours/new", b"new")

    assert told(scanner.scan()) == ({"deep/ours/new": "made", "ours-too/new": "made"}, (), {})
