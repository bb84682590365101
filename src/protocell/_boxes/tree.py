"""What all processes of a sandbox used together: init's word, less what is not the code's doing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OF_THE_TREE = ("oom_kills", "peak_memory", "processes")


@dataclass(slots=True)
class Kills:
    """For want of memory, in a cgroup; contexts that share it share this, so that each kill is told once."""

    told: int = 0


@dataclass(slots=True)
class Tree:
    """Of one context."""

    kills: Kills = field(default_factory=Kills)
    copies: int = 0  # that the interpreter has left, and init has counted as the code's processes
    fallen: list[int] = field(
        default_factory=list
    )  # copies that memory was wanted of, still to be told

    def read(self, message: dict[str, Any]) -> dict[str, Any]:
        """What is told of it as the use of an execution."""
        fallen, kills = message["fallen"], message["oom_kills"]
        new, self.kills.told = kills - self.kills.told - len(fallen), kills
        self.fallen += fallen
        processes, self.copies = max(0, message["processes"] - self.copies), 0
        return {
            "peak_memory": message["peak_memory"],
            "oom_kills": max(0, new),
            "processes": processes,
        }
