"""A warm ipykernel that jupyter_client drives: what a notebook, and most code interpreters, run their code by.

It is driven in the fastest way that jupyter_client has: over unix sockets, messages taken one by one, history off as
in our contexts. Its own ``execute_interactive`` takes longer for a call, and its ``wait_for_ready`` for the start.
"""

from __future__ import annotations

import importlib.util
import os
import queue
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rivals import Program, WrongAnswerError

# Runs until it is interrupted, and says that it does.
ENDLESS = "print('on', flush=True)\nwhile True:\n    pass\n"
_PATIENCE_SECONDS = 60.0
_SUBSCRIPTION_SECONDS = 0.02


def why_no_kernel() -> str | None:
    """What stands in the way of measuring ipykernel here; None if nothing does."""
    missing = [
        name for name in ("ipykernel", "jupyter_client") if importlib.util.find_spec(name) is None
    ]
    if not missing:
        return None
    return (
        f"Not installed here: {', '.join(missing)}. So ipykernel has no column, and aims that are measured by it are "
        "not judged (`make bench` installs what it needs)."
    )


def ticking(count: int) -> str:
    """A program that prints what its clock says, line by line, with a pause after each.

    CLOCK_MONOTONIC is one for the whole machine: there is no time namespace here (time_namespaces(7)).
    """
    tick = "    print(time.monotonic_ns(), flush=True)\n    time.sleep(0.005)\n"
    return f"import time\nfor _ in range({count}):\n{tick}"


def delays(text: str, now: int) -> Iterator[float]:
    """Milliseconds from each tick in a piece of output to its arrival."""
    for tick in text.split():
        yield (now - int(tick)) / 1e6


class Kernel:
    """One running kernel; nothing is left of it after ``with``."""

    def __init__(self, folder: Path) -> None:
        from jupyter_client.manager import KernelManager  # noqa: PLC0415  (may not be there)

        own = tempfile.mkdtemp(prefix="kernel-", dir=folder)
        self._manager = KernelManager(
            kernel_name="python3",
            transport="ipc",
            ip=f"{own}/socket",
            connection_file=f"{own}/connection.json",
        )
        # So that neither the user's settings nor the user's files are touched.
        places = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")
        self._manager.start_kernel(
            env={**os.environ, **dict.fromkeys(places, own)},
            extra_arguments=["--HistoryManager.enabled=False"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._client = self._manager.client()

    def __enter__(self) -> Self:
        self._client.start_channels()
        try:
            self._subscribe()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def _subscribe(self) -> None:
        """Until what it publishes comes here: what was published before is lost."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._client.kernel_info()
            _within(self._client.get_shell_msg, _PATIENCE_SECONDS)
            try:
                self._client.get_iopub_msg(timeout=_SUBSCRIPTION_SECONDS)
            except queue.Empty:
                continue
            return
        raise WrongAnswerError("the ipykernel does not publish anything")

    # -- calls ------------------------------------------------------------------------------------

    def call(self, program: Program) -> float:
        """Milliseconds of a call, until its output and its reply are here."""
        started = time.perf_counter()
        said = "".join(text for text, _ in self._run(program.code))
        taken = (time.perf_counter() - started) * 1000
        if said != program.output:
            raise WrongAnswerError(f"ipykernel: {said!r}")
        return taken

    def interrupt(self, program: Program) -> float:
        """Milliseconds from the interrupt of code that runs until the next call has been answered."""
        started = 0.0
        for text, _ in self._run(ENDLESS):
            if text == "on\n":
                started = time.perf_counter()
                self._manager.interrupt_kernel()
        self.call(program)
        return (time.perf_counter() - started) * 1000

    def delays(self, count: int) -> list[float]:
        """Milliseconds from each of so many prints to the arrival of its text."""
        return [delay for text, now in self._run(ticking(count)) for delay in delays(text, now)]

    def _run(self, code: str) -> Iterator[tuple[str, int]]:
        """What it prints and shows, and when that was here (nanoseconds)."""
        request = self._client.execute(code)
        while True:
            message = _within(self._client.get_iopub_msg, _PATIENCE_SECONDS)
            now = time.monotonic_ns()
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                yield content["text"], now
            elif message["msg_type"] == "execute_result":
                yield content["data"]["text/plain"], now
            elif content.get("execution_state") == "idle":
                break
        self._await_reply(request)

    def _await_reply(self, request: str) -> None:
        while True:
            reply = _within(self._client.get_shell_msg, _PATIENCE_SECONDS)
            if reply["parent_header"].get("msg_id") == request:
                return


def open_kernel(folder: Path, program: Program) -> float:
    """Milliseconds from the start of a kernel to its first result."""
    started = time.perf_counter()
    with Kernel(folder) as kernel:
        kernel.call(program)
        return (time.perf_counter() - started) * 1000


def _within(get: Callable[..., Any], seconds: float) -> Any:
    try:
        return get(timeout=seconds)
    except queue.Empty:
        raise WrongAnswerError(f"the ipykernel did not answer in {seconds:g} s") from None
