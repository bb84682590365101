"""Reading a workspace: what is its own comes out whole, and nothing else does, whatever lies in the way."""

import errno
import fcntl
import os
import signal
import socket
import stat
from collections.abc import Iterator

import pytest

from protocell._workspace.listing import list_folder
from protocell._workspace.opening import open_for_reading, read, read_at_most
from protocell._workspace.paths import normalise
from protocell.errors import FileError
from tests.workspaces import (
    AS_ROOT,
    NOBODY,
    Place,
    can_make_devices,
    flip_file,
    flip_folder,
    made_place,
    meanwhile,
    no_descriptor_left,
    no_free_descriptor,
    ordinary_user,
)

TIB = 1024**4
LINK = "is a link, which is never followed"
THROUGH = "leads through or to something that is not a folder; links are never followed"
SPECIAL = "is a FIFO, socket or device, which is never opened"


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    with no_descriptor_left():
        yield


@pytest.fixture
def place() -> Iterator[Place]:
    with made_place() as made:
        yield made


def refusal(place: Place, path: str, max_bytes: int = 100) -> str:
    with pytest.raises(FileError) as caught:
        read(place.fd, path, max_bytes)
    return str(caught.value)


def contents_of(place: Place, path: str) -> set[bytes]:
    """Read over and over, at least until it was both there and not there."""
    contents = set()
    for attempt in range(50_000):
        try:
            contents.add(read(place.fd, path, 100))
        except FileError:
            contents.add(b"refused")
        if attempt >= 5000 and len(contents) > 1:
            break
    return contents


@pytest.mark.parametrize(
    "path, parts",
    [
        ("a", ("a",)),
        ("a/b", ("a", "b")),
        ("./a//b/.", ("a", "b")),
        ("~/a", ("a",)),
        ("~", ()),
        ("./~", ("~",)),
        ("~a", ("~a",)),
        (".", ()),
        ("/home/user", ()),
        ("/home/user/", ()),
        ("//home//user/a b/ü", ("a b", "ü")),
        ("home/user/a", ("home", "user", "a")),
        ("...", ("...",)),
        ("a\\b", ("a\\b",)),
        ("x" * 255, ("x" * 255,)),
        ("a/" * 64, ("a",) * 64),
        ("/home/user/" + "a/" * 64, ("a",) * 64),
    ],
)
def test_a_path_is_taken_relative_to_the_home_inside(path: str, parts: tuple[str, ...]):
    assert normalise(path) == parts


CONTROL = "has a control character, a line break or a lone surrogate in it"
OUTSIDE = "is not in the workspace; only files below /home/user can be reached from outside"


@pytest.mark.parametrize(
    "path, message",
    [
        ("", "'' is empty; '.' is the workspace itself"),
        ("..", "'..' has '..' in it; write the path without"),
        ("a/../b", "'a/../b' has '..' in it; write the path without"),
        ("/home/user/../x", "'/home/user/../x' has '..' in it; write the path without"),
        ("/tmp/a", f"'/tmp/a' {OUTSIDE}"),
        ("/", f"'/' {OUTSIDE}"),
        ("/home/username/a", f"'/home/username/a' {OUTSIDE}"),
        ("a\0b", f"'a\\x00b' {CONTROL}"),
        ("a\nb", f"'a\\nb' {CONTROL}"),
        ("a\x1b[2J", f"'a\\x1b[2J' {CONTROL}"),
        ("a\ud800", f"'a\\ud800' {CONTROL}"),
        ("a\u202eb", f"'a\\u202eb' {CONTROL}"),
        ("x" * 256, f"'{'x' * 97}...' has a name of more than 255 bytes in it"),
        ("ü" * 128, f"'{'ü' * 97}...' has a name of more than 255 bytes in it"),
        ("a/" * 65, f"'{('a/' * 65)[:97]}...' has more than 64 components"),
        ("a" * 4097, f"'{'a' * 97}...' is longer than 4096 bytes"),
    ],
)
def test_a_path_that_means_no_file_of_the_workspace_is_refused(path: str, message: str):
    with pytest.raises(FileError) as caught:
        normalise(path)

    assert str(caught.value) == message
    assert caught.value.path == path


def test_a_path_that_is_no_text_is_a_type_error():
    with pytest.raises(TypeError, match="a path in the workspace is a str, not bytes"):
        normalise(b"a")  # type: ignore[arg-type]


def test_a_file_comes_out_as_it_is(place: Place):
    place.write("a/b.bin", b"\0\xff" * 3_000_000)

    assert read(place.fd, "a/b.bin", 6_000_000) == b"\0\xff" * 3_000_000
    assert read(place.fd, "/home/user/a/b.bin", 6_000_000) == b"\0\xff" * 3_000_000


def test_an_empty_file_may_be_read_with_a_limit_of_nothing(place: Place):
    place.write("empty")

    assert read(place.fd, "empty", 0) == b""


def test_a_file_of_one_byte_too_many_is_refused(place: Place):
    place.write("a", b"x" * 101)

    assert refusal(place, "a") == "'a' has 101 bytes; the limit is 100 bytes"


def test_a_sparse_file_is_refused_by_its_size_without_being_read(place: Place):
    place.write("sparse")
    os.truncate(place.path / "sparse", TIB)

    assert refusal(place, "sparse") == "'sparse' has 1 TiB; the limit is 100 bytes"


def test_a_missing_file_is_an_error_that_names_it(place: Place):
    assert refusal(place, "a/b") == "'a/b' does not exist in the workspace"


@pytest.mark.parametrize("path", [".", "~", "/home/user"])
def test_the_workspace_itself_is_not_read(place: Place, path: str):
    assert refusal(place, path) == f"'{path}' is the workspace itself; list it"


def test_a_folder_is_not_read(place: Place):
    place.write("folder/a")

    assert refusal(place, "folder") == "'folder' is a folder; list it"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside/secret.txt", "own.txt", "gone"])
def test_a_link_in_the_place_of_a_file_is_not_followed(place: Place, target: str):
    place.write("own.txt", b"own")
    (place.path / "link").symlink_to(target)

    assert refusal(place, "link") == f"'link' {LINK}"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_link_in_the_place_of_a_folder_is_not_followed(place: Place, position: int):
    place.write("a/b/c/secret.txt", b"own")
    (place.outside / "b/c").mkdir(parents=True)
    for name in ["secret.txt", "b/secret.txt", "b/c/secret.txt"]:
        place.write_outside(name, b"secret")
    folder = place.path.joinpath(*"abc"[: position + 1])
    folder.rename(place.outside / "aside")
    folder.symlink_to(place.outside)

    assert refusal(place, "a/b/c/secret.txt") == f"'a/b/c/secret.txt' {THROUGH}"


def test_a_link_that_takes_the_place_of_a_folder_meanwhile_is_not_followed(place: Place):
    place.write("folder/secret.txt", b"own")

    with meanwhile(flip_folder(place, "folder")):
        contents = contents_of(place, "folder/secret.txt")

    assert contents == {b"own", b"refused"}


def test_a_link_that_takes_the_place_of_a_file_meanwhile_is_not_followed(place: Place):
    place.write("file", b"own")
    link = place.outside / "link"
    link.symlink_to(place.outside / "secret.txt")

    with meanwhile(flip_file(place, "file", link)):
        contents = contents_of(place, "file")

    assert contents == {b"own", b"refused"}


def test_a_fifo_without_a_writer_does_not_hold_the_host(place: Place):
    os.mkfifo(place.path / "fifo")

    assert refusal(place, "fifo") == f"'fifo' {SPECIAL}"


def test_a_fifo_that_takes_the_place_of_a_file_meanwhile_does_not_hold_the_host(place: Place):
    place.write("file", b"own")
    os.mkfifo(place.outside / "fifo")

    with meanwhile(flip_file(place, "file", place.outside / "fifo")):
        contents = contents_of(place, "file")

    assert contents == {b"own", b"refused"}


def test_a_socket_is_not_read(place: Place):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{place.fd}/socket")

        assert refusal(place, "socket") == f"'socket' {SPECIAL}"


def test_a_device_is_not_opened(place: Place):
    if not can_make_devices(place):
        pytest.skip("only root outside a user namespace makes devices")
    os.mknod(place.path / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))

    assert refusal(place, "zero") == f"'zero' {SPECIAL}"


def test_what_is_mounted_below_is_not_read():
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(FileError) as caught:
            read(root, "proc/version", 1000)
    finally:
        os.close(root)

    assert str(caught.value) == "'proc/version' is a mounted folder of the host; read it there"


def test_a_lease_on_a_file_does_not_hold_the_host(place: Place):
    path = place.write("leased", b"own")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with path.open("r+b") as stream:
            fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            message = refusal(place, "leased")
    finally:
        signal.signal(signal.SIGIO, before)

    assert message == "'leased' is held by a lease of a running process; try again later"


def test_a_file_of_mode_000_is_unreadable_to_an_ordinary_user(place: Place):
    place.write("closed", b"own").chmod(0)

    with ordinary_user(place):
        message = refusal(place, "closed")

    assert message == "'closed' cannot be read: the code took the permission away"


def test_a_folder_of_mode_000_is_unreadable_to_an_ordinary_user(place: Place):
    folder = place.write("closed/a", b"own").parent

    with ordinary_user(place):
        folder.chmod(0)
        message = refusal(place, "closed/a")
        with pytest.raises(FileError) as caught:
            list_folder(place.fd, "closed", most=10)
        folder.chmod(0o700)

    assert message == "'closed/a' cannot be read: the code took the permission away"
    assert str(caught.value) == "'closed' cannot be read: the code took the permission away"


def test_a_second_name_of_the_codes_own_file_is_read(place: Place):
    os.link(place.write("a", b"own"), place.path / "b")

    assert read(place.fd, "b", 100) == b"own"


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_a_second_name_of_a_file_of_another_owner_is_refused(place: Place):
    os.link(place.outside / "secret.txt", place.path / "b")
    os.chown(place.path, NOBODY, NOBODY)

    assert refusal(place, "b") == "'b' is a hard link to a file of another owner"


def test_a_file_that_grows_while_it_is_read_stays_within_the_limit(place: Place):
    path = place.write("growing", b"x")
    outcomes = set()

    def grow() -> None:
        with path.open("ab") as stream:
            stream.write(b"x" * 50)
        os.truncate(path, 1)

    with meanwhile(grow):
        for _ in range(2000):
            try:
                outcomes.add(len(read(place.fd, "growing", 30)) <= 30)
            except FileError as error:
                outcomes.add(error.errno == errno.EFBIG)

    assert outcomes == {True}


def test_a_stream_ends_at_its_bound_though_the_file_goes_on(place: Place):
    path = place.write("growing", b"x" * 5)

    with open_for_reading(place.fd, "growing") as stream:
        path.write_bytes(b"y" * 50)
        assert read_at_most(stream.fileno(), 20) == b"y" * 20


def test_a_file_cut_short_while_it_is_read_ends_early(place: Place):
    path = place.write("shrinking", b"x" * 50)

    with open_for_reading(place.fd, "shrinking") as stream:
        os.truncate(path, 7)
        assert read_at_most(stream.fileno(), 50) == b"x" * 7


def test_a_stream_can_be_read_in_pieces(place: Place):
    place.write("a", b"abcdef")

    with open_for_reading(place.fd, "a") as stream:
        assert [stream.read(4), stream.read(4), stream.read(4)] == [b"abcd", b"ef", b""]


def test_a_host_without_descriptors_says_so(place: Place):
    place.write("a", b"own")

    with no_free_descriptor(), pytest.raises(FileError) as caught:
        read(place.fd, "a", 100)

    assert str(caught.value) == "'a' cannot be read: Too many open files"
    assert caught.value.errno == errno.EMFILE
