"""The interpreter of a process sandbox: what a process can give up by itself, then the model's code.

Theory of operation
-------------------
Forked from the supervisor, which has a clean environment, nothing of the host in its memory, and
few descriptors.  Leads a session and process group of its own, so that it and what it starts can be
signalled as a whole.  Descriptors: 0 is empty, 1 and 2 are pipes, 3 is the channel.

It keeps the rights of the host's user.  Every limit here is one that a process puts on itself and
its children, each on its own; what cannot be put on is an error that the host is told.
"""

from __future__ import annotations

import errno
import importlib
import math
import os
import resource
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from protocell_guest import wire
from protocell_guest.guest import loop, shells, signals
from protocell_guest.guest.interrupts import Interrupts
from protocell_guest.process_runner.folder import Folder

# A core_pattern that is a pipe gets cores in spite of the limit 0, but not with 1 (fs/coredump.c).
_NO_CORE = 1 if sys.platform == "linux" else 0
# Address space is not memory: threads reserve stacks and arenas, libraries map files.
_ADDRESS_SPACE_SLACK = 4 << 30
_MOST_DESCRIPTORS = 65_536


class StepError(Exception):
    """Something could not be put on; no model code has run."""

    def __init__(self, step: str, error: Exception) -> None:
        super().__init__(step, error)
        self.step = step
        self.errno = getattr(error, "errno", None) or 0
        self.detail = str(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the host says about the interpreters of one sandbox."""

    limits: dict[str, Any]
    envs: dict[str, str]
    deny_imports: list[str] | None
    allow_imports: list[str] | None
    preload: list[str]
    shell: shells.Kind


def run(task: Task, place: Folder, channel: int, stdout: int, stderr: int) -> None:
    """Be the interpreter of a sandbox, until the host is done with it.

    The caller has closed what leads to the host.  Failures are told to the host.
    """
    failure = None
    try:
        _begin(task, place)
    except StepError as error:
        failure = error
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0, inheritable=True)
    loop.redirect_output(stdout, stderr)
    loop.prepare_streams()
    connection = loop.move_channel(socket.socket(fileno=channel))
    os.closerange(connection.fileno() + 1, _descriptor_limit())
    try:
        if failure is not None:
            raise failure
        enforced = _settle(task)
    except StepError as error:
        message = {"step": error.step, "errno": error.errno, "detail": error.detail}
        connection.sendall(wire.encode({"event": "failed", **message}))
        return
    interrupts = Interrupts()
    interpreter = shells.make(
        task.shell,
        deny_imports=task.deny_imports,
        allow_imports=task.allow_imports,
        workspace=place.home,
        before=lambda: allow_processor_time(task.limits["cpu_seconds"]),
    )
    connection.sendall(wire.encode({"event": "ready", "enforced": enforced}))
    doubles = loop.Doubles(_no_copy, _nothing, _nothing)
    loop.Server(connection, interpreter, interrupts, doubles).serve(idle=_nothing)


def _no_copy() -> int:
    """The host does not ask for it here: what is copied could not be ended by itself."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _nothing() -> None:
    """There is nothing to warm up: nothing is shared with a template."""


def _begin(task: Task, place: Folder) -> None:
    """What needs the supervisor's descriptors, or comes before the code's own output."""
    signals.clean_slate()
    os.setsid()
    os.umask(0o077)
    try:
        place.enter()
    except OSError as error:
        raise StepError("temporary-directory", error) from error
    place.close()
    os.environ.update(task.envs)
    for name in task.preload:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise StepError("preload", error) from error


def _descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if 0 < soft < _MOST_DESCRIPTORS else _MOST_DESCRIPTORS


def _settle(task: Task) -> list[str]:
    """Set the limits, and read back from the system what is on; returns the layers."""
    try:
        limit(task.limits)
    except (OSError, ValueError) as error:
        raise StepError("rlimits", error) from error
    status = os.stat(".")
    facts = {
        "isolated-mode": bool(sys.flags.isolated),
        "session": os.getsid(0) == os.getpgid(0) == os.getpid(),
        "temporary-directory": (status.st_uid, stat.S_IMODE(status.st_mode))
        == (os.geteuid(), stat.S_IRWXU),
    }
    for layer, holds in facts.items():
        if not holds:
            raise StepError(layer, OSError(0, "is not on although it was set"))
    return ["clean-environment", "rlimits", *facts]  # the first by execve(2), from a list


def limit(limits: dict[str, Any]) -> None:
    """Set the limits that hold for a process and each of its children alone.

    Raises:
        OSError, ValueError: this system does not take one of them.
    """
    memory = limits["memory_bytes"] + _data_in_use()  # what is preloaded is not the code's
    _set(resource.RLIMIT_CORE, _NO_CORE)
    _set(resource.RLIMIT_NOFILE, limits["open_files"])
    _set(resource.RLIMIT_FSIZE, limits["file_bytes"])
    _set(resource.RLIMIT_DATA, memory)
    with suppress(OSError, ValueError):  # macOS refuses this one
        _set(resource.RLIMIT_AS, memory + _ADDRESS_SPACE_SLACK)


def allow_processor_time(seconds: float) -> None:
    """Let this process use so much more, and each child that it starts: SIGXCPU ends it then."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    total = math.ceil(used.ru_utime + used.ru_stime + seconds)
    with suppress(OSError, ValueError):  # the code took the right to do so from itself
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        if hard != resource.RLIM_INFINITY:
            total = min(total, hard)
        resource.setrlimit(resource.RLIMIT_CPU, (total, hard))


def _set(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (bound, bound))


def _data_in_use() -> int:
    """Bytes that count against RLIMIT_DATA now (VmData, proc_pid_status(5)); 0 if not told."""
    with suppress(OSError), open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"VmData:"):
                return int(line.split()[1]) * 1024
    return 0
