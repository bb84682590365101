"""What a function takes and what it says about itself, out of its syntax tree: it is not run for that.

It is told as JSON, which the host can read without parsing Python: the host parses nothing that a model wrote.
"""

from __future__ import annotations

import ast
import builtins
import json
import warnings
from typing import TYPE_CHECKING, Any

from protocell_guest.skill_terms import (
    MOST_ABOUT_CHARACTERS,
    MOST_DOC_CHARACTERS,
    MOST_PARAMETERS,
    MOST_SIGNATURE_CHARACTERS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    Function = ast.FunctionDef | ast.AsyncFunctionDef
    Schema = dict[str, Any]

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_DEEPEST = 8
_MOST_DEFAULT_CHARACTERS = 100
# With these a function takes what it says that it takes.
_CLEAR_DECORATORS = frozenset(("cache", "lru_cache"))
_PLAIN: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "None": {"type": "null"},
    "bytes": {"type": "string", "format": "binary"},
    "datetime": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "timedelta": {"type": "string", "format": "duration"},
    "UUID": {"type": "string", "format": "uuid"},
    "Decimal": {"type": "string", "format": "decimal"},
    "dict": {"type": "object"},
    "list": {"type": "array"},
    "set": {"type": "array", "uniqueItems": True},
}
# What is as good as another to who calls.
_SAME = {
    "Dict": "dict",
    "Mapping": "dict",
    "List": "list",
    "Sequence": "list",
    "Iterable": "list",
    "tuple": "list",
    "frozenset": "set",
}


def learned(source: str, name: str) -> str:
    """What the text of a whole skill says of the function of that name; nothing where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are for whoever runs it
            tree = ast.parse(source)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
                return about(node, ast.get_docstring(tree) or "")
        return _told("", ast.get_docstring(tree) or "", None, None)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def about(node: Function, otherwise: str = "") -> str:
    """What a function says of itself; ``otherwise`` is its text where it has none."""
    doc = ast.get_docstring(node) or otherwise
    if not all(_name_of(each) in _CLEAR_DECORATORS for each in node.decorator_list):
        return _told("", doc, None, None)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    signature = f"({ast.unparse(node.args)}){returns}"
    promised = _schema(node.returns, _DEEPEST) if node.returns else {}
    parameters = list(_parameters(node.args))
    return _told(signature, doc, parameters, promised or None)


def _told(
    signature: str, doc: str, parameters: list[dict[str, Any]] | None, returns: Schema | None
) -> str:
    """As JSON; the less of it, the less room there is."""
    if len(signature) > MOST_SIGNATURE_CHARACTERS:
        signature = ""
    if parameters is not None and len(parameters) > MOST_PARAMETERS:
        parameters = returns = None
    doc = doc[:MOST_DOC_CHARACTERS]
    bare = None if parameters is None else [each | {"schema": {}} for each in parameters]
    for known, promised, shown in ((parameters, returns, doc), (bare, None, doc), (bare, None, "")):
        said = {"signature": signature, "doc": shown, "parameters": known, "returns": promised}
        text = json.dumps(said, separators=(",", ":"))
        if len(text) <= MOST_ABOUT_CHARACTERS:
            return text
    return ""


def _parameters(arguments: ast.arguments) -> Iterator[dict[str, Any]]:
    places = [*arguments.posonlyargs, *arguments.args]
    missing = len(places) - len(arguments.defaults)
    for place, each in enumerate(places):
        kind = "positional_only" if place < len(arguments.posonlyargs) else "normal"
        default = arguments.defaults[place - missing] if place >= missing else None
        yield _parameter(each, kind, default)
    if arguments.vararg is not None:
        yield _any_number(arguments.vararg, "variadic")
    for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(each, "keyword_only", value)
    if arguments.kwarg is not None:
        yield _any_number(arguments.kwarg, "keywords")


def _parameter(argument: ast.arg, kind: str, default: ast.expr | None) -> dict[str, Any]:
    schema = _schema(argument.annotation, _DEEPEST) if argument.annotation else {}
    said = {
        "name": argument.arg,
        "kind": kind,
        "required": default is None,
        "schema": schema,
    }
    return said if default is None else said | _default(default)


def _any_number(argument: ast.arg, kind: str) -> dict[str, Any]:
    of_each = _schema(argument.annotation, _DEEPEST) if argument.annotation else {}
    schema = {"type": "array", "items": of_each} if kind == "variadic" else of_each
    return {"name": argument.arg, "kind": kind, "required": False, "schema": schema}


def _default(node: ast.expr) -> dict[str, Any]:
    """The value that is taken where none is given, if it is a short one that JSON has."""
    try:
        value = ast.literal_eval(node)
        text = json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return {}
    return {"default": json.loads(text)} if len(text) <= _MOST_DEFAULT_CHARACTERS else {}


# -- hints ----------------------------------------------------------------------------------------


def _schema(node: ast.expr, room: int) -> Schema:
    """The JSON schema that stands for a hint; one that JSON does not know allows everything."""
    if room == 0:
        return {}
    match node:
        case ast.Constant(value=None):
            return _PLAIN["None"]
        case ast.Constant(value=str(text)):
            return _quoted(text, room)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _either([left, right], room)
        case ast.Subscript(value=kind, slice=inner):
            items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _generic(_name_of(kind), items, room)
        case ast.Name() | ast.Attribute():
            return _plain(_name_of(node))
    return {}


def _plain(name: str) -> Schema:
    return dict(_PLAIN.get(_SAME.get(name, name), {}))


def _quoted(text: str, room: int) -> Schema:
    try:
        return _schema(ast.parse(text, mode="eval").body, room - 1)
    except (SyntaxError, ValueError):
        return {}


def _generic(kind: str, items: list[ast.expr], room: int) -> Schema:
    if kind == "Optional":
        return _either([*items, ast.Constant(None)], room)
    if kind == "Union":
        return _either(items, room)
    if kind == "Annotated":
        return _schema(items[0], room - 1) if items else {}
    if kind == "Literal":
        values = [each.value for each in items if isinstance(each, ast.Constant)]
        plain = all(value is None or isinstance(value, str | int) for value in values)
        return {"enum": values} if plain and len(values) == len(items) else {}
    schema = _plain(kind)
    if kind == "tuple" and not _is_open(items):
        return schema | {"prefixItems": [_schema(each, room - 1) for each in items]}
    if schema.get("type") == "array" and items:
        return schema | {"items": _schema(items[0], room - 1)}
    if schema.get("type") == "object" and len(items) == 2:
        return schema | {"additionalProperties": _schema(items[1], room - 1)}
    return schema


def _is_open(items: list[ast.expr]) -> bool:
    return len(items) == 2 and isinstance(items[1], ast.Constant) and items[1].value is Ellipsis


def _either(items: list[ast.expr], room: int) -> Schema:
    options = [_schema(each, room - 1) for each in items]
    return {"anyOf": options} if all(options) else {}


def _name_of(node: ast.expr) -> str:
    """``Decimal`` of ``decimal.Decimal``, ``lru_cache`` of ``lru_cache(maxsize=None)``."""
    called = node.func if isinstance(node, ast.Call) else node
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""
