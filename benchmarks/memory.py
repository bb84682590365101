"""What processes hold of the machine's memory, as the kernel counts it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from quiet import descendants
from rivals import Program, WarmProcess

# The kernel writes kB and means 1024 bytes (proc(5)); we write MB and mean a million.
_MB_PER_KB = 1024 / 1e6


def proportional(pids: Iterable[int], kind: str = "Pss") -> float | None:
    """Proportional set size together, in MB: a page that n processes share counts 1/n; None if unreadable.

    ``Pss_Anon`` leaves out the pages of files, which the machine holds once, whoever else maps them.
    """
    found = [_kilobytes(f"/proc/{pid}/smaps_rollup", kind) for pid in pids]
    known = [size for size in found if size is not None]
    return sum(known) * _MB_PER_KB if len(known) == len(found) else None


def readable(pids: Iterable[int]) -> list[int]:
    """Those of them whose memory this user may look at."""
    return [pid for pid in pids if _kilobytes(f"/proc/{pid}/smaps_rollup", "Pss") is not None]


def available() -> float:
    """What the machine could still give away, in MB."""
    return (_kilobytes("/proc/meminfo", "MemAvailable") or 0) * _MB_PER_KB


def of_waiting(command: Sequence[str], program: Program) -> float | None:
    """MB of a program that has done its work and waits, with whatever keeps it inside."""
    waiting = program.file.with_name("waiting.py")
    waiting.write_text(f"{program.code}\nprint('waiting', flush=True)\ninput()\n", encoding="utf-8")
    started = [str(waiting) if part == str(program.file) else part for part in command]
    with subprocess.Popen(
        started, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        while process.stdout and process.stdout.readline() not in ("waiting\n", ""):
            pass
        size = proportional(descendants(process.pid))
        process.communicate("\n")
    return size


def of_forked(warm: WarmProcess) -> float | None:
    """MB that one forked child adds to the process that it comes from."""
    before = proportional([warm.pid], "Pss_Anon")
    child = warm.hold()
    together = proportional([warm.pid, child], "Pss_Anon")
    warm.drop()
    return together - before if before is not None and together is not None else None


def _kilobytes(path: str, name: str) -> float | None:
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        if isinstance(error, PermissionError | FileNotFoundError | ProcessLookupError):
            return None
        raise
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    return float(found[1]) if found else None
