"""Callbacks of a caller, and what each is told: text, results and errors, as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from protocell._running.messages import ErrorMessage, Message, ResultMessage
from protocell._running.output import decoded
from protocell._session import checks
from protocell.execution import ExecutionError
from protocell.result import Result

OnText = Callable[[str], object]
OnResult = Callable[[Result], object]
OnError = Callable[[ExecutionError], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who is told what, in the thread that runs the code; an exception of theirs stops the code."""

    on_stdout: OnText | None = None
    on_stderr: OnText | None = None
    on_result: OnResult | None = None
    on_error: OnError | None = None

    def __post_init__(self) -> None:
        """Raises PolicyError if one is nothing to be called."""
        for each in fields(self):
            checks.callback(each.name, getattr(self, each.name))

    def for_stdout(self) -> Callable[[bytes], None] | None:
        """Bytes in, text out."""
        return decoded(self.on_stdout)

    def for_stderr(self) -> Callable[[bytes], None] | None:
        """As ``for_stdout``."""
        return decoded(self.on_stderr)

    def for_messages(self) -> Callable[[Message], None] | None:
        """Values and errors; None if nobody wants them."""
        if self.on_result is None and self.on_error is None:
            return None
        return self._tell

    def _tell(self, message: Message) -> None:
        if isinstance(message, ResultMessage) and self.on_result is not None:
            self.on_result(result_of(message))
        elif isinstance(message, ErrorMessage) and self.on_error is not None:
            self.on_error(error_of(message))


def result_of(message: ResultMessage) -> Result:
    """The public form of a value."""
    return Result(by_mime=message.formats, is_main_result=message.main, files=message.files)


def error_of(message: ErrorMessage) -> ExecutionError:
    """The public form of an exception."""
    return ExecutionError(name=message.name, value=message.value, traceback=message.traceback)
