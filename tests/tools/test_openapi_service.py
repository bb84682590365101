"""A real service with an OpenAPI document: what it is asked, what it answers, and where requests may not go."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from protocell.errors import PolicyError
from protocell.tools.errors import ToolError
from protocell.tools.openapi_answer import Response, answer_of
from protocell.tools.openapi_source import OpenApiSource
from protocell_guest.content import Image
from tests.tools.mcp_help import nothing_left_behind, served
from tests.tools.openapi_help import document, opened

__all__ = ["nothing_left_behind"]


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with served("openapi_shop.py") as (_, port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def spec(origin: str) -> str:
    return f"{origin}/openapi.json"


def test_a_document_at_a_url_becomes_tools_with_merged_arguments(spec: str):
    async def main() -> None:
        async with opened(spec) as session:
            tool = await session.tool("orders/create")
            assert (tool.id, tool.identifier) == ("shop/orders/create", "orders_create")
            assert tool.description == "Order something."
            assert [(p.name, p.identifier, p.required) for p in tool.parameters] == [
                ("shop", "shop", True),
                ("item", "item", True),
                ("dry-run", "dry_run", False),
                ("X-Trace", "X_Trace", False),
                ("session", "session", False),
                ("shop_body", "shop_body", False),
                ("parts", "parts", False),
            ]
            assert tool.parameters[1].description == "What."
            assert tool.input_schema["required"] == ["shop", "item"]
            assert tool.input_schema["properties"]["parts"]["items"] == {"$ref": "#/$defs/Part"}
            assert set(tool.input_schema["$defs"]) == {"Part"}
            assert tool.output_schema is not None
            assert set(tool.output_schema["properties"]) == {"id", "item", "shop", "parts"}
            assert tool.annotations.read_only is False

    asyncio.run(main())


def test_each_argument_goes_to_its_place(spec: str):
    async def main() -> None:
        async with opened(spec, auth="t0ken", headers={"X-From": "us"}) as session:
            asked = await session.value(
                "orders/create",
                **{"shop": "a/b ü", "item": "tea", "dry-run": True, "X-Trace": "1"},
                session="s;x",
                shop_body="other",
                parts=[{"name": "n"}],
            )
            assert (asked["method"], asked["path"]) == (
                "POST",
                "/v1/shops/a%2Fb%20%C3%BC/orders?dry-run=true",
            )
            assert json.loads(asked["body"]) == {
                "item": "tea",
                "shop": "other",
                "parts": [{"name": "n"}],
            }
            headers = asked["headers"]
            assert headers["authorization"] == "Bearer t0ken"
            assert (headers["x-trace"], headers["x-from"]) == ("1", "us")
            assert (headers["cookie"], headers["content-type"]) == (
                "session=s%3Bx",
                "application/json",
            )

    asyncio.run(main())


def test_forms_and_files_arrive_as_such(spec: str):
    async def main() -> None:
        async with opened(spec) as session:
            form = await session.value("form", a="x & y", b=[1, 2])
            assert (form["body"], form["headers"]["content-type"]) == (
                "a=x+%26+y&b=1&b=2",
                "application/x-www-form-urlencoded",
            )
            files = await session.value("files", a="text", file="AAE=")
            kind, _, boundary = files["headers"]["content-type"].partition("; boundary=")
            assert kind == "multipart/form-data"
            parts = [part.strip("\r\n") for part in files["body"].split(f"--{boundary}")]
            assert parts == [
                "",
                'Content-Disposition: form-data; name="a"\r\n\r\ntext',
                (
                    'Content-Disposition: form-data; name="file"; filename="file"\r\n'
                    "Content-Type: application/octet-stream\r\n\r\n\0\1"
                ),
                "--",
            ]

    asyncio.run(main())


async def token() -> str:
    return "made"


@pytest.mark.parametrize(
    "auth, tool, name, value",
    [
        ("t", "orders/create", "authorization", "Bearer t"),
        (lambda: "t", "orders/create", "authorization", "Bearer t"),
        (token, "orders/create", "authorization", "Bearer made"),
        ({"head": "k"}, "either", "x-key", "k"),
        ({"head": "k", "basic": ("me", "pass")}, "either", "x-key", "k"),
        ({"key": "k", "basic": ("me", "pass")}, "either", "authorization", "Basic bWU6cGFzcw=="),
        ("t", "open", "authorization", None),
        ({"basic": ("a", "b")}, "keyed", "authorization", None),
        (None, "either", "authorization", None),
    ],
)
def test_credentials_are_put_in_on_the_host(
    spec: str, auth: Any, tool: str, name: str, value: str | None
):
    async def main() -> None:
        async with opened(spec, auth=auth) as session:
            arguments = {"shop": "s", "item": "i"} if tool == "orders/create" else {}
            asked = await session.value(tool, **arguments)
            assert asked["headers"].get(name) == value

    asyncio.run(main())


def test_a_key_in_the_query_is_no_argument_and_cannot_be_replaced(spec: str):
    async def main() -> None:
        async with opened(spec, auth={"key": "ours&x=1"}) as session:
            assert (await session.tool("keyed")).parameters == ()
            asked = await session.value("keyed", api_key="theirs")
            assert asked["path"] == "/v1/keyed?api_key=ours%26x%3D1"

    asyncio.run(main())


def test_an_http_error_raises_with_status_and_body(spec: str):
    async def main() -> None:
        async with opened(spec) as session:
            failed = await session.error("status", code=404)
            assert (str(failed), failed.kind) == (
                "shop/status: HTTP 404 Not Found: it is 404",
                "tool",
            )
            assert (failed.server, failed.tool) == ("shop", "status")
            headers = failed.data.pop("headers")
            assert headers["content-type"] == "application/json"
            assert failed.data == {"status": 404, "body": {"error": {"message": "it is 404"}}}
            assert (await session.error("status", code=500)).data["status"] == 500

    asyncio.run(main())


def test_an_answer_is_json_text_a_picture_or_bytes(spec: str):
    async def main() -> None:
        async with opened(spec) as session:
            assert await session.value("kinds", kind="text") == "ä"
            assert await session.value("kinds", kind="bytes") == b"\0\1"
            assert await session.value("kinds", kind="image") == Image(b"\x89PNG", "image/png")
            assert await session.value("kinds", kind="problem") == {"a": None}
            assert await session.value("kinds", kind="empty") is None
            broken = await session.error("kinds", kind="broken")
            assert (broken.kind, broken.data) == ("transport", {"status": 200, "body": '{"a": '})

    asyncio.run(main())


def test_an_answer_has_a_limit(spec: str):
    async def main() -> None:
        async with opened(spec, answer_bytes=100_000) as session:
            failed = await session.error("kinds", kind="large")
            assert (str(failed), failed.kind) == (
                "shop/kinds: the answer has more than 100000 bytes",
                "budget",
            )
            assert await session.value("kinds", kind="text") == "ä"

    asyncio.run(main())


def test_a_cookie_of_the_service_is_not_kept_for_the_next_who_calls(spec: str):
    async def main() -> None:
        async with opened(spec) as session:
            raw = dict((await session.answer("kinds", kind="cookie")).raw)
            assert set(raw.pop("headers")) == {"server", "date", "content-type", "content-length"}
            assert raw == {"status": 200, "body": 1, "next_arguments": None}
            assert "cookie" not in (await session.value("open"))["headers"]

    asyncio.run(main())


def test_all_headers_of_an_answer_are_told_but_credentials_and_what_is_too_much():
    withheld = {
        "Set-Cookie": "s=1",
        "WWW-Authenticate": "Bearer realm=x",
        "Authorization": "Bearer x",
        "X-Auth-Token": "x",
        "X-API-Key": "x",
        "X-CSRF-Token": "x",
    }
    told = {"X-Rate": "7", "X-Next-Page-Token": "t", "Content-Type": "application/json"}
    headers = httpx.Headers({**withheld, "X-Long": "x" * 10_000, **told})
    raw = answer_of(Response(status=200, headers=headers, body=b"1"), (), {}).raw
    assert raw["headers"] == {name.lower(): value for name, value in told.items()}
    many = httpx.Headers({f"X-{number}": "x" for number in range(1_000)})
    large = httpx.Headers({f"X-{number}": "x" * 8_000 for number in range(20)})
    for given, count in ((many, 100), (large, 8)):
        raw = answer_of(Response(status=200, headers=given, body=b""), (), {}).raw
        assert len(raw["headers"]) == count


def test_a_redirect_is_followed_at_home_and_nowhere_else(spec: str, origin: str):
    async def main() -> None:
        async with opened(spec, auth="t") as session:
            near = await session.value("redirect", where="near")
            assert near["path"] == "/v1/open?near=1"
            for where in ("far", "port"):
                failed = await session.error("redirect", where=where)
                assert (str(failed), failed.kind) == (
                    "the service shop redirects to another place, which is not followed",
                    "transport",
                )
            assert (await session.error("redirect", where="round")).kind == "transport"
            failed, elsewhere = await session.error("upload"), "https://elsewhere.example"
            assert (str(failed), failed.kind) == (
                f"shop/upload: this operation is at {elsewhere}, and only {origin} may be called",
                "denied",
            )

    asyncio.run(main())


@pytest.mark.parametrize(
    "value", ["", ".", "..", "../admin", "a/../b", "..\\x", "%2e%2e", "//x", "?x#y", "a\n"]
)
def test_a_value_in_the_path_stays_one_segment_of_it(spec: str, value: str):
    async def main() -> None:
        async with opened(spec) as session:
            if value in {"%2e%2e", "//x", "?x#y", "a\n"}:
                asked = await session.value("orders/create", shop=value, item="i")
                assert asked["path"].count("/") == 4
                assert "?" not in asked["path"]
            else:
                failed = await session.error("orders/create", shop=value, item="i")
                assert (failed.kind, failed.data) == ("validation", {"field": "shop"})

    asyncio.run(main())


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "ä", "\0"])
def test_a_value_in_a_header_stays_one_line_of_it(spec: str, value: str):
    async def main() -> None:
        async with opened(spec) as session:
            failed = await session.error("orders/create", shop="s", item="i", **{"X-Trace": value})
            assert (failed.kind, failed.data) == ("validation", {"field": "X-Trace"})

    asyncio.run(main())


def test_a_call_can_be_cancelled_runs_out_of_time_and_ends_when_it_is_closed(spec: str):
    async def main() -> None:
        async with opened(spec, timeout=0.2) as session:
            failed = await session.error("hang")
            assert (str(failed), failed.kind) == (
                "shop/hang had not answered after 0.2 s; the request was given up, and may still have its effect",
                "timeout",
            )
        async with opened(spec) as session:
            going_on = asyncio.create_task(session.value("hang"))
            closed = asyncio.create_task(session.error("hang"))
            await session.value("open")
            going_on.cancel()
            await asyncio.wait([going_on])
            assert going_on.cancelled()
            await session.source.close()
            failed = await closed
            assert (str(failed), failed.kind) == ("the service shop was closed", "transport")
            assert (await session.error("open")).kind == "transport"
            await session.source.start()
            assert (await session.value("open"))["method"] == "GET"

    asyncio.run(main())


def test_a_source_works_in_one_event_loop_after_another(spec: str):
    source = OpenApiSource("shop", spec)

    async def count() -> int:
        return len(await source.tools())

    assert asyncio.run(count()) == asyncio.run(count()) == 15
    asyncio.run(source.close())


def test_a_service_or_document_that_is_not_there_is_told():
    async def main() -> None:
        async with opened(document(a={"get": {}}), base_url="http://127.0.0.1:1") as session:
            failed = await session.error("get_a")
            assert (str(failed), failed.kind) == (
                "the service shop cannot be reached (ConnectError)",
                "transport",
            )
        async with opened("http://me:secret@127.0.0.1:1/openapi.json?key=secret") as session:
            with pytest.raises(ToolError) as caught:
                await session.source.start()
            told = "the OpenAPI document at http://127.0.0.1:1 cannot be had (ConnectError)"
            assert str(caught.value) == told

    asyncio.run(main())


@pytest.mark.parametrize(
    "spec, options",
    [
        ({"openapi": "3.0.0", "servers": [{"url": "/v1"}]}, {}),
        ({"openapi": "3.0.0"}, {}),
        ({"swagger": "2.0"}, {}),
        ({}, {}),
        ("[1]{", {}),
        ("/nowhere/at/all.json", {}),
        (document(), {"auth": {"nobody": "x"}}),
    ],
)
def test_a_document_that_cannot_be_used_is_refused(spec: Any, options: dict[str, Any]):
    async def main() -> None:
        async with opened(spec, **options) as session:
            with pytest.raises(PolicyError):
                await session.source.start()

    asyncio.run(main())


@pytest.mark.parametrize("url", ["ftp://x", "/v1", "http://u:p@x", "http://x?a=1", "http://x:y"])
def test_a_base_url_that_is_none_is_refused(url: str):
    with pytest.raises(PolicyError):
        OpenApiSource("shop", document(), base_url=url)
