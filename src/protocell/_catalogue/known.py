"""Definitions of tools that somebody has seen and trusts: a file of the caller's, written by the host alone.

What is not there yet is written at the first look, so the first use is trusted. After that it is only compared: what
changed is told again and again until somebody accepts it, since a notice that is told once may be told to nobody.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

from protocell.errors import FileError, PolicyError

_VERSION = 1
_MOST_BYTES = 64 << 20
_MARK = "protocell: known definitions of tools"


def read(path: str | PathLike[str]) -> dict[str, str] | None:
    """The digests in the file, by id; None where there is no file.

    Raises:
        PolicyError: it is another file.
        FileError: it cannot be read.
    """
    try:
        with open(path, encoding="ascii") as file:
            told = json.loads(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        told = None
    except OSError as error:
        text = f"the file of known tools cannot be read: {error}"
        raise FileError(text, path=fspath(path), errno=error.errno) from error
    digests = _digests(told)
    if digests is None:
        raise PolicyError(
            f"{fspath(path)!r} is no file of known tools; name another one, or delete it so that the "
            "definitions that there are now count as known"
        )
    return digests


def write(path: str | PathLike[str], digests: Mapping[str, str]) -> None:
    """From now on these are known; whoever reads meanwhile finds the old file or the new one.

    Raises:
        FileError: it cannot be written.
    """
    told = {"about": _MARK, "version": _VERSION, "digests": dict(sorted(digests.items()))}
    try:
        _replace(fspath(path), json.dumps(told, indent=1) + "\n")
    except OSError as error:
        text = f"the file of known tools cannot be written: {error}"
        raise FileError(text, path=fspath(path), errno=error.errno) from error


def _digests(told: Any) -> dict[str, str] | None:
    if not isinstance(told, dict) or (told.get("about"), told.get("version")) != (_MARK, _VERSION):
        return None
    digests = told.get("digests")
    is_text = isinstance(digests, dict) and all(isinstance(each, str) for each in digests.values())
    return digests if is_text else None


def _replace(path: str, text: str) -> None:
    folder, name = os.path.split(path)
    descriptor, temporary = tempfile.mkstemp(dir=folder or ".", prefix=f".{name}.")
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
