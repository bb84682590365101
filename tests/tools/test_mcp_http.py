"""MCP over HTTP where it goes wrong: bad answers, servers that restart, and servers that want to know who asks."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from protocell.tools.errors import ToolError
from tests.tools.mcp_help import (
    OVER_HTTP,
    OVER_HTTP_SOMEHOW,
    nothing_left_behind,
    opened,
    served,
    told,
)

__all__ = ["nothing_left_behind"]


@pytest.fixture(scope="module")
def bad() -> Iterator[str]:
    with served("mcp_bad_http.py") as (_, port):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.mark.parametrize(
    "tool, kind, text", [(tool, *failure) for tool, failure in OVER_HTTP.items()]
)
def test_an_answer_that_is_none_fails_the_call_and_no_other(
    bad: str, tool: str, kind: str, text: str
):
    async def main() -> None:
        async with opened(bad) as session:
            failed, fine = await asyncio.gather(session.error(tool), session.value("fine"))
            assert (str(failed), failed.kind, failed.tool) == (text, kind, tool)
            assert fine == "x" * 100
            assert await session.value("fine") == "x" * 100

    asyncio.run(main())


@pytest.mark.parametrize("tool", OVER_HTTP_SOMEHOW)
def test_an_answer_that_is_broken_too_large_or_elsewhere_fails_the_call(bad: str, tool: str):
    async def main() -> None:
        async with opened(bad, answer_bytes=100_000) as session:
            failed = await session.error(tool)
            assert (failed.kind, failed.server, failed.tool) == ("transport", "srv", tool)
            assert len(str(failed)) < 500
            assert await session.value("fine") == "x" * 100

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_server_that_restarts_is_found_again_by_the_next_call_and_may_die_in_one(mode: str):
    async def main() -> None:
        with served("mcp_new.py", "http") as (first, port):
            async with opened(f"http://127.0.0.1:{port}/mcp", mode=mode) as session:
                pid = await session.value("whoami")
                first.kill()
                first.wait()
                failed = await session.error("whoami")
                assert (str(failed), failed.kind) == (
                    "the server srv cannot be reached (ConnectError)",
                    "transport",
                )
                with served("mcp_new.py", "http", str(port)) as (second, _):
                    assert await session.value("whoami") != pid
                    assert (await session.error("die")).kind == "transport"
                    assert second.wait() == 3

    asyncio.run(main())


def test_where_there_is_no_server_the_start_fails_and_can_be_tried_again():
    async def main() -> None:
        async with opened("http://me:secret@127.0.0.1:1/mcp?key=secret") as session:
            for _ in range(2):
                with pytest.raises(ToolError) as caught:
                    await session.source.start()
                assert told(caught.value) == {
                    "text": "the server srv cannot be reached (ConnectError)",
                    "kind": "transport",
                    "server": "srv",
                    "tool": "",
                    "data": None,
                }
                assert caught.value.__notes__ == ["The server srv is at http://127.0.0.1:1/mcp."]

    asyncio.run(main())


def test_headers_go_with_each_request():
    async def main() -> None:
        with served("mcp_new.py", "http") as (_, port):
            url = f"http://127.0.0.1:{port}/mcp"
            async with opened(url, headers={"X-Key": "k"}) as session:
                assert (await session.value("headers"))["x-key"] == "k"

    asyncio.run(main())


class Storage:
    """What the SDK's OAuth wants of the user."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        raise AssertionError(client_info)


def provider(port: int, storage: Storage, secret: str) -> Any:
    return ClientCredentialsOAuthProvider(
        server_url=f"http://127.0.0.1:{port}/mcp",
        storage=storage,
        client_id="us",
        client_secret=secret,
        issuer=f"http://127.0.0.1:{port}",
    )


def test_oauth_is_done_by_the_provider_of_the_sdk_and_a_stranger_is_kept_out():
    async def main() -> None:
        with served("mcp_locked.py") as (_, port):
            url, storage = f"http://127.0.0.1:{port}/mcp", Storage()
            auth = provider(port, storage, "password")
            async with opened(url, auth=auth) as session:
                assert await session.value("secret") == "for who is logged in"
            assert storage.tokens is not None
            assert storage.tokens.access_token == "the-token"
            origin = f"http://127.0.0.1:{port}"
            async with opened(url, auth=provider(port, Storage(), "guess")) as session:
                with pytest.raises(ToolError) as caught:
                    await session.source.tools()
                assert (str(caught.value), caught.value.kind) == (
                    "the server srv could not be logged in to (OAuth)",
                    "transport",
                )
            async with opened(url) as session:
                with pytest.raises(ToolError) as caught:
                    await session.source.tools()
                assert str(caught.value) == "the server srv answered HTTP 401 Unauthorized"
                assert caught.value.__notes__ == [f"The server srv is at {origin}/mcp."]

    asyncio.run(main())
