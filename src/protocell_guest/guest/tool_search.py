"""What code inside finds out about its tools, in the same program that then calls them: no turn is spent on it.

``search_tools("words")`` gives calls that can be pasted, ``describe("github.create_issue")`` all that is known of one,
and ``tools`` is all of them, to loop over. What they give looks like text where it is shown, since a model reads it.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from protocell_guest.card_index import CardIndex, path_of, stub_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from protocell_guest.card_index import Card

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_MOST_SHOWN = 12
_MOST_DESCRIBED = 40


class ToolCard:
    """One tool as text: shown, it is a call ready to paste."""

    __slots__ = ("_card",)

    def __init__(self, card: Card) -> None:
        self._card = card

    @property
    def name(self) -> str:
        """As code names the function: ``github.create_issue``."""
        return path_of(self._card)

    @property
    def id(self) -> str:
        """As ``call_tool`` takes it: ``github/create-issue``."""
        return str(self._card["id"])

    @property
    def server(self) -> str:
        """Whose it is."""
        return self.id.partition("/")[0]

    @property
    def call(self) -> str:
        """A call of it: what is needed with its types; in the comment what is optional, and what it does."""
        return str(self._card["call"])

    @property
    def doc(self) -> str:
        """What its maker says about it."""
        return str(self._card["doc"])

    @property
    def parameters(self) -> list[str]:
        """Names of its parameters; a star stands after those that are needed."""
        return [
            f"{each['identifier']}{'*' if each['required'] else ''}"
            for each in self._card["parameters"]
        ]

    def __str__(self) -> str:
        return self.call

    __repr__ = __str__


class Hits(list[ToolCard]):
    """Tools that were found, best first; shown, one line each."""

    __slots__ = ("_otherwise",)

    def __init__(self, cards: Iterable[ToolCard], otherwise: str = "no tools") -> None:
        super().__init__(cards)
        self._otherwise = otherwise

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or self._otherwise

    __str__ = __repr__


class Description(str):
    """Text that is shown as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Tools:
    """All tools: loop over it, ask ``"github.create_issue" in tools``, take one by its name, or print it."""

    def __init__(self, index: CardIndex) -> None:
        self._index = index

    def __iter__(self) -> Iterator[ToolCard]:
        return map(ToolCard, self._index.cards)

    def __len__(self) -> int:
        return len(self._index.cards)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._index.named(name))

    def __getitem__(self, name: str) -> ToolCard:
        found = self._index.named(name)
        if len(found) != 1:
            raise KeyError(
                f"{name}: {_missing(self._index, name) if not found else 'several tools'}"
            )
        return ToolCard(found[0])

    def search(self, request: str, limit: int = 8, server: str = "") -> Hits:
        """As ``search_tools``."""
        return search(self._index, request, limit, server)

    def __repr__(self) -> str:
        return f"{len(self)} tools: {_spaces(self._index)}"


def names(cards: Iterable[Card]) -> dict[str, Any]:
    """What code finds under ``search_tools``, ``describe`` and ``tools``."""
    index = CardIndex(list(cards))

    def search_tools(request: str, limit: int = 8, server: str = "") -> Hits:
        """Find tools by what they do: ``search_tools("create an issue")``; shown, calls ready to paste."""
        return search(index, request, limit, server)

    def describe(*tools: Any) -> Description:
        """All that is known of a tool, by its name or itself: types, what its maker says, what it gives."""
        return Description("\n\n".join(_described(index, tool) for tool in tools))

    for function in (search_tools, describe):
        function.__module__, function.__qualname__ = "__main__", function.__name__
    return {"search_tools": search_tools, "describe": describe, "tools": Tools(index)}


def search(index: CardIndex, request: str, limit: int, server: str) -> Hits:
    """The tools that answer a request best."""
    found = index.search(str(request), max(0, int(limit)), str(server))
    otherwise = f"no tool answers {str(request)[:100]!r}; there are {_spaces(index)}"
    return Hits(map(ToolCard, found), otherwise)


def _described(index: CardIndex, tool: Any) -> str:
    name = _name_of(tool)
    found = index.named(name)
    if not found:
        return f"# {_missing(index, name)}"
    if len(found) == 1:
        return f"# call it as {path_of(found[0])}(...)\n{stub_of(found[0])}"
    more = [f"# and {len(found) - _MOST_DESCRIBED} more"] if len(found) > _MOST_DESCRIBED else []
    return "\n".join([*(str(card["call"]) for card in found[:_MOST_DESCRIBED]), *more])


def _name_of(tool: Any) -> str:
    if isinstance(tool, str):
        return tool
    if isinstance(tool, ToolCard):
        return tool.name
    return str(getattr(tool, "__qualname__", None) or getattr(tool, "__name__", tool))


def _missing(index: CardIndex, name: str) -> str:
    near = index.nearest(name)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else "search_tools(...) finds tools by what they do"
    )
    return f"there is no tool {name[:100]!r}; {hint}"


def _spaces(index: CardIndex) -> str:
    counted = [f"{space} ({count})" for space, count in index.spaces()]
    more = [f"{len(counted) - _MOST_SHOWN} more"] if len(counted) > _MOST_SHOWN else []
    return ", ".join([*counted[:_MOST_SHOWN], *more]) or "none"
