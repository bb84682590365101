"""Links to the next page of an HTTP service, as arguments: with which the same function is called again.

A link stands in a header (RFC 8288), which the code inside does not get to see, or as a URL in the body, which it has
no way to follow. The host reads it when it has the answer in its hands, and gives the code arguments only. Cursors and
counts are found inside, from the value alone (``protocell_guest.page_signs``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from protocell.tools.tool import Parameter
from protocell_guest.page_signs import LINKS, first_of, signs_in

_MOST_LINK_CHARACTERS = 16_384


def next_arguments(
    parameters: Sequence[Parameter], arguments: Mapping[str, Any], value: Any, header: str = ""
) -> dict[str, Any] | None:
    """What differs in the arguments for the next page, by original names.

    ``parameters`` are those of the tool, ``arguments`` what it was called with, and ``header`` is the
    one named ``Link``. Empty where the links of the header say that this page is the last, and None
    where none says anything that the function takes.
    """
    relations = _relations(header)
    linked = first_of(list(signs_in(value)), LINKS, _url)
    for url in (relations.get("next", ""), _url(linked)):
        if then := _taken(parameters, arguments, url):
            return then
    return {} if relations and "next" not in relations else None


def _relations(header: str) -> dict[str, str]:
    """The URLs of other pages, by what they are to this one."""
    found: dict[str, str] = {}
    for url, about in re.findall(r"<([^<>]*)>([^<]*)", header[:_MOST_LINK_CHARACTERS]):
        said = re.search(r';\s*rel\s*=\s*"?([^",;]*)', about, re.IGNORECASE)
        for relation in said[1].lower().split() if said else ():
            if relation in ("first", "prev", "previous", "next", "last"):
                found.setdefault(relation, url)
    return found


def _url(found: Any) -> str:
    """The URL that this field of a body is or has in it, where it has a query."""
    if isinstance(found, dict):
        found = found.get("href", found.get("url"))
    is_link = isinstance(found, str) and "?" in found and len(found) <= _MOST_LINK_CHARACTERS
    return found if is_link else ""


def _taken(
    parameters: Sequence[Parameter], arguments: Mapping[str, Any], url: str
) -> dict[str, Any]:
    """Those of the link's query that the function takes: where the link leads does not matter."""
    try:
        query = parse_qs(urlsplit(url).query)
    except ValueError:
        return {}
    then = {p.name: _of_type(query[p.name], p.schema) for p in parameters if p.name in query}
    return {n: new for n, new in then.items() if n not in arguments or arguments[n] != new}


def _of_type(texts: Sequence[str], schema: Mapping[str, Any]) -> Any:
    """What a query says for one name, as a value that the schema allows."""
    branches = _branches(schema)
    for branch in branches:
        if "array" in _kinds(branch):
            each = texts if len(texts) > 1 else texts[0].split(",")
            items = branch.get("items")
            return [_of_type([text], items if isinstance(items, dict) else {}) for text in each]
    return _plain_value(texts[-1], {kind for branch in branches for kind in _kinds(branch)})


def _plain_value(text: str, kinds: set[str]) -> Any:
    if not kinds.isdisjoint({"integer", "number"}) and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if "number" in kinds and re.fullmatch(r"-?[0-9]{1,18}\.[0-9]{1,18}", text):
        return float(text)
    if "boolean" in kinds and text in {"true", "false"}:
        return text == "true"
    return text


def _branches(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The schema, and what it may be instead: an optional number is often ``anyOf`` number and null."""
    others = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return [schema, *(other for other in others if isinstance(other, dict))]


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    kinds = schema.get("type")
    return kinds if isinstance(kinds, list) else [kinds] if isinstance(kinds, str) else []
