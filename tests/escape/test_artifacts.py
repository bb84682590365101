"""Attacks on the host through files that code leaves in its workspace, and through how it leaves them."""

import contextlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import protocell
from protocell import Execution, Limits, Policy, Sandbox
from protocell.errors import FileError
from tests.escape import hosts
from tests.escape.conftest import program, told

MIB = 1 << 20
QUICK = 10.0


def limited(**limits: object) -> Policy:
    """Return the default policy with these limits."""
    return Policy(limits=Limits.from_dict(limits))


def run(code: str, **limits: object) -> Execution:
    """Run a program in a sandbox of its own under these limits."""
    return protocell.run_code(program(code), policy=limited(**limits), timeout=30)


def contents(execution: Execution) -> Mapping[str, bytes]:
    """Return what came out."""
    return {path: file.read() for path, file in execution.files.items()}


# -- links --------------------------------------------------------------------------------------------


@pytest.mark.claim("artifacts.no-links")
def test_links_never_come_out_and_are_never_followed() -> None:
    execution = run(
        """
        targets = ["/etc/passwd", "/etc", "..", "../..", "/", "/proc/self/environ", "/proc/1/root/etc/shadow",
                   "missing", ".", "honest.txt", "/dev/zero", "/proc/self/fd/0", "folder", "x" * 4000]
        os.mkdir("folder")
        for number, target in enumerate(targets):
            os.symlink(target, f"link{number}")
            os.symlink(target, f"folder/link{number}")
        os.symlink("loop2", "loop1"); os.symlink("loop1", "loop2")
        os.symlink("self", "self")
        open("honest.txt", "w").write("honest")
        """
    )

    assert contents(execution) == {"honest.txt": b"honest"}
    assert execution.files.left_out == {"not a regular file": 31}


@pytest.mark.claim("artifacts.no-links")
def test_reading_and_listing_through_a_link_is_refused() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code(
            "import os\nos.symlink('/etc', 'etc'); os.symlink('/etc/hostname', 'name'); os.symlink('..', 'up')\n"
            "os.mkdir('real'); os.symlink('real', 'alias'); open('real/x', 'w').write('x')"
        )
        for path in (
            "name",
            "etc/hostname",
            "etc/passwd",
            "up/user/real/x",
            "alias/x",
            "../../etc/passwd",
        ):
            with pytest.raises(FileError):
                sandbox.files.read(path)
        for path in ("etc", "up", "alias", "..", "real/../.."):
            with pytest.raises(FileError):
                sandbox.files.list(path)


@pytest.mark.claim("artifacts.no-links")
def test_writing_through_a_link_changes_nothing_else() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code(
            """
import os
os.symlink('/tmp', 'out'); os.symlink('/tmp/target', 'name'); open('/tmp/target', 'w').write('before')
"""
        )
        for path in ("name", "out/target", "out/new"):
            with contextlib.suppress(FileError):  # or the link itself is replaced
                sandbox.files.write(path, b"after")

        assert sandbox.run_code("open('/tmp/target').read(), os.path.exists('/tmp/new')").text == (
            "('before', False)"
        )


@pytest.mark.claim("artifacts.no-links")
def test_folders_and_files_swapped_for_links_during_the_walk_give_nothing_away() -> None:
    swapper = program(
        """
        import ctypes
        ready, told_ready = os.pipe()
        os.makedirs("a/b"); open("a/b/f", "w").write("honest"); open("f", "w").write("honest")
        os.symlink("/etc", "evil"); os.symlink("/etc/passwd", "evilfile")
        if os.fork() == 0:
            os.setsid()
            os.close(1); os.close(2)
            os.write(told_ready, b"!")
            exchange = lambda one, two: libc.renameat2(-100, one, -100, two, 2)  # RENAME_EXCHANGE
            while True:
                exchange(b"a/b", b"evil"); exchange(b"f", b"evilfile"); exchange(b"evil", b"a/b")
                exchange(b"evilfile", b"f")
        os.read(ready, 1)
        tell("swapping")
        """
    )
    with Sandbox() as sandbox:
        told(sandbox.run_code(swapper, timeout=20))
        seen: set[bytes] = set()
        for _ in range(60):
            execution = sandbox.run_code("open('f2', 'w').write('x')", timeout=20)
            for path in ("f", "a/b/f", "evil/f", "evil/passwd", "evil/hostname"):
                try:
                    seen.add(sandbox.files.read(path, format="bytes"))
                except FileError:
                    continue
            for file in execution.files.values():
                try:
                    seen.add(file.read())
                except FileError:
                    continue

    assert seen <= {b"honest", b"x"}
    assert b"honest" in seen


@pytest.mark.twin("artifacts.no-links")
def test_regular_files_come_out_wherever_they_lie() -> None:
    execution = run(
        """
        os.makedirs("a/b/c"); open("a/b/c/deep.txt", "w").write("deep"); open("ünï.txt", "w").write("name")
        open("empty", "w").close(); os.mkdir("folder"); os.chmod("empty", 0o755)
        """
    )

    assert contents(execution) == {"a/b/c/deep.txt": b"deep", "ünï.txt": b"name", "empty": b""}
    assert execution.files.left_out == {}


@pytest.mark.claim("artifacts.hard-links")
def test_hard_links_to_what_is_not_the_codes_cannot_be_made() -> None:
    execution = run(
        """
        tell([attempt(os.link, path, "stolen") for path in
              ("/etc/passwd", sys.executable, os.__file__, "/proc/self/environ", "/dev/null", "/proc/1/environ")])
        """
    )

    assert set(told(execution)) <= {"EXDEV", "EPERM", "EACCES", "ENOENT"}
    assert contents(execution) == {}


@pytest.mark.claim("artifacts.hard-links")
def test_many_names_of_one_large_file_are_bounded_by_their_sum() -> None:
    execution = run(
        """
        open("0", "wb").write(b"x" * (4 << 20))
        for number in range(1, 100): os.link("0", str(number))
        """,
        files_out_bytes=16 * MIB,
    )

    assert len(execution.files) == 4
    assert execution.files.left_out == {"too many bytes": 96}


@pytest.mark.twin("artifacts.hard-links")
def test_two_names_of_a_file_of_ones_own_both_come_out() -> None:
    execution = run("open('one', 'w').write('same'); os.link('one', 'two')")

    assert contents(execution) == {"one": b"same", "two": b"same"}


# -- what is no ordinary file ------------------------------------------------------------------------


@pytest.mark.claim("artifacts.odd-files")
def test_fifos_and_sockets_are_never_opened() -> None:
    execution = run(
        """
        import socket
        os.mkfifo("fifo"); os.mkfifo("report.csv")
        server = socket.socket(socket.AF_UNIX); server.bind("socket"); server.listen()
        open("honest", "w").write("x")
        """
    )

    assert contents(execution) == {"honest": b"x"}
    assert execution.files.left_out == {"not a regular file": 3}


@pytest.mark.claim("artifacts.odd-files")
def test_reading_a_fifo_is_refused_and_does_not_wait() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code("""
import os
os.mkfifo('fifo')
if os.fork() == 0:
    open('fifo', 'w').write('x' * 10**9)
""")
        with pytest.raises(FileError):
            sandbox.files.read("fifo")


@pytest.mark.claim("artifacts.odd-files")
def test_a_lease_does_not_hold_the_reader() -> None:
    with Sandbox() as sandbox:
        execution = sandbox.run_code(
            """
import fcntl
f = open('leased', 'w+'); f.write('x'); f.flush()
fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)
""",
            timeout=20,
        )

        assert execution.usage.wall_seconds < QUICK
        assert sandbox.run_code("1 + 1").text == "2"


@pytest.mark.claim("artifacts.odd-files")
def test_a_sparse_file_of_any_size_costs_the_host_nothing() -> None:
    paths, left_out, growth = hosts.told(
        """
        policy = Policy(limits=Limits(file_bytes="2TiB", workspace_bytes="1MiB"), environment=Environment(ready=0))
        protocell.run_code("1", policy=policy)
        code = "import os\\nfor n in range(50): os.truncate(os.open(str(n), os.O_CREAT | os.O_RDWR), 1 << 40)"
        execution, growth = grown(lambda: protocell.run_code(code, policy=policy))
        tell([list(execution.files), dict(execution.files.left_out), growth])
        """
    )

    assert paths == []
    assert left_out == {"too large": 50}
    assert growth < 16 * MIB


@pytest.mark.claim("artifacts.odd-files")
def test_a_large_sparse_file_below_the_limit_is_not_held_in_memory() -> None:
    size, growth = hosts.told(
        """
        policy = Policy(environment=Environment(ready=0))
        protocell.run_code("1", policy=policy)
        code = "import os\\nos.truncate(os.open('sparse', os.O_CREAT | os.O_RDWR), 200 << 20)"
        execution, growth = grown(lambda: protocell.run_code(code, policy=policy))
        tell([execution.files["sparse"].size, growth])
        """
    )

    assert size == 200 * MIB
    assert growth < 16 * MIB


@pytest.mark.claim("artifacts.odd-files")
def test_five_thousand_files_are_counted_and_a_bounded_number_comes_out() -> None:
    execution = run(
        "for n in range(5000): open(f'{n:04}', 'w').close()", files_out=100, memory_bytes="1GiB"
    )

    assert len(execution.files) == 100
    assert execution.files.left_out == {"too many files": 4900}


@pytest.mark.claim("artifacts.odd-files")
def test_a_thousand_levels_do_not_break_the_walk_or_the_removal() -> None:
    execution = run(
        """
        for _ in range(1000):
            os.mkdir("d"); os.chdir("d")
        open("bottom", "w").close()
        os.chdir("/home/user")
        open("top", "w").write("x")
        """
    )

    assert contents(execution) == {"top": b"x"}
    assert execution.files.left_out == {"too deep": 1}


@pytest.mark.claim("artifacts.odd-files")
def test_what_its_owner_made_unreadable_stays_so() -> None:
    execution = run(
        """
        open("closed", "w").write("x"); os.chmod("closed", 0)
        os.mkdir("folder"); open("folder/inside", "w").write("x"); os.chmod("folder", 0)
        open("honest", "w").write("x")
        """
    )

    # The host reads as its user: root reads what an ordinary user cannot.
    if os.geteuid() == 0:
        assert contents(execution) == {"closed": b"x", "folder/inside": b"x", "honest": b"x"}
    else:
        assert contents(execution) == {"honest": b"x"}
        assert execution.files.left_out == {"unreadable": 2}


@pytest.mark.claim("artifacts.odd-files")
def test_a_home_without_any_permission_is_no_trouble() -> None:
    with Sandbox() as sandbox:
        execution = sandbox.run_code("import os\nopen('x', 'w').close()\nos.chmod('.', 0)")

        assert execution.status == "ok"
        assert sandbox.run_code("os.chmod('/home/user', 0o755)\n6 * 7").text == "42"


@pytest.mark.claim("artifacts.odd-files")
def test_odd_names_are_counted_and_not_told() -> None:
    execution = run(
        """
        for name in (b"new\\nline", b"esc\\x1b[2J", b"\\xff\\xfe", b"\\xe2\\x80\\xae", b"tab\\t", b"\\x7f", b"cr\\r"):
            open(name, "w").close()
        for name in (b"x" * 255, b"-rf", b" ", b"..x", b"~", b"$(id)", b"a;b", b"CON", b"...", b"%2e%2e"):
            open(name, "w").close()
        """
    )

    names = ["x" * 255, "-rf", " ", "..x", "~", "$(id)", "a;b", "CON", "...", "%2e%2e"]
    assert sorted(execution.files) == sorted(names)
    assert execution.files.left_out == {"name not printable": 7}


@pytest.mark.claim("artifacts.odd-files")
def test_a_file_that_grows_shrinks_and_moves_while_it_is_read_does_not_hold_us() -> None:
    with Sandbox() as sandbox:
        execution = sandbox.run_code(
            program(
                """
                ready, told_ready = os.pipe()
                if os.fork() == 0:
                    os.setsid(); os.close(1); os.close(2)
                    os.write(told_ready, b"!")
                    descriptor = os.open("moving", os.O_CREAT | os.O_RDWR)
                    while True:
                        os.ftruncate(descriptor, 100 << 20); os.ftruncate(descriptor, 0)
                        os.rename("moving", "moved"); os.rename("moved", "moving")
                os.read(ready, 1)
                tell(1)
                """
            ),
            timeout=20,
        )
        told(execution)
        for _ in range(10):
            moving = sandbox.run_code("1 + 1", timeout=20)
            assert moving.text == "2"
            assert sum(file.size for file in moving.files.values()) <= 256 * MIB


@pytest.mark.twin("artifacts.odd-files")
def test_many_files_within_the_limits_all_come_out() -> None:
    execution = run(
        """
        os.makedirs("/".join("d" * 40))
        open("/".join("d" * 40) + "/deep", "w").write("x")
        for n in range(199): open(f"{n}.csv", "w").write(str(n))
        """
    )

    assert len(execution.files) == 200
    assert execution.files["198.csv"].text() == "198"
    assert execution.files.left_out == {}


# -- archives -----------------------------------------------------------------------------------------


@pytest.mark.claim("artifacts.archives-stay-closed")
def test_archives_stay_closed(tmp_path: Path) -> None:
    execution = run(
        """
        import io, tarfile, zipfile
        with zipfile.ZipFile("slip.zip", "w") as archive:
            archive.writestr("../../../../tmp/slipped", "x")
            archive.writestr("/etc/cron.d/x", "x")
        with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros", b"\\0" * (64 << 20))
        with tarfile.open("links.tar.gz", "w:gz") as archive:
            link = tarfile.TarInfo("link"); link.type = tarfile.SYMTYPE; link.linkname = "/etc"
            archive.addfile(link)
        for name in ("setup.py", "conftest.py", "evil.pth", "x.pyc", "x.pkl"):
            open(name, "w").write("raise SystemExit('was run')")
        """
    )

    assert sorted(execution.files) == [
        "bomb.zip",
        "conftest.py",
        "evil.pth",
        "links.tar.gz",
        "setup.py",
        "slip.zip",
        "x.pkl",
        "x.pyc",
    ]
    assert execution.files["bomb.zip"].size < MIB
    execution.files["slip.zip"].save(tmp_path / "saved.zip")
    assert os.listdir(tmp_path) == ["saved.zip"]
    with zipfile.ZipFile(tmp_path / "saved.zip") as archive:
        assert archive.namelist() == ["../../../../tmp/slipped", "/etc/cron.d/x"]
    assert not Path("/tmp/slipped").exists()


@pytest.mark.twin("artifacts.archives-stay-closed")
def test_an_archive_comes_out_byte_for_byte() -> None:
    execution = run(
        """
        import hashlib, zipfile
        with zipfile.ZipFile("good.zip", "w") as archive: archive.writestr("a.txt", "content")
        tell(hashlib.sha256(open("good.zip", "rb").read()).hexdigest())
        """
    )

    assert execution.files["good.zip"].sha256 == told(execution)
