"""What escape tests share: programs run inside as an attacker would write them, and what the host sees meanwhile."""

import json
import re
import socket
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import protocell
from protocell import Execution, Policy
from protocell_guest.kernel import _libc, syscalls

Inside = Callable[..., Any]

# In front of every program: `attempt(call)` gives the value or the errno's name, `tell(value)` hands it to the test,
# `call("name", ...)` makes a system call by the number that it has on this machine.
_PRELUDE = """
import ctypes, errno, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)

def syscall(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def call(name, *arguments):
    if NUMBERS[name] is None:
        raise OSError(errno.ENOSYS, "not on this machine")
    return syscall(NUMBERS[name], *arguments)

def attempt(function, *arguments, **named):
    try:
        return function(*arguments, **named)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))

def tell(value):
    print("TOLD " + json.dumps(value), flush=True)
"""

_CALLED = re.compile(r"\bcall(?:, |\()\"(\w+)\"")


def told(execution: Execution) -> Any:
    """Return what the program told; fail with its error if it did not come so far."""
    for line in execution.logs.stdout:
        if line.startswith("TOLD "):
            return json.loads(line[5:])
    pytest.fail(
        f"the program told nothing: {execution.reason}\n{execution.error}\n{execution.logs.stderr}"
    )


def program(code: str) -> str:
    """Return the program with the prelude in front."""
    known = syscalls.numbers(_libc.machine())
    numbers = {name: known.get(name) for name in _CALLED.findall(code)}
    return f"NUMBERS = {numbers!r}\n{_PRELUDE}{textwrap.dedent(code)}"


@pytest.fixture
def inside() -> Inside:
    """Run a program in a sandbox of its own under the default policy and return what it told."""

    def run(code: str, policy: Policy | None = None, **options: Any) -> Any:
        execution = protocell.run_code(
            program(code), policy=policy, timeout=options.pop("timeout", 20), **options
        )
        return told(execution)

    return run


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen on the host's loopback; `accepted(listener)` tells whether anybody came."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        server.setblocking(False)  # noqa: FBT003
        yield server


def accepted(server: socket.socket) -> bool:
    """Return whether somebody has connected."""
    try:
        connection, _ = server.accept()
    except BlockingIOError:
        return False
    connection.close()
    return True
