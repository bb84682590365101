"""Files that came out: they give what was reported or say why not, and land on the host without surprises."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from protocell.errors import FileError
from protocell.files import FileSet, WorkspaceFile
from tests.workspaces import no_descriptor_left


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    with no_descriptor_left():
        yield


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def file(
    path: str = "a.txt", content: bytes = b"abc", *, reader: Callable[[], bytes] | None = None
) -> WorkspaceFile:
    return WorkspaceFile(
        path=path,
        size=len(content),
        sha256=sha256(content).hexdigest(),
        change="made",
        _reader=reader or (lambda: content),
    )


def gone() -> bytes:
    raise FileError("'a.txt' does not exist in the workspace", path="a.txt", errno=2)


def test_a_file_gives_its_bytes_and_its_text():
    assert file(content="grün".encode()).read() == b"gr\xc3\xbcn"
    assert file(content="grün".encode()).text() == "grün"
    assert file(content="grün".encode("latin-1")).text("latin-1") == "grün"


def test_bytes_that_are_no_text_are_an_error_that_says_what_to_use():
    with pytest.raises(FileError) as caught:
        file(content=b"ab\xff").text()

    assert str(caught.value) == "'a.txt' is not utf-8 text (byte 2); use read() for its bytes"


def test_a_file_that_changed_since_is_an_error_and_not_other_bytes():
    with pytest.raises(FileError) as caught:
        file(reader=lambda: b"xyz").read()

    assert str(caught.value) == (
        "'a.txt' has changed since it was reported; use sandbox.files.read for what is there now"
    )


def test_a_file_that_is_gone_is_an_error_that_says_so():
    with pytest.raises(FileError) as caught:
        file(reader=gone).read()

    assert str(caught.value) == (
        "'a.txt' has changed since it was reported; use sandbox.files.read for what is there now"
        " ('a.txt' does not exist in the workspace)"
    )
    assert caught.value.errno == 2


def test_a_saved_file_is_plain_and_not_executable(tmp_path: Path):
    file().save(tmp_path / "out.txt")

    assert (tmp_path / "out.txt").read_bytes() == b"abc"
    assert (tmp_path / "out.txt").stat().st_mode == 0o100644


@pytest.mark.parametrize("overwrite", [False, True])
def test_saving_respects_the_umask(tmp_path: Path, *, overwrite: bool):
    os.umask(0o077)

    file().save(tmp_path / "out.txt", overwrite=overwrite)

    assert (tmp_path / "out.txt").stat().st_mode == 0o100600


def test_saving_leaves_what_is_there(tmp_path: Path):
    target = tmp_path / "out.txt"
    target.write_bytes(b"mine")

    with pytest.raises(FileError) as caught:
        file().save(target)

    assert str(caught.value) == f"'{target}' exists; choose another name, or pass overwrite=True"
    assert target.read_bytes() == b"mine"


def test_saving_replaces_a_file_when_asked_to(tmp_path: Path):
    target = tmp_path / "out.txt"
    target.write_bytes(b"a longer text than that")
    target.chmod(0o755)

    file().save(str(target), overwrite=True)

    assert target.read_bytes() == b"abc"
    assert target.stat().st_mode == 0o100644
    assert os.listdir(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("target", ["mine.txt", "not-there"])
def test_saving_goes_through_no_link(tmp_path: Path, target: str):
    (tmp_path / "mine.txt").write_bytes(b"mine")
    link = tmp_path / "link"
    link.symlink_to(target)

    with pytest.raises(FileError) as kept:
        file().save(link)
    with pytest.raises(FileError) as replaced:
        file().save(link, overwrite=True)

    assert str(kept.value) == f"'{link}' exists; choose another name, or pass overwrite=True"
    assert str(replaced.value) == f"'{link}' is not a regular file, so it is not replaced"
    assert sorted(os.listdir(tmp_path)) == ["link", "mine.txt"]
    assert (tmp_path / "mine.txt").read_bytes() == b"mine"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_saving_replaces_nothing_but_files(tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path / "special")

    with pytest.raises(FileError) as caught:
        file().save(tmp_path / "special", overwrite=True)

    expected = f"'{tmp_path}/special' is not a regular file, so it is not replaced"
    assert str(caught.value) == expected


@pytest.mark.parametrize("overwrite", [False, True])
def test_saving_into_a_missing_folder_says_so(tmp_path: Path, *, overwrite: bool):
    target = tmp_path / "gone/out.txt"

    with pytest.raises(FileError) as caught:
        file().save(target, overwrite=overwrite)

    assert str(caught.value) == f"cannot save 'a.txt' as '{target}': No such file or directory"


def test_saving_to_a_name_with_a_nul_says_so():
    with pytest.raises(FileError) as caught:
        file().save("a\0b")

    assert (
        str(caught.value) == "cannot save 'a.txt' as 'a\\x00b': a name cannot have a NUL byte in it"
    )


def test_nothing_is_saved_of_a_file_that_changed(tmp_path: Path):
    with pytest.raises(FileError):
        file(reader=lambda: b"xyz").save(tmp_path / "out.txt")

    assert os.listdir(tmp_path) == []


def test_a_file_that_does_not_fit_leaves_no_half_file(tmp_path: Path):
    target = tmp_path / "out.txt"
    limited = file(content=b"x" * 200_000)

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(FileError) as caught:
            limited.save(target)
        with pytest.raises(FileError):
            limited.save(target, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    assert str(caught.value) == f"cannot save 'a.txt' as '{target}': File too large"
    assert os.listdir(tmp_path) == []


def test_a_file_shows_what_a_person_wants_to_know():
    assert repr(file()) == (
        "WorkspaceFile(path='a.txt', size=3,"
        " sha256='ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', change='made')"
    )


def test_files_are_equal_by_what_they_are_and_cannot_be_changed():
    assert file(reader=gone) == file()
    with pytest.raises(AttributeError):
        file().path = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    "field, value", [("path", ""), ("size", -1), ("sha256", "ab"), ("change", "removed")]
)
def test_what_is_no_file_cannot_be_made(field: str, value: object):
    fields = {"path": "a", "size": 1, "sha256": "0" * 64, "change": "made", "_reader": gone}

    with pytest.raises(ValueError):
        WorkspaceFile(**{**fields, field: value})  # type: ignore[arg-type]


def test_a_file_set_is_a_mapping_in_the_order_of_paths():
    a, b, c = file("a"), file("b"), file("c/d")
    files = FileSet([c, a, b])

    assert list(files) == ["a", "b", "c/d"]
    assert files["c/d"] is c
    assert list(files.values()) == [a, b, c]
    assert files == {"a": a, "b": b, "c/d": c}
    assert (files.removed, files.left_out) == ((), {})


def test_an_empty_file_set_is_false_and_says_so():
    assert not FileSet()
    assert repr(FileSet()) == "FileSet(nothing)"


def test_a_file_set_shows_what_is_in_it_and_what_is_not():
    files = FileSet(
        [file("b", b""), file("a")],
        removed=["z", "y"],
        left_out={"too many files": 12, "not a regular file": 1},
    )

    assert repr(files) == (
        "FileSet('a' made, 3 bytes; 'b' made, 0 bytes; 'y' removed; 'z' removed;"
        " 12 left out: too many files; 1 left out: not a regular file)"
    )


def test_a_large_file_set_is_shown_in_few_lines():
    files = FileSet([file(f"{number:03}") for number in range(100)])

    assert repr(files).count("made") == 8
    assert repr(files).endswith("'007' made, 3 bytes; 92 more)")


def test_what_was_left_out_cannot_be_changed():
    with pytest.raises(TypeError):
        FileSet().left_out["x"] = 1  # type: ignore[index]
