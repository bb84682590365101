"""Functions that code defined and that are kept: a folder of plain Python files, which every sandbox may be given."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from protocell.errors import FileError, PolicyError
from protocell.tools.approval import Approval
from protocell.tools.skill_folder import MOST_SKILLS, SkillFolder, Stamp
from protocell.tools.skill_text import (
    About,
    about_of,
    about_of_file,
    check_name,
    check_source,
    written,
)

MOST_BYTES_IN_ALL = 8 * 1024 * 1024
_MOST_LEARNED = 4 * MOST_SKILLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """One function that is kept."""

    name: str
    signature: str
    """``(rows: list[dict], key: str = 'id') -> dict``; ``(...)`` where no sandbox has looked at it yet."""
    doc: str
    """What it says about itself: a model's words, or whose the file is."""
    path: str
    """The file."""
    digest: str
    """SHA-256 of the file, as hex: another one means that it changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillRequest:
    """A function that code wants to be kept, for who has to agree to it."""

    name: str
    source: str
    """What is going to be run, in this sandbox and in later ones."""
    signature: str
    doc: str
    replaces: str = ""
    """The digest of the skill of that name that there is; nothing where there is none."""


Consent = Callable[[SkillRequest], "Approval | bool | Awaitable[Approval | bool]"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A skill with its text."""

    skill: Skill
    text: str
    about: About | None
    """None: nobody knows yet."""


Book = tuple[Entry, ...]


class Skills:
    """A folder of skills, for ``Sandbox(skills=...)``; any thread may use it, and any number of sandboxes.

    Each file is a plain Python module that defines a function of its own name; ``totals.py`` has
    ``totals``. They may be written by hand. In a sandbox the folder is mounted read-only at
    ``/opt/protocell/skills``, and code calls ``skills.totals(...)``, from its next execution on as the
    file is now. (To look at the files, code needs a folder that others than root may read.)

    Code cannot write there. ``Sandbox.save_skill`` keeps a function of its code; and with ``consent``
    code can ask for it by itself (``save_skill(function)``): it is called with a ``SkillRequest`` and
    returns True, False, or an ``Approval`` with a reason; in asyncio it may be a coroutine function.
    A skill runs with the rights of the sandbox that it is used in, tools included: read it before you agree.
    """

    def __init__(self, folder: str | os.PathLike[str], *, consent: Consent | None = None) -> None:
        """Makes the folder where it is not there.

        Raises:
            PolicyError: it is no folder, or ``consent`` is nothing to be called.
        """
        if consent is not None and not callable(consent):
            raise PolicyError(f"consent is {consent!r:.60}; allowed is a function, or None")
        self._folder = SkillFolder(folder)
        self.consent = consent
        self._lock = threading.Lock()
        self._read: dict[str, tuple[Stamp, Entry]] = {}
        self._learned: dict[str, About] = {}  # by digest
        self._left_out: dict[str, str] = {}
        self._book: Book = ()

    @property
    def folder(self) -> str:
        """Where the files are."""
        return self._folder.path

    def list(self) -> tuple[Skill, ...]:
        """What there is now, by name.

        Raises:
            FileError: the folder cannot be read.
        """
        return tuple(entry.skill for entry in self.book())

    def left_out(self) -> Mapping[str, str]:
        """Python files in the folder that are no skills, with the reason: links, odd names, too large, no text."""
        self.book()
        return dict(self._left_out)

    def read(self, name: str) -> str:
        """The text of a file.

        Raises:
            PolicyError, FileError: there is no such skill, or it cannot be read.
        """
        return _decoded(check_name(name), self._folder.read(name))

    def save(
        self, name: str, source: str, *, replace: bool = False, about: About | None = None
    ) -> Skill:
        """Write a skill: whole or not at all. Its source is not looked into, only what it is made of.

        ``about`` is what is known of its function; it is found by the next sandbox that is made otherwise.

        Raises:
            PolicyError: the name or the source is not allowed.
            FileError: there is one of that name, or it cannot be written.
        """
        text = written(check_source(check_name(name), source), about)
        with self._lock:
            book = self._scanned()
            there = next((entry for entry in book if entry.skill.name == name), None)
            if there is None or there.text != text:
                _check_room(book, there, text)
                self._folder.write(name, text.encode(), replace=replace)
                book = self._scanned()
        return next(entry.skill for entry in book if entry.skill.name == name)

    def remove(self, name: str) -> None:
        """Take a skill away; sandboxes do not find it from their next execution on.

        Raises:
            PolicyError, FileError: there is no such skill.
        """
        self._folder.remove(check_name(name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.folder!r})"

    # -- for sandboxes ----------------------------------------------------------------------------

    def book(self) -> Book:
        """The skills with their texts; the same object as long as none is another one."""
        with self._lock:
            return self._scanned()

    def learn(self, entry: Entry, told: object) -> None:
        """What a sandbox in which no code has run yet found out about a skill, or could not."""
        with self._lock:
            if len(self._learned) >= _MOST_LEARNED:
                self._learned.clear()
            self._learned[entry.skill.digest] = about_of(told) or About()
            self._read.pop(entry.skill.name, None)

    def _scanned(self) -> Book:
        listing = self._folder.list()
        self._left_out = listing.left_out
        found: list[Entry] = []
        room = MOST_BYTES_IN_ALL
        for name, stamp in listing.skills.items():
            room -= stamp.size
            if room < 0:
                self._left_out[name] = f"beyond {MOST_BYTES_IN_ALL:,} bytes of skills"
            elif (entry := self._entry(name, stamp)) is not None:
                found.append(entry)
        self._read = {name: kept for name, kept in self._read.items() if name in listing.skills}
        if tuple(found) != self._book:
            self._book = tuple(found)
        return self._book

    def _entry(self, name: str, stamp: Stamp) -> Entry | None:
        known = self._read.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            data = self._folder.read(name)
            text = _decoded(name, data)
        except FileError as error:  # taken away meanwhile, or no text
            self._left_out[name] = str(error)
            return None
        digest = hashlib.sha256(data).hexdigest()
        about = about_of_file(text) or self._learned.get(digest)
        skill = Skill(
            name=name,
            signature=(about.signature if about else "") or "(...)",
            doc=about.doc if about else "",
            path=os.path.join(self.folder, f"{name}.py"),
            digest=digest,
        )
        entry = Entry(skill, text, about)
        self._read[name] = stamp, entry
        return entry


def _decoded(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FileError(f"the skill {name!r} is no text in UTF-8", path=name) from error


def _check_room(book: Book, there: Entry | None, text: str) -> None:
    others = [entry for entry in book if entry is not there]
    if len(others) >= MOST_SKILLS:
        raise PolicyError(f"there are {len(others):,} skills, as many as may be; remove some")
    if sum(len(entry.text.encode()) for entry in others) + len(text.encode()) > MOST_BYTES_IN_ALL:
        raise PolicyError(f"the skills have {MOST_BYTES_IN_ALL:,} bytes, all they may; remove some")
