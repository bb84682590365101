"""What ``Toolset.mcp`` and ``Toolset.openapi`` can be told, for type checkers: no package of theirs is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

from protocell.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

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
    """The protocol: "auto", "legacy" or a version."""


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
