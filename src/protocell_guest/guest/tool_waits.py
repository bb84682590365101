"""Whether code awaits what the call of a tool gives it, or uses it as the value: read from the code itself.

In a cell that has an ``await`` somewhere, models write ``log = git.log()`` and go on with the text, and they write
``calls = [git.show(c) for c in commits]`` and gather these.  Both look the same at the call.  So it is looked at what
stands around it and what becomes of the name that it is stored under: what is awaited, or handed to ``gather`` and the
like, is a call on its way; all else is a value, and waited for at once.  Where a call is not the code's own business
(returned by a plain function, yielded) nobody knows, and it stays both (``tool_calls``).

Only positions and names are read, of instructions as ``dis`` tells them, so this holds from CPython 3.11 on. Code that
cannot be read, because its instructions have other names or no positions, is not guessed at: a call stays both there,
and who uses it as what it is not is told so by its name.
"""

from __future__ import annotations

import builtins
import dis
import warnings
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from inspect import CO_COROUTINE
from itertools import pairwise
from linecache import getlines
from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

AWAITERS = frozenset(
    (
        *("as_completed", "create_task", "ensure_future", "gather", "run_coroutine_threadsafe"),
        *("run_until_complete", "shield", "wait", "wait_for"),
    )
)
"""Functions that take what is awaited."""
_INLINE = frozenset(("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>"))
_IS_FAMILIAR = {"GET_AWAITABLE", "RETURN_VALUE", "STORE_FAST", "STORE_NAME"} <= dis.opmap.keys()
_HANDED_ON = ("RETURN_VALUE", "RETURN_GENERATOR", "YIELD_VALUE")
_MOST_REMEMBERED = 64

_Place = tuple[int, int]  # line and column


class _Span(NamedTuple):
    """From where to where an expression stands."""

    start: _Place
    end: _Place

    def has(self, other: _Span) -> bool:
        return self.start <= other.start and other.end <= self.end


class _Uses(NamedTuple):
    """What one code object does with awaitables."""

    names: frozenset[str]
    """That are awaited, or handed to who awaits them."""
    spans: tuple[_Span, ...]
    """Expressions that await, or hand to who awaits."""
    instructions: list[dis.Instruction]
    at: dict[int, _Span]
    """By the offset of an instruction."""

    @property
    def is_readable(self) -> bool:
        """Whether anything can be known of it; Python may run without positions (-X no_debug_ranges)."""
        return _IS_FAMILIAR and bool(self.at)

    def place(self, offset: int) -> int:
        """Of the instruction that is at work; while it calls, the offset may be that of its inline cache."""
        before = sum(each.offset <= offset for each in self.instructions)
        return before - 1


_remembered: dict[int, tuple[CodeType, _Uses]] = {}


def is_awaited(caller: FrameType) -> bool:
    """Whether the code that is calling now wants an awaitable of it, or may want one."""
    code = caller.f_code
    uses = _uses(code)
    here = uses.place(caller.f_lasti)
    if not uses.is_readable or not 0 <= here < len(uses.instructions) - 1:
        return True
    following = uses.instructions[here + 1]
    if following.opname == "GET_AWAITABLE" or _is_within(uses, here):
        return True
    if code.co_name in _INLINE:
        return _is_awaited_outside(caller)
    if following.opname in _HANDED_ON:
        # Who awaits a coroutine has its value then, and does not await that again.
        return not (code.co_flags & CO_COROUTINE and following.opname == "RETURN_VALUE")
    stored = _stored(following)
    return stored in uses.names if stored else bool(uses.names)


def _is_awaited_outside(caller: FrameType) -> bool:
    """Of a comprehension or a lambda: what the code around it does."""
    outer = caller.f_back
    while outer is not None and caller.f_code not in outer.f_code.co_consts:
        outer = outer.f_back
    if outer is None:
        return True
    if outer.f_code.co_name in _INLINE:
        return _is_awaited_outside(outer)
    uses = _uses(outer.f_code)
    return not uses.is_readable or bool(uses.names) or _is_within(uses, uses.place(outer.f_lasti))


def _is_within(uses: _Uses, index: int) -> bool:
    span = uses.at.get(uses.instructions[index].offset)
    return span is not None and any(each.has(span) for each in uses.spans)


def _stored(instruction: dis.Instruction) -> str:
    """The name that the value gets, if it gets just that."""
    if not instruction.opname.startswith("STORE_") or instruction.opname in _NO_NAME:
        return ""
    said = instruction.argval
    return str(said[0] if isinstance(said, tuple) else said)


_NO_NAME = ("STORE_SUBSCR", "STORE_ATTR", "STORE_SLICE")


def _uses(code: CodeType) -> _Uses:
    known = _remembered.get(id(code))
    if known is not None and known[0] is code:
        return known[1]
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    found = _found(code)
    if (whole := _whole_cell(code)) is not None:
        found = found._replace(names=found.names | _found(whole).names)
    _remembered[id(code)] = code, found
    return found


def _whole_cell(code: CodeType) -> CodeType | None:
    """Of a cell, the last expression is compiled by itself: what it awaits, the rest has stored."""
    if code.co_name != "<module>":
        return None
    source = "".join(getlines(code.co_filename))
    flags = PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they have been told when the cell was compiled
            whole: CodeType = compile(source, code.co_filename, "exec", flags, dont_inherit=True)
    # What it was compiled from had been changed.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return whole


def _found(code: CodeType) -> _Uses:
    # One with a large argument has another one ahead of it, which is nothing by itself.
    instructions = [each for each in dis.get_instructions(code) if each.opname != "EXTENDED_ARG"]
    at = {each.offset: span for each in instructions if (span := _span(each)) is not None}
    calls = list(_calls(instructions, at))
    awaiting = [span for name, span in calls if name in AWAITERS]
    pairs = list(pairwise(instructions))
    awaited = [
        at[one.offset] for one, _ in pairs if one.opname == "GET_AWAITABLE" and one.offset in at
    ]
    names = set(_names(pairs, at, [span for _, span in calls], awaiting))
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            names |= _found(inner).names
    return _Uses(
        names=frozenset(names),
        spans=(*awaiting, *awaited),
        instructions=instructions,
        at=at,
    )


def _span(instruction: dis.Instruction) -> _Span | None:
    at = instruction.positions
    if at is None or None in (at.lineno, at.end_lineno, at.col_offset, at.end_col_offset):
        return None
    return _Span((at.lineno or 0, at.col_offset or 0), (at.end_lineno or 0, at.end_col_offset or 0))


def _calls(
    instructions: Iterable[dis.Instruction], at: dict[int, _Span]
) -> Iterator[tuple[str, _Span]]:
    """The name of what is called, and where the call stands; the name is the last that begins where it does."""
    named: dict[_Place, tuple[str, _Place]] = {}
    for each in instructions:
        span = at.get(each.offset)
        if span is None:
            continue
        if each.opname == "LOAD_CONST":
            continue
        if each.opname.startswith("LOAD_") and isinstance(each.argval, str):
            named[span.start] = each.argval, span.end
        elif each.opname.startswith("CALL"):
            name, end = named.get(span.start, ("", span.end))
            yield (name if end < span.end else ""), span


def _names(
    pairs: list[tuple[dis.Instruction, dis.Instruction]],
    at: dict[int, _Span],
    calls: list[_Span],
    awaiting: list[_Span],
) -> Iterator[str]:
    for one, other in pairs:
        if "LOAD_" not in one.opname or one.offset not in at:  # 3.13 has STORE_FAST_LOAD_FAST
            continue
        if one.opname == "LOAD_CONST":
            continue
        said = one.argval if isinstance(one.argval, tuple) else (one.argval,)
        if other.opname == "GET_AWAITABLE":
            yield str(said[-1])
        elif other.opname != "GET_ITER":  # what is iterated over is a value; "*calls" is not
            place = at[one.offset]
            # A call that begins here is one of this name or of its method, as in gather(*calls.values()).
            around = [span for span in calls if span.has(place) and span.start != place.start]
            if min(around, key=_size, default=None) in awaiting:
                yield from map(str, said)


def _size(span: _Span) -> tuple[int, int]:
    return span.end[0] - span.start[0], span.end[1] - span.start[1]
