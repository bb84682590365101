"""What code inside tries, layer by layer, and what it must see: a table of small programs.

Each program is an expression, evaluated in a sandbox after ``PRELUDE``, whose value must be one of
the texts in ``expected``.  Beside what must fail stands what must work, or a sandbox in which
nothing works would look safe.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One attempt."""

    layer: str
    what: str
    program: str
    expected: tuple[str, ...]


def _separate(layer: str, kind: str) -> Check:
    program = f"str(os.readlink('/proc/self/ns/{kind}') != NAMESPACES['{kind}'])"
    return Check(layer=layer, what="be in one of its own (works)", program=program, expected=_YES)


_YES = ("True",)
_DONE = ("done",)
_NO_RIGHT = ("EPERM",)

CHECKS = (
    Check(
        layer="user-namespace",
        what="become root",
        program="attempt(os.setuid, 0)",
        expected=("EINVAL", "EPERM"),
    ),
    Check(
        layer="user-namespace",
        what="a namespace inside",
        program="attempt(libc, 'unshare', 0x10000000)",
        expected=_NO_RIGHT,
    ),
    _separate("user-namespace", "user"),
    Check(
        layer="pid-namespace",
        what="signal a host process",
        program="signal_host()",
        expected=("ESRCH",),
    ),
    Check(
        layer="pid-namespace",
        what="see host processes",
        program="str(len(neighbours()))",
        expected=("0",),
    ),
    _separate("pid-namespace", "pid"),
    Check(
        layer="mount-namespace",
        what="mount",
        program="attempt(libc, 'mount', b'tmpfs', b'/tmp', b'tmpfs', 0, None)",
        expected=_NO_RIGHT,
    ),
    Check(
        layer="mount-namespace",
        what="unmount",
        program="attempt(libc, 'umount2', b'/proc', 2)",
        expected=_NO_RIGHT,
    ),
    _separate("mount-namespace", "mnt"),
    Check(
        layer="network-namespace",
        what="connect to a host service",
        program="attempt(connect, ('127.0.0.1', PORT))",
        expected=("ECONNREFUSED",),
    ),
    Check(
        layer="network-namespace",
        what="connect to the outside",
        program="attempt(connect, ('192.0.2.1', 80))",
        expected=("ENETUNREACH",),
    ),
    Check(
        layer="network-namespace",
        what="serve itself on loopback (works)",
        program="attempt(talk_to_itself)",
        expected=_DONE,
    ),
    _separate("ipc-namespace", "ipc"),
    _separate("uts-namespace", "uts"),
    Check(
        layer="uts-namespace",
        what="ask for the host name",
        program="socket.gethostname()",
        expected=("protocell",),
    ),
    Check(
        layer="cgroup-namespace",
        what="read the name of its cgroup",
        program="str({line.split(':', 2)[2] for line in open('/proc/self/cgroup')} <= {'/\\n'})",
        expected=_YES,
    ),
    Check(
        layer="new-root",
        what="read a host file",
        program="attempt(open, FILE)",
        expected=("ENOENT",),
    ),
    Check(
        layer="new-root",
        what="list its folder",
        program="str('bait.txt' in (os.listdir(FOLDER) if os.path.isdir(FOLDER) else []))",
        expected=("False",),
    ),
    Check(
        layer="new-root",
        what="read /etc/shadow",
        program="attempt(open, '/etc/shadow')",
        expected=("ENOENT",),
    ),
    Check(
        layer="new-root",
        what="write to /usr",
        program="attempt(touch, '/usr/bait.txt')",
        expected=("EROFS", "EACCES"),
    ),
    Check(
        layer="new-root",
        what="write and read in the workspace (works)",
        program="read_back('/home/user/bait.txt')",
        expected=("x",),
    ),
    Check(
        layer="no-capabilities",
        what="read its capabilities",
        program="status('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb').strip('0 ')",
        expected=("",),
    ),
    Check(
        layer="no-new-privileges",
        what="read the flag",
        program="status('NoNewPrivs')",
        expected=("1",),
    ),
    Check(
        layer="seccomp",
        what="read the mode",
        program="status('Seccomp')",
        expected=("2",),
    ),
    Check(
        layer="seccomp",
        what="io_uring_setup",
        program="attempt(call, 'io_uring_setup', 1, ctypes.create_string_buffer(120))",
        expected=("ENOSYS",),
    ),
    Check(
        layer="seccomp",
        what="ptrace",
        program="attempt(libc, 'ptrace', 16, 1, 0, 0)",
        expected=_NO_RIGHT,
    ),
    Check(
        layer="seccomp",
        what="take a descriptor of another process",
        program="attempt(call, 'pidfd_getfd', os.pidfd_open(1), 0, 0)",
        expected=_NO_RIGHT,
    ),
    Check(
        layer="landlock",
        what="make a device file",
        # Without Landlock the answer is EPERM, from a check of capabilities that comes later.
        program="attempt(os.mknod, '/tmp/device', stat.S_IFCHR | 0o600, os.makedev(1, 3))",
        expected=("EACCES",),
    ),
    Check(
        layer="landlock",
        what="make a pipe file (works)",
        program="attempt(os.mkfifo, '/tmp/pipe')",
        expected=_DONE,
    ),
    Check(
        layer="clean-environment",
        what="read a variable of the host",
        program="str(VARIABLE in os.environ)",
        expected=("False",),
    ),
    Check(
        layer="closed-descriptors",
        what="find an open file of the host",
        program="str(FILE in descriptors() or len(descriptors()))",
        expected=("4", "5"),  # 0, 1, 2, the channel, and the listing itself
    ),
    Check(
        layer="no-core-dumps",
        what="read the limit",
        program="str(max(resource.getrlimit(resource.RLIMIT_CORE)))",
        expected=("0", "1"),  # 1 means none even where a program receives them (core(5))
    ),
)

MEMORY = "128MiB"
PROCESSES = 16
OPEN_FILES = 64
FILE_BYTES = "1MiB"
# These run in a second sandbox, with narrow limits: MEMORY and so on.
CHECKS_OF_LIMITS = (
    Check(
        layer="rlimits",
        what="open too many files",
        program="open_until_refused(200)",
        expected=("EMFILE",),
    ),
    Check(
        layer="rlimits",
        what="write too large a file",
        program="attempt(lambda: open('/tmp/large', 'wb').write(bytes(2 << 20)))",
        expected=("EFBIG",),
    ),
    Check(
        layer="rlimits",
        what="start too many processes",
        program="fork_until_refused(200)",
        expected=("EAGAIN",),
    ),
    Check(
        layer="rlimits",
        what="start one (works)",
        program="fork_until_refused(1)",
        expected=_DONE,
    ),
)
CHECK_OF_MEMORY = Check(
    layer="memory",
    what="use too much memory in several processes",
    program="fill_memory(4, 64 << 20)",
    expected=("killed", "out_of_memory"),
)
