"""What is wrong with tools as their makers describe them, as data: for those who choose servers, or write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, get_args

from protocell._catalogue import tokens
from protocell._catalogue.arguments import parameter_type
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.schema_types import ANY, DICT, Type, type_of
from protocell._catalogue.stubs import stub
from protocell._catalogue.text import clean, has_hidden, one_line
from protocell.tools.tool import Tool

Kind = Literal[
    "no_description",
    "long_description",
    "hidden_characters",
    "no_output_schema",
    "vague_output_schema",
    "untyped_parameter",
    "vague_parameter",
    "undocumented_parameter",
    "renamed",
    "collision",
    "expensive",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Grade = Literal["warning", "note"]
# What leads to wrong calls, costs tokens or turns, or is hidden; the rest could be better, and does no harm.
_WARNINGS: frozenset[Kind] = frozenset(
    {
        "no_description",
        "long_description",
        "hidden_characters",
        "no_output_schema",
        "untyped_parameter",
        "collision",
        "expensive",
    }
)

LONG_DESCRIPTION = 1_000
EXPENSIVE_TOKENS = 800
_MOST_CHARACTERS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that could be better."""

    kind: Kind
    tool: str
    """Its id: ``github/create_issue``."""
    text: str
    """A sentence about it, on one line."""
    parameters: tuple[str, ...] = ()
    """Names of those that it is about; where it is about parameters."""
    others: tuple[str, ...] = ()
    """Ids of the other tools that it is about."""

    @property
    def grade(self) -> Grade:
        """How much it matters."""
        return "warning" if self.kind in _WARNINGS else "note"


def findings(catalogue: Catalogue) -> list[Finding]:
    """Everything that was found, by tool, in the catalogue's order."""
    shared = _shared_names(catalogue)
    found: list[Finding] = []
    for tool in catalogue.tools:
        for look in _LOOKS:
            found.extend(look(catalogue, tool))
        found.extend(_collision(tool, shared.get(tool.identifier, ())))
    return found


def counts(found: list[Finding]) -> dict[Kind, int]:
    """How many tools have each kind of finding; those that none has are left out."""
    return {
        kind: number
        for kind in KINDS
        if (number := len({finding.tool for finding in found if finding.kind == kind}))
    }


def _shared_names(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    by_name = sorted(catalogue.tools, key=lambda tool: tool.identifier)
    groups = {
        name: tuple(tool.id for tool in group)
        for name, group in groupby(by_name, lambda tool: tool.identifier)
    }
    return {name: ids for name, ids in groups.items() if len(ids) > 1}


def _collision(tool: Tool, ids: tuple[str, ...]) -> Iterator[Finding]:
    others = tuple(each for each in ids if each != tool.id)
    if others:
        also = "another tool is" if len(others) == 1 else f"{len(others)} other tools are"
        text = f"{also} called {_name(tool.identifier)} too: it has no short name"
        yield Finding(kind="collision", tool=tool.id, text=text, others=others)


def _description(_: Catalogue, tool: Tool) -> Iterator[Finding]:
    length = len(tool.description)
    if not clean(tool.description):
        yield Finding(kind="no_description", tool=tool.id, text="nothing says what it does")
    elif length >= LONG_DESCRIPTION:
        text = (
            f"its description has {length:,} characters; the first sentence is what is shown first"
        )
        yield Finding(kind="long_description", tool=tool.id, text=text)
    if has_hidden(tool.description) or any(
        has_hidden(each.description) for each in tool.parameters
    ):
        text = "its texts have characters that nobody sees; they are taken out where it is shown"
        yield Finding(kind="hidden_characters", tool=tool.id, text=text)


def _output(catalogue: Catalogue, tool: Tool) -> Iterator[Finding]:
    if tool.output_schema is None:
        seen = " (its shape has been learned)" if tool.id in catalogue.seen else ""
        text = f"no output schema says what it gives{seen}"
        yield Finding(kind="no_output_schema", tool=tool.id, text=text)
    elif type_of(tool.output_schema, native=tool.native) in (ANY, DICT):
        text = "its output schema does not say what is in what it gives"
        yield Finding(kind="vague_output_schema", tool=tool.id, text=text)


def _parameters(_: Catalogue, tool: Tool) -> Iterator[Finding]:
    types = {each.identifier: parameter_type(tool, each) for each in tool.parameters}
    silent = [each.identifier for each in tool.parameters if not clean(each.description)]
    yield from _about(tool, "untyped_parameter", "without a type", _of(types, ANY))
    yield from _about(
        tool, "vague_parameter", "that are dicts of nobody knows what", _of(types, DICT)
    )
    yield from _about(tool, "undocumented_parameter", "of which nothing is said", silent)


def _of(types: dict[str, Type], kind: Type) -> list[str]:
    return [name for name, found in types.items() if found == kind]


def _about(tool: Tool, kind: Kind, what: str, names: list[str]) -> Iterator[Finding]:
    if names:
        shown = ", ".join(map(_name, names[:10])) + (", ..." if len(names) > 10 else "")
        text = f"parameters {what}: {shown}"
        yield Finding(kind=kind, tool=tool.id, text=text, parameters=tuple(names))


def _names(catalogue: Catalogue, tool: Tool) -> Iterator[Finding]:
    renamed = [each.name for each in tool.parameters if each.name != each.identifier]
    if tool.name != tool.identifier:
        text = f"{_name(tool.name)} is no Python name: it is {_name(catalogue.path(tool))}"
        yield Finding(kind="renamed", tool=tool.id, text=text)
    yield from _about(tool, "renamed", "whose names are no Python names", renamed)


def _price(catalogue: Catalogue, tool: Tool) -> Iterator[Finding]:
    counted = tokens.count(stub(catalogue, tool, _MOST_CHARACTERS))
    if counted.tokens >= EXPENSIVE_TOKENS:
        text = f"showing all of it costs {counted}"
        yield Finding(kind="expensive", tool=tool.id, text=text)


def _name(name: str) -> str:
    return one_line(name, 80)


_LOOKS: tuple[Callable[[Catalogue, Tool], Iterator[Finding]], ...] = (
    _description,
    _output,
    _parameters,
    _names,
    _price,
)
