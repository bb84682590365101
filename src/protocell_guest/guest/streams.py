"""Standard output and error as they have to be for the next cell, whatever the last one did to them."""

from __future__ import annotations

import builtins
import sys
from os import getpid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Functions of this module keep these builtins when the code assigns to builtins.open or the like.
globals()["__builtins__"] = dict(vars(builtins))

NAMES = ("stdout", "stderr")

_made: list[Any] = []
_raw: list[Any] = []  # of the streams that are made here, what writes to the descriptor
_others: list[Any] = []


def opened(descriptor: int) -> Any:
    """Text on this descriptor, as the code is to find it.

    Raises:
        OSError: it is closed.
    """
    # Line buffered: what is printed reaches the host while the code still runs.
    stream: Any = open(  # noqa: SIM115  (lives as long as we do)
        descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )
    _made.append(stream)
    _raw.append(stream.buffer.raw)
    return stream


def let_go(stream: Any) -> None:
    """If it is one of these, let what it holds of a line go out."""
    for one in _made:
        if one is stream:
            one.flush()


def before_text(tell: Callable[[], None] | None) -> None:
    """Have this called once, before the next text of this process goes out; None: nobody wants to know any more."""
    for raw in _raw:
        vars(raw).pop("write", None)
    if tell is not None:
        for raw in _raw:
            raw.write = _telling(tell)


def _telling(tell: Callable[[], None]) -> Callable[[object], int]:
    process = getpid()

    def write(_data: object) -> int:
        before_text(None)
        if getpid() == process:
            tell()
        # Nothing of it is written, so the buffer comes again. Were it written here, an interrupt on the way back
        # would make the buffer believe that it was not.
        return 0

    return write


def repair(given: tuple[Any, Any]) -> None:
    """Put back the given ones, or new ones, in the place of what is gone or closed. What was replaced stays."""
    for name, descriptor, stream in zip(NAMES, (1, 2), given, strict=True):
        if not _is_open(getattr(sys, name, None)):
            setattr(sys, name, stream if _is_open(stream) else _reopened(descriptor))


def also_flush(action: Callable[[], object]) -> None:
    """Have this done as well, and first, whenever all is to go out."""
    _others[:] = [SimpleNamespace(flush=action)]


def flush(*given: Any) -> None:
    """Let these and the present ones go out, whatever they are.

    Raises:
        KeyboardInterrupt: it came while they did.
    """
    for stream in (*_others, *given, *(getattr(sys, name, None) for name in NAMES)):
        try:
            stream.flush()
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S112
            # Closed, None, or the code's own and broken: what it holds is lost, and that is the
            # code's loss alone.
            continue


def _is_open(stream: Any) -> bool:
    try:
        return stream is not None and not getattr(stream, "closed", False)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  (ValueError if detached; anything if it is the code's)
        return False


def _reopened(descriptor: int) -> Any:
    try:
        return opened(descriptor)
    except OSError:
        return None  # the descriptor itself is closed: print() does nothing, as in plain Python
