"""What can be told of a workspace without opening anything in it, as values; names and shapes are those of E2B's SDK.

Everything here was read from a tree that the code owns: names that are not printable on one line are left out and
counted, the rest is as the code made it, times and links included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class FileType(StrEnum):
    """What has a name in a folder; equal to its text, as in ``entry.type == "file"``."""

    FILE = "file"
    DIR = "dir"
    SYMLINK = "symlink"
    OTHER = "other"
    """A FIFO, a socket or a device: never opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteInfo:
    """A file that was written."""

    name: str
    type: FileType
    path: str
    """Below ``/home/user``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryInfo(WriteInfo):
    """One name in the workspace, as it was when it was looked at."""

    size: int
    """Bytes of a regular file; 0 for everything else."""
    mode: int
    """Permission bits, as in ``0o644``."""
    permissions: str
    """The same for people, as in ``rw-r--r--``."""
    owner: str
    """``user``, who has made everything that the code made; ``nobody`` for anyone else."""
    group: str
    modified_time: datetime
    """In UTC; the code can set it to anything."""
    symlink_target: str | None = None
    """What a link says, if that is printable; it is never followed."""


class Listing(list[EntryInfo]):
    """The entries of a folder by name; ``left_out`` says how many more there are, and why they are not here."""

    def __init__(
        self, entries: Iterable[EntryInfo] = (), *, left_out: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(entries)
        self.left_out: Mapping[str, int] = MappingProxyType(dict(left_out or {}))


class FilesystemEventType(StrEnum):
    """What has happened to a name in a folder that is watched."""

    CHMOD = "chmod"
    CREATE = "create"
    """Also the new name of what was renamed."""
    REMOVE = "remove"
    RENAME = "rename"
    """The name that it had before."""
    WRITE = "write"
    OVERFLOW = "overflow"
    """More has happened than the kernel keeps, and is lost: list the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemEvent:
    """Something that happened in a folder that is watched."""

    name: str
    """In the folder; ``.`` is the folder itself. Empty for ``OVERFLOW``."""
    type: FilesystemEventType


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an upload or download has come; the totals are those of the plan made at its beginning."""

    done_files: int
    total_files: int
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What an upload or download did: how many files and bytes, and what it left out, by reason."""

    files: int
    bytes: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "left_out", MappingProxyType(dict(self.left_out)))
