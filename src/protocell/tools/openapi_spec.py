"""Where an OpenAPI document comes from: a dict, a file, JSON or YAML text, or a URL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from protocell.errors import PolicyError
from protocell.tools.errors import ToolError
from protocell.tools.openapi_yaml import from_yaml

Spec = Mapping[str, Any] | Path | str
"""A ``str`` that begins with http:// or https:// is a URL, one with a line break or a brace is text,
and any other is the path of a file."""

MOST_SPEC_BYTES = 64 * 1024 * 1024
"""The largest that is known to us, of a cloud's whole API, has 13 MB."""


async def load(spec: Spec, *, timeout: float) -> Mapping[str, Any]:
    """The document. Raises ToolError where it cannot be had, PolicyError where it is none of ours."""
    if isinstance(spec, Mapping):
        return checked(spec)
    if isinstance(spec, str) and is_url(spec):
        text = await _download(spec, timeout)
    elif isinstance(spec, str) and ("\n" in spec or "{" in spec):
        text = spec
    else:
        text = await asyncio.to_thread(_read, Path(spec))
    # A large one in YAML takes half a minute, and the loop is that of all tools.
    return checked(await asyncio.to_thread(parse, text))


def is_url(text: str) -> bool:
    """Whether it is one that can be fetched."""
    return text.startswith(("http://", "https://"))


def parse(text: str) -> Any:
    """JSON or YAML. Raises PolicyError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise PolicyError("the OpenAPI document is nested too deep") from None
    except ValueError:
        return from_yaml(text)


def checked(document: Any) -> Mapping[str, Any]:
    """The document, if it is one of OpenAPI 3.0 or 3.1. Raises PolicyError."""
    if not isinstance(document, Mapping):
        raise PolicyError("the OpenAPI document is no JSON object")
    version = str(document.get("openapi", document.get("swagger", "")))
    if not version.startswith(("3.0", "3.1")):
        raise PolicyError(
            f"OpenAPI 3.0 and 3.1 are understood, and this document says {version or 'no version'!r}; "
            "a converter makes 3.0 of Swagger 2"
        )
    return document


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size <= MOST_SPEC_BYTES:
            return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the OpenAPI file cannot be read: {error}") from error
    raise PolicyError(f"{path} has {size} bytes; an OpenAPI file has at most {MOST_SPEC_BYTES}")


async def _download(url: str, timeout: float) -> str:
    """The text at a URL; no credentials are sent, and no redirect is followed."""
    try:
        async with (
            httpx.AsyncClient(timeout=timeout) as client,
            client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
        ):
            response.raise_for_status()
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MOST_SPEC_BYTES:
                    raise PolicyError(f"the OpenAPI document has more than {MOST_SPEC_BYTES} bytes")
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        told = f"the OpenAPI document at {_origin(url)}: HTTP {status}"
        raise ToolError(told, kind="transport") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        told = f"the OpenAPI document at {_origin(url)} cannot be had ({type(error).__name__})"
        raise ToolError(told, kind="transport") from error
    return body.decode("utf-8", "replace")


def _origin(url: str) -> str:
    """Of the URL what is no secret: a path, a user or a query may have a key in it."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return "a URL that is none"
    return f"{parts.scheme}://{parts.netloc.decode('ascii')}"
