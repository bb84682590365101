"""What in a tool's value says that more follows, and how it is asked for.

Looked for inside, whatever the tool is; what only the host sees or can read, links, it tells as arguments
(``protocell.tools.page_links``).  What counts is what is certain: a cursor under one of its usual names, for which the
tool has a parameter, or a parameter that is a page's number or an offset.  No cursor where there was room for one means
that this was the last page, as in MCP's own lists.
"""

from __future__ import annotations

import builtins
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Card = dict[str, Any]
    Sign = tuple[str, Any]

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

# All without case, underscores and OData's prefix, the surest first.
LINKS = ("next", "nexturl", "nextlink", "nextpage")
_CURSOR_PARAMETERS = (
    *("cursor", "nextcursor", "pagetoken", "nextpagetoken", "nexttoken", "continuationtoken"),
    *("continuation", "pagecursor", "startcursor", "after", "startingafter", "marker", "next"),
)
_CURSORS = (
    *("nextcursor", "nextpagetoken", "nexttoken", "continuationtoken", "continuation"),
    *(
        "nextpagecursor",
        "nextmarker",
        "endcursor",
        "cursor",
        "pagetoken",
        "next",
        "after",
        "marker",
    ),
)
_MORE = ("hasmore", "hasnextpage", "hasnext", "more", "istruncated", "truncated")
_PAGES = ("page", "pagenumber", "pageno", "pageindex", "p")
_OFFSETS = ("offset", "skip", "startindex", "startat")
_STARTS = ("start", "from")  # offsets beside a size, and dates or places elsewhere
_SIZES = ("limit", "perpage", "pagesize", "count", "size", "top", "maxresults")
_ENVELOPES = ("data", "result", "response", "embedded", "page")
_AROUND = (
    *("pagination", "paging", "pageinfo", "meta", "metadata", "responsemetadata", "links", "next"),
    *_ENVELOPES,
)
_ITEMS = (
    *("items", "data", "results", "result", "records", "values", "value", "entries", "rows"),
    *("hits", "list", "nodes", "edges"),
)
_LEVELS = 3
_WITHOUT_CURSOR = "it says that more follows, and gives no cursor that it has a parameter for"
_WITHOUT_PARAMETER = (
    "it has no parameter for a cursor, a page or an offset; call it once, that may be all"
)


def value_in(raw: Any) -> Any:
    """The value as a plain call gives it; of what an MCP server gave, what is in its envelope."""
    if not isinstance(raw, dict) or not isinstance(raw.get("content"), list):
        return raw
    if "structuredContent" in raw:
        inner = raw["structuredContent"]
        is_lone = isinstance(inner, dict) and list(inner) == ["result"]
        return inner["result"] if is_lone else inner
    texts = [block.get("text") for block in raw["content"] if isinstance(block, dict)]
    found = [_parsed(text) for text in texts if isinstance(text, str)]
    return found[0] if len(found) == 1 else found


def path_of_items(value: Any) -> list[str] | None:
    """The keys that lead to the list that is meant; None where that is not clear."""
    if isinstance(value, list):
        return []
    # A usual name says more, at any level, than that there is no other list.
    return _path(value, _LEVELS, _named_list) or _path(value, _LEVELS, _lone_list)


def _path(
    value: Any, levels: int, choose: Callable[[Mapping[str, str]], str | None]
) -> list[str] | None:
    if not isinstance(value, dict) or not levels:
        return None
    lists = {_plain(key): key for key, item in value.items() if isinstance(item, list)}
    if (chosen := choose(lists)) is not None:
        return [chosen]
    for key, item in value.items():
        inner = _path(item, levels - 1, choose) if _plain(key) in _ENVELOPES else None
        if inner:
            return [key, *inner]
    return None


def _named_list(lists: Mapping[str, str]) -> str | None:
    return next((lists[name] for name in _ITEMS if name in lists), None)


def _lone_list(lists: Mapping[str, str]) -> str | None:
    return next(iter(lists.values())) if len(lists) == 1 else None


class Next:
    """What differs in the arguments for the next page, by original names."""

    __slots__ = ("arguments", "is_counted")

    def __init__(self, arguments: dict[str, Any], *, is_counted: bool) -> None:
        self.arguments = arguments
        self.is_counted = is_counted
        """Nobody said that there is such a page."""


def following(
    card: Card,
    arguments: Mapping[str, Any],
    value: Any,
    items: Sequence[Any] | None,
    *,
    may_count: bool = True,
) -> Next | None:
    """The next page; None where this was the last, as it is where nothing says more and counting is not allowed.

    Raises:
        LookupError: it cannot be known; says why.
    """
    signs = list(signs_in(value))
    more = first_of(signs, _MORE, lambda item: isinstance(item, bool))
    if more is False:
        return None
    cursor = first_of(signs, _CURSORS, _is_cursor)
    parameter = _one_of(card, _CURSOR_PARAMETERS)
    if parameter is not None and cursor is not None:
        return _by_cursor(parameter, cursor)
    if not may_count or (not more and (parameter is not None or _has_ended(signs))):
        return None
    if (counted := _counted(card)) is None:
        raise LookupError(_WITHOUT_CURSOR if more or cursor is not None else _WITHOUT_PARAMETER)
    if not items or (not more and _is_short(card, arguments, len(items))):
        return None
    first, step = (1, 1) if _plain(counted["name"]) in _PAGES else (0, len(items))
    then = _number(arguments, counted, first) + step
    return Next({counted["name"]: then}, is_counted=True)


def signs_in(value: Any, levels: int = _LEVELS) -> Iterator[Sign]:
    """All fields in which such things stand, by plain names; the outer ones first."""
    if isinstance(value, dict) and levels:
        plain = [(_plain(key), item) for key, item in value.items()]
        yield from plain
        for name, item in plain:
            if name in _AROUND:
                yield from signs_in(item, levels - 1)


def first_of(signs: Sequence[Sign], names: Sequence[str], fits: Callable[[Any], object]) -> Any:
    """What fits and has the first of these names; None where nothing does."""
    found = (item for name in names for key, item in signs if key == name and fits(item))
    return next(found, None)


def _has_ended(signs: Sequence[Sign]) -> bool:
    """Whether there is room for what leads on, and nothing in it."""
    names = {*LINKS, *(name for name in _CURSORS if name.startswith("next"))}
    found = [item for name, item in signs if name in names]
    return bool(found) and not any(found)


def _by_cursor(parameter: Card, cursor: Any) -> Next:
    if isinstance(cursor, str) and "://" in cursor:
        raise LookupError(f"its next page is a link, and not what {parameter['name']} takes")
    return Next({parameter["name"]: cursor}, is_counted=False)


def _counted(card: Card) -> Card | None:
    """The parameter that is a page's number or an offset."""
    offsets = _OFFSETS if _one_of(card, _SIZES) is None else (*_OFFSETS, *_STARTS)
    return _one_of(card, (*_PAGES, *offsets))


def _is_short(card: Card, arguments: Mapping[str, Any], length: int) -> bool:
    """By default the tool sets a page's size.  One that was asked for may be more than it ever gives."""
    size = _one_of(card, _SIZES)
    if size is None or size["name"] in arguments:
        return False
    return length < _number(arguments, size, 1)


def _is_cursor(found: Any) -> bool:
    return (type(found) is str and found != "") or type(found) is int


def _one_of(card: Card, names: Sequence[str]) -> Card | None:
    """The parameter with the first of these names."""
    by_name = {_plain(each["name"]): each for each in reversed(card["parameters"])}
    return next((by_name[name] for name in names if name in by_name), None)


def _number(arguments: Mapping[str, Any], parameter: Card, otherwise: int) -> int:
    given = arguments.get(parameter["name"], parameter.get("default", otherwise))
    return given if type(given) is int else otherwise


def _parsed(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _plain(name: Any) -> str:
    """Without what differs between styles: ``@odata.nextLink`` is ``nextlink``."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower().removeprefix("@odata."))
