"""What a sandbox has used since somebody asked last, for init to report."""

from __future__ import annotations

import os
from typing import Any

from protocell_guest import context, usage
from protocell_guest.household import Household
from protocell_guest.kernel import cgroups
from protocell_guest.life import Life


class Meter:
    """Reads the counters of the kernel, and remembers what was told of them."""

    def __init__(self, proc: int, household: Household, leaf: cgroups.Leaf | None) -> None:
        self._proc = proc
        self._household = household
        self._leaf = leaf
        self._last_pid = household.main.pid or 0
        self.oom_kills = 0

    def begin(self, life: Life) -> None:
        """Kills before were another's, who has the same cgroup, but for those of its own copies."""
        if self._leaf is None:
            return
        kills = self._leaf.usage().oom_kills
        if kills > self.oom_kills:
            self._household.collect_copies(life, kills - self.oom_kills)
        self.oom_kills = max(self.oom_kills, kills - len(life.killed_copies))

    def is_made_by_init(self, pid: int) -> None:
        """This process is not one that the code has started."""
        self._last_pid = pid

    def totals(self, pid: int) -> usage.Totals:
        """Of one process and what it has collected."""
        folder = context.folder_of(self._proc, pid)
        try:
            return usage.read_totals(folder)
        finally:
            os.close(folder)

    def report(self, life: Life) -> dict[str, Any]:
        """What the whole tree used of memory, and what was started in it, since the last report.

        Kills for want of memory are all that there were: contexts share the cgroup that counts them.
        Copies that have fallen are among them.
        """
        last = usage.read_last_pid(self._proc)
        processes, self._last_pid = max(0, last - self._last_pid), last
        table = self._household.table
        peak, table.peak_memory = table.peak_memory, 0
        report: dict[str, Any] = {"peak_memory": peak, "oom_kills": 0, "processes": processes}
        if self._leaf is None:
            return report | {"fallen": self._fallen(life, 0)}
        used = self._leaf.usage()
        kills, self.oom_kills = used.oom_kills - self.oom_kills, used.oom_kills
        self._leaf.reset_peak()
        report |= {"peak_memory": used.peak_bytes or 0, "oom_kills": used.oom_kills}
        return report | {"fallen": self._fallen(life, kills)}

    def _fallen(self, life: Life, kills: int) -> list[int]:
        """Its frozen copies that went for want of memory; so many kills there were since the last report."""
        if kills:
            self._household.collect_copies(life, kills)
        fallen = life.fallen + life.killed_copies[:kills]
        life.fallen, life.killed_copies = [], []
        return fallen
