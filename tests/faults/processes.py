"""Processes to do harm to: which they are, host programs that can be killed, and what must be gone afterwards."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from protocell import Environment, Policy, run_code
from protocell._boxes.zygote import Zygote
from protocell._boxes.zygotes import ZYGOTES

PATIENCE_SECONDS = 20.0
# A zygote of its own with nothing kept ready, so that its only sandboxes are those that a test holds.
ALONE = Policy(environment=Environment(ready=0))
PAUSE = "print('begun', flush=True)\nimport signal\nwhile True: signal.pause()"


def wait_for(
    condition: Callable[[], object],
    what: str,
    seconds: float = PATIENCE_SECONDS,
    *,
    pause_seconds: float = 0.005,
) -> None:
    """Look at something real until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        threading.Event().wait(pause_seconds)


def zygote_of(policy: Policy) -> Zygote:
    """The zygote that gives sandboxes for this policy, started if it is not there."""
    return ZYGOTES.get(policy.environment)


def inits_of(zygote: int) -> list[int]:
    """The inits of its sandboxes."""
    return [pid for pid in children_of(zygote) if is_in_a_sandbox(pid)]


def janitors_of(zygote: int) -> list[int]:
    """Its child that is in no sandbox."""
    found = [pid for pid in children_of(zygote) if not is_in_a_sandbox(pid)]
    return [pid for pid in found if not is_gone(pid)]  # a sandbox that has ended is in none


def children_of(parent: int) -> list[int]:
    """Its living children."""
    return sorted(
        pid for pid, (above, state) in _table().items() if above == parent and state != "Z"
    )


def descendants_of(ancestor: int) -> set[int]:
    """Its living children, theirs, and so on."""
    table = _table()
    found: set[int] = set()
    new = {ancestor}
    while new:
        new = {pid for pid, (above, _) in table.items() if above in new}
        found |= new
    return {pid for pid in found if table[pid][1] != "Z"}


def _table() -> dict[int, tuple[int, str]]:
    table = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = _stat(int(name))
        if fields is not None:
            table[int(name)] = int(fields[1]), fields[0]
    return table


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None  # ended since the listing
    return text.rpartition(")")[2].split()


def is_in_a_sandbox(pid: int) -> bool:
    """Whether it is in a pid namespace below ours."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return len(re.findall(r"^NSpid:(.*)$", status, re.MULTILINE)[0].split()) > 1


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    fields = _stat(pid)
    return fields is None or fields[0] == "Z"


def cgroups_of(zygote: int) -> list[str]:
    """The cgroup folders that it made."""
    return [
        f"{folder}/{name}"
        for folder, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if name.startswith(f"protocell-{zygote}-")
    ]


def leaves_of(zygote: int) -> list[str]:
    """The cgroup folders of its sandboxes."""
    return [
        entry.path for group in cgroups_of(zygote) for entry in os.scandir(group) if entry.is_dir()
    ]


def our_files() -> set[str]:
    """What has our name in the folder for temporary files."""
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("protocell")}


class Host:
    """A Python process that runs sandboxes."""

    def __init__(self, code: str) -> None:
        self._files = our_files()
        self._family: set[int] = set()
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_line(self, expected: str) -> None:
        """Read a line of its output."""
        line = _pipe(self.process.stdout).readline().strip()
        assert line == expected, (line, _pipe(self.process.stderr).read() if not line else "")

    def zygotes(self) -> list[int]:
        """Its zygotes."""
        return children_of(self.process.pid)

    def note_family(self) -> set[int]:
        """Remember every process that is its own now."""
        self._family |= descendants_of(self.process.pid)
        return self._family

    def kill(self) -> None:
        """End it as nothing can prevent."""
        self.note_family()
        self.process.kill()
        self.process.wait()

    def end(self) -> tuple[int, str, str]:
        """Let it go on to its end: exit code, output, error output."""
        self.note_family()
        out, err = self.process.communicate("\n", timeout=PATIENCE_SECONDS)
        return self.process.returncode, out, err

    def assert_nothing_is_left(self) -> None:
        """Wait until every process, cgroup and file that it brought is gone."""
        wait_for(lambda: all(map(is_gone, self._family)), f"the end of all of {self._family}")
        wait_for(lambda: not any(map(cgroups_of, self._family)), "the end of its cgroups")
        wait_for(lambda: our_files() <= self._files, "the end of its files")


@contextmanager
def host(code: str) -> Iterator[Host]:
    """A host program, and at the end nothing of it, whatever the test did."""
    started = Host(code)
    try:
        yield started
        started.assert_nothing_is_left()
    finally:
        started.process.kill()
        for pipe in (started.process.stdin, started.process.stdout, started.process.stderr):
            _pipe(pipe).close()
        started.process.wait()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def value_of(code: str) -> str | None:
    """Run it; for workers, which have to import what they call."""
    return run_code(code).text


def kill(pid: int) -> None:
    """SIGKILL."""
    os.kill(pid, signal.SIGKILL)


@contextmanager
def python_with(module: str, code: str) -> Iterator[str]:
    """An interpreter with one more module in its site-packages, that others can read."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        base = Path(folder)
        base.chmod(0o755)
        packages = base / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        packages.mkdir(parents=True)
        (base / "bin").mkdir()
        (base / "bin" / "python").symlink_to(sys.executable)
        real = Path(sys.executable).resolve()
        (base / "pyvenv.cfg").write_text(
            f"home = {real.parent}\ninclude-system-site-packages = false\n"
        )
        (packages / f"{module}.py").write_text(code)
        yield str(base / "bin" / "python")
