"""The check for leftovers finds each kind of thing that a test can leave behind, and waits for what is ending."""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from protocell import Sandbox, run_code
from protocell._boxes.zygotes import ZYGOTES
from tests.leftovers import beforehand, left_behind


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """End what other tests started: a zygote still makes and reaps sandboxes for a moment after the last call."""
    ZYGOTES.close()


def test_nothing_done_leaves_nothing():
    before = beforehand()

    assert left_behind(before, patience_seconds=0) == []


def test_an_open_descriptor_is_found():
    before = beforehand()
    descriptor = os.open("/dev/null", os.O_RDONLY)

    left = left_behind(before, patience_seconds=0)

    os.close(descriptor)
    assert left == [f"descriptor {descriptor}: /dev/null"]


def test_a_running_child_is_found():
    before = beforehand()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
        left = left_behind(before, patience_seconds=0)

    assert f"process {child.pid}: cat" in left


def test_a_child_that_nobody_waited_for_is_found():
    before = beforehand()
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)

    left = left_behind(before, patience_seconds=0)

    os.waitpid(child, 0)
    assert left == [f"process {child}: (a zombie: nobody waited for it)"]


def test_an_orphan_of_a_zygote_is_found():
    # The shell ends at once, so its child goes to the nearest reaper. As a zygote it is told by standard input
    # what to run; it ends when this test closes the pipe.
    before = beforehand()
    reader, writer = os.pipe()
    shell = subprocess.Popen(
        ["/bin/sh", "-c", 'exec 3<&0; "$0" -I - <&3 &', sys.executable],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[reader],
        text=True,
    )
    os.close(reader)
    with shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(f"import os; print(os.getpid(), flush=True); os.read({reader}, 1)")
        shell.stdin.close()
        pid = int(shell.stdout.readline())

    found = [line for line in left_behind(before, patience_seconds=0) if line.startswith("orphan")]

    os.close(writer)
    assert found == [f"orphan {pid}: {sys.executable} -I -"]
    assert left_behind(before) == []


def test_a_temporary_file_is_found():
    before = beforehand()
    with tempfile.NamedTemporaryFile(prefix="protocell-") as file:
        left = left_behind(before, patience_seconds=0)

    assert f"file {file.name}" in left


def test_what_ends_by_itself_in_time_is_not_left_behind():
    before = beforehand()
    file = Path(tempfile.gettempdir(), f"protocell-{os.getpid()}")
    file.touch()
    threading.Timer(0.2, file.unlink).start()

    assert left_behind(before) == []


def test_an_open_sandbox_is_found_and_a_closed_one_is_not():
    before = beforehand()
    with Sandbox() as sandbox:
        sandbox.run_code("1")

        left = left_behind(before, patience_seconds=0)

    # At the least its init, its context, and on our side its control socket, channel, two pipes and folder.
    assert len([line for line in left if line.startswith("process")]) >= 2
    assert len([line for line in left if line.startswith("descriptor")]) >= 5
    assert left_behind(before) == []


def test_the_shared_zygote_and_its_janitor_may_stay():
    before = beforehand()
    run_code("1")

    assert left_behind(before) == []
