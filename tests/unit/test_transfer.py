"""What a caller puts in: every kind of content becomes bytes, and none becomes more than a file may be."""

import io
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocell._workspace.landing import Landing
from protocell._workspace.transfer import CHUNK_BYTES, Source, write_all
from protocell.errors import FileError, PolicyError
from tests.workspaces import exchange, meanwhile, no_descriptor_left


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    with no_descriptor_left():
        yield


def content(data: Any, most: int = 100) -> bytes:
    return b"".join(bytes(chunk) for chunk in Source("a", data, most).chunks())


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"abc", b"abc"),
        ("ü\ud800", b"\xc3\xbc\xed\xa0\x80"),
        (bytearray(b"abc"), b"abc"),
        (memoryview(b"abcdef")[::2].tobytes(), b"ace"),
        (io.BytesIO(b"abc"), b"abc"),
        (io.StringIO("ü"), b"\xc3\xbc"),
        ([b"a", bytearray(b"b"), memoryview(b"c")], b"abc"),
        (iter([b"a", b"", b"c"]), b"ac"),
        ((b"x" for _ in range(3)), b"xxx"),
        (b"", b""),
        ([], b""),
    ],
)
def test_every_kind_of_content_becomes_bytes(data: Any, expected: bytes):
    assert content(data) == expected


def test_a_path_object_is_a_file_of_the_host(tmp_path: Path):
    path = tmp_path / "big"
    path.write_bytes(b"x" * (CHUNK_BYTES + 5))

    chunks = [len(chunk) for chunk in Source("a", path, 2 * CHUNK_BYTES).chunks()]

    assert chunks == [CHUNK_BYTES, 5]


@pytest.mark.parametrize("data", [None, 5, object(), 1.5])
def test_what_is_no_content_is_refused_before_anything_is_written(data: Any):
    with pytest.raises(
        PolicyError, match=r"the content for 'a' is .*; allowed is bytes, text, a path"
    ):
        Source("a", data, 10)


@pytest.mark.parametrize("data", [[1, 2], {"x": b"1"}, [None], ["x"], range(3)])
def test_a_chunk_that_is_not_bytes_is_refused(data: Any):
    with pytest.raises(PolicyError, match=r"a chunk for 'a' is .*; allowed is bytes"):
        content(data)


def test_what_must_be_awaited_is_refused_where_nobody_can():
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    source = Source("a", chunks(), 10)

    assert source.later is not None
    with pytest.raises(PolicyError, match="only AsyncSandbox can wait for it"):
        list(source.chunks())


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 10


@pytest.mark.parametrize("data", [b"x" * 101, "x" * 101, io.BytesIO(b"x" * 101), endless()])
def test_no_content_is_larger_than_a_file_may_be(data: Any):
    with pytest.raises(FileError) as caught:
        content(data)

    assert str(caught.value) == (
        "the content for 'a' is larger than the limit file_bytes, 100 bytes"
    )


@pytest.mark.parametrize("name", ["zero", "large", "missing", "folder"])
def test_a_host_file_that_is_too_large_endless_or_none_is_refused(tmp_path: Path, name: str):
    (tmp_path / "folder").mkdir()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    path = Path("/dev/zero") if name == "zero" else tmp_path / name

    with pytest.raises(FileError):
        content(path)


def test_a_full_device_says_so():
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(
            FileError, match=r"cannot write 'a' .*: no room .* limit is workspace_bytes"
        ):
            write_all(descriptor, b"x", "a")
    finally:
        os.close(descriptor)


# -- where files land on the host ----------------------------------------------------------------------


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    made = Landing(str(tmp_path / "out/here"), overwrite=False)
    yield made
    made.close()


@pytest.fixture
def overwriting(tmp_path: Path) -> Iterator[Landing]:
    made = Landing(str(tmp_path / "out/here"), overwrite=True)
    yield made
    made.close()


def put(landing: Landing, path: str, data: bytes) -> None:
    with landing.new_file(path) as descriptor:
        os.write(descriptor, data)


def test_files_land_whole_and_never_executable(landing: Landing, tmp_path: Path):
    put(landing, "a/b/c", b"abc")

    path = tmp_path / "out/here/a/b/c"
    assert path.read_bytes() == b"abc"
    assert stat.S_IMODE(path.stat().st_mode) & 0o133 == 0


def test_what_is_there_is_refused(landing: Landing, tmp_path: Path):
    path = tmp_path / "out/here/a"
    path.write_bytes(b"mine")
    expected = f"'{path}' exists; choose another folder, or pass overwrite=True"

    with pytest.raises(FileError) as caught:
        landing.check("a")
    assert str(caught.value) == expected
    with pytest.raises(FileError) as caught:
        put(landing, "a", b"theirs")
    assert str(caught.value) == expected
    assert path.read_bytes() == b"mine"


def test_a_regular_file_is_replaced_when_asked_for(overwriting: Landing, tmp_path: Path):
    path = tmp_path / "out/here/a"
    path.write_bytes(b"mine")
    path.chmod(0o755)
    other = tmp_path / "other name"
    os.link(path, other)

    overwriting.check("a")
    put(overwriting, "a", b"theirs")

    assert path.read_bytes() == b"theirs"
    assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0
    assert other.read_bytes() == b"mine"
    assert os.listdir(path.parent) == ["a"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("path", ["link", "folder", "linked/new", "linked/secret", "file/x"])
def test_nothing_is_written_through_a_link_or_over_something_else(
    tmp_path: Path, path: str, *, overwrite: bool
):
    target, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (target / "folder").mkdir(parents=True)
    (target / "file").touch()
    (target / "link").symlink_to(outside / "secret")
    (target / "linked").symlink_to(outside)
    landing = Landing(str(target), overwrite=overwrite)

    try:
        with pytest.raises(FileError):
            landing.check(path)
        with pytest.raises(FileError):
            put(landing, path, b"x")
    finally:
        landing.close()

    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_text() == "secret"
    assert sorted(os.listdir(target)) == ["file", "folder", "link", "linked"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_fails_in_the_middle_is_not_there(tmp_path: Path, *, overwrite: bool):
    landing = Landing(str(tmp_path), overwrite=overwrite)
    try:
        with pytest.raises(ZeroDivisionError), landing.new_file("a/b") as descriptor:
            os.write(descriptor, bytes([1 // 0]))
    finally:
        landing.close()

    assert os.listdir(tmp_path / "a") == []


def test_a_target_that_is_no_folder_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(FileError, match="cannot write"):
        Landing(str(tmp_path / "file"), overwrite=True)


def test_a_folder_swapped_for_a_link_meanwhile_leads_nowhere(tmp_path: Path):
    outside, target = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    (target / "a").mkdir(parents=True)
    (target / "evil").symlink_to(outside)
    landing = Landing(str(target), overwrite=True)
    outcomes = set()

    try:
        with meanwhile(exchange(target / "a", target / "evil")):
            for _ in range(20_000):
                try:
                    put(landing, "a/file", b"x")
                    outcomes.add("written")
                except FileError:
                    outcomes.add("refused")
                if len(outcomes) == 2:
                    break
    finally:
        landing.close()

    assert outcomes == {"written", "refused"}
    assert os.listdir(outside) == []
