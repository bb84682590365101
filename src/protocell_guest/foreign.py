"""Objects that cannot cross as they are, brought one step nearer to what can: never by importing anything.

Model-written code hands over what it has: a number out of an array, a row of a frame, a dataclass
of its own. What a person would write down for it, crosses. All of it is found by the type's own
modules, so that a sandbox without numpy never looks for numpy.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any


class UnfitError(ValueError):
    """A value that cannot cross, or what came is no value; ``path`` is where in the whole it is."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def nearer(value: Any) -> Any:
    """The same in simpler types, at its outermost level at least.

    Raises:
        UnfitError: there is none.
    """
    for is_it, step in _STEPS:
        if is_it(value):
            return step(value)
    kind = type(value)
    raise UnfitError(
        f"{kind.__module__}.{kind.__qualname__} cannot cross between the code and a tool; send "
        "text, numbers, bytes, dates, lists, sets, dicts or dataclasses"
    )


def _of(module: str, *names: str) -> Callable[[Any], bool]:
    """Whether a value's type, or one that it derives from, has such a name in such a package."""

    def is_it(value: Any) -> bool:
        return module in sys.modules and any(
            base.__name__ in names and base.__module__.partition(".")[0] == module
            for base in type(value).__mro__
        )

    return is_it


def _is_a(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _is_dataclass(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _moment(value: Any) -> Any:
    """numpy's dates, whose ``item`` of nanoseconds is a bare int."""
    unit = "datetime64[us]" if type(value).__name__ == "datetime64" else "timedelta64[us]"
    return value.astype(unit).item()


def _number(value: Any) -> Any:
    plain = value.item()
    return plain if type(plain) is not type(value) else float(plain)  # a long double stays one


def _array(value: Any) -> Any:
    if value.dtype.kind in "mM":
        value = value.astype(f"{'datetime64' if value.dtype.kind == 'M' else 'timedelta64'}[us]")
    return value.tolist()


def _in_the_standard_library(module: str, name: str) -> Callable[[Any], bool]:
    def is_it(value: Any) -> bool:
        kind = getattr(sys.modules.get(module), name, None)
        return kind is not None and isinstance(value, kind)

    return is_it


def _datetime(value: Any) -> Any:
    """A subclass, as pandas' Timestamp is; its "not a time" is one that is not equal to itself."""
    if value != value:  # noqa: PLR0124  (see above)
        return None
    kind: Any = sys.modules["datetime"]
    return kind.datetime.combine(value.date(), value.time(), value.tzinfo)


def _date(value: Any) -> Any:
    kind: Any = sys.modules["datetime"]
    return kind.date(value.year, value.month, value.day)


def _time(value: Any) -> Any:
    kind: Any = sys.modules["datetime"]
    return kind.time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo)


def _duration(value: Any) -> Any:
    if value != value:  # noqa: PLR0124  (as above)
        return None
    kind: Any = sys.modules["datetime"]
    return kind.timedelta(value.days, value.seconds, value.microseconds)


def _rebuilt(module: str, name: str) -> Callable[[Any], Any]:
    return lambda value: getattr(sys.modules[module], name)(str(value))


# In this order: an IntEnum is an int, numpy's float64 a float, a Timestamp a date.
_STEPS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (lambda value: hasattr(type(value), "__protocell_value__"), lambda v: v.__protocell_value__()),
    (_is_a(enum.Enum), lambda value: value.value),
    (_of("numpy", "datetime64", "timedelta64"), _moment),
    (_of("numpy", "generic"), _number),
    (_of("numpy", "ndarray"), _array),
    (_of("pandas", "NAType", "NaTType"), lambda _: None),
    (_of("pandas", "DataFrame"), lambda value: value.to_dict("records")),
    (_of("pandas", "Series", "Index", "ExtensionArray"), lambda value: value.tolist()),
    (_of("polars", "DataFrame"), lambda value: value.to_dicts()),
    (_of("polars", "Series"), lambda value: value.to_list()),
    (_of("pyarrow", "Table", "RecordBatch", "Array", "ChunkedArray"), lambda v: v.to_pylist()),
    (_is_a(str), str.__str__),
    (_is_a(int), int.__int__),
    (_is_a(float), float.__float__),
    (_in_the_standard_library("datetime", "datetime"), _datetime),
    (_in_the_standard_library("datetime", "date"), _date),
    (_in_the_standard_library("datetime", "time"), _time),
    (_in_the_standard_library("datetime", "timedelta"), _duration),
    (_in_the_standard_library("decimal", "Decimal"), _rebuilt("decimal", "Decimal")),
    (_in_the_standard_library("uuid", "UUID"), _rebuilt("uuid", "UUID")),
    (_is_a(bytes, bytearray, memoryview), bytes),
    (_is_a(tuple), tuple),
    (_is_a(frozenset), frozenset),
    (_is_a(os.PathLike), os.fspath),
    (
        lambda value: (
            hasattr(type(value), "__pydantic_core_schema__") and hasattr(value, "model_dump")
        ),
        lambda value: value.model_dump(),
    ),
    (_is_dataclass, _fields),
    (
        lambda value: hasattr(type(value), "__attrs_attrs__"),
        lambda value: {field.name: getattr(value, field.name) for field in value.__attrs_attrs__},
    ),
    (_is_a(Mapping), dict),
    (_is_a(type({}.keys()), type({}.values()), type({}.items())), list),
    (_is_a(Set), set),
    (_is_a(Sequence), list),
    (_of("array", "array"), lambda value: value.tolist()),
)
