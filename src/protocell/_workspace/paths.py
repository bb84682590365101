"""Says which file of the workspace a path means, before anything is opened.

A path comes from the caller, who may have it from a model. So it is text, of one line that a terminal shows as it
is, and never leaves the workspace by its wording; that it does not leave by a link is _workspace.py's business.
"""

from __future__ import annotations

import errno

from protocell._printable import is_printable_line, printable_line
from protocell.errors import FileError

MAX_DEPTH = 64
MAX_NAME_BYTES = 255  # NAME_MAX of limits.h
MAX_PATH_BYTES = 4096  # PATH_MAX

_HOME = ("home", "user")


def normalise(path: str) -> tuple[str, ...]:
    """The components below /home/user of ``a/b``, ``~/a/b`` or ``/home/user/a/b``; none for the workspace itself.

    Raises:
        FileError: the path leaves the workspace, or no file that we take can have this name.
    """
    _check_text(path)
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise bad_path(path, "has '..' in it; write the path without")
    if path.startswith("/"):
        if parts[:2] != _HOME:
            message = (
                "is not in the workspace; only files below /home/user can be reached from outside"
            )
            raise bad_path(path, message)
        parts = parts[2:]
    elif parts[:1] == ("~",) and path.startswith("~"):
        parts = parts[1:]
    if len(parts) > MAX_DEPTH:
        raise bad_path(path, f"has more than {MAX_DEPTH} components")
    if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise bad_path(path, f"has a name of more than {MAX_NAME_BYTES} bytes in it")
    return parts


def bad_path(path: str, text: str, number: int = errno.EINVAL) -> FileError:
    """The error that says this about the path, which may be of any length and hold anything."""
    return FileError(f"'{printable_line(path, 100)}' {text}", path=path, errno=number)


def _check_text(path: str) -> None:
    if not isinstance(path, str):
        raise TypeError(f"a path in the workspace is a str, not {type(path).__name__}")
    if not path:
        raise bad_path(path, "is empty; '.' is the workspace itself")
    if not is_printable_line(path):
        raise bad_path(path, "has a control character, a line break or a lone surrogate in it")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise bad_path(path, f"is longer than {MAX_PATH_BYTES} bytes")
