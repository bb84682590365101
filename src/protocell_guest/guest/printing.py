"""``print`` without a newline at its end leaves at once: a dot for each step is to be seen while the steps are made.

Standard output is line buffered, so that one ``print`` is one write(2): with ``write_through`` it would be one for
each of its arguments, separators and ends, and take two or three times as long.  So what ends otherwise is flushed
here.  ``sys.stdout.write`` keeps a part of a line, as at a terminal.
"""

from __future__ import annotations

import builtins
import functools
import sys
from typing import Any

from protocell_guest.guest import streams

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))


def install() -> None:
    """Put it into the builtins, in this process and its children."""
    given = builtins.print
    if hasattr(given, "__protocell__"):
        return

    @functools.wraps(given)
    def print(*values: Any, **options: Any) -> None:  # noqa: A001  (it takes its place)
        given(*values, **options)
        if "end" in options:
            streams.let_go(options.get("file") or sys.stdout)

    print.__protocell__ = True  # type: ignore[attr-defined]
    builtins.print = print
