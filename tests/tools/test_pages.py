"""How the next page is found; the loop stands for the ``paginate`` of the code inside."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from protocell.tools.pages import page
from protocell.tools.tool import Parameter
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
    items: list[int] = []
    calls: list[Any] = []
    while True:
        calls.append(arguments)
        answer = await session.answer(name, **arguments)
        found = answer.raw["page"]
        here = answer.value
        for key in found["items"]:
            here = here[key]
        items += [item["id"] for item in here]
        if found["next"] is None:
            return items, calls
        arguments = arguments | found["next"]


@pytest.mark.parametrize(
    "name, arguments, calls",
    [
        ("linked", {}, [{}, {"page": 2}, {"page": 3}]),
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
        ("<https://x/?page=2>", None),
        ("nonsense", None),
        ("<" * 100_000, None),
    ],
)
def test_a_link_gives_the_arguments_that_the_function_takes(link: str, then: Any):
    found = page(takes("page", kind="integer"), {"page": 1}, {"no": "list"}, link)
    assert found == (None if then is None else {"items": None, "next": then, "how": "link"})


@pytest.mark.parametrize(
    "name, value, then",
    [
        ("cursor", {"items": [], "next_cursor": "c"}, "c"),
        ("pageToken", {"nextPageToken": "c"}, "c"),
        ("cursor", {"response_metadata": {"next_cursor": "c"}}, "c"),
        ("after", {"paging": {"next": {"after": "c"}}}, "c"),
        ("after", {"page_info": {"end_cursor": "c"}}, "c"),
        ("start-cursor", {"next_cursor": "c"}, "c"),
        ("cursor", {"next_cursor": ""}, None),
        ("cursor", {"next_cursor": None}, None),
        ("cursor", {"next_cursor": "before"}, None),
        ("cursor", {"next_cursor": 5}, None),
        ("name", {"next_cursor": "c"}, None),
    ],
)
def test_a_cursor_in_the_body_is_found(name: str, value: Any, then: str | None):
    found = page(takes(name), {name: "before"}, value)
    assert (found and found["next"]) == (then and {name.replace("-", "_"): then})


def test_a_url_in_the_body_counts_as_a_link():
    value = {"count": 9, "next": "https://x/?page=2&size=5", "results": [1]}
    assert page(takes("page", kind="integer"), {}, value) == {
        "items": ["results"],
        "next": {"page": 2},
        "how": "link",
    }
    odata = {"@odata.nextLink": "https://x/?skip=3", "value": [1]}
    assert page(takes("skip", kind="integer"), {}, odata) == {
        "items": ["value"],
        "next": {"skip": 3},
        "how": "link",
    }


@pytest.mark.parametrize(
    "value, items",
    [
        ([1], []),
        ({"a": [1]}, ["a"]),
        ({"errors": [], "data": [1]}, ["data"]),
        ({"data": {"items": [1], "other": []}}, ["data", "items"]),
        ({"a": [], "b": []}, None),
        ({"a": 1}, None),
        ("text", None),
        (None, None),
    ],
)
def test_the_list_is_found_where_it_is_clear(value: Any, items: Any):
    found = page([], {}, value)
    assert found == (None if items is None else {"items": items, "next": None, "how": None})


def test_counting_ends_with_an_empty_page_and_is_not_done_beside_a_cursor():
    parameters = takes("page", kind="integer")
    assert page(parameters, {}, [1]) == {"items": [], "next": {"page": 2}, "how": "page"}
    assert page(parameters, {"page": 7}, []) == {"items": [], "next": None, "how": None}
    assert page(takes("page", "cursor"), {}, {"items": [1]}) == {
        "items": ["items"],
        "next": None,
        "how": None,
    }
