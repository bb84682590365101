"""What the caller's own functions and Ctrl-C do wrong while tools are called: it is told, and nothing stays behind."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from protocell import AsyncSandbox, Sandbox
from protocell._broker import cancelling
from protocell._broker.runtime import of_this_process
from protocell.tools import Call, CallNumber, Tools, Toolset
from tests.integration.running import fine
from tests.workspaces import no_descriptor_left

of_this_process()  # the one loop of the blocking face, which stays until the process ends
SERVER = Path(__file__).parent.parent / "tools" / "servers" / "mcp_new.py"


class TornError(Exception):
    """Raised by a callback."""


def tear(_call: CallNumber, _text: str, _done: float | None, _total: float | None) -> None:
    raise TornError


def of_functions() -> Toolset:
    async def tell(steps: int, call: Call) -> str:
        """Say how far it is."""
        for step in range(steps):
            call.progress("going on", step, steps)
        await asyncio.sleep(0)
        return "done"

    return Toolset.of(tell, name="remote")


def of_a_server() -> Toolset:
    return Toolset.mcp([sys.executable, str(SERVER), "stdio"], name="remote")


@pytest.mark.parametrize("make, call", [(of_functions, "tell(3)"), (of_a_server, "steps(3)")])
def test_an_exception_of_on_progress_comes_through_and_the_code_stops(make: Any, call: str):
    code = f"x = 1\ntry: remote.{call}\nexcept Exception: pass\nwhile True: pass"
    with make() as toolset, Sandbox(tools=Tools(toolset=toolset, on_progress=tear)) as sandbox:
        with pytest.raises(TornError):
            sandbox.run_code(code, timeout=30)
        after = fine(sandbox.run_code("x"))

    assert (after.text, after.state) == ("1", "kept")


@pytest.mark.parametrize("make, call", [(of_functions, "tell(3)"), (of_a_server, "steps(3)")])
def test_in_asyncio_an_exception_of_on_progress_comes_through_too(make: Any, call: str):
    async def main() -> str | None:
        tools = Tools(toolset=make(), on_progress=tear)
        async with tools.toolset, AsyncSandbox(tools=tools) as sandbox:
            with pytest.raises(TornError):
                await sandbox.run_code(f"x = 1\nremote.{call}", timeout=30)
            return (await sandbox.run_code("x")).text

    assert asyncio.run(main()) == "1"


def test_an_exception_of_on_progress_that_comes_with_the_end_is_not_lost():
    tools = Tools(toolset=of_functions(), on_progress=tear)
    with Sandbox(tools=tools) as sandbox:
        for _ in range(3):
            with pytest.raises(TornError):
                sandbox.run_code("remote.tell(1)", timeout=30)
        assert fine(sandbox.run_code("1 + 1")).text == "2"


class CtrlC:
    """Comes twice, each time while the ends of calls are waited for."""

    def __init__(self) -> None:
        self.left = 0

    def __call__(self, _number: int, frame: FrameType | None) -> None:
        names = set()
        while frame is not None:
            names.add((Path(frame.f_code.co_filename).name, frame.f_code.co_name))
            frame = frame.f_back
        if self.left and {("core.py", "_run"), ("patience.py", "wait")} <= names:
            self.left -= 1
            raise KeyboardInterrupt


@pytest.fixture
def ctrl_c() -> Iterator[CtrlC]:
    """Ctrl-C, tried every hundredth of a second."""
    made = CtrlC()
    before = signal.signal(signal.SIGALRM, made)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    yield made
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_second_ctrl_c_while_calls_are_ended_leaves_no_descriptor_open(
    monkeypatch: pytest.MonkeyPatch, ctrl_c: CtrlC
):
    monkeypatch.setattr(cancelling, "GIVE_UP_SECONDS", 60.0)
    may_end, has_ended = asyncio.Event(), threading.Event()

    async def stay() -> None:
        """Stay."""
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()
            has_ended.set()

    code = """
import threading
threading.Thread(target=stay, daemon=True).start()
for _ in range(20): here()
"""
    with Sandbox(tools=Toolset.of(stay, here)) as sandbox:
        fine(sandbox.run_code("here()"))
        with no_descriptor_left():
            ctrl_c.left = 2
            with pytest.raises(KeyboardInterrupt):
                sandbox.run_code(code)
            of_this_process().loop.call_soon_threadsafe(may_end.set)
            assert has_ended.wait(30)
            fine(sandbox.run_code("here()"))
        assert ctrl_c.left == 0


def here() -> str:
    """Where am I?"""
    return "here"


SCRIPT = """
import asyncio
from protocell import Sandbox
from protocell.tools import Toolset

async def stay() -> None:
    "Stay."
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

def here() -> None:
    "Where am I?"

with Sandbox(tools=Toolset.of(stay, here)) as sandbox:
    code = "import threading; threading.Thread(target=stay, daemon=True).start()"
    print(sandbox.run_code(code + "; [here() for _ in range(20)]").tool_calls[0].outcome)
"""


def test_the_interpreter_ends_where_a_tool_does_not_hear_that_it_is_cancelled():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    print(done.stderr)
    assert (done.returncode, done.stdout) == (0, "cancelled\n")
