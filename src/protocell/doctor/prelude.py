"""What the checks of the doctor call, as it is run in the sandbox before them: text, because it never runs here."""

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
    """A number that a process in here has too says nothing about the one outside."""
    try:
        with open(f"/proc/{PID}/cmdline", "rb") as file:
            command = file.read()
    except OSError:
        command = b""
    if command and MARK.encode() not in command:
        return "ESRCH"
    return attempt(os.kill, PID, 0)

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
