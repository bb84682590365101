"""From what was typed to code, files and a policy; what is wrong is said before anything runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import decode_source
from pathlib import Path

from protocell.environment import Environment
from protocell.errors import PolicyError
from protocell.limits import MIB, Limits
from protocell.policy import Mount, Policy

# Four bytes for each of the characters that an execution may have; what is longer is refused there.
_MAX_CODE_BYTES = 128 * MIB
_PIECE = 1 << 20
# By the field of ``Limits``, ``Policy`` or ``Tools`` with which a refusal begins.
_OPTIONS = {
    "wall_seconds": "--timeout",
    "cpu_seconds": "--cpu",
    "memory_bytes": "--memory",
    "mount": "--mount",
    "preload": "--preload",
    "isolation": "--isolation",
    "waive": "--waive",
    "deny_imports": "--deny-import",
    "allow_imports": "--allow-import",
    "budget_tokens": "--budget",
    "level": "--level",
    "pinned": "--pinned",
    "direct": "--direct",
}


@contextmanager
def naming_options(given: Collection[str] = _OPTIONS) -> Iterator[None]:
    """What is refused of the fields that options gave is told by the option's name: nobody typed the field's."""
    try:
        yield
    except PolicyError as error:
        field = re.match(r"\w*", str(error))[0]  # type: ignore[index]  # it fits anything
        name = _OPTIONS[field] if field in given else field
        raise PolicyError(name + str(error)[len(field) :]) from error


def read_code(source: str, wait: Callable[[int], None]) -> str:
    """The program as text, in the encoding that its first lines name (PEP 263), else UTF-8.

    ``wait`` waits until a descriptor can be read: whoever types a program may take his time.

    Raises:
        PolicyError: it cannot be read, or is not text.
    """
    name = "standard input" if source == "-" else repr(source)
    try:
        if source == "-":
            content = _read(0, wait)
        else:
            with open(source, "rb") as file:
                content = _read(file.fileno(), wait)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = getattr(error, "strerror", None) or error
        raise PolicyError(f"cannot read the code from {name}: {reason}") from error
    if len(content) > _MAX_CODE_BYTES:
        most = f"{_MAX_CODE_BYTES // MIB} MiB"
        raise PolicyError(f"the code from {name} has more than {most}: pass data with --file")
    try:
        return decode_source(content)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise PolicyError(f"the code from {name} is not text: {error}") from error


def _read(descriptor: int, wait: Callable[[int], None]) -> bytes:
    """All that comes, or a little more than is allowed."""
    content = bytearray()
    while len(content) <= _MAX_CODE_BYTES:
        wait(descriptor)
        piece = os.read(descriptor, _PIECE)
        if not piece:
            break
        content += piece
    return bytes(content)


def read_files(given: Iterable[str]) -> dict[str, Path]:
    """For each ``--file`` its name in the workspace and the file on this machine.

    Raises:
        PolicyError: there is no such file, or two have the same name.
    """
    files: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals:
            name, path = os.path.basename(text), text
        place = Path(path).expanduser()
        if not name or not path:
            raise PolicyError(f"--file {text!r}: write PATH or NAME=PATH")
        if place.is_dir():
            raise PolicyError(f"--file {path!r} is a folder; show it with --mount HOST:TARGET")
        if not place.exists():
            hint = "" if not equals else f" (for a path with '=' in it write NAME={text})"
            raise PolicyError(f"--file {path!r}: there is no such file{hint}")
        if name in files:
            raise PolicyError(f"--file gives {name!r} twice; name one otherwise with NAME=PATH")
        files[name] = place
    return files


def read_mounts(given: Iterable[str]) -> list[Mount]:
    """The folders that ``--mount`` shows inside.

    Raises:
        PolicyError: one is not HOST:TARGET, is not there, or is not a place for a mount.
    """
    mounts = []
    for text in given:
        source, _, target = text.rpartition(":")
        if not source or not target:
            raise PolicyError(f"--mount {text!r}: write HOST:TARGET, as in ./data:/data")
        mounts.append(Mount(source=source, target=target))
    return mounts


def make_limits(*, timeout: float | None, memory: str | None, cpu: float | None) -> Limits:
    """The default limits but for what was given.

    Raises:
        PolicyError: a value is not allowed.
    """
    given = {"wall_seconds": timeout, "memory_bytes": memory, "cpu_seconds": cpu}
    return Limits.from_dict({name: value for name, value in given.items() if value is not None})


def make_policy(
    *,
    limits: Limits,
    mounts: Sequence[Mount],
    preload: Iterable[str],
    isolation: str,
    waive: Iterable[str],
    deny_imports: Iterable[str] | None,
    allow_imports: Iterable[str] | None,
) -> Policy:
    """The policy of one run; no sandbox is kept ready for a next one.

    Raises:
        PolicyError: a value is not allowed.
    """
    parts = {
        "limits": limits,
        "mounts": mounts,
        "deny_imports": None if deny_imports is None else _names(deny_imports),
        "allow_imports": None if allow_imports is None else _names(allow_imports),
        "isolation": isolation,
        "waive": _names(waive),
        "environment": Environment(preload=_names(preload), ready=0),
    }
    return Policy.from_dict(parts)


def _names(given: Iterable[str]) -> list[str]:
    """Names from options that may be repeated and may hold several, with commas."""
    return [name.strip() for text in given for name in text.split(",") if name.strip()]
