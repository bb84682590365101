"""All that is known of a tool as Python that can be parsed: classes of its dicts, signature, docstring."""

from __future__ import annotations

from typing import NamedTuple

from protocell._catalogue.arguments import MOST_SHOWN, parameter_type, written
from protocell._catalogue.catalogue import Catalogue, Returned
from protocell._catalogue.classes import Classes
from protocell._catalogue.schema_hints import hint_of
from protocell._catalogue.schema_types import Type, type_of
from protocell._catalogue.text import clean, clip, one_line
from protocell.tools.tool import Parameter, Tool
from protocell_guest.card_index import stub_of

MOST_CHARACTERS = 6_000
"""Of one stub, its classes included."""
_LONGEST_IDENTIFIER = 120
_SEEN = 400


class _Detail(NamedTuple):
    """How much of a tool is told."""

    description: int
    parameter: int
    """Characters of what is said of each parameter; 0 for nothing."""
    key: int | None
    """The same of each key of a dict; None: dicts have no classes."""
    hint: int
    parameters: int | None = None


_LESS = (
    _Detail(4_000, 600, 200, 0),
    _Detail(2_000, 300, 0, 0),
    _Detail(2_000, 300, None, 90),
    _Detail(1_000, 100, None, 60),
    _Detail(600, 0, None, 24, 2_000),
    _Detail(200, 0, None, 3, 400),
)


def stub(catalogue: Catalogue, tool: Tool, most: int = MOST_CHARACTERS) -> str:
    """The tool as a function without a body, of at most ``most`` characters; what is too long is told shorter."""
    head, doc = parts(catalogue, tool, most)
    return stub_of({"head": head, "doc": doc})


def parts(catalogue: Catalogue, tool: Tool, most: int = MOST_CHARACTERS) -> tuple[str, str]:
    """The stub up to the colon, and its docstring."""
    for detail in _LESS:
        head, doc = _head(catalogue, tool, detail), _doc(catalogue, tool, detail)
        if len(stub_of({"head": head, "doc": doc})) <= most:
            return head, doc
    return clip(f"def {tool.identifier[:_LONGEST_IDENTIFIER]}(**arguments) -> Any:", most - 4), ""


def _head(catalogue: Catalogue, tool: Tool, detail: _Detail) -> str:
    classes = Classes(documented=detail.key or 0)

    def hint(kind: Type) -> str:
        return classes.hint(kind) if detail.key is not None else hint_of(kind, detail.hint)

    inner = written(
        tool.parameters, lambda each: hint(parameter_type(tool, each)), detail.parameters
    )
    returned = catalogue.returned(tool)
    shown = hint(_returned_type(tool, returned)) if returned and returned.is_promised else "Any"
    line = f"def {tool.identifier}({_with_more(inner)}) -> {shown}:"
    return "\n\n".join(filter(None, (classes.text(), line)))


def _with_more(inner: str) -> str:
    """Three points for what was left out are no parameter, and a star needs one after it."""
    if inner != "..." and not inner.endswith(", ..."):
        return inner
    return inner.removesuffix("...").removesuffix("*, ") + "**more"


def _returned_type(tool: Tool, returned: Returned) -> Type:
    title = f"{tool.identifier}_result"
    return type_of(returned.schema, title=title, native=returned.native)


def _doc(catalogue: Catalogue, tool: Tool, detail: _Detail) -> str:
    told = [clean(tool.description, detail.description)]
    if arguments := _arguments(tool.parameters, detail.parameter):
        told.append(f"Args:\n{arguments}")
    returned = catalogue.returned(tool)
    if returned is not None and not returned.is_promised:
        seen = hint_of(_returned_type(tool, returned), _SEEN)
        told.append(f"Returns (seen so far, not promised): {seen}")
    return "\n\n".join(filter(None, told))


def _arguments(parameters: tuple[Parameter, ...], most: int) -> str:
    shown = parameters[:MOST_SHOWN] if most else ()
    told = ((each.identifier, one_line(each.description, most)) for each in shown)
    return "\n".join(f"    {name}: {text}" for name, text in told if text)
