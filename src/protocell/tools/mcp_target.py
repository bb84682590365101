"""How an MCP server is reached: a command that is started, or a URL."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from os import PathLike, fspath
from typing import Any, Protocol

import httpx2
from mcp.client.stdio import get_default_environment
from mcp.client.streamable_http import streamable_http_client

from protocell.errors import PolicyError
from protocell.tools.mcp_http import http_client
from protocell.tools.mcp_process import ServerProcess
from protocell.tools.mcp_stdio import stdio_transport
from protocell.tools.options import bad_option

Transport = AbstractAsyncContextManager[Any]
"""Of the SDK's streams, which have protocols of their own in each of its transports."""


class NotStartedError(OSError):
    """No process came of the command; the message says what was wrong, and names neither it nor its folder."""


class Target(Protocol):
    """One server, whose connections are made here."""

    def transport(self, ended: Callable[[str], None]) -> Transport:
        """For one connection; ``ended`` is told why it can be used no more, where that is known."""

    def release(self) -> None:
        """Ends at once what a connection has left behind whose event loop is gone."""

    @property
    def stderr(self) -> str:
        """The end of what the last process wrote there."""

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""

    @property
    def where(self) -> str:
        """Which one it is, for the host; without arguments, user and query, which may be secrets."""


class Command:
    """A server that talks on its standard input and output."""

    is_here = True

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None,
        cwd: str | PathLike[str] | None,
        answer_bytes: int,
    ) -> None:
        """Starts nothing yet. Raises PolicyError."""
        if not command:
            raise PolicyError("the command of an MCP server has to have a word at least")
        self._command = list(command)
        self._env = dict(env or {})
        self._cwd = None if cwd is None else fspath(cwd)
        self._answer_bytes = answer_bytes
        self._process: ServerProcess | None = None
        program = self._command[0]
        self.where = f"started with {program}" + (f" in {self._cwd}" if self._cwd else "")

    @property
    def stderr(self) -> str:
        """The end of what the last process wrote there."""
        return "" if self._process is None else self._process.stderr

    def transport(self, ended: Callable[[str], None]) -> Transport:
        """Starts the server when it is entered, and ends it when it is left."""
        return stdio_transport(self._start, message_bytes=self._answer_bytes, ended=ended)

    def release(self) -> None:
        """Kills the last process, if it still runs."""
        if self._process is not None:
            self._process.release()

    def _start(self) -> ServerProcess:
        # What the SDK holds for safe (HOME, PATH, ...) and what the user gave; no secret of ours.
        env = {**get_default_environment(), **self._env}
        try:
            self._process = ServerProcess(self._command, env=env, cwd=self._cwd)
        except OSError as error:
            self._process = None  # what the one before wrote says nothing of this
            raise NotStartedError(f"{type(error).__name__}{self._whose(error)}") from error
        return self._process

    def _whose(self, error: OSError) -> str:
        """Of which the kernel says it; ``subprocess`` names the folder where it could not go there."""
        if error.filename is None:
            return ""
        return " of its cwd" if error.filename == self._cwd else " of its command"


class Url:
    """A server that talks HTTP."""

    stderr = ""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None,
        auth: httpx2.Auth | None,
        answer_bytes: int,
    ) -> None:
        """Connects to nothing yet. Raises PolicyError."""
        if auth is not None and not isinstance(auth, httpx2.Auth):
            raise bad_option("auth", auth, _AUTH)
        parsed = _parsed(url)
        self._url = url
        self.is_here = _is_here(parsed.host)
        self.where = f"at {parsed.scheme}://{parsed.netloc.decode('ascii')}{parsed.path}"
        self._headers = dict(headers or {})
        self._auth = auth
        self._answer_bytes = answer_bytes

    def transport(self, ended: Callable[[str], None]) -> Transport:  # noqa: ARG002 - nothing ends it
        """Of the SDK, with an HTTP client of ours, which it does not close."""
        return _Http(self._url, self._headers, self._auth, self._answer_bytes)

    def release(self) -> None:
        """Nothing is left."""


_AUTH = (
    "an httpx2.Auth, such as the SDK's OAuthClientProvider, or None; "
    "a token goes into headers={'Authorization': 'Bearer ...'}"
)


def _parsed(url: str) -> httpx2.URL:
    """Raises PolicyError, without the URL, which may have a secret in it."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise PolicyError("the URL of the MCP server is none that can be read") from None
    if not parsed.host:
        raise PolicyError("the URL of the MCP server names no host")
    return parsed


def _is_here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.") or host.endswith(".localhost")


class _Http:
    """The SDK's transport and its client as one."""

    def __init__(
        self, url: str, headers: Mapping[str, str], auth: httpx2.Auth | None, answer_bytes: int
    ) -> None:
        self._client = http_client(headers=headers, auth=auth, answer_bytes=answer_bytes)
        self._streams = streamable_http_client(
            url, http_client=self._client, max_sse_event_size=answer_bytes
        )

    async def __aenter__(self) -> Any:
        await self._client.__aenter__()
        return await self._streams.__aenter__()

    async def __aexit__(self, *error: Any) -> bool | None:
        try:
            return await self._streams.__aexit__(*error)
        finally:
            await self._client.__aexit__()


def target_of(
    target: str | Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: str | PathLike[str] | None,
    headers: Mapping[str, str] | None,
    auth: httpx2.Auth | None,
    answer_bytes: int,
) -> Target:
    """The one that is meant. Raises PolicyError where an option is for the other one."""
    if isinstance(target, str) and target.startswith(("http://", "https://")):
        if env is not None or cwd is not None:
            raise PolicyError("env and cwd are for a server that is started; this one has a URL")
        return Url(target, headers=headers, auth=auth, answer_bytes=answer_bytes)
    if headers is not None or auth is not None:
        raise PolicyError("headers and auth are for a server with a URL; this one is started")
    command = shlex.split(target) if isinstance(target, str) else target
    return Command(command, env=env, cwd=cwd, answer_bytes=answer_bytes)
