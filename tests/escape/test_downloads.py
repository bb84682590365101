"""Attacks on the host through folders that it downloads and folders that it watches."""

import contextlib
import os
from pathlib import Path

import pytest

from protocell import Sandbox
from protocell.errors import FileError
from tests.escape import hosts
from tests.escape.conftest import program, told

MIB = 1 << 20


# -- downloads -----------------------------------------------------------------------------------------


@pytest.mark.claim("artifacts.downloads-land-in-the-folder")
def test_a_download_brings_no_link_no_special_file_and_no_way_out(tmp_path: Path) -> None:
    code = program(
        r"""
        import socket
        os.makedirs("a/b"); open("a/b/tool", "w").write("#!/bin/sh"); os.chmod("a/b/tool", 0o7777)
        for target in ("/etc/passwd", "/", "..", "a", "missing"):
            os.symlink(target, "link" + target.replace("/", "_"))
        os.symlink("/etc", "a/etc"); os.mkfifo("a/fifo"); socket.socket(socket.AF_UNIX).bind("a/socket")
        for name in (b"..\xff", b"new\nline", b"\x1b]0;x\x07", b"\xe2\x80\xaerl"):
            open(b"a/" + name, "w").close()
        with open("a/sparse", "wb") as file:
            os.truncate(file.fileno(), 250 << 20)
        """
    )
    with Sandbox() as sandbox:
        sandbox.run_code(code)
        transfer = sandbox.files.download("a", tmp_path / "out")
        links = sandbox.files.download(".", tmp_path / "all", overwrite=True).left_out

    found = {
        str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*")
    }
    assert sorted(found) == ["b", "b/tool", "sparse"]
    assert not [path for path in found.values() if path.is_symlink()]
    assert {path.stat().st_mode & 0o7133 for path in found.values() if path.is_file()} == {0}
    assert transfer.left_out == {"not a regular file": 3, "name not printable": 4}
    assert links["not a regular file"] == 8


@pytest.mark.claim("artifacts.downloads-land-in-the-folder")
def test_a_download_follows_no_link_that_is_swapped_in_meanwhile(tmp_path: Path) -> None:
    swapper = program(
        """
        ready, told_ready = os.pipe()
        os.makedirs("a"); open("a/passwd", "w").write("honest"); open("f", "w").write("honest")
        os.symlink("/etc", "evil"); os.symlink("/etc/passwd", "evilfile")
        if os.fork() == 0:
            os.setsid()
            os.close(1); os.close(2)
            os.write(told_ready, b"!")
            swap = lambda one, two: libc.renameat2(-100, one, -100, two, 2)  # RENAME_EXCHANGE
            while True:
                swap(b"a", b"evil"); swap(b"f", b"evilfile"); swap(b"a", b"evil"); swap(b"f", b"evilfile")
        os.read(ready, 1)
        tell("swapping")
        """
    )
    with Sandbox() as sandbox:
        told(sandbox.run_code(swapper, timeout=20))
        seen: set[bytes] = set()
        for number in range(60):
            folder = tmp_path / str(number)
            with contextlib.suppress(FileError):
                sandbox.files.download(".", folder)
            for path in folder.rglob("*"):
                assert not path.is_symlink()
                if path.is_file():
                    seen.add(path.read_bytes())

    assert seen == {b"honest"}


@pytest.mark.claim("artifacts.downloads-land-in-the-folder")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_download_writes_through_no_link_in_the_target_folder(
    tmp_path: Path, *, overwrite: bool
) -> None:
    outside, target = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    target.mkdir()
    (outside / "secret").write_text("secret")
    with Sandbox() as sandbox:
        sandbox.files.write({"a/new": b"x", "b": b"x"})
        for planted, leads_to in (("a", outside), ("b", outside / "secret")):
            (target / planted).symlink_to(leads_to)
            with pytest.raises(FileError):
                sandbox.files.download(".", target, overwrite=overwrite)
            (target / planted).unlink()

    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_text() == "secret"


@pytest.mark.twin("artifacts.downloads-land-in-the-folder")
def test_a_download_brings_every_regular_file_with_its_folders(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        sandbox.run_code(
            "import os; os.makedirs('a/b/c'); open('a/b/x', 'w').write('1'); open('ünï', 'w').write('2')"
        )
        transfer = sandbox.files.download(".", tmp_path)

    assert (transfer.files, transfer.bytes, dict(transfer.left_out)) == (2, 2, {})
    assert ((tmp_path / "a/b/x").read_text(), (tmp_path / "ünï").read_text()) == ("1", "2")
    assert (tmp_path / "a/b/c").is_dir()


# -- events --------------------------------------------------------------------------------------------


@pytest.mark.claim("artifacts.events-are-bounded")
def test_a_storm_of_events_is_bounded_and_its_loss_is_told() -> None:
    most, kinds, left_out, growth = hosts.told(
        r"""
        storm = "; ".join([
            "import os",
            "name = 'n' * 255",
            "[(os.close(os.open(name, os.O_CREAT | os.O_WRONLY)), os.unlink(name)) for n in range(40_000)]",
        ])
        odd = "[open(b'\\xff' + b'x' * n, 'w').close() for n in range(50)]"
        with Sandbox() as sandbox:
            handle = sandbox.files.watch()
            def watch():
                taken = []
                for code in (storm, odd):
                    sandbox.run_code(code, timeout=60)
                    taken += [handle.get_new_events() for _ in range(3)]
                return max(map(len, taken)), sorted({event.type for events in taken for event in events})
            (most, kinds), growth = grown(watch)
            tell([most, kinds, dict(handle.left_out), growth])
            handle.stop()
        """
    )

    assert most <= 20_480
    assert kinds == ["create", "overflow", "remove"]
    assert left_out == {"name not printable": 50}
    assert growth < 64 * MIB


@pytest.mark.twin("artifacts.events-are-bounded")
def test_a_few_events_are_all_told() -> None:
    with Sandbox() as sandbox, sandbox.files.watch() as handle:
        sandbox.run_code("import os; open('a', 'w').close(); os.unlink('a')")

        assert [(event.type, event.name) for event in handle.get_new_events()] == [
            ("create", "a"),
            ("remove", "a"),
        ]
