"""What ``Toolset.mcp`` and ``Toolset.openapi`` can be told, typed and checked: no package of theirs is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, TypedDict

from protocell._fields import quoted
from protocell._printable import is_printable_line
from protocell.errors import PolicyError

if TYPE_CHECKING:
    import httpx2

    from protocell.tools.openapi_auth import Auth


class McpOptions(TypedDict, total=False):
    """Of an MCP server; ``protocell.tools.mcp_source.McpSource`` says what they mean."""

    env: Mapping[str, str] | None
    """For a server that is started: variables beside the few that are safe (HOME, PATH, ...)."""
    cwd: str | PathLike[str] | None
    """For a server that is started."""
    headers: Mapping[str, str] | None
    """For a server with a URL, with each request."""
    auth: httpx2.Auth | None
    """For a server with a URL: the SDK's ``OAuthClientProvider``, or any other of httpx2."""
    timeout: float | None
    """Seconds of one call; it starts anew with each sign of progress."""
    start_timeout: float
    """Seconds."""
    answer_bytes: int
    """Of one message of the server's."""
    mode: str
    """The protocol: "auto", "legacy" for all that greet (up to 2025-11-25), or a version that does not."""


class OpenApiOptions(TypedDict, total=False):
    """Of an OpenAPI service; ``protocell.tools.openapi_source.OpenApiSource`` says what they mean."""

    base_url: str | None
    """Where the service is, in place of the document's first server."""
    headers: Mapping[str, str] | None
    """With each request."""
    auth: Auth | None
    """A token, user and password, or a function that gives one of these; or several, by the schemes' names."""
    timeout: float | None
    """Seconds of one call."""
    start_timeout: float
    """Seconds."""
    answer_bytes: int
    """Of one answer."""


def refuse_unknown(method: str, given: Iterable[str], options: type) -> None:
    """Raises PolicyError for what is none of these; it names the nearest."""
    every = list(options.__annotations__)
    for name in (name for name in given if name not in every):
        near = " or ".join(map(repr, difflib.get_close_matches(name, every)))
        hint = f"did you mean {near}? The options" if near else "the options"
        raise PolicyError(
            f"Toolset.{method} has no option {name!r}; {hint} are name, {', '.join(every)}"
        )


def refuse_bad(**given: object) -> None:
    """Raises PolicyError for an option whose value it cannot have."""
    for name, value in given.items():
        allowed, fits = _ALLOWED[name]
        if not fits(value):
            raise bad_option(name, value, allowed)


def bad_option(name: str, value: object, allowed: str) -> PolicyError:
    """What is wrong with it; of what may hold a secret, the type alone is told."""
    is_told = name not in _MAY_BE_SECRET or not value or isinstance(value, int | float)
    shown = quoted(value) if is_told else f"a {type(value).__name__}"
    return PolicyError(f"{name} is {shown}; allowed is {allowed}")


def _is_seconds(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value <= _MOST_SECONDS  # type: ignore[operator]  # it is one, then


def _is_bytes(value: object) -> bool:
    return type(value) is int and 0 < value <= _MOST_BYTES


def _are_words(value: object) -> bool:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, Sequence) or isinstance(words, bytes) or not words:
        return False
    return all(isinstance(word, str) and "\0" not in word for word in words) and bool(words[0])


def _is_spec(value: object) -> bool:
    return isinstance(value, Mapping | PathLike) or (isinstance(value, str) and bool(value))


def _are_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(text, str) and "\0" not in text for pair in value.items() for text in pair
    )


def _are_lines(value: object) -> bool:
    """As headers have to be; a token that was read from a file often has a line break behind it."""
    return _are_texts(value) and all(map(is_printable_line, value.values()))  # type: ignore[attr-defined]


def _or_none(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or fits(value)


_MOST_SECONDS = 86_400
_MOST_BYTES = 1 << 40
_MAY_BE_SECRET = frozenset({"target", "spec", "env", "headers", "auth", "base_url"})
_ALLOWED: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "name": (
        "a text that is not empty, or None",
        _or_none(lambda value: isinstance(value, str) and bool(value)),
    ),
    "target": (
        "a command, as a text or a list of texts, or a URL that begins with http:// or https://",
        _are_words,
    ),
    "spec": ("a dict, a path, a text of JSON or YAML, or a URL", _is_spec),
    "env": ("a mapping of names to texts, or None", _or_none(_are_texts)),
    "headers": ("a mapping of names to texts of one line, or None", _or_none(_are_lines)),
    "cwd": (
        "the path of a folder, or None",
        _or_none(lambda value: isinstance(value, str | PathLike) and bool(value)),
    ),
    "base_url": (
        "a URL that begins with http:// or https://, or None",
        _or_none(lambda value: isinstance(value, str)),
    ),
    "timeout": (
        f"a number of seconds above 0, up to {_MOST_SECONDS}, or None",
        _or_none(_is_seconds),
    ),
    "start_timeout": (f"a number of seconds above 0, up to {_MOST_SECONDS}", _is_seconds),
    "answer_bytes": (f"a whole number of bytes from 1 to {_MOST_BYTES}", _is_bytes),
}
