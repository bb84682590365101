"""Standard output and error as they have to be for the next cell, whatever the last one did to them."""

from __future__ import annotations

import builtins
import sys
from typing import Any

# Functions of this module keep these builtins when the code assigns to builtins.open or the like.
globals()["__builtins__"] = dict(vars(builtins))

NAMES = ("stdout", "stderr")


def repair(given: tuple[Any, Any]) -> None:
    """Put back the given ones, or new ones, in the place of what is gone or closed. What was replaced stays."""
    for name, descriptor, stream in zip(NAMES, (1, 2), given, strict=True):
        if not _is_open(getattr(sys, name, None)):
            setattr(sys, name, stream if _is_open(stream) else _reopened(descriptor))


def flush(*given: Any) -> None:
    """Let these and the present ones go out, whatever they are."""
    for stream in (*given, *(getattr(sys, name, None) for name in NAMES)):
        try:
            stream.flush()
        except BaseException:  # noqa: BLE001, S112
            # Closed, None, or the code's own and broken: what it holds is lost, and that is the
            # code's loss alone. The cell has ended; there is nobody left to tell.
            continue


def _is_open(stream: Any) -> bool:
    try:
        return stream is not None and not getattr(stream, "closed", False)
    except BaseException:  # noqa: BLE001  (ValueError if detached; anything if it is the code's)
        return False


def _reopened(descriptor: int) -> Any:
    try:
        return open(
            descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
        )
    except OSError:
        return None  # the descriptor itself is closed: print() does nothing, as in plain Python
