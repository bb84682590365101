"""What can go wrong on our side, as exceptions; what guest code does is data, an ``Execution``.

    ProtocellError                       base; the message says what to do next
    |-- PolicyError (ValueError)         the request is wrong
    |-- UnsupportedError                 this machine cannot enforce that: .missing, .remedy
    |-- SetupError                       a step failed while a sandbox was being made: .step, .errno
    |-- SandboxDiedError                 the sandbox ended untold: .exit_status
    |-- ProtocolError                    the sandbox sent a bad frame, was killed, is not believed
    |-- BusyError                        two callers at once in one sandbox
    |-- ClosedError                      used after it was closed or killed
    |-- FileError (OSError)              path outside the workspace, no file, too large: .path
    |-- CheckpointError                  no copy of an interpreter can be made, or gone back to
    `-- GuestError                       only by Execution.raise_for_error(): .execution

One table for every front door (the command line ends with the exit code):

    class               guest code ran    state survives    exit code
    ProtocellError      perhaps           perhaps           4
    PolicyError         no                yes               2
    UnsupportedError    no                no                3
    SetupError          no                no                4
    SandboxDiedError    perhaps           no                5
    ProtocolError       perhaps           no                6
    BusyError           no                yes               7
    ClosedError         no                no                8
    FileError           perhaps           yes               9
    CheckpointError     perhaps           perhaps           10
    GuestError          yes               perhaps           1

"State" is the sandbox: its variables and files. Exit code 0 means that the code ended well; what
the other endings of an execution give (timeout, memory, ...) is in ``execution.EXIT_CODES``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from protocell.execution import Execution

Answer = Literal["yes", "no", "perhaps"]


class ProtocellError(Exception):
    """Ours, until a more exact class says otherwise; the base of them all."""

    guest_code_ran: ClassVar[Answer] = "perhaps"
    state_survives: ClassVar[Answer] = "perhaps"
    exit_code: ClassVar[int] = 4


class PolicyError(ProtocellError, ValueError):
    """Yours: the request is wrong; nothing ran."""

    guest_code_ran = "no"
    state_survives = "yes"
    exit_code = 2


class UnsupportedError(ProtocellError):
    """This machine's: it cannot enforce what was asked for; nothing ran, nothing weaker either."""

    guest_code_ran = "no"
    state_survives = "no"
    exit_code = 3

    def __init__(self, message: str, *, missing: tuple[str, ...] = (), remedy: str = "") -> None:
        super().__init__(message)
        self.missing = missing
        self.remedy = remedy


class SetupError(ProtocellError):
    """Ours or this machine's: a step failed while a sandbox was being made; no guest code ran."""

    guest_code_ran = "no"
    state_survives = "no"
    exit_code = 4

    def __init__(self, message: str, *, step: str = "", errno: int | None = None) -> None:
        super().__init__(message)
        self.step = step
        self.errno = errno


class SandboxDiedError(ProtocellError):
    """Not yours: the sandbox ended although nobody told it to; its variables and files are lost."""

    guest_code_ran = "perhaps"
    state_survives = "no"
    exit_code = 5

    def __init__(self, message: str, *, exit_status: int | None = None) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class ProtocolError(ProtocellError):
    """The guest code's: it sent what ours never sends, so the sandbox was killed, unbelieved."""

    guest_code_ran = "perhaps"
    state_survives = "no"
    exit_code = 6


class BusyError(ProtocellError):
    """Yours: an execution is going on in this sandbox; wait for it, or use another one."""

    guest_code_ran = "no"
    state_survives = "yes"
    exit_code = 7


class ClosedError(ProtocellError):
    """Yours: the sandbox was closed or killed before; make a new one."""

    guest_code_ran = "no"
    state_survives = "no"
    exit_code = 8


class FileError(ProtocellError, OSError):
    """Yours or the guest code's: a path outside the workspace, not a file, or too large."""

    guest_code_ran = "perhaps"
    state_survives = "yes"
    exit_code = 9

    def __init__(self, message: str, *, path: str = "", errno: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.errno = errno


class CheckpointError(ProtocellError):
    """Yours or the guest code's: there is no such checkpoint, or the interpreter cannot be copied now."""

    exit_code = 10


class GuestError(ProtocellError):
    """The guest code's: it did not end well; only ``Execution.raise_for_error()`` raises this."""

    guest_code_ran = "yes"
    state_survives = "perhaps"
    exit_code = 1

    def __init__(self, execution: Execution) -> None:
        super().__init__(execution)
        self.execution = execution

    def __str__(self) -> str:
        error = self.execution.error
        return f"{self.execution.reason} ({error})" if error is not None else self.execution.reason
