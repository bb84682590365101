"""The catalogue as plain JSON, one card a tool: what goes into a sandbox, and all that code there can find out.

The whole of it is sent when a context is made, not asked for piece by piece: ``help()``, ``inspect.signature``,
``search_tools`` and a loop over all tools then cost no call, work while no execution runs, and need no second way
through the membrane. Measured on 380 tools of 24 real servers: 470 KB of JSON, read in 4 ms, 1.2 MB in memory, and as
much again once something was searched; a set of 40 tools takes a tenth of that.
"""

from __future__ import annotations

import json
from typing import Any

from protocell._catalogue.arguments import parameter_type
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.schema_hints import hint_of
from protocell._catalogue.signatures import call, returned_hint
from protocell._catalogue.stubs import parts
from protocell.tools.tool import MISSING, Parameter, Tool
from protocell.tools.validation import takes_any_name
from protocell_guest.card_index import MOST_PARAMETERS

Card = dict[str, Any]
_MOST_CHARACTERS_OF_A_DEFAULT = 200
_MOST_CHARACTERS_OF_A_HINT = 90


def cards(catalogue: Catalogue) -> list[Card]:
    """One for each tool, in the catalogue's order."""
    return [card(catalogue, tool) for tool in catalogue.tools]


def card(catalogue: Catalogue, tool: Tool) -> Card:
    """What code inside can know of a tool. The hints and texts in it are made safe and bounded."""
    head, doc = parts(catalogue, tool)
    return {
        "id": tool.id,
        "space": catalogue.namespaces[tool.server],
        "name": tool.identifier,
        "open": takes_any_name(tool),
        "flat": catalogue.flat.get(tool.identifier) is tool,
        "call": call(catalogue, tool),
        "head": head,
        "doc": doc,
        "parameters": [_parameter(tool, each) for each in tool.parameters[:MOST_PARAMETERS]],
        "returns": returned_hint(catalogue, tool, _MOST_CHARACTERS_OF_A_HINT),
    }


def _parameter(tool: Tool, parameter: Parameter) -> dict[str, Any]:
    said = {
        "name": parameter.name,
        "identifier": parameter.identifier,
        "kind": parameter.kind,
        "required": parameter.required,
        "hint": hint_of(parameter_type(tool, parameter), _MOST_CHARACTERS_OF_A_HINT),
    }
    return said | ({"default": parameter.default} if _is_short(parameter.default) else {})


def _is_short(default: Any) -> bool:
    if default is MISSING:
        return False
    try:
        return len(json.dumps(default, allow_nan=False)) <= _MOST_CHARACTERS_OF_A_DEFAULT
    except (TypeError, ValueError, RecursionError):
        return False
