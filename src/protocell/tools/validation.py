"""Arguments of one call, checked before anything of it happens, and refused in words that help the next try."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from protocell._printable import printable_line
from protocell.tools.errors import ToolError
from protocell.tools.json_keywords import Path, Problem
from protocell.tools.json_schema import MOST_PROBLEMS, problems
from protocell.tools.tool import Parameter, Tool
from protocell.tools.values import as_json
from protocell_guest.values import UnfitError

MOST_CHARACTERS = 2_000
_MOST_TOLD = 5
_MORE_PROPERTIES = (
    "patternProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "$ref",
    "dependentSchemas",
)
_SHARED = ("$defs", "definitions")
_BEFORE = {"variadic": "*", "keywords": "**"}
_MOST_NAMES = 60
_MOST_CHARACTERS_OF_A_NAME = 100


def prepare(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as ``tool.invoke`` takes them: by original names, checked, and JSON unless native.

    They may come under original names or identifiers. None for a parameter that need not be given
    and cannot be None counts as not given: so do models write it.

    Raises:
        ToolError: kind ``validation``; ``data`` has "problems" (each "field" and "problem") and
            "parameters" (names, required ones starred).
    """
    named, found = _by_name(tool, arguments)
    if not tool.native:
        named = _in_json(tool, named, found)
    found += [
        Problem((parameter.name,), "is missing")
        for parameter in tool.parameters
        if parameter.required and parameter.name not in named
    ]
    if found:
        raise refusal(tool.server, tool.name, tool.parameters, found)
    if tool.check is not None:
        tool.check(named)
    elif found := problems(tool.input_schema, named):
        raise refusal(tool.server, tool.name, tool.parameters, found)
    return named


def takes_any_name(tool: Tool) -> bool:
    """Whether it may be given names that are not among its parameters.

    JSON schema allows them wherever it does not forbid them, but a name that a server never
    mentioned is a slip nearly always: so only where its schema speaks of further ones, or of none.
    """
    schema = tool.input_schema
    said = schema.get("additionalProperties")
    is_silent = said is None and not schema.get("properties")
    elsewhere = any(keyword in schema for keyword in _MORE_PROPERTIES)
    return is_silent or elsewhere or said not in (None, False)


def starred(parameters: Iterable[Parameter]) -> list[str]:
    """Their names as the code writes them; required ones with a star behind."""
    return [
        f"{_BEFORE.get(each.kind, '')}{each.identifier}{'*' if each.required else ''}"
        for each in parameters
    ]


def refusal(
    server: str, name: str, parameters: Sequence[Parameter], found: Sequence[Problem]
) -> ToolError:
    """The error that says what is wrong with the arguments, and what would be right."""
    names = {parameter.name: parameter.identifier for parameter in parameters}
    told = [(_field(problem.path, names), problem.wanted) for problem in found]
    lines = [f"{field} {wanted}".strip() for field, wanted in told[:_MOST_TOLD]]
    if len(told) > _MOST_TOLD:
        lines.append(f"and {len(told) - _MOST_TOLD} more")
    text = f"{server}/{name}: {'; '.join(lines)}"
    dot = "" if text.endswith("?") else "."
    return ToolError(
        f"{printable_line(text, MOST_CHARACTERS)}{dot} {_signature(parameters)}",
        kind="validation",
        tool=name,
        server=server,
        data={
            "problems": [{"field": field, "problem": wanted} for field, wanted in told],
            "parameters": starred(parameters),
        },
    )


def not_found(name: str, tools: Iterable[Tool]) -> ToolError:
    """The error for a tool that there is not: it names the nearest ones."""
    ids = {tool.id: tool for tool in tools}
    wanted = name[:_MOST_CHARACTERS_OF_A_NAME]
    last = {tool.identifier: tool.id for tool in ids.values()}
    near = difflib.get_close_matches(wanted, ids, n=5, cutoff=0.6)
    short = difflib.get_close_matches(wanted.rpartition("/")[2].rpartition(".")[2], last, 5, 0.6)
    nearest = list(dict.fromkeys([*near, *(last[each] for each in short)]))[:5]
    hint = f"the nearest are {', '.join(nearest)}" if nearest else "search_tools() finds some"
    return ToolError(
        f"there is no tool {printable_line(repr(wanted), MOST_CHARACTERS)}; {hint}",
        kind="not_found",
        tool=wanted,
        data={"nearest": nearest},
    )


def _by_name(tool: Tool, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    names = {parameter.identifier: parameter.name for parameter in tool.parameters}
    names.update({parameter.name: parameter.name for parameter in tool.parameters})
    is_open = takes_any_name(tool)
    named: dict[str, Any] = {}
    found: list[Problem] = []
    for given, value in arguments.items():
        name = names.get(given, given)
        if len(found) == MOST_PROBLEMS:  # looking for near names takes time, and nobody reads more
            break
        if not isinstance(given, str):
            found.append(Problem(("",), "every parameter has a name that is text"))
        elif name in named:
            found.append(Problem((name,), "is given twice"))
        elif given not in names and not is_open:
            found.append(_unknown(given, names, tool.parameters))
        else:
            named[name] = value
    return named, found


def _unknown(given: str, names: Mapping[str, str], parameters: Iterable[Parameter]) -> Problem:
    near = difflib.get_close_matches(given[:_MOST_CHARACTERS_OF_A_NAME], names, 1, 0.7)
    meant = [each.identifier for each in parameters if near and each.name == names[near[0]]]
    hint = f", did you mean {meant[0]}?" if meant else ""
    return Problem((given[:_MOST_CHARACTERS_OF_A_NAME],), f"is no parameter{hint}")


def _in_json(tool: Tool, named: Mapping[str, Any], found: list[Problem]) -> dict[str, Any]:
    optional = {each.name: each.schema for each in tool.parameters if not each.required}
    ready: dict[str, Any] = {}
    for name, value in named.items():
        if value is None and name in optional and _is_never_null(tool, optional[name]):
            continue
        try:
            ready[name] = as_json(value)
        except UnfitError as odd:
            found.append(Problem((name,), f"cannot be sent to this tool: {odd}"))
    return ready


def _is_never_null(tool: Tool, schema: Mapping[str, Any]) -> bool:
    definitions = {key: tool.input_schema[key] for key in _SHARED if key in tool.input_schema}
    return bool(problems({**definitions, **schema}, None))


def _field(path: Path, names: Mapping[str, str]) -> str:
    first, *rest = path or ("",)
    parts = [names.get(str(first), str(first))]
    for part in rest:
        is_name = isinstance(part, str) and part.isidentifier()
        parts.append(f".{part}" if is_name else f"[{part!r}]")
    return "".join(parts)[:_MOST_CHARACTERS_OF_A_NAME]


def _signature(parameters: Sequence[Parameter]) -> str:
    names = starred(parameters)
    if not names:
        return "It takes no parameters."
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return f"Parameters: {', '.join(names[:_MOST_NAMES])}{more} (* = required)."
