"""How an exception of model-written code becomes text: readable, like Python's own, and bounded.

There are two forms. The *usual* one is the standard library's, so that the text is what this
version of Python prints, carets, notes, groups and suggestions included; only frames that are not
the user's are taken out, and long stacks are shortened. The *plain* one is written here. It uses
nothing that the code could have replaced, and its cost is bounded whatever the exception is made
of. It serves where the usual form could cost too much (a chain of a million exceptions, a message
of 100 MB) or fails (the code broke the modules that it is made with).

Nothing of this protects anyone but the code from itself: whoever runs in this process can print
what he likes. The host bounds and checks what arrives once more.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import tokenize
import unicodedata
from itertools import groupby, islice
from traceback import FrameSummary, StackSummary, TracebackException
from typing import TYPE_CHECKING, Any, NamedTuple

from protocell_guest.guest.clipping import clip
from protocell_guest.guest.plain_tracebacks import (
    FIRST_FRAMES,
    LAST_FRAMES,
    LINE_SHOWN,
    NO_MESSAGE,
    REPEATS_SHOWN,
    class_name,
    frames_of,
    is_ours,
    left_out,
    members_of,
    message,
    older_of,
    plain,
    repeated,
    traceback_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

# traceback and linecache import these when first needed; nothing is imported after the code ran.
_LAZY_IMPORTS_OF_TRACEBACK = (ast, tokenize, unicodedata)

MAX_NAME = 200
MAX_VALUE = 10_000
MAX_TRACEBACK = 100_000

# What the usual form is asked to do at most. A stack of the default recursion limit fits.
_MOST_EXCEPTIONS = 100
_MOST_FRAMES = 5_000
_MOST_CHARACTERS = 10_000
_MOST_NOTES = 100

_bases_of = type.__dict__["__mro__"].__get__
_namespace_of = type.__dict__["__dict__"].__get__
_SYNTAX = ("msg", "filename", "text", "lineno", "offset", "end_lineno", "end_offset")
_PARTS = frozenset(
    (
        *("__cause__", "__context__", "__suppress_context__", "__traceback__", "__notes__"),
        *("__getattribute__", "__bool__", "__len__", "exceptions"),
    )
)
_OWN_CLASSES = frozenset(kind for kind in vars(builtins).values() if isinstance(kind, type))


class Failure(NamedTuple):
    """What the host is told of an exception; sizes are bounded in bytes of UTF-8."""

    name: str
    value: str
    traceback: str


def describe(error: BaseException) -> Failure:
    """The exception as text. Does not raise, whatever the exception is made of."""
    value = message(error)
    return Failure(
        name=clip(class_name(type(error)), MAX_NAME),
        value=clip(value, MAX_VALUE),
        traceback=clip(_text(error, value), MAX_TRACEBACK, around="\n"),
    )


def _text(error: BaseException, value: str) -> str:
    try:
        # A __str__ that failed once is not called again: it may be an interrupt that ended it.
        if value is not NO_MESSAGE and len(value) <= _MOST_CHARACTERS and _is_moderate(error):
            return _usual(error)
    except BaseException:  # noqa: BLE001, S110  (replaced modules, no memory, a signal handler)
        pass  # the plain form is for this
    try:
        return plain(error, value)
    except BaseException:  # noqa: BLE001  (no memory, a signal handler)
        return class_name(type(error)) + "\n"


# -- the usual form ----------------------------------------------------------------------------------


def _usual(error: BaseException) -> str:
    shown = TracebackException(
        type(error), error, traceback_of(error), lookup_lines=False, compact=True
    )
    for part in _parts(shown):
        part.stack = _shortened(part.stack)
    return "".join(shown.format())


def _parts(shown: TracebackException) -> Iterator[TracebackException]:
    waiting: list[TracebackException | None] = [shown]
    while waiting:
        part = waiting.pop()
        if part is not None:
            yield part
            waiting += (part.__cause__, part.__context__, *(part.exceptions or ()))


class _Remark(FrameSummary):
    """A line that stands for frames that are not shown."""

    __slots__ = ("frames", "text")

    def __init__(self, text: str, frames: int) -> None:
        super().__init__("", 0, "", lookup_line=False)
        self.text = text
        self.frames = frames


class _Stack(StackSummary):
    """Frames and remarks, printed by the standard library."""

    def format_frame_summary(self, frame_summary: FrameSummary, **options: Any) -> str:
        if isinstance(frame_summary, _Remark):
            return frame_summary.text
        return super().format_frame_summary(frame_summary, **options)


def _shortened(stack: Iterable[FrameSummary]) -> _Stack:
    frames: list[FrameSummary] = []
    users = (frame for frame in stack if not is_ours(frame.filename))
    for _, group in groupby(users, key=lambda frame: (frame.filename, frame.lineno, frame.name)):
        run = list(group)
        frames += run[:REPEATS_SHOWN]
        if repeats := len(run[REPEATS_SHOWN:]):
            frames.append(_Remark(repeated(repeats), repeats))
    if len(frames) > FIRST_FRAMES + LAST_FRAMES:
        middle = frames[FIRST_FRAMES:-LAST_FRAMES]
        count = sum(frame.frames if isinstance(frame, _Remark) else 1 for frame in middle)
        frames[FIRST_FRAMES:-LAST_FRAMES] = [_Remark(left_out(count), count)]
    return _Stack(_moderated(frame) for frame in frames)


def _moderated(frame: FrameSummary) -> FrameSummary:
    """The frame, without carets and with a shortened line if its line or lines are very long."""
    if isinstance(frame, _Remark):
        return frame
    first = frame.lineno or 0
    lines = range(first, (frame.end_lineno or first) + 1)
    if (
        len(frame.filename) + len(frame.name) <= LINE_SHOWN
        and len(lines) <= LINE_SHOWN
        and sum(len(linecache.getline(frame.filename, number)) for number in lines) <= LINE_SHOWN
    ):
        return frame
    line = clip(linecache.getline(frame.filename, first).strip(), LINE_SHOWN)
    filename, name = clip(frame.filename, LINE_SHOWN), clip(frame.name, LINE_SHOWN)
    return FrameSummary(filename, first, name, lookup_line=False, line=line)


# -- whether the usual form can be had ---------------------------------------------------------------


def _is_moderate(error: BaseException) -> bool:
    """Whether the standard library gets through with it in little time and memory.

    It follows causes and contexts once each, but members of groups as often as it meets them: a few
    nested groups that share members make a tree of any size (as in "billion laughs").
    """
    waiting, seen, count, frames = [error], set[int](), 0, 0
    while waiting:
        one = waiting.pop()
        seen.add(id(one))
        count += 1
        frames += sum(1 for _ in islice(frames_of(one), _MOST_FRAMES + 1))
        if count > _MOST_EXCEPTIONS or frames > _MOST_FRAMES or not _is_simple(one):
            return False
        older, _ = older_of(one)
        if older is not None and id(older) not in seen:
            waiting.append(older)
        if issubclass(type(one), BaseExceptionGroup):
            waiting += members_of(one)[: _MOST_EXCEPTIONS + 1]
    return True


def _is_simple(error: BaseException) -> bool:
    """Whether the parts that the standard library will read are what they seem, and small."""
    kind = type(error)
    guarded = _PARTS.union(_SYNTAX) if issubclass(kind, SyntaxError) else _PARTS
    for base in _bases_of(kind):
        if base not in _OWN_CLASSES and not guarded.isdisjoint(_namespace_of(base)):
            return False
    return (
        _is_small(message(error))
        and _has_small_notes(error)
        and not (issubclass(kind, SyntaxError) and not _is_small_syntax_error(error))
    )


def _is_small(value: object) -> bool:
    if type(value) is str:
        return len(value) <= _MOST_CHARACTERS
    return value is None or (type(value) is int and abs(value) <= _MOST_CHARACTERS**2)


def _has_small_notes(error: BaseException) -> bool:
    notes = getattr(error, "__notes__", None)
    if notes is None:
        return True
    return type(notes) is list and len(notes) <= _MOST_NOTES and all(map(_is_small, notes))


def _is_small_syntax_error(error: BaseException) -> bool:
    parts = {name: getattr(error, name) for name in _SYNTAX}
    offsets = (parts["offset"] or 0, parts["end_offset"] or 0)
    return all(map(_is_small, parts.values())) and all(
        type(offset) is int and abs(offset) <= _MOST_CHARACTERS for offset in offsets
    )
