"""Turns frames from a context into typed messages, as claims that a stranger makes about an execution.

A context runs model-written code, which holds the other end of the socket and can send what it likes. So types are
exact (a bool is no int), a field too many is refused like one too few, every text has a bound, and what comes out of
turn (another execution's id, something after "done", a second error) is refused. A lone surrogate becomes "?", so that
everything here can be encoded. ``ProtocolError`` is what makes the caller kill the sandbox.

An honest context cuts all its texts. What is too long nevertheless is cut again here in an error, which may be all
there is to explain a failure, and refused in a result. What the results of one execution are when it ends, and how
much they are together, is ``board``'s business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protocell._printable import is_printable_line, printable_line
from protocell.errors import ProtocolError
from protocell.limits import KIB

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_EVENTS = 10_000
"""Values, replacements and clearings that one execution may show, most of which take each other's place."""
MOST_FORMATS = 16
MOST_LEFT_OUT = 1 << 53
MOST_DISPLAY_BYTES = 1000
MOST_PATH_BYTES = 200
MOST_NAME_CHARACTERS = 200
MOST_WARNINGS = 20
MOST_WARNING_CHARACTERS = 1000
SLACK_BYTES = 4 * KIB
"""Beyond ``result_bytes``: for the words that say that something was cut."""
MOST_VALUE_BYTES = 32 * KIB
MOST_TRACEBACK_BYTES = 256 * KIB
"""More than an honest context sends; it cuts a traceback in the middle, so that its end is seen."""

_Kinds = dict[str, type | tuple[type, ...]]
_MIME_NAME = r"[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}"  # RFC 6838, section 4.2
_MIME = re.compile(f"{_MIME_NAME}/{_MIME_NAME}")
_CUT = "\n[... cut ...]"
_AROUND_BYTES = 64 * KIB  # MIME types, paths, names of fields, brackets and quotes
_ESCAPED_BYTES = 6  # "\u0000": what one byte of UTF-8 can become in ASCII JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultMessage:
    """The code showed a value."""

    formats: Mapping[str, str]
    main: bool
    files: Mapping[str, str] = field(default_factory=dict)
    """Paths in the workspace, by MIME type, of forms that were too long to be sent; there may be no such file."""
    display: str | None = None
    """The name under which the code can replace it; it replaces what has been shown under that name."""
    update: bool = False
    """Whether it does nothing else."""

    @property
    def size(self) -> int:
        """Bytes of its forms."""
        return sum(len(text.encode()) for text in self.formats.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearMessage:
    """The code took away what it had shown so far: now, or when the next value is shown."""

    wait: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMessage:
    """The code raised an exception that nobody caught."""

    name: str
    value: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneMessage:
    """The code ended; ``exit_code`` is what SystemExit carried, if that ended it."""

    exit_code: int | None
    left_out: int = 0
    """Values that the code showed and that were too many to be sent."""
    warnings: tuple[str, ...] = ()
    """What was noticed before it ran, a printable line each."""


Message = ResultMessage | ClearMessage | ErrorMessage | DoneMessage


def max_frame_bytes(result_bytes: int) -> int:
    """More than the longest frame that an honest context sends: a full result, or a full error."""
    error = MOST_NAME_CHARACTERS + MOST_VALUE_BYTES + MOST_TRACEBACK_BYTES
    return _ESCAPED_BYTES * max(result_bytes + SLACK_BYTES, error) + _AROUND_BYTES


class MessageReader:
    """Reads the frames of one execution, in the only order that they can have."""

    __slots__ = ("_done", "_error", "_events", "_main", "_number", "_result_bytes")

    def __init__(self, *, number: int, result_bytes: int) -> None:
        self._number = number
        self._result_bytes = result_bytes
        self._events = 0
        self._main = self._error = self._done = False

    def read(self, frame: Mapping[str, Any]) -> Message:
        """The message that this frame is.

        Raises:
            ProtocolError: the frame is not one, or not now; the sandbox must be killed.
        """
        message = parse_message(frame, number=self._number, result_bytes=self._result_bytes)
        if self._done:
            raise ProtocolError("a message after the end of its execution")
        if isinstance(message, ErrorMessage):
            if self._error:
                raise ProtocolError("a second error in one execution")
            self._error = True
        elif isinstance(message, DoneMessage):
            self._done = True
        else:
            self._count(message)
        return message

    def _count(self, message: ResultMessage | ClearMessage) -> None:
        if isinstance(message, ResultMessage) and message.main:
            if self._main:
                raise ProtocolError("a second main result in one execution")
            self._main = True
            return
        self._events += 1
        if self._events > MOST_EVENTS:
            raise ProtocolError(f"more than {MOST_EVENTS} results in one execution")


def parse_message(frame: Mapping[str, Any], *, number: int, result_bytes: int) -> Message:
    """The message that this frame is, if it stood alone; ``MessageReader`` knows the order too.

    Raises:
        ProtocolError: the frame is no message about execution ``number``.
    """
    event = frame.get("event")
    if event == "result":
        return _result(frame, number, result_bytes)
    if event == "clear":
        (wait,) = _fields(frame, number, {"wait": bool})
        return ClearMessage(wait=wait)
    if event == "error":
        name, value, traceback = _fields(
            frame, number, {"name": str, "value": str, "traceback": str}
        )
        return ErrorMessage(
            name=printable_line(name, MOST_NAME_CHARACTERS) or "Exception",
            value=_cut(value, MOST_VALUE_BYTES),
            traceback=_cut(traceback, MOST_TRACEBACK_BYTES),
        )
    if event == "done":
        return _done(frame, number)
    raise ProtocolError(f"{_shown(event)} is no event of an execution")


def _done(frame: Mapping[str, Any], number: int) -> DoneMessage:
    kinds: _Kinds = {"exit_code": (int, type(None)), "left_out": int}
    # Nearly always there are none.
    kinds |= {"warnings": list} if "warnings" in frame else {}
    exit_code, left_out, *more = _fields(frame, number, kinds)
    if not 0 <= left_out <= MOST_LEFT_OUT:
        raise ProtocolError("'done' has a 'left_out' that no honest context counts to")
    warnings = more[0] if more else []
    if len(warnings) > MOST_WARNINGS or any(type(text) is not str for text in warnings):
        raise ProtocolError(f"'done' has more than {MOST_WARNINGS} 'warnings', or one is no text")
    said = tuple(printable_line(text, MOST_WARNING_CHARACTERS) for text in warnings)
    return DoneMessage(exit_code=exit_code, left_out=left_out, warnings=said)


def _result(frame: Mapping[str, Any], number: int, result_bytes: int) -> ResultMessage:
    kinds: _Kinds = {
        "main": bool,
        "formats": dict,
        "files": dict,
        "display": (str, type(None)),
        "update": bool,
    }
    main, formats, files, display, update = _fields(frame, number, kinds)
    if update and display is None:
        raise ProtocolError("'result' is an 'update' of nothing")
    if display is not None and (len(display.encode("utf-8", "replace")) > MOST_DISPLAY_BYTES):
        raise ProtocolError("'result' has a 'display' that is too long")
    return ResultMessage(
        main=main,
        formats=_formats(formats, result_bytes),
        files=_files(files),
        display=None if display is None else _encodable(display),
        update=update,
    )


def _files(files: Mapping[str, Any]) -> dict[str, str]:
    if len(files) > MOST_FORMATS:
        raise ProtocolError(f"'files' has more than {MOST_FORMATS} names")
    for mime, path in files.items():
        if _MIME.fullmatch(mime) is None or type(path) is not str or not _is_path(path):
            raise ProtocolError(f"'files' has {_shown(mime)}, which is no file of the workspace")
    return dict(files)


def _is_path(path: str) -> bool:
    """Whether it is relative, short, and in its plainest form; that it leads nowhere else is up to who opens it."""
    parts = path.split("/")
    return (
        len(path) <= MOST_PATH_BYTES
        and is_printable_line(path)
        and not {"", ".", "..", "~"}.intersection(parts)
    )


def _fields(frame: Mapping[str, Any], number: int, expected: _Kinds) -> tuple[Any, ...]:
    """The values of exactly these fields, beside ``event`` and ``id``, each of exactly that type."""
    event = frame["event"]
    if frame.keys() != {"event", "id", *expected}:
        odd = min(frame.keys() ^ {"event", "id", *expected})
        raise ProtocolError(f"{event!r} has no {_shown(odd)}, or should have none")
    if type(frame["id"]) is not int or frame["id"] != number:
        raise ProtocolError(f"{event!r} is about execution {_shown(frame['id'])}, not {number}")
    for name, kinds in expected.items():
        if type(frame[name]) not in (kinds if isinstance(kinds, tuple) else (kinds,)):
            raise ProtocolError(f"{event!r} has {name!r} of type {type(frame[name]).__name__}")
    return tuple(frame[name] for name in expected)


def _formats(formats: Mapping[str, Any], result_bytes: int) -> dict[str, str]:
    if len(formats) > MOST_FORMATS or "text/plain" not in formats:
        raise ProtocolError(f"'formats' lacks text/plain or has more than {MOST_FORMATS} forms")
    for mime, value in formats.items():
        if _MIME.fullmatch(mime) is None or type(value) is not str:
            raise ProtocolError(f"'formats' has {_shown(mime)}, which is no MIME type with text")
    kept = {mime: _encodable(value) for mime, value in formats.items()}
    size = sum(len(value.encode()) for value in kept.values())
    if size > result_bytes + SLACK_BYTES:
        raise ProtocolError(f"a result of {size} bytes; at most {result_bytes} are allowed")
    return kept


def _cut(text: str, most_bytes: int) -> str:
    encoded = text[: most_bytes + 1].encode("utf-8", "replace")
    if len(encoded) <= most_bytes:
        return _encodable(text)
    return encoded[:most_bytes].decode("utf-8", "ignore") + _CUT


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _shown(value: object) -> str:
    """A hostile value in a message: short and printable; of what is long only the type is said."""
    if isinstance(value, str):
        return printable_line(repr(value[:60]), 70)
    return repr(value) if value is None or isinstance(value, int) else f"a {type(value).__name__}"
