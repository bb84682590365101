"""An exception as plain text, at a bounded cost, whatever it is made of and whatever was replaced.

Used where the standard library's form could cost too much or fails; see tracebacks.py. Of what the
code could have replaced only ``linecache`` is used, and a failure of it costs the source lines.
"""

from __future__ import annotations

import builtins
import linecache
from collections import deque
from itertools import groupby, islice
from typing import TYPE_CHECKING

from protocell_guest.guest.clipping import clip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

REPEATS_SHOWN = 3  # as in CPython, traceback._RECURSIVE_CUTOFF
FIRST_FRAMES = 40
LAST_FRAMES = 60
LINE_SHOWN = 2_000
NO_MESSAGE = "<exception str() failed>"  # as in CPython
_MESSAGE_SHOWN = 10_000
_LINKS_SHOWN = 16
_MEMBERS_SHOWN = 15  # as in CPython, max_group_width

_hidden = [__file__.rpartition("/guest/")[0] + "/"]
_IMPORTLIB = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"

# The C getters: a class of the code's may give these names another meaning.
_name_of = type.__dict__["__name__"].__get__
_is_context_hidden = BaseException.__dict__["__suppress_context__"].__get__
_cause_of = BaseException.__dict__["__cause__"].__get__
_context_of = BaseException.__dict__["__context__"].__get__
traceback_of = BaseException.__dict__["__traceback__"].__get__
members_of = BaseExceptionGroup.__dict__["exceptions"].__get__


def class_name(kind: type) -> str:
    """The name of a class, whatever its metaclass says."""
    return str.__str__(_name_of(kind))


def message(error: BaseException) -> str:
    """``str(error)`` as an exact str, or what CPython prints if that fails."""
    try:
        return str.__str__(str(error))
    except BaseException:  # noqa: BLE001  (the code's own __str__ can raise anything)
        return NO_MESSAGE


def frames_of(error: BaseException) -> Iterator[TracebackType]:
    """The entries of its traceback, the newest last."""
    trace: TracebackType | None = traceback_of(error)
    while trace is not None:
        yield trace
        trace = trace.tb_next


def older_of(error: BaseException) -> tuple[BaseException | None, str]:
    """The exception that is shown before this one, and what stands between them."""
    if (cause := _cause_of(error)) is not None:
        return cause, _CAUSE
    return (None, "") if _is_context_hidden(error) else (_context_of(error), _CONTEXT)


def is_ours(filename: str) -> bool:
    """Whether code of this file is the sandbox's or the import system's, which no user wants to see."""
    return filename.startswith(tuple(_hidden)) or filename in _IMPORTLIB


def hide(folder: str) -> None:
    """Show no frames of this folder's code either."""
    if folder + "/" not in _hidden:
        _hidden.append(folder + "/")


def repeated(count: int) -> str:
    """CPython's line for frames that repeat."""
    return f"  [Previous line repeated {count} more time{'s' if count > 1 else ''}]\n"


def left_out(count: int) -> str:
    """Our line for frames that are not shown."""
    return f"  [... {count:,} frames left out ...]\n"


def plain(error: BaseException, value: str) -> str:
    """The exception with its chain, members of groups and stacks, each up to a number.

    ``value`` is its message, which is not asked for again.
    """
    text = ""
    for link, joint in reversed(list(_chain(error))):
        text += joint + _one(link, value if link is error else message(link))
    return text


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """The newest exceptions, newest first, each with what stands between it and the one before."""
    seen: set[int] = set()
    while True:
        seen.add(id(error))
        older, joint = older_of(error)
        if older is None or id(older) in seen:
            yield error, ""
            return
        if len(seen) == _LINKS_SHOWN:
            yield error, "[... the exceptions before this one are left out ...]\n\n"
            return
        yield error, joint
        error = older


def _one(error: BaseException, value: str) -> str:
    stack = "".join(_stack(error))
    text = f"Traceback (most recent call last):\n{stack}" if stack else ""
    text += _final_line(error, value)
    if issubclass(type(error), BaseExceptionGroup):
        members = members_of(error)
        for member in members[:_MEMBERS_SHOWN]:
            text += "  | " + _final_line(member, message(member))
        if more := len(members[_MEMBERS_SHOWN:]):
            text += f"  | and {more:,} more\n"
    return text


def _final_line(error: BaseException, value: str) -> str:
    return class_name(type(error)) + (f": {clip(value, _MESSAGE_SHOWN)}\n" if value else "\n")


def _stack(error: BaseException) -> Iterator[str]:
    runs = _runs(error)
    for run in islice(runs, FIRST_FRAMES):
        yield from _run(*run)
    last: deque[tuple[str, int, str, int]] = deque()
    hidden = 0
    for run in runs:
        last.append(run)
        if len(last) > LAST_FRAMES:
            hidden += last.popleft()[-1]
    if hidden:
        yield left_out(hidden)
    for run in last:
        yield from _run(*run)


def _runs(error: BaseException) -> Iterator[tuple[str, int, str, int]]:
    """File, line, function, and how often they follow upon themselves."""
    places = ((one.tb_frame.f_code, one.tb_lineno or 0) for one in frames_of(error))
    users = ((code, line) for code, line in places if not is_ours(code.co_filename))
    for (code, line), group in groupby(users):
        yield code.co_filename, line, code.co_name, sum(1 for _ in group)


def _run(filename: str, number: int, name: str, count: int) -> Iterator[str]:
    filename, name = clip(filename, LINE_SHOWN), clip(name, LINE_SHOWN)
    line = clip(_source(filename, number), LINE_SHOWN)
    place = f'  File "{filename}", line {number}, in {name}\n' + (f"    {line}\n" if line else "")
    yield place * min(count, REPEATS_SHOWN)
    if count > REPEATS_SHOWN:
        yield repeated(count - REPEATS_SHOWN)


def _source(filename: str, number: int) -> str:
    try:
        return str.__str__(linecache.getline(filename, number)).strip()
    except BaseException:  # noqa: BLE001  (the code replaced linecache)
        return ""
