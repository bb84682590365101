"""What lives in a namespace, as a short list: names, types, shapes, sizes and a look at each value.

It is for whoever has to be told what there is, as a model after a restore.  Methods of the code's own classes
are not called: what a value is, its type says, and of what it holds only builtin types and the well known
containers of numpy, pandas, polars and torch are looked into.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Callable, Mapping
from itertools import islice
from types import FunctionType, MethodDescriptorType, ModuleType
from typing import Any

from protocell_guest.guest.clipping import clip
from protocell_guest.guest.plain_tracebacks import class_name
from protocell_guest.guest.representation import is_instance

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_NAME_SHOWN = 100
_PREVIEW_SHOWN = 120
_TEXT_SHOWN = 40
_ITEMS_SHOWN = 5
_DEEPEST = 3
_MOST_BITS = 256

_NOT_THE_CODES = re.compile(r"__\w+__|_{1,3}|_i{1,3}|_i?\d+|_[iod]h|_exit_code", re.ASCII)
_module_of = type.__dict__["__module__"].__get__
_vars_of = type.__dict__["__dict__"].__get__
_mro_of = type.__dict__["__mro__"].__get__
_ATOMS = (type(None), bool, int, float, complex, str, bytes, bytearray)
_SEQUENCES: dict[type, str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}
_FRAMES = (
    ("pandas", "DataFrame"),
    ("pandas", "Series"),
    ("pandas", "Index"),
    ("polars", "DataFrame"),
    ("polars", "Series"),
    ("numpy", "ndarray"),
    ("torch", "Tensor"),
)


def describe(
    namespace: Mapping[str, Any], *, hidden: Mapping[str, Any] | None = None, most: int = 200
) -> tuple[list[dict[str, Any]], int]:
    """The last ``most`` names that the code has made, in the order in which it made them, and how many are left out.

    Each is a dict of ``name``, ``type``, ``shape`` (a list of numbers, or None), ``size`` in bytes (that of
    a container without what it holds, but of arrays and frames as a whole) and ``preview``. ``hidden`` are
    names that were there before, left out unless they mean something else now.
    """
    before = hidden or {}
    made = [
        (name, value)
        for name, value in dict(namespace).items()
        if type(name) is str
        and not _NOT_THE_CODES.fullmatch(name)
        and not (name in before and before[name] is value)
    ]
    return [_described(name, value) for name, value in made[-most:]], max(0, len(made) - most)


def _described(name: str, value: Any) -> dict[str, Any]:
    return {
        "name": clip(name, _NAME_SHOWN),
        "type": _type_name(type(value)),
        "shape": _tried(_shape, value, None),
        "size": _tried(_size, value, 0),
        "preview": clip(_tried(_preview, value, ""), _PREVIEW_SHOWN),
    }


def _tried(look: Callable[[Any], Any], value: Any, otherwise: Any) -> Any:
    try:
        return look(value)
    except Exception:  # noqa: BLE001  (a library of another version, or one that the code has changed)
        return otherwise


def _type_name(kind: type) -> str:
    module = _module_of(kind)
    name = class_name(kind)
    if type(module) is str and module not in ("builtins", "__main__"):
        name = f"{module.partition('.')[0]}.{name}"
    return clip(name, _NAME_SHOWN)


# -- shape and size ----------------------------------------------------------------------------------


def _is_frame(value: Any) -> bool:
    return any(is_instance(value, module, name) for module, name in _FRAMES)


def _shape(value: Any) -> list[int] | None:
    if _is_frame(value):
        return [int(length) for length in value.shape]
    for kind in (str, bytes, bytearray, list, tuple, dict, set, frozenset):
        if issubclass(type(value), kind):
            return [kind.__len__(value)]
    return None


def _size(value: Any) -> int:
    if is_instance(value, "pandas", "DataFrame"):
        return int(value.memory_usage(deep=False).sum())
    if is_instance(value, "polars", "DataFrame", "Series"):
        return int(value.estimated_size())
    if _is_frame(value):
        return int(value.nbytes)
    if type(value) in _ATOMS or type(value) in _SEQUENCES or type(value) is dict:
        return sys.getsizeof(value)
    return _size_of_object(value)


def _size_of_object(value: Any) -> int:
    """What the class says that is written in C, which the value's own is or inherits from.

    Never that of ``object`` for all: of generators it gives some address, as CPython 3.11 has no count where it looks.
    """
    for base in _mro_of(type(value)):
        method = _vars_of(base).get("__sizeof__")
        if type(method) is MethodDescriptorType and method.__objclass__ is base:
            return int(method(value))
    return 0


# -- a look ------------------------------------------------------------------------------------------


def _preview(value: Any) -> str:
    if is_instance(value, "pandas", "DataFrame") or is_instance(value, "polars", "DataFrame"):
        names = [name for name in islice(value.columns, 20) if type(name) in (str, int)]
        return f"columns: {', '.join(map(str, names))}"
    if is_instance(value, "numpy", "ndarray"):
        return f"{value.dtype}: {_look(value.flat[:_ITEMS_SHOWN].tolist(), 1)}"
    if _is_frame(value):
        return str(value.dtype)
    return _look(value, 0)


def _look(value: Any, depth: int) -> str:
    kind = type(value)
    if kind is int and value.bit_length() > _MOST_BITS:
        return f"<int of {value.bit_length():,} bits>"
    if kind in (str, bytes, bytearray):
        return repr(value[:_TEXT_SHOWN]) + ("..." if len(value) > _TEXT_SHOWN else "")
    if kind in _ATOMS:
        return repr(value)
    if kind is FunctionType:
        code = value.__code__
        return f"def {code.co_name}({', '.join(code.co_varnames[: code.co_argcount])})"
    if kind is ModuleType:
        return f"module {ModuleType.__getattribute__(value, '__name__')}"
    if issubclass(kind, type):
        return f"class {class_name(value)}"
    return (
        _look_into(value, depth) if kind in _SEQUENCES or kind is dict else f"<{class_name(kind)}>"
    )


def _look_into(value: Any, depth: int) -> str:
    if depth >= _DEEPEST:
        return "..."
    first = list(islice(value.items() if type(value) is dict else value, _ITEMS_SHOWN))
    if type(value) is dict:
        items = [f"{_look(key, depth + 1)}: {_look(item, depth + 1)}" for key, item in first]
    else:
        items = [_look(item, depth + 1) for item in first]
    brackets = _SEQUENCES.get(type(value), "{}")
    more = ["..."] if len(value) > len(first) else []
    return brackets[0] + ", ".join(items + more) + brackets[1]
