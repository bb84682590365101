"""What an interpreter and the children that it has waited for have used, as far as the system tells its parent.

POSIX tells the whole when it is over (wait4(2)).  While it runs, only Linux does, in /proc; elsewhere
the figures of an execution after which the interpreter lives on are not known and left out.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
_RESET_PEAK = b"5"  # proc_pid_clear_refs(5)


class Meter:
    """Measures one process, each time from where it measured last."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before: dict[str, float] = {}

    def begin(self) -> None:
        """Count from here."""
        self._before = _seconds(self._pid)
        with suppress(OSError), open(f"/proc/{self._pid}/clear_refs", "wb", buffering=0) as file:
            file.write(_RESET_PEAK)

    def read(self) -> dict[str, float]:
        """What was used since then, while the process lives; empty where that is not told."""
        used = self._since(_seconds(self._pid))
        with suppress(OSError), open(f"/proc/{self._pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmHWM:"):
                    used["peak_memory"] = int(line.split()[1]) * 1024
        self.begin()
        return used

    def final(self, used: resource.struct_rusage) -> dict[str, float]:
        """The same, from what wait4(2) says of the process when it has ended."""
        total = {"user": used.ru_utime, "system": used.ru_stime}
        return {**self._since(total), "peak_memory": used.ru_maxrss * _MAXRSS_UNIT}

    def _since(self, now: dict[str, float]) -> dict[str, float]:
        return {name: max(0.0, now[name] - self._before.get(name, 0.0)) for name in now}


def _seconds(pid: int) -> dict[str, float]:
    """Processor time in ticks of 10 ms, waited-for children included (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return {}
    user, system, children_user, children_system = (int(field) for field in fields[11:15])
    return {"user": (user + children_user) * _TICK, "system": (system + children_system) * _TICK}
