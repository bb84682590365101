"""Attacks on the kernel through calls that programs do not need; the numbers are this machine's."""

import json
import subprocess

import pytest

from protocell_guest.kernel import _libc, syscalls
from tests.escape.conftest import Inside

_NUMBERS = json.dumps(dict(syscalls.numbers(_libc.machine())))
_N = f"N = {_NUMBERS}\n"


@pytest.mark.claim("surface.refused-calls")
@pytest.mark.parametrize(
    "name, code",
    [
        ("io_uring_setup", "ENOSYS"),
        ("io_uring_enter", "ENOSYS"),
        ("io_uring_register", "ENOSYS"),
        ("userfaultfd", "EPERM"),
        ("add_key", "ENOSYS"),
        ("request_key", "ENOSYS"),
        ("keyctl", "ENOSYS"),
        ("bpf", "EPERM"),
        ("perf_event_open", "EPERM"),
        ("ptrace", "EPERM"),
        ("process_vm_readv", "EPERM"),
        ("process_vm_writev", "EPERM"),
        ("process_madvise", "EPERM"),
        ("pidfd_getfd", "EPERM"),
        ("kcmp", "EPERM"),
        ("unshare", "EPERM"),
        ("setns", "EPERM"),
        ("clone3", "ENOSYS"),
        ("mount", "EPERM"),
        ("umount2", "EPERM"),
        ("pivot_root", "EPERM"),
        ("chroot", "EPERM"),
        ("fsopen", "EPERM"),
        ("open_tree", "EPERM"),
        ("move_mount", "EPERM"),
        ("mount_setattr", "EPERM"),
        ("open_by_handle_at", "EPERM"),
        ("name_to_handle_at", "EPERM"),
        ("statmount", "EPERM"),
        ("listmount", "EPERM"),
        ("kexec_load", "EPERM"),
        ("init_module", "EPERM"),
        ("finit_module", "EPERM"),
        ("delete_module", "EPERM"),
        ("reboot", "EPERM"),
        ("swapon", "EPERM"),
        ("swapoff", "EPERM"),
        ("acct", "EPERM"),
        ("quotactl", "EPERM"),
        ("syslog", "EPERM"),
        ("settimeofday", "EPERM"),
        ("clock_settime", "EPERM"),
        ("clock_adjtime", "EPERM"),
        ("adjtimex", "EPERM"),
        ("sethostname", "EPERM"),
        ("setdomainname", "EPERM"),
        ("vhangup", "EPERM"),
        ("fanotify_init", "EPERM"),
        ("remap_file_pages", "EPERM"),
        ("vmsplice", "EPERM"),
        ("memfd_secret", "EPERM"),
        ("mbind", "EPERM"),
        ("set_mempolicy", "EPERM"),
        ("migrate_pages", "EPERM"),
        ("move_pages", "EPERM"),
        ("seccomp", "EPERM"),
        ("lsm_set_self_attr", "EPERM"),
    ],
)
def test_calls_that_programs_do_not_need_are_refused(inside: Inside, name: str, code: str):
    assert inside(_N + f"tell(attempt(syscall, N[{name!r}], 0, 0, 0, 0, 0, 0))") == code


@pytest.mark.twin("surface.refused-calls")
def test_calls_that_programs_need_work(inside: Inside):
    found = inside(
        """
        import mmap, select, selectors, signal, socket, subprocess, tempfile, threading
        memory = mmap.mmap(-1, 4096, prot=7, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x + 1)
        pair = socket.socketpair(); pair[0].send(b"x")
        epoll = select.epoll(); epoll.register(pair[1])
        pidfd = os.pidfd_open(os.getpid()); signal.pidfd_send_signal(pidfd, 0)
        thread = threading.Thread(target=int); thread.start(); thread.join()
        tell([callback(1), len(epoll.poll(1)), subprocess.run(["true"]).returncode, bool(os.sched_getaffinity(0)),
              os.getpriority(os.PRIO_PROCESS, 0), len(os.getrandom(4))])
        """
    )

    assert found == [2, 1, 0, True, 0, 4]


@pytest.mark.claim("surface.no-namespaces")
def test_no_namespace_can_be_made_by_clone(inside: Inside):
    found = inside(
        _N
        + """
flags = [0x10000000, 0x20000000, 0x00020000, 0x40000000, 0x08000000, 0x04000000, 0x02000000, 0x80]
tell([attempt(syscall, N["clone"], flag | 17, 0, 0, 0, 0) for flag in flags])
"""
    )

    assert found == ["EPERM"] * 8


@pytest.mark.twin("surface.no-namespaces")
@pytest.mark.twin("surface.no-namespaces-without-the-filter")
def test_ordinary_processes_can_be_made(inside: Inside):
    found = inside(
        """
        pid = os.fork()
        if pid == 0:
            os._exit(3)
        tell(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )

    assert found == 3


@pytest.mark.claim("surface.no-namespaces-without-the-filter")
def test_the_kernel_itself_gives_no_user_namespace_inside(inside: Inside):
    found = inside("tell(open('/proc/sys/user/max_user_namespaces').read().strip())")

    assert found == "0"


@pytest.mark.claim("surface.no-odd-sockets")
def test_socket_families_beyond_the_usual_do_not_exist(inside: Inside):
    found = inside(
        """
        import socket
        families = [n for n in range(1, 46) if n not in (1, 2, 10, 16)]
        outcome = sorted({attempt(lambda n=n: socket.socket(n, socket.SOCK_STREAM).family) for n in families})
        raw = [attempt(lambda f=f: socket.socket(f, socket.SOCK_RAW, 1).family) for f in (2, 10)]
        packet = attempt(lambda: socket.socket(17, socket.SOCK_RAW, 3).family)
        netlink = sorted({attempt(lambda n=n: socket.socket(16, socket.SOCK_DGRAM, n).family) for n in range(1, 23)})
        tell([outcome, raw, packet, netlink])
        """
    )

    assert found == [["EAFNOSUPPORT"], ["EPERM", "EPERM"], "EAFNOSUPPORT", ["EPERM"]]


@pytest.mark.twin("surface.no-odd-sockets")
def test_the_usual_sockets_can_be_made(inside: Inside):
    found = inside(
        """
        import socket
        tell([int(socket.socket(f, t).family) for f in (1, 2, 10) for t in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
             + [int(socket.socket(16, socket.SOCK_RAW, 0).family)])
        """
    )

    assert found == [1, 1, 2, 2, 10, 10, 16]


@pytest.mark.claim("surface.no-personality")
def test_the_execution_domain_and_segment_tables_cannot_be_changed(inside: Inside):
    found = inside(
        _N
        + """
outcome = [attempt(syscall, N["personality"], 0x0040000), attempt(syscall, N["personality"], 0x0400000)]
if "modify_ldt" in N:
    outcome += [attempt(syscall, N["modify_ldt"], 1, 0, 0), attempt(syscall, N["iopl"], 3)]
    outcome += [attempt(syscall, N["ioperm"], 0, 1, 1)]
tell(outcome)
"""
    )

    assert set(found) == {"EPERM"}


@pytest.mark.twin("surface.no-personality")
def test_the_execution_domain_can_be_asked_for(inside: Inside):
    assert inside(_N + 'tell(syscall(N["personality"], 0xFFFFFFFF))') == 0


@pytest.mark.claim("surface.no-other-abi")
def test_calls_through_another_abi_are_not_answered(inside: Inside):
    found = inside(
        """
        import mmap, platform
        def by_int80():
            code = bytes.fromhex("b814000000cd80c3")  # mov eax, 20 (getpid of the 32-bit table); int 0x80; ret
            memory = mmap.mmap(-1, 4096, prot=7, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            memory.write(code)
            function = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
            pid = os.fork()
            if pid == 0:
                function()
                os._exit(0)
            return os.WTERMSIG(os.waitpid(pid, 0)[1])
        if platform.machine() == "x86_64":
            tell([by_int80(), attempt(syscall, 0x40000000 + 39)])
        else:
            tell([31, "ENOSYS"])
        """
    )

    assert found == [31, "ENOSYS"]


@pytest.mark.twin("surface.no-other-abi")
def test_calls_through_the_machines_own_abi_are_answered(inside: Inside):
    assert inside('tell(call("getpid") == os.getpid())') is True


@pytest.mark.claim("surface.no-rights")
def test_no_capability_is_left_and_none_can_be_gained(inside: Inside):
    found = inside(
        """
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        sets = [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
        flags = [int(status[name]) for name in ("NoNewPrivs", "Seccomp")]
        tell([sets, flags, attempt(os.setuid, 0), attempt(os.setgid, 0), attempt(os.setgroups, []),
              attempt(os.chown, "/home/user", 0, 0)])
        """
    )

    assert found == [[0] * 5, [1, 2], "EINVAL", "EINVAL", "EPERM", "EINVAL"]


@pytest.mark.twin("surface.no-rights")
def test_the_user_owns_what_it_made(inside: Inside):
    assert inside(
        "open('x', 'w'); os.chmod('x', 0o600); tell([os.getuid(), os.stat('x').st_uid])"
    ) == [1000, 1000]


@pytest.mark.claim("surface.set-user-id-is-nothing")
def test_a_set_user_id_program_gives_nothing(inside: Inside):
    found = inside(
        """
        import glob, shutil, subprocess
        programs = [path for path in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount") if os.path.exists(path)]
        flags = [line.split()[5].split(",") for line in open("/proc/self/mountinfo")]
        shutil.copy("/bin/sh", "mine"); os.chmod("mine", 0o4755)
        me = subprocess.run(["./mine", "-c", "id -u"], capture_output=True, text=True).stdout.strip()
        tell([all("nosuid" in options for options in flags), me])
        """
    )

    assert found == [True, "1000"]


@pytest.mark.twin("surface.set-user-id-is-nothing")
def test_a_program_of_the_codes_own_runs_as_the_code(inside: Inside):
    found = inside(
        """
        import shutil, subprocess
        shutil.copy("/bin/sh", "mine"); os.chmod("mine", 0o755)
        tell(subprocess.run(["./mine", "-c", "id -u; echo $((6 * 7))"], capture_output=True, text=True).stdout)
        """
    )

    assert found == "1000\n42\n"


@pytest.mark.claim("surface.prctl")
def test_the_hardening_cannot_be_undone_by_prctl(inside: Inside):
    found = inside(
        """
        prctl = lambda *a: attempt(syscall, 157 if sys.maxsize and os.uname().machine == "x86_64" else 167, *a)
        tell([prctl(28, 0, 0, 0, 0), prctl(35, 8, 0, 0, 0), prctl(47, 2, 0, 0, 0), prctl(22, 0, 0, 0, 0),
              prctl(0x59616d61, 1, 0, 0, 0)])
        """
    )

    assert set(found) == {"EPERM"}


@pytest.mark.twin("surface.prctl")
def test_a_thread_can_be_named(inside: Inside):
    assert (
        inside("libc.prctl(15, b'worker', 0, 0, 0); tell(open('/proc/self/comm').read())")
        == "worker\n"
    )


@pytest.mark.claim("surface.own-sysv-ipc")
def test_sysv_ipc_is_the_sandboxs_own(inside: Inside):
    made = subprocess.run(
        ["ipcmk", "-M", "4096"], capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    try:
        found = inside(
            """
            tell([len(open("/proc/sysvipc/shm").readlines()), libc.shmget(0x1234, 4096, 0o1600) >= 0])
            """
        )
    finally:
        subprocess.run(["ipcrm", "-m", made], check=True)

    assert found == [1, True]
