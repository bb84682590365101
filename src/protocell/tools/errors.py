"""How a call fails, told so that the code that called can go on: no host path, no traceback.

What a tool says when it fails goes to model-written code. The type and the message of the exception
do, since they say what to do next; where files of this machine are does not, nor does any address in
memory. Paths that the code itself sent in its arguments stay readable. It is the same for what a server
says that runs on this machine; what one elsewhere says is about a machine that is not ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, Literal, get_args

from protocell.errors import ProtocellError

Kind = Literal["validation", "not_found", "timeout", "denied", "budget", "transport", "tool"]
"""Why a call failed.

validation: the arguments do not fit; nothing was called. not_found: no such tool. timeout: it took
too long and was cancelled. denied: a rule or a person said no. budget: too many calls, or too much.
transport: the server is not there, died or does not speak the protocol. tool: it ran and said no.
"""
KINDS: tuple[Kind, ...] = get_args(Kind)
BUILTINS: Mapping[Kind, str] = {
    "validation": "ValueError",
    "not_found": "LookupError",
    "timeout": "TimeoutError",
    "denied": "PermissionError",
    "budget": "RuntimeError",
    "transport": "ConnectionError",
    "tool": "RuntimeError",
}
"""The builtin exception that each kind can be caught as, inside."""
MOST_CHARACTERS = 4_000


class ToolError(ProtocellError):
    """The tool's, or the caller's: a call failed; ``kind`` says how, ``data`` what the tool added."""

    state_survives = "yes"

    def __init__(
        self,
        message: str,
        *,
        kind: Kind = "tool",
        tool: str = "",
        server: str = "",
        data: Any = None,
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.tool = tool
        self.server = server
        self.data = data


def name_tool(error: ToolError, server: str, tool: str) -> ToolError:
    """Has the failure of a call say whose it is, as a function's does; what names its server stays."""
    error.server, error.tool = server, tool
    text = str(error)
    named = (f"the server {server} ", f"the service {server} ", f"{server}/{tool} had not answered")
    if not text.startswith(named):
        error.args = (f"{server}/{tool}: {text}",)
    return error


def told(error: BaseException, arguments: Any = None) -> str:
    """``Type: message`` of an exception, as model-written code may read it; of a group, the leaves.

    Paths that the arguments of the call name are known inside already, and stay.
    """
    known = known_paths(arguments)
    lines = [without_host(_line(leaf), known) for leaf in _leaves(error)]
    return "; ".join(lines[:_MOST_LEAVES])[:MOST_CHARACTERS]


def known_paths(arguments: Any) -> frozenset[str]:
    """Paths that the code has told us, and the folders that they are in: what it need not be kept from."""
    named = islice((text for text in _texts(arguments) if text.startswith("/")), _MOST_KNOWN)
    short = {text.rstrip("/") for text in named if len(text) <= _MOST_CHARACTERS_OF_A_PATH}
    return frozenset(part for path in short for part in (path, *_folders(path)))


def without_host(text: str, known: Collection[str] = ()) -> str:
    """The text without tracebacks and addresses, and of paths on this machine the last part only."""

    def shorter(match: re.Match[str]) -> str:
        path, quote = (match["quoted"] or match["bare"]).rstrip("/"), match["quote"] or ""
        return match[0] if path in known else f"{quote}.../{path.rpartition('/')[2]}{quote}"

    for trace in _TRACEBACKS:
        text = trace.sub("", text)
    return _PATH.sub(shorter, _ADDRESS.sub("", text))


def data_without_host(data: Any, known: Collection[str] = ()) -> Any:
    """The same of all texts in JSON; None where there is more of it than an error is to say."""
    try:
        return _without_host(data, known, _Room(_MOST_CHARACTERS_OF_DATA))
    except _FullError:
        return None


def _line(error: BaseException) -> str:
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the exception is of a tool's own class
        message = ""
    return f"{name}: {message}" if message else name


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _texts(value: Any, room: int = 5) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif room and isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item, room - 1)
    elif room and isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, room - 1)


def _folders(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


class _FullError(Exception):
    """No room is left."""


class _Room:
    """For so many characters and items."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _FullError


def _without_host(data: Any, known: Collection[str], room: _Room, levels: int = 50) -> Any:
    room.take(len(data) if isinstance(data, str) else 1)
    if not levels:
        raise _FullError
    if isinstance(data, str):
        return without_host(data, known)
    if isinstance(data, Mapping):
        return {
            _without_host(key, known, room, 1): _without_host(item, known, room, levels - 1)
            for key, item in data.items()
        }
    if isinstance(data, list):
        return [_without_host(item, known, room, levels - 1) for item in data]
    return data


def _roots() -> str:
    """What is in ``/`` here, for a pattern: ``/v1/users`` is an address of some service, no file."""
    try:
        names = set(os.listdir("/"))
    except OSError:
        names = set()
    return "|".join(
        re.escape(name) for name in sorted(names | {"home", "root", "tmp", "usr", "var"})
    )


_MOST_LEAVES = 5
_MOST_KNOWN = 1_000
_MOST_CHARACTERS_OF_A_PATH = 4_096
_MOST_CHARACTERS_OF_DATA = 256 * 1024
_PATH = re.compile(
    rf"""(?P<quote>['"])(?P<quoted>/(?:{_roots()})/[^'"\n]*)(?P=quote)"""
    rf"""|(?<![\w.~-])(?P<bare>/(?:{_roots()})/[^\s'"<>|:;,()\[\]{{}}]*)"""
)
_TRACEBACKS = (
    re.compile(
        r"[ \t]*\+ Exception Group Traceback \(most recent call last\):\n(?:[ \t]*[|+][^\n]*\n?)*"
    ),
    re.compile(r"Traceback \(most recent call last\):\n(?:[ \t][^\n]*\n|\n)*"),
    re.compile(r"(?:\n[ \t]+at [^\n]*:\d+\)?(?=\n|$))+"),  # of JavaScript, below its message
)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
