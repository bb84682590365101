"""A tool as agent loops without code mode give it to a model: name, description, schema of its arguments."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.text import clean
from protocell.tools.tool import Tool

Spec = dict[str, Any]
"""``{"name": ..., "description": ..., "input_schema": ...}``."""

MOST_CHARACTERS_OF_A_NAME = 64
"""What the interfaces of models take, of letters, digits, ``_`` and ``-``."""
_MOST_DEPTH = 40
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
# Below these there are values, not texts about them.
_VALUES = frozenset({"default", "const", "enum", "examples", "example"})
_TEXTS = frozenset({"description", "title", "$comment"})


def spec(catalogue: Catalogue, tool: Tool) -> Spec:
    """The tool, its texts made fit to be shown; they are its maker's words."""
    return {
        "name": spec_name(catalogue, tool),
        "description": clean(tool.description),
        "input_schema": _shown(tool.input_schema, _MOST_DEPTH) or {"type": "object"},
    }


def spec_name(catalogue: Catalogue, tool: Tool) -> str:
    """``github__create_issue``: its path as the interfaces of models take it, no two of them equal."""
    path = catalogue.path(tool)
    name = _NOT_IN_A_NAME.sub("_", path.replace(".", "__"))
    # Two underscores that are not where the point was: another path may come to the same.
    is_clear = "__" not in catalogue.namespaces[tool.server] and tool.identifier[0] != "_"
    if len(name) <= MOST_CHARACTERS_OF_A_NAME and path.isascii() and is_clear:
        return name
    mark = hashlib.sha256(path.encode()).hexdigest()[:8]
    return f"{name[: MOST_CHARACTERS_OF_A_NAME - 9]}_{mark}"


def text_of(specs: Iterable[Spec]) -> str:
    """As it goes to a model, as far as one can know: compact JSON, the shortest that it can be."""
    return json.dumps(list(specs), ensure_ascii=False, separators=(",", ":"), default=str)


def _shown(schema: Any, room: int) -> Any:
    if not room:
        return {}
    if isinstance(schema, Mapping):
        return {str(key): _value(str(key), value, room - 1) for key, value in schema.items()}
    if isinstance(schema, list | tuple):
        return [_shown(item, room - 1) for item in schema]
    return schema


def _value(key: str, value: Any, room: int) -> Any:
    if key in _TEXTS and isinstance(value, str):
        return clean(value)
    # A property may be called so as well; then there is a schema below it.
    if key in _VALUES and not isinstance(value, Mapping):
        return value
    return _shown(value, room)
