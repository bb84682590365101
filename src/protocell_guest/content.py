"""What tools give that is neither data nor text: typed objects, which never print their bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, repr=False)
class Blob:
    """Bytes that have a type; base of ``Image`` and ``Audio``."""

    data: bytes
    mime_type: str

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.mime_type}, {len(self.data)} bytes>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the bytes into a file; raises OSError."""
        with open(path, "wb") as file:
            file.write(self.data)


class Image(Blob):
    """A picture. ``data`` has its bytes, ``save(path)`` writes them, and a notebook shows it."""

    __slots__ = ()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """What a notebook takes in place of the text of an object: base64, but of SVG its text."""
        is_text = self.mime_type == "image/svg+xml"
        form = self.data.decode("utf-8", "replace") if is_text else base64_of(self.data)
        return {self.mime_type: form, "text/plain": repr(self)}


class Audio(Blob):
    """A sound. ``data`` has its bytes, and ``save(path)`` writes them."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ResourceLink:
    """Where something can be read that a server offers; it has not been read."""

    uri: str
    name: str = ""
    description: str = ""
    mime_type: str = ""
    size: int | None = None
    """Bytes, where the server says so."""


@dataclass(frozen=True, slots=True, repr=False)
class Resource:
    """Something that a server keeps under an address: its text, or its bytes."""

    uri: str
    mime_type: str = ""
    text: str | None = None
    data: bytes | None = None

    def __repr__(self) -> str:
        much = f"{len(self.data or b'')} bytes"
        if self.text is not None:
            much = f"{len(self.text)} characters"
        return f"<Resource {' '.join(filter(None, (self.uri, self.mime_type)))}, {much}>"


def base64_of(data: bytes) -> str:
    """The bytes as base64, on one line."""
    from binascii import b2a_base64  # noqa: PLC0415  (an extension module that few sandboxes need)

    return b2a_base64(data, newline=False).decode("ascii")


def bytes_of(text: str) -> bytes:
    """The bytes that base64 stands for.

    Raises:
        ValueError: it is not base64.
    """
    from binascii import a2b_base64  # noqa: PLC0415  (as above)

    return a2b_base64(text, strict_mode=True)
