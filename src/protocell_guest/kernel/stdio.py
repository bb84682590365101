"""Standard output of C code: it goes out with each line, and at the end of an execution (setvbuf(3), fflush(3)).

Theory of operation
-------------------
To a pipe, C's stdio writes 4 KiB at a time: what code in C prints would come long after what Python prints, be
lost when the process is killed, and come once more out of each copy of it.  So lines are sent as they end, as to
a terminal.  What is left of a line is sent when Python's own streams are flushed.
"""

from __future__ import annotations

from protocell_guest.kernel import _libc


def buffer_lines() -> None:
    """From now on, in this process and its forks; before anything is written."""
    _libc.buffer_lines()


def flush() -> None:
    """Send what there is of a line."""
    _libc.flush_stdout()
