"""Things of this machine that code in a sandbox must not reach: made by the doctor, harmless if it fails."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "PROTOCELL_DOCTOR_BAIT"
# It removes the folder as well: nobody else is left to do so where the doctor was killed.
_WAITS = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[2], ignore_errors=True)"
_MARK = "protocell-doctor-bait"
NAMESPACES = ("user", "pid", "mnt", "net", "ipc", "uts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bait:
    """A file, an open descriptor, a variable, a listening socket, a process; all say ``secret``."""

    secret: str
    file: Path
    descriptor: int
    listener: socket.socket
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        """Where the socket listens, on 127.0.0.1."""
        number: int = self.listener.getsockname()[1]
        return number

    def facts(self) -> dict[str, object]:
        """What the code inside is told, so that it knows where to look."""
        return {
            "FILE": str(self.file),
            "FOLDER": str(self.file.parent),
            "PORT": self.port,
            "PID": self.process.pid,
            "MARK": _MARK,
            "VARIABLE": VARIABLE,
            "NAMESPACES": {
                name: os.readlink(f"/proc/self/ns/{name}")
                for name in NAMESPACES
                if os.path.exists(f"/proc/self/ns/{name}")
            },
        }

    def was_visited(self) -> bool:
        """Whether somebody has connected to the socket."""
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None


@contextlib.contextmanager
def laid_out() -> Iterator[Bait]:
    """Make all of it, and remove it afterwards."""
    secret = secrets.token_hex(16)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="protocell-doctor-"))
        file = Path(folder, "bait.txt")
        file.write_text(secret, encoding="ascii")
        descriptor = os.open(file, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        os.set_inheritable(descriptor, True)  # noqa: FBT003  (it takes no keyword)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(0)
        waits = [sys.executable, "-I", "-c", _WAITS, _MARK, folder]
        process = stack.enter_context(subprocess.Popen(waits, stdin=subprocess.PIPE))
        os.environ[VARIABLE] = secret
        stack.callback(os.environ.pop, VARIABLE, None)
        yield Bait(
            secret=secret, file=file, descriptor=descriptor, listener=listener, process=process
        )
