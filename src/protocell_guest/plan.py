"""What the host asks for, as data that crosses the process boundary: a plan and its settings.

The *plan* goes to the zygote, whose memory every later sandbox inherits: so it says nothing that
another sandbox must not find there.  The *settings* (variables, folders of the host, import rules) go
over the control socket to init alone.
"""

from __future__ import annotations

import errno
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

HOME = "/home/user"

# What a machine answers that does not have a layer, or that forbids it: then, and only then, a layer that
# is waived may be missing. Whatever may be otherwise in a moment (no descriptor, no memory, no room) is a
# failure. EINVAL: a kernel built without it; E2BIG: as many rulesets as may be are on already (landlock(7)).
NOT_HERE = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.E2BIG}
)

Pairs = tuple[tuple[str, str], ...]


class PlanError(ValueError):
    """A message that does not have the agreed fields: host and guest are of different versions."""


class _Message:
    """A frozen dataclass that travels as a JSON object."""

    __slots__ = ()

    def to_message(self) -> dict[str, Any]:
        """The fields as JSON takes them."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]  # its heirs are dataclasses

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Self:
        """What a JSON object describes.

        Raises:
            PlanError: fields are missing or unknown.
        """
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if names != set(message):
            raise PlanError(f"fields differ: {sorted(names ^ set(message))}")
        return cls(**{name: _frozen(value) for name, value in message.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(_Message):
    """One kind of sandbox: its file tree and its limits.  Pairs of paths are (host, inside)."""

    binds: Pairs  # the system and the interpreter, read-only
    places: tuple[tuple[str, bool], ...]  # mount points of the policy's mounts; whether a folder
    symlinks: Pairs  # (what the link says, where it stands)
    files: Pairs  # (path, content): small files of /etc
    limits: dict[str, int]
    waive: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(_Message):
    """What only one sandbox may know."""

    mounts: Pairs  # read-only; sockets in them lead nowhere
    envs: dict[str, str]
    deny_imports: tuple[str, ...] | None
    allow_imports: tuple[str, ...] | None


# Of most sandboxes: these need not be sent.
NO_SETTINGS = Settings(mounts=(), envs={}, deny_imports=None, allow_imports=None)
