"""HTTP to one origin and to no other: what an OpenAPI service is asked, and what it answers, bounded.

The host of a request is the base URL's, whatever stands in arguments, in the document's paths or in a
redirect: the URL is put together from parts, and a redirect that leaves the origin is not followed. No
cookie that the service sets is kept, since the next request may be another user's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from protocell.tools.errors import ToolError
from protocell.tools.openapi_answer import Response
from protocell.tools.openapi_request import Request

_MOST_REDIRECTS = 5
_MOST_ERROR_BYTES = 1024 * 1024
_CONNECT_SECONDS = 30.0
# Two that Python has, and whose bombs are small: a chunk of 64 KiB becomes 64 MiB at most.
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})


class Client:
    """One service, in one event loop."""

    def __init__(self, name: str, *, headers: Mapping[str, str], answer_bytes: int) -> None:
        self.loop = asyncio.get_running_loop()
        self._name = name
        self._answer_bytes = answer_bytes
        self._headers = {"user-agent": "protocell", "accept": "application/json, */*;q=0.5"}
        self._headers |= {name.lower(): value for name, value in headers.items()}
        self._headers["accept-encoding"] = "gzip, deflate"
        self._running: set[asyncio.Future[Response]] = set()
        self._http = httpx.AsyncClient(
            # An answer, and a free connection, may take as long as the call may.
            timeout=httpx.Timeout(_CONNECT_SECONDS, read=None, pool=None),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    async def send(self, base: httpx.URL, request: Request) -> Response:
        """Sends it and reads the answer. Raises ToolError, kinds ``transport`` and ``budget``."""
        work = asyncio.ensure_future(self._send(base, request))
        self._running.add(work)
        try:
            return await work
        except asyncio.CancelledError:
            if work.cancelled() and not _being_cancelled():
                raise self._failed("was closed") from None
            raise
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, UnicodeError) as error:
            raise self._failed(f"cannot be reached ({type(error).__name__})") from error
        finally:
            work.cancel()
            self._running.discard(work)

    async def close(self) -> None:
        """Ends what goes on, and all connections."""
        for work in self._running:
            work.cancel()
        if self.loop is asyncio.get_running_loop():
            await self._http.aclose()

    async def _send(self, base: httpx.URL, request: Request) -> Response:
        sent = self._built(base, request)
        for _ in range(_MOST_REDIRECTS):
            response = await self._http.send(sent, stream=True)
            try:
                following = response.next_request
                if following is None:
                    return await self._read(response)
            finally:
                await response.aclose()
            if _origin(following.url) != _origin(base):
                raise self._failed("redirects to another place, which is not followed")
            sent = following
        raise self._failed(f"redirects more than {_MOST_REDIRECTS} times")

    def _built(self, base: httpx.URL, request: Request) -> httpx.Request:
        path = base.path.rstrip("/") + request.path
        query = urlencode(request.query, quote_via=quote)
        raw_path = quote(path, safe="/%:@!$&'()*+,;=~") + (f"?{query}" if query else "")
        headers = {**request.headers, **self._headers, **request.credentials}
        if request.cookies:
            headers["cookie"] = "; ".join(f"{name}={v}" for name, v in request.cookies.items())
        body: dict[str, Any] = {"content": request.content}
        if request.form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
            body = {"content": urlencode(request.form).encode("ascii")}
        elif request.files is not None:
            body = {"files": request.files}
        url = base.copy_with(raw_path=raw_path.encode("ascii"))
        return self._http.build_request(request.method, url, headers=headers, **body)

    async def _read(self, response: httpx.Response) -> Response:
        if response.headers.get("content-encoding", "").lower() not in _ENCODINGS:
            raise self._failed("sent an encoding that was not asked for")
        limit = self._answer_bytes if response.is_success else _MOST_ERROR_BYTES
        body = BytesIO()  # what it gives in the end is no copy
        async for chunk in response.aiter_bytes():
            body.write(chunk)
            if body.tell() > limit and response.is_success:
                what = f"the answer has more than {limit} bytes"
                raise ToolError(what, kind="budget", server=self._name)
            if body.tell() > limit:
                body.truncate(limit)
                break
        return Response(status=response.status_code, headers=response.headers, body=body.getvalue())

    def _failed(self, what: str) -> ToolError:
        return ToolError(f"the service {self._name} {what}", kind="transport", server=self._name)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
