"""The host process ends, however it ends and whatever it was doing: nothing of its sandboxes outlives it."""

import os
import signal

import pytest

from tests.faults.processes import (
    host,
    inits_of,
    is_gone,
    kill,
    python_with,
    wait_for,
)

pytestmark = pytest.mark.claim("faults.host-ends")

PAUSE = r"print('begun', flush=True)\nimport signal\nwhile True: signal.pause()"
RUNNING = f"""
import sys
from protocell import *
say = lambda text: print(text.strip(), flush=True)
with Sandbox() as sandbox:
    sandbox.run_code("{PAUSE}", on_stdout=say, timeout=60)
"""
IDLE = """
import sys
from protocell import *
sandbox = Sandbox()
sandbox.run_code("open('file', 'w').write('x' * 100_000)")
print("idle", flush=True)
sys.stdin.readline()
"""
RESISTING = IDLE.replace(
    'print("idle"',
    '''sandbox.run_code("""
import os, signal, subprocess
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: signal.pause()
    os._exit(0)
subprocess.Popen(["sleep", "1000"], start_new_session=True)
""")
print("idle"''',
)


@pytest.mark.parametrize("code, line", [(RUNNING, "begun"), (IDLE, "idle"), (RESISTING, "idle")])
def test_a_host_killed_leaves_nothing(code: str, line: str):
    with host(code) as program:
        program.wait_for_line(line)
        (zygote,) = program.zygotes()
        assert inits_of(zygote)

        program.kill()


@pytest.mark.parametrize("first", ["host", "zygote"])
@pytest.mark.parametrize("code, line", [(RUNNING, "begun"), (IDLE, "idle")])
def test_a_host_and_its_zygote_killed_together_leave_nothing(code: str, line: str, first: str):
    with host(code) as program:
        program.wait_for_line(line)
        program.note_family()
        pids = [program.process.pid, *program.zygotes()]
        for pid in pids if first == "host" else reversed(pids):
            kill(pid)
        program.process.wait()


def test_a_host_killed_with_its_whole_process_group_leaves_nothing():
    with host("import os\nos.setsid()\n" + RUNNING) as program:
        program.wait_for_line("begun")
        program.note_family()
        os.killpg(program.process.pid, signal.SIGKILL)
        program.process.wait()


def starting(python: str) -> str:
    """A program whose zygote never gets to its greeting."""
    return f"""
import threading
from protocell import *
policy = Policy(environment=Environment(python={python!r}, preload=["slow_to_load"]))
threading.Thread(target=lambda: run_code("1", policy=policy), daemon=True).start()
"""


def is_importing(zygote: int) -> bool:
    """Whether it is in the middle of its preloads: the module blocks in pause(2)."""
    with open(f"/proc/{zygote}/syscall", encoding="ascii") as file:
        number = file.read().split()[0]
    return number == {"x86_64": "34", "aarch64": "73"}[os.uname().machine]


@pytest.mark.parametrize("end", ["killed", "by itself"])
def test_a_host_that_ends_while_its_zygote_is_starting_leaves_nothing(end: str):
    code = "import signal\nwhile True: signal.pause()"
    with (
        python_with("slow_to_load", code) as python,
        host(starting(python) + "import sys\nsys.stdin.readline()") as program,
    ):
        wait_for(program.zygotes, "the zygote")
        (zygote,) = program.zygotes()
        wait_for(lambda: is_importing(zygote), "its imports")
        if end == "killed":
            program.kill()
        else:
            assert program.end() == (0, "", "")
        wait_for(lambda: is_gone(zygote), "the end of the zygote")


END_QUIETLY = {
    "an open sandbox": IDLE,
    "several sandboxes": """
from protocell import *
boxes = [Sandbox() for _ in range(3)]
for box in boxes: box.run_code("1")
""",
    "ready ones": """
from protocell import *
run_code("1", policy=Policy(environment=Environment(ready=5)))
""",
    "two zygotes": """
from protocell import *
for ready in (0, 1):
    run_code("1", policy=Policy(environment=Environment(ready=ready)))
""",
    "an asynchronous sandbox that was not closed": """
import asyncio
from protocell.aio import AsyncSandbox
async def main():
    global box
    box = AsyncSandbox()
    await box.run_code("1")
asyncio.run(main())
""",
    "files that were not read": """
from protocell import *
execution = run_code("open('file', 'wb').write(b'x' * 1_000_000)")
""",
    "a run in a daemon thread": f"""
import threading
from protocell import *
begun = threading.Event()
box = Sandbox()
run = lambda: box.run_code("{PAUSE}", on_stdout=lambda _: begun.set(), timeout=60)
threading.Thread(target=run, daemon=True).start()
begun.wait()
""",
    "an interpreter that is told to exit in mid-run": f"""
import sys
from protocell import *
Sandbox().run_code("{PAUSE}", on_stdout=lambda _: sys.exit(0), timeout=60)
""",
    "isolation by a process": """
from protocell import *
box = Sandbox(Policy(isolation="process"))
box.run_code("1")
""",
    "isolation by a process, and a run in a daemon thread": f"""
import threading
from protocell import *
begun = threading.Event()
box = Sandbox(Policy(isolation="process"))
run = lambda: box.run_code("{PAUSE}", on_stdout=lambda _: begun.set(), timeout=60)
threading.Thread(target=run, daemon=True).start()
begun.wait()
""",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("code", END_QUIETLY.values(), ids=END_QUIETLY.keys())
def test_an_interpreter_ends_quickly_and_silently(code: str):
    with host(code) as program:
        code_, out, err = program.end()

        assert (code_, err) == (0, "")
        assert out in {"", "idle\n"}


def test_an_exception_ends_the_host_with_its_own_traceback_only():
    with host(IDLE + "raise SystemExit(7)") as program:
        program.wait_for_line("idle")
        assert program.end() == (7, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_host_that_a_signal_ends_leaves_nothing(number: signal.Signals):
    with host(
        "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n" + RUNNING
    ) as program:
        program.wait_for_line("begun")
        program.note_family()
        program.process.send_signal(number)

        assert program.process.wait() == -number


def test_ctrl_c_in_mid_run_is_a_keyboardinterrupt_in_the_host():
    with host(RUNNING) as program:
        program.wait_for_line("begun")
        program.note_family()
        program.process.send_signal(signal.SIGINT)
        code, _, err = program.end()

        assert code == -signal.SIGINT
        assert err.endswith("KeyboardInterrupt\n")
