"""A real ipykernel on sockets in a folder: what notebooks ran in before they came here, driven by jupyter_client.

Messages are read by hand and not by a KernelClient, which has threads, an event loop and a heartbeat of its own:
what they open in the midst of a test would be taken for something that the test has left behind.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import zmq
from jupyter_client.connect import write_connection_file
from jupyter_client.session import Session

Message = dict[str, Any]

START_SECONDS = 60.0
CELL_SECONDS = 60.0

# Between notebooks: nothing of the last one is left that a fresh kernel would not have.
_FRESH = """
def _fresh(shell):
    import gc, importlib, logging, os, shutil, sys
    home = os.environ["HOME"]
    os.chdir(home)
    for entry in os.scandir(home):
        shutil.rmtree(entry) if entry.is_dir() else os.unlink(entry)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(home):
            del sys.modules[name]
    importlib.invalidate_caches()
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
        sys.modules["matplotlib"].rcdefaults()
    if "pandas" in sys.modules:
        sys.modules["pandas"].reset_option("^display")
    if "numpy" in sys.modules:
        sys.modules["numpy"].set_printoptions(precision=8, suppress=False)
    for handler in list(logging.root.handlers):
        logging.root.removeHandler(handler)
    logging.root.setLevel(logging.WARNING)
    shell.reset(new_session=True)
    sys.last_value = sys.last_traceback = None
    gc.collect()
    gc.freeze()  # else each collection looks at all libraries once more, and there are four in a reset
_fresh(get_ipython())
"""


class RealKernel:
    """One kernel process, its messages, and its end with all that it started."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        file = str(folder / "kernel.json")
        # Sockets of the file system: names of folders and no port that could be another's.
        write_connection_file(
            file, transport="ipc", ip=str(folder / "k"), key=os.urandom(16).hex().encode()
        )
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ipykernel_launcher",
                "-f",
                file,
                "--HistoryManager.enabled=False",
            ],
            cwd=self.home,
            env=_variables(self.home, folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        connection = json.loads(Path(file).read_text())
        self._session = Session(key=connection["key"].encode())
        self._context = zmq.Context()
        self._shell = self._connected(
            zmq.DEALER, f"ipc://{connection['ip']}-{connection['shell_port']}"
        )
        self._broadcast = self._connected(
            zmq.SUB, f"ipc://{connection['ip']}-{connection['iopub_port']}"
        )
        self._broadcast.subscribe(b"")

    def _connected(self, kind: int, address: str) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.linger = 0
        socket.connect(address)
        return socket

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            # Till the broadcasts are heard as well: who subscribes late has missed those before.
            self._session.send(self._shell, "kernel_info_request", {})
            if self._broadcast.poll(200) and self._shell.poll(10_000):
                while self._shell.poll(0):
                    self._received(self._shell)
                return self
        self.__exit__()
        raise AssertionError(f"no kernel after {START_SECONDS:.0f} seconds")

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._context.destroy(linger=0)

    def begin(self) -> None:
        """Be as new, in a home without files."""
        reply, _ = self.wait(self.send(_FRESH, silent=True))
        assert reply["status"] == "ok", reply

    def send(self, code: str, *, silent: bool = False) -> str:
        """Ask for a cell to be run; the name of the request."""
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        request = self._session.send(self._shell, "execute_request", content)
        assert request is not None
        return str(request["header"]["msg_id"])

    def wait(self, request: str) -> tuple[Message, list[Message]]:
        """The reply's content, and what was broadcast until then, in order."""
        deadline = time.monotonic() + CELL_SECONDS
        heard: list[Message] = []
        while not (heard and _is_idle(heard[-1])):
            message = self._next(self._broadcast, deadline)
            if message["parent_header"].get("msg_id") == request:
                heard.append(message)
        while (reply := self._next(self._shell, deadline))["parent_header"]["msg_id"] != request:
            pass
        return reply["content"], heard

    def _next(self, socket: "zmq.Socket[bytes]", deadline: float) -> Message:
        while not socket.poll(200):
            has_ended = self._process.poll() is not None
            assert not has_ended or socket.poll(0), "the kernel has ended"
            if time.monotonic() > deadline:
                self._kill()  # so that the notebooks after this one do not wait as long
                raise AssertionError(f"no answer in {CELL_SECONDS:.0f} seconds")
        return self._received(socket)

    def _kill(self) -> None:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _received(self, socket: "zmq.Socket[bytes]") -> Message:
        _, message = self._session.recv(socket)
        assert message is not None
        return message


def _is_idle(message: Message) -> bool:
    return bool(message["msg_type"] == "status" and message["content"]["execution_state"] == "idle")


def _variables(home: Path, folder: Path) -> dict[str, str]:
    """As a sandbox has them, and those that a Jupyter server sets; no settings of whoever runs the test."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin:/usr/bin:/bin"]),
        "HOME": str(home),
        "USER": "user",
        "LOGNAME": "user",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "SHELL": "/bin/bash",
        "TMPDIR": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_RUNTIME_DIR": str(folder),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "JPY_PARENT_PID": str(os.getpid()),  # it ends with this process, however that ends
    }
