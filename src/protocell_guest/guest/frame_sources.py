"""Data frames of pandas and polars behind one face: shape, names, types, and cells of a slice.

A slice is taken before anything is converted, so the cost is that of what is looked at.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, Protocol

from protocell_guest.guest.representation import is_instance

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))


class Source(Protocol):
    """A table, whoever made it. Columns are meant by position: names can be there twice."""

    kind: str
    shape: list[int]

    @property
    def width(self) -> int:
        """How many columns there are; 1 for a series."""

    def names(self, columns: Sequence[int]) -> list[Any]:
        """Their names; a tuple each, if there are levels."""

    def heading(self) -> Any:
        """The name, or names, of the row of names itself; None if it has none."""

    def types(self, columns: Sequence[int]) -> list[str]:
        """Their types, in the library's words."""

    def cells(self, start: int, stop: int, columns: Sequence[int]) -> list[list[Any]]:
        """The cells of these rows, column by column."""

    def index(self) -> dict[str, Any] | None:
        """Name and type of the row labels, or None if rows have no labels."""

    def labels(self, start: int, stop: int) -> list[Any]:
        """The labels of these rows."""


def source_of(value: Any) -> Source | None:
    """The table that a value is, or None."""
    for name, source in _SOURCES.items():
        module, _, kind = name.partition(".")
        if is_instance(value, module, kind):
            return source(name, value)
    return None


class _PandasFrame:
    def __init__(self, kind: str, frame: Any) -> None:
        self.kind = kind
        self._frame = frame
        self.shape = [int(size) for size in frame.shape]

    @property
    def width(self) -> int:
        return self.shape[1]

    def names(self, columns: Sequence[int]) -> list[Any]:
        return [self._frame.columns[column] for column in columns]

    def heading(self) -> Any:
        return _names(self._frame.columns)

    def types(self, columns: Sequence[int]) -> list[str]:
        types = self._frame.dtypes.tolist()
        return [str(types[column]) for column in columns]

    def cells(self, start: int, stop: int, columns: Sequence[int]) -> list[list[Any]]:
        part = self._frame.iloc[start:stop]
        return [part.iloc[:, column].tolist() for column in columns]

    def index(self) -> dict[str, Any] | None:
        return _described(self._frame.index)

    def labels(self, start: int, stop: int) -> list[Any]:
        return list(self._frame.index[start:stop].tolist())


class _PandasSeries(_PandasFrame):
    @property
    def width(self) -> int:
        return 1

    def names(self, columns: Sequence[int]) -> list[Any]:
        return [self._frame.name][: len(columns)]

    def heading(self) -> Any:
        return None

    def types(self, columns: Sequence[int]) -> list[str]:
        return [str(self._frame.dtype)][: len(columns)]

    def cells(self, start: int, stop: int, columns: Sequence[int]) -> list[list[Any]]:
        return [self._frame.iloc[start:stop].tolist()][: len(columns)]


class _PandasIndex(_PandasSeries):
    def names(self, columns: Sequence[int]) -> list[Any]:
        return [_names(self._frame)][: len(columns)]

    def cells(self, start: int, stop: int, columns: Sequence[int]) -> list[list[Any]]:
        return [self._frame[start:stop].tolist()][: len(columns)]

    def index(self) -> dict[str, Any] | None:
        return None

    def labels(self, start: int, stop: int) -> list[Any]:  # noqa: ARG002
        return []


class _PolarsFrame:
    def __init__(self, kind: str, frame: Any) -> None:
        self.kind = kind
        self._frame = frame
        self.shape = [int(size) for size in frame.shape]

    @property
    def width(self) -> int:
        return self.shape[1]

    def names(self, columns: Sequence[int]) -> list[Any]:
        names = self._frame.columns
        return [names[column] for column in columns]

    def heading(self) -> Any:
        return None

    def types(self, columns: Sequence[int]) -> list[str]:
        types = self._frame.dtypes
        return [str(types[column]) for column in columns]

    def cells(self, start: int, stop: int, columns: Sequence[int]) -> list[list[Any]]:
        part = self._frame.slice(start, stop - start)
        return [part.to_series(column).to_list() for column in columns]

    def index(self) -> dict[str, Any] | None:
        return None

    def labels(self, start: int, stop: int) -> list[Any]:  # noqa: ARG002
        return []


class _PolarsSeries(_PolarsFrame):
    @property
    def width(self) -> int:
        return 1

    def names(self, columns: Sequence[int]) -> list[Any]:
        return [self._frame.name][: len(columns)]

    def types(self, columns: Sequence[int]) -> list[str]:
        return [str(self._frame.dtype)][: len(columns)]

    def cells(self, start: int, stop: int, columns: Sequence[int]) -> list[list[Any]]:
        return [self._frame.slice(start, stop - start).to_list()][: len(columns)]


_SOURCES: dict[str, type[_PandasFrame | _PolarsFrame]] = {
    "pandas.DataFrame": _PandasFrame,
    "pandas.Series": _PandasSeries,
    "pandas.Index": _PandasIndex,
    "polars.DataFrame": _PolarsFrame,
    "polars.Series": _PolarsSeries,
}


def _names(index: Any) -> Any:
    """The name of an index, or the list of its levels' names."""
    return list(index.names) if index.nlevels > 1 else index.name


def _described(index: Any) -> dict[str, Any]:
    if index.nlevels > 1:
        return {"names": list(index.names), "dtypes": [str(kind) for kind in index.dtypes]}
    return {"name": index.name, "dtype": str(index.dtype)}
