"""How a tool says that more follows, where its value is all there is: what is followed, and what is not guessed."""

from typing import Any

import pytest

from protocell_guest.page_signs import following, path_of_items, value_in


def card(*parameters: str, **defaults: Any) -> dict[str, Any]:
    taken: list[dict[str, Any]] = [{"name": name} for name in parameters]
    taken += [{"name": name, "default": default} for name, default in defaults.items()]
    return {"id": "a/b", "parameters": taken}


def then(takes: dict[str, Any], value: Any, **arguments: Any) -> tuple[dict[str, Any], bool] | None:
    path = path_of_items(value)
    items = value
    for key in path or ():
        items = items[key]
    found = following(takes, arguments, value, None if path is None else items)
    return None if found is None else (found.arguments, found.is_counted)


@pytest.mark.parametrize(
    "value, cursor",
    [
        ({"items": [1], "nextCursor": "c"}, "c"),
        ({"items": [1], "next_cursor": "c", "has_more": True}, "c"),
        ({"items": [1], "cursor": "c"}, "c"),
        ({"items": [1], "next_cursor": 17}, 17),
        ({"items": [1], "pageInfo": {"hasNextPage": True, "endCursor": "c"}}, "c"),
        ({"data": {"items": [1], "next_page_token": "c"}}, "c"),
        ({"items": [1], "response_metadata": {"next_cursor": "c"}}, "c"),
        ({"items": [1], "next_cursor": "c", "has_more": False}, None),
        ({"items": [1], "pageInfo": {"hasNextPage": False, "endCursor": "c"}}, None),
        ({"items": [1], "nextCursor": None}, None),
        ({"items": [1], "nextCursor": ""}, None),
        ({"items": [1]}, None),
        ([1], None),
    ],
)
def test_a_cursor_is_followed_where_the_tool_takes_one(value: Any, cursor: Any):
    assert then(card("cursor"), value) == (None if cursor is None else ({"cursor": cursor}, False))


@pytest.mark.parametrize(
    "name, value",
    [
        ("page-token", {"rows": [1], "nextPageToken": "c"}),
        ("pageToken", {"nextPageToken": "c"}),
        ("start-cursor", {"next_cursor": "c"}),
        ("after", {"page_info": {"start_cursor": "b", "end_cursor": "c"}}),
        ("after", {"paging": {"next": {"after": "c"}}}),
    ],
)
def test_the_parameter_keeps_the_name_that_the_tool_gave_it(name: str, value: Any):
    assert then(card(name), value) == ({name: "c"}, False)


@pytest.mark.parametrize(
    "takes, value, arguments, expected",
    [
        (card("page"), [1, 2], {}, {"page": 2}),
        (card("page"), [1, 2], {"page": 4}, {"page": 5}),
        (card(page=0), [1, 2], {}, {"page": 1}),
        (card("page"), {"items": [1], "has_more": True}, {}, {"page": 2}),
        (card("page", "cursor"), {"items": [1], "has_more": True}, {}, {"page": 2}),
        (card("offset", "limit"), [1, 2], {"offset": 4}, {"offset": 6}),
        (card("skip"), {"rows": [1]}, {}, {"skip": 1}),
        (card("start", "count"), [1, 2], {}, {"start": 2}),
        (card("page", size=2), [1, 2], {}, {"page": 2}),
        (card("page", size=2), [1], {"size": 5}, {"page": 2}),
        (card("page", size=2), {"items": [1], "has_more": True}, {}, {"page": 2}),
    ],
)
def test_pages_and_offsets_are_counted(
    takes: dict[str, Any], value: Any, arguments: dict[str, Any], expected: dict[str, Any]
):
    assert then(takes, value, **arguments) == (expected, True)


@pytest.mark.parametrize(
    "value",
    [
        *([], {"items": []}, {"items": [1], "hasMore": False}),
        {"count": 1, "next": None, "previous": None, "results": [1]},
    ],
)
def test_an_empty_page_is_the_last_and_so_is_one_that_says_so(value: Any):
    assert then(card("page"), value) is None


def test_a_page_is_the_last_if_it_is_shorter_than_by_default_or_lacks_the_cursor_that_is_taken():
    assert then(card("page", size=2), [1]) is None
    assert then(card("page", "cursor"), {"items": [1]}) is None


def test_nothing_is_counted_where_links_led_on():
    assert following(card("page"), {}, [1], [1], may_count=False) is None
    assert following(card("query"), {}, [1], [1], may_count=False) is None


@pytest.mark.parametrize(
    "takes, value, words",
    [
        (card("query"), [1], "no parameter for a cursor, a page or an offset"),
        (card("start", "end"), [1], "no parameter for a cursor, a page or an offset"),
        (card(), {"items": [1], "next_cursor": "c"}, "gives no cursor that it has a parameter for"),
        (card("cursor"), {"items": [1], "has_more": True}, "gives no cursor"),
        (card("cursor"), {"items": [1], "next": "https://x/?cursor=c"}, "is a link"),
    ],
)
def test_what_cannot_be_known_is_said(takes: dict[str, Any], value: Any, words: str):
    with pytest.raises(LookupError, match=words):
        then(takes, value)


@pytest.mark.parametrize(
    "value, path",
    [
        ([1], []),
        ({"anything": [1]}, ["anything"]),
        ({"errors": [], "data": [1]}, ["data"]),
        ({"data": {"Items": [1], "tags": []}}, ["data", "Items"]),
        ({"errors": [], "data": {"items": [1]}}, ["data", "items"]),
        ({"users": [1], "meta": {"warnings": []}}, ["users"]),
        ({"_links": {"curies": [2]}, "_embedded": {"books": [1]}}, ["_embedded", "books"]),
        ({"value": [1], "notes": []}, ["value"]),
        ({"data": {"items": [1], "other": []}}, ["data", "items"]),
        ({"a": [1], "b": [2]}, None),
        ({"a": 1}, None),
        ("text", None),
    ],
)
def test_the_list_is_found_where_it_is_clear(value: Any, path: Any):
    assert path_of_items(value) == path


@pytest.mark.parametrize(
    "raw, value",
    [
        ({"content": [], "structuredContent": {"result": [1]}}, [1]),
        ({"content": [], "structuredContent": {"items": [1]}}, {"items": [1]}),
        ({"content": [{"type": "text", "text": '{"items": [1]}'}]}, {"items": [1]}),
        ({"content": [{"type": "text", "text": "1"}, {"type": "text", "text": "[2]"}]}, ["1", [2]]),
        ({"content": [{"type": "text", "text": "[2"}]}, "[2"),
        ([1], [1]),
        ({"content": "mine"}, {"content": "mine"}),
    ],
)
def test_an_envelope_of_mcp_is_opened_as_the_host_does(raw: Any, value: Any):
    assert value_in(raw) == value
