"""Attacks on processes: the host's, pid 1 of the sandbox, and what code leaves running behind it."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import protocell
from protocell import Environment, Limits, Policy, Sandbox
from protocell._boxes.zygotes import ZYGOTES
from tests.escape.conftest import Inside, program, told
from tests.kernel.children import eventually


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process of the host, with a secret in its environment, that nobody may touch."""
    environment = {"VICTIMS_TOKEN": "the victim's secret", "PATH": os.environ["PATH"]}
    with subprocess.Popen(["sleep", "60"], env=environment) as process:
        yield process
        process.kill()


@pytest.fixture
def marker() -> str:
    """Return a name that no other process has; short enough for PR_SET_NAME."""
    return f"pc-{secrets.token_hex(5)}"


def named(marker: str) -> list[int]:
    """Return the processes of the whole machine that go by this name, seen from the host."""
    found = []
    # Not a pattern: looking for what ends meanwhile raises in pathlib itself.
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path("/proc", name, "comm").read_text().rstrip("\n") == marker:
                found.append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended since the listing
    return found


def host_pids(victim: subprocess.Popen[bytes]) -> list[int]:
    """Return what an attacker would like to reach: a bystander, the host itself, the zygote."""
    protocell.run_code("1")
    return [victim.pid, os.getpid(), ZYGOTES.get(Environment()).pid]


def state_of(pid: int, field: str) -> str:
    """Return a field of /proc/pid/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{field}:"))


# -- the host's processes -----------------------------------------------------------------------------


@pytest.mark.claim("processes.host-unseen")
def test_processes_of_the_host_are_not_seen(
    inside: Inside, victim: subprocess.Popen[bytes]
) -> None:
    found = inside(
        f"""
        tell([sorted(int(name) for name in os.listdir("/proc") if name.isdigit()), os.getpid(), os.getppid(),
              [attempt(os.listdir, f"/proc/{{pid}}") for pid in {host_pids(victim)}],
              [attempt(os.getsid, pid) for pid in {host_pids(victim)}],
              [line for line in open("/proc/1/status").read().splitlines() if line.startswith(("PPid", "NSpid"))]])
        """
    )

    pids, own, parent, listings, sessions, init = found
    assert pids == [1, own]
    assert parent == 1
    assert listings == ["ENOENT"] * 3
    assert sessions == ["ESRCH"] * 3
    assert init == ["PPid:\t0", "NSpid:\t1"]


@pytest.mark.twin("processes.host-unseen")
def test_the_codes_own_processes_are_seen(inside: Inside) -> None:
    found = inside(
        """
        import subprocess
        child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdin.write(b"x\\n"); child.stdin.flush(); child.stdout.readline()  # it runs
        tell([open(f"/proc/{child.pid}/comm").read(), os.getsid(child.pid) == os.getsid(0)])
        child.communicate()
        """
    )

    assert found == ["cat\n", True]


@pytest.mark.claim("processes.host-not-signalled")
def test_processes_of_the_host_cannot_be_signalled(
    inside: Inside, victim: subprocess.Popen[bytes]
) -> None:
    found = inside(
        f"""
        import fcntl, signal, struct
        info = struct.pack("iii116x", signal.SIGKILL, 0, -1)  # SI_QUEUE: the kernel lets nobody pretend more
        outcome = []
        for pid in {host_pids(victim)}:
            outcome += [
                attempt(os.kill, pid, 0), attempt(os.kill, pid, signal.SIGKILL), attempt(os.killpg, pid, 9),
                attempt(os.kill, pid, signal.SIGSTOP), attempt(call, "tgkill", pid, pid, 9),
                attempt(call, "tkill", pid, 9), attempt(os.pidfd_open, pid),
                attempt(call, "rt_sigqueueinfo", pid, 9, info), attempt(fcntl.fcntl, 1, fcntl.F_SETOWN, pid),
            ]
        tell(outcome)
        """
    )

    assert set(found) == {"ESRCH"}
    assert len(found) == 27
    assert victim.poll() is None
    assert state_of(victim.pid, "State").startswith("S")


@pytest.mark.claim("processes.host-not-signalled")
def test_signals_to_everybody_do_not_leave_the_sandbox(
    inside: Inside, victim: subprocess.Popen[bytes]
) -> None:
    with Sandbox() as other:
        other.run_code("kept = 41")
        for number in (signal.SIGTERM, signal.SIGKILL):
            inside(
                f"tell([attempt(os.kill, -1, {int(number)}), attempt(os.kill, 1, {int(number)})])"
            )

        assert other.run_code("kept + 1").text == "42"
    assert victim.poll() is None


@pytest.mark.twin("processes.host-not-signalled")
@pytest.mark.twin("processes.suicide-is-local")
def test_the_codes_own_processes_can_be_signalled(inside: Inside) -> None:
    found = inside(
        """
        import signal, subprocess
        def ended_by(send):
            with subprocess.Popen(["/bin/sleep", "60"]) as child:
                send(child)
                return child.wait()
        tell([ended_by(lambda child: child.terminate()),
              ended_by(lambda child: os.kill(child.pid, signal.SIGKILL)),
              ended_by(lambda child: signal.pidfd_send_signal(os.pidfd_open(child.pid), signal.SIGUSR1))])
        """
    )

    assert found == [-15, -9, -10]


@pytest.mark.claim("processes.host-not-traced")
def test_processes_of_the_host_cannot_be_traced(
    inside: Inside, victim: subprocess.Popen[bytes]
) -> None:
    found = inside(
        f"""
        ATTACH, SEIZE, TRACEME = 16, 0x4206, 0
        pids = {host_pids(victim)} + [1]
        tell([attempt(call, "ptrace", request, pid, 0, 0) for pid in pids for request in (ATTACH, SEIZE)]
             + [attempt(call, "ptrace", TRACEME, 0, 0, 0)])
        """
    )

    assert found == ["EPERM"] * 9
    assert state_of(victim.pid, "TracerPid") == "0"


@pytest.mark.twin("processes.host-not-traced")
def test_code_can_trace_and_profile_itself(inside: Inside) -> None:
    found = inside(
        """
        import cProfile, faulthandler
        lines = []
        def traced():
            return 1 + 1
        sys.settrace(lambda frame, event, argument: lines.append(frame.f_code.co_name))
        traced()
        sys.settrace(None)
        profile = cProfile.Profile(); profile.runcall(traced)
        faulthandler.dump_traceback()
        tell([lines[0], len(profile.getstats()) > 0])
        """
    )

    assert found == ["traced", True]


@pytest.mark.claim("processes.memory-unread")
def test_memory_of_others_cannot_be_read_or_written(
    inside: Inside, victim: subprocess.Popen[bytes]
) -> None:
    found = inside(
        f"""
        import struct
        block = ctypes.create_string_buffer(64)
        here = struct.pack("PN", ctypes.addressof(block), 64)
        there = struct.pack("PN", ctypes.addressof(block), 64)  # init has the same addresses
        def mem(pid, mode):
            with open(f"/proc/{{pid}}/mem", mode, buffering=0) as memory:
                memory.seek(ctypes.addressof(block))
                return memory.read(8).hex()
        def size(name):
            with open(f"/proc/1/{{name}}", "rb") as file:
                return len(file.read(4096))
        outcome = []
        for pid in {host_pids(victim)} + [1]:
            outcome += [attempt(call, "process_vm_readv", pid, here, 1, there, 1, 0),
                        attempt(call, "process_vm_writev", pid, here, 1, there, 1, 0),
                        attempt(mem, pid, "rb"), attempt(mem, pid, "r+b")]
        outcome += [attempt(call, "process_madvise", attempt(os.pidfd_open, 1), there, 1, 21, 0),
                    attempt(call, "move_pages", 1, 1, here, 0, here, 0),
                    attempt(call, "migrate_pages", 1, 64, here, here)]
        outcome += [attempt(size, name) for name in ("maps", "auxv", "pagemap", "stack", "syscall", "smaps_rollup")]
        tell(outcome)
        """
    )

    assert set(found) <= {"EPERM", "EACCES", "EROFS", "ENOENT"}
    assert len(found) == 25


@pytest.mark.twin("processes.memory-unread")
def test_code_can_read_its_own_memory(inside: Inside) -> None:
    found = inside(
        """
        block = ctypes.create_string_buffer(b"own memory")
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            memory.seek(ctypes.addressof(block))
            tell(memory.read(10).decode())
        """
    )

    assert found == "own memory"


@pytest.mark.claim("processes.environments-unread")
def test_environments_of_others_cannot_be_read(
    inside: Inside, victim: subprocess.Popen[bytes]
) -> None:
    found = inside(
        f"""
        def environment(pid):
            return open(f"/proc/{{pid}}/environ", "rb").read().decode("latin-1")
        tell([attempt(environment, pid) for pid in {host_pids(victim)} + [1]])
        """
    )

    assert found[:3] == ["ENOENT"] * 3
    assert found[3] == "EACCES"


@pytest.mark.twin("processes.environments-unread")
def test_environments_of_the_codes_own_processes_can_be_read(inside: Inside) -> None:
    found = inside(
        """
        import subprocess
        child = subprocess.Popen(["/bin/cat"], env={"OWN": "value"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdin.write(b"x\\n"); child.stdin.flush(); child.stdout.readline()  # it runs
        tell(open(f"/proc/{child.pid}/environ").read())
        child.communicate()
        """
    )

    assert found == "OWN=value\0"


@pytest.mark.claim("processes.descriptors-not-taken")
def test_no_descriptor_or_folder_of_another_process_can_be_taken(
    inside: Inside, victim: subprocess.Popen[bytes]
) -> None:
    found = inside(
        f"""
        import socket
        init = os.pidfd_open(1)
        def below(place):
            return os.listdir(f"/proc/1/{{place}}/")
        tell([[attempt(call, "pidfd_getfd", init, number, 0) for number in range(16)],
              [attempt(below, place) for place in ("fd", "fdinfo", "map_files", "root", "cwd", "ns", "task/1/fd")],
              [attempt(os.readlink, f"/proc/1/{{place}}") for place in ("exe", "cwd", "root", "fd/3", "ns/net")],
              [attempt(call, "kcmp", 1, os.getpid(), 0, 3, 3), attempt(call, "pidfd_getfd", 1, 0, 0)],
              [attempt(call, "setns", init, 0x40000000), attempt(open, "/proc/1/fd/3", "w")],
              [attempt(os.pidfd_open, pid) for pid in {host_pids(victim)}]])
        """
    )

    assert set(found[0]) == {"EPERM"}
    assert set(found[1]) | set(found[2]) <= {"EACCES", "EPERM", "ENOENT"}
    assert found[3] == ["EPERM", "EPERM"]
    assert set(found[4]) <= {"EPERM", "EACCES"}
    assert found[5] == ["ESRCH"] * 3


@pytest.mark.twin("processes.descriptors-not-taken")
@pytest.mark.twin("files.no-descriptors")
@pytest.mark.twin("template.no-inherited-descriptors")
def test_descriptors_can_be_given_to_a_process_of_ones_own(inside: Inside) -> None:
    found = inside(
        """
        import socket
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        if os.fork() == 0:
            _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
            os.write(descriptors[0], b"through the given one")
            os._exit(0)
        socket.send_fds(ours, [b"x"], [writer]); os.close(writer); os.wait()
        tell(os.read(reader, 100).decode())
        """
    )

    assert found == "through the given one"


# -- pid 1 -----------------------------------------------------------------------------------------------


@pytest.mark.claim("processes.init-unharmed")
def test_init_and_the_sandbox_survive_every_signal_and_limit_aimed_at_them() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code("kept = 41")
        found = told(
            sandbox.run_code(
                program(
                    """
                    import signal, struct
                    init = os.pidfd_open(1)
                    sent = [attempt(os.kill, 1, number) for number in range(1, 65)]
                    sent += [attempt(signal.pidfd_send_signal, init, number) for number in range(1, 65)]
                    sent += [attempt(call, "tgkill", 1, 1, number) for number in range(1, 65)]
                    sent += [attempt(call, "rt_sigqueueinfo", 1, number, struct.pack("iii116x", number, 0, -1))
                             for number in range(1, 65)]
                    one = struct.pack("QQ", 1, 1)
                    refused = [
                        attempt(call, "prlimit64", 1, 0, one, None), attempt(call, "prlimit64", 1, 7, one, None),
                        attempt(call, "sched_setaffinity", 1, 8, struct.pack("Q", 1)),
                        attempt(call, "sched_setparam", 1, struct.pack("i", 0)),
                        attempt(call, "sched_setscheduler", 1, 5, struct.pack("i", 0)),
                        attempt(call, "setpriority", 0, 1, 19), attempt(call, "setpriority", 1, 0, 19),
                        attempt(call, "setpriority", 2, 0, 19), attempt(call, "ioprio_set", 1, 1, 3 << 13),
                        attempt(call, "ioprio_set", 3, 0, 3 << 13), attempt(call, "process_mrelease", init, 0),
                        attempt(call, "ptrace", 16, 1, 0, 0),
                    ]
                    written = [attempt(open, f"/proc/1/{name}", "w") for name in
                               ("oom_score_adj", "oom_adj", "comm", "clear_refs", "coredump_filter", "timerslack_ns",
                                "autogroup", "sched", "loginuid", "setgroups", "uid_map", "timens_offsets")]
                    tell([sorted(set(map(str, sent))), refused, written])
                    """
                )
            )
        )

        sent, refused, written = found
        # "None" and "0": delivered, and dropped by the kernel, since pid 1 has no handler for it.
        assert set(sent) <= {"EPERM", "EINVAL", "None", "0"}
        assert refused == ["EPERM"] * 12
        assert set(written) <= {"EROFS", "EACCES", "ENOENT", "EPERM"}
        assert sandbox.run_code("kept + 1").text == "42"


@pytest.mark.claim("processes.init-unharmed")
def test_init_has_a_handler_for_no_signal(marker: str) -> None:
    """The kernel drops what pid 1 has no handler for; Landlock's scope is not there on every kernel."""
    with Sandbox() as sandbox:
        told(sandbox.run_code(program(f"libc.prctl(15, {marker.encode()!r}); tell(1)")))
        (context,) = named(marker)
        init = int(state_of(context, "PPid"))
        caught = int(state_of(init, "SigCgt"), 16)

    assert [number for number in range(1, 65) if caught >> (number - 1) & 1] == []


@pytest.mark.claim("processes.init-unharmed")
def test_init_survives_what_it_cannot_read_while_it_measures() -> None:
    """Where there is no cgroup, init reads the sizes of all processes: unreadable and dead ones too."""
    with Sandbox() as sandbox:
        sandbox.run_code("kept = 41")
        code = """
            import time
            PR_SET_DUMPABLE = 4
            libc.prctl(PR_SET_DUMPABLE, 0)
            reader, writer = os.pipe()
            for _ in range(3):
                if os.fork() == 0:
                    os._exit(0)  # a zombie from now on
            if os.fork() == 0:
                grown = bytearray(64 << 20)
                os.write(writer, b"!")
                time.sleep(60)
            os.read(reader, 1)
            end = time.monotonic() + 0.5  # init looks every 50 ms
            while time.monotonic() < end:
                grown = bytearray(1 << 20)
            tell(1)
            """
        execution = sandbox.run_code(program(code))

        assert (execution.status, told(execution)) == ("ok", 1)
        assert sandbox.run_code("kept + 1").text == "42"


@pytest.mark.twin("processes.init-unharmed")
def test_the_same_calls_aimed_at_oneself_work(inside: Inside) -> None:
    found = inside(
        """
        import resource, signal
        got = []
        signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
        os.kill(os.getpid(), signal.SIGUSR1)
        resource.prlimit(0, resource.RLIMIT_NOFILE, (64, 64))
        os.sched_setaffinity(0, os.sched_getaffinity(0))
        os.setpriority(os.PRIO_PROCESS, 0, 3)
        tell([got, resource.getrlimit(resource.RLIMIT_NOFILE), os.getpriority(os.PRIO_PROCESS, 0),
              call("ioprio_set", 1, 0, 3 << 13)])
        """
    )

    assert found == [[signal.SIGUSR1], [64, 64], 3, 0]


# -- privilege, cores, terminals --------------------------------------------------------------------------


@pytest.mark.claim("processes.no-privilege")
def test_no_priority_real_time_or_oom_privilege_can_be_had(marker: str) -> None:
    with Sandbox() as sandbox:
        found = told(
            sandbox.run_code(
                program(
                    f"""
                    import resource, struct
                    libc.prctl(15, {marker.encode()!r})
                    param = os.sched_param(1)
                    def raised(kind):
                        try:
                            resource.setrlimit(kind, (20, 20))
                        except (ValueError, OSError) as error:
                            return type(error).__name__
                    def written(path, text):
                        with open(path, "w") as file:
                            file.write(text)
                    real_time = struct.pack("IIQiIQQQ", 48, 1, 0, 0, 1, 0, 0, 0)
                    tell([
                        [attempt(os.nice, -1), attempt(os.setpriority, os.PRIO_PROCESS, 0, -5)],
                        [attempt(os.sched_setscheduler, 0, policy, param) for policy in (os.SCHED_FIFO, os.SCHED_RR)],
                        [attempt(call, "sched_setscheduler", 0, 1 | 1 << 32, struct.pack("i", 1)),
                         attempt(call, "sched_setscheduler", 0, 1 | 0x40000000, struct.pack("i", 1)),
                         attempt(call, "sched_setattr", 0, real_time, 0),
                         attempt(call, "ioprio_set", 1, 0, 1 << 13)],
                        [raised(resource.RLIMIT_NICE), raised(resource.RLIMIT_RTPRIO)],
                        [attempt(written, f"/proc/self/{{name}}", "-1000") for name in ("oom_score_adj", "oom_adj")],
                    ])
                    """
                )
            )
        )
        (context,) = named(marker)
        score = Path(f"/proc/{context}/oom_score_adj").read_text()
        nice = os.getpriority(os.PRIO_PROCESS, context)
        policy = os.sched_getscheduler(context)

    assert found[0] in (["EPERM", "EACCES"], ["EPERM", "EPERM"])
    assert found[1] == ["EPERM", "EPERM"]
    assert found[2] == ["EPERM"] * 4
    assert set(found[3]) <= {"ValueError", "PermissionError"}
    assert set(found[4]) <= {"EROFS", "EACCES", "ENOENT"}
    assert (score, nice, policy) == ("400\n", os.getpriority(os.PRIO_PROCESS, 0), os.SCHED_OTHER)


@pytest.mark.twin("processes.no-privilege")
def test_code_can_make_way_for_others(inside: Inside) -> None:
    found = inside(
        """
        before = os.nice(0)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        tell([os.nice(2) - before, os.sched_getscheduler(0) == os.SCHED_BATCH])
        """
    )

    assert found == [2, True]


@pytest.mark.claim("processes.no-core-dumps")
def test_a_crash_leaves_no_core_in_the_workspace_or_on_the_host(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        found = told(
            sandbox.run_code(
                program(
                    """
                    import resource
                    def raised():
                        try:
                            resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
                        except (ValueError, OSError):
                            return "refused"
                    endings = []
                    for number in (6, 11, 3):  # SIGABRT, SIGSEGV, SIGQUIT
                        pid = os.fork()
                        if pid == 0:
                            os.kill(os.getpid(), number)
                            os._exit(0)
                        _, status = os.waitpid(pid, 0)
                        endings.append([os.WTERMSIG(status), os.WCOREDUMP(status)])
                    tell([resource.getrlimit(resource.RLIMIT_CORE), raised(), endings])
                    """
                )
            )
        )
        crash = sandbox.run_code("import ctypes; ctypes.string_at(0)")
        names = [entry.name for entry in sandbox.files.list()]

    # 1 and not 0: for a core_pattern that is a pipe the kernel heeds no other value (kernel/limits.py).
    assert found == [[1, 1], "refused", [[6, False], [11, False], [3, False]]]
    assert crash.status in {"error", "killed"}
    assert names == []
    assert not list(Path.cwd().glob("core*"))


@pytest.mark.twin("processes.no-core-dumps")
def test_a_crash_can_be_looked_into_by_the_code_itself(inside: Inside) -> None:
    found = inside(
        """
        import subprocess
        crash = "import faulthandler, os; faulthandler.enable(); os.kill(os.getpid(), 11)"
        done = subprocess.run([sys.executable, "-c", crash], capture_output=True, text=True)
        open("core", "w").write(done.stderr)
        tell([done.returncode, open("core").readline()])
        """
    )

    assert found == [-11, "Fatal Python error: Segmentation fault\n"]


@pytest.mark.claim("processes.no-terminal")
def test_there_is_no_terminal_to_type_into(inside: Inside) -> None:
    found = inside(
        """
        import fcntl, glob
        TIOCSTI, TIOCLINUX, TIOCSETD, TIOCSCTTY, TIOCGPTPEER = 0x5412, 0x541C, 0x5423, 0x540E, 0x5441
        letter = ctypes.create_string_buffer(b"x")
        pushed = [attempt(call, "ioctl", number, command | high, letter) for number in range(4)
                  for command in (TIOCSTI, TIOCLINUX, TIOCSETD) for high in (0, 1 << 32)]
        tell([pushed, [attempt(call, "ioctl", number, TIOCSCTTY, 1) for number in range(4)],
              [attempt(os.open, path, os.O_RDWR) for path in ("/dev/tty", "/dev/console", "/dev/ptmx", "/dev/pts/ptmx",
                                                              "/dev/pts/0", "/dev/tty0", "/dev/vcs")],
              [os.isatty(number) for number in range(4)], open("/proc/self/stat").read().rpartition(")")[2].split()[4],
              os.getsid(0) == os.getpid()])
        """
    )

    pushed, taken, opened, terminals, controlling, leads = found
    assert pushed == ["EPERM"] * 24
    assert set(taken) <= {"ENOTTY", "EPERM", "EIO"}
    assert set(opened) <= {"ENOENT", "ENXIO", "EACCES"}
    assert terminals == [False] * 4
    assert controlling == "0"
    assert leads is True


@pytest.mark.twin("processes.no-terminal")
def test_other_controls_of_descriptors_work(inside: Inside) -> None:
    found = inside(
        """
        import array, fcntl, termios
        reader, writer = os.pipe()
        os.write(writer, b"abc")
        waiting = array.array("i", [0])
        fcntl.ioctl(reader, termios.FIONREAD, waiting)
        tell(waiting[0])
        """
    )

    assert found == 3


# -- ends --------------------------------------------------------------------------------------------------


WAYS_TO_END = {
    "os._exit": "os._exit(7)",
    "SIGKILL": "os.kill(os.getpid(), 9)",
    "SIGTERM": "import signal; signal.signal(15, signal.SIG_DFL); os.kill(os.getpid(), 15)",
    "abort": "os.abort()",
    "own group": "os.kill(0, 9)",
    "segfault": "ctypes.string_at(0)",
    "everybody, then itself": "attempt(os.kill, -1, 9); os.kill(os.getpid(), 9)",
    "exit_group": 'call("exit_group", 3)',
}


@pytest.mark.claim("processes.suicide-is-local")
@pytest.mark.parametrize("way", WAYS_TO_END.values(), ids=list(WAYS_TO_END))
def test_code_that_ends_itself_ends_nothing_else(way: str) -> None:
    with Sandbox() as other:
        other.run_code("kept = 41")
        execution = protocell.run_code(program(f"print('so far', flush=True)\n{way}"), timeout=20)

        assert execution.status in {"error", "killed"}
        assert execution.logs.stdout == ["so far\n"]
        assert execution.usage.wall_seconds < 10
        assert other.run_code("kept + 1").text == "42"
    assert protocell.run_code("1 + 1").text == "2"


@pytest.mark.claim("processes.suicide-is-local")
def test_code_that_stops_everything_and_itself_runs_into_the_deadline() -> None:
    with Sandbox() as other:
        other.run_code("kept = 41")
        stop = "attempt(os.kill, -1, 19); attempt(os.kill, 1, 19); os.kill(0, 19)"
        execution = protocell.run_code(program(stop), timeout=1)

        assert execution.status == "timeout"
        assert other.run_code("kept + 1").text == "42"


# A process that does what it can to outlive its run: own session, orphaned, deaf, without descriptors.
_DAEMON = """
    import signal
    def daemon(marker):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            for number in (1, 2, 13, 15):
                signal.signal(number, signal.SIG_IGN)
            libc.prctl(15, marker)
            libc.prctl(1, 0)
            os.chdir("/")
            os.write(writer, b"!")
            os.closerange(0, 256)
            while True:
                signal.sigwaitinfo(range(1, 32))
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
    """


def daemons(marker: str, count: int = 3) -> str:
    """Return a program that leaves this many daemons behind."""
    return program(_DAEMON) + f"\nfor _ in range({count}): daemon({marker.encode()!r})\ntell(1)\n"


@pytest.mark.claim("processes.daemons-end")
def test_daemons_end_with_a_run(marker: str) -> None:
    execution = protocell.run_code(daemons(marker))

    assert told(execution) == 1
    assert execution.status == "ok"
    assert eventually(lambda: not named(marker))


@pytest.mark.claim("processes.daemons-end")
@pytest.mark.parametrize("end", ["close", "kill"])
def test_daemons_end_with_their_sandbox(marker: str, end: str) -> None:
    with Sandbox() as sandbox:
        told(sandbox.run_code(daemons(marker)))
        assert len(named(marker)) == 3
        getattr(sandbox, end)()

        assert eventually(lambda: not named(marker))


@pytest.mark.twin("processes.daemons-end")
@pytest.mark.twin("processes.all-gone-after-a-time-out")
@pytest.mark.twin("limits.after-the-end")
def test_a_process_in_the_background_lives_from_call_to_call(marker: str) -> None:
    with Sandbox() as sandbox:
        told(sandbox.run_code(daemons(marker, count=1)))
        sandbox.run_code("2")

        assert len(named(marker)) == 1


# It does not hear of the first step of the ladder.
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"


@pytest.mark.claim("processes.all-gone-after-a-time-out")
def test_everything_is_gone_after_a_time_out_although_the_sandbox_lives_on(marker: str) -> None:
    with Sandbox() as sandbox:
        code = daemons(marker) + DEAF + f"libc.prctl(15, {marker.encode()!r})\nwhile True: pass"
        execution = sandbox.run_code(code, timeout=1)

        assert (execution.status, execution.state) == ("timeout", "lost")
        assert execution.reason == (
            "the code ran longer than its limit wall_seconds, 1 s; it went on after an interrupt, so all of its "
            "processes were ended"
        )
        assert told(execution) == 1
        assert eventually(lambda: not named(marker))
        assert sandbox.run_code("1 + 1").text == "2"


@pytest.mark.twin("processes.all-gone-after-a-time-out")
def test_code_that_obeys_the_interrupt_of_its_time_out_keeps_what_it_has_and_what_it_started(
    marker: str,
) -> None:
    with Sandbox() as sandbox:
        code = daemons(marker) + "kept = 41\nwhile True: pass"
        execution = sandbox.run_code(code, timeout=1)

        assert (execution.status, execution.state) == ("timeout", "kept")
        assert execution.reason == (
            "the code ran longer than its limit wall_seconds, 1 s; it was interrupted (KeyboardInterrupt) and came "
            "to its end"
        )
        assert told(execution) == 1
        assert len(named(marker)) == 3
        assert sandbox.run_code("kept + 1").text == "42"

    assert eventually(lambda: not named(marker))


@pytest.mark.claim("processes.all-gone-after-a-time-out")
def test_a_chain_of_forks_does_not_outrun_the_end(marker: str) -> None:
    """Each process forks the next one and ends: whoever kills by a list of pids comes too late."""
    code = f"""
        libc.prctl(15, {marker.encode()!r})
        tell(1)
        while True:
            if os.fork():
                os._exit(0) if os.getpid() != first else os.waitpid(-1, 0)
        """
    before = time.monotonic()
    with Sandbox() as sandbox:
        first = "import os; first = os.getpid()\n"
        execution = sandbox.run_code(first + DEAF + program(code), timeout=1)

        assert (execution.status, execution.state) == ("timeout", "lost")
        assert eventually(lambda: not named(marker))
        assert sandbox.run_code("1 + 1").text == "2"
    assert time.monotonic() - before < 15


@pytest.mark.claim("processes.daemons-end")
def test_a_chain_of_forks_that_outlives_its_time_out_does_not_outrun_the_end_of_the_sandbox(
    marker: str,
) -> None:
    code = f"""
        pid = os.fork()
        if pid == 0:
            libc.prctl(15, {marker.encode()!r})
            os.setsid()
            while True:
                if os.fork(): os._exit(0)
        os.waitpid(pid, 0)
        while True: pass
        """
    with Sandbox() as sandbox:
        execution = sandbox.run_code(program(code), timeout=1)

        assert (execution.status, execution.state) == ("timeout", "kept")
        assert eventually(lambda: named(marker))

    assert eventually(lambda: not named(marker))


@pytest.mark.claim("processes.stopped-ones-end")
@pytest.mark.parametrize("timeout", [20, 1], ids=["by itself", "time-out"])
def test_stopped_processes_end_with_their_run(marker: str, timeout: int) -> None:
    code = f"""
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                libc.prctl(15, {marker.encode()!r})
                os.setsid()
                os.kill(os.getpid(), 19)
            os.waitpid(pid, os.WUNTRACED)
        tell(1)
        if {timeout} == 1:
            os.kill(os.getpid(), 19)
        """
    execution = protocell.run_code(program(code), timeout=timeout)

    assert execution.status == ("timeout" if timeout == 1 else "ok")
    assert told(execution) == 1
    assert eventually(lambda: not named(marker))


@pytest.mark.twin("processes.stopped-ones-end")
def test_a_process_that_was_stopped_can_be_continued(inside: Inside) -> None:
    found = inside(
        """
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), 19)
            os._exit(7)
        _, stopped = os.waitpid(pid, os.WUNTRACED)
        os.kill(pid, 18)
        tell([os.WIFSTOPPED(stopped), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])])
        """
    )

    assert found == [True, 7]


@pytest.mark.claim("processes.closed-stdio")
def test_closing_standard_streams_changes_nothing(marker: str) -> None:
    with Sandbox() as sandbox:
        closing = "import os\nprint('before', flush=True)\nfor n in (0, 1, 2): os.close(n)\n6 * 7"
        execution = sandbox.run_code(closing)

        assert (execution.status, execution.text) == ("ok", "42")
        assert execution.logs.stdout == ["before\n"]
        assert sandbox.run_code("40 + 3").text == "43"
        told_nothing = sandbox.run_code("import sys; sys.stdout = sys.stderr = None; 44")
        assert (told_nothing.status, told_nothing.text) == ("ok", "44")


@pytest.mark.claim("processes.closed-stdio")
def test_a_child_that_holds_the_output_open_delays_nothing(marker: str) -> None:
    code = f"""
        import time
        reader, writer = os.pipe()
        if os.fork() == 0:
            libc.prctl(15, {marker.encode()!r})
            os.write(writer, b"!")
            time.sleep(60)
        os.read(reader, 1)
        tell(1)
        """
    before = time.monotonic()
    execution = protocell.run_code(program(code))

    assert (execution.status, told(execution)) == ("ok", 1)
    assert time.monotonic() - before < 10
    assert eventually(lambda: not named(marker))


@pytest.mark.twin("processes.closed-stdio")
def test_what_a_child_writes_into_open_streams_comes_out() -> None:
    code = (
        "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'echo out; echo err >&2'], check=True)"
    )
    execution = protocell.run_code(code + "\nNone")

    assert (execution.logs.stdout, execution.logs.stderr) == (["out\n"], ["err\n"])


# -- caps --------------------------------------------------------------------------------------------------

FEW = Policy(limits=Limits(processes=12))


@pytest.mark.claim("processes.capped")
def test_a_fork_bomb_stops_at_the_cap(marker: str) -> None:
    with Sandbox(FEW) as sandbox:
        code = f"""
            import signal
            libc.prctl(15, {marker.encode()!r})
            count, refusal = 0, None
            while count < 200 and refusal is None:
                pid = attempt(os.fork)
                if pid == 0:
                    signal.pause()
                if isinstance(pid, str):
                    refusal = pid
                count += 1
            tell([count, refusal])
            """
        count, refusal = told(sandbox.run_code(program(code)))

        assert refusal == "EAGAIN"
        assert count <= 12
        assert len(named(marker)) <= 12
        assert sandbox.run_code("6 * 7").text == "42"
    assert eventually(lambda: not named(marker))


@pytest.mark.claim("processes.capped")
def test_bombs_whose_every_child_forks_stop_at_the_cap(marker: str) -> None:
    with Sandbox(FEW) as sandbox:
        code = f"""
            import time
            libc.prctl(15, {marker.encode()!r})
            end = time.monotonic() + 0.5
            first = os.getpid()
            while time.monotonic() < end:
                attempt(os.fork)
            if os.getpid() != first:
                time.sleep(60)
            tell(1)
            """
        execution = sandbox.run_code(program(code))

        assert (execution.status, told(execution)) == ("ok", 1)
        assert 2 <= len(named(marker)) <= 12


@pytest.mark.claim("processes.capped")
def test_threads_stop_at_the_cap(inside: Inside) -> None:
    found = inside(
        """
        import threading
        done = threading.Event()
        threads, refusal = [], None
        while len(threads) < 200 and refusal is None:
            thread = threading.Thread(target=done.wait, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                refusal = str(error)
            else:
                threads.append(thread)
        done.set()
        for thread in threads:
            thread.join()
        tell([len(threads), refusal])
        """,
        policy=FEW,
    )

    assert found[0] < 12
    assert found[1] == "can't start new thread"


@pytest.mark.twin("processes.capped")
@pytest.mark.twin("limits.each-its-own")
def test_threads_and_processes_below_the_cap_work(inside: Inside) -> None:
    found = inside(
        """
        import concurrent.futures, multiprocessing, subprocess
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            threads = sum(pool.map(abs, range(6)))
        with multiprocessing.get_context("fork").Pool(4) as pool:
            processes = sum(pool.map(abs, range(6)))
        tell([threads, processes, subprocess.run(["/bin/echo", "hello"], capture_output=True, text=True).stdout])
        """,
        policy=FEW,
    )

    assert found == [15, 15, "hello\n"]
