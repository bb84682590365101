"""Servers that did not start: their tools cannot be had, those of all others can, and it is said which they are.

Theory of operation
-------------------
Nobody knows which tools such a server has.  So the code finds its namespace with one card, which stands for every
name: whatever it calls there is asked for here, and fails with the reason.  The server is tried again by whoever
calls it, and before the next execution, but not at once, and the later the longer the last try took: one that hangs
until its time is over must not cost that time with every execution.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.entries import Card
from protocell._printable import printable_line
from protocell.tools.errors import ToolError, without_host
from protocell.tools.tool import Answer, Call, Tool
from protocell_guest.card_index import ANY_NAME

_LEAST_SECONDS = 10.0
_TIMES = 10.0
_MOST_CHARACTERS = 300
_ANYTHING = [
    {"name": name, "identifier": name, "kind": kind, "required": False, "hint": "Any"}
    for name, kind in (("args", "variadic"), ("kwargs", "keywords"))
]


class Absent:
    """Those of one toolset, with the reasons."""

    def __init__(self) -> None:
        self._errors: dict[str, ToolError] = {}
        self._again_at = 0.0

    def put(self, errors: Mapping[str, ToolError], took: float) -> bool:
        """These are all there are, by name, found out in so many seconds; whether they are others than before."""
        before, self._errors = self._errors, dict(errors)
        self._again_at = time.monotonic() + max(_LEAST_SECONDS, _TIMES * took)
        return before.keys() != errors.keys()

    def __bool__(self) -> bool:
        return bool(self._errors)

    def __contains__(self, server: str) -> bool:
        return server in self._errors

    @property
    def are_due(self) -> bool:
        """Whether it is time to try them again."""
        return bool(self._errors) and time.monotonic() >= self._again_at

    def error(self, server: str, tool: str) -> ToolError:
        """What a call of one of its tools raises."""
        return ToolError(
            f"{tool} cannot be called: {_why(self._errors[server])}",
            kind="transport",
            tool=tool,
            server=server,
        )

    def notes(self) -> list[str]:
        """A sentence for each, for the caller and the model."""
        return [
            f"{printable_line(server, 100)} is not there, so that calls of its tools fail: {_why(error)}."
            for server, error in sorted(self._errors.items())
        ]

    def cards(self, catalogue: Catalogue) -> list[Card]:
        """One for each, beside those of this catalogue."""
        errors = self._errors
        every = (*catalogue.tools, *map(_placeholder, errors))
        spaces = Catalogue.of(every).namespaces
        taken = {*catalogue.namespaces.values(), *catalogue.flat}
        return [
            _card(server, spaces[server], error)
            for server, error in sorted(errors.items())
            if spaces[server] not in taken
        ]


def _card(server: str, space: str, error: ToolError) -> Card:
    doc = f"Cannot be called now: {_why(error)}."
    return {
        "id": f"{server}/{ANY_NAME}",
        "space": space,
        "name": ANY_NAME,
        "open": True,
        "flat": False,
        "call": f"{space}.{ANY_NAME}(...)  # {doc}",
        "head": f"class {space}:",
        "doc": doc,
        "parameters": _ANYTHING,
        "returns": "Any",
    }


def _why(error: ToolError) -> str:
    return printable_line(without_host(str(error)), _MOST_CHARACTERS)


def _placeholder(server: str) -> Tool:
    """So that its namespace is called as it will be."""
    return Tool(
        server=server,
        name=ANY_NAME,
        identifier=ANY_NAME,
        description="",
        parameters=(),
        input_schema={},
        invoke=_never,
    )


async def _never(_arguments: dict[str, Any], _call: Call) -> Answer:
    raise NotImplementedError
