"""A service of the tests', as a source that is closed again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from protocell.tools.errors import ToolError
from protocell.tools.openapi_source import OpenApiSource
from protocell.tools.tool import Answer, Tool
from tests.tools.calls import DirectCall

SECONDS = 20.0


class Session:
    """A source with its tools, by name."""

    def __init__(self, source: OpenApiSource) -> None:
        self.source = source

    async def tool(self, name: str, /) -> Tool:
        """The tool of this name."""
        return {tool.name: tool for tool in await self.source.tools()}[name]

    async def answer(self, name: str, /, **arguments: Any) -> Answer:
        """What it answers."""
        return await (await self.tool(name)).invoke(arguments, DirectCall())

    async def value(self, name: str, /, **arguments: Any) -> Any:
        """The value that the code would get."""
        return (await self.answer(name, **arguments)).value

    async def error(self, name: str, /, **arguments: Any) -> ToolError:
        """How the call fails."""
        with pytest.raises(ToolError) as caught:
            await self.answer(name, **arguments)
        return caught.value


@contextlib.asynccontextmanager
async def opened(spec: Any, **options: Any) -> AsyncIterator[Session]:
    """A session with this service; a test that hangs ends."""
    source = OpenApiSource("shop", spec, **options)
    try:
        async with asyncio.timeout(SECONDS):
            yield Session(source)
    finally:
        await source.close()


def document(**paths: Any) -> dict[str, Any]:
    """A document of OpenAPI 3.0 with these paths; ``_`` stands for /."""
    return {
        "openapi": "3.0.3",
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": "https://api.example/v1"}],
        "paths": {f"/{name.replace('_', '/')}": item for name, item in paths.items()},
    }
