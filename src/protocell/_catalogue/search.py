"""Search on the host, over the same cards and by the same ranking as inside: one implementation, one order."""

from __future__ import annotations

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.entries import cards
from protocell.tools.tool import Tool
from protocell_guest.card_index import CardIndex, stub_of


class Search:
    """A catalogue that can be asked."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._index = CardIndex(cards(catalogue))
        self._tools = {tool.id: tool for tool in catalogue.tools}

    def find(self, request: str, most: int = 8, server: str = "") -> list[Tool]:
        """The tools that answer a request best, best first."""
        return [self._tools[card["id"]] for card in self._index.search(request, most, server)]

    def calls(self, request: str, most: int = 8, server: str = "") -> list[str]:
        """The same as calls ready to paste."""
        return [str(card["call"]) for card in self._index.search(request, most, server)]

    def named(self, name: str) -> list[Tool]:
        """The tools that a name means: ``github.create_issue``, ``github/create-issue``, a bare name, a server."""
        return [self._tools[card["id"]] for card in self._index.named(name)]

    def describe(self, name: str) -> str:
        """All that is known of the tools that a name means, as Python; no text where there is none."""
        return "\n\n".join(stub_of(card) for card in self._index.named(name))

    def nearest(self, name: str, most: int = 3) -> list[str]:
        """Paths of the tools whose names are most like a wrong one."""
        return self._index.nearest(name, most)
