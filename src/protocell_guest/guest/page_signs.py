"""What in a tool's value says that more follows, and how it is asked for.

Tools that are no HTTP service say it in their value alone: MCP servers, and functions of the host.  What counts is
what is certain: a cursor under one of its usual names, for which the tool has a parameter, or a parameter that is
a page's number or an offset.  No cursor where there was room for one means that this was the last page, as in MCP's
own lists.
"""

from __future__ import annotations

import builtins
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Card = dict[str, Any]

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

# All without case and underscores, the surest first.
_CURSOR_PARAMETERS = (
    *("cursor", "nextcursor", "pagetoken", "nextpagetoken", "nexttoken", "continuationtoken"),
    *("continuation", "pagecursor", "startcursor", "after", "startingafter", "marker", "next"),
)
_CURSORS = (
    *("nextcursor", "nextpagetoken", "nexttoken", "continuationtoken", "continuation"),
    *("nextpagecursor", "nextmarker", "endcursor", "cursor", "next", "after", "marker"),
)
_MORE = ("hasmore", "hasnextpage", "hasnext", "more", "istruncated", "truncated")
_PAGES = ("page", "pagenumber", "pageno", "pageindex", "p")
_OFFSETS = ("offset", "skip", "start", "startindex", "startat")
_AROUND = (
    *("pagination", "paging", "pageinfo", "page", "meta", "metadata", "responsemetadata"),
    *("links", "data", "result", "response"),
)
_ITEMS = (
    *("items", "data", "results", "result", "records", "values", "entries", "rows", "hits"),
    *("list", "nodes", "edges"),
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
        inner = _path(item, levels - 1, choose) if _plain(key) in _AROUND else None
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
    card: Card, arguments: Mapping[str, Any], value: Any, items: Sequence[Any] | None
) -> Next | None:
    """The next page; None where this was the last.

    Raises:
        LookupError: it cannot be known; says why.
    """
    signs = _signs(value)
    more = next((signs[name] for name in _MORE if isinstance(signs.get(name), bool)), None)
    if more is False:
        return None
    cursor = next((signs[name] for name in _CURSORS if _is_cursor(signs.get(name))), None)
    parameter = _one_of(card, _CURSOR_PARAMETERS)
    if parameter is not None and cursor is not None:
        return _by_cursor(parameter, cursor)
    if parameter is not None and not more:
        return None
    found = _by_count(card, arguments, items)
    if found is None and not _counts(card):
        raise LookupError(_WITHOUT_CURSOR if more or cursor is not None else _WITHOUT_PARAMETER)
    return found


def _by_cursor(parameter: Card, cursor: Any) -> Next:
    if isinstance(cursor, str) and "://" in cursor:
        raise LookupError(f"its next page is a link, and not what {parameter['name']} takes")
    return Next({parameter["name"]: cursor}, is_counted=False)


def _by_count(card: Card, arguments: Mapping[str, Any], items: Sequence[Any] | None) -> Next | None:
    if not items:
        return None
    if (parameter := _one_of(card, _PAGES)) is not None:
        return Next({parameter["name"]: _number(arguments, parameter, 1) + 1}, is_counted=True)
    if (parameter := _one_of(card, _OFFSETS)) is not None:
        then = _number(arguments, parameter, 0) + len(items)
        return Next({parameter["name"]: then}, is_counted=True)
    return None


def _counts(card: Card) -> bool:
    return _one_of(card, (*_PAGES, *_OFFSETS)) is not None


def _signs(value: Any) -> dict[str, Any]:
    """All fields in which such things stand, by plain names; the outer ones count."""
    found: dict[str, Any] = {}
    for fields in _objects(value, _LEVELS):
        for key, item in fields.items():
            found.setdefault(_plain(key), item)
    return found


def _objects(value: Any, levels: int) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict) and levels:
        yield value
        for key, inner in value.items():
            if _plain(key) in _AROUND:
                yield from _objects(inner, levels - 1)


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
    return re.sub(r"[^a-z0-9]", "", str(name).lower())
