"""What the doctor found, as values: one row for each layer, and whether all of it is enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Works = Literal["yes", "no", "untried"]

PROTECTS = {
    "user-namespace": "being any user inside, even root, counts for nothing outside",
    "pid-namespace": "processes of this machine cannot be seen or signalled",
    "mount-namespace": "mounts of this machine cannot be changed",
    "network-namespace": "no network: no local service, no LAN, no internet",
    "ipc-namespace": "shared memory and message queues of this machine are not there",
    "uts-namespace": "the host name is not told",
    "cgroup-namespace": "names of containers, users and services are not told",
    "new-root": "no file of this machine but interpreter and system libraries, read-only",
    "no-capabilities": "no administrator's right over anything, not even inside",
    "no-new-privileges": "set-user-id programs give nothing",
    "seccomp": "kernel functions that Python code does not need are out of reach",
    "landlock": "a second lock on files and devices, whatever is mounted",
    "cgroup-v1": "memory and processes are limited for all that runs inside together",
    "cgroup-v2": "memory and processes are limited for all that runs inside together",
    "memory-watch": "memory is limited by looking, where no cgroup can be had",
    "rlimits": "open files, sizes of files, processes and memory are limited",
    "clean-environment": "variables of the host's environment, and the secrets in them, are unknown",
    "closed-descriptors": "open files and connections of the host program are out of reach",
    "no-core-dumps": "no image of the memory is left on disk",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One thing that was tried, and what came of it."""

    what: str
    seen: str
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One layer."""

    layer: str
    works: Works
    tried: tuple[Trial, ...] = ()
    remedy: str = ""

    @property
    def protects(self) -> str:
        """What would be open without it."""
        return PROTECTS[self.layer]

    @property
    def failed(self) -> list[Trial]:
        """What did not come out as it must."""
        return [trial for trial in self.tried if not trial.held]

    @property
    def summary(self) -> str:
        """What was tried, in a few words."""
        if self.failed:
            return "; ".join(f"{trial.what}: {trial.seen}" for trial in self.failed)
        return "; ".join(trial.what for trial in self.tried) or "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole machine."""

    machine: dict[str, str]
    rows: tuple[Row, ...]
    error: str = ""
    """Why there is no sandbox at all, in the words of the exception."""
    exit_code: int = 0
    note: str = ""
    """What is to be put right although every layer works."""

    @property
    def enforceable(self) -> bool:
        """Whether ``Policy()`` can be enforced here."""
        return self.exit_code == 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "enforceable": self.enforceable,
            "machine": self.machine,
            "error": self.error,
            "note": self.note,
            "layers": [
                {
                    "layer": row.layer,
                    "works": row.works,
                    "protects": row.protects,
                    "tried": [asdict(trial) for trial in row.tried],
                    "remedy": row.remedy,
                }
                for row in self.rows
            ],
        }
