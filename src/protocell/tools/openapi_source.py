"""An OpenAPI service as a source of tools: one for each operation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urljoin

import httpx

from protocell.errors import PolicyError
from protocell.tools.errors import ToolError, name_tool
from protocell.tools.names import identifiers
from protocell.tools.openapi_answer import Response, answer_of
from protocell.tools.openapi_auth import Auth, Credentials, refuse_bad_auth
from protocell.tools.openapi_client import Client
from protocell.tools.openapi_operations import Operation, operations, server_url
from protocell.tools.openapi_request import Request, request_of
from protocell.tools.openapi_schema import Document, list_of, map_of
from protocell.tools.openapi_spec import Spec, is_url, load
from protocell.tools.options import refuse_bad
from protocell.tools.parameters import parameters_of
from protocell.tools.tool import Answer, Call, Parameter, Tool

ANSWER_BYTES = 256 * 1024 * 1024
START_SECONDS = 30.0
_GIVEN_UP = "the request was given up, and may still have its effect"


class OpenApiSource:
    """The operations of one service, OpenAPI 3.0 or 3.1.

    ``spec`` is the document: a dict, the path of a file, JSON or YAML text, or a URL. ``base_url``
    says where the service is, in place of the document's first server; requests go to its origin and
    nowhere else. ``headers`` go with each request. ``auth`` is a credential for whatever security
    scheme the document asks for (a token, a pair of user and password, or a function that gives one
    of these, which may be async), or several by the schemes' names. ``timeout`` bounds one call, in
    seconds; without it the broker's clock is the only one. ``answer_bytes`` bounds one answer.
    """

    def __init__(
        self,
        name: str,
        spec: Spec,
        *,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        timeout: float | None = None,
        start_timeout: float = START_SECONDS,
        answer_bytes: int = ANSWER_BYTES,
    ) -> None:
        """Reads nothing yet. Raises PolicyError."""
        refuse_bad(spec=spec, base_url=base_url, headers=headers, timeout=timeout)
        refuse_bad(start_timeout=start_timeout, answer_bytes=answer_bytes)
        refuse_bad_auth(auth)
        self.name = name
        self.changed: Callable[[], None] | None = None
        self._spec = spec
        self._base = None if base_url is None else _checked_base(base_url)
        self._headers = dict(headers or {})
        self._auth = auth
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._answer_bytes = answer_bytes
        self._service: Service | None = None
        self._client: Client | None = None
        self._closed = False

    async def start(self) -> None:
        """Reads the document, or does nothing where that is done.

        Raises ToolError, kind ``transport``, where it cannot be had; PolicyError where it, or an
        option, is not what it should be.
        """
        self._closed = False
        await self._ready()

    async def tools(self) -> tuple[Tool, ...]:
        """One for each operation. Raises as ``start``."""
        return (await self._ready()).tools

    async def close(self) -> None:
        """Ends all connections; calls that go on fail. Never raises."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ready(self) -> Service:
        if self._closed:
            raise self._failed("was closed")
        if self._service is None:
            try:
                read = await load(self._spec, timeout=self._start_timeout)
            except ToolError as error:
                error.server = self.name
                raise
            self._service = await asyncio.to_thread(self._made, Document(read))
        return self._service

    def _made(self, document: Document) -> Service:
        return Service(self, document, self._base or self._base_of(document))

    def _base_of(self, document: Document) -> httpx.URL:
        servers = list_of(document.root.get("servers"))
        url = server_url(map_of(servers[0])) if servers else "/"
        here = self._spec if isinstance(self._spec, str) and is_url(self._spec) else ""
        return _checked_base(urljoin(here, url))

    async def invoke(
        self,
        operation: Operation,
        parameters: tuple[Parameter, ...],
        arguments: dict[str, Any],
        call: Call,  # noqa: ARG002 - there is nothing to be told on the way
    ) -> Answer:
        """Makes one call. Raises ToolError."""
        service = await self._ready()
        try:
            request = request_of(operation, arguments)
            base = service.base_of(operation)
            await service.credentials.put_into(request, operation)
            response = await self._sent(base, request, operation)
            return answer_of(response, parameters, arguments)
        except ToolError as error:
            name_tool(error, self.name, operation.name)
            raise

    async def _sent(self, base: httpx.URL, request: Request, operation: Operation) -> Response:
        clock = asyncio.timeout(self._timeout)
        try:
            async with clock:
                return await self._here().send(base, request)
        except TimeoutError as error:
            if not clock.expired():
                raise
            late = f"had not answered after {self._timeout:g} s; {_GIVEN_UP}"
            raise ToolError(f"{self.name}/{operation.name} {late}", kind="timeout") from error

    def _here(self) -> Client:
        """The client of this event loop."""
        if self._client is None or self._client.loop is not asyncio.get_running_loop():
            self._client = Client(self.name, headers=self._headers, answer_bytes=self._answer_bytes)
        return self._client

    def _failed(self, what: str) -> ToolError:
        return ToolError(f"the service {self.name} {what}", kind="transport", server=self.name)


class Service:
    """What a document says."""

    def __init__(self, source: OpenApiSource, document: Document, base: httpx.URL) -> None:
        self.credentials = Credentials(document, source._auth)
        self._base = base
        self.tools = _tools(source.name, operations(document), source.invoke)

    def base_of(self, operation: Operation) -> httpx.URL:
        """Where the operation is: below the base URL, or where it says on the same origin."""
        if not operation.server:
            return self._base
        own = self._base.join(operation.server)
        if _origin(own) != _origin(self._base):
            raise ToolError(
                f"this operation is at {_origin(own)}, and only {_origin(self._base)} may be called",
                kind="denied",
            )
        return own


Invoke = Callable[..., Any]


def _tools(server: str, found: list[Operation], invoke: Invoke) -> tuple[Tool, ...]:
    named = identifiers(operation.name for operation in found)
    made = []
    for operation in found:
        parameters = parameters_of(operation.input_schema)
        made.append(
            Tool(
                server=server,
                name=operation.name,
                identifier=named[operation.name],
                description=operation.description,
                parameters=parameters,
                input_schema=operation.input_schema,
                output_schema=operation.output_schema,
                annotations=operation.annotations,
                invoke=partial(invoke, operation, parameters),
            )
        )
    return tuple(made)


def _origin(url: httpx.URL) -> str:
    """Scheme, host and port, which httpx leaves out where it is the scheme's own."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _checked_base(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError) as error:
        raise PolicyError(f"the base URL {text!r} is none: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise PolicyError(
            f"the document does not say where the service is ({text!r}); give base_url="
        )
    if url.userinfo or url.query or url.fragment:
        raise PolicyError(
            "the base URL has a user, a query or a fragment; credentials go into auth="
        )
    return url
