"""What a caller puts into a workspace: as bytes, within its limit, written through one descriptor."""

from __future__ import annotations

import os

from protocell.errors import FileError, PolicyError
from protocell.limits import format_size

Content = bytes | str | os.PathLike[str]


def content_of(path: str, data: object, most: int) -> bytes:
    """Bytes of what the caller gave, read from the host only when it is a path object.

    Raises:
        PolicyError: it is of another type.
        FileError: it is larger than ``most``, or the host's file cannot be read.
    """
    if isinstance(data, str):
        content = data.encode("utf-8", "surrogatepass")
    elif isinstance(data, bytes | bytearray | memoryview):
        content = bytes(data)
    elif isinstance(data, os.PathLike):
        try:
            with open(data, "rb") as file:
                content = file.read(most + 1)
        except OSError as error:
            raise FileError(f"cannot read {os.fspath(data)!r}: {error}", path=path) from error
    else:
        kinds = "bytes, text, or a path object (pathlib.Path) of a host file"
        raise PolicyError(f"the content for {path!r} is {type(data).__name__}; allowed is {kinds}")
    if len(content) > most:
        limit = f"file_bytes, {format_size(most)}"
        raise FileError(f"the content for {path!r} is larger than the limit {limit}", path=path)
    return content


def write_all(descriptor: int, content: bytes, path: str) -> None:
    """Write and close; ``path`` is for the message.

    Raises:
        FileError: there is no room.
    """
    left = memoryview(content)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            while left:
                left = left[file.write(left) :]
    except OSError as error:
        text = f"cannot write {path!r} in the workspace: {error.strerror}"
        raise FileError(text, path=path, errno=error.errno) from error
