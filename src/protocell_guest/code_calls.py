"""Looks at calls of tools in code before it runs: does the tool exist, can it be given these arguments?

Said is only what is certain from the text: of names that mean tools and that the code never binds, in calls without
``*`` and ``**``. Calls that are surely reached are *sure*: that code would fail, and says so before its first call has
happened. Others are worth a warning. What is wrong in a way that only the host knows, it says when the call is made.

A name that means nothing is told of where a tool is called much the same; any other is Python's to complain about.
"""

from __future__ import annotations

import ast
import builtins
import sys
from typing import TYPE_CHECKING, NamedTuple

from protocell_guest.card_index import ANY_NAME, CardIndex, path_of
from protocell_guest.code_arguments import (
    is_plain,
    is_skill,
    keys_of,
    keywords,
    misfits,
    named_misfits,
)
from protocell_guest.code_names import (
    binds_elsewhere,
    binds_unseen,
    bound,
    handed_on,
    handed_to_loop,
    words_in_texts,
)
from protocell_guest.code_reach import reached
from protocell_guest.skill_terms import SAVE, SPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from protocell_guest.card_index import Card

    Node = ast.expr | ast.ImportFrom

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

MOST_PROBLEMS = 10
"""Of those that are sure, and of the others."""
CALL_TOOL = "call_tool"


class Problem(NamedTuple):
    """Something that is wrong with a call."""

    line: int
    """From 1."""
    column: int
    """From 0, in characters."""
    text: str
    """A sentence without its end."""
    sure: bool
    """Whether it is reached whenever the code runs."""
    kind: str = "validation"
    """As of the error that the call would raise."""


class Names:
    """What names mean before the code runs; as it is here, all of them what they meant at first."""

    def is_ours(self, name: str) -> bool:  # noqa: ARG002
        """Whether it means the tools that were offered under it."""
        return True

    def is_known(self, name: str) -> bool:  # noqa: ARG002
        """Whether it means anything, or may by the time that it is looked up."""
        return True

    def is_imported(self, name: str) -> bool:  # noqa: ARG002
        """Whether an import of it gives the tools that were offered under it."""
        return True


class _Look(NamedTuple):
    """What is known of the names in one piece of code."""

    ours: set[str]
    """They mean tools."""
    imported: set[str]
    """They do as modules."""
    strange: set[str]
    """They mean nothing."""
    uncertain: Callable[[str], bool]
    """Of a name that means nothing: whether the code may make it mean something in a way that is not seen."""
    driven: Sequence[ast.expr]
    has_space: Callable[[str], bool]
    """Whether the code has a namespace under its name."""


class _Wrong(NamedTuple):
    text: str
    sure: bool = True


_NO_TOOL = "there is no tool "
_NO_COROUTINE = (
    "a call of a tool gives its value: write x = {}(...), or await it where an event loop runs"
)


class Checker:
    """The tools that code can call, ready to look at code."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self._index = CardIndex(cards)
        self._spaces: dict[str, dict[str, Card]] = {}
        self._by_id: dict[str, Card] = {}
        self._flat: dict[str, Card] = {}
        for card in cards:
            self._spaces.setdefault(card["space"], {})[card["name"]] = card
            self._by_id[card["id"]] = card
            if card["flat"]:
                self._flat[card["name"]] = card

    def problems(self, tree: ast.Module, code: str, names: Names | None = None) -> list[Problem]:
        """What is wrong with the calls of tools in code that is parsed."""
        try:
            look = self._look(tree, names or Names())
            return [] if look is None else self._problems(tree, code, look)
        except RecursionError:
            return []

    def _look(self, tree: ast.Module, names: Names) -> _Look | None:
        """None where there is nothing to look for."""
        nodes = list(ast.walk(tree))
        mentioned = {node.id for node in nodes if isinstance(node, ast.Name)}
        imported = {module for node in nodes if (module := _imported(node)) in self._spaces}
        own = bound(tree)
        ours = (mentioned | imported) & {*self._spaces, *self._flat, CALL_TOOL} - own
        strange = {name for name in mentioned - own if not names.is_known(name)}
        if not (ours or strange) or binds_unseen(tree):
            return None
        ours = {name for name in ours - handed_on(tree) if names.is_ours(name)}
        words = words_in_texts(tree) if strange or imported else set()
        elsewhere = binds_elsewhere(tree)
        return _Look(
            ours,
            # Code that names a module in a text may be about to write it.
            {name for name in imported & ours - words if names.is_imported(name)},
            set(sorted(strange)[:MOST_PROBLEMS]),
            lambda name: elsewhere or name in words,
            handed_to_loop(tree),
            lambda space: space not in own and names.is_ours(space),
        )

    def _problems(self, tree: ast.Module, code: str, look: _Look) -> list[Problem]:
        found: list[Problem] = []
        told = {True: 0, False: 0}
        lines = code.split("\n")
        for node, is_reached in reached(tree):
            # What is like a wrong name takes a while to find, and there may be any number of them.
            for text, is_sure in (
                self._wrong(node, look) if told[is_reached] < MOST_PROBLEMS else ()
            ):
                sure = is_reached and is_sure
                column = _characters(lines, node.lineno, node.col_offset)
                kind = "not_found" if text.startswith(_NO_TOOL) else "validation"
                found.append(Problem(node.lineno, column, text, sure, kind))
                told[is_reached] += 1
        return sorted(found)

    def _wrong(self, node: Node, look: _Look) -> Iterator[_Wrong]:
        match node:
            case ast.Attribute(value=ast.Name(id=space), attr=name, ctx=ast.Load()):
                if space in look.strange and self._is_meant(space, name):
                    yield _Wrong(self._no_tool(f"{space}.{name}", look), not look.uncertain(space))
                elif space in look.ours and self._is_unknown(space, name):
                    yield _Wrong(self._no_tool(f"{space}.{name}", look))
            case ast.Call(func=ast.Name(id=name)) if name in look.strange:
                if self._index.nearest(name, 1) and not _is_module(name):
                    yield _Wrong(self._no_tool(name, look), not look.uncertain(name))
                look.strange.discard(name)  # looked for once
            case ast.Call(func=func):
                yield from map(_Wrong, self._wrong_call(node, func, look))
            case ast.ImportFrom(names=aliases) if (space := _imported(node)) in look.imported:
                for alias in aliases:
                    if self._is_unknown(space, alias.name):
                        yield _Wrong(self._no_tool(f"{space}.{alias.name}", look))

    def _wrong_call(self, node: ast.Call, func: ast.expr, look: _Look) -> Iterator[str]:
        card = self._called(func, look.ours)
        is_by_id = _is_call_tool(func, look.ours)
        # A skill may well be a coroutine.
        if node in look.driven and (is_by_id or (card is not None and not is_skill(card))):
            yield _NO_COROUTINE.format(ast.unparse(func))
        if card is not None:
            yield from misfits(card, node)
        elif is_by_id:
            yield from self._wrong_by_id(node, look)

    def _is_unknown(self, space: str, name: str) -> bool:
        known = self._spaces.get(space, {ANY_NAME: {}})
        is_there = name in known or ANY_NAME in known or (space, name) == (SPACE, SAVE)
        return not is_there and not name.startswith("_")

    def _is_meant(self, space: str, name: str) -> bool:
        """Whether a tool is, in a namespace that there is not; rather than a module that was not imported."""
        is_module = _is_module(space) and f"{space}_" not in self._spaces
        return bool(self._index.named(name)) and not is_module

    def _called(self, func: ast.expr, ours: set[str]) -> Card | None:
        if isinstance(func, ast.Attribute) and func.attr == "raw":
            func = func.value
        match func:
            case ast.Attribute(value=ast.Name(id=space), attr=name) if space in ours:
                return self._spaces.get(space, {}).get(name)
            case ast.Name(id=name) if name in ours:
                return self._flat.get(name)
        return None

    def _wrong_by_id(self, node: ast.Call, look: _Look) -> Iterator[str]:
        match node.args:
            case [ast.Constant(value=str(name)), *rest] if len(rest) <= 1:
                if (card := self._by_id.get(name)) is None:
                    if f"{name.partition('/')[0]}/{ANY_NAME}" in self._by_id:
                        return
                    yield self._no_tool(name, look, separator="/")
                elif is_plain(node):
                    given = keys_of(rest[0]) if rest else []
                    if given is not None:
                        yield from named_misfits(card, [*given, *keywords(node)])

    def _no_tool(self, name: str, look: _Look, separator: str = ".") -> str:
        space, _, last = name.rpartition(".")
        if separator == "." and last in self._spaces.get(space, ()):
            there = _written(self._spaces[space][last], look, separator)
            return f"{_NO_TOOL}{name[:200]} under that name any more; write {there}"
        last = name.replace("/", ".").rpartition(".")[2]
        same = [path_of(card) for card in self._index.cards if card["name"] == last]
        near = [
            _written(card, look, separator)
            for path in same[:3] or self._index.nearest(name)
            for card in self._index.named(path)[:1]
        ]
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "search_tools(...) finds tools by what they do"
        )
        return f"{_NO_TOOL}{name[:200]}; {hint}"


def _written(card: Card, look: _Look, separator: str) -> str:
    """How code names a tool, where its namespace may be gone."""
    if separator == "/":
        return str(card["id"])
    return path_of(card) if look.has_space(card["space"]) else f"call_tool({card['id']!r}, {{...}})"


def _imported(node: ast.AST) -> str:
    """The module that names are imported from."""
    return (node.module or "") if isinstance(node, ast.ImportFrom) and not node.level else ""


def _is_module(name: str) -> bool:
    return name in sys.stdlib_module_names


def report(problems: Sequence[Problem], code: str) -> str:
    """The problems for the model, each with its line and a caret under the place."""
    lines = code.split("\n")
    told = []
    for problem in problems:
        line = lines[problem.line - 1] if 0 < problem.line <= len(lines) else ""
        told.append(f"line {problem.line}: {problem.text}")
        if line.strip() and len(line) <= 200:
            told.append(f"    {line}\n    {' ' * problem.column}^")
    return "\n".join(told)


def _is_call_tool(func: ast.expr, ours: set[str]) -> bool:
    return isinstance(func, ast.Name) and func.id == CALL_TOOL and CALL_TOOL in ours


def _characters(lines: Sequence[str], line: int, offset: int) -> int:
    """A column in characters; the parser counts bytes."""
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    return len(text.encode("utf-8", "replace")[:offset].decode("utf-8", "ignore"))
