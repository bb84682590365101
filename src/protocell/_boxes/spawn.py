"""Starts the process of a zygote, or leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from protocell._boxes.box import OUT_OF_DESCRIPTORS, out_of_descriptors
from protocell._boxes.remedies import exhausted
from protocell.errors import SetupError
from protocell_guest import wire

# Said first of all on standard error, by whatever runs Python.
STARTED = "protocell: this is Python"
_BOOT = os.path.join(os.path.dirname(wire.__file__), "boot.py")
# No thread may live in a process that forks: the number libraries know how to be told.
CLEAN_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/home/user",
    "USER": "user",
    "LOGNAME": "user",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    # There is no network, so pip need not wait longer and longer between five tries: with one, and without any
    # wait, it still says why it fails.
    "PIP_RETRIES": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
# Symbols are bound once, in the zygote: bound late, each would cost every fork some pages. It drops this again.
_ZYGOTES_OWN = {"LD_BIND_NOW": "1"}


@dataclass(frozen=True, slots=True)
class Spawned:
    """A zygote's process; all descriptors are the caller's."""

    process: subprocess.Popen[bytes]
    requests: socket.socket
    errors: int  # what it says on standard error
    end: int  # its pidfd


def spawn(python: str, preload: Sequence[str], shell: str) -> Spawned:
    """Start an interpreter and tell it to become a zygote.

    Raises:
        SetupError: it cannot be started.
    """
    try:
        return _spawn(python, preload, shell)
    except OSError as error:
        if error.errno in OUT_OF_DESCRIPTORS:
            raise out_of_descriptors() from error
        remedy = exhausted(error.errno) or "set Environment(python=…)"
        message = f"cannot start the interpreter {python!r}: {error}; {remedy}"
        raise SetupError(message, step="zygote", errno=error.errno) from error


def _spawn(python: str, preload: Sequence[str], shell: str) -> Spawned:
    with ExitStack() as far, ExitStack() as near:
        requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.enter_context(requests)
        far.enter_context(theirs)
        requests.setblocking(False)  # noqa: FBT003  (the socket's own signature)
        errors, errors_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        near.callback(os.close, errors)
        far.callback(os.close, errors_writer)
        # Popen of Python 3.11.2 leaves pipes open that it made when it could not make all it needs.
        program, program_writer = os.pipe2(os.O_CLOEXEC)
        far.callback(os.close, program)
        writer = near.enter_context(open(program_writer, "wb"))
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        far.callback(os.close, null)
        process = subprocess.Popen(
            [python, "-I", "-"],
            stdin=program,
            stdout=null,
            stderr=errors_writer,
            pass_fds=[theirs.fileno()],
            env=CLEAN_ENVIRONMENT | _ZYGOTES_OWN,
            cwd="/",
            start_new_session=True,
        )
        near.enter_context(process)
        near.callback(process.kill)
        end = os.pidfd_open(process.pid)
        near.callback(os.close, end)
        text = _program((theirs.fileno(), os.getpid(), list(preload), shell))
        far.close()  # or an interpreter that has ended would not be noticed
        with suppress(BrokenPipeError), writer:  # then whoever waits for its greeting is told why
            writer.write(text)
        near.pop_all()
        return Spawned(process, requests, errors, end)


def _program(arguments: tuple[int, int, list[str], str]) -> bytes:
    """What to run, said by standard input: a command line can be read from inside a sandbox."""
    boot = Path(_BOOT).read_text(encoding="utf-8")
    mark = f"{STARTED}\n".encode()
    return f"import os\nos.write(2, {mark!r})\n{boot}\nboot({_BOOT!r}, {arguments!r})\n".encode()
