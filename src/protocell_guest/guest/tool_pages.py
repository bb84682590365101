"""All pages of what a tool lists, as one loop: ``for issue in paginate(github.list_issues, owner="a")``.

Where a service goes on by a link (``protocell.tools.page_links``), the host says so beside the answer, as arguments.
Else the next page is looked for in the value: a cursor for which the tool has a parameter, or a page or an offset to
be counted.  Where none is there the code is told so, and not that there is no more.
"""

from __future__ import annotations

import builtins
import json
from typing import TYPE_CHECKING, Any

from protocell_guest import page_signs
from protocell_guest.guest.tool_errors import error_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from protocell_guest.guest.tool_line import Line
    from protocell_guest.guest.tool_reply import Reply

    Card = dict[str, Any]
    Begin = Callable[[str, dict[str, Any]], tuple[Line, Reply]]
    Bind = Callable[[Card, tuple[Any, ...], dict[str, Any]], dict[str, Any]]

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_OF_A_SERVICE = {"status", "headers", "body", "next_arguments"}


class Page:
    """One page: its ``items``, the whole ``value`` around them, and the ``arguments`` of the call."""

    __slots__ = ("arguments", "items", "number", "value")

    def __init__(self, number: int, arguments: dict[str, Any], value: Any, items: Any) -> None:
        self.number = number
        self.arguments = arguments
        self.value = value
        self.items: list[Any] | None = items
        """None where ``value`` has no list of which it is clear that it is meant."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items or ())

    def __len__(self) -> int:
        return len(self.items or ())

    def __repr__(self) -> str:
        return f"<page {self.number}: {len(self)} items>"


class Walk:
    """From the first page on, as far as somebody asks."""

    def __init__(self, begin: Begin, card: Card, arguments: dict[str, Any]) -> None:
        self._begin = begin
        self._card = card
        self._arguments = arguments
        self._asked: set[str] = set()
        self._last: Any = Page  # equal to no value
        self._number = 0
        self._has_links = False
        self.goes_on = True

    def ask(self) -> tuple[Line, Reply]:
        """Call for the next page."""
        self._asked.add(_key(self._arguments))
        return self._begin(self._card["id"], self._arguments)

    def take(self, raw: Any) -> Page | None:
        """What was given for it; None where a tool that is counted gave the page before once more."""
        self._number += 1
        if _is_of_a_service(raw):
            value, linked = raw["body"], raw["next_arguments"]
        else:
            value, linked = page_signs.value_in(raw), None
        page = self._page(value)
        then = self._following(page, linked)
        if then is not None and then.is_counted and page.value == self._last:
            self.goes_on = (
                False  # as some do beyond their last page, and others that do not count at all
            )
            return None
        self._last = page.value
        self._go_on({} if then is None else then.arguments)
        return page

    def _page(self, value: Any) -> Page:
        path, items = page_signs.path_of_items(value), value
        for key in path or ():
            items = items[key]
        return Page(self._number, self._arguments, value, None if path is None else items)

    def _following(self, page: Page, linked: dict[str, Any] | None) -> page_signs.Next | None:
        self._has_links |= linked is not None
        if linked:
            return page_signs.Next(linked, is_counted=False)
        may_count = not self._has_links  # what goes on by links has one on all pages but the last
        try:
            return page_signs.following(
                self._card, self._arguments, page.value, page.items, may_count=may_count
            )
        except LookupError as odd:
            raise _unknown(self._card, str(odd)) from None

    def _go_on(self, then: dict[str, Any]) -> None:
        self._arguments = self._arguments | then
        self.goes_on = _key(self._arguments) not in self._asked  # or it would go round for ever


class Pages:
    """What ``paginate`` gives: items to loop over, with ``for`` or ``async for``, or ``.pages()``."""

    def __init__(self, start: Callable[[], Walk], card: Card, most: int | None) -> None:
        self._start = start
        self._card = card
        self._most = most

    def pages(self) -> PageLoop:
        """The pages themselves: ``page.items``, ``page.value``; for ``for`` or ``async for``."""
        return PageLoop(self._start, self._most)

    def __iter__(self) -> Iterator[Any]:
        for page in self.pages():
            yield from self._items(page)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for page in self.pages():
            for item in self._items(page):
                yield item

    def _items(self, page: Page) -> list[Any]:
        if page.items is None:
            why = "which list in it are the items is not clear; loop over paginate(...).pages()"
            raise _unknown(self._card, f"{why}, and take them from page.value")
        return page.items

    def __repr__(self) -> str:
        return f"<all pages of {self._card['id']}: loop over it, or list() it>"


class PageLoop:
    """All pages, up to so many items; each loop asks anew."""

    def __init__(self, start: Callable[[], Walk], most: int | None) -> None:
        self._start = start
        self._most = most

    def __iter__(self) -> Iterator[Page]:
        walk, left = self._start(), self._most
        while walk.goes_on and (left is None or left > 0):
            line, reply = walk.ask()
            page = _cut(walk.take(line.wait(reply)), left)
            if page is not None:
                left = None if left is None else left - len(page)
                yield page

    async def __aiter__(self) -> AsyncIterator[Page]:
        walk, left = self._start(), self._most
        while walk.goes_on and (left is None or left > 0):
            line, reply = walk.ask()
            page = _cut(walk.take(await line.awaited(reply)), left)
            if page is not None:
                left = None if left is None else left - len(page)
                yield page


def names(begin: Begin, bind: Bind, cards: Mapping[str, Card]) -> dict[str, Any]:
    """What code finds under ``paginate``."""

    def paginate(
        tool: Any,
        /,
        *args: Any,
        limit: int | None = None,
        max_items: int | None = None,
        **arguments: Any,
    ) -> Pages:
        """Loop over all items of a tool that gives them page by page; pages are asked for as they are needed.

        for issue in paginate(github.list_issues, owner="a", repo="b", per_page=100): ...
        async for ... works too, list(paginate(...)) gives all, paginate(...).pages() the pages themselves
        (page.items, page.value). limit= ends it after so many items; of a tool that has a parameter
        ``limit`` itself that is the tool's, and max_items= does it. Links, cursors, page numbers and
        offsets are followed; a tool that does not say how it goes on raises ToolValidationError.
        """
        card = _card_of(tool, cards)
        if limit is not None and any(each["identifier"] == "limit" for each in card["parameters"]):
            arguments["limit"], limit = limit, None
        most = limit if max_items is None else max_items
        if most is not None and (type(most) is not int or most < 0):
            raise _misused(f"limit is {most!r:.60}; allowed is a number of items")
        bound = bind(card, args, arguments)
        return Pages(lambda: Walk(begin, card, bound), card, most)

    paginate.__module__, paginate.__qualname__ = "__main__", "paginate"
    return {"paginate": paginate}


def _card_of(tool: Any, cards: Mapping[str, Card]) -> Card:
    card = cards.get(tool) if isinstance(tool, str) else getattr(tool, "_card", None)
    if isinstance(card, dict):
        return card
    raise _misused(
        "paginate takes the tool itself and then its arguments: "
        f"paginate(github.list_issues, owner='a'); it was given {type(tool).__name__}"
    )


def _is_of_a_service(raw: Any) -> bool:
    """Whether the host has said beside the answer how it goes on; a function may give the like by accident."""
    is_like = isinstance(raw, dict) and raw.keys() == _OF_A_SERVICE
    return is_like and isinstance(raw["next_arguments"], dict | None)


def _cut(page: Page | None, left: int | None) -> Page | None:
    if page is not None and page.items is not None and left is not None and len(page) > left:
        page.items = page.items[:left]
    return page


def _key(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True, default=repr)


def _unknown(card: Card, why: str) -> Exception:
    message = f"paginate cannot tell how {card['id']} goes on: {why}"
    return error_of({"kind": "validation", "message": message, "tool": card["id"]})


def _misused(message: str) -> Exception:
    return error_of({"kind": "validation", "message": message})
