"""The tools of a context as model code finds them: functions, in a namespace for each server.

The host says which there are, as cards; what a card says is text of third parties, and names are put through
``str.isidentifier`` there and here.  A function is made when it is first looked at, since there may be a thousand.
The code may replace all of it: what counts is what the host lets a call do.
"""

from __future__ import annotations

import builtins
import inspect
import sys
from typing import TYPE_CHECKING, Any

from protocell_guest.card_index import by_position, may_be_first, takes_other_names, too_many
from protocell_guest.guest import tool_pages, tool_search
from protocell_guest.guest.skill_saving import TOOL as SAVE_SKILL
from protocell_guest.guest.skill_saving import saver
from protocell_guest.guest.tool_calls import perform
from protocell_guest.guest.tool_errors import NAMES, error_of
from protocell_guest.guest.tool_line import Line
from protocell_guest.guest.tool_spaces import Namespace, Spaces
from protocell_guest.skill_terms import SPACE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from protocell_guest.guest.skill_shelf import Shelf
    from protocell_guest.guest.tool_reply import Reply

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_NOT_NOW = "tools can be called while an execution runs, and none of this one's tools is there now"
_KINDS = {
    "normal": inspect.Parameter.POSITIONAL_OR_KEYWORD,
    "positional_only": inspect.Parameter.POSITIONAL_OR_KEYWORD,
    "variadic": inspect.Parameter.VAR_POSITIONAL,
    "keyword_only": inspect.Parameter.KEYWORD_ONLY,
    "keywords": inspect.Parameter.VAR_KEYWORD,
}
_NO_NAME = "call_tool takes the tool's name first: call_tool('server/name', {...})"
Card = dict[str, Any]


class _Hint:
    """Text that stands for a type in a signature."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class Toolbox:
    """What can be called, and the line over which it is called while an execution runs."""

    def __init__(self, cards: Sequence[Card], shelf: Shelf | None = None) -> None:
        """``shelf`` has the skills, where there can be any: their cards are among the others."""
        self._spaces = Spaces(self.function)
        self._line: Line | None = None
        self.offered: dict[str, Any] = {}
        """What the code was told to find."""
        self.put(cards, shelf)

    def put(self, cards: Sequence[Card], shelf: Shelf | None = None) -> None:
        """These are the tools from now on; functions that the code has kept of other ones can still be called."""
        self._cards = {card["id"]: card for card in cards}
        self._shelf = shelf

    def open(self, line: socket.socket, most_bytes: int) -> None:
        """An execution begins."""
        self._line = Line(line, most_bytes)

    def close(self) -> None:
        """It has ended."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def names(self) -> dict[str, Any]:
        """What the code is to find."""
        spaces: dict[str, dict[str, Card]] = {}
        found: dict[str, Any] = {**NAMES, "call_tool": self._call_tool()}
        for card in self._cards.values():
            spaces.setdefault(card["space"], {})[card["name"]] = card
        found |= tool_search.names(list(self._cards.values()))
        found |= tool_pages.names(self._begin, _bound, self._cards)
        if self._shelf is not None:
            spaces.pop(SPACE, None)  # the shelf has a package of that name
        found |= self._short(self._spaces.put(spaces))
        self.offered = found | self._skills()
        if self._shelf is not None:
            self._shelf.offer(self.offered)
        return self.offered

    def _short(self, spaces: Mapping[str, Namespace]) -> dict[str, Any]:
        """The namespaces, and the same functions without theirs where that says which is meant.

        Pickled, a function is found by the name that it has in its namespace: in another process it
        says what calls a tool, and what does not.
        """
        flat = [card for card in self._cards.values() if card["flat"] and card["space"] in spaces]
        short = {card["name"]: spaces[card["space"]]._function(card["name"]) for card in flat}
        return {**short, **spaces}

    def _skills(self) -> dict[str, Any]:
        """Functions in this process, and the one that asks the host to keep another."""
        if self._shelf is None:
            return {}
        save = saver(self._perform, lambda: self.offered, is_there=SAVE_SKILL in self._cards)
        self._shelf.package.save = save
        return {SPACE: self._shelf.package, save.__name__: save}

    def function(self, card: Card) -> Callable[..., Any]:
        """The function that calls this tool."""

        def tool(*args: Any, **kwargs: Any) -> Any:
            return self.call(card, args, kwargs, sys._getframe(1))

        def raw(*args: Any, **kwargs: Any) -> Any:
            return self.call(card, args, kwargs, sys._getframe(1), raw=True)

        tool.__name__ = card["name"]
        tool.__qualname__ = f"{card['space']}.{card['name']}"
        tool.__module__ = "__main__"
        tool.__doc__ = card["doc"]
        signature = _signature(card)
        tool.__signature__ = signature  # type: ignore[attr-defined]
        raw.__qualname__ = f"{tool.__qualname__}.raw"
        raw.__module__ = tool.__module__
        raw.__doc__ = f"As {tool.__qualname__}, with all that the tool gave, as it gave it."
        raw.__signature__ = signature.replace(return_annotation=_Hint("Any"))  # type: ignore[attr-defined]
        tool.raw = raw  # type: ignore[attr-defined]
        tool._card = card  # type: ignore[attr-defined]
        return tool

    def call(
        self,
        card: Card,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        caller: FrameType,
        *,
        raw: bool = False,
    ) -> Any:
        """Call it with what the code gave."""
        return self._perform(card["id"], _bound(card, args, kwargs), caller, raw=raw)

    def _call_tool(self) -> Callable[..., Any]:
        """The function for all tools; none of a class, so that its help says nothing of this one."""

        def call_tool(tool: str, arguments: dict[str, Any] | None = None, /, **more: Any) -> Any:
            """Call a tool by ``"server/name"``, with its arguments as a dict or by name."""
            if not isinstance(tool, str):
                raise error_of({"kind": "validation", "message": _NO_NAME})
            given = {**(arguments or {}), **more}
            server, _, name = tool.partition("/")
            if self._shelf is not None and server == SPACE and name in self._shelf:
                return self._shelf.function(name)(**given)
            card = self._cards.get(tool)
            bound = given if card is None else _bound(card, (), given)
            return self._perform(tool, bound, sys._getframe(1))

        call_tool.__module__, call_tool.__qualname__ = "__main__", call_tool.__name__
        return call_tool

    def _perform(
        self, tool: str, arguments: dict[str, Any], caller: FrameType, *, raw: bool = False
    ) -> Any:
        return perform(self._open_line(tool), tool, arguments, caller, raw=raw)

    def _begin(self, tool: str, arguments: dict[str, Any]) -> tuple[Line, Reply]:
        """Call it for all that it gives; whoever has the line waits for it there."""
        line = self._open_line(tool)
        return line, line.begin(tool, arguments, raw=True)

    def _open_line(self, tool: str) -> Line:
        line = self._line
        if line is None:
            raise error_of({"kind": "transport", "message": _NOT_NOW, "tool": tool})
        return line


def _signature(card: Card) -> inspect.Signature:
    parameters = []
    for each in card["parameters"]:
        kind = _KINDS[each["kind"]]
        optional = kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        default: Any = inspect.Parameter.empty
        if optional and not each["required"]:
            default = each.get("default", _Hint("..."))
        hint = _Hint(each["hint"])
        parameters.append(
            inspect.Parameter(each["identifier"], kind, default=default, annotation=hint)
        )
    parameters.sort(key=lambda each: (each.kind, each.default is not inspect.Parameter.empty))
    return inspect.Signature(parameters, return_annotation=_Hint(card["returns"]))


def _bound(card: Card, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by original names; the host knows whether they fit."""
    parameters = card["parameters"]
    names = {each["identifier"]: each["name"] for each in parameters}
    known = {*names, *names.values()}
    one = args[0] if len(args) == 1 and not kwargs else None
    if isinstance(one, dict) and _is_all_of_them(card, known, one):
        args, kwargs = (), one
    bound: dict[str, Any] = {}
    rest = list(args)
    for each in by_position(card):
        if rest:
            bound[each["name"]] = rest.pop(0)
    for each in parameters:
        if each["kind"] == "variadic" and rest:
            bound[each["name"]], rest = rest, []
    if rest:
        raise _misfit(card, too_many(card, len(args)))
    for key, value in kwargs.items():
        name = names.get(key, key)
        if name in bound:
            raise _misfit(card, f"got {key!r} twice")
        bound[name] = value
    return bound


def _is_all_of_them(card: Card, known: set[str], given: dict[Any, Any]) -> bool:
    """Whether a lone dict is all arguments by name; else it is the first of them."""
    parameters = card["parameters"]
    if known.issuperset(given):
        return bool(given) or not parameters
    # Names that the card does not know are some, where it cannot be the first.
    are_names = all(isinstance(name, str) for name in given)
    return not may_be_first(card) and are_names and takes_other_names(card)


def _misfit(card: Card, what: str) -> Exception:
    shown = ", ".join(
        f"{each['identifier']}{'*' if each['required'] else ''}" for each in card["parameters"]
    )
    message = f"{card['id']} {what}. Parameters (* = required): {shown or 'none'}"
    return error_of({"kind": "validation", "message": message, "tool": card["id"]})
