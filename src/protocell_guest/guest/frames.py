"""Data frames as data: shape, names, types, index and rows as JSON, the whole and a preview of both ends.

The JSON (``DATA``) has these fields: ``kind``; ``shape``, always the true one; ``columns``, their
names, lists where there are levels; ``dtypes``; ``index`` with ``name`` and ``dtype`` (``names`` and
``dtypes`` where there are levels) and ``values``, one for each row, or null; ``rows``, lists of cells (see
frame_cells.py). If ``whole`` is false, rows may be left out in the middle: those from ``tail_from``
on, a row number of the frame, are at the end of ``rows``; likewise columns with ``columns_tail_from``.

Text and HTML are made by the library itself, while its options are kept within bounds.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple

from protocell_guest.guest.frame_cells import Cells
from protocell_guest.guest.frame_sources import Source, source_of
from protocell_guest.guest.representation import ENDINGS, is_instance
from protocell_guest.guest.strict_json import encode

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

DATA = "application/vnd.protocell.data+json"
"""The MIME type of a data frame as JSON."""

WHOLE = "application/vnd.protocell.data-whole+json"
"""That of the whole of a frame of which there is a preview too; which of them goes out is the budget's to say."""

DATA_BYTES = 64 * 1024
"""A frame whose JSON is longer has a preview, and ..."""
WHOLE_BYTES = 8 * 1024 * 1024
"""... one whose JSON would be longer than this has nothing else: to make it would take more than a second."""

_CELLS_AT_ONCE = 20_000
_ROWS_AT_ONCE = 100  # at least, as each column costs something each time
_MOST_COLUMNS = 10_000

ROWS_SHOWN = 100
COLUMNS_SHOWN = 40
CELL_SHOWN = 300
"""What text and HTML show at most, whatever the code has set; the libraries' own defaults are lower."""

_PANDAS_BOUNDS = {
    "display.max_rows": ROWS_SHOWN,
    "display.max_columns": COLUMNS_SHOWN,
    "display.max_colwidth": CELL_SHOWN,
    "display.max_seq_items": ROWS_SHOWN,
}
_POLARS_BOUNDS = {
    "tbl_rows": ("POLARS_FMT_MAX_ROWS", ROWS_SHOWN),
    "tbl_cols": ("POLARS_FMT_MAX_COLS", COLUMNS_SHOWN),
    "fmt_str_lengths": ("POLARS_FMT_STR_LEN", CELL_SHOWN),
    "fmt_table_cell_list_len": ("POLARS_FMT_TABLE_CELL_LIST_LEN", COLUMNS_SHOWN),
}

_KINDS = {"pandas": ("DataFrame", "Series", "Index"), "polars": ("DataFrame", "Series")}


class _Extent(NamedTuple):
    """How much a preview shows: rows and columns from each end, bytes and members of a cell."""

    first_rows: int
    last_rows: int
    first_columns: int
    last_columns: int
    longest: int
    members: int


_PREVIEWS = (
    _Extent(20, 20, 40, 20, 300, 20),
    _Extent(20, 20, 20, 10, 100, 8),
    _Extent(10, 10, 20, 10, 60, 4),
    _Extent(5, 5, 10, 5, 40, 2),
    _Extent(2, 2, 4, 2, 30, 1),
)


def is_frame(value: object) -> bool:
    """Whether it is a data frame, series or index of pandas, or a data frame or series of polars."""
    return any(is_instance(value, module, *kinds) for module, kinds in _KINDS.items())


def data_of(value: Any) -> dict[str, str]:
    """A frame as JSON of at most DATA_BYTES, and the whole of at most WHOLE_BYTES if that is not the whole.

    Nothing if it cannot be had.

    Raises:
        KeyboardInterrupt, SystemExit: only those, of what the frame's own methods may raise.
    """
    try:
        source = source_of(value)
        return {} if source is None else _data_of(source)
    except ENDINGS:
        raise
    except BaseException:  # noqa: BLE001  (a class of the code's own, or a frame that is broken)
        return {}


@contextmanager
def within_bounds(value: object) -> Iterator[None]:
    """Keep what the value's library prints within bounds, whatever the code has set. Lower limits stay."""
    with ExitStack() as stack:
        if is_instance(value, "pandas", *_KINDS["pandas"]):
            stack.enter_context(_pandas_options())
        elif is_instance(value, "polars", *_KINDS["polars"]):
            stack.enter_context(_polars_options())
        yield


# -- data --------------------------------------------------------------------------------------------


def _data_of(source: Source) -> dict[str, str]:
    whole = _whole(source)
    if whole is not None and _size(whole) <= DATA_BYTES:
        return {DATA: whole}
    preview = _preview(source)
    forms = {} if preview is None else {DATA: preview}
    return forms if whole is None else {**forms, WHOLE: whole}


def _whole(source: Source) -> str | None:
    rows, columns = source.shape[0], source.width
    # The least that a cell takes is two bytes, with its comma.
    least = 2 * rows * (columns + (source.index() is not None))
    if least > WHOLE_BYTES or columns > _MOST_COLUMNS:
        return None
    cells = Cells(longest=WHOLE_BYTES, members=WHOLE_BYTES, room=WHOLE_BYTES)
    data = _data(source, cells, [], [(0, columns)], whole=True)
    parts = _parts(source, cells)
    if parts is None:
        return None
    texts = {name: encode(value) for name, value in data.items()} | {"rows": f"[{parts[1]}]"}
    if data["index"] is not None:
        texts["index"] = encode(data["index"]).removesuffix("[]}") + f"[{parts[0]}]}}"
    text = "{" + ",".join(f'"{name}":{value}' for name, value in texts.items()) + "}"
    return text if not cells.cut and _size(text) <= WHOLE_BYTES else None


def _parts(source: Source, cells: Cells) -> tuple[str, str] | None:
    """Labels and rows as JSON, without the brackets around; None if that gets too long.

    A number of rows at a time: as Python objects, cells take ten times what their text does.
    """
    rows, columns = source.shape[0], range(source.width)
    step = max(_ROWS_AT_ONCE, _CELLS_AT_ONCE // max(1, len(columns)))
    has_labels = source.index() is not None
    labels, texts, size = [], [], 0
    for start in range(0, rows, step):
        stop = min(rows, start + step)
        part = [(start, stop)]
        texts.append(encode(_rows(source, cells, part, list(columns)))[1:-1])
        if has_labels:
            labels.append(encode([cells.plain(one) for one in source.labels(start, stop)])[1:-1])
            size += len(labels[-1])
        size += len(texts[-1])
        # If the rest is like this, which it need not be to the byte.
        if cells.cut or size * rows / stop > 1.1 * WHOLE_BYTES:
            return None
    return ",".join(labels), ",".join(texts)


def _size(text: str) -> int:
    return len(text.encode())


def _preview(source: Source) -> str | None:
    for extent in _PREVIEWS:
        rows = _ends(source.shape[0], extent.first_rows, extent.last_rows)
        columns = _ends(source.width, extent.first_columns, extent.last_columns)
        cells = Cells(longest=extent.longest, members=extent.members)
        text = encode(_data(source, cells, rows, columns, whole=False))
        if _size(text) <= DATA_BYTES:
            return text
    return None


def _ends(count: int, first: int, last: int) -> list[tuple[int, int]]:
    """Parts of a range: all of it, or its two ends."""
    return [(0, count)] if count <= first + last else [(0, first), (count - last, count)]


def _data(
    source: Source,
    cells: Cells,
    rows: list[tuple[int, int]],
    columns: list[tuple[int, int]],
    *,
    whole: bool,
) -> dict[str, Any]:
    positions = [position for part in columns for position in range(*part)]
    data: dict[str, Any] = {
        "kind": source.kind,
        "shape": source.shape,
        "columns": [cells.plain(name) for name in source.names(positions)],
        "dtypes": [cells.text(kind) for kind in source.types(positions)],
        "index": _index(source, cells, rows),
        "rows": _rows(source, cells, rows, positions),
        "whole": whole,
        "tail_from": rows[1][0] if len(rows) > 1 else None,
        "columns_tail_from": columns[1][0] if len(columns) > 1 else None,
    }
    heading = cells.plain(source.heading())
    return data if heading in (None, []) else {**data, "columns_name": heading}


def _index(source: Source, cells: Cells, rows: list[tuple[int, int]]) -> dict[str, Any] | None:
    index = source.index()
    if index is None:
        return None
    values = [cells.plain(label) for part in rows for label in source.labels(*part)]
    return {**{field: cells.plain(value) for field, value in index.items()}, "values": values}


def _rows(
    source: Source, cells: Cells, rows: list[tuple[int, int]], positions: list[int]
) -> list[list[Any]]:
    found: list[list[Any]] = []
    for start, stop in rows:
        columns = [
            [cells.plain(cell) for cell in column]
            for column in source.cells(start, stop, positions)
        ]
        found += (
            map(list, zip(*columns, strict=True)) if columns else [[] for _ in range(start, stop)]
        )
    return found


# -- text and HTML -----------------------------------------------------------------------------------


@contextmanager
def _pandas_options() -> Iterator[None]:
    pandas = sys.modules["pandas"]
    options: list[Any] = []
    for name, most in _PANDAS_BOUNDS.items():
        value = pandas.get_option(name)
        if value is None or value > most:
            options += [name, most]
            # The code wants more than the ten rows that pandas shows of a frame that is too long.
            options += ["display.min_rows", most] if name == "display.max_rows" else []
        elif value == 0 and name == "display.max_columns":
            # As many as a terminal is wide, and there is none. Notebooks have 20.
            options += [name, 20]
    with pandas.option_context(*options) if options else nullcontext():
        yield


@contextmanager
def _polars_options() -> Iterator[None]:
    options = {
        option: most
        for option, (variable, most) in _POLARS_BOUNDS.items()
        if not 0 <= _number(os.environ.get(variable)) <= most
    }
    with sys.modules["polars"].Config(**options) if options else nullcontext():
        yield


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.lstrip("-").isdecimal() else 0
