"""Plan: what the host asks the zygote to build, as data that crosses the process boundary."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

HOME = "/home/user"


class PlanError(ValueError):
    """A plan that does not have the agreed fields: host and guest are of different versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One sandbox: its file tree, its limits, its rules.  Pairs of paths are (host, inside)."""

    binds: tuple[tuple[str, str], ...]  # the system and the interpreter, read-only
    mounts: tuple[tuple[str, str], ...]  # what the policy mounts, read-only, sockets not reachable
    symlinks: tuple[tuple[str, str], ...]  # (what the link says, where it stands)
    files: tuple[tuple[str, str], ...]  # (path, content): small files of /etc
    limits: dict[str, int]
    envs: dict[str, str]
    deny_imports: tuple[str, ...] | None
    allow_imports: tuple[str, ...] | None
    waive: tuple[str, ...]

    def to_message(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Plan:
        """The plan that a JSON object describes.

        Raises:
            PlanError: fields are missing or unknown.
        """
        names = {field.name for field in fields(cls)}
        if names != set(message):
            raise PlanError(f"plan fields differ: {sorted(names ^ set(message))}")
        message = dict(message)
        for name in ("binds", "mounts", "symlinks", "files"):
            message[name] = tuple((str(a), str(b)) for a, b in message[name])
        for name in ("deny_imports", "allow_imports"):
            message[name] = None if message[name] is None else tuple(message[name])
        message["waive"] = tuple(message["waive"])
        return cls(**message)
