"""What the tools cost before anything is called: as static specs, and at each level of the catalogue.

Counted by a real tokenizer, or not at all: an estimate would be no measurement.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocell._catalogue import tokens
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.description import describe, execute_spec
from protocell._catalogue.levels import LEVELS, view
from protocell._catalogue.search import Search
from protocell._catalogue.specs import spec, text_of
from protocell.tools import Tool
from tools_listing import Listing
from tools_servers import ROOT

REQUESTS = ROOT / "tests" / "catalogue" / "requests.json"
MOST_HITS = 5


class NoTokenizerError(Exception):
    """None is installed that carries its vocabulary."""

    def __init__(self) -> None:
        super().__init__("no tokenizer is installed; install bpe-openai (it is in the group dev)")


def count(text: str) -> int:
    """The tokens of a text.

    Raises:
        NoTokenizerError: as said.
    """
    counted = tokens.count(text)
    if not counted.is_exact:
        raise NoTokenizerError
    return counted.tokens


def static(tools: Iterable[Tool]) -> str:
    """The tools as an agent loop without code mode gives them to a model."""
    catalogue = Catalogue.of(tools)
    return text_of(spec(catalogue, tool) for tool in catalogue.tools)


def shown(tools: Iterable[Tool]) -> tuple[str, str]:
    """The one tool as code mode gives it to a model, and the level that its rule chose."""
    chosen = view(Catalogue.of(tools))
    return text_of([execute_spec(describe(chosen.text))]), chosen.level


def words_of_the_one_tool() -> int:
    """Tokens of the one tool without any catalogue: a fixed price, whatever tools there are."""
    return count(text_of([execute_spec(describe(""))]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Tokens of the definitions of some tools."""

    name: str
    about: str
    tools: int
    static: int
    levels: dict[str, int]
    chosen: str
    """The level that the automatic rule takes."""

    def each(self, level: str) -> float:
        """Tokens for one tool."""
        return self.levels[level] / self.tools

    def share(self, level: str) -> float:
        """Of the static specs."""
        return self.levels[level] / self.static


def price(name: str, about: str, tools: Sequence[Tool]) -> Price:
    """Count the definitions of these tools, in every way."""
    catalogue = Catalogue.of(tools)
    return Price(
        name=name,
        about=about,
        tools=len(tools),
        static=count(static(tools)),
        levels={level: count(view(catalogue, level=level).text) for level in LEVELS},
        chosen=view(catalogue).level,
    )


def prices(listings: Sequence[Listing]) -> list[Price]:
    """Of each server that has tools, and of all together, which stand last."""
    rows = [
        price(
            listing.server.name,
            f"{listing.server.package.partition(':')[2]} {listing.server.version}",
            listing.tools,
        )
        for listing in listings
        if listing.tools
    ]
    every = [tool for listing in listings for tool in listing.tools]
    return [*rows, price(f"all {len(listings)} together", "", every)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """How many requests find a tool that answers them, among the first few hits."""

    name: str
    found: int
    asked: int

    @property
    def share(self) -> float:
        """Of the requests."""
        return self.found / self.asked if self.asked else 0.0


def recalls(tools: Sequence[Tool], requests: Path = REQUESTS) -> tuple[list[Recall], int]:
    """Of each set of requests, and of all, which stands last; and how many ask for tools that are not there."""
    search, ids = Search(Catalogue.of(tools)), {tool.id for tool in tools}
    rows: list[dict[str, Any]] = json.loads(requests.read_text(encoding="utf-8"))
    asked = [row for row in rows if ids.issuperset(row["expected"])]
    hits = [_is_found(search, row) for row in asked]
    sets = list(dict.fromkeys(row["set"] for row in asked))
    found = [
        _recall(name, [hit for hit, row in zip(hits, asked, strict=True) if row["set"] == name])
        for name in sets
    ]
    return [*found, _recall("all", hits)], len(rows) - len(asked)


def _is_found(search: Search, row: dict[str, Any]) -> bool:
    hits = {tool.id for tool in search.find(row["request"], MOST_HITS)}
    return not hits.isdisjoint(row["expected"])


def _recall(name: str, hits: Sequence[bool]) -> Recall:
    return Recall(name=name, found=sum(hits), asked=len(hits))
