"""Looks at calls of tools in code before it runs: does the tool exist, can it be given these arguments?

Said is only what is certain from the text: of names that mean tools and that the code never binds, in calls without
``*`` and ``**``. Calls that are surely reached are *sure*: that code would fail, and says so before its first call has
happened. Others are worth a warning. What is wrong in a way that only the host knows, it says when the call is made.
"""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, NamedTuple

from protocell_guest.card_index import (
    ANY_NAME,
    CardIndex,
    path_of,
    takes_no_dict,
    takes_other_names,
)
from protocell_guest.code_names import binds_unseen, bound, handed_on, handed_to_loop
from protocell_guest.code_reach import reached
from protocell_guest.ranking import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from protocell_guest.card_index import Card

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

    def problems(
        self,
        tree: ast.Module,
        code: str,
        is_ours: Callable[[str], bool] | None = None,
        is_known: Callable[[str], bool] | None = None,
    ) -> list[Problem]:
        """What is wrong with the calls of tools in code that is parsed.

        ``is_ours`` says of a name whether it means what it meant at first, ``is_known`` whether it means anything
        before the code runs; without them every name does.
        """
        every = lambda _: True  # noqa: E731
        try:
            return self._problems(tree, code, is_ours or every, is_known or every)
        except RecursionError:
            return []

    def _problems(
        self,
        tree: ast.Module,
        code: str,
        is_ours: Callable[[str], bool],
        is_known: Callable[[str], bool],
    ) -> list[Problem]:
        mentioned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        ours = mentioned & {*self._spaces, *self._flat, CALL_TOOL}
        strange = {name for name in mentioned if not is_known(name)}
        if not (ours or strange) or binds_unseen(tree):
            return []
        own = bound(tree)
        ours = {name for name in ours - own - handed_on(tree) if is_ours(name)}
        strange = set(sorted(strange - own)[:MOST_PROBLEMS])
        found: list[Problem] = []
        told = {True: 0, False: 0}
        driven = handed_to_loop(tree)
        lines = code.split("\n")
        for node, sure in reached(tree):
            # What is like a wrong name takes a while to find, and there may be any number of them.
            for text in (
                self._wrong(node, ours, strange, driven) if told[sure] < MOST_PROBLEMS else ()
            ):
                column = _characters(lines, node.lineno, node.col_offset)
                kind = "not_found" if text.startswith(_NO_TOOL) else "validation"
                found.append(Problem(node.lineno, column, text, sure, kind))
                told[sure] += 1
        return sorted(found)

    def _wrong(
        self, node: ast.expr, ours: set[str], strange: set[str], driven: Sequence[ast.expr]
    ) -> Iterator[str]:
        match node:
            case ast.Attribute(value=ast.Name(id=space), attr=name, ctx=ast.Load()):
                is_meant = space in strange and bool(self._index.named(name))
                if is_meant or (space in ours and self._is_unknown(space, name)):
                    yield self._no_tool(f"{space}.{name}")
            case ast.Call(func=ast.Name(id=name)) if name in strange:
                if self._index.nearest(name, 1):
                    yield self._no_tool(name)
                strange.discard(name)  # looked for once
            case ast.Call(func=func):
                card = self._called(func, ours)
                if node in driven and (card or _is_call_tool(func, ours)):
                    yield _NO_COROUTINE.format(ast.unparse(func))
                if card is not None:
                    yield from _misfits(card, node)
                elif _is_call_tool(func, ours):
                    yield from self._wrong_by_id(node)

    def _is_unknown(self, space: str, name: str) -> bool:
        known = self._spaces.get(space, {ANY_NAME: {}})
        return name not in known and ANY_NAME not in known and not name.startswith("_")

    def _called(self, func: ast.expr, ours: set[str]) -> Card | None:
        if isinstance(func, ast.Attribute) and func.attr == "raw":
            func = func.value
        match func:
            case ast.Attribute(value=ast.Name(id=space), attr=name) if space in ours:
                return self._spaces.get(space, {}).get(name)
            case ast.Name(id=name) if name in ours:
                return self._flat.get(name)
        return None

    def _wrong_by_id(self, node: ast.Call) -> Iterator[str]:
        match node.args:
            case [ast.Constant(value=str(name)), *rest] if len(rest) <= 1:
                if (card := self._by_id.get(name)) is None:
                    if f"{name.partition('/')[0]}/{ANY_NAME}" in self._by_id:
                        return
                    yield self._no_tool(name, separator="/")
                elif _is_plain(node):
                    given = _keys(rest[0]) if rest else []
                    if given is not None:
                        yield from _named_misfits(card, [*given, *_keywords(node)])

    def _no_tool(self, name: str, separator: str = ".") -> str:
        last = name.replace("/", ".").rpartition(".")[2]
        same = [path_of(card) for card in self._index.cards if card["name"] == last]
        near = same[:3] or self._index.nearest(name)
        if separator == "/":
            near = [card["id"] for each in near for card in self._index.named(each)[:1]]
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "search_tools(...) finds tools by what they do"
        )
        return f"{_NO_TOOL}{name[:200]}; {hint}"


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


def _misfits(card: Card, node: ast.Call) -> Iterator[str]:
    """What is wrong with the arguments, as ``toolbox`` binds them."""
    if not _is_plain(node):
        return
    parameters, given = card["parameters"], _keywords(node)
    if len(node.args) == 1 and not given:
        yield from _single_misfits(card, node.args[0])
        return
    positional = [each for each in parameters if each["kind"] in ("normal", "positional_only")]
    if len(node.args) > len(positional) and not _has(card, "variadic"):
        yield _told(
            card, f"takes {len(positional)} arguments by position, {len(node.args)} are given"
        )
        return
    by_position = [each["name"] for each in positional[: len(node.args)]]
    yield from _named_misfits(card, given, by_position)


def _single_misfits(card: Card, argument: ast.expr) -> Iterator[str]:
    """A lone argument is all arguments as a dict, or the first one."""
    parameters = card["parameters"]
    if isinstance(argument, ast.Dict):
        keys = _keys(argument)
        if keys is None or (parameters and not takes_no_dict(parameters[0])):
            return  # perhaps it is meant as the first argument
        yield from _named_misfits(card, keys)
    elif isinstance(argument, ast.Constant | ast.JoinedStr | ast.List | ast.ListComp):
        if not parameters:
            yield _told(card, "takes no arguments, 1 is given")
        elif parameters[0]["kind"] in ("normal", "positional_only"):
            yield from _named_misfits(card, [], [parameters[0]["name"]])


def _named_misfits(
    card: Card, given: Sequence[str], by_position: Sequence[str] = ()
) -> Iterator[str]:
    parameters = card["parameters"]
    names = {each["name"]: each["name"] for each in parameters}
    names.update({each["identifier"]: each["name"] for each in parameters})
    found, wrong = list(by_position), []
    for name in given:
        if names.get(name) in found:
            wrong.append(f"gets {name!r} twice")
        elif name in names:
            found.append(names[name])
        elif not takes_other_names(card) and not _has(card, "keywords"):
            close = nearest(name, names, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            wrong.append(f"has no parameter {name[:100]!r}{hint}")
    needed = [each for each in parameters if each["required"] and each["name"] not in found]
    missing = [
        each["identifier"] for each in needed if each["kind"] not in ("variadic", "keywords")
    ]
    if missing:
        wrong.append(f"needs {', '.join(missing)}")
    if wrong:
        yield _told(card, " and ".join(wrong))


def _told(card: Card, what: str) -> str:
    names = [
        f"{each['identifier']}{'*' if each['required'] else ''}" for each in card["parameters"]
    ]
    more = ", ..." if len(names) > 40 else ""
    return f"{path_of(card)} {what}. Parameters (* = required): {', '.join(names[:40]) or 'none'}{more}"


def _has(card: Card, kind: str) -> bool:
    return any(each["kind"] == kind for each in card["parameters"])


def _is_plain(node: ast.Call) -> bool:
    starred = any(isinstance(each, ast.Starred) for each in node.args)
    return not starred and all(each.arg is not None for each in node.keywords)


def _keywords(node: ast.Call) -> list[str]:
    return [each.arg for each in node.keywords if each.arg is not None]


def _keys(node: ast.expr) -> list[str] | None:
    """The keys of a dict that stands there whole; None where they cannot be known."""
    if not isinstance(node, ast.Dict):
        return None
    keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
    named = [key for key in keys if isinstance(key, str)]
    return list(dict.fromkeys(named)) if len(named) == len(keys) else None


def _is_call_tool(func: ast.expr, ours: set[str]) -> bool:
    return isinstance(func, ast.Name) and func.id == CALL_TOOL and CALL_TOOL in ours


def _characters(lines: Sequence[str], line: int, offset: int) -> int:
    """A column in characters; the parser counts bytes."""
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    return len(text.encode("utf-8", "replace")[:offset].decode("utf-8", "ignore"))
