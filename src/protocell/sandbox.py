"""The blocking face of a sandbox, and ``run_code``: a sandbox used once."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Self, overload

from protocell._core import Core, OnText, run_once
from protocell._transfer import Content
from protocell._waiter import BlockingWaiter, drive
from protocell.errors import FileError, PolicyError
from protocell.execution import Execution
from protocell.files import Entry, Listing
from protocell.policy import Policy


class Files:
    """The workspace of a sandbox, ``/home/user``, from outside."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def write(self, path: str, data: Content) -> Entry:
        """Put a file there: bytes, text (as UTF-8) or, given a ``pathlib.Path``, a file of the host.

        Raises:
            FileError: the path leaves the workspace, or there is no room.
        """
        return drive(self._core.write_file(path, data))

    @overload
    def read(self, path: str, format: Literal["text"] = "text") -> str: ...
    @overload
    def read(self, path: str, format: Literal["bytes"]) -> bytes: ...
    def read(self, path: str, format: Literal["text", "bytes"] = "text") -> str | bytes:
        """The content of a regular file, as text (UTF-8) or bytes.

        Raises:
            FileError: it is not there, not a regular file, larger than ``files_out_bytes``, not text.
        """
        return as_format(drive(self._core.read_file(path)), path, format)

    def list(self, path: str = "/home/user") -> Listing:
        """What is in a folder, by name.

        Raises:
            FileError: there is no such folder.
        """
        return drive(self._core.list_files(path))


def as_format(content: bytes, path: str, format: str) -> str | bytes:
    """Bytes as they are, or as text."""
    if format == "bytes":
        return content
    if format != "text":
        raise PolicyError(f"format is {format!r}; allowed is 'text' or 'bytes'")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        text = f"{path!r} is not UTF-8 text (byte {error.start}); use format='bytes'"
        raise FileError(text, path=path) from error


class Sandbox:
    """An isolated place where code runs and variables live on from call to call.

    It is made when it is first used, and gone after ``with``, after ``close`` or ``kill``, when it is
    garbage-collected, or when this process ends.  One execution at a time.
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self._core = Core(policy, BlockingWaiter())
        self.files = Files(self._core)

    @property
    def policy(self) -> Policy:
        """What the code may do."""
        return self._core.policy

    def run_code(
        self,
        code: str,
        *,
        timeout: float | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
    ) -> Execution:
        """Run code; ``timeout`` in seconds is for this call, in place of ``limits.wall_seconds``.

        Raises:
            PolicyError: the arguments are wrong; nothing ran.
            BusyError: other code is running here.
            ClosedError, SandboxDiedError, UnsupportedError, SetupError: there is no sandbox.
        """
        return drive(
            self._core.run_code(code, timeout=timeout, on_stdout=on_stdout, on_stderr=on_stderr)
        )

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the code that is running; from another thread."""
        self._core.interrupt()

    def kill(self) -> None:
        """End the sandbox with everything in it; from any thread."""
        self._core.close()

    def close(self) -> None:
        """The same as ``kill``."""
        self._core.close()

    def __enter__(self) -> Self:
        drive(self._core.open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def run_code(
    code: str,
    *,
    policy: Policy | None = None,
    files: Mapping[str, Content] | None = None,
    timeout: float | None = None,
) -> Execution:
    """Run code in a sandbox of its own, and return what came of it.

    ``files`` are put into the workspace first: name to bytes, text, or a ``pathlib.Path`` of the host.

    Raises:
        PolicyError, FileError: the arguments are wrong; nothing ran.
        UnsupportedError, SetupError: this machine cannot give the sandbox that was asked for.
    """
    return drive(run_once(code, policy, files, timeout, BlockingWaiter()))
