"""From a policy and the facts of an interpreter to a plan: pure, apart from looking at the file tree.

What the sandbox sees of the host is decided here and nowhere else: the system's programs and
libraries, the interpreter's own folders, what the policy mounts.  All of it read-only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from protocell.errors import PolicyError, SetupError
from protocell.policy import Mount, Policy
from protocell_guest.plan import HOME, Plan, Settings

_SYSTEM = (
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
)
# Of /etc only what the loader, fonts and command alternatives need; none of it names a person.
_SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/mime.types")
# Whose the system's files are, as it looks from inside, has a name too: ls -l and Path.owner() ask for it.
_USERS = """\
user:x:1000:1000:user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_FILES = (
    ("/etc/passwd", _USERS),
    ("/etc/group", "user:x:1000:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost protocell\n::1 localhost\n"),
    ("/etc/hostname", "protocell\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ("/etc/resolv.conf", ""),
)
_LOCALTIME = ("/usr/share/zoneinfo/Etc/UTC", "/etc/localtime")
# A prefix of the whole system is no folder of an interpreter; below it only these are.
_SHARED_PREFIXES = {"/usr": (), "/usr/local": ("lib", "bin", "lib64"), "/": ()}

Mounted = tuple[tuple[int, int] | None, ...]  # device and inode of each mount's source


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an interpreter says of itself."""

    version: str
    executable: str
    prefixes: tuple[str, ...]
    paths: tuple[str, ...]
    no_cgroup: str = ""  # why it can have no cgroup, and what to do; empty where it has one

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Facts:
        """Facts as the zygote sends them."""
        return cls(
            version=str(message["version"]),
            executable=str(message["executable"]),
            prefixes=tuple(map(str, message["prefixes"])),
            paths=tuple(map(str, message["paths"])),
            no_cgroup=str(message["no_cgroup"]),
        )


def make_plan(policy: Policy, facts: Facts) -> Plan:
    """The sandbox that a policy asks for, around one interpreter.

    Raises:
        PolicyError: a mount would cover the interpreter or the system.
        SetupError: the interpreter lives where nothing but it could be shown.
    """
    binds, symlinks = _system_tree()
    roots = _without_nested([*_interpreter_folders(facts), *(source for source, _ in binds)])
    binds = [(source, source) for source in roots]
    binds += [(path, path) for path in _SETTINGS if os.path.exists(path)]
    _check_free(policy.mounts, binds)
    limits = policy.limits
    return Plan(
        binds=tuple(binds),
        places=tuple((mount.target, os.path.isdir(mount.source)) for mount in policy.mounts),
        symlinks=(*symlinks, _LOCALTIME),
        files=_FILES,
        limits={
            name: getattr(limits, name)
            for name in (
                "memory_bytes",
                "processes",
                "open_files",
                "file_bytes",
                "workspace_bytes",
                "workspace_inodes",
                "tmp_bytes",
            )
        },
        waive=tuple(sorted(policy.waive)),
    )


def make_settings(policy: Policy) -> Settings:
    """What goes past the zygote to one sandbox's init."""
    return Settings(
        mounts=tuple((mount.source, mount.target) for mount in policy.mounts),
        envs=dict(policy.envs),
        deny_imports=_sorted_names(policy.deny_imports),
        allow_imports=_sorted_names(policy.allow_imports),
    )


def mounted(policy: Policy) -> Mounted:
    """What stands now under the names that are mounted: a ready sandbox has what stood there then."""
    return tuple(_identity(mount.source) for mount in policy.mounts)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None  # the zygote is asked all the same: it says what is wrong
    return status.st_dev, status.st_ino


def _check_free(mounts: Iterable[Mount], binds: Sequence[tuple[str, str]]) -> None:
    for target in [mount.target for mount in mounts]:
        for _, taken in binds:
            if (target + "/").startswith(taken + "/") or (taken + "/").startswith(target + "/"):
                text = f"mount target {target!r} overlaps {taken!r}, where the interpreter lives"
                raise PolicyError(f"{text}; choose another, as /data or /home/user/data")


def _sorted_names(names: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(sorted(names))


def _system_tree() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Folders to bind, and links as merged-/usr systems have them (/bin -> usr/bin)."""
    binds, symlinks = [], []
    for path in _SYSTEM:
        if os.path.islink(path):
            symlinks.append((os.readlink(path), path))
        elif os.path.isdir(path):
            binds.append((path, path))
    return binds, symlinks


def _interpreter_folders(facts: Facts) -> list[str]:
    folders = []
    for prefix in facts.prefixes:
        if prefix in _SHARED_PREFIXES:
            folders += [os.path.join(prefix, name) for name in _SHARED_PREFIXES[prefix]]
        else:
            folders.append(prefix)
    folders += [path for path in facts.paths if path.endswith(("site-packages", "dist-packages"))]
    real = os.path.realpath(facts.executable)
    folders += [os.path.dirname(real)]
    for folder in folders:
        if folder in ("/", "/home", "/root", "/etc", "/var", "/tmp", HOME):
            raise SetupError(
                f"the interpreter {facts.executable} has its files in {folder}, which would show "
                "far more than an interpreter; use one from a virtual environment",
                step="plan",
            )
    folders += [os.path.realpath(folder) for folder in folders]
    return [folder for folder in folders if os.path.isdir(folder)]


def _without_nested(paths: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not any(path.startswith(folder + "/") for folder in kept):
            kept.append(path)
    return kept
