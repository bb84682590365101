"""MCP over streamable HTTP: the SDK's own transport, on an HTTP client that bounds and explains.

The SDK's transport lets one request that fails at the network take the whole connection down, hides the
status of an HTTP error and reads a JSON body of any size. So its HTTP client is this one: what goes wrong
with one request is told in a JSON-RPC error to that request, with the status, and a body has a limit.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import mcp_types
from mcp.shared.exceptions import MCPError

# Of one network step. An answer, and a free connection, may take as long as the call may.
_TIMEOUT = httpx2.Timeout(30.0, read=None, pool=None)
_GOODBYE_SECONDS = 3.0
_ERROR_BODY_BYTES = 64 * 1024

# Codes, in the range that is free for implementations, of errors made here.
NETWORK_ERROR = -32003
LOST_SESSION = -32004
"""Before 2026-07-28: the server does not know our session (any more), and has done nothing."""
# No server knows it, so that none can have an error of its own taken for one made here: a call whose session
# is lost is made again.
_OURS = f"made here {secrets.token_hex()}"


def made_here(error: MCPError, *codes: int) -> bool:
    """Whether it is one of these, and no answer of the server's."""
    data = error.data
    return error.code in codes and isinstance(data, Mapping) and data.get("by") == _OURS


def data_of(error: MCPError) -> Any:
    """What is said with it, for whoever made the call."""
    is_ours = made_here(error, NETWORK_ERROR, LOST_SESSION)
    return {"http_status": error.data["http_status"]} if is_ours else error.data


def http_client(
    *, headers: Mapping[str, str], auth: httpx2.Auth | None, answer_bytes: int
) -> httpx2.AsyncClient:
    """The client for one endpoint; ``auth`` is the SDK's OAuth provider, or any other of httpx2."""
    # Compressed answers would have to be bounded twice; we ask for none and refuse them.
    sent = {**headers, "accept-encoding": "identity"}
    return _Client(answer_bytes, headers=sent, auth=auth, timeout=_TIMEOUT)


class _Client(httpx2.AsyncClient):
    def __init__(self, answer_bytes: int, **options: Any) -> None:
        super().__init__(**options)
        self._answer_bytes = answer_bytes

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        if request.method == "DELETE":
            return await self._goodbye(request, **options)
        try:
            response = await super().send(request, **options)
        except httpx2.TransportError as error:
            # While it is asked which protocol it speaks, an outage must not pass for an old server.
            if request.headers.get("mcp-method") == "server/discover":
                raise
            return _told(request, 503, f"cannot be reached ({type(error).__name__})")
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            return _told(request, 502, "sent a compressed answer, which was not asked for")
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            limit = self._answer_bytes if response.is_success else _ERROR_BODY_BYTES
            response.stream = _Bounded(response.stream, limit)
        return await _explained(request, response) if response.is_error else response

    async def _goodbye(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Says that the session ends: a courtesy, which no answer to can be wrong, or late."""
        request.extensions["timeout"] = httpx2.Timeout(_GOODBYE_SECONDS).as_dict()
        with contextlib.suppress(httpx2.TransportError):
            response = await super().send(request, **options)
            await response.aclose()
        return httpx2.Response(httpx2.codes.NO_CONTENT, request=request)


class _Bounded(httpx2.AsyncByteStream):
    """A body, up to its limit."""

    def __init__(self, body: Any, most_bytes: int) -> None:
        self._body = body
        self._most = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._body:
            size += len(chunk)
            if size > self._most:
                raise httpx2.StreamError(f"an answer of more than {self._most} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


async def _explained(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """The response itself, where it explains itself in JSON-RPC, else one that does."""
    if response.status_code == httpx2.codes.NOT_FOUND and "mcp-session-id" in request.headers:
        await response.aclose()
        return _told(request, response.status_code, "ended the session", code=LOST_SESSION)
    try:
        body = await response.aread()
        if isinstance(
            mcp_types.jsonrpc_message_adapter.validate_json(body, by_name=False),
            mcp_types.JSONRPCError,
        ):
            return response
    except (httpx2.StreamError, httpx2.TransportError, ValueError):
        pass
    finally:
        await response.aclose()
    status = response.status_code
    return _told(
        request, status, f"answered HTTP {status} {httpx2.codes.get_reason_phrase(status)}".rstrip()
    )


def _told(
    request: httpx2.Request, status: int, what: str, *, code: int = NETWORK_ERROR
) -> httpx2.Response:
    error = {"code": code, "message": what, "data": {"http_status": status, "by": _OURS}}
    return httpx2.Response(
        status,
        headers={"content-type": "application/json"},
        content=json.dumps({"jsonrpc": "2.0", "id": None, "error": error}),
        request=request,
    )
