"""Finds tools among their cards, by what they do or by their names, for the host and for code inside alike.

A card is plain JSON, one for each tool. Used here are "id" (``github/create-issue``), "space" and "name" (of the
function: ``github.create_issue``), "head" (its signature as code, with the types that it needs), "doc" (its docstring),
"parameters" and "open" (whether it may be given names that are not among its parameters).
"""

from __future__ import annotations

import builtins
import re
from itertools import groupby
from typing import TYPE_CHECKING

from protocell_guest.ranking import Ranking, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    Card = Mapping[str, Any]

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

MOST_PARAMETERS = 500
"""Of one card: a tool with as many may have others, which go by their original names."""
ANY_NAME = "*"
"""The name in the one card of a server that did not start: it stands for every name, and a call says why not."""
_ARGUMENTS = "\n\nArgs:\n"
_PLAIN = re.compile(r"str|int|float|bool|None|Literal\[[^|]*\]")


class CardIndex:
    """Cards that can be searched; what that needs is made ready at the first search."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.cards = list(cards)
        self._ranking: Ranking | None = None

    def search(self, request: str, most: int = 8, space: str = "") -> list[Card]:
        """The cards that answer a request best, best first; of one server only where one is named."""
        if self._ranking is None:
            self._ranking = Ranking(_texts(card) for card in self.cards)
        among = len(self.cards) if space else most
        found = [self.cards[number] for number in self._ranking.best(request, among)]
        return [card for card in found if not space or _is_of(card, space)][:most]

    def named(self, name: str) -> list[Card]:
        """The cards that a name means: ``space.name``, ``server/name``, a bare name, or a whole namespace."""
        wanted = name.strip().removesuffix("()")
        for key in ("path", "id", "name", "original", "space", "server"):
            found = [card for card in self.cards if _key(card, key) == wanted]
            if found:
                return found
        return []

    def nearest(self, name: str, most: int = 3) -> list[str]:
        """Paths of the tools whose names are most like one that there is not."""
        paths = [path_of(card) for card in self.cards]
        space, _, last = name.replace("/", ".").rpartition(".")
        own = [path for path in paths if path.startswith(f"{space}.")] if space else []
        close = [f"{space}.{each}" for each in nearest(last, _lasts(own), most)]
        close += nearest(name.replace("/", "."), paths, most)
        by_last = set(nearest(last, _lasts(paths), most))
        close += [path for path in paths if path.rpartition(".")[2] in by_last]
        return list(dict.fromkeys(close))[:most]

    def spaces(self) -> Iterator[tuple[str, int]]:
        """Each namespace, and how many tools it has."""
        for space, cards in groupby(self.cards, lambda card: str(card["space"])):
            yield space, len(list(cards))


def path_of(card: Card) -> str:
    """How code names the function: ``github.create_issue``."""
    return f"{card['space']}.{card['name']}"


def takes_other_names(card: Card) -> bool:
    """Whether it may be given names that are not among its parameters, as far as the card knows."""
    return bool(card["open"]) or len(card["parameters"]) >= MOST_PARAMETERS


def takes_no_dict(parameter: Mapping[str, Any]) -> bool:
    """Whether a dict cannot be meant for it: then a lone one is all arguments by name."""
    return all(map(_PLAIN.fullmatch, str(parameter["hint"]).split(" | ")))


def by_position(card: Card) -> list[Mapping[str, Any]]:
    """Those of its parameters that have a place of their own."""
    return [each for each in card["parameters"] if each["kind"] in ("normal", "positional_only")]


def may_be_first(card: Card) -> bool:
    """Whether a lone dict can be meant as the first argument."""
    places = by_position(card)
    if places:
        return not takes_no_dict(places[0])
    return any(each["kind"] == "variadic" for each in card["parameters"])


def too_many(card: Card, given: int) -> str:
    """What is said of more arguments by position than it takes."""
    count = len(by_position(card))
    named = [str(each["identifier"]) for each in card["parameters"] if _is_by_name(each)]
    way = f" (by name alone: {', '.join(named[:10])})" if named else ""
    arguments = "argument" if count == 1 else "arguments"
    verb = "is" if given == 1 else "are"
    return f"takes {count or 'no'} {arguments} by position, {given} {verb} given{way}"


def _is_by_name(parameter: Mapping[str, Any]) -> bool:
    return bool(parameter["kind"] == "keyword_only")


def stub_of(card: Card) -> str:
    """All that is known of the tool, as Python."""
    # Between the quotes, no quotes and backslashes that mean something.
    doc = str(card["doc"]).replace("\\", "\\\\").replace('"""', "'''")
    doc = f"{doc[:-1]}'" if doc.endswith('"') else doc
    if not doc:
        return f"{card['head']} ..."
    end = "\n" if "\n" in doc else ""
    lines = f'"""{doc}{end}"""'.split("\n")
    return "\n".join([str(card["head"]), *(f"    {line}" if line else line for line in lines)])


def _texts(card: Card) -> tuple[str, str, str, str]:
    about, _, arguments = str(card["doc"]).partition(_ARGUMENTS)
    return str(card["name"]), str(card["space"]), about, f"{card['head']}\n{arguments}"


def _key(card: Card, key: str) -> str:
    if key == "path":
        return path_of(card)
    server, _, name = str(card["id"]).partition("/")
    return {"server": server, "original": name}.get(key) or str(card[key])


def _is_of(card: Card, space: str) -> bool:
    return space in (card["space"], str(card["id"]).partition("/")[0])


def _lasts(paths: list[str]) -> list[str]:
    return [path.rpartition(".")[2] for path in paths]
