"""What guest code may do, as one frozen value: the empty policy gives it nothing of the host.

A layer is one protection with a name (see ``_layers``). By default each of them must be on, but for
the cgroup and its stand-in, of which any will do. ``require`` makes a layer that could be missing a
must; ``waive`` lets it be missing *if this machine cannot give it*, and never switches off what the
machine has. Some layers cannot be waived, because nothing stands in for them.

An import policy is a message that explains itself to the model. It is no boundary.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, Self, get_args

from protocell._fields import Converted, Settings, keep, quoted, refuse_other_than_mapping
from protocell._layers import LIMITS_IN_TRUTH, Isolation, check_layers_agree, checked_layers
from protocell._printable import is_printable_line
from protocell.environment import Environment, module_names
from protocell.errors import PolicyError
from protocell.limits import KIB, Limits

MOST_MOUNTS = 64
# Mounts, variables and import names travel in one packet of 192 KiB; these sizes are of their JSON.
MOUNTS_BYTES = 48 * KIB
ENVS_BYTES = 64 * KIB
IMPORTS_BYTES = 32 * KIB

_LIMITS = Limits()
_ENVIRONMENT = Environment()
_HOME = PurePosixPath("/home/user")
_NO_TARGET = tuple(
    PurePosixPath(path)
    for path in (
        *("/proc", "/sys", "/dev", "/run", "/tmp", "/etc", "/usr", "/bin", "/sbin"),
        *("/lib", "/lib32", "/lib64", "/libx32"),
    )
)
# Not files but ways to talk to the kernel and to services: a read-only bind does not stop
# connect(2) on a socket, and the host's /proc shows every process.
_NO_SOURCE = tuple(PurePosixPath(path) for path in ("/proc", "/sys", "/dev", "/run"))


class Envs(Mapping[str, str]):
    """Environment variables of the guest: immutable, hashable, values left out of the repr."""

    __slots__ = ("_values",)

    def __init__(self, given: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._values = dict(given)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Envs({', '.join(f'{name}=...' for name in self._values)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount(Settings):
    """A folder or file of the host that is readable inside, never writable.

    Links in ``source`` are followed once, here on the host, by whoever writes the policy: the place
    that they lead to is what is mounted, whatever the links say later.

    Raises:
        PolicyError: the source is not there, or the target is not a place for a mount.
    """

    required = ("source", "target")

    source: Converted[str | os.PathLike[str], str] = Converted("")
    """Path on the host; "~" and a relative path are resolved now, and kept absolute."""
    target: Converted[str | os.PathLike[str], str] = Converted("")
    """Absolute path inside, as in ``/data`` or ``/home/user/data``."""

    def __post_init__(self) -> None:
        keep(self, "source", _source(_path("source", self.source)))
        keep(self, "target", _target(_path("target", self.target)))

    def __str__(self) -> str:
        return f"{self.source} at {self.target} (read-only)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Settings):
    """What guest code may do; by default it may compute, within ``Limits()``, and nothing else.

    Raises:
        PolicyError: a field is not what it may be; the message names it and the rule.
    """

    limits: Limits = _LIMITS
    mounts: Converted[Iterable[Mount], tuple[Mount, ...]] = Converted(())
    deny_imports: Converted[Iterable[str] | None, tuple[str, ...] | None] = Converted(None)
    """Modules that guest code may not import; "os" means "os.path" too."""
    allow_imports: Converted[Iterable[str] | None, tuple[str, ...] | None] = Converted(None)
    """If not None, the only modules that guest code may import; an empty tuple means none."""
    envs: Converted[Mapping[str, str], Envs] = Converted(Envs())
    isolation: Isolation = "kernel"
    waive: Converted[Iterable[str], frozenset[str]] = Converted(frozenset())
    require: Converted[Iterable[str], frozenset[str]] = Converted(frozenset())
    environment: Environment = _ENVIRONMENT

    def __post_init__(self) -> None:
        _check_type("limits", self.limits, Limits)
        _check_type("environment", self.environment, Environment)
        if self.isolation not in get_args(Isolation):
            raise PolicyError(
                f"isolation is {quoted(self.isolation)}; allowed is 'kernel', 'process'"
            )
        keep(self, "mounts", _mounts(self.mounts, self.isolation))
        keep(self, "deny_imports", _imports("deny_imports", self.deny_imports))
        keep(self, "allow_imports", _imports("allow_imports", self.allow_imports))
        keep(self, "envs", _envs(self.envs))
        keep(self, "waive", checked_layers("waive", self.waive, self.isolation))
        keep(self, "require", checked_layers("require", self.require, self.isolation))
        _check_imports_agree(self.deny_imports or (), self.allow_imports or ())
        check_layers_agree(self.waive, self.require)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """The policy that such a mapping describes; limits, environment, mounts may be mappings."""
        refuse_other_than_mapping("Policy", given)
        parts: dict[str, Any] = dict(given)
        for field, kind in (("limits", Limits), ("environment", Environment)):
            if isinstance(parts.get(field), Mapping):
                parts[field] = kind.from_dict(parts[field])
        if isinstance(parts.get("mounts"), list | tuple):
            parts["mounts"] = [
                Mount.from_dict(mount) if isinstance(mount, Mapping) else mount
                for mount in parts["mounts"]
            ]
        return cls(**parts)

    def to_dict(self) -> dict[str, Any]:
        """A mapping for JSON, values of ``envs`` included; ``from_dict`` makes an equal policy."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "limits": _as_dict(self.limits),
            "environment": _as_dict(self.environment),
            "mounts": [_as_dict(mount) for mount in self.mounts],
            "envs": dict(self.envs),
            "waive": sorted(self.waive),
            "require": sorted(self.require),
        }

    def __str__(self) -> str:
        lines = [
            f"isolation: {self.isolation}",
            f"limits: {self.limits}",
            *LIMITS_IN_TRUTH[self.isolation],
            f"mounts: {'; '.join(str(mount) for mount in self.mounts) or 'none'}",
            f"imports: {_imports_text(self.deny_imports, self.allow_imports)}",
            f"variables: {', '.join(self.envs) or 'none'}",
            f"waived if missing: {', '.join(sorted(self.waive)) or 'nothing'}",
            f"required beyond the default: {', '.join(sorted(self.require)) or 'nothing'}",
            f"environment: {self.environment}",
        ]
        return "\n".join(lines)


def _as_dict(settings: Limits | Environment | Mount) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in fields(settings)}


def _check_type(field: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        hint = f"{kind.__name__}(...), or a mapping through Policy.from_dict"
        raise PolicyError(f"{field} is {quoted(value)}; allowed is {hint}")


def _path(field: str, given: object) -> str:
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        raise PolicyError(f"mount {field} is {quoted(given)}; allowed is a path")
    if "\0" in text:
        raise PolicyError(f"mount {field} is {quoted(text)}; a path cannot have a NUL byte in it")
    return text


def _source(text: str) -> str:
    real = os.path.realpath(os.path.expanduser(text))
    try:
        mode = os.stat(real).st_mode
    except OSError as odd:
        raise PolicyError(f"mount source {quoted(text)}: {odd.strerror} ({quoted(real)})") from None
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise PolicyError(f"mount source {quoted(text)} is neither a folder nor a regular file")
    path = PurePosixPath(real)
    if path == PurePosixPath("/") or any(path.is_relative_to(place) for place in _NO_SOURCE):
        why = "name the folder that the code needs; system services must stay out of reach"
        raise PolicyError(f"mount source {quoted(real)} is not allowed: {why}")
    return real


def _target(text: str) -> str:
    if not text.startswith("/") or not is_printable_line(text) or len(text.encode()) >= 4096:
        raise PolicyError(f"mount target {quoted(text)} is not an absolute, printable path")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts or any(len(part.encode()) > 255 for part in parts):
        raise PolicyError(f"mount target {quoted(text)} has '..' or a name of over 255 bytes in it")
    path = PurePosixPath("/", *parts)
    if _HOME.is_relative_to(path) or any(path.is_relative_to(place) for place in _NO_TARGET):
        where = "below /home/user, /mnt, /data or another place that the sandbox does not use"
        raise PolicyError(f"mount target {quoted(text)} is not free; allowed is {where}")
    return str(path)


def _mounts(given: object, isolation: Isolation) -> tuple[Mount, ...]:
    if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
        raise PolicyError(f"mounts is {quoted(given)}; allowed is a sequence of Mount(...)")
    kept = tuple(given)
    for mount in kept:
        _check_type("a mount", mount, Mount)
    if kept and isolation == "process":
        raise PolicyError("mounts need isolation='kernel'; with 'process' pass files instead")
    if len(kept) > MOST_MOUNTS:
        raise PolicyError(f"mounts has {len(kept)} entries; at most {MOST_MOUNTS}")
    _check_json_size("mounts", [_as_dict(mount) for mount in kept], MOUNTS_BYTES)
    # Paths compare part by part, so whatever lies below a target follows it at once.
    targets = sorted(PurePosixPath(mount.target) for mount in kept)
    for outer, inner in pairwise(targets):
        if inner.is_relative_to(outer):
            raise PolicyError(f"mount target {quoted(str(inner))} overlaps {quoted(str(outer))}")
    return kept


def _imports(field: str, given: object) -> tuple[str, ...] | None:
    if given is None:
        return None
    kept = tuple(sorted(module_names(field, given)))
    _check_json_size(field, kept, IMPORTS_BYTES // 2)
    return kept


def _check_imports_agree(deny: tuple[str, ...], allow: tuple[str, ...]) -> None:
    both = sorted(set(deny) & set(allow))
    if both:
        raise PolicyError(
            f"{quoted(both[0])} is in deny_imports and in allow_imports; decide for one"
        )


def _imports_text(deny: tuple[str, ...] | None, allow: tuple[str, ...] | None) -> str:
    allowed = "all" if allow is None else f"only {', '.join(allow) or 'none'}"
    return f"{allowed}, not {', '.join(deny)}" if deny else allowed


def _envs(given: object) -> Envs:
    if not isinstance(given, Mapping):
        raise PolicyError(f"envs is {quoted(given)}; allowed is a mapping of names to values")
    for name, value in given.items():
        _check_env(name, value)
    _check_json_size("envs", dict(given), ENVS_BYTES)
    return Envs(given)


def _check_env(name: object, value: object) -> None:
    if not isinstance(name, str) or not name.isascii() or not name.isidentifier():
        raise PolicyError(f"envs has the name {quoted(name)}; allowed are letters, digits and '_'")
    if name.startswith(("LD_", "PYTHON")):
        why = "it steers the loader or the interpreter itself, which the sandbox has fixed"
        raise PolicyError(f"envs has {name}, which is not allowed: {why}")
    if not isinstance(value, str) or "\0" in value or not _is_utf8(value):
        raise PolicyError(f"envs has a value for {name} that is not text without NUL bytes")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_json_size(field: str, value: object, most: int) -> None:
    size = len(json.dumps(value))
    if size > most:
        raise PolicyError(f"{field} is {size} bytes long as JSON; at most {most}")
