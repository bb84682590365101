"""What one sandbox leaves for the next: nothing, of any kind; and within one sandbox what a session needs."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

import protocell
from protocell import Environment, Policy, Sandbox
from tests.escape.conftest import Inside, program, told
from tests.kernel.children import eventually
from tests.leftovers import picture


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Two programs: one leaves something (and tells that it could), one looks for it."""

    leave: str
    look: str
    left: Any = True
    """What the first one tells."""
    nothing: Any
    """What the second one tells where there is nothing."""
    something: Any
    """What it tells in the sandbox in which the first one ran."""


def in_the_next(trace: Trace) -> Any:
    """Leave it in one sandbox, look for it in another one of the same zygote."""
    assert told(protocell.run_code(program(trace.leave))) == trace.left
    return told(protocell.run_code(program(trace.look)))


def beside(trace: Trace) -> Any:
    """Leave it in a sandbox that lives on, look for it in another."""
    with Sandbox() as one, Sandbox() as other:
        assert told(one.run_code(program(trace.leave))) == trace.left
        return told(other.run_code(program(trace.look)))


def in_the_same(trace: Trace) -> Any:
    """Leave it and look for it in one sandbox."""
    with Sandbox() as sandbox:
        assert told(sandbox.run_code(program(trace.leave))) == trace.left
        return told(sandbox.run_code(program(trace.look)))


FILES = {
    "files": Trace(
        leave="""
        places = ["/home/user/left", "/tmp/left", "/dev/shm/left", "/home/user/.config/left", "/tmp/.hidden/left"]
        for place in places:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            open(place, "w").write("left")
        tell(all(map(os.path.exists, places)))
        """,
        look="""
        tell([sorted(os.listdir("/home/user")), os.listdir("/dev/shm"), os.path.exists("/tmp/left"),
              os.path.exists("/tmp/.hidden")])
        """,
        nothing=[[], [], False, False],
        something=[[".config", "left"], ["left"], True, True],
    ),
    "locks": Trace(
        leave="""
        import fcntl
        held = open("/tmp/lock", "w")
        fcntl.flock(held, fcntl.LOCK_EX)
        tell(True)
        """,
        look="""
        import fcntl
        def lock():
            fcntl.flock(open("/tmp/lock", "w"), fcntl.LOCK_EX | fcntl.LOCK_NB)
            return "free"
        tell(attempt(lock))
        """,
        nothing="free",
        something="EAGAIN",
    ),
    "import path": Trace(
        leave="""
        import site
        open("/home/user/planted.py", "w").write("value = 1")
        sys.path.insert(0, "/home/user")
        os.environ["PYTHONPATH"] = "/home/user"
        import planted
        tell(planted.value == 1)
        """,
        look="""
        import importlib
        try:
            tell(importlib.import_module("planted").value)
        except ImportError:
            tell("no such module")
        """,
        nothing="no such module",
        something=1,
    ),
}

IPC = {
    "shared memory": Trace(
        leave="""
        segment = call("shmget", 0x5EC2E7, 4096, 0o1666)
        libc.shmat.restype = ctypes.c_void_p
        address = libc.shmat(segment, None, 0)
        ctypes.memmove(address, b"left", 4)
        tell(segment >= 0 and address not in (None, -1))
        """,
        look="""
        tell([attempt(call, "shmget", 0x5EC2E7, 0, 0), len(open("/proc/sysvipc/shm").readlines()) - 1])
        """,
        nothing=["ENOENT", 0],
        something=[0, 1],
    ),
    "semaphores": Trace(
        leave='tell(call("semget", 0x5EC2E7, 1, 0o1666) >= 0)',
        look="""
        tell([attempt(call, "semget", 0x5EC2E7, 0, 0), len(open("/proc/sysvipc/sem").readlines()) - 1])
        """,
        nothing=["ENOENT", 0],
        something=[0, 1],
    ),
    "message queues": Trace(
        leave="""
        queue = call("msgget", 0x5EC2E7, 0o1666)
        tell(call("msgsnd", queue, b"\\1\\0\\0\\0\\0\\0\\0\\0left", 4, 0) == 0)
        """,
        look="""
        tell([attempt(call, "msgget", 0x5EC2E7, 0), len(open("/proc/sysvipc/msg").readlines()) - 1])
        """,
        nothing=["ENOENT", 0],
        something=[0, 1],
    ),
    "named semaphores and memory": Trace(
        leave="""
        from multiprocessing import shared_memory, resource_tracker
        resource_tracker.register = lambda *arguments: None
        block = shared_memory.SharedMemory("left", create=True, size=16)
        block.buf[:4] = b"left"
        tell(bytes(block.buf[:4]) == b"left")
        """,
        look="""
        from multiprocessing import shared_memory, resource_tracker
        resource_tracker.register = lambda *arguments: None
        def look():
            block = shared_memory.SharedMemory("left")
            return bytes(block.buf[:4]).decode()
        tell(attempt(look))
        """,
        nothing="ENOENT",
        something="left",
    ),
    "abstract names": Trace(
        leave="""
        import socket
        left = socket.socket(socket.AF_UNIX)
        left.bind("\\0left"); left.listen(1)
        tell(True)
        """,
        look="""
        import socket
        tell([attempt(socket.socket(socket.AF_UNIX).connect, "\\0left"),
              "@left" in open("/proc/net/unix").read()])
        """,
        nothing=["ECONNREFUSED", False],
        something=[None, True],
    ),
}

PROCESSES = {
    "processes": Trace(
        leave="""
        import subprocess
        child = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
        tell(child.poll() is None)
        """,
        look='tell(len([name for name in os.listdir("/proc") if name.isdigit()]))',
        nothing=2,
        something=3,
    ),
    "listeners": Trace(
        leave="""
        import socket
        left = [socket.create_server(("127.0.0.1", 45679)),
                socket.create_server(("::1", 45679), family=socket.AF_INET6)]
        tell(len(left) == 2)
        """,
        look="""
        import socket
        def connect(address):
            socket.create_connection(address, timeout=5).close()
            return "reached"
        tell([attempt(connect, (host, 45679)) for host in ("127.0.0.1", "::1")])
        """,
        nothing=["ECONNREFUSED"] * 2,
        something=["reached"] * 2,
    ),
    "timers": Trace(
        leave="""
        import signal
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 60)
        tell(signal.getitimer(signal.ITIMER_REAL)[0] > 0)
        """,
        look="""
        import signal
        tell([signal.getitimer(signal.ITIMER_REAL)[0] > 0, signal.getsignal(signal.SIGALRM) == signal.SIG_IGN])
        """,
        nothing=[False, False],
        something=[True, True],
    ),
}

INTERPRETER = {
    "variables": Trace(
        leave="left = 1; tell(True)",
        look='tell("left" in globals())',
        nothing=False,
        something=True,
    ),
    "patches": Trace(
        leave="""
        import builtins, random
        builtins.left = 1
        json.dumps_before, json.left = json.dumps, 1
        os.getcwd = lambda: "/patched"
        random.random = lambda: 0.5
        sys.stdout.left = 1
        tell(True)
        """,
        look="""
        import builtins, random
        tell([hasattr(builtins, "left"), hasattr(json, "left"), os.getcwd() == "/patched", hasattr(sys.stdout, "left"),
              random.random() == 0.5])
        """,
        nothing=[False] * 5,
        something=[True] * 5,
    ),
    "modules": Trace(
        leave="""
        import types
        sys.modules["left"] = types.ModuleType("left")
        sys.path.append("/tmp/left"); sys.meta_path.insert(0, type("Left", (), {"find_spec": lambda *a: None})())
        tell(True)
        """,
        look="""
        tell(["left" in sys.modules, "/tmp/left" in sys.path, any(type(f).__name__ == "Left" for f in sys.meta_path)])
        """,
        nothing=[False] * 3,
        something=[True] * 3,
    ),
    "environment": Trace(
        leave="""
        import locale, time
        os.environ["LEFT"] = "1"; os.environ["PATH"] = "/tmp"; os.environ["TZ"] = "Asia/Tokyo"; time.tzset()
        tell(True)
        """,
        look="""
        import time
        tell(["LEFT" in os.environ, os.environ["PATH"] == "/tmp", time.timezone])
        """,
        nothing=[False, False, 0],
        something=[True, True, -32400],
    ),
    "process state": Trace(
        leave="""
        import resource
        os.chdir("/tmp"); os.umask(0o777); os.nice(3)
        resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))
        sys.setrecursionlimit(777)
        libc.prctl(15, b"left")
        tell(True)
        """,
        look="""
        import resource
        mask = os.umask(0); os.umask(mask)
        tell([os.getcwd() == "/tmp", mask == 0o777, resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 99,
              sys.getrecursionlimit() == 777, open("/proc/self/comm").read() == "left\\n"])
        """,
        nothing=[False] * 5,
        something=[True] * 5,
    ),
    # A page of the template is shared by all until it is written; then the writer has its own.
    "pages of the template": Trace(
        leave="""
        import math
        ctypes.c_double.from_address(id(math.pi) + object.__basicsize__).value = 3.0
        tell(math.pi == 3.0)
        """,
        look="import math; tell(math.pi == 3.0)",
        nothing=False,
        something=True,
    ),
    "hooks": Trace(
        leave="""
        import atexit, threading
        sys.addaudithook(lambda event, arguments: open_hooks.append(event) if event == "left" else None)
        open_hooks = sys.open_hooks = []
        sys.excepthook = sys.displayhook = left = lambda *arguments: None
        threading.excepthook = left
        tell(True)
        """,
        look="""
        import threading
        sys.audit("left")
        tell([bool(getattr(sys, "open_hooks", [])), sys.excepthook is not sys.__excepthook__])
        """,
        nothing=[False, False],
        something=[True, True],
    ),
}


def cases(traces: dict[str, Trace]) -> Any:
    """Parametrise a test over these."""
    return pytest.mark.parametrize("trace", traces.values(), ids=list(traces))


@pytest.mark.claim("between-runs.files")
@cases(FILES)
def test_files_and_locks_are_gone_in_the_next_sandbox(trace: Trace) -> None:
    assert in_the_next(trace) == trace.nothing
    assert beside(trace) == trace.nothing


@pytest.mark.twin("between-runs.files")
@cases(FILES)
@pytest.mark.twin("files.no-persistence")
@pytest.mark.twin("between-runs.nothing-on-the-host")
def test_files_and_locks_stay_within_a_sandbox(trace: Trace) -> None:
    assert in_the_same(trace) == trace.something


@pytest.mark.claim("between-runs.ipc")
@cases(IPC)
def test_ipc_objects_are_gone_in_the_next_sandbox(trace: Trace) -> None:
    assert in_the_next(trace) == trace.nothing
    assert beside(trace) == trace.nothing


@pytest.mark.twin("between-runs.ipc")
@cases(IPC)
@pytest.mark.twin("surface.own-sysv-ipc")
def test_ipc_objects_stay_within_a_sandbox(trace: Trace) -> None:
    assert in_the_same(trace) == trace.something


@pytest.mark.claim("between-runs.keys")
def test_keys_cannot_be_left_or_read(inside: Inside) -> None:
    found = inside(
        """
        ADD, READ, SEARCH, GET, JOIN, LINK = "add_key", 11, 10, 0, 1, 8
        user, session, process = -4, -3, -2
        tell([attempt(call, "add_key", b"user\\0", b"left\\0", b"secret", 6, user),
              attempt(call, "add_key", b"user\\0", b"left\\0", b"secret", 6, session),
              attempt(call, "request_key", b"user\\0", b"left\\0", None, user),
              attempt(call, "keyctl", GET, user, 1), attempt(call, "keyctl", JOIN, None),
              attempt(call, "keyctl", SEARCH, user, b"user\\0", b"left\\0", 0),
              attempt(call, "keyctl", LINK, user, session), attempt(call, "keyctl", READ, 1, None, 0)])
        """
    )

    assert found == ["ENOSYS"] * 8


@pytest.mark.claim("between-runs.keys")
def test_posix_message_queues_take_nothing_from_one_sandbox_to_the_next(inside: Inside) -> None:
    code = """
        O_CREAT, O_RDWR = 0o100, 2
        tell([attempt(call, "mq_open", b"left\\0", O_RDWR, 0, None),
              attempt(call, "mq_open", b"left\\0", O_CREAT | O_RDWR, 0o666, None), os.path.exists("/dev/mqueue")])
        """
    first, second = inside(code), inside(code)

    # RLIMIT_MSGQUEUE is 0, so none can be made at all.
    assert first == second == ["ENOENT", "EMFILE", False]


@pytest.mark.twin("between-runs.keys")
def test_secrets_can_be_kept_in_a_memory_file_instead(inside: Inside) -> None:
    assert (
        inside(
            "f = os.open('/dev/shm', os.O_TMPFILE | os.O_RDWR); os.write(f, b'x'); tell(os.pread(f, 1, 0).decode())"
        )
        == "x"
    )


@pytest.mark.claim("between-runs.processes")
@cases(PROCESSES)
def test_processes_and_listeners_are_gone_in_the_next_sandbox(trace: Trace) -> None:
    assert in_the_next(trace) == trace.nothing
    assert beside(trace) == trace.nothing


@pytest.mark.twin("between-runs.processes")
@cases(PROCESSES)
def test_processes_and_listeners_stay_within_a_sandbox(trace: Trace) -> None:
    assert in_the_same(trace) == trace.something


@pytest.mark.claim("between-runs.interpreter")
@cases(INTERPRETER)
def test_the_state_of_the_interpreter_is_gone_in_the_next_sandbox(trace: Trace) -> None:
    assert in_the_next(trace) == trace.nothing
    assert beside(trace) == trace.nothing


@pytest.mark.twin("between-runs.interpreter")
@cases(INTERPRETER)
def test_the_state_of_the_interpreter_stays_within_a_sandbox(trace: Trace) -> None:
    assert in_the_same(trace) == trace.something


@pytest.mark.claim("between-runs.interpreter")
def test_what_a_crashed_context_patched_is_not_in_the_next_one_of_its_sandbox() -> None:
    with Sandbox() as sandbox:
        leave = "import os, sys, json\njson.left = sys.left = left = 1\nos.environ['LEFT'] = '1'\nos._exit(1)"
        assert sandbox.run_code(leave).status != "ok"
        look = "import json, os, sys; [hasattr(json, 'left'), hasattr(sys, 'left'), 'left' in globals(), "
        look += "'LEFT' in os.environ]"

        assert sandbox.run_code(look).text == "[False, False, False, False]"


@pytest.mark.claim("between-runs.random-numbers")
def test_random_numbers_differ_from_run_to_run_and_between_sandboxes_kept_ready() -> None:
    draw = program(
        "import random, uuid, ssl, tempfile\n"
        "tell([random.random(), str(uuid.uuid4()), ssl.RAND_bytes(8).hex(), os.urandom(8).hex(), "
        "next(tempfile._get_candidate_names()), id(object()) and random.getrandbits(64)])"
    )
    policy = Policy(environment=Environment(ready=3))
    numbers = [told(protocell.run_code(draw, policy=policy)) for _ in range(6)]

    assert len({json.dumps(number) for drawn in numbers for number in drawn}) == 6 * 6


@pytest.mark.twin("between-runs.random-numbers")
def test_a_generator_that_was_seeded_goes_on_within_a_sandbox() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code("import random; random.seed(7); random.random()")
        second = sandbox.run_code("random.random()").text
        again = sandbox.run_code("random.seed(7); random.random(); random.random()").text

    assert second == again


@pytest.mark.claim("between-runs.nothing-on-the-host")
def test_a_run_that_leaves_all_it_can_leaves_nothing_on_the_host() -> None:
    protocell.run_code("1", policy=Policy(environment=Environment(ready=0)))
    before = picture()
    policy = Policy(environment=Environment(ready=0))
    for traces in (FILES, IPC, PROCESSES):
        for trace in traces.values():
            assert told(protocell.run_code(program(trace.leave), policy=policy)) == trace.left

    assert eventually(lambda: picture() <= before)
