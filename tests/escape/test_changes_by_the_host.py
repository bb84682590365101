"""Attacks on the host through changes that it makes in a workspace: links put in the way, trees that never end."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from protocell import Sandbox
from protocell.errors import FileError
from tests.escape.conftest import program, told

# A program that goes on exchanging a folder, and a file, for links while the host works on them.
SWAPPER = program(
    """
    ready, told_ready = os.pipe()
    os.makedirs("a/b"); os.makedirs("kept"); open("f", "w").write("honest")
    os.makedirs("/tmp/outside"); open("/tmp/outside/x", "w").write("outside")
    os.symlink("/tmp/outside", "evil"); os.symlink("/tmp/outside/x", "evilfile")
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
LOOK = "import os; sorted(os.listdir('/tmp/outside')), open('/tmp/outside/x').read()"


@pytest.mark.claim("files.changes-stay-inside")
def test_changes_by_the_host_follow_no_link_that_is_swapped_in_meanwhile(tmp_path: Path) -> None:
    for name in ("b/c", "x", "y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("from the host")
    with Sandbox() as sandbox:
        told(sandbox.run_code(SWAPPER, timeout=20))
        files = sandbox.files
        calls: list[Callable[[], object]] = [
            lambda: files.write("a/x", "from the host"),
            lambda: files.write("a/b/new", "from the host"),
            lambda: files.write("f", "from the host"),
            lambda: files.make_dir("a/b/made"),
            lambda: files.rename("a/x", "a/b/x"),
            lambda: files.rename("kept", "a/kept"),
            lambda: files.rename("a/kept", "kept"),
            lambda: files.remove("a/b"),
            lambda: files.upload(tmp_path, "a"),
        ]
        done: Counter[tuple[int, bool]] = Counter()
        for _ in range(60):
            for number, call in enumerate(calls):
                try:
                    call()
                except FileError:
                    done[number, False] += 1
                else:
                    done[number, True] += 1

        assert sandbox.run_code(LOOK, timeout=20).text == "(['x'], 'outside')"
    assert {number for number, worked in done if worked} >= {0, 1, 2, 3, 7}
    assert {worked for _, worked in done} == {True, False}


@pytest.mark.claim("files.changes-stay-inside")
def test_a_removed_folder_takes_nothing_along_that_its_links_lead_to() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code(
            "import os\n"
            "os.makedirs('/tmp/outside'); open('/tmp/outside/x', 'w').write('outside')\n"
            "os.makedirs('a/b/c')\n"
            "for n in range(50):\n"
            "    os.symlink('/tmp/outside', f'a/{n}'); os.symlink('../../..', f'a/b/c/{n}')"
        )
        sandbox.files.remove("a")

        assert sandbox.run_code(LOOK).text == "(['x'], 'outside')"
        assert sandbox.files.list() == []


@pytest.mark.twin("files.changes-stay-inside")
def test_the_host_changes_what_lies_in_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("from the host")
    with Sandbox() as sandbox:
        sandbox.files.upload(tmp_path, "a/b")
        sandbox.files.rename("a/b/x", "a/y")
        sandbox.files.remove("a/b")

        assert sandbox.run_code("import os; os.listdir('a'), open('a/y').read()").text == (
            "(['y'], 'from the host')"
        )


@pytest.mark.claim("files.init-is-not-held-up")
def test_a_tree_that_is_made_while_it_is_removed_holds_nobody_up() -> None:
    maker = program(
        """
        ready, told_ready = os.pipe()
        os.mkdir("a")
        if os.fork() == 0:
            os.setsid()
            os.close(1); os.close(2)
            os.write(told_ready, b"!")
            number = 0
            while True:
                number += 1
                try:
                    os.makedirs(f"a/{number % 50}/{number}/x")
                except OSError:
                    pass
        os.read(ready, 1)
        tell("making")
        """
    )
    with Sandbox() as sandbox:
        sandbox.files.write("other", b"")  # there may be no room for another file
        told(sandbox.run_code(maker, timeout=20))
        started = time.monotonic()
        outcomes = []
        try:
            sandbox.files.remove("a")
        except FileError as error:
            outcomes.append(str(error))
        sandbox.files.write("other", b"x")

        assert time.monotonic() - started < 60
        assert outcomes in (
            [],
            ["'a' cannot be removed: the code makes files there all the time; end it first"],
        )
        assert sandbox.files.read("other") == "x"


@pytest.mark.twin("files.init-is-not-held-up")
def test_a_tree_deeper_than_any_path_is_removed_and_so_is_a_wide_one() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code(
            "import os\n"
            "os.mkdir('wide')\n"
            "for n in range(8000): open(f'wide/{n}', 'w').close()\n"
            "os.mkdir('deep'); os.chdir('deep')\n"
            "for n in range(3000): os.mkdir('d'); os.chdir('d')\n"
            "os.chdir('/home/user')"
        )
        assert len(sandbox.files.list("wide")) == 8000

        sandbox.files.remove("deep")
        sandbox.files.remove("wide")

        assert sandbox.files.list() == []
