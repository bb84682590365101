"""How the next page of a service is found: by its links, or by what is in its value, as ``paginate`` does it inside."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.entries import card
from protocell.tools.page_links import next_arguments
from protocell.tools.tool import Parameter
from protocell_guest.guest.tool_pages import Walk
from tests.tools.mcp_help import served
from tests.tools.openapi_help import Session, opened


@pytest.fixture(scope="module")
def spec() -> Iterator[str]:
    with served("openapi_shop.py") as (_, port):
        yield f"http://127.0.0.1:{port}/openapi.json"


def takes(*names: str, kind: str = "string") -> list[Parameter]:
    return [
        Parameter(name=n, identifier=n.replace("-", "_"), schema={"type": kind}, required=False)
        for n in names
    ]


async def paginate(session: Session, name: str, **arguments: Any) -> tuple[list[int], list[Any]]:
    """All items, and the arguments of each call."""
    calls: list[Any] = []

    def begin(_: str, arguments: dict[str, Any]) -> Any:
        calls.append(arguments)
        return arguments, None

    tool = await session.tool(name)
    walk, items = Walk(begin, card(Catalogue.of([tool]), tool), arguments), []
    while walk.goes_on:
        asked: Any = walk.ask()[0]
        page = walk.take((await session.answer(name, **asked)).raw)
        items += [item["id"] for item in page or ()]
    return items, calls


@pytest.mark.parametrize(
    "name, arguments, calls",
    [
        ("linked", {}, [{}, {"page": 2}, {"page": 3}]),
        ("linked", {"size": 1}, [{"size": 1}, *({"size": 1, "page": n} for n in range(2, 8))]),
        ("cursors", {"size": 4}, [{"size": 4}, {"size": 4, "page_token": "2"}]),
        ("counted", {"size": 5}, [{"size": 5}, {"size": 5, "page": 2}, {"size": 5, "page": 3}]),
        (
            "offsets",
            {"limit": 4},
            [{"limit": 4}, {"limit": 4, "offset": 4}, {"limit": 4, "offset": 7}],
        ),
    ],
)
def test_all_pages_of_a_service_are_read(spec: str, name: str, arguments: Any, calls: Any):
    async def main() -> tuple[list[int], list[Any]]:
        async with opened(spec) as session:
            return await paginate(session, name, **arguments)

    assert asyncio.run(main()) == ([1, 2, 3, 4, 5, 6, 7], calls)


@pytest.mark.parametrize(
    "link, then",
    [
        ('<https://x/?page=2>; rel="next"', {"page": 2}),
        ("</?page=2>; rel=next", {"page": 2}),
        ('<https://x/?page=1>; rel="prev", <https://y/?page=3>; rel="next last"', {"page": 3}),
        ('<https://x/?page=two>; rel="next"', {"page": "two"}),
        ('<https://x/?page=2>; rel="nextish"', None),
        ('<https://x/?other=2>; rel="next"', None),
        ('<https://x/?page=1>; rel="next"', None),
        ('<https://x/?page=1>; rel="first prev"', {}),
        ('<https://x/?page=2>; rel="describedby"', None),
        ("<https://x/?page=2>", None),
        ("nonsense", None),
        ("<" * 100_000, None),
    ],
)
def test_a_link_gives_the_arguments_that_the_function_takes(link: str, then: Any):
    assert next_arguments(takes("page", kind="integer"), {"page": 1}, [], link) == then


@pytest.mark.parametrize(
    "value, then",
    [
        ({"count": 9, "next": "https://x/?page=2&size=5", "results": [1]}, {"page": 2}),
        ({"@odata.nextLink": "https://x/?skip=3", "value": [1]}, {"skip": 3}),
        ({"_links": {"self": {"href": "/?page=1"}, "next": {"href": "/?page=2"}}}, {"page": 2}),
        ({"page": {"next": 2}, "links": {"next": "/?page=2"}}, {"page": 2}),
        ({"next": "https://[x/?page=2"}, None),
        ({"next": "page=2"}, None),
        ({"next": None}, None),
        ({"items": [{"next": "/?page=2"}]}, None),
        ("text", None),
    ],
)
def test_a_url_in_the_body_counts_as_a_link(value: Any, then: Any):
    assert next_arguments(takes("page", "skip", kind="integer"), {}, value) == then


INTEGER = {"type": "integer"}


@pytest.mark.parametrize(
    "schema, query, value",
    [
        (INTEGER, "x=2", 2),
        (INTEGER, "x=two", "two"),
        ({"type": ["integer", "null"]}, "x=-2", -2),
        ({"anyOf": [INTEGER, {"type": "null"}]}, "x=2", 2),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "x=2", "2"),
        ({"type": "number"}, "x=2", 2),
        ({"type": "number"}, "x=2.5", 2.5),
        ({"type": "boolean"}, "x=true", True),
        ({"type": "array", "items": {"type": "string"}}, "x=a&x=b", ["a", "b"]),
        ({"type": "array", "items": INTEGER}, "x=1,2", [1, 2]),
        ({"anyOf": [{"type": "array", "items": INTEGER}, {"type": "null"}]}, "x=1&x=2", [1, 2]),
        ({}, "x=2", "2"),
        (INTEGER, "x=1&x=2", 2),
    ],
)
def test_what_a_link_says_has_the_type_that_the_function_takes(
    schema: dict[str, Any], query: str, value: Any
):
    takes_it = Parameter(name="x", identifier="x", schema=schema, required=False)
    link = f"<https://a.example/?{query}>; rel=next"

    assert next_arguments([takes_it], {}, [], link) == {"x": value}


def test_a_link_that_is_too_long_to_be_one_is_none():
    value = {"next": f"https://a.example/?page=2&x={'x' * 20_000}"}

    assert next_arguments(takes("page"), {}, value) is None


def test_names_of_the_service_stay_as_they_are():
    assert next_arguments(takes("start-at"), {}, {"next": "/?start-at=c"}) == {"start-at": "c"}
