"""Parameters of a tool from the JSON schema of its arguments, as servers and services give it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocell.tools.names import identifiers
from protocell.tools.tool import MISSING, Parameter


def parameters_of(input_schema: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """One for each property, required ones first, else in the schema's order."""
    given, needed = input_schema.get("properties"), input_schema.get("required")
    properties = {str(n): s for n, s in given.items()} if isinstance(given, Mapping) else {}
    required = {n for n in needed if isinstance(n, str)} if isinstance(needed, list) else set()
    named = identifiers(properties)
    found = [
        _parameter(name, named[name], schema, required=name in required)
        for name, schema in properties.items()
    ]
    return tuple(sorted(found, key=lambda parameter: not parameter.required))


def _parameter(name: str, identifier: str, given: Any, *, required: bool) -> Parameter:
    schema = given if isinstance(given, Mapping) else {}
    description = schema.get("description")
    return Parameter(
        name=name,
        identifier=identifier,
        schema=schema,
        required=required,
        default=schema.get("default", MISSING),
        description=description if isinstance(description, str) else "",
    )
