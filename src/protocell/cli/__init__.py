"""The command ``protocell``: see ``commands`` for what it can do, docs/cli.md for how it is used.

Little is imported before ``main`` has begun, and the library's front loads its names when they are used:
so Ctrl-C ends the command quietly from its first moments on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys

_INTERRUPTED = 128 + signal.SIGINT
_CANNOT_WRITE = {errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
# Where 0, 1 or 2 is closed: /dev/null, or a socket of ours could land there. In the wrong direction, so that
# reading code from the first and writing results to the second fails as it should; messages may be unwanted.
_STAND_INS = {0: os.O_WRONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}


def main() -> None:
    """Be the command; ends the process with one of the documented exit codes."""
    try:
        _open_standard_streams()
        _start_ahead(sys.argv[1:])
        from protocell.cli.commands import APP

        APP(prog_name="protocell")
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except OSError as error:
        sys.exit(_exit_code(error))
    finally:
        # What is left is cleaning up, and it is bounded: no further Ctrl-C shall tear it apart.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _start_ahead(arguments: list[str]) -> None:
    """Let the zygote start while the library that reads the options is loaded: both take as long."""
    others = ("-h", "--help", "--preload", "--isolation")
    if arguments[:1] == ["run"] and not any(each.startswith(others) for each in arguments):
        from protocell._boxes.zygotes import ZYGOTES
        from protocell.environment import Environment
        from protocell.errors import ProtocellError

        # Nobody comes after this run for whom to keep one ready.
        with contextlib.suppress(ProtocellError):  # who needs it asks again, and says what is wrong
            ZYGOTES.get(Environment(ready=0))


def _exit_code(error: OSError) -> int:
    """Say what this machine has run out of; any other error is a bug of ours, with its traceback."""
    from protocell._boxes.remedies import exhausted
    from protocell.errors import FileError, SetupError

    remedy = exhausted(error.errno)
    if remedy:
        sys.stderr.write(f"protocell: {error}: {remedy}\n")
        return SetupError.exit_code
    if error.errno not in _CANNOT_WRITE:
        raise error
    sys.stderr.write(f"protocell: cannot write the output: {error.strerror}\n")
    os.dup2(
        os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1
    )  # for what Python still has to write
    return FileError.exit_code


def _open_standard_streams() -> None:
    for number, mode in _STAND_INS.items():
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(number, "r" if number == 0 else "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)
