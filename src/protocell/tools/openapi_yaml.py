"""YAML as JSON would have it: dates stay text, keys are text, and no class is looked up by name.

The events of the parser are counted before anything is made of them: PyYAML builds what it reads by
recursion in C, so that a text nested deep enough would end the process, and a few aliases of aliases stand
for billions of values (CWE-776).
"""

from __future__ import annotations

from typing import Any

from protocell.errors import PolicyError

_MOST_DEPTH = 200
_MOST_VALUES = 10_000_000
"""With each alias as large as what it stands for. A cloud's whole API has some hundred thousand."""


def from_yaml(text: str) -> Any:
    """What the text says. Raises PolicyError."""
    try:
        import yaml  # noqa: PLC0415  (only for who has YAML)
    except ModuleNotFoundError as error:
        raise PolicyError(
            "the OpenAPI document is not JSON; to read YAML, install pyyaml"
        ) from error

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C, if built
        """With these two changes."""

    Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
    Loader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_scalar)
    try:
        _check_size(yaml, yaml.parse(text, Loader=Loader))
        return yaml.load(text, Loader=Loader)  # noqa: S506 - a SafeLoader, see above
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PolicyError(f"the OpenAPI document is neither JSON nor YAML: {error}") from error


def _check_size(yaml: Any, events: Any) -> None:
    """Raises ValueError for what would become too deep or too much."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = [(None, 0)]

    def add(anchor: str | None, size: int) -> None:
        if anchor is not None:
            sizes[anchor] = size
        outer, before = open_nodes[-1]
        open_nodes[-1] = (outer, before + size)
        if before + size > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} values")

    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, 1))
            if len(open_nodes) > _MOST_DEPTH:
                raise ValueError(f"nested deeper than {_MOST_DEPTH}")
        elif isinstance(event, yaml.CollectionEndEvent):
            add(*open_nodes.pop())
        elif isinstance(event, yaml.ScalarEvent):
            add(event.anchor, 1)
        elif isinstance(event, yaml.AliasEvent):
            add(None, sizes.get(event.anchor, 1))


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    """Its keys as they are written: ``200``, ``on`` and ``null`` are names here."""
    loader.flatten_mapping(node)
    return {
        str(loader.construct_scalar(key)): loader.construct_object(value, deep=True)
        for key, value in node.value
    }
