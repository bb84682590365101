"""Tools to be shown: those of real servers as they sent them, and made ones."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from protocell._catalogue.catalogue import Catalogue
from protocell.tools.names import identifiers
from protocell.tools.parameters import parameters_of
from protocell.tools.tool import Answer, Call, Tool
from protocell.tools.values import value_schema

HERE = Path(__file__).parent


async def _never(arguments: dict[str, Any], call: Call) -> Answer:
    raise AssertionError("nothing is called here")


def tool(
    name: str = "create_issue",
    server: str = "github",
    schema: dict[str, Any] | None = None,
    **more: Any,
) -> Tool:
    schema = schema or {}
    fields: dict[str, Any] = {
        "identifier": identifiers([name])[name],
        "description": "",
        "parameters": parameters_of(schema),
    }
    return Tool(server=server, name=name, input_schema=schema, invoke=_never, **(fields | more))


def of(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), **more}


ISSUE = of(
    {
        "owner": {"type": "string"},
        "repo": {"type": "string"},
        "title": {"type": "string", "description": "What it is called"},
        "body": {"type": "string"},
        "state": {"enum": ["open", "closed"], "default": "open"},
    },
    "owner",
    "repo",
    "title",
)


@cache
def servers() -> dict[str, tuple[Tool, ...]]:
    found = {}
    for server in json.loads((HERE / "real_tools.json").read_text())["servers"]:
        named = identifiers(each["name"] for each in server["tools"])
        found[server["name"]] = tuple(
            tool(
                each["name"],
                server["name"],
                each["inputSchema"],
                identifier=named[each["name"]],
                description=each.get("description", ""),
                output_schema=value_schema(each.get("outputSchema")),
            )
            for each in server["tools"]
        )
    return found


@cache
def real() -> Catalogue:
    return Catalogue.of(each for tools in servers().values() for each in tools)


def some(*names: str) -> Catalogue:
    return Catalogue.of(each for name in names for each in servers()[name])


def catalogue(*tools: Tool, **more: Any) -> Catalogue:
    return Catalogue.of(tools, **more)


def requests() -> list[dict[str, Any]]:
    """Requests in natural language whose tools are all among the real ones."""
    ids = {each.id for each in real().tools}
    rows: Iterable[dict[str, Any]] = json.loads((HERE / "requests.json").read_text())
    return [row for row in rows if ids.issuperset(row["expected"])]
