"""Whether a call that stands in code gives a tool the arguments that it takes, as far as the text tells."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING

from protocell_guest.card_index import (
    by_position,
    may_be_first,
    path_of,
    takes_other_names,
    too_many,
)
from protocell_guest.ranking import nearest
from protocell_guest.skill_terms import SPACE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from protocell_guest.card_index import Card

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_NO_DICTS = ast.Constant | ast.JoinedStr | ast.List | ast.ListComp


def misfits(card: Card, node: ast.Call) -> Iterator[str]:
    """What is wrong with the arguments of a call, as ``toolbox`` binds them; of a skill, as Python does."""
    if not is_plain(node):
        return
    given = keywords(node)
    if is_skill(card):
        if _has(card, "positional_only") and _has(card, "keywords"):
            return  # what has a place may be given by name as well, and is another one then
    elif len(node.args) == 1 and not given:
        yield from _single_misfits(card, node.args[0])
        return
    yield from _placed_misfits(card, len(node.args), given)


def is_skill(card: Card) -> bool:
    """Whether it is a function of the code's own process: Python gives it its arguments."""
    return bool(card["space"] == SPACE)


def _single_misfits(card: Card, argument: ast.expr) -> Iterator[str]:
    """A lone argument is all arguments as a dict, or the first one."""
    if isinstance(argument, ast.Dict):
        keys = keys_of(argument)
        if keys is not None and not may_be_first(card):
            yield from named_misfits(card, keys)
    elif isinstance(argument, _NO_DICTS):
        yield from _placed_misfits(card, 1, [])


def _placed_misfits(card: Card, count: int, given: Sequence[str]) -> Iterator[str]:
    places = by_position(card)
    if count > len(places) and not _has(card, "variadic"):
        yield _told(card, too_many(card, count))
        return
    yield from named_misfits(card, given, [each["name"] for each in places[:count]])


def named_misfits(card: Card, given: Sequence[str], placed: Sequence[str] = ()) -> Iterator[str]:
    """What is wrong with these names; ``placed`` are those of what is given by position."""
    parameters = card["parameters"]
    names = {each["name"]: each for each in parameters}
    names.update({each["identifier"]: each for each in parameters})
    found, wrong = list(placed), []
    for name in given:
        if name in names and names[name]["name"] in found:
            wrong.append(f"gets {name!r} twice")
        elif name in names:
            found.append(names[name]["name"])
        elif not takes_other_names(card) and not _has(card, "keywords"):
            close = nearest(name, names, 1)
            # As code writes it, which is not always how it is called.
            hint = f" (did you mean {names[close[0]]['identifier']}?)" if close else ""
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


def is_plain(node: ast.Call) -> bool:
    """Whether all of its arguments stand there, without ``*`` and ``**``."""
    starred = any(isinstance(each, ast.Starred) for each in node.args)
    return not starred and all(each.arg is not None for each in node.keywords)


def keywords(node: ast.Call) -> list[str]:
    """The names of what is given by name."""
    return [each.arg for each in node.keywords if each.arg is not None]


def keys_of(node: ast.expr) -> list[str] | None:
    """The keys of a dict that stands there whole; None where they cannot be known."""
    if not isinstance(node, ast.Dict):
        return None
    keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
    named = [key for key in keys if isinstance(key, str)]
    return list(dict.fromkeys(named)) if len(named) == len(keys) else None
