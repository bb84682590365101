"""Capabilities: there before, gone after, and no way to get any back, in a user namespace and as the real root."""

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocell_guest.kernel import _libc, capabilities, syscalls
from tests.kernel.children import become_nobody, in_child, needs_root, outcome

CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_GET_SECUREBITS = 27
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_NET_RAW = 13
ALL_BUT_KEEP_CAPS = 0b1110_1111  # NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, and every lock


def be_root_of_a_user_namespace() -> None:
    """Become uid 0 with all capabilities, over nothing but new user and host name namespaces."""
    user = os.geteuid()
    _libc.syscall(syscalls.number("unshare"), CLONE_NEWUSER | CLONE_NEWUTS)
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")


def before_and_after(attack: Callable[[], Any]) -> Any:
    def body() -> list[Any]:
        be_root_of_a_user_namespace()
        before = in_child(attack)  # which may spend what drop_all needs
        capabilities.drop_all()
        return [before, attack()]

    return in_child(body)


def sets() -> dict[str, bool]:
    """Say of each set whether anything is in it."""
    status = capabilities.read_status()
    return {name: status[name] != 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def sets_of_a_program() -> str:
    """Execute a program and return the capabilities that it runs with."""
    command = ["/bin/grep", "CapEff", "/proc/self/status"]
    done = subprocess.run(command, check=True, capture_output=True)
    return "some" if int(done.stdout.split()[1], 16) else "none"


@pytest.mark.claim("kernel.capabilities-none")
def test_every_set_is_empty():
    had, left = before_and_after(sets)

    assert (had["CapPrm"], had["CapEff"], had["CapBnd"]) == (True, True, True)
    assert left == dict.fromkeys(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"], False)


@pytest.mark.claim("kernel.capabilities-none")
def test_what_needs_a_capability_is_refused():
    assert before_and_after(lambda: outcome(socket.sethostname, "mine")) == ["ok", "EPERM"]


@pytest.mark.claim("kernel.capabilities-none")
def test_the_real_root_is_as_powerless(tmp_path: Path):
    needs_root()
    file = tmp_path / "file"
    file.write_text("")

    def body() -> list[str]:
        before = outcome(os.chown, file, 1, 1)
        capabilities.drop_all()
        return [before, outcome(os.chown, file, 0, 0), outcome(os.setuid, 1)]

    assert in_child(body) == ["ok", "EPERM", "EPERM"]


@pytest.mark.twin("kernel.capabilities-none")
def test_what_needs_no_capability_still_works(tmp_path: Path):
    def body() -> str:
        be_root_of_a_user_namespace()
        capabilities.drop_all()
        (tmp_path / "file").write_text("mine")
        command = ["/bin/cat", str(tmp_path / "file")]
        return subprocess.run(command, check=True, capture_output=True).stdout.decode()

    assert in_child(body) == "mine"


@pytest.mark.claim("kernel.capabilities-for-good")
def test_a_program_executed_as_root_gets_none():
    assert before_and_after(sets_of_a_program) == ["some", "none"]


@pytest.mark.claim("kernel.capabilities-for-good")
def test_a_program_with_file_capabilities_gets_none(tmp_path: Path):
    needs_root()
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    # struct vfs_cap_data (linux/capability.h): revision 2 and the effective bit, permitted, inheritable.
    attribute = struct.pack("<IIIII", 0x0200_0001, 1 << CAP_NET_RAW, 0, 0, 0)
    os.setxattr(program, "security.capability", attribute)

    def body() -> list[str]:
        before = outcome(subprocess.run, [str(program)], check=True)
        capabilities.drop_all()
        return [before, outcome(subprocess.run, [str(program)], check=True)]

    # execve(2): EPERM where a program would not get the capabilities that its file promises.
    assert in_child(body) == ["ok", "EPERM"]


def take_net_raw() -> str:
    header = struct.pack("=Ii", 0x2008_0522, 0)
    sets_of_one = struct.pack("=6I", *[1 << CAP_NET_RAW] * 3, 0, 0, 0)
    return outcome(_libc.syscall, syscalls.number("capset"), header, sets_of_one)


def raise_an_ambient_one() -> str:
    take_net_raw()  # it has to be inheritable first
    return outcome(_libc.prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW)


@pytest.mark.claim("kernel.capabilities-for-good")
@pytest.mark.parametrize(
    "attack",
    [
        take_net_raw,
        raise_an_ambient_one,
        lambda: outcome(_libc.prctl, PR_SET_KEEPCAPS, 1),
        lambda: outcome(_libc.prctl, PR_SET_SECUREBITS, 0),
    ],
    ids=["capset", "ambient", "keep capabilities", "securebits"],
)
def test_no_set_can_be_filled_again(attack: Callable[[], str]):
    assert before_and_after(attack) == ["ok", "EPERM"]


@pytest.mark.claim("kernel.capabilities-for-good")
def test_the_securebits_are_set_and_locked():
    assert before_and_after(lambda: _libc.prctl(PR_GET_SECUREBITS)) == [0, ALL_BUT_KEEP_CAPS]


@pytest.mark.claim("kernel.capabilities-for-good")
def test_the_bounding_set_is_empty_to_the_kernels_last_capability():
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())

    def in_the_bounding_set() -> int:
        return sum(_libc.prctl(PR_CAPBSET_READ, number) for number in range(last + 1))

    assert before_and_after(in_the_bounding_set) == [last + 1, 0]


@pytest.mark.twin("kernel.capabilities-for-good")
def test_dropping_what_is_gone_already_is_refused_not_passed_over():
    def body() -> list[str]:
        be_root_of_a_user_namespace()
        return [outcome(capabilities.drop_all), outcome(capabilities.drop_all)]

    assert in_child(body) == ["ok", "EPERM"]


@pytest.mark.claim("kernel.capabilities-fails-closed")
def test_a_process_that_may_not_empty_the_bounding_set_is_told():
    def body() -> str:
        if os.geteuid() == 0:
            become_nobody()
        return outcome(capabilities.drop_all)

    assert in_child(body) == "EPERM"


@pytest.mark.claim("kernel.capabilities-fails-closed")
def test_a_second_thread_is_an_error():
    def body() -> str:
        be_root_of_a_user_namespace()
        ended = threading.Event()
        other = threading.Thread(target=ended.wait)
        other.start()
        try:
            capabilities.drop_all()
        except OSError as error:
            return str(error)
        finally:
            ended.set()
            other.join()
        return "no error"

    assert in_child(body) == (
        "[Errno 1] capabilities are left after dropping all:"
        " 2 threads, of which one gave up its capabilities"
    )


@pytest.mark.twin("kernel.capabilities-fails-closed")
def test_the_kernels_word_on_a_thread_is_read():
    def body() -> dict[str, int]:
        _libc.prctl(38, 1)
        status = capabilities.read_status()
        return {name: status[name] for name in ("NoNewPrivs", "Seccomp", "Threads")}

    assert in_child(body) == {"NoNewPrivs": 1, "Seccomp": 0, "Threads": 1}


@pytest.mark.claim("kernel.capabilities-fails-closed")
def test_a_line_that_is_missing_is_not_taken_for_zero(tmp_path: Path):
    status = tmp_path / "status"
    status.write_text("Name:\tCapEff: 1\nGroups:\t" + "1000 " * 5000 + "\nCapPrm:\t000000ff\n")

    assert capabilities.read_status(str(status)) == {"CapPrm": 255}
