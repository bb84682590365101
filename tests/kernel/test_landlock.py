"""Landlock, one right at a time: allowed before, refused after with the exact errno, and what is given still works."""

import errno
import fcntl
import os
import signal
import socket
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocell_guest.kernel import _libc, landlock, syscalls
from tests.features import require
from tests.kernel.children import become_nobody, end, fork, in_child, outcome

PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
PTRACE_ATTACH = 16
PTRACE_DETACH = 17
RNDGETENTCNT = 0x80045200

SYSTEM = [
    path for path in ("/usr", "/bin", "/lib", "/lib64", "/etc", "/proc") if os.path.exists(path)
]


@pytest.fixture(autouse=True)
def _landlock() -> None:
    require("landlock", lambda feature: None if landlock.abi() else landlock.support().remedy)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder to read, one to write, and one outside of both, with a file in each."""
    for name in ("read", "write", "outside"):
        (tmp_path / name / "folder").mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    return tmp_path


def restrict(tree: Path, **options: Any) -> int:
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
    return landlock.restrict([tree / "read"], [tree / "write"], **options)


def before_and_after(tree: Path, attack: Callable[[], Any], **options: Any) -> Any:
    def body() -> list[Any]:
        before = attack()
        restrict(tree, **options)
        return [before, attack()]

    return in_child(body)


def needs_abi(level: int) -> None:
    require(
        f"landlock ABI {level}",
        lambda feature: None if landlock.abi() >= level else "use a newer kernel",
    )


# -- files ------------------------------------------------------------------------------------------


@pytest.mark.claim("kernel.landlock-read-outside")
@pytest.mark.parametrize("name", ["file", "folder"])
def test_what_is_not_listed_cannot_be_opened(tree: Path, name: str):
    outside = tree / "outside" / name

    assert before_and_after(tree, lambda: outcome(os.open, outside, os.O_RDONLY)) == [
        "ok",
        "EACCES",
    ]


@pytest.mark.claim("kernel.landlock-read-outside")
def test_a_link_or_a_way_up_does_not_lead_outside(tree: Path):
    (tree / "write" / "link").symlink_to(tree / "outside" / "file")
    ways = [tree / "write" / "link", tree / "read" / ".." / "outside" / "file"]

    def attack() -> list[str]:
        return [outcome(os.open, way, os.O_RDONLY) for way in ways]

    assert before_and_after(tree, attack) == [["ok", "ok"], ["EACCES", "EACCES"]]


@pytest.mark.claim("kernel.landlock-read-outside")
def test_nothing_outside_can_be_executed(tree: Path):
    program = tree / "outside" / "program"
    program.symlink_to("/bin/true")

    def attack() -> str:
        return outcome(subprocess.run, [str(program)], check=True)

    assert before_and_after(tree, attack) == ["ok", "EACCES"]


@pytest.mark.twin("kernel.landlock-read-outside")
def test_what_is_listed_for_reading_can_be_read_and_executed(tree: Path):
    def body() -> list[Any]:
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict([*SYSTEM, tree / "read"], [])
        command = ["/bin/cat", str(tree / "read" / "file")]
        run = subprocess.run(command, check=True, capture_output=True)
        return [sorted(os.listdir(tree / "read")), run.stdout.decode()]

    assert in_child(body) == [["file", "folder"], "read"]


def changes(folder: Path) -> dict[str, str]:
    """Try every kind of change in a folder, and leave it as it was where the change works."""
    file, new = folder / "file", folder / "new"
    unix = socket.socket(socket.AF_UNIX)
    return {
        "write": outcome(os.open, file, os.O_WRONLY),
        "truncate": outcome(os.truncate, file, 0),
        "make a file": outcome(os.open, new, os.O_CREAT | os.O_WRONLY),
        "remove a file": outcome(os.unlink, new if new.exists() else file),
        "make a folder": outcome(os.mkdir, new),
        "remove a folder": outcome(os.rmdir, new if new.exists() else folder / "folder"),
        "rename": outcome(os.rename, file, new),
        "rename back": outcome(os.rename, new, file) if new.exists() else "no need",
        "move to another folder": outcome(os.rename, file, folder / "folder" / "file"),
        "make a hard link": outcome(os.link, _one_of(folder / "folder" / "file", file), new),
        "make a symbolic link": outcome(os.symlink, "target", folder / "symlink"),
        "make a FIFO": outcome(os.mkfifo, folder / "fifo"),
        "make a socket": outcome(unix.bind, str(folder / "socket")),
    }


def _one_of(*paths: Path) -> Path:
    return next(path for path in paths if path.exists())


@pytest.mark.claim("kernel.landlock-write-read-only")
def test_nothing_changes_where_only_reading_is_allowed(tree: Path):
    def body() -> dict[str, str]:
        restrict(tree)
        return changes(tree / "read")

    needs_abi(3)
    assert in_child(body) == {
        "write": "EACCES",
        "truncate": "EACCES",
        "make a file": "EACCES",
        "remove a file": "EACCES",
        "make a folder": "EACCES",
        "remove a folder": "EACCES",
        "rename": "EACCES",
        "rename back": "no need",
        "move to another folder": "EACCES",
        "make a hard link": "EACCES",
        "make a symbolic link": "EACCES",
        "make a FIFO": "EACCES",
        "make a socket": "EACCES",
    }
    assert (tree / "read" / "file").read_text() == "read"


@pytest.mark.twin("kernel.landlock-write-read-only", "kernel.landlock-move-across")
def test_every_change_works_where_writing_is_allowed(tree: Path):
    def body() -> dict[str, str]:
        restrict(tree)
        return changes(tree / "write")

    needs_abi(2)
    assert set(in_child(body).values()) == {"ok"}


@pytest.mark.claim("kernel.landlock-move-across")
@pytest.mark.parametrize(
    "call, errors",
    [(os.link, ["ok", "EXDEV"]), (os.rename, ["ok", "EACCES"])],
    ids=["link", "rename"],
)
def test_a_file_does_not_gain_rights_by_getting_another_name(
    tree: Path, call: Callable[[Path, Path], None], errors: list[str]
):
    needs_abi(2)
    names = iter([tree / "write" / "before", tree / "write" / "after"])
    (tree / "read" / "second").write_text("")
    sources = iter([tree / "read" / "file", tree / "read" / "second"])

    assert before_and_after(tree, lambda: outcome(call, next(sources), next(names))) == errors


@pytest.mark.claim("kernel.landlock-device-nodes")
def test_no_device_node_can_be_made_where_writing_is_allowed(tree: Path):
    # A whiteout, the one character device that needs no capability to make.
    def attack() -> str:
        place = tree / "write" / "device"
        result = outcome(os.mknod, place, stat.S_IFCHR | 0o600, os.makedev(0, 0))
        place.unlink(missing_ok=True)
        return result

    assert before_and_after(tree, attack) == ["ok", "EACCES"]


@pytest.mark.claim("kernel.landlock-device-nodes")
def test_no_block_device_can_be_made_where_writing_is_allowed(tree: Path):
    def body() -> str:
        restrict(tree)
        return outcome(os.mknod, tree / "write" / "b", stat.S_IFBLK | 0o600, os.makedev(7, 0))

    assert in_child(body) == "EACCES"


@pytest.mark.twin("kernel.landlock-device-nodes")
def test_a_device_that_is_listed_can_be_written(tree: Path):
    def body() -> int:
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict([], ["/dev/null"])
        with open("/dev/null", "wb", buffering=0) as null:
            return null.write(b"gone")

    assert in_child(body) == 4


def entropy_of(device: str) -> str:
    descriptor = os.open(device, os.O_RDONLY)
    try:
        return outcome(fcntl.ioctl, descriptor, RNDGETENTCNT, bytes(4))
    finally:
        os.close(descriptor)


@pytest.mark.claim("kernel.landlock-device-ioctl")
def test_the_ioctls_of_a_device_are_refused(tree: Path):
    needs_abi(5)

    def body() -> list[str]:
        before = entropy_of("/dev/urandom")
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict([], ["/dev/urandom"])
        return [before, entropy_of("/dev/urandom")]

    assert in_child(body) == ["ok", "EACCES"]


@pytest.mark.twin("kernel.landlock-device-ioctl")
def test_the_ioctls_of_a_device_that_is_listed_for_them_work(tree: Path):
    def body() -> str:
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict([], [], devices=["/dev/urandom"])
        return entropy_of("/dev/urandom")

    assert in_child(body) == "ok"


@pytest.mark.claim("kernel.landlock-file-alone")
def test_a_rule_on_a_file_is_for_that_file_alone(tree: Path):
    (tree / "outside" / "other").write_text("")

    def body() -> list[str]:
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict([], [tree / "outside" / "file"])
        names = ("file", "other", "folder")
        return [outcome(os.open, tree / "outside" / name, os.O_RDONLY) for name in names]

    assert in_child(body) == ["ok", "EACCES", "EACCES"]


@pytest.mark.twin("kernel.landlock-file-alone")
def test_a_listed_file_can_be_read_written_and_truncated(tree: Path):
    file = tree / "outside" / "file"

    def body() -> str:
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict([], [file])
        os.truncate(file, 3)
        with open(file, "a") as appended:
            appended.write("!")
        return file.read_text()

    assert in_child(body) == "out!"


# -- other processes ----------------------------------------------------------------------------------


def abstract_server(kind: int) -> tuple[socket.socket, bytes]:
    server = socket.socket(socket.AF_UNIX, kind)
    server.bind("")  # the kernel chooses an abstract name
    if kind == socket.SOCK_STREAM:
        server.listen()
    return server, server.getsockname()


def connect_to(kind: int, name: bytes) -> str:
    with socket.socket(socket.AF_UNIX, kind) as client:
        return outcome(client.connect, name)


KINDS = pytest.mark.parametrize(
    "kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "datagram"]
)


@pytest.mark.claim("kernel.landlock-abstract-sockets")
@KINDS
def test_an_abstract_socket_outside_the_domain_cannot_be_reached(tree: Path, kind: int):
    needs_abi(6)
    server, name = abstract_server(kind)

    with server:
        assert before_and_after(tree, lambda: connect_to(kind, name)) == ["ok", "EPERM"]


@pytest.mark.twin("kernel.landlock-abstract-sockets")
@KINDS
def test_an_abstract_socket_of_the_domain_can_be_reached(tree: Path, kind: int):
    def body() -> str:
        restrict(tree)
        server, name = abstract_server(kind)
        with server:
            return connect_to(kind, name)

    assert in_child(body) == "ok"


def become_ordinary() -> None:
    """Give up root, which may read any process; a change of ids hides a process, so undo that."""
    if os.geteuid() == 0:
        become_nobody()
        _libc.prctl(PR_SET_DUMPABLE, 1)


@pytest.fixture
def neighbour() -> Iterator[int]:
    """An ordinary process outside the domain, which waits for its end."""
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        become_ordinary()
        os.write(writer, b"!")
        signal.pause()
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    yield pid
    end(pid)


@pytest.mark.claim("kernel.landlock-signals")
def test_a_process_outside_the_domain_cannot_be_signalled(tree: Path, neighbour: int):
    needs_abi(6)

    assert before_and_after(tree, lambda: outcome(os.kill, neighbour, 0)) == ["ok", "EPERM"]


@pytest.mark.twin("kernel.landlock-signals")
def test_a_process_of_the_domain_can_be_signalled(tree: Path):
    def body() -> int:
        restrict(tree)
        reader, _writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(reader, 1)
        os.kill(child, 15)
        return os.waitpid(child, 0)[1]

    assert in_child(body) == 15


@pytest.mark.claim("kernel.landlock-trace")
def test_a_process_outside_the_domain_cannot_be_traced(tree: Path, neighbour: int):
    ptrace = syscalls.number("ptrace")

    def attack() -> str:
        result = outcome(_libc.syscall, ptrace, PTRACE_ATTACH, neighbour, 0, 0)
        if result == "ok":
            os.waitpid(neighbour, 0)
            _libc.syscall(ptrace, PTRACE_DETACH, neighbour, 0, 0)
        return result

    assert before_and_after(tree, attack) == ["ok", "EPERM"]


@pytest.mark.claim("kernel.landlock-trace")
@pytest.mark.parametrize("name", ["mem", "environ", "maps"])
def test_the_memory_of_a_process_outside_the_domain_cannot_be_read(neighbour: int, name: str):
    path = f"/proc/{neighbour}/{name}"

    def body() -> list[str]:
        become_ordinary()
        before = outcome(os.open, path, os.O_RDONLY)
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict(["/"], [])
        return [before, outcome(os.open, path, os.O_RDONLY)]

    assert in_child(body) == ["ok", "EACCES"]


@pytest.mark.twin("kernel.landlock-trace")
def test_a_process_can_read_its_own_memory_map(tree: Path):
    def body() -> str:
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict(["/proc"], [])
        return outcome(os.open, "/proc/self/maps", os.O_RDONLY)

    assert in_child(body) == "ok"


# -- for good -------------------------------------------------------------------------------------------


@pytest.mark.claim("kernel.landlock-for-good")
def test_a_second_ruleset_cannot_give_anything_back(tree: Path):
    def body() -> str:
        restrict(tree)
        landlock.restrict([tree / "read"], [tree / "read"])
        return outcome(os.open, tree / "read" / "file", os.O_WRONLY)

    assert in_child(body) == "EACCES"


@pytest.mark.claim("kernel.landlock-for-good")
def test_a_program_that_is_executed_is_restricted_too(tree: Path):
    def body() -> str:
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict(SYSTEM, [])
        command = ["/bin/cat", str(tree / "outside" / "file")]
        environment = {"LC_ALL": "C"}
        run = subprocess.run(command, check=False, capture_output=True, env=environment)
        return run.stderr.decode()

    assert in_child(body) == f"/bin/cat: {tree}/outside/file: Permission denied\n"


@pytest.mark.claim("kernel.landlock-for-good")
def test_a_restricted_process_cannot_mount(tree: Path):
    def attack() -> str:
        arguments = (b"none\0", os.fsencode(tree / "write") + b"\0", b"tmpfs\0", 0, None)
        return outcome(_libc.syscall, syscalls.number("mount"), *arguments)

    def body() -> list[str]:
        _libc.syscall(syscalls.number("unshare"), CLONE_NEWUSER | CLONE_NEWNS)
        before = attack()
        restrict(tree)
        return [before, attack()]

    assert in_child(body) == ["ok", "EPERM"]


@pytest.mark.twin("kernel.landlock-for-good")
def test_a_second_ruleset_can_take_more_away(tree: Path):
    def body() -> list[str]:
        restrict(tree)
        landlock.restrict([tree / "read"], [])
        return [outcome(os.open, tree / name / "file", os.O_RDONLY) for name in ("read", "write")]

    assert in_child(body) == ["ok", "EACCES"]


# -- what cannot be enforced is said -----------------------------------------------------------------------


@pytest.mark.claim("kernel.landlock-fails-closed")
def test_a_path_that_does_not_exist_is_an_error_and_restricts_nothing(tree: Path):
    def body() -> list[str]:
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
        wrong = outcome(landlock.restrict, [tree / "read", tree / "nothing"], [])
        return [wrong, outcome(os.open, tree / "outside" / "file", os.O_RDONLY)]

    assert in_child(body) == ["ENOENT", "ok"]


@pytest.mark.claim("kernel.landlock-fails-closed")
def test_without_no_new_privs_the_kernel_refuses(tree: Path):
    def body() -> str:
        if os.geteuid() == 0:
            become_nobody()
        return outcome(landlock.restrict, [], [])

    assert in_child(body) == "EPERM"


@pytest.mark.claim("kernel.landlock-fails-closed")
def test_nothing_stays_open_after_a_failure(tree: Path):
    def body() -> bool:
        before = os.listdir("/proc/self/fd")
        outcome(landlock.restrict, [tree / "read", tree / "nothing"], [])
        return os.listdir("/proc/self/fd") == before

    assert in_child(body) is True


def refuse_landlock(code: int) -> None:
    """Install a seccomp filter that answers create_ruleset with an errno, as an outer sandbox would."""
    load_number = struct.pack("=HBBI", 0x20, 0, 0, 0)
    if_it_is_ours = struct.pack("=HBBI", 0x15, 0, 1, 444)
    refuse = struct.pack("=HBBI", 0x06, 0, 0, 0x0005_0000 | code)
    allow = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF_0000)
    program = _libc.buffer(load_number + if_it_is_ours + refuse + allow)
    header = _libc.buffer(struct.pack("=H6xQ", 4, _libc.address_of(program)))
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1)
    _libc.prctl(PR_SET_SECCOMP, 2, _libc.address_of(header))


@pytest.mark.claim("kernel.landlock-fails-closed")
@pytest.mark.parametrize(
    "code, reason",
    [
        (errno.ENOSYS, "the kernel has no Landlock"),
        (
            errno.EOPNOTSUPP,
            "the kernel has Landlock, and it was not switched on when the machine started",
        ),
        (errno.EPERM, "a seccomp filter around this process refuses the Landlock calls"),
    ],
    ids=["not built", "not switched on", "refused"],
)
def test_why_there_is_no_landlock_is_said(tree: Path, code: int, reason: str):
    def body() -> list[Any]:
        refuse_landlock(code)
        return [landlock.abi(), landlock.support().reason, outcome(landlock.restrict, [], [])]

    assert in_child(body) == [0, reason, "ENOSYS"]


@pytest.mark.claim("kernel.landlock-fails-closed")
def test_an_answer_that_nobody_expects_is_an_error():
    def body() -> str:
        refuse_landlock(errno.EIO)
        return outcome(landlock.abi)

    assert in_child(body) == "EIO"


@pytest.mark.twin("kernel.landlock-fails-closed")
@pytest.mark.parametrize("level", range(1, 8))
def test_the_level_that_was_enforced_is_told(tree: Path, level: int):
    needs_abi(level)

    assert in_child(lambda: restrict(tree, highest_abi=level)) == level


@pytest.mark.twin("kernel.landlock-fails-closed")
def test_a_lower_level_leaves_truncation_alone(tree: Path):
    needs_abi(3)

    def body() -> list[str]:
        restrict(tree, highest_abi=2)
        first = outcome(os.truncate, tree / "read" / "file", 0)
        restrict(tree, highest_abi=3)
        return [first, outcome(os.truncate, tree / "read" / "file", 0)]

    assert in_child(body) == ["ok", "EACCES"]
