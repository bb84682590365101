"""What signals do at the start: nothing is inherited from the host.

"Ignored" and the mask of blocked signals survive fork and execve (signal(7)).  A host that ignores SIGQUIT,
as a shell's background job does, would hand that on to every program that model code starts.
"""

from __future__ import annotations

import signal

# As CPython has them: a write to a closed pipe, or beyond a limit, is an exception.
_IGNORED = {signal.SIGPIPE, signal.SIGXFSZ}


def clean_slate() -> None:
    """Every signal at its default, none blocked."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN if number in _IGNORED else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
