"""The filter in the running kernel: what was possible before is refused after, and the rest works.

Each script runs in a process of its own, since a filter is for ever.  ``outcome`` makes a system
call and gives "ok" or the errno's name.  Where it can, a script makes a call twice, before and after
the filter, with arguments that are harmless in both cases.
"""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

PRELUDE = """
import errno, json, os, socket, sys
from protocell_guest.kernel import _libc, seccomp, syscalls

def outcome(name, *args):
    number = syscalls.number(name) if isinstance(name, str) else name
    try:
        _libc.syscall(number, *args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"

def trial(function, *args, **named):
    try:
        result = function(*args, **named)
    except OSError as error:
        return errno.errorcode[error.errno]
    if hasattr(result, "close"):
        result.close()
    return "ok"

def become_nobody():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)

def confine():
    _libc.prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    seccomp.install()

def status(name):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))

def report(value):
    print(json.dumps(value), flush=True)
"""


def start(script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def reported(script: str) -> Any:
    done = start(script)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def before_and_after(*calls: str) -> tuple[list[str], list[str]]:
    """Evaluate the expressions without the filter and then with it."""
    listed = f"[{', '.join(calls)}]"
    before, after = reported(f"a = {listed}\nconfine()\nreport([a, {listed}])")
    return before, after


@pytest.mark.claim("kernel.filter-needs-no-new-privileges")
def test_without_no_new_privs_nothing_is_installed():
    script = """
count = status("Seccomp")
try:
    seccomp.install()
except OSError as error:
    report([error.errno == errno.EACCES, error.strerror, status("Seccomp") == count])
"""

    assert reported(script) == [True, "set no_new_privs before the system call filter", True]


@pytest.mark.claim("kernel.filter-needs-no-new-privileges")
def test_with_no_new_privs_the_kernel_says_that_a_filter_is_on():
    assert reported("confine(); report([status('Seccomp'), status('NoNewPrivs')])") == ["2", "1"]


@pytest.mark.claim("kernel.filter-every-rule")
def test_the_running_kernel_answers_every_rule_with_its_errno():
    script = """
sys.path.insert(0, os.getcwd())
from tests.seccomp_cases import GARBAGE, POLICY, refused_args
become_nobody()
rules = [rule for rule in POLICY if rule.name in syscalls.numbers(_libc.machine())]
calls = [(r.name, r.errno, refused_args(r)) for r in rules]
confine()
wrong = []
for name, code, args in calls:
    expected = errno.errorcode[code] if code else "ok"
    for given in (args, [GARBAGE | a for a in args]):
        if outcome(name, *given) != expected:
            wrong.append([name, given, outcome(name, *given)])
report([len(calls) > 100, wrong])
"""

    assert reported(script) == [True, []]


@pytest.mark.twin("kernel.filter-every-rule")
def test_the_kernel_looks_at_arguments_that_no_rule_is_about():
    """Each is a call that a rule refuses with other arguments; the answer is the kernel's own."""
    _, after = before_and_after(
        "outcome('personality', 0xFFFFFFFF)",
        "outcome('prctl', 3)",
        "outcome('prctl', 4, 0)",
        "outcome('ioctl', -1, 0x5401)",
        "outcome('fcntl', -1, 1)",
        "outcome('madvise', 1, 0, 4)",
        "outcome('prlimit64', 0, 7, 0, 0)",
        "outcome('setpriority', 0, 0, 1)",
        "outcome('sched_setscheduler', 0, 0, 0)",
        "outcome('clone', 0x10000)",  # CLONE_THREAD without CLONE_SIGHAND
    )

    assert after == [
        "ok",
        "ok",
        "ok",
        "EBADF",
        "EBADF",
        "EINVAL",
        "ok",
        "ok",
        "EINVAL",
        "EINVAL",
    ]


@pytest.mark.claim("kernel.no-new-namespaces")
def test_no_namespace_can_be_made_or_entered():
    before, after = before_and_after(
        "outcome('unshare', 0)",
        "outcome('setns', -1, 0)",
        "outcome('clone', 0x10000 | 0x10000000)",
        "outcome('clone3', 0, 0)",
        "outcome('mount', 0, 0, 0, 0, 0)",
        "outcome('chroot', 0)",
    )

    assert before[:4] == ["ok", "EBADF", "EINVAL", "EINVAL"]
    assert after == ["EPERM", "EPERM", "EPERM", "ENOSYS", "EPERM", "EPERM"]


@pytest.mark.claim("kernel.no-new-namespaces")
def test_a_filter_prepared_before_a_fork_holds_after_it():
    script = """
seccomp.prepare()
child = os.fork()
if child == 0:
    confine()
    os._exit(outcome("unshare", 0) == "EPERM" and status("Seccomp") == "2")
report([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), outcome("unshare", 0)])
"""

    assert reported(script) == [True, "ok"]


@pytest.mark.claim("kernel.no-io-uring")
def test_there_is_no_io_uring():
    _, after = before_and_after(
        "outcome('io_uring_setup', 1, 0)",
        "outcome('io_uring_enter', -1, 0, 0, 0, 0, 0)",
        "outcome('io_uring_register', -1, 0, 0, 0)",
    )

    assert after == ["ENOSYS"] * 3


@pytest.mark.claim("kernel.socket-families")
def test_sockets_of_other_families_types_and_protocols_are_refused():
    _, after = before_and_after(
        "trial(socket.socket, 38, socket.SOCK_SEQPACKET)",  # AF_ALG
        "trial(socket.socket, 40, socket.SOCK_STREAM)",  # AF_VSOCK
        "trial(socket.socket, 17, socket.SOCK_DGRAM)",  # AF_PACKET
        "trial(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)",
        "trial(socket.socket, socket.AF_INET, 10)",  # SOCK_PACKET
        "trial(socket.socket, socket.AF_INET, socket.SOCK_STREAM, 132)",  # SCTP
        "trial(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 12)",  # NETLINK_NETFILTER
    )

    refused = ["EAFNOSUPPORT"] * 3
    assert after == [*refused, "EPERM", "EPERM", "EPROTONOSUPPORT", "EPERM"]


@pytest.mark.twin("kernel.socket-families")
def test_unix_inet_and_route_sockets_work():
    before, after = before_and_after(
        "trial(lambda: [s.close() for s in socket.socketpair()])",
        "trial(socket.socket, socket.AF_UNIX, socket.SOCK_DGRAM)",
        "trial(socket.create_server, ('127.0.0.1', 0))",
        "trial(socket.socket, socket.AF_INET, socket.SOCK_DGRAM, 17)",
        "trial(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0)",
        "trial(socket.if_nameindex)",
        "trial(socket.getaddrinfo, '127.0.0.1', 80)",
    )

    assert before == after == ["ok"] * 7


@pytest.mark.claim("kernel.no-terminal-injection")
def test_nothing_can_be_typed_into_a_terminal():
    before, after = before_and_after(
        "outcome('ioctl', -1, 0x5412, 0)",
        "outcome('ioctl', -1, 0x5412 | 1 << 32, 0)",
        "outcome('ioctl', -1, 0x541C, 0)",
        "outcome('ioctl', -1, 0x5423, 0)",
    )

    assert before == ["EBADF"] * 4
    assert after == ["EPERM"] * 4


@pytest.mark.twin("kernel.no-terminal-injection")
def test_a_terminal_of_one_s_own_can_be_used():
    script = """
import pty, termios, tty
confine()
leader, follower = pty.openpty()
tty.setraw(follower)
os.write(leader, b"typed")
report([os.read(follower, 5).decode(), os.get_terminal_size(follower).columns])
"""

    assert reported(script) == ["typed", 0]


NEIGHBOUR = """
gate, go = os.pipe()
neighbour = os.fork()
if neighbour == 0:
    os.close(go)
    os.read(gate, 1)
    os._exit(0)
os.close(gate)
os.setpgid(neighbour, neighbour)
"""
END_OF_NEIGHBOUR = """
os.close(go)
_, ended = os.waitpid(neighbour, 0)
"""


@pytest.mark.claim("kernel.neighbours-out-of-reach")
def test_a_process_of_the_same_user_cannot_be_touched():
    script = f"""
become_nobody()
{NEIGHBOUR}
import struct
limit = struct.pack("QQ", 3600, 3600)
def attacks():
    return [
        outcome("prlimit64", neighbour, 0, limit, 0),
        outcome("setpriority", 0, neighbour, 1),
        outcome("setpriority", 1, neighbour, 1),
        outcome("ioprio_set", 1, neighbour, 2 << 13 | 7),
        outcome("ioprio_set", 2, neighbour, 2 << 13 | 7),
        outcome("sched_setscheduler", neighbour, 3, bytes(8)),
        outcome("sched_setaffinity", neighbour, 128, b"\\xff" * 128),
        outcome("ptrace", 17, neighbour, 0, 0),
        outcome("process_vm_readv", neighbour, 0, 0, 0, 0, 0),
        outcome("kcmp", os.getpid(), neighbour, 0, 0, 1),
        outcome("pidfd_getfd", os.pidfd_open(neighbour), 0, 0),
    ]
before = attacks()
confine()
after = attacks()
{END_OF_NEIGHBOUR}
report([before, after, ended])
"""

    before, after, ended = reported(script)

    assert before[:7] == ["ok"] * 7
    assert after == ["EPERM"] * 11
    assert ended == 0


@pytest.mark.twin("kernel.neighbours-out-of-reach")
def test_a_process_may_change_itself_and_signal_its_children():
    script = f"""
import resource, signal
become_nobody()
confine()
{NEIGHBOUR}
os.nice(1)
os.setpriority(os.PRIO_PROCESS, 0, 2)
os.sched_setaffinity(0, os.sched_getaffinity(0))
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
resource.setrlimit(resource.RLIMIT_CPU, (600, 600))
signal.pidfd_send_signal(os.pidfd_open(neighbour), signal.SIGUSR1)
{END_OF_NEIGHBOUR}
report([os.getpriority(os.PRIO_PROCESS, 0), os.WTERMSIG(ended) == signal.SIGUSR1])
"""

    assert reported(script) == [2, True]


@pytest.mark.claim("kernel.no-shared-quotas")
def test_what_counts_for_the_whole_machine_cannot_be_used_up():
    """Inotify instances, AIO contexts, leases, huge pages: none of them has a namespace."""
    script = """
import fcntl
become_nobody()
folder = os.open("/", os.O_RDONLY)
def attacks():
    return [
        outcome("inotify_init1", 0),
        outcome("io_setup", 1, bytes(8)),
        trial(fcntl.fcntl, folder, fcntl.F_NOTIFY, 0),
        outcome("memfd_create", b"x\\0", 4),
        outcome("mmap", 0, 2 << 20, 3, 0x40022, -1, 0),
        outcome("cachestat", -1, 0, 0, 0),
    ]
before = attacks()
confine()
after = attacks()
report([before[:3], after])
"""

    before, after = reported(script)

    assert before == ["ok", "ok", "ok"]
    assert after == ["ENOSYS", "ENOSYS", "EPERM", "ENOMEM", "ENOMEM", "EPERM"]


@pytest.mark.claim("kernel.no-shared-quotas")
def test_a_reader_cannot_make_a_writer_wait_by_a_lease():
    script = """
import fcntl, tempfile
become_nobody()
folder = tempfile.mkdtemp()
path = os.path.join(folder, "shared")
os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
reader = os.open(path, os.O_RDONLY)
def lease(kind):
    return trial(fcntl.fcntl, reader, fcntl.F_SETLEASE, kind)
before = [lease(fcntl.F_RDLCK), lease(fcntl.F_UNLCK)]
confine()
after = lease(fcntl.F_RDLCK)
writer = trial(os.open, path, os.O_WRONLY | os.O_NONBLOCK)
os.unlink(path)
os.rmdir(folder)
report([before, after, writer])
"""

    assert reported(script) == [["ok", "ok"], "EPERM", "ok"]


@pytest.mark.twin("kernel.no-shared-quotas")
def test_files_can_be_locked_watched_by_polling_and_mapped():
    script = """
import fcntl, mmap, select, tempfile
confine()
with tempfile.TemporaryFile() as file:
    file.write(bytes(4096))
    file.flush()
    fcntl.flock(file, fcntl.LOCK_EX)
    fcntl.lockf(file, fcntl.LOCK_EX)
    with mmap.mmap(file.fileno(), 4096) as view:
        view[:4] = b"data"
        view.madvise(mmap.MADV_DONTNEED)
        view.flush()
    os.fsync(file.fileno())
    os.sync()
    memory = os.memfd_create("plain", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, 4096)
    os.close(memory)
    with select.epoll() as poll:
        poll.register(os.eventfd(1), select.EPOLLIN)
        report(len(poll.poll(5)))
"""

    assert reported(script) == 1


@pytest.mark.claim("kernel.no-other-abi")
def test_a_call_by_the_32_bit_entrance_ends_the_process():
    if os.uname().machine != "x86_64":
        pytest.skip("64-bit code on aarch64 has no entrance to 32-bit calls")
    # mov eax, 20 (getpid of i386); int 0x80; ret
    script = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000cd80c3"))
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
{confine}
print(ctypes.CFUNCTYPE(ctypes.c_long)(address)() == os.getpid(), flush=True)
"""

    before = start(script.format(confine=""))
    after = start(script.format(confine="confine()"))

    if before.returncode == -signal.SIGSEGV:
        pytest.skip("this kernel has no 32-bit emulation (CONFIG_IA32_EMULATION)")
    assert (before.returncode, before.stdout) == (0, "True\n")
    assert (after.returncode, after.stdout) == (-signal.SIGSYS, "")


@pytest.mark.claim("kernel.unknown-calls")
def test_x32_and_calls_of_tomorrow_answer_enosys():
    _, after = before_and_after(
        "outcome(0x40000000 | 39)",
        "outcome(400)",
        "outcome(472)",
        "outcome(100_000)",
        "outcome(0x7FFFFFFF)",
    )

    assert after == ["ENOSYS"] * 5


@pytest.mark.claim("kernel.filter-covers-threads")
def test_a_thread_that_was_there_before_is_under_the_filter_too():
    script = """
import threading
installed, outcomes = threading.Event(), []
def other():
    outcomes.append(outcome("unshare", 0))
    started.set()
    installed.wait(5)
    outcomes.append(outcome("unshare", 0))
started = threading.Event()
thread = threading.Thread(target=other)
thread.start()
started.wait(5)
confine()
installed.set()
thread.join(5)
report(outcomes)
"""

    assert reported(script) == ["ok", "EPERM"]


@pytest.mark.claim("kernel.filter-final")
def test_the_filter_stays_over_fork_and_exec_and_takes_no_other():
    script = """
import subprocess
confine()
refused = [outcome("seccomp", 1, 0, 0), outcome("seccomp", 0, 0, 0), outcome("prctl", 22, 2, 0)]
code = '''
import sys
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("Seccomp:")][0])
from protocell_guest.kernel import _libc, syscalls
try:
    _libc.syscall(syscalls.number("unshare"), 0)
except OSError as error:
    print(error.errno)
'''
done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
report([refused, done.stdout.split()])
"""

    assert reported(script) == [["EPERM"] * 3, ["2", "1"]]


@pytest.mark.twin(
    "kernel.filter-every-rule",
    "kernel.no-new-namespaces",
    "kernel.no-io-uring",
    "kernel.no-other-abi",
    "kernel.unknown-calls",
    "kernel.filter-final",
    "kernel.filter-covers-threads",
)
@pytest.mark.claim("kernel.filter-ordinary-programs")
def test_threads_processes_and_servers_work_under_the_filter():
    script = """
import asyncio, multiprocessing, sqlite3, subprocess, tempfile, threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import shared_memory

def square(number):
    return number * number

async def concurrent():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(6)", stdout=subprocess.PIPE)
    printed, _ = await process.communicate()
    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"loopback\\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
    return printed.decode().strip(), line.decode().strip()

def main():
    confine()
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(square, range(4)))
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        processes = list(pool.map(square, range(4)))
    block = shared_memory.SharedMemory(create=True, size=64)
    block.close()
    block.unlink()
    shell = subprocess.run("echo $((6 * 7)) | cat", shell=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(folder + "/data.db")
        database.execute("create table t (x)")
        database.execute("insert into t values (5)")
        database.commit()
        row = database.execute("select x from t").fetchone()
        database.close()
    report([threads, processes, shell.stdout, row, asyncio.run(concurrent())])

main()
"""

    assert reported(script) == [
        [0, 1, 4, 9],
        [0, 1, 4, 9],
        "42\n",
        [5],
        ["6", "LOOPBACK"],
    ]
