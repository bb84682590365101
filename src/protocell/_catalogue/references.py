"""Follows references within one JSON schema; none that leads out of it is ever fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def pointed(root: Any, reference: str) -> Any:
    """What ``#/a/pointer`` or ``#anchor`` points to; None where it leads nowhere, or out of the schema."""
    if not reference.startswith("#") or len(reference) > 500:
        return None
    found, names = root, reference[1:].split("/")
    if names[0]:
        return _anchored(root, names[0])
    for name in names[1:]:
        key = name.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(key)
        elif isinstance(found, list) and key.isdecimal() and len(key) < 6 and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def _anchored(root: Any, name: str) -> Any:
    definitions = root.get("$defs") if isinstance(root, Mapping) else None
    for one in definitions.values() if isinstance(definitions, Mapping) else ():
        if isinstance(one, Mapping) and name in (one.get("$anchor"), one.get("$dynamicAnchor")):
            return one
    return None
