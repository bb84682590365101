"""Attacks on living state: checkpoints, branches, further contexts and commands hold as the first interpreter does."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from protocell import Environment, Execution, Limits, Policy, Sandbox
from protocell.context import Context
from protocell.errors import CheckpointError, ProtocellError
from tests.escape.conftest import program, told

POLICY = Policy(
    limits=Limits(grace_seconds=0.2, processes=40, memory_bytes="512MiB"),
    environment=Environment(ready=0),
)

# What a process is allowed, as the kernel says it, and what it gets when it tries.
PICTURE = program(
    """
    import resource, signal, socket
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    names = ("NoNewPrivs", "Seccomp", "Seccomp_filters", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
             "Uid", "Gid", "Groups", "Umask", "SigBlk", "SigIgn", "SigCgt", "TracerPid", "Threads", "CoreDumping")
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")}
    spaces = {name: os.readlink(f"/proc/self/ns/{name}") for name in sorted(os.listdir("/proc/self/ns"))}
    def write(path):
        with open(path, "w"): pass
        os.remove(path)
        return "written"
    def bind(family):
        with socket.socket(family, socket.SOCK_RAW): return "made"
    tries = [
        attempt(write, "/usr/x"), attempt(write, "/etc/x"), attempt(write, "/home/x"), attempt(write, "/proc/sys/x"),
        attempt(write, "/tmp/x"), attempt(write, "/home/user/x"), attempt(write, "/dev/shm/x"),
        attempt(call, "unshare", 0x10000000), attempt(call, "ptrace", 16, 1, 0, 0),
        attempt(call, "mount", 0, b"/tmp", b"tmpfs", 0, 0), attempt(call, "setns", 0, 0),
        attempt(call, "bpf", 0, 0, 0), attempt(call, "keyctl", 0, 0), attempt(call, "io_uring_setup", 1, 0),
        attempt(call, "seccomp", 0, 0, 0), attempt(call, "personality", 0x40000), attempt(call, "chroot", b"/tmp"),
        attempt(bind, socket.AF_INET), attempt(socket.socket, socket.AF_PACKET), attempt(os.kill, 1, 9),
        attempt(os.setuid, 0), attempt(os.nice, -5), attempt(os.listdir, "/root"),
        attempt(open, "/proc/1/mem", "rb"), attempt(os.listdir, "/proc/1/fd"), attempt(os.readlink, "/proc/1/root"),
        attempt(socket.create_connection, ("1.1.1.1", 53), 1), attempt(socket.getaddrinfo, "localhost", 1) != "",
    ]
    tell([{name: status.get(name) for name in names}, limits, spaces, tries,
          open("/proc/self/oom_score_adj").read(), open("/proc/self/attr/current").read() if 0 else "",
          open("/proc/self/mountinfo").read().splitlines(), open("/proc/self/cgroup").read(),
          sorted(name for name in os.environ), [os.readlink(f"/proc/self/fd/{n}")[:4] for n in range(3)]])
    """
)


def picture(context: Context) -> list[Any]:
    """All that is known of how an interpreter is contained, with what the host says is enforced."""
    execution = context.run_code(PICTURE)
    return [*told(execution), sorted(execution.enforced)]


def different(before: list[Any], after: list[Any]) -> list[tuple[Any, Any]]:
    """What has changed."""
    return [(old, new) for old, new in zip(before, after, strict=True) if old != new]


def ended(context: Context, code: str = "import os; os._exit(1)", **options: Any) -> Execution:
    """The interpreter comes to its end."""
    execution = context.run_code(code, **options)
    assert execution.status != "ok"
    return execution


# -- as contained as the first -------------------------------------------------------------------------


@pytest.mark.claim("state.restored-is-contained")
@pytest.mark.parametrize("end", ["import os; os._exit(1)", "import os; os.kill(os.getpid(), 9)"])
def test_a_restored_interpreter_is_exactly_as_contained_as_the_first(end: str) -> None:
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        before = picture(sandbox.context)
        for _ in range(3):
            assert ended(sandbox.context, end).state == "restored"
            assert different(before, picture(sandbox.context)) == []
        assert before[0]["NoNewPrivs"] == "1"
        assert before[0]["Seccomp"] == "2"
        assert before[0]["CapBnd"] == before[0]["CapEff"] == "0" * 16


@pytest.mark.claim("state.restored-is-contained")
def test_an_interpreter_that_went_back_is_exactly_as_contained_as_the_first() -> None:
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        before = picture(sandbox.context)
        sandbox.context.checkpoint("early")
        sandbox.run_code("x = 1")
        sandbox.context.undo()
        assert different(before, picture(sandbox.context)) == []
        sandbox.context.restore("early")
        assert different(before, picture(sandbox.context)) == []


@pytest.mark.claim("state.restored-is-contained")
def test_limits_hold_in_a_restored_interpreter() -> None:
    limits = Limits(grace_seconds=0.2, processes=12, memory_bytes="192MiB", file_bytes="1MiB")
    policy = Policy(limits=limits, environment=Environment(ready=0))
    with Sandbox(policy, checkpoints=1) as sandbox:
        assert ended(sandbox.context).state == "restored"
        code = """
            import subprocess
            started = []
            def fork(): started.append(subprocess.Popen(["sleep", "1000"]))
            counts = [attempt(fork) for _ in range(20)].count(None)
            for each in started: each.kill(); each.wait()
            def grow(): open("large", "wb").write(bytes(2 << 20))
            try: bytearray(1 << 30); memory = "had"
            except MemoryError: memory = "refused"
            tell([counts < 12, attempt(grow), memory])
        """
        assert told(sandbox.run_code(program(code))) == [True, "EFBIG", "refused"]


@pytest.mark.claim("state.restored-is-contained")
def test_what_was_denied_stays_denied_in_a_restored_interpreter_and_in_a_branch() -> None:
    policy = Policy(limits=POLICY.limits, deny_imports=["ftplib"], environment=Environment(ready=0))
    with Sandbox(policy, checkpoints=True) as sandbox:
        assert ended(sandbox.context).state == "restored"
        (branch,) = sandbox.context.fork(1)
        for context in (sandbox.context, branch, sandbox.create_code_context()):
            error = context.run_code("import ftplib").error
            assert error is not None
            assert error.name == "ImportError" or "ftplib" in error.value


@pytest.mark.claim("state.branches-are-contained")
def test_a_branch_is_exactly_as_contained_as_its_origin() -> None:
    with Sandbox(POLICY) as sandbox:
        before = picture(sandbox.context)
        branches = sandbox.context.fork(2)
        (below,) = branches[0].fork(1)
        for branch in (*branches, below):
            assert different(before, picture(branch)) == []


@pytest.mark.claim("state.branches-are-contained")
def test_what_begins_anew_in_the_place_of_a_branch_is_as_contained() -> None:
    with Sandbox(POLICY) as sandbox:
        before = picture(sandbox.context)
        (branch,) = sandbox.context.fork(1)
        for begin_anew in (lambda: ended(branch), branch.restart):
            begin_anew()
            after = picture(branch)
            del (
                before[2]["cgroup"],
                after[2]["cgroup"],
            )  # each that begins makes one more namespace of these
            assert different(before, after) == []
            before[2]["cgroup"] = None


@pytest.mark.claim("state.branches-are-contained")
def test_a_further_context_is_as_contained_in_namespaces_of_its_own() -> None:
    with Sandbox(POLICY) as sandbox:
        before = picture(sandbox.context)
        after = picture(sandbox.create_code_context())

        places = {2, 6}  # namespaces, mounts with their numbers
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            if place not in places:
                assert old == new
        shared = {"time", "time_for_children"}
        assert {name for name in before[2] if before[2][name] == after[2][name]} <= shared


@pytest.mark.claim("state.commands-are-contained")
def test_a_command_is_exactly_as_contained_as_code() -> None:
    with Sandbox(POLICY) as sandbox:
        # The same program in a process of its own, started by code and by a command.
        sandbox.files.write("picture.py", PICTURE)
        # Not by subprocess: that is posix_spawn() from 3.13 on, in which glibc has its own signals ignored.
        code = (
            "import os, sys\nif (pid := os.fork()) == 0:\n"
            "    os.execv(sys.executable, [sys.executable, '-u', 'picture.py'])\n"
            "os.waitpid(pid, 0)"
        )
        by_code = told(sandbox.run_code(code))
        result = sandbox.commands.run("exec python -u picture.py")
        line = next(line for line in result.stdout.splitlines() if line.startswith("TOLD "))
        by_command = json.loads(line[5:])

        own = {8, 9}  # the shell's own variables (PWD and the like); descriptors, see below
        for each in (by_code, by_command):
            del each[2]["cgroup"]  # each that begins makes one more namespace of these
        found = [
            (old, new)
            for place, (old, new) in enumerate(zip(by_code, by_command, strict=True))
            if old != new and place not in own
        ]
        assert found == []
        assert set(by_command[8]) - set(by_code[8]) <= {"PWD", "OLDPWD", "SHLVL", "_"}
        assert sandbox.run_code("1").enforced == result.enforced


@pytest.mark.claim("state.commands-are-contained")
def test_a_command_has_no_descriptor_of_ours() -> None:
    with Sandbox(POLICY) as sandbox:
        result = sandbox.commands.run("ls -l /proc/self/fd | sed 's/.* -> //' | sort")

        targets = [line for line in result.stdout.splitlines() if not line.startswith("total")]
        kinds = sorted(target.split(":")[0] for target in targets)
        assert kinds[0] == "/dev/null" or kinds[-1] == "pipe"
        assert [
            kind for kind in kinds if not kind.startswith(("pipe", "/dev/null", "/proc/"))
        ] == []


# -- branches share nothing ----------------------------------------------------------------------------

OPEN = """
import ctypes, os, select, signal, socket, tempfile, threading
kept = [open("/tmp/regular", "w+"), tempfile.TemporaryFile(), os.scandir("/"),
        socket.socketpair(), socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX),
        os.pipe(), select.epoll(), os.eventfd(0, os.EFD_NONBLOCK), os.open("/tmp", os.O_RDONLY),
        os.pidfd_open(os.getpid()), os.open("/dev/null", os.O_RDWR)]
os.mkfifo("/tmp/fifo"); fifo = os.open("/tmp/fifo", os.O_RDWR | os.O_NONBLOCK)
kept[0].write("0123456789"); kept[0].flush(); kept[0].seek(3)
import asyncio
await asyncio.sleep(0)
"""
LIST = program(
    """
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try: found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError: pass
    tell(found)
    """
)


@pytest.mark.claim("state.branches-share-no-descriptor")
def test_no_socket_or_pipe_of_a_branch_is_one_of_its_siblings() -> None:
    with Sandbox(POLICY) as sandbox:
        assert sandbox.run_code(OPEN).error is None
        contexts = [sandbox.context, *sandbox.context.fork(3)]
        seen: dict[str, int] = {}
        for number, context in enumerate(contexts):
            for target in told(context.run_code(LIST)).values():
                if target.startswith(("socket:", "pipe:")):
                    assert seen.setdefault(target, number) == number, target
        assert len(seen) > 20
        assert len({len(told(context.run_code(LIST))) for context in contexts}) == 1


@pytest.mark.claim("state.branches-share-no-descriptor")
def test_nothing_that_is_done_with_a_descriptor_in_one_branch_is_seen_in_another() -> None:
    with Sandbox(POLICY) as sandbox:
        assert sandbox.run_code(OPEN).error is None
        first, second = sandbox.context.fork(2, files="shared")
        spoil = """
            kept[0].seek(9)
            attempt(os.eventfd_write, kept[8], 7); attempt(os.write, kept[6][1], b"x"); attempt(kept[3][0].send, b"x")
            attempt(os.write, fifo, b"x"); attempt(kept[7].register, 0, 1); attempt(kept[7].register, 1, 4)
            import fcntl
            attempt(fcntl.fcntl, kept[9], fcntl.F_SETFL, os.O_NONBLOCK)
            attempt(kept[4].settimeout, 0); attempt(kept[4].listen)
            tell(1)
        """
        assert told(first.run_code(program(spoil))) == 1
        look = """
            import fcntl
            def read(descriptor): return os.read(descriptor, 9).decode()
            tell([kept[0].tell(), attempt(read, kept[6][0]), attempt(read, fifo), attempt(read, kept[8]),
                  kept[7].poll(0), fcntl.fcntl(kept[9], fcntl.F_GETFL) & os.O_NONBLOCK])
        """
        assert told(second.run_code(program(look))) == [3, "", "", "", [], 0]


@pytest.mark.claim("state.branches-share-no-descriptor")
def test_a_branch_cannot_speak_for_its_sibling_nor_hear_what_it_is_told() -> None:
    """Each has a channel and pipes of its own; those of the others are not even open."""
    with Sandbox(POLICY) as sandbox:
        first, second = sandbox.context.fork(2)
        attack = """
            reached = []
            for pid in filter(str.isdigit, os.listdir("/proc")):
                if int(pid) not in (1, os.getpid()):
                    for n in (0, 1, 2, 3):
                        reached.append(attempt(os.open, f"/proc/{pid}/fd/{n}", os.O_RDWR | os.O_NONBLOCK))
            opened = [each for each in reached if not isinstance(each, str)]
            tell(sorted({os.readlink(f"/proc/self/fd/{each}").split(":")[0] for each in opened}))
        """
        # A pipe of a process of the same user can be opened anew (proc_pid_fd(5)), and what is written there is output
        # of that branch. The channel is a socket, which cannot.
        assert set(told(first.run_code(program(attack)))) <= {"/dev/null", "pipe"}
        assert second.run_code("6 * 7").text == "42"


@pytest.mark.twin("state.branches-share-no-descriptor")
def test_a_branch_can_use_the_files_that_were_open_and_open_new_ones() -> None:
    with Sandbox(POLICY) as sandbox:
        assert sandbox.run_code(OPEN).error is None
        for branch in sandbox.context.fork(2):
            look = """
                import socket
                a, b = socket.socketpair(); a.sendall(b"x")
                r, w = os.pipe(); os.write(w, b"y")
                tell([kept[0].read(), b.recv(9).decode(), os.read(r, 9).decode()])
            """
            assert told(branch.run_code(program(look))) == ["3456789", "x", "y"]
            assert branch.run_code("await asyncio.sleep(0.001, 5)").text == "5"


# -- attacks on checkpoints ----------------------------------------------------------------------------

# The one that is too many goes a moment after the newest was made.
OTHERS = """
import time
others = range(99)
while len(others) > KEPT:
    others = [int(n) for n in os.listdir('/proc') if n.isdigit() and int(n) not in (1, os.getpid())]
    time.sleep(0.001)
"""
QUEUED = """
import struct
def queue(pid, number, sender):
    # SI_QUEUE: who sends it says who has sent it.
    info = struct.pack("iiiiii104x", number, 0, -1, 0, sender, 0)
    return attempt(call, "rt_sigqueueinfo", pid, number, info)
"""


@pytest.mark.claim("state.checkpoints-are-only-the-codes-own")
@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM", "SIGSEGV"])
def test_code_that_ends_its_own_checkpoint_has_none_and_is_told(signal_name: str) -> None:
    with Sandbox(POLICY, checkpoints=1) as sandbox:
        sandbox.run_code("x = 1")
        each = f"for pid in others: os.kill(pid, signal.{signal_name})"
        attack = f"import os, signal\nKEPT = 1\n{OTHERS}\n{each}\nos._exit(1)"
        execution = ended(sandbox.context, attack)

        if signal_name == "SIGKILL":
            assert (execution.state, execution.state_reason) == (
                "lost",
                "the next execution begins with no variables (the checkpoint is gone: its code ended it)",
            )
            assert sandbox.run_code("'x' in globals()").text == "False"
        else:  # a frozen copy takes signals and does nothing
            assert execution.state == "restored"
            assert sandbox.run_code("x").text == "1"


EVERY_SIGNAL = """
for pid in others:
    for number in (signal.SIGCONT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGALRM, 40, 64):
        os.kill(pid, number)
"""
PENDING = """
for pid in others:
    os.kill(pid, signal.SIGSTOP)
    while "T (stopped)" not in open(f"/proc/{pid}/status").read(): pass
    os.kill(pid, signal.SIGUSR2)
"""
FORGED = """
for pid in others:
    for sender in (1, 0, os.getpid(), pid, -1): assert queue(pid, signal.SIGUSR2, sender) == 0
"""
TRACED = """
for pid in others:
    for request in (16, 0x4206): assert attempt(call, "ptrace", request, pid, 0, 0) == "EPERM"
"""
ATTACKS = {
    "stopped": "for pid in others: os.kill(pid, signal.SIGSTOP)",
    "stopped and continued": (
        "for pid in others: os.kill(pid, signal.SIGSTOP); os.kill(pid, signal.SIGCONT)"
    ),
    "every signal": EVERY_SIGNAL,
    "stopped, and the signal that wakes it pending": PENDING,
    "a signal with another sender in it": FORGED,
    "traced": TRACED,
    "its group": "for pid in others: attempt(os.killpg, pid, signal.SIGUSR2); attempt(os.setpgid, pid, os.getpid())",
    "its limits": (
        "import resource\nfor pid in others: attempt(resource.prlimit, pid, resource.RLIMIT_CPU, (0, 0))"
    ),
    "its memory": 'for pid in others: attempt(call, "process_vm_writev", pid, 0, 0, 0, 0, 0)',
    "its priority": (
        "for pid in others: attempt(os.sched_setscheduler, pid, os.SCHED_IDLE, os.sched_param(0))"
    ),
}


@pytest.mark.claim("state.checkpoints-are-only-the-codes-own")
@pytest.mark.parametrize("attack", ATTACKS)
def test_code_cannot_wake_or_change_its_checkpoint(attack: str) -> None:
    """What came to it is not init's; it stays frozen, says nothing, and can be gone back to."""
    with Sandbox(POLICY, checkpoints=1) as sandbox:
        sandbox.run_code("x = 1")
        code = program(
            f"{QUEUED}\nimport signal\nKEPT = 1\n{OTHERS}\nassert others\n{ATTACKS[attack]}\ntell(len(others))"
        )
        execution = sandbox.run_code(code)
        assert execution.status == "ok", (execution.reason, execution.error)
        assert told(execution) >= 1
        again = sandbox.run_code(f"{code}\nx = 2\nos._exit(1)")

        assert (again.status, again.state) == ("killed", "restored"), again.state_reason
        assert sandbox.run_code("x").text == "1"


@pytest.mark.claim("state.checkpoints-are-only-the-codes-own")
def test_a_checkpoint_cannot_be_traced_or_read() -> None:
    with Sandbox(POLICY, checkpoints=1) as sandbox:
        sandbox.run_code("secret = 'of the copy'")
        code = """
            pid = max(int(n) for n in os.listdir("/proc") if n.isdigit())
            tell([attempt(call, "ptrace", 16, pid, 0, 0), attempt(call, "ptrace", 0x4206, pid, 0, 0),
                  attempt(call, "process_vm_readv", pid, 0, 0, 0, 0, 0), attempt(call, "kcmp", 1, pid, 0, 0, 0),
                  attempt(call, "pidfd_getfd", os.pidfd_open(pid), 3, 0)])
        """
        assert told(sandbox.run_code(program(code))) == ["EPERM"] * 5


@pytest.mark.claim("state.checkpoints-are-only-the-codes-own")
def test_code_that_stops_its_checkpoint_and_dies_goes_on_from_it() -> None:
    with Sandbox(POLICY, checkpoints=1) as sandbox:
        sandbox.run_code("x = 1")
        attack = f"import os, signal\nKEPT = 1\n{OTHERS}\nfor pid in others: os.kill(pid, signal.SIGSTOP)\nos._exit(1)"

        assert ended(sandbox.context, attack).state == "restored"
        assert sandbox.run_code("x").text == "1"


@pytest.mark.claim("state.checkpoints-are-only-the-codes-own")
def test_code_that_ends_all_but_one_goes_on_from_that_and_is_told_which() -> None:
    with Sandbox(POLICY, checkpoints=3) as sandbox:
        for number in range(4):
            sandbox.run_code(f"x = {number}")
        attack = f"import os\nKEPT = 3\n{OTHERS}\nfor pid in sorted(others)[1:]: os.kill(pid, 9)\nos._exit(1)"
        execution = ended(sandbox.context, attack)

        assert execution.state == "restored"
        number = int(execution.state_reason.rpartition(" ")[2])
        assert sandbox.run_code("x").text == str(number - 1)
        assert number < 4


@pytest.mark.twin("state.checkpoints-are-only-the-codes-own")
def test_code_that_leaves_its_checkpoint_alone_goes_on_from_it() -> None:
    with Sandbox(POLICY, checkpoints=1) as sandbox:
        sandbox.run_code("x = 1")

        assert ended(sandbox.context).state == "restored"
        assert sandbox.run_code("x").text == "1"


# -- lies ----------------------------------------------------------------------------------------------

LIE = """
import os, signal, time
from protocell_guest.guest import copies
def lie(*pids):
    copies.freeze = lambda fork, channel: pids[0]
    copies.branch = lambda fork, streams: (list(pids) * len(streams), -1)
"""
# A process that would like to be spared: it counts, and would go on for ever.
COUNTS = """
def count(session=True, ignore=()):
    pid = os.fork()
    if pid: return pid
    if session: os.setsid()
    for number in ignore: signal.signal(number, signal.SIG_IGN)
    n = 0
    while True:
        n += 1
        with open("/home/user/.n", "w") as file: file.write(str(n))
        os.rename("/home/user/.n", "/home/user/n")
        time.sleep(0.002)
"""
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"


def counted(sandbox: Sandbox) -> int:
    """How far it has come."""
    return int(sandbox.files.read("n"))


def stands_still(sandbox: Sandbox, look: Callable[[], object]) -> bool:
    """Whether it does not count while something else is done that takes longer than its step."""
    before = counted(sandbox)
    look()
    return counted(sandbox) == before


@pytest.mark.claim("state.lies-about-copies")
@pytest.mark.parametrize("ignore", ["()", "(signal.SIGUSR2, signal.SIGCONT, signal.SIGINT)"])
def test_a_daemon_that_is_named_a_checkpoint_is_stopped_when_the_code_is_killed(
    ignore: str,
) -> None:
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code(f"{LIE}{COUNTS}\npid = count(ignore={ignore})\nlie(pid)")
        other = sandbox.create_code_context()
        # From here on its checkpoint is the daemon.
        held = (
            "import os, time\nn = open('/home/user/n').read()\n"
            "while open('/home/user/n').read() == n: time.sleep(0.001)"
        )
        assert sandbox.run_code(held).status == "ok"
        execution = sandbox.run_code(DEAF, timeout=0.3)

        # What was named could not go on as ours does; the copy that was made before the lies could.
        assert (execution.status, execution.state) == ("timeout", "restored")
        assert execution.state_reason == "the variables are as they were after execution 0"
        assert stands_still(sandbox, lambda: other.run_code("import time; time.sleep(0.05)"))
        assert sandbox.run_code("1").text == "1"
        assert stands_still(sandbox, lambda: other.run_code("import time; time.sleep(0.05)"))


@pytest.mark.claim("state.lies-about-copies")
@pytest.mark.parametrize(
    "pid", ["1", "0", "-1", "2 ** 22 + 1", "2 ** 40", "True", "1.5", "'2'", "None", "[2]"]
)
def test_a_number_that_is_no_process_ends_the_code(pid: str) -> None:
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code(f"{LIE}\nlie({pid})")
        execution = sandbox.run_code("x = 2; 6 * 7")

        assert execution.status == "killed"
        assert "it broke the protocol" in execution.reason or "ended" in execution.reason
        assert sandbox.run_code("6 * 7").text == "42"


@pytest.mark.claim("state.lies-about-copies")
@pytest.mark.parametrize("pid", ["os.getpid()", "2 ** 22", "77777"])
def test_a_number_of_nobody_or_of_itself_spares_nobody_and_is_told(pid: str) -> None:
    with Sandbox(POLICY, checkpoints=1) as sandbox:
        sandbox.run_code(f"{LIE}\nlie({pid})")
        sandbox.run_code("x = 1")
        execution = ended(sandbox.context)

        assert (execution.state, execution.state_reason) == (
            "lost",
            "the next execution begins with no variables (the checkpoint is gone: its code ended it)",
        )
        assert sandbox.run_code("'x' in globals()").text == "False"


@pytest.mark.claim("state.lies-about-copies")
def test_a_branch_that_is_named_a_checkpoint_is_left_alone() -> None:
    with Sandbox(POLICY) as sandbox:
        sandbox.run_code("x = 1")
        (branch,) = sandbox.context.fork(1)
        pid = branch.run_code("import os; os.getpid()").text
        sandbox.run_code(f"{LIE}\nlie({pid})")
        sandbox.context.checkpoint("a lie")
        assert branch.run_code("x").text == "1"
        with pytest.raises(CheckpointError, match="that checkpoint is gone"):
            sandbox.context.restore("a lie")

        assert branch.run_code("x").text == "1"
        assert sandbox.run_code("1").text == "1"
        sandbox.run_code(f"{LIE}\nlie({pid})")
        sandbox.context.checkpoint("a lie")
        sandbox.run_code(DEAF, timeout=0.2)
        assert branch.run_code("x").text == "1"


@pytest.mark.claim("state.lies-about-copies")
def test_a_command_that_is_named_a_checkpoint_is_left_alone() -> None:
    with Sandbox(POLICY) as sandbox:
        handle = sandbox.commands.run(
            "echo $$ > shell; echo $PPID > keeper; while [ ! -e go ]; do sleep 0.01; done; echo done",
            background=True,
        )
        code = "import os, time\nwhile not os.path.exists('keeper') or not open('keeper').read(): time.sleep(0.002)"
        sandbox.run_code(code)
        keeper = int(sandbox.files.read("keeper"))
        sandbox.run_code(f"{LIE}\nlie({keeper})")
        for name in "abcdef":
            sandbox.context.checkpoint(name)
        sandbox.run_code(DEAF, timeout=0.2)
        assert sandbox.run_code("1").text == "1"
        sandbox.files.write("go", b"")

        assert handle.wait().stdout == "done\n"


@pytest.mark.claim("state.lies-about-copies")
@pytest.mark.parametrize("what", ["main", "checkpoint", "daemon", "twice"])
def test_a_process_that_is_named_a_branch_is_one_of_the_sandboxs_own_or_nobody(what: str) -> None:
    with Sandbox(POLICY) as sandbox:
        second = sandbox.create_code_context()
        second.run_code("x = 1")
        names = {
            "main": "lie(os.getpid())",
            "checkpoint": "lie(max(int(n) for n in os.listdir('/proc') if n.isdigit()))",
            "daemon": f"{COUNTS}\nlie(count())",
            "twice": f"{COUNTS}\npid = count(); lie(pid, pid)",
        }
        if what == "checkpoint":
            second.checkpoint("one")
        second.run_code(f"{LIE}\n{names[what]}")
        with pytest.raises(ProtocellError):
            second.fork(1)

        assert sandbox.run_code("1").text == "1"
        assert [each.id for each in sandbox.list_code_contexts()] == ["default", second.id]
        assert second.run_code("6 * 7").text in {"42", None}
        assert second.run_code("6 * 7").text == "42"


@pytest.mark.claim("state.lies-about-copies")
@pytest.mark.parametrize(
    "frame",
    [
        '{"event": "copied", "id": 2, "pids": [1], "detail": ""}',
        '{"event": "copied", "id": 2, "pids": [4194305], "detail": ""}',
        '{"event": "copied", "id": 2, "pids": [3, 3], "detail": ""}',
        '{"event": "copied", "id": 99, "pids": [3], "detail": ""}',
        '{"event": "copied", "id": 2, "pids": "3", "detail": ""}',
        '{"event": "copied", "id": 2, "pids": [], "detail": 7}',
        '{"event": "resumed"}',
        '{"event": "variables", "id": 2, "items": []}',
        '{"event": "settled", "id": 2, "detail": null}',
    ],
)
def test_frames_about_copies_in_the_midst_of_an_execution_end_it(frame: str) -> None:
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        write = f"import os, struct\nbody = {frame.encode()!r}\nos.write(3, struct.pack('<I', len(body)) + body)"
        execution = sandbox.run_code(f"x = 2\n{write}\nwhile True: pass")

        assert execution.status == "killed"
        assert execution.reason.startswith("the code was ended: it broke the protocol")
        assert execution.state == "restored"
        assert sandbox.run_code("x").text == "1"


@pytest.mark.claim("state.lies-about-copies")
def test_a_checkpoint_that_answers_nonsense_when_it_is_woken_is_ended_and_the_state_is_lost() -> (
    None
):
    with Sandbox(POLICY, checkpoints=1) as sandbox:
        sandbox.run_code(
            "import os\nfrom protocell_guest.guest import copies\n"
            "copies._drop_unread = lambda channel: os.write(3, b'nonsense' * 100)"
        )
        sandbox.run_code("x = 1")
        execution = ended(sandbox.context)

        assert execution.state == "lost"
        assert execution.state_reason == (
            "the next execution begins with no variables "
            "(the checkpoint did not go on: its code has changed how it works)"
        )
        assert sandbox.run_code("'x' in globals()").text == "False"


@pytest.mark.claim("state.lies-about-copies")
def test_answers_about_variables_are_bounded_and_harmless() -> None:
    with Sandbox(POLICY) as sandbox:
        for items in ("[1] * 1000", "[{}]", "'x' * (2 << 20)", "[[[[]]]]", "[{'name': 'a'}] * 3"):
            sandbox.run_code(
                "from protocell_guest.guest import interpreter, notebook\n"
                f"interpreter.Interpreter.variables = lambda self, most=200: {items}"
            )
            with pytest.raises(ProtocellError):
                sandbox.context.variables()
            sandbox.context.restart()
            assert sandbox.run_code("1").text == "1"


@pytest.mark.twin("state.lies-about-copies")
def test_code_that_tells_the_truth_has_its_checkpoints_branches_and_variables() -> None:
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code("x = 1")
        assert sandbox.context.variables().names() == ["x"]
        (branch,) = sandbox.context.fork(1)
        assert ended(sandbox.context).state == "restored"
        assert (sandbox.run_code("x").text, branch.run_code("x").text) == ("1", "1")


# -- no survivor ---------------------------------------------------------------------------------------

ALIVE = """
import os, time
def alive(): return [n for n in os.listdir('/proc') if n.isdigit() and open(f'/proc/{n}/comm').read() == 'survivor\\n']
end = time.monotonic() + 10
while alive() and time.monotonic() < end: time.sleep(0.005)
alive()
"""
# Each goes on making others; the number of processes is limited, so that the machine is not.
BOMBS = {
    "forks": """
while True:
    try: os.fork()
    except OSError: pass
""",
    "sessions": """
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError: pass
""",
    "a chain of orphans": """
if os.fork():
    while True: time.sleep(1)
while True:
    try:
        if os.fork(): os._exit(0)
        os.setsid()
    except OSError: pass
""",
    "a stopped orphan": """
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    os.kill(os.getpid(), signal.SIGSTOP)
while True: time.sleep(1)
""",
}
NAMED = "ctypes.CDLL(None).prctl(15, b'survivor')"


@pytest.mark.claim("state.no-survivor")
@pytest.mark.parametrize("checkpoints", [0, 1, 3])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_fork_bomb_does_not_survive_the_ladder(bomb: str, checkpoints: int) -> None:
    with Sandbox(POLICY, checkpoints=checkpoints) as sandbox:
        sandbox.run_code("x = 1")
        quiet = "import ctypes, os, signal, time\nfor n in (2, 15, 1): signal.signal(n, signal.SIG_IGN)\n"
        execution = sandbox.run_code(quiet + NAMED + BOMBS[bomb], timeout=0.4)

        assert execution.status == "timeout"
        assert execution.usage.wall_seconds < 15
        assert execution.state == ("restored" if checkpoints else "lost"), execution.state_reason
        assert sandbox.run_code(ALIVE).text == "[]"
        assert sandbox.run_code("'x' in globals()").text == str(bool(checkpoints))


@pytest.mark.claim("state.no-survivor")
def test_nothing_goes_on_when_an_interpreter_has_ended_between_executions() -> None:
    """Nobody would watch what it uses: it is stopped till the next call, and ended then."""
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        other = sandbox.create_code_context()
        sandbox.run_code("x = 1")
        sandbox.run_code(
            f"import os, signal, time\n{COUNTS}\ncount(ignore=(signal.SIGTERM,))\n"
            "while not os.path.exists('/home/user/n'): time.sleep(0.001)\n"
            "me = os.getpid()\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    while not os.path.exists('/home/user/die'): time.sleep(0.001)\n"
            "    os.kill(me, 9)\n"
            "    open('/home/user/died', 'w').close()\n"
            "    while True: time.sleep(1)\n"
        )
        sandbox.files.write("die", b"")
        place = sandbox.context.core.place
        assert place is not None
        other.run_code("import time\ntime.sleep(0.5)")

        assert stands_still(sandbox, lambda: other.run_code("import time; time.sleep(0.05)"))
        assert sandbox.run_code("x").text == "1"
        assert stands_still(sandbox, lambda: other.run_code("import time; time.sleep(0.05)"))


@pytest.mark.twin("state.no-survivor")
def test_what_an_execution_started_goes_on_when_it_ended_well() -> None:
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        sandbox.run_code(f"import os, signal, time\n{COUNTS}\npid = count()")
        further = (
            "first = int(open('/home/user/n').read()) if os.path.exists('/home/user/n') else 0\n"
            "while not os.path.exists('/home/user/n') or int(open('/home/user/n').read()) <= first: time.sleep(0.001)\n"
            "'it went on'"
        )

        assert sandbox.run_code(further).text == "'it went on'"


# -- contexts are apart --------------------------------------------------------------------------------


@pytest.mark.claim("state.contexts-are-apart")
def test_a_context_sees_and_reaches_nothing_of_another() -> None:
    with Sandbox(POLICY) as sandbox:
        second = sandbox.create_code_context(envs={"SECRET": "of the second"})
        second.run_code(
            "import os, socket\nsecret = 'of the second'\n"
            "tcp = socket.create_server(('127.0.0.1', 45670)); six = socket.create_server(('::1', 45670), family=10)\n"
            "udp = socket.socket(type=socket.SOCK_DGRAM); udp.bind(('127.0.0.1', 45670)); udp.setblocking(False)\n"
            "abstract = socket.socket(socket.AF_UNIX); abstract.bind('\\0name'); abstract.listen()\n"
            "open('/tmp/secret', 'w').write('x'); open('/dev/shm/secret', 'w').write('x')"
        )
        attack = """
            import signal, socket
            def connect(family, address):
                with socket.socket(family) as client: client.settimeout(5); client.connect(address); return "reached"
            with socket.socket(type=socket.SOCK_DGRAM) as udp: attempt(udp.sendto, b"x", ("127.0.0.1", 45670))
            pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
            others = [pid for pid in range(2, 200) if pid != os.getpid()]
            tell([sorted(pids) == sorted({1, os.getpid()}), {attempt(os.kill, pid, 0) for pid in others} == {"ESRCH"},
                  attempt(connect, socket.AF_INET, ("127.0.0.1", 45670)),
                  attempt(connect, socket.AF_INET6, ("::1", 45670)), attempt(connect, socket.AF_UNIX, "\\0name"),
                  os.path.exists("/tmp/secret"), os.path.exists("/dev/shm/secret"), os.environ.get("SECRET"),
                  "secret" in globals()])
        """
        found = told(sandbox.run_code(program(attack)))

        assert found == [True, True, *["ECONNREFUSED"] * 3, False, False, None, False]
        execution = second.run_code(
            "def read():\n  try: return udp.recv(9)\n  except OSError: return 'nothing'\nread()"
        )
        assert execution.text == "'nothing'"


@pytest.mark.claim("state.contexts-are-apart")
def test_a_named_socket_in_the_workspace_is_no_way_from_one_context_to_another() -> None:
    """The workspace is shared, and so are the names of sockets in it: what is behind them answers, or does not."""
    with Sandbox(POLICY) as sandbox:
        second = sandbox.create_code_context()
        second.run_code(
            "import socket\ns = socket.socket(socket.AF_UNIX); s.bind('/home/user/s'); s.listen(); s.setblocking(False)"
        )
        attack = """
            import socket
            def connect():
                with socket.socket(socket.AF_UNIX) as client: client.connect("/home/user/s")
                return "reached"
            tell(attempt(connect))
        """
        # A file of the workspace is what they share; whoever puts a socket there has it reached by name.
        assert told(sandbox.run_code(program(attack))) in {"reached", "EACCES", "ECONNREFUSED"}
        assert second.run_code("1").text == "1"


@pytest.mark.twin("state.contexts-are-apart")
def test_contexts_share_the_workspace_and_each_reaches_its_own_servers() -> None:
    with Sandbox(POLICY) as sandbox:
        second = sandbox.create_code_context()
        serve = (
            "import socket\ns = socket.create_server(('127.0.0.1', 45670))\n"
            "c = socket.create_connection(('127.0.0.1', 45670)); o, _ = s.accept(); o.sendall(b'hi'); c.recv(9)"
        )
        assert sandbox.run_code(serve).text == second.run_code(serve).text == "b'hi'"
        sandbox.run_code("open('shared', 'w').write('x')")
        assert second.run_code("open('shared').read()").text == "'x'"


# -- settings ------------------------------------------------------------------------------------------


@pytest.mark.claim("state.settings-do-not-leak")
def test_variables_of_a_run_and_of_a_context_are_nowhere_else() -> None:
    look = program(
        """
        import subprocess
        text = " ".join(os.environ.values()) + subprocess.getoutput("env")
        places = [text]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            places.append(attempt(lambda: open(f"/proc/{pid}/environ", "rb").read().decode(errors="replace")))
        tell([name for name in ("of-the-run", "of-the-context") if any(name in place for place in places)])
        """
    )
    with Sandbox(POLICY, checkpoints=True) as sandbox:
        second = sandbox.create_code_context(envs={"HERS": "of-the-context"}, checkpoints=True)
        assert told(second.run_code(look, envs={"ONCE": "of-the-run"})) == [
            "of-the-run",
            "of-the-context",
        ]
        assert told(second.run_code(look)) == ["of-the-context"]
        sandbox.run_code("1", envs={"ONCE": "of-the-run"})
        for context in (sandbox.context, sandbox.create_code_context(), *sandbox.context.fork(1)):
            assert told(context.run_code(look)) == []
        assert ended(sandbox.context, envs={"ONCE": "of-the-run"}).state == "restored"
        assert told(sandbox.run_code(look)) == []
        assert "of-the" not in sandbox.commands.run("env").stdout
        assert ended(second).state == "restored"
        assert told(second.run_code(look)) == ["of-the-context"]


@pytest.mark.claim("state.settings-do-not-leak")
def test_a_folder_that_one_context_went_to_is_not_anothers() -> None:
    with Sandbox(POLICY) as sandbox:
        sandbox.files.make_dir("deep")
        second = sandbox.create_code_context(cwd="deep")
        sandbox.run_code("import os; os.chdir('/tmp')")
        look = "import os\nos.getcwd()"

        assert second.run_code(look).text == "'/home/user/deep'"
        assert sandbox.create_code_context().run_code(look).text == "'/home/user'"
        assert sandbox.commands.run("pwd").stdout == "/home/user\n"
        second.run_code("os.chdir('/')")
        second.restart()
        assert second.run_code(look).text == "'/home/user/deep'"


@pytest.mark.twin("state.settings-do-not-leak")
def test_a_context_has_the_variables_and_the_folder_that_it_was_given() -> None:
    with Sandbox(POLICY, envs={"ALL": "a"}) as sandbox:
        second = sandbox.create_code_context(envs={"HERS": "b"}, cwd="/tmp")
        look = "import os\nos.environ.get('ALL'), os.environ.get('HERS'), os.environ.get('ONCE'), os.getcwd()"

        assert second.run_code(look, envs={"ONCE": "c"}).text == "('a', 'b', 'c', '/tmp')"
        assert sandbox.run_code(look).text == "('a', None, None, '/home/user')"
