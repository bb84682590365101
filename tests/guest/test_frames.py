"""Data frames come out with their true shape, types and index, whole or as both ends, and never huge."""

import datetime as dt
import decimal
import json
import math
import time
import tracemalloc
from typing import Any

import pytest

from protocell_guest.guest.formats import formats_of
from protocell_guest.guest.frames import (
    CELL_SHOWN,
    DATA,
    DATA_BYTES,
    ROWS_SHOWN,
    WHOLE,
    WHOLE_BYTES,
    is_frame,
)

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")


def refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def data(value: object) -> dict[str, Any]:
    text = formats_of(value)[DATA]
    assert len(text.encode()) <= DATA_BYTES
    read: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return read


def column(*cells: object, **options: Any) -> list[Any]:
    read = data(pandas.DataFrame({"c": pandas.Series(list(cells), **options)}))
    return [row[0] for row in read["rows"]]


class Unprintable:
    """An object that has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


# -- the whole ---------------------------------------------------------------------------------------


def test_a_small_frame_comes_out_whole_with_its_index():
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None]}, index=pandas.Index([7, 9], name="k"))

    assert data(frame) == {
        "kind": "pandas.DataFrame",
        "shape": [2, 2],
        "columns": ["a", "b"],
        "dtypes": [str(kind) for kind in frame.dtypes],
        "index": {"name": "k", "dtype": "int64", "values": [7, 9]},
        "rows": [[1, "x"], [2, None]],
        "whole": True,
        "tail_from": None,
        "columns_tail_from": None,
    }


def test_text_and_html_are_those_of_pandas():
    frame = pandas.DataFrame({"a": [1, 2]}, index=["<p>", "q"])

    forms = formats_of(frame)

    assert forms["text/plain"] == repr(frame)
    assert forms["text/html"] == frame._repr_html_()
    assert "&lt;p&gt;" in forms["text/html"]
    assert sorted(forms) == [DATA, "text/html", "text/plain"]


def test_levels_of_rows_and_columns_are_lists():
    rows = pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["letter", "number"])
    columns = pandas.MultiIndex.from_product([["x"], [1, 2]], names=["u", None])
    read = data(pandas.DataFrame([[1, 2], [3, 4]], index=rows, columns=columns))

    assert read["columns"] == [["x", 1], ["x", 2]]
    assert read["columns_name"] == ["u", None]
    assert read["index"]["names"] == ["letter", "number"]
    assert read["index"]["dtypes"][1] == "int64"
    assert read["index"]["values"] == [["a", 1], ["b", 2]]


def test_names_of_columns_can_be_anything_and_be_there_twice():
    names = ["a", "a", 1, None, 2.5, pandas.Timestamp("2024-01-01"), ("t", 1)]
    read = data(pandas.DataFrame([range(7)], columns=pandas.Index(names, tupleize_cols=False)))

    assert read["columns"] == ["a", "a", 1, None, 2.5, "2024-01-01T00:00:00", ["t", 1]]
    assert read["rows"] == [[0, 1, 2, 3, 4, 5, 6]]


def test_the_name_over_the_columns_of_a_pivot_is_there():
    frame = pandas.DataFrame({"r": ["a", "b"], "c": ["x", "y"], "v": [1, 2]})

    read = data(frame.pivot(index="r", columns="c", values="v"))

    assert read["columns_name"] == "c"
    assert read["index"]["name"] == "r"
    assert read["rows"] == [[1.0, None], [None, 2.0]]


@pytest.mark.parametrize(
    "frame, shape, rows",
    [
        (pandas.DataFrame(), [0, 0], []),
        (pandas.DataFrame(columns=["a", "b"]), [0, 2], []),
        (pandas.DataFrame(index=range(2)), [2, 0], [[], []]),
    ],
)
def test_an_empty_frame_has_its_shape(frame: Any, shape: list[int], rows: list[Any]):
    read = data(frame)

    assert (read["shape"], read["rows"], read["whole"]) == (shape, rows, True)


def test_a_series_is_one_column():
    read = data(pandas.Series([1.5, 2], index=["p", "q"], name="s"))

    assert read["kind"] == "pandas.Series"
    assert read["shape"] == [2]
    assert read["columns"] == ["s"]
    assert read["dtypes"] == ["float64"]
    assert read["index"]["values"] == ["p", "q"]
    assert read["rows"] == [[1.5], [2.0]]


def test_an_index_is_one_column_without_labels():
    read = data(pandas.Index([3, 4], name="i"))

    assert (read["kind"], read["shape"], read["columns"]) == ("pandas.Index", [2], ["i"])
    assert (read["index"], read["rows"]) == (None, [[3], [4]])


def test_a_subclass_is_a_frame():
    class Mine(pandas.DataFrame):  # type: ignore[misc, name-defined]
        pass

    assert data(Mine({"a": [1]}))["kind"] == "pandas.DataFrame"


# -- cells -------------------------------------------------------------------------------------------


def test_what_is_missing_is_null_and_infinity_is_a_word():
    assert column(1.5, math.nan, math.inf, -math.inf) == [1.5, None, "Infinity", "-Infinity"]
    assert column(None, pandas.NA, pandas.NaT, math.nan, dtype=object) == [None] * 4
    assert column(1, None, dtype="Int64") == [1, None]
    assert column(*[True, None], dtype="boolean") == [True, None]


def test_moments_are_iso_8601_with_their_offset():
    moments = pandas.to_datetime(["2024-01-01", None]).tz_localize("Etc/GMT-1")

    assert column(*moments) == ["2024-01-01T00:00:00+01:00", None]
    assert column(dt.date(2024, 1, 2), dtype=object) == ["2024-01-02"]
    assert column(dt.time(1, 2), dtype=object) == ["01:02:00"]
    assert column(pandas.Timedelta("1D 2h 3.5s")) == ["P1DT2H0M3.5S"]
    assert column(dt.timedelta(days=1, seconds=7200), dtype=object) == ["P1DT2H0M0S"]
    assert column(numpy.datetime64("2024-01-01T00:00:00.000000001"), dtype=object) == [
        "2024-01-01T00:00:00.000000001"
    ]


def test_categories_decimals_bytes_and_the_rest_are_text():
    assert column("u", "v", dtype="category") == ["u", "v"]
    assert column(decimal.Decimal("1.10"), dtype=object) == ["1.10"]
    assert column(b"\x00a", bytearray(b"b"), dtype=object) == ["b'\\x00a'", "b'b'"]
    assert column(pandas.Period("2024-01")) == ["2024-01"]
    assert column(1j, dtype=object) == ["1j"]
    assert column("\ud800") == ["?"]


def test_nested_cells_stay_lists_and_objects():
    cells = column([1, [2, None]], {"k": (1, math.nan), 3: "x"}, numpy.arange(3), dtype=object)

    assert cells == [[1, [2, None]], {"k": [1, None], "3": "x"}, [0, 1, 2]]


def test_numbers_of_numpy_and_integers_of_any_size_are_exact():
    assert column(numpy.int64(2), numpy.float32(0.5), numpy.bool_(1), dtype=object) == [
        2,
        0.5,
        True,
    ]
    assert column(2**63, dtype=object) == [2**63]
    assert column(2**70, dtype=object) == [str(2**70)]
    assert column(1 << 100_000, dtype=object)[0].startswith("0x1000")


def test_cells_without_a_text_are_named():
    frame = pandas.DataFrame({"a": [Unprintable(), 1]})

    forms = formats_of(frame)

    assert forms["text/plain"] == "<DataFrame object whose repr raised ValueError: no text>"
    assert json.loads(forms[DATA])["rows"] == [
        ["<Unprintable object whose str raised ValueError: no text>"],
        [1],
    ]


def test_a_cell_that_holds_itself_ends():
    loop: list[Any] = []
    loop.append(loop)

    assert column(loop, dtype=object) == [[[[["[[...]]"]]]]]


def test_the_whole_of_a_longer_frame_is_there_beside_its_preview():
    index = pandas.MultiIndex.from_product([["a", "b"], range(2500)], names=["k", "n"])
    frame = pandas.DataFrame({"x": range(5000), "y": ["é", None] * 2500}, index=index)
    forms = formats_of(frame)
    whole = json.loads(forms[WHOLE], parse_constant=refuse)

    assert json.loads(forms[DATA])["whole"] is False
    assert whole == {
        "kind": "pandas.DataFrame",
        "shape": [5000, 2],
        "columns": ["x", "y"],
        "dtypes": [str(kind) for kind in frame.dtypes],
        "index": {
            "names": ["k", "n"],
            "dtypes": [str(kind) for kind in index.dtypes],
            "values": [list(label) for label in index],
        },
        "rows": [[n, None if n % 2 else "é"] for n in range(5000)],
        "whole": True,
        "tail_from": None,
        "columns_tail_from": None,
    }


def test_a_frame_whose_whole_would_be_too_long_has_a_preview_alone():
    rows = pandas.DataFrame({"a": [10**9] * (WHOLE_BYTES // 10)})
    cells = pandas.DataFrame({"a": ["x" * 1_000_000] * 20, "b": [list(range(100_000))] * 20})
    wide = pandas.DataFrame([[0] * 20_000])

    assert [WHOLE in formats_of(frame) for frame in (rows, cells, wide)] == [False, False, False]
    assert [data(frame)["shape"] for frame in (rows, cells, wide)] == [
        [WHOLE_BYTES // 10, 1],
        [20, 2],
        [1, 20_000],
    ]


# -- previews ----------------------------------------------------------------------------------------


def test_a_long_frame_shows_both_ends_and_its_true_shape():
    frame = pandas.DataFrame({"a": range(100_000)})

    read = data(frame)

    assert read["shape"] == [100_000, 1]
    assert [row[0] for row in read["rows"]] == [*range(20), *range(99_980, 100_000)]
    assert read["index"]["values"] == [*range(20), *range(99_980, 100_000)]
    assert (read["whole"], read["tail_from"]) == (False, 99_980)


def test_a_wide_frame_shows_both_ends_of_its_columns():
    read = data(pandas.DataFrame(numpy.zeros((3, 5000), dtype=int)))

    assert read["shape"] == [3, 5000]
    assert read["columns"] == [*range(40), *range(4980, 5000)]
    assert read["rows"] == [[0] * 60] * 3
    assert (read["whole"], read["tail_from"], read["columns_tail_from"]) == (False, None, 4980)


def test_ten_million_rows_take_milliseconds_and_no_memory():
    frame = pandas.DataFrame({"a": numpy.zeros(10_000_000), "b": numpy.zeros(10_000_000)})
    formats_of(frame)
    tracemalloc.start()
    begin = time.perf_counter()

    forms = formats_of(frame)

    took, (_, peak) = time.perf_counter() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert json.loads(forms[DATA])["shape"] == [10_000_000, 2]
    assert "[10000000 rows x 2 columns]" in forms["text/plain"]
    assert took < 1.0  # converting all of it takes many times that
    assert peak < 4_000_000


def test_long_cells_are_cut_and_the_frame_is_not_called_whole():
    frame = pandas.DataFrame({"a": ["x" * 1_000_000] * 3, "b": [list(range(10_000))] * 3})

    read = data(frame)

    assert (read["whole"], read["tail_from"], len(read["rows"])) == (False, None, 3)
    assert read["rows"][0][0].startswith("xxx")
    assert "[... 999," in read["rows"][0][0]
    assert read["rows"][0][1] == list(range(20))
    assert len(formats_of(frame)["text/html"]) < 3_000


def test_names_of_any_length_are_cut():
    forms = formats_of(pandas.DataFrame([[1] * 50], columns=["n" * 1_000_000] * 50))

    assert sorted(forms) == [DATA, "text/plain"]
    assert len(forms["text/plain"]) <= 64 * 1024
    assert len(forms[DATA]) <= DATA_BYTES


def test_options_that_ask_for_everything_are_bounded():
    frame = pandas.DataFrame({"a": range(100_000), "b": "y" * 10_000})

    with pandas.option_context(
        "display.max_rows", None, "display.max_columns", None, "display.max_colwidth", None
    ):
        forms = formats_of(frame)

        assert pandas.get_option("display.max_rows") is None
    lines = forms["text/plain"].splitlines()
    assert len(lines) < 2 * ROWS_SHOWN + 10  # the columns one below the other, in two blocks
    assert max(map(len, lines)) < CELL_SHOWN + 50
    assert lines[-1] == "[100000 rows x 2 columns]"
    assert forms["text/html"].count("<tr") == ROWS_SHOWN + 2


def test_lower_options_of_the_code_stay():
    with pandas.option_context("display.max_rows", 4):
        assert len(formats_of(pandas.Series(range(50)))["text/plain"].splitlines()) == 6


# -- polars ------------------------------------------------------------------------------------------


def test_frames_of_polars_come_out_likewise():
    polars = pytest.importorskip("polars")
    moment = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    frame = polars.DataFrame(
        {
            "a": [1, None],
            "l": [[1, 2], []],
            "t": [moment, None],
            "s": [{"q": 1}, {"q": 2}],
            "d": [dt.timedelta(hours=1), None],
            "n": [decimal.Decimal("1.5"), None],
            "f": [math.nan, math.inf],
        }
    )

    read = data(frame)

    assert (read["kind"], read["shape"], read["index"]) == ("polars.DataFrame", [2, 7], None)
    assert read["dtypes"][:2] == ["Int64", "List(Int64)"]
    assert read["rows"] == [
        [1, [1, 2], "2024-01-01T00:00:00+00:00", {"q": 1}, "P0DT1H0M0S", "1.5", None],
        [None, [], None, {"q": 2}, None, None, "Infinity"],
    ]
    assert formats_of(frame)["text/plain"] == repr(frame)
    assert formats_of(frame)["text/html"] == frame._repr_html_()


def test_a_long_frame_of_polars_shows_both_ends_whatever_its_options():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": range(1_000_000)})

    with polars.Config(tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=10_000_000):
        forms = formats_of(frame)
        assert polars.Config.state()["POLARS_FMT_MAX_ROWS"] == "-1"

    read = json.loads(forms[DATA])
    assert (read["shape"], len(read["rows"]), read["tail_from"]) == ([1_000_000, 1], 40, 999_980)
    assert forms["text/plain"].startswith("shape: (1_000_000, 1)\n")
    assert len(forms["text/plain"].splitlines()) < ROWS_SHOWN + 10
    assert data(polars.Series("z", [1, 2]))["rows"] == [[1], [2]]


# -- what is none ------------------------------------------------------------------------------------


def test_only_frames_are_frames():
    class Pretender:
        __class__ = pandas.DataFrame

    assert [is_frame(value) for value in (1, numpy.zeros(3), Pretender(), pandas.DataFrame)] == [
        False
    ] * 4


def test_a_frame_that_is_broken_still_has_a_text():
    class Broken(pandas.DataFrame):  # type: ignore[misc, name-defined]
        @property
        def iloc(self) -> Any:
            raise RuntimeError("no rows")

    forms = formats_of(Broken({"a": [1]}))

    assert DATA not in forms
    assert forms["text/plain"] != ""
