"""One parameter of a tool as Python writes it in a signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from protocell._catalogue.schema_types import Many, Type, type_of
from protocell._catalogue.text import one_line
from protocell.tools.tool import MISSING, Kind, Parameter, Tool

MOST_SHOWN = 200
_MOST_CHARACTERS_OF_A_DEFAULT = 24
_ORDER: tuple[Kind, ...] = (
    "positional_only",
    "normal",
    "variadic",
    "keyword_only",
    "keywords",
)
_TEXT_IN_JSON = frozenset(
    ("bytes", "date", "datetime", "time", "timedelta", "Decimal", "UUID", "None")
)
_STARS = {"variadic": "*", "keywords": "**"}

Hint = Callable[[Parameter], str]


def parameter_type(tool: Tool, parameter: Parameter) -> Type:
    """The type that stands in the signature; after a star, that of each argument."""
    found = type_of(
        parameter.schema, tool.input_schema, title=parameter.identifier, native=tool.native
    )
    if parameter.kind == "variadic" and isinstance(found, Many):
        return found.item
    return found


def ordered(parameters: Iterable[Parameter]) -> list[Parameter]:
    """In the order that Python needs; of very many the first."""
    kept = sorted(parameters, key=lambda each: not each.required)[:MOST_SHOWN]
    return sorted(kept, key=lambda each: _ORDER.index(each.kind))


def written(parameters: Sequence[Parameter], hint: Hint, most: int | None = None) -> str:
    """What stands between the brackets; optional ones beyond ``most`` characters are three points."""
    texts: list[str] = []
    length = 0
    for parameter, text in _pieces(ordered(parameters), hint):
        length += len(text) + 2
        if most is not None and length > most and (parameter is None or not parameter.required):
            return ", ".join([*texts, "..."])
        texts.append(text)
    return ", ".join([*texts, "..."] if len(parameters) > MOST_SHOWN else texts)


def _pieces(parameters: Sequence[Parameter], hint: Hint) -> Iterable[tuple[Parameter | None, str]]:
    optional_before = starred = False
    for place, parameter in enumerate(parameters):
        if parameter.kind == "keyword_only" and not starred:
            starred = True
            yield None, "*"
        starred = starred or parameter.kind == "variadic"
        optional_before = optional_before or not parameter.required
        # After a star Python takes a needed one behind one with a default.
        needs_default = optional_before and parameter.kind != "keyword_only"
        yield parameter, _one(parameter, hint(parameter), needs_default=needs_default)
        after = parameters[place + 1].kind if place + 1 < len(parameters) else ""
        if parameter.kind == "positional_only" and after != "positional_only":
            yield None, "/"


def _one(parameter: Parameter, hint: str, *, needs_default: bool) -> str:
    name = _STARS.get(parameter.kind, "") + parameter.identifier
    text = name if hint in ("", "Any") else f"{name}: {hint}"
    if parameter.kind in _STARS or (parameter.required and not needs_default):
        return text
    equals = " = " if text is not name else "="
    return f"{text}{equals}{'...' if parameter.required else _default(parameter.default, hint)}"


def _default(default: Any, hint: str) -> str:
    """As ``default_text``, where the hint allows what that is; else three points, or empty bytes."""
    kinds = {kind.strip() for kind in hint.split("|")}
    if default is MISSING and hint and not kinds & {"None", "Any"}:
        return "..."
    # JSON has text in their place.
    if isinstance(default, str) and kinds <= _TEXT_IN_JSON:
        return "b''" if "bytes" in kinds and not default else "..."
    return default_text(default)


def default_text(default: Any) -> str:
    """A default as a literal: None where nothing is given, three points where it is long."""
    if default is MISSING or default is None:
        return "None"
    if isinstance(default, str):
        text = repr(one_line(default, 2 * _MOST_CHARACTERS_OF_A_DEFAULT))
    elif isinstance(default, bool | int | float) or default in ([], {}):
        text = repr(default) if not _is_huge(default) else "..."
    else:
        text = "..."
    # inf and nan are no literals; JSON has neither, but Python's parser of it does.
    odd = len(text) > _MOST_CHARACTERS_OF_A_DEFAULT or text.lstrip("-") in ("inf", "nan")
    return "..." if odd else text


def _is_huge(number: Any) -> bool:
    return isinstance(number, int) and abs(number) >= 10**30
