"""The command ``protocell``: see ``commands`` for what it can do, docs/cli.md for how it is used."""

from __future__ import annotations

import os
import signal
import sys

from protocell._zygotes import ZYGOTES
from protocell.environment import Environment
from protocell.execution import EXIT_CODES

ENVIRONMENT = Environment(ready=0)
"""What a run needs unless it is told otherwise; nobody comes after it for whom to keep one ready."""


def main() -> None:
    """Be the command; ends the process with one of the documented exit codes."""
    _open_standard_streams()
    try:
        _start_ahead(sys.argv[1:])
        from protocell.cli.commands import APP

        APP(prog_name="protocell")
    except KeyboardInterrupt:
        sys.exit(EXIT_CODES["cancelled"])
    finally:
        # What is left is cleaning up, and it is bounded: no further Ctrl-C shall tear it apart.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _start_ahead(arguments: list[str]) -> None:
    """Let the zygote start while the library that reads the options is loaded: both take as long."""
    others = ("-h", "--help", "--preload", "--isolation")
    if arguments[:1] == ["run"] and not any(each.startswith(others) for each in arguments):
        ZYGOTES.get(ENVIRONMENT)


def _open_standard_streams() -> None:
    """Put /dev/null where 0, 1 or 2 is closed, or a socket of ours could land there."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(number, "r" if number == 0 else "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)
