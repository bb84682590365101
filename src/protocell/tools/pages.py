"""How the next page of a result is asked for: with which arguments the same function is called again.

Services say it in three ways: a link (RFC 8288, or a URL in the body), a cursor in the body, or not at all,
where a page or an offset is counted. The host looks once, when it has the answer in its hands, and gives the
code inside arguments only, never a URL to fetch. ``paginate`` inside calls the function with them, and goes
on until there are none; where pages were counted, until one is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from protocell.tools.tool import Parameter

How = Literal["link", "cursor", "page", "offset"]

_PAGES = ("page", "page_number", "pagenumber", "pageno", "page_index", "pageindex", "p")
_OFFSETS = ("offset", "skip", "start", "start_index", "startindex", "startat", "from")
_SIZES = (
    "limit",
    "per_page",
    "perpage",
    "page_size",
    "pagesize",
    "count",
    "size",
    "top",
    "max_results",
)
_CURSORS = (
    *("cursor", "next_cursor", "page_token", "pagetoken", "next_page_token", "nextpagetoken"),
    *("next_token", "nexttoken", "continuation_token", "continuationtoken", "continuation"),
    *("after", "page_cursor", "starting_after", "start_cursor", "marker", "next"),
)
_LINKS = ("next", "next_url", "nexturl", "next_link", "nextlink", "next_page", "nextpage")
_AROUND = (
    "pagination",
    "paging",
    "meta",
    "metadata",
    "links",
    "_links",
    "response_metadata",
    "page_info",
)
_ITEMS = (
    "items",
    "data",
    "results",
    "records",
    "values",
    "value",
    "entries",
    "rows",
    "hits",
    "list",
)
_MOST_LINK_CHARACTERS = 16_384


def page(
    parameters: Sequence[Parameter],
    arguments: Mapping[str, Any],
    value: Any,
    link: str = "",
) -> dict[str, Any] | None:
    """Where the items are in this value, and what to call next; None where it is no page at all.

    ``parameters`` are those of the tool, ``arguments`` what it was called with, by original names, and
    ``link`` the header of that name. Gives ``{"items": path, "next": arguments or None, "how": ...}``:
    ``items`` are the keys that lead to the list, and ``next`` is by identifiers, to be put over the
    arguments of the call before. Where ``how`` is ``page`` or ``offset``, an empty page is the last.
    """
    items = _items(value)
    found = (
        _by_link(parameters, arguments, _next_in_header(link))
        or _by_link(parameters, arguments, _text_in(value, _LINKS))
        or _by_cursor(parameters, arguments, value)
        or _by_count(parameters, arguments, value, None if link else items)
    )
    if items is None and found is None:
        return None
    how, then = found or (None, None)
    return {"items": items, "next": then, "how": how}


# Links


def _next_in_header(link: str) -> str:
    for part in re.findall(r"<([^<>]*)>([^<]*)", link[:_MOST_LINK_CHARACTERS]):
        if re.search(r';\s*rel\s*=\s*"?[^";]*\bnext\b', part[1], re.IGNORECASE):
            return str(part[0])
    return ""


def _by_link(
    parameters: Sequence[Parameter], arguments: Mapping[str, Any], url: str
) -> tuple[How, dict[str, Any]] | None:
    """Those of the link's query that the function takes: where the link leads does not matter."""
    try:
        query = dict(parse_qsl(urlsplit(url).query)) if "?" in url else {}
    except ValueError:
        return None
    then = {
        parameter.identifier: _of_type(query[parameter.name], parameter)
        for parameter in parameters
        if parameter.name in query
    }
    before = {p.identifier: arguments[p.name] for p in parameters if p.name in arguments}
    news = {key: new for key, new in then.items() if key not in before or before[key] != new}
    return ("link", news) if news else None


def _of_type(text: str, parameter: Parameter) -> Any:
    kinds = parameter.schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "integer" in kinds and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if "boolean" in kinds and text in {"true", "false"}:
        return text == "true"
    if "array" in kinds:
        return text.split(",")
    return text


# Cursors


def _by_cursor(
    parameters: Sequence[Parameter], arguments: Mapping[str, Any], value: Any
) -> tuple[How, dict[str, Any]] | None:
    parameter = _one_of(parameters, _CURSORS)
    if parameter is None:
        return None
    wanted = [name for name in _CURSORS if name not in {"after", "starting_after"}]
    cursor = _text_in(value, [*wanted, "end_cursor", "endcursor", "after"])
    if cursor and cursor != arguments.get(parameter.name):
        return "cursor", {parameter.identifier: cursor}
    return None


def _text_in(value: Any, names: Sequence[str]) -> str:
    """The text under the first of these names, in the object or in what it keeps such things in."""
    for fields in _objects(value):
        plain = {_plain(key): item for key, item in fields.items()}
        for name in names:
            found = plain.get(_plain(name))
            if isinstance(found, Mapping):
                found = found.get("href", found.get("url", found.get("after")))
            if isinstance(found, str) and found:
                return found
    return ""


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        for key, inner in value.items():
            if _plain(key) in {_plain(name) for name in _AROUND} and isinstance(inner, Mapping):
                yield from _objects(inner)


# Counting


def _by_count(
    parameters: Sequence[Parameter],
    arguments: Mapping[str, Any],
    value: Any,
    items: list[str] | None,
) -> tuple[How, dict[str, Any]] | None:
    if items is None or _one_of(parameters, _CURSORS) is not None:
        return None
    length = len(_at(value, items))
    # By default the service sets the size. One that was asked for may be more than it ever gives.
    size = _one_of(parameters, _SIZES)
    given_by_default = size is not None and size.name not in arguments
    if length < (_number(arguments, size, 1) if size is not None and given_by_default else 1):
        return None
    if (counted := _one_of(parameters, _PAGES)) is not None:
        return "page", {counted.identifier: _number(arguments, counted, 1) + 1}
    if (counted := _one_of(parameters, _OFFSETS)) is not None and size is not None:
        return "offset", {counted.identifier: _number(arguments, counted, 0) + length}
    return None


def _number(arguments: Mapping[str, Any], parameter: Parameter, otherwise: int) -> int:
    given = arguments.get(parameter.name, parameter.default)
    return given if type(given) is int else otherwise


def _one_of(parameters: Sequence[Parameter], names: Sequence[str]) -> Parameter | None:
    """The parameter with the first of these names."""
    by_name = {_plain(parameter.name): parameter for parameter in reversed(parameters)}
    return next((by_name[_plain(name)] for name in names if _plain(name) in by_name), None)


def _plain(name: str) -> str:
    """Without what differs between styles: ``@odata.nextLink`` is ``nextlink``."""
    return re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("@odata."))


# Items


def _items(value: Any) -> list[str] | None:
    if isinstance(value, list):
        return []
    if not isinstance(value, Mapping):
        return None
    lists = [key for key, item in value.items() if isinstance(item, list)]
    for name in _ITEMS:
        if name in lists:
            return [name]
    if len(lists) == 1:
        return [lists[0]]
    for name in ("data", "result", "_embedded", "response"):
        if isinstance(value.get(name), Mapping) and (inner := _items(value[name])) is not None:
            return [name, *inner]
    return None


def _at(value: Any, path: Sequence[str]) -> list[Any]:
    for key in path:
        value = value[key]
    return list(value)
