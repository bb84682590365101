"""``paginate`` as code writes it: all pages of functions that say how they go on, and a sentence where they do not."""

import asyncio
import inspect
import select
from collections.abc import Iterator
from typing import Any

import pytest

from protocell._broker.desk import Desk
from protocell._broker.runtime import OwnRuntime
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.entries import cards
from protocell.tools.access import Tools
from protocell.tools.functions import FunctionSource
from protocell.tools.toolset import Toolset
from protocell_guest.guest.tool_errors import ToolError, ToolValidationError
from protocell_guest.guest.toolbox import Toolbox

NAMES = [f"item {number}" for number in range(7)]
CALLS: list[dict[str, Any]] = []


def by_cursor(owner: str, cursor: str = "0", size: int = 3) -> dict[str, Any]:
    """Say where to go on."""
    CALLS.append({"owner": owner, "cursor": cursor, "size": size})
    start = int(cursor)
    more = start + size < len(NAMES)
    return {
        "items": NAMES[start : start + size],
        "next_cursor": str(start + size) if more else None,
    }


def by_page(page: int = 1) -> list[str]:
    """Count."""
    CALLS.append({"page": page})
    return NAMES[3 * page - 3 : 3 * page]


def by_offset(offset: int = 0, limit: int = 3) -> dict[str, Any]:
    """Count items."""
    return {"rows": NAMES[offset : offset + limit], "total": len(NAMES)}


def clamped(page: int = 1) -> list[str]:
    """Give the last page for all that would follow it."""
    CALLS.append({"page": page})
    return NAMES[3:] if page > 1 else NAMES[:3]


def round_and_round(cursor: str = "a") -> dict[str, Any]:
    """Never end."""
    CALLS.append({"cursor": cursor})
    return {"items": [cursor], "next_cursor": {"a": "b", "b": "c", "c": "a"}[cursor]}


def whole() -> list[str]:
    """Have no pages."""
    return NAMES


def unclear(page: int = 1) -> dict[str, Any]:
    """Have two lists."""
    return {"left": [page], "right": [page], "has_more": page < 3}


def broken(page: int = 1) -> list[str]:
    """Fail in the middle."""
    if page > 1:
        raise ValueError("page 2 is torn")
    return NAMES[:3]


FUNCTIONS = (by_cursor, by_page, by_offset, clamped, round_and_round, whole, unclear, broken)


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    CALLS.clear()
    runtime = OwnRuntime()
    desk = Desk(Tools(toolset=Toolset.of(*FUNCTIONS, name="host")), runtime)
    found = asyncio.run(FunctionSource(FUNCTIONS, name="host").tools())
    counter = desk.counter(1)
    counter.begin()
    toolbox = Toolbox(cards(Catalogue.of(found)))
    toolbox.open(counter.far.dup(), desk.limits.argument_bytes)
    yield toolbox.names()
    bell = counter.finish()
    assert select.select([bell], [], [], 30)[0] == [bell]
    toolbox.close()
    counter.close()
    runtime.close()


def test_all_items_of_all_pages_come_as_they_are_needed(names: dict[str, Any]):
    loop = iter(names["paginate"](names["by_cursor"], owner="a"))

    assert next(loop) == NAMES[0]
    assert CALLS == [{"owner": "a", "cursor": "0", "size": 3}]
    assert list(loop) == NAMES[1:]
    assert [call["cursor"] for call in CALLS] == ["0", "3", "6"]


@pytest.mark.parametrize(
    "code",
    [
        "paginate(by_cursor, owner='a')",
        "paginate(by_cursor, 'a')",
        "paginate(by_cursor, {'owner': 'a', 'size': 2})",
        "paginate(host.by_cursor, 'a', size=5)",
        "paginate('host/by_cursor', owner='a')",
        "paginate(tools['host.by_cursor'], owner='a')",
        "paginate(search_tools('say where to go on')[0], owner='a')",
        "paginate(by_page)",
        "paginate(by_offset)",
        "paginate(by_offset, limit=2)",
    ],
)
def test_a_tool_is_named_and_goes_on_in_any_of_these_ways(names: dict[str, Any], code: str):
    assert list(eval(code, names)) == NAMES


def test_a_tool_that_is_counted_is_asked_until_a_page_is_empty_or_comes_again(
    names: dict[str, Any],
):
    assert list(names["paginate"](names["by_page"])) == NAMES
    assert list(names["paginate"](names["clamped"])) == NAMES
    assert [call["page"] for call in CALLS] == [1, 2, 3, 4, 1, 2, 3]


def test_a_cursor_that_was_there_before_ends_it(names: dict[str, Any]):
    assert list(names["paginate"](names["round_and_round"])) == ["a", "b", "c", "a"]
    assert len(CALLS) == 4


def test_in_a_coroutine_it_is_awaited_and_beside_others(names: dict[str, Any]):
    async def all_of(tool: Any, **arguments: Any) -> list[str]:
        return [item async for item in names["paginate"](tool, **arguments)]

    async def main() -> Any:
        return await asyncio.gather(
            all_of(names["by_cursor"], owner="a"),
            all_of(names["by_page"]),
            all_of(names["by_page"], limit=4),
        )

    assert asyncio.run(main()) == [NAMES, NAMES, NAMES[:4]]
    assert asyncio.run(main()) == [NAMES, NAMES, NAMES[:4]]


@pytest.mark.parametrize("limit, calls", [(0, 0), (1, 1), (3, 1), (4, 2), (100, 3)])
def test_a_limit_ends_it_and_no_page_more_is_asked_for(
    names: dict[str, Any], limit: int, calls: int
):
    assert list(names["paginate"](names["by_cursor"], "a", limit=limit)) == NAMES[:limit]
    assert len(CALLS) == calls


def test_a_limit_of_the_tools_own_stays_the_tools(names: dict[str, Any]):
    assert list(names["paginate"](names["by_offset"], limit=2, max_items=5)) == NAMES[:5]


def test_pages_have_their_items_their_value_and_their_arguments(names: dict[str, Any]):
    pages = list(names["paginate"](names["by_cursor"], "a").pages())

    assert [page.items for page in pages] == [NAMES[:3], NAMES[3:6], NAMES[6:]]
    assert pages[1].value == {"items": NAMES[3:6], "next_cursor": "6"}
    assert pages[1].arguments == {"owner": "a", "cursor": "3"}
    assert [list(page) for page in pages][2] == ["item 6"]
    assert repr(pages[0]) == "<page 1: 3 items>"


def test_where_the_items_are_not_clear_the_pages_are_still_there(names: dict[str, Any]):
    values = [page.value["left"] for page in names["paginate"](names["unclear"]).pages()]

    assert values == [[1]]
    with pytest.raises(ToolValidationError) as raised:
        list(names["paginate"](names["unclear"]))
    assert "take them from page.value" in str(raised.value)


_WHOLE = (
    "paginate cannot tell how host/whole goes on: it has no parameter for a cursor, a page or an "
    "offset; call it once, that may be all"
)
_MISUSED = (
    "paginate takes the tool itself and then its arguments: "
    "paginate(github.list_issues, owner='a'); it was given list"
)


@pytest.mark.parametrize(
    "code, words",
    [
        ("list(paginate(whole))", _WHOLE),
        ("paginate(by_page())", _MISUSED),
        ("paginate('host/nothing')", "it was given str"),
        ("paginate(by_page, limit=-1)", "limit is -1"),
        ("paginate(by_page, 1, 2, 3)", "takes 1 argument by position, 3 are given"),
        ("list(paginate(by_cursor))", "owner is missing"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(names: dict[str, Any], code: str, words: str):
    with pytest.raises(ToolValidationError) as raised:
        eval(code, names)

    assert words in str(raised.value)


def test_an_error_of_a_later_page_comes_after_the_items_before_it(names: dict[str, Any]):
    loop = iter(names["paginate"](names["broken"]))

    assert [next(loop) for _ in range(3)] == NAMES[:3]
    with pytest.raises(ToolError, match="page 2 is torn"):
        next(loop)


def test_it_explains_itself(names: dict[str, Any]):
    text = inspect.getdoc(names["paginate"]) or ""

    assert text.splitlines()[0] == (
        "Loop over all items of a tool that gives them page by page; pages are asked for as they are needed."
    )
    assert repr(names["paginate"](names["whole"])) == (
        "<all pages of host/whole: loop over it, or list() it>"
    )
