"""What code inside tries, layer by layer, and what it must see: a table of small programs.

Each program is an expression, evaluated in a sandbox after ``PRELUDE``, whose value must be one of
the texts in ``expected``.  Beside what must fail stands what must work, or a sandbox in which
nothing works would look safe.
"""

from __future__ import annotations

from dataclasses import dataclass

PRELUDE = '''
import ctypes, errno, os, resource, select, socket, stat, time

_libc = ctypes.CDLL(None, use_errno=True)
_NUMBERS = {"io_uring_setup": 425, "pidfd_getfd": 438}

def attempt(function, *arguments, **keywords):
    """What came of it: "done", or the name of the errno."""
    try:
        function(*arguments, **keywords)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "done"

def libc(name, *arguments):
    ctypes.set_errno(0)
    if getattr(_libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)

def call(name, *arguments):
    libc("syscall", _NUMBERS[name], *arguments)

def status(*names):
    """Lines of /proc/self/status, without blanks between."""
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return " ".join(lines[name].strip() for name in names)

def touch(path):
    with open(path, "w") as file:
        file.write("x")

def read_back(path):
    touch(path)
    return open(path).read()

def connect(address):
    with socket.socket() as one:
        one.settimeout(5)
        one.connect(address)

def talk_to_itself():
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect(server.getsockname())

def neighbours():
    return {int(name) for name in os.listdir("/proc") if name.isdigit()} - {1, os.getpid()}

def signal_host():
    """A number that a process of ours has too says nothing about the one outside."""
    taken = PID in neighbours() | {1, os.getpid()}
    return "ESRCH" if taken else attempt(os.kill, PID, 0)

def descriptors():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink("/proc/self/fd/" + name))
        except OSError:
            pass
    return found

def until_refused(function, most):
    """What ends doing it again and again."""
    for _ in range(most):
        result = attempt(function)
        if result != "done":
            return result
    return "done"

def open_until_refused(most):
    files = []
    try:
        return until_refused(lambda: files.append(os.dup(0)), most)
    finally:
        for file in files:
            os.close(file)

def fork_until_refused(most):
    reader, writer = os.pipe()
    def one():
        if os.fork() == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    try:
        return until_refused(one, most)
    finally:
        os.close(writer)
        until_refused(os.wait, most)
        os.close(reader)

def fill_memory(children, size):
    """Each stays within the limit of one process, together they do not."""
    reader, writer = os.pipe()
    poll, handles = select.poll(), {}
    for _ in range(children):
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            block = b"x" * size
            os.read(reader, 1)
            os._exit(0)
        handle = os.pidfd_open(pid)
        handles[handle] = pid
        poll.register(handle, select.POLLIN)
    ended = poll.poll(10_000)
    codes = [os.waitpid(handles.pop(handle), 0)[1] for handle, _ in ended]
    os.close(writer)
    for pid in handles.values():
        os.waitpid(pid, 0)
    return "killed" if any(os.WIFSIGNALED(code) for code in codes) else "done"
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One attempt."""

    layer: str
    what: str
    program: str
    expected: tuple[str, ...]


def _separate(layer: str, kind: str) -> Check:
    program = f"str(os.readlink('/proc/self/ns/{kind}') != NAMESPACES['{kind}'])"
    return Check(layer=layer, what="be in one of its own (works)", program=program, expected=YES)


YES = ("True",)
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
        expected=YES,
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
