"""The files of a sandbox from outside: both faces, both isolations, also while code runs, bounded and counted."""

import asyncio
import io
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocell import AsyncSandbox, Environment, Limits, Mount, Policy, Sandbox
from protocell.errors import ClosedError, FileError, PolicyError
from protocell.filesystem import (
    FilesystemEventType,
    FileType,
    Progress,
    Transfer,
    WriteInfo,
)

KERNEL = Policy(environment=Environment(ready=0))
PROCESS = Policy(isolation="process")
BOTH = pytest.mark.parametrize("policy", [KERNEL, PROCESS], ids=["kernel", "process"])
MIB = 1 << 20


@pytest.fixture(params=[KERNEL, PROCESS], ids=["kernel", "process"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(request.param) as made:
        yield made


def limited(policy: Policy, **limits: Any) -> Policy:
    return replace(policy, limits=Limits(**limits))


def told(sandbox: Sandbox, path: str = ".") -> list[str]:
    """Every path below a folder."""
    prefix = sandbox.files.get_info(path).path + "/"
    return [entry.path.removeprefix(prefix) for entry in sandbox.files.list(path, depth=None)]


def work_of(sandbox: Sandbox) -> tuple[dict[str, str], tuple[str, ...], dict[str, int]]:
    """What the next execution is said to have done, which does nothing."""
    files = sandbox.run_code("1").files
    return {path: file.change for path, file in files.items()}, files.removed, dict(files.left_out)


NOTHING: tuple[dict[str, str], tuple[str, ...], dict[str, int]] = ({}, (), {})


# -- one file ------------------------------------------------------------------------------------------


def test_a_file_is_written_and_read_in_every_form(sandbox: Sandbox):
    info = sandbox.files.write("data/a.txt", "héllo")

    assert info == WriteInfo(name="a.txt", type=FileType.FILE, path="/home/user/data/a.txt")
    assert sandbox.files.read("data/a.txt") == "héllo"
    assert sandbox.files.read("/home/user/data/a.txt", format="bytes") == "héllo".encode()
    assert list(sandbox.files.read("~/data/a.txt", format="stream")) == ["héllo".encode()]
    assert sandbox.run_code("open('data/a.txt').read()").text == "'héllo'"


def test_a_large_file_streams_in_and_out_in_chunks(sandbox: Sandbox):
    sandbox.files.write("big", (bytes([number]) * MIB for number in range(5)))

    with sandbox.files.read("big", format="stream") as stream:
        chunks = list(stream)

    assert b"".join(chunks) == b"".join(bytes([number]) * MIB for number in range(5))
    assert max(len(chunk) for chunk in chunks) <= MIB


def test_a_stream_that_is_closed_early_gives_nothing_more(sandbox: Sandbox):
    sandbox.files.write("big", b"x" * MIB)
    stream = sandbox.files.read("big", format="stream")

    assert len(next(stream)) > 0
    stream.close()
    stream.close()

    assert list(stream) == []


def test_a_file_of_the_host_is_written_from_its_path_or_open(sandbox: Sandbox, tmp_path: Path):
    path = tmp_path / "host"
    path.write_bytes(b"from the host")

    with path.open("rb") as binary, path.open(encoding="utf-8") as text:
        sandbox.files.write({"a": path, "b": binary, "c": text, "d": io.BytesIO(b"memory")})

    assert [sandbox.files.read(name) for name in "abcd"] == ["from the host"] * 3 + ["memory"]


def test_many_are_written_in_both_shapes(sandbox: Sandbox):
    shape = [{"path": "a", "data": b"1"}, {"path": "b/c", "data": "2"}]

    assert [info.path for info in sandbox.files.write(shape)] == [  # type: ignore[arg-type]
        "/home/user/a",
        "/home/user/b/c",
    ]
    assert [info.name for info in sandbox.files.write_files({"d": b"3"})] == ["d"]
    assert sandbox.files.write_files([]) == []
    assert told(sandbox) == ["a", "b", "b/c", "d"]


@pytest.mark.parametrize(
    "files", [{"a": b"1", "..": b"2"}, {"a": b"1", "b": 5}, ["a"], [{"path": "a"}], 7]
)
def test_of_many_none_is_written_if_one_is_wrong(sandbox: Sandbox, files: Any):
    with pytest.raises((FileError, PolicyError)):
        sandbox.files.write_files(files)

    assert told(sandbox) == []


@BOTH
def test_what_is_too_large_is_refused(policy: Policy):
    with Sandbox(limited(policy, file_bytes="1 MiB", files_out_bytes="4 KiB")) as sandbox:
        for data in (b"x" * (MIB + 1), (b"x" * 4096 for _ in range(257))):
            with pytest.raises(FileError, match="is larger than the limit file_bytes, 1 MiB"):
                sandbox.files.write("big", data)
        sandbox.files.write("big", b"x" * 8192)
        for form in ("text", "bytes", "stream"):
            with pytest.raises(FileError, match="'big' has 8 KiB; the limit is 4 KiB"):
                sandbox.files.read("big", format=form)


def test_a_file_that_grows_while_it_is_streamed_ends_at_the_limit():
    with Sandbox(limited(KERNEL, files_out_bytes="1 MiB")) as sandbox:
        sandbox.files.write("log", b"x" * 1000)
        stream = sandbox.files.read("log", format="stream")
        sandbox.run_code("open('log', 'wb').write(b'x' * (2 << 20))")

        with pytest.raises(FileError, match="'log' has grown beyond the limit 1 MiB"):
            list(stream)
        assert list(stream) == []


@pytest.mark.parametrize("format", ["blob", "", None])
def test_a_format_that_there_is_not_is_refused(sandbox: Sandbox, format: Any):
    with pytest.raises(PolicyError, match="allowed is 'text', 'bytes' or 'stream'"):
        sandbox.files.read("a", format=format)


# -- names ---------------------------------------------------------------------------------------------


def test_folders_are_made_once_and_told(sandbox: Sandbox):
    assert [sandbox.files.make_dir(path) for path in ("a/b", "a/b", "a", ".")] == [
        True,
        False,
        False,
        False,
    ]
    assert told(sandbox) == ["a", "a/b"]
    assert sandbox.files.get_info("a/b").type == FileType.DIR


def test_what_is_there_exists(sandbox: Sandbox):
    sandbox.files.write("a/b", b"")
    sandbox.run_code("import os; os.symlink('a', 'link')")

    assert [sandbox.files.exists(path) for path in ("a", "a/b", "link", ".")] == [True] * 4
    assert [sandbox.files.exists(path) for path in ("x", "a/b/c", "link/b")] == [False] * 3


def test_an_entry_has_what_e2b_tells(sandbox: Sandbox):
    sandbox.run_code(
        "import os; open('a', 'w').write('123'); os.chmod('a', 0o640); os.symlink('a', 'link')"
    )

    entry, link = sandbox.files.get_info("a"), sandbox.files.get_info("link")

    assert (entry.name, entry.path, entry.type, entry.size) == ("a", "/home/user/a", "file", 3)
    assert (entry.mode, entry.permissions) == (0o640, "rw-r-----")
    assert (entry.owner, entry.group, entry.symlink_target) == ("user", "user", None)
    assert (link.type, link.symlink_target) == (FileType.SYMLINK, "a")
    assert sandbox.files.list() == [entry, link]


def test_files_and_folders_are_renamed(sandbox: Sandbox):
    sandbox.files.write({"a/b": b"1", "c": b"2", "d": b"3"})

    assert sandbox.files.rename("a", "x/y").path == "/home/user/x/y"
    assert sandbox.files.rename("c", "d").size == 1

    assert told(sandbox) == ["d", "x", "x/y", "x/y/b"]
    assert sandbox.files.read("d") == "2"


@pytest.mark.parametrize(
    "old, new", [("nope", "x"), ("a", "a/b"), (".", "x"), ("a", "."), ("a", "../x"), ("/etc", "x")]
)
def test_what_cannot_be_renamed_is_refused(sandbox: Sandbox, old: str, new: str):
    sandbox.files.make_dir("a")

    with pytest.raises(FileError):
        sandbox.files.rename(old, new)

    assert told(sandbox) == ["a"]


def test_whatever_it_is_it_is_removed(sandbox: Sandbox):
    sandbox.run_code(
        "import os\n"
        "os.makedirs('a/b/c'); open('a/f', 'w').close(); os.symlink('/etc', 'a/link'); os.mkfifo('fifo')\n"
        "os.makedirs('shut'); open('shut/x', 'w').close(); open(b'odd\\xff', 'w').close()"
    )

    for path in ("a", "fifo", "shut", "nope", "nope/x"):
        sandbox.files.remove(path)

    assert sandbox.run_code("import os; os.listdir()").text == "['odd\\udcff']"
    with pytest.raises(FileError, match="is the workspace itself"):
        sandbox.files.remove(".")


def test_modes_do_not_stop_the_host_where_init_does_the_work():
    with Sandbox(KERNEL) as sandbox:
        sandbox.run_code(
            "import os\nos.mkdir('a'); open('a/f', 'w').write('1'); os.chmod('a/f', 0); os.chmod('a', 0)"
        )

        sandbox.files.write("a/f", b"2")
        sandbox.files.rename("a/f", "f")
        sandbox.files.remove("a")

        assert sandbox.run_code("import os; os.chmod('f', 0o600); open('f').read()").text == "'2'"


def test_a_folder_of_thousands_is_removed_in_several_steps(sandbox: Sandbox):
    sandbox.run_code(
        "import os\n"
        "for n in range(3000):\n"
        "    os.makedirs(f'a/{n % 9}/{n % 5}', exist_ok=True); open(f'a/{n % 9}/{n % 5}/{n}', 'w').close()"
    )

    sandbox.files.remove("a")

    assert told(sandbox) == []


@pytest.mark.parametrize("path", ["link/x", "link", "fifo", "file/x"])
def test_nothing_is_done_through_links_or_to_what_is_no_file(sandbox: Sandbox, path: str):
    sandbox.run_code(
        "import os; os.makedirs('t/d'); os.symlink('t', 'link'); os.mkfifo('fifo'); open('file', 'w').close()"
    )
    calls: list[Callable[[], object]] = [
        lambda: sandbox.files.write(path, b"x"),
        lambda: sandbox.files.read(path),
        lambda: sandbox.files.list(path),
        lambda: sandbox.files.watch(path),
        lambda: sandbox.files.make_dir(f"{path}/y"),
    ]

    for call in calls:
        with pytest.raises(FileError):
            call()

    assert told(sandbox) == ["fifo", "file", "link", "t", "t/d"]


def test_a_mounted_folder_is_neither_changed_nor_entered(tmp_path: Path):
    tmp_path.chmod(0o755)
    (tmp_path / "kept").write_text("kept")
    policy = replace(KERNEL, mounts=[Mount(source=tmp_path, target="/home/user/m/data")])
    with Sandbox(policy) as sandbox:
        for call in (
            lambda: sandbox.files.write("m/data/new", b"x"),
            lambda: sandbox.files.remove("m/data/kept"),
            lambda: sandbox.files.remove("m"),
            lambda: sandbox.files.rename("m/data", "n"),
            lambda: sandbox.files.rename("m/data/kept", "n"),
        ):
            with pytest.raises(FileError, match="mounted"):
                call()

        assert told(sandbox) == ["m", "m/data"]
        assert sandbox.files.list(depth=None).left_out == {"on another file system": 1}
    assert os.listdir(tmp_path) == ["kept"]


# -- whose work it is ----------------------------------------------------------------------------------


def test_what_the_host_does_is_not_taken_for_the_codes_work(sandbox: Sandbox, tmp_path: Path):
    for name in ("a/b", "c", "run.sh"):
        path = tmp_path / "up" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    sandbox.files.upload(tmp_path / "up", "up")
    sandbox.files.write({"one": b"1", "~two": b"2"})
    assert work_of(sandbox) == NOTHING

    sandbox.files.write("one", b"other")
    sandbox.files.rename("up/a", "moved/a")
    sandbox.files.rename("up/c", "~two")
    sandbox.files.remove("up")
    assert work_of(sandbox) == NOTHING

    sandbox.files.remove("moved")
    assert work_of(sandbox) == NOTHING


def test_what_the_code_does_to_such_files_is_told(sandbox: Sandbox):
    sandbox.files.write({"a": b"1", "b": b"2", "c": b"3"})
    sandbox.files.rename("c", "d")

    files = sandbox.run_code(
        "import os; open('a', 'w').write('x'); os.unlink('b'); os.rename('d', 'e')"
    ).files

    assert {path: file.change for path, file in files.items()} == {"a": "changed", "e": "made"}
    assert files.removed == ("b", "d")


def test_a_write_that_fails_in_the_middle_is_the_hosts_too(sandbox: Sandbox):
    def failing() -> Iterator[bytes]:
        yield b"begun"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sandbox.files.write("half", failing())

    assert sandbox.files.read("half") == "begun"
    assert work_of(sandbox) == NOTHING


WAIT = (
    "import os\n"
    "print('begun', flush=True)\n"
    "while not os.path.exists('go'):\n"
    "    pass\n"
    "open('made', 'w').write(open('in').read())"
)


def test_files_can_be_worked_on_while_code_runs(sandbox: Sandbox):
    done: list[Any] = []

    def work(_text: str) -> None:
        def apart() -> None:
            sandbox.files.write("in", "from outside")
            sandbox.files.make_dir("folder")
            sandbox.files.write("folder/x", b"")
            sandbox.files.rename("folder", "other")
            done.append(told(sandbox))
            sandbox.files.remove("other")
            sandbox.files.write("go", b"")

        threading.Thread(target=apart).start()

    execution = sandbox.run_code(WAIT, on_stdout=work)

    assert execution.status == "ok"
    assert done == [["in", "other", "other/x"]]
    assert {path: file.text() for path, file in execution.files.items()} == {"made": "from outside"}
    assert execution.files.removed == ()


# -- watching ------------------------------------------------------------------------------------------


def test_what_the_code_does_in_a_folder_is_told(sandbox: Sandbox):
    sandbox.files.make_dir("folder")
    with sandbox.files.watch("folder") as handle:
        sandbox.run_code(
            "import os\n"
            "with open('folder/a', 'w') as file: file.write('1')\n"
            "os.rename('folder/a', 'folder/b'); os.unlink('folder/b')\n"
            "os.close(os.open(b'folder/\\xff', os.O_CREAT | os.O_WRONLY))"
        )
        sandbox.files.write("folder/host", b"1")
        sandbox.files.write("elsewhere", b"1")

        events = [(event.type, event.name) for event in handle.get_new_events()]

        assert events == [
            (FilesystemEventType.CREATE, "a"),
            (FilesystemEventType.WRITE, "a"),
            (FilesystemEventType.RENAME, "a"),
            (FilesystemEventType.CREATE, "b"),
            (FilesystemEventType.REMOVE, "b"),
            (FilesystemEventType.CREATE, "host"),
            (FilesystemEventType.WRITE, "host"),
        ]
        assert handle.left_out == {"name not printable": 1}
        assert handle.get_new_events() == []
    with pytest.raises(ClosedError):
        handle.get_new_events()


def test_who_waits_for_events_gets_them_as_they_come_and_is_told_the_end(sandbox: Sandbox):
    sandbox.files.make_dir("folder")
    handle = sandbox.files.watch_dir("folder")
    names = []

    sandbox.files.write("folder/a", b"")
    for event in handle:
        names.append(f"{event.type} {event.name}")
        if event.name == "a":
            sandbox.files.remove("folder")

    assert names[0] == "create a"
    assert names[-1] == "remove ."
    handle.stop()


def test_a_watch_ends_with_its_sandbox_even_if_a_file_outlives_that():
    sandbox = Sandbox(KERNEL)
    execution = sandbox.run_code("open('kept', 'wb').write(bytes(1 << 20))")
    handle = sandbox.files.watch()
    reader = threading.Thread(target=lambda: list(handle))
    reader.start()

    sandbox.close()
    reader.join(20)

    assert not reader.is_alive()
    assert len(execution.files["kept"].read()) == MIB
    with pytest.raises(ClosedError):
        handle.get_new_events()


def test_folders_below_are_not_watched_and_that_is_said(sandbox: Sandbox):
    with pytest.raises(PolicyError, match="recursive=True is not supported: each folder"):
        sandbox.files.watch(".", recursive=True)


# -- folders -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the host with everything in it."""
    made = tmp_path / "host"
    (made / "a/empty").mkdir(parents=True)
    (made / "a/data.csv").write_text("1,2")
    (made / "run.sh").write_text("echo")
    (made / "run.sh").chmod(0o755)
    (made / "big").write_bytes(b"x" * (2 * MIB + 1))
    (made / "~").write_text("tilde")
    (made / "out").symlink_to("/etc")
    (made / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(made / "fifo")
    os.close(os.open(os.fsencode(made) + b"/odd\xff", os.O_CREAT | os.O_WRONLY))
    return made


FILES = ["a", "a/data.csv", "a/empty", "big", "run.sh", "~"]
SIZE = 3 + 4 + 2 * MIB + 1 + 5


def test_a_folder_goes_up_with_its_folders_and_executable_files(sandbox: Sandbox, folder: Path):
    seen: list[Progress] = []

    transfer = sandbox.files.upload(folder, "in/here", progress=seen.append)

    assert transfer == Transfer(
        files=4, bytes=SIZE, left_out={"not a regular file": 3, "name not printable": 1}
    )
    assert told(sandbox, "in/here") == FILES
    assert sandbox.files.read("in/here/a/data.csv") == "1,2"
    modes = {name: sandbox.files.get_info(f"in/here/{name}").mode for name in ("run.sh", "big")}
    assert [bool(mode & stat.S_IXUSR) for mode in modes.values()] == [True, False]
    assert [progress.done_files for progress in seen] == [1, 1, 1, 2, 3, 4]
    assert seen[-1] == Progress(done_files=4, total_files=4, done_bytes=SIZE, total_bytes=SIZE)
    assert work_of(sandbox) == NOTHING


def test_a_folder_comes_down_without_anything_that_runs_or_leads_away(
    sandbox: Sandbox, folder: Path, tmp_path: Path
):
    sandbox.files.upload(folder)
    sandbox.run_code(
        "import os; os.symlink('/etc', 'x'); os.mkfifo('y'); open(b'\\xff', 'w').close()\n"
        "open('line\\nbreak', 'w').close(); os.link('big', 'big2')"
    )
    seen: list[Progress] = []
    target = tmp_path / "out/put"

    transfer = sandbox.files.download(".", target, progress=seen.append)

    assert transfer.left_out == {"not a regular file": 2, "name not printable": 2}
    assert (transfer.files, transfer.bytes) == (5, SIZE + 2 * MIB + 1)
    found = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert found == sorted([*FILES, "big2"])
    assert (target / "~").read_text() == "tilde"
    assert not [
        path for path in target.rglob("*") if path.is_file() and path.stat().st_mode & 0o111
    ]
    assert seen[-1].done_bytes == transfer.bytes


def test_nothing_of_the_host_is_overwritten_unasked(sandbox: Sandbox, tmp_path: Path):
    sandbox.files.write({"a": b"theirs", "b/c": b"theirs"})
    target = tmp_path / "out"
    (target / "b").mkdir(parents=True)
    (target / "b/c").write_text("mine")

    with pytest.raises(FileError, match="exists; choose another folder, or pass overwrite=True"):
        sandbox.files.download(".", target)
    assert (os.listdir(target), (target / "b/c").read_text()) == (["b"], "mine")

    sandbox.files.download(".", target, overwrite=True)
    assert ((target / "a").read_text(), (target / "b/c").read_text()) == ("theirs", "theirs")


@BOTH
def test_a_folder_that_cannot_fit_is_refused_before_anything_is_written(
    policy: Policy, tmp_path: Path
):
    for number in range(40):
        (tmp_path / f"{number}").write_bytes(b"x" * 4096)
    for name, limits in (
        ("workspace_inodes, 32", {"workspace_inodes": 32}),
        ("workspace_bytes, 64 KiB", {"workspace_bytes": "64 KiB"}),
    ):
        with Sandbox(limited(policy, **limits)) as sandbox:
            with pytest.raises(FileError, match=f"more than {name}; nothing was written"):
                sandbox.files.upload(tmp_path)
            assert told(sandbox) == []
    (tmp_path / "0").write_bytes(b"x" * 5000)
    with (
        Sandbox(limited(policy, file_bytes="4 KiB")) as sandbox,
        pytest.raises(FileError, match="a file larger than file_bytes, 4 KiB: '0'"),
    ):
        sandbox.files.upload(tmp_path)


def test_too_much_is_left_out_on_the_way_down_and_counted(tmp_path: Path):
    with Sandbox(limited(KERNEL, files_out_bytes="16 KiB")) as sandbox:
        sandbox.run_code(
            "import os\n"
            "with open('sparse', 'wb') as file: os.truncate(file.fileno(), 200 << 20)\n"
            "for n in range(6): open(f'{n}', 'wb').write(bytes(4096))"
        )

        transfer = sandbox.files.download(".", tmp_path)

    assert transfer.left_out == {"too large": 1, "too many bytes": 2}
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("path", ["nope", "file", "link", "../x"])
def test_only_a_folder_comes_down(sandbox: Sandbox, tmp_path: Path, path: str):
    sandbox.files.write("file", b"")
    sandbox.run_code("import os; os.symlink('/etc', 'link')")

    with pytest.raises(FileError):
        sandbox.files.download(path, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_only_a_folder_goes_up(sandbox: Sandbox, tmp_path: Path):
    (tmp_path / "file").touch()

    for name in ("file", "nope"):
        with pytest.raises(FileError, match="cannot read the folder"):
            sandbox.files.upload(tmp_path / name)
    assert told(sandbox) == []


def test_who_counts_may_stop_it(sandbox: Sandbox, folder: Path, tmp_path: Path):
    def stop(_progress: Progress) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        sandbox.files.upload(folder, progress=stop)
    assert work_of(sandbox) == NOTHING
    sandbox.files.upload(folder)
    with pytest.raises(KeyError):
        sandbox.files.download(".", tmp_path / "out", progress=stop)
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 1


# -- asyncio -------------------------------------------------------------------------------------------


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


@BOTH
def test_the_asyncio_face_does_the_same(policy: Policy, folder: Path, tmp_path: Path):
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"a", b"b"):
            await asyncio.sleep(0)
            yield chunk

    async def main() -> None:
        async with AsyncSandbox(policy) as sandbox:
            files = sandbox.files
            await files.write({"x": b"1", "y": chunks(), "z": io.BytesIO(b"3")})
            assert [await files.read(name) for name in "xyz"] == ["1", "ab", "3"]
            assert (await files.make_dir("d"), await files.exists("d")) == (True, True)
            assert (await files.rename("x", "d/x")).path == "/home/user/d/x"
            assert (await files.get_info("d/x")).size == 1
            await files.remove("d")
            async with await files.read("y", format="stream") as stream:
                assert [chunk async for chunk in stream] == [b"ab"]
            seen: list[Progress] = []
            assert (await files.upload(folder, "up", progress=seen.append)).files == 4
            assert (await files.download("up", tmp_path / "out")).bytes == SIZE
            assert seen[-1].done_files == 4
            assert len(await files.list(depth=None)) == len(FILES) + 3
            assert not (await sandbox.run_code("1")).files

    run(main())


@BOTH
def test_events_are_awaited_and_another_task_can_stop_that(policy: Policy):
    async def main() -> None:
        async with AsyncSandbox(policy) as sandbox:
            handle = await sandbox.files.watch()
            names = []

            async def read() -> None:
                async for event in handle:
                    names.append(event.name)
                    if event.name == "b":
                        stopper.set()

            stopper = asyncio.Event()
            reader = asyncio.create_task(read())
            await sandbox.run_code("open('a', 'w').close(); open('b', 'w').close()")
            await stopper.wait()
            await handle.stop()
            await reader
            assert names == ["a", "b"]

    run(main())


@BOTH
def test_transfers_cancelled_at_any_moment_leave_the_sandbox_usable(policy: Policy, folder: Path):
    async def main() -> None:
        async with AsyncSandbox(policy) as sandbox:
            await sandbox.files.write("kept", b"kept")
            for turns in range(12):
                task = asyncio.create_task(sandbox.files.upload(folder, "up"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert not (await sandbox.run_code("1")).files
                await sandbox.files.remove("up")
            assert await sandbox.files.read("kept") == "kept"

    run(main())


def test_many_tasks_work_on_one_sandbox_at_once():
    async def main() -> None:
        async with AsyncSandbox(KERNEL) as sandbox:
            running = asyncio.create_task(sandbox.run_code(WAIT))
            await asyncio.gather(*(sandbox.files.write(f"{n}", str(n)) for n in range(30)))
            read = await asyncio.gather(*(sandbox.files.read(f"{n}") for n in range(30)))
            assert read == [str(n) for n in range(30)]
            await sandbox.files.write("in", "x")
            await sandbox.files.write("go", b"")
            assert list((await running).files) == ["made"]

    run(main())


# -- what is full is named -----------------------------------------------------------------------------


def test_a_full_workspace_names_its_limit():
    policy = limited(KERNEL, workspace_bytes=4 * MIB, workspace_inodes=20)
    with Sandbox(policy) as sandbox:
        with pytest.raises(FileError, match="no room is left in it; the limit is workspace_bytes"):
            sandbox.files.write("large", bytes(5 * MIB))
        sandbox.files.remove("large")
        with pytest.raises(FileError, match="one more file or folder; the limit is workspace_inod"):
            sandbox.files.write({f"{number}": b"" for number in range(40)})
        with pytest.raises(FileError, match="one more file or folder; the limit is workspace_inod"):
            sandbox.files.make_dir("folder")


@BOTH
def test_names_that_cannot_be_given_are_explained(policy: Policy):
    with Sandbox(policy) as sandbox:
        sandbox.files.write({"a/x": b"", "b/y": b""})
        with pytest.raises(FileError, match="a folder cannot be moved into itself"):
            sandbox.files.rename("a", "a/b")
        with pytest.raises(FileError, match="a folder of that name has something in it"):
            sandbox.files.rename("a", "b")
