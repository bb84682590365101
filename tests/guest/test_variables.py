"""What lives in a context is described by names, types, shapes and sizes, and nothing of the code's runs for it."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from protocell_guest.guest.variables import describe


def function_of_ours(one: int, two: int = 2) -> int:
    return one + two


def of(value: object) -> dict[str, Any]:
    ((described,), _) = describe({"it": value})
    assert described.pop("name") == "it"
    return described


@pytest.mark.parametrize(
    "value, kind, shape, preview",
    [
        (None, "NoneType", None, "None"),
        (3, "int", None, "3"),
        (10**100, "int", None, "<int of 333 bits>"),
        (1.5, "float", None, "1.5"),
        ("abc", "str", [3], "'abc'"),
        ("a" * 50, "str", [50], f"'{'a' * 40}'..."),
        (b"abc", "bytes", [3], "b'abc'"),
        ([1, "a"], "list", [2], "[1, 'a']"),
        (list(range(9)), "list", [9], "[0, 1, 2, 3, 4, ...]"),
        ((1,), "tuple", [1], "(1)"),
        ({"a": [1, [2, [3]]]}, "dict", [1], "{'a': [1, [2, ...]]}"),
        (function_of_ours, "function", None, "def function_of_ours(one, two)"),
        (sys, "module", None, "module sys"),
        (dict, "type", None, "class dict"),
    ],
)
def test_plain_values(value: object, kind: str, shape: list[int] | None, preview: str):
    assert of(value) == {
        "type": kind,
        "shape": shape,
        "size": sys.getsizeof(value)
        if kind not in ("module", "type", "function")
        else of(value)["size"],
        "preview": preview,
    }


def test_arrays_and_frames():
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5]})

    assert of(numpy.zeros((3, 4))) == {
        "type": "numpy.ndarray",
        "shape": [3, 4],
        "size": 96,
        "preview": "float64: [0.0, 0.0, 0.0, 0.0, 0.0]",
    }
    assert of(frame) == {
        "type": "pandas.DataFrame",
        "shape": [3, 2],
        "size": 48 + frame.index.memory_usage(),
        "preview": "columns: a, b",
    }
    assert of(frame["a"])["preview"] == "int64"
    assert of(frame["a"])["shape"] == [3]


def test_nothing_of_the_codes_own_classes_runs():
    ran: list[str] = []

    def told(name: str) -> Callable[..., Any]:
        return lambda *_: ran.append(name)

    names = (
        "__repr__",
        "__str__",
        "__len__",
        "__sizeof__",
        "__getattribute__",
        "__iter__",
        "__eq__",
    )
    for base in (object, list, dict, str, int):
        kind = type("Own", (base,), {name: told(name) for name in names} | {"__hash__": None})
        described = of(kind())
        assert described["type"].endswith("Own")
        assert described["preview"] == "<Own>"
    assert ran == []


def test_names_that_are_not_the_codes_are_left_out():
    kept: dict[Any, Any] = {"x": 1, "_private": 2, "In": 3}
    others = {
        "__name__": "__main__",
        "_": 1,
        "__": 2,
        "_3": 3,
        "_i3": "x",
        "_oh": {},
        "_exit_code": 0,
    }
    hidden = {"exit": exit, "In": []}

    names = [
        one["name"] for one in describe(kept | others | {"exit": exit, 5: 6}, hidden=hidden)[0]
    ]
    assert names == ["x", "_private", "In"]


def test_the_list_is_bounded_and_ends_with_the_newest():
    many = {f"x{n}": "a" * 10_000 for n in range(1000)}

    last, left_out = describe(many, most=3)
    assert [one["name"] for one in last] == ["x997", "x998", "x999"]
    assert left_out == 997
    assert len(describe(many)[0]) == 200
    assert describe({"x": 1})[1] == 0
    assert len(describe({"n" * 10_000: [["a" * 1000] * 5] * 5})[0][0]["name"]) <= 100
    assert len(of([["a" * 1000] * 5] * 5)["preview"]) <= 120


def test_a_list_that_holds_itself_has_an_end():
    endless: list[Any] = []
    endless.append(endless)

    assert of(endless)["preview"] == "[[[...]]]"


class _Lying:
    """An object that says what it likes about its size."""

    def __sizeof__(self) -> int:
        return 10**18


class _LyingInt(int):
    __sizeof__ = _Lying.__sizeof__


class _Clearing(dict[str, int]):
    __sizeof__ = dict.clear  # type: ignore[assignment]


async def _waits() -> None: ...


def test_sizes_are_those_that_the_classes_written_in_c_give():
    generator, coroutine = (number for number in [1]), _waits()
    coroutine.close()

    assert of(generator)["size"] == generator.__sizeof__()
    assert of(coroutine)["size"] == coroutine.__sizeof__()
    assert of(_LyingInt(5))["size"] == int.__sizeof__(5)
    assert of(kept := _Clearing(a=1))["size"] == dict.__sizeof__(kept)
    assert kept == {"a": 1}
    assert of(_Lying())["size"] == object.__sizeof__(_Lying())
    assert of(iter([1]))["size"] == iter([1]).__sizeof__()
    assert of((1, 2))["size"] == sys.getsizeof((1, 2))
