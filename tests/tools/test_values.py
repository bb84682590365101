"""Values: what crosses as what, what is refused and how, and what MCP results become."""

import collections
import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest

from protocell.tools.values import answer_of, as_json, text_value, value_schema
from protocell_guest import values
from protocell_guest.content import Audio, Image, Resource, ResourceLink
from protocell_guest.values import UnfitError, decode, dumps, encode, loads, plain


class Color(enum.Enum):
    RED = "red"


class Pair(NamedTuple):
    a: int
    b: int


@dataclass(frozen=True)
class Point:
    x: int
    y: Any = None


class Given:
    def __protocell_value__(self) -> int:
        return 7


MOMENT = dt.datetime.fromisoformat("2026-01-02T03:04:05.000006")


@pytest.mark.parametrize(
    "value, tagged",
    [
        ({"a": [1, 2.5, None, True, "x"]}, {"a": [1, 2.5, None, True, "x"]}),
        (b"\x00\xff", {"$bytes": "AP8="}),
        (MOMENT, {"$datetime": "2026-01-02T03:04:05.000006"}),
        (dt.timedelta(days=-1, seconds=2), {"$duration": [-1, 2, 0]}),
        (Decimal("1.50"), {"$decimal": "1.50"}),
        (2**64, {"$int": "0x10000000000000000"}),
        (float("-inf"), {"$float": "-inf"}),
        ((1, {2}), {"$tuple": [1, {"$set": [2]}]}),
        ({1: "a"}, {"$dict": [[1, "a"]]}),
        ({"$bytes": "AP8="}, {"$dict": [["$bytes", "AP8="]]}),
        ({"$ref": 1, "b": 2}, {"$ref": 1, "b": 2}),
        (Image(b"\x00", "image/png"), {"$image": ["image/png", "AA=="]}),
    ],
)
def test_what_json_has_crosses_as_itself_and_the_rest_under_a_tag(value: Any, tagged: Any):
    assert encode(value) == tagged
    assert decode(tagged) == value


@pytest.mark.parametrize(
    "value, arrives",
    [
        (Color.RED, "red"),
        ({Color.RED: Color.RED}, {"red": "red"}),
        (Pair(1, 2), (1, 2)),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        ({Point(1)}, [{"x": 1, "y": None}]),
        (Path("/a/b"), "/a/b"),
        (collections.deque([1]), [1]),
        (collections.Counter("aa"), {"a": 2}),
        (range(2), [0, 1]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.items(), [("a", 1)]),
        (bytearray(b"x"), b"x"),
        (Given(), 7),
        (np.int64(3), 3),
        (np.float64(0.5), 0.5),
        (np.array([True])[0], True),
        (np.str_("x"), "x"),
        (np.longdouble(2), 2.0),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.datetime64("2026-01-02T03:04:05.000006789"), MOMENT),
        (np.array(["2026-01-02"], dtype="M8[ns]"), [dt.datetime.fromisoformat("2026-01-02")]),
        (np.timedelta64(2, "s"), dt.timedelta(seconds=2)),
        (pd.Timestamp(MOMENT), MOMENT),
        (pd.Timedelta("1s"), dt.timedelta(seconds=1)),
        ([pd.NaT, pd.NA], [None, None]),
        (pd.DataFrame({"a": [1], "t": [pd.Timestamp(MOMENT)]}), [{"a": 1, "t": MOMENT}]),
        (pd.Series([1, 2]), [1, 2]),
        (pl.DataFrame({"a": [1]}), [{"a": 1}]),
        (pl.Series([1]), [1]),
    ],
)
def test_what_models_have_at_hand_arrives_as_what_one_would_write_for_it(value: Any, arrives: Any):
    found = loads(dumps(value))

    assert found == arrives
    assert type(found) is type(arrives)
    assert plain(value) == arrives


class Opaque:
    pass


@pytest.mark.parametrize(
    "value, said",
    [
        (Opaque, "builtins.type cannot cross"),
        ([1, {"rows": [0, Fraction(1)]}], "[1]['rows'][1]: fractions.Fraction cannot cross"),
        ({"f": iter([1])}, "['f']: builtins.list_iterator cannot cross"),
        ({Point(1): 2}, "a key of type Point cannot cross"),
        pytest.param(10**5000, "an integer of more than 4,200 digits cannot cross", id="long"),
        (Decimal("1E+20000"), "a Decimal with so many digits, or such an exponent, cannot cross"),
    ],
)
def test_what_cannot_cross_is_refused_with_the_place_where_it_is(value: Any, said: str):
    with pytest.raises(UnfitError) as caught:
        encode(value)

    assert str(caught.value).partition(" between")[0] == said


@pytest.mark.parametrize(
    "body",
    [
        b'{"$other": 1}',
        b'{"$decimal": "1E+999999999"}',
        b'{"$decimal": "' + b"1" * 9000 + b'"}',
        b'{"$int": "0x' + b"f" * 9000 + b'"}',
        b'{"$float": "1.5"}',
        b'{"$set": [[1]]}',
        b'{"$set": "ab"}',
        b'{"$tuple": {"a": 1}}',
        b'{"$bytes": "?"}',
        b'{"$bytes": 1}',
        b'{"$duration": [1e300, 0, 0]}',
        b'{"$datetime": ["2026-01-01"]}',
        b'{"$image": ["image/png"]}',
        b'{"$link": []}',
        b'{"$dict": [1]}',
        b"9" * 21,
        b"1e999",
        b"NaN",
        b"[1",
        b"\xff",
        b"",
    ],
)
def test_what_is_no_value_is_refused(body: bytes):
    with pytest.raises(UnfitError):
        loads(body)


def test_values_are_counted_before_they_are_made():
    body = b"[" + b",".join([b'"a"'] * 1000) + b"]"

    assert len(loads(body, most_items=2000)) == 1000
    with pytest.raises(UnfitError) as caught:
        loads(body, most_items=1999)
    assert str(caught.value) == "the value has 2000 items; at most 1999 are allowed"
    with pytest.raises(UnfitError):
        loads(b'"' * 10_000_001)  # ten million strings, or one that does not end


def test_a_string_hides_nothing_from_the_count_and_adds_nothing_to_it():
    assert loads(rb'["[[[[,,,,\\", "\"[,[,"]', most_items=4) == ["[[[[,,,,\\", '"[,[,']


@pytest.mark.parametrize("tag", ["$set", "$frozenset", "$dict"])
def test_elements_whose_hashes_were_chosen_to_be_equal_are_refused(tag: str):
    same_hash = [{"$int": hex((2**61 - 1) * number)} for number in range(1, 200)]
    items: Any = [[each, 1] for each in same_hash] if tag == "$dict" else same_hash

    with pytest.raises(UnfitError) as caught:
        decode({tag: items})
    assert str(caught.value) == "too many elements have the same hash"


def test_a_deep_value_crosses_and_one_level_more_does_not():
    value: Any = 1
    for _ in range(values.MOST_DEPTH):
        value = (value,)

    assert loads(dumps(value)) == value
    with pytest.raises(UnfitError):
        dumps((value,))


# Content objects


def test_content_never_prints_its_bytes():
    assert repr(Image(b"12345", "image/png")) == "<Image image/png, 5 bytes>"
    assert str([Audio(b"1", "audio/wav")]) == "[<Audio audio/wav, 1 bytes>]"
    assert repr(Resource("file:///a", "text/plain", text="abc")) == (
        "<Resource file:///a text/plain, 3 characters>"
    )
    assert repr(Resource("x:y", data=b"abc")) == "<Resource x:y, 3 bytes>"


def test_an_image_shows_itself_in_a_notebook_and_saves_itself(tmp_path: Path):
    picture = Image(b"\x00", "image/png")

    picture.save(tmp_path / "a.png")

    assert (tmp_path / "a.png").read_bytes() == b"\x00"
    assert picture._repr_mimebundle_() == {
        "image/png": "AA==",
        "text/plain": "<Image image/png, 1 bytes>",
    }
    assert Image(b"<svg/>", "image/svg+xml")._repr_mimebundle_()["image/svg+xml"] == "<svg/>"


# What an MCP server gave


def texts(*each: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text} for text in each]


ONE_RESULT = {"type": "object", "properties": {"result": {"type": "integer"}}}
TEXT_RESULT = {"type": "object", "properties": {"result": {"type": ["string", "null"]}}}
SOME_RESULT = {"type": "object", "properties": {"result": {"anyOf": [{}, {"type": "string"}]}}}
ANY_RESULT = {"type": "object", "properties": {"result": {}}}
MORE = {"type": "object", "properties": {"result": {}, "next": {}}}
LINK = {"type": "resource_link", "uri": "x:a", "name": "a", "mimeType": "a/b", "size": 3}
SHOT = {"type": "image", "data": "AA==", "mimeType": "image/png"}


@pytest.mark.parametrize(
    "raw, schema, value",
    [
        ({"structuredContent": {"a": 1}, "content": texts("no")}, None, {"a": 1}),
        ({"structuredContent": {"result": 3}}, None, 3),
        ({"structuredContent": {"result": 3}}, ONE_RESULT, 3),
        ({"structuredContent": {"result": 3}}, MORE, {"result": 3}),
        ({"structuredContent": {"result": 3, "next": 4}}, None, {"result": 3, "next": 4}),
        ({"structuredContent": {"result": '{"a": 1}'}}, None, {"a": 1}),
        ({"structuredContent": {"result": "[1]"}}, ANY_RESULT, [1]),
        ({"structuredContent": {"result": "[1]"}}, TEXT_RESULT, "[1]"),
        ({"structuredContent": {"result": "[1]"}}, SOME_RESULT, "[1]"),
        ({"structuredContent": {"result": "[1]"}}, MORE, {"result": "[1]"}),
        ({"structuredContent": {"result": "42"}}, None, "42"),
        ({"structuredContent": {"result": "null"}}, ANY_RESULT, "null"),
        ({"structuredContent": None}, None, None),
        ({"structuredContent": [1]}, None, [1]),
        ({"content": []}, None, None),
        ({}, None, None),
        ({"content": texts(' {"a": [1]} ')}, None, {"a": [1]}),
        ({"content": texts("[1, 2]")}, None, [1, 2]),
        ({"content": texts("007")}, None, "007"),
        ({"content": texts("null")}, None, "null"),
        ({"content": texts("[(42,)]")}, None, "[(42,)]"),
        ({"content": texts("{'a': 1}")}, None, "{'a': 1}"),
        ({"content": texts("[NaN]")}, None, "[NaN]"),
        ({"content": texts("[" * 5000)}, None, "[" * 5000),
        ({"content": texts('{"a": 1}', '{"a": 2}')}, None, [{"a": 1}, {"a": 2}]),
        ({"content": texts("one", '{"a": 2}')}, None, 'one\n{"a": 2}'),
        ({"content": [SHOT]}, None, Image(b"\x00", "image/png")),
        ({"content": [*texts("see"), SHOT]}, None, ["see", Image(b"\x00", "image/png")]),
        ({"content": [{**SHOT, "type": "audio"}]}, None, Audio(b"\x00", "image/png")),
        ({"content": [LINK]}, None, ResourceLink("x:a", "a", "", "a/b", 3)),
        (
            {"content": [{"type": "resource", "resource": {"uri": "x:a", "text": "hi"}}]},
            None,
            Resource("x:a", "", "hi"),
        ),
        (
            {"content": [{"type": "resource", "resource": {"uri": "x:a", "blob": "AA=="}}]},
            None,
            Resource("x:a", "", None, b"\x00"),
        ),
        ({"content": [{"type": "image", "data": "?"}]}, None, {"type": "image", "data": "?"}),
        ({"content": [{"type": "new", "a": 1}]}, None, {"type": "new", "a": 1}),
    ],
)
def test_a_result_is_the_value_that_is_in_it(
    raw: Mapping[str, Any], schema: Mapping[str, Any] | None, value: Any
):
    answer = answer_of(raw, schema)

    assert answer.value == value
    assert type(answer.value) is type(value)
    assert answer.raw == raw


def test_the_text_of_a_result_is_kept_whole():
    assert answer_of({"content": texts("a", "b"), "structuredContent": {}}).text == "a\nb"


def test_the_schema_of_a_lone_result_is_that_of_what_is_in_it():
    definitions = {"$defs": {"x": {"type": "string"}}}

    assert value_schema({**ONE_RESULT, **definitions}) == {"type": "integer", **definitions}
    assert value_schema(MORE) == MORE
    assert value_schema(None) is None
    assert value_schema({"properties": {"result": True}}) is None


def test_a_text_with_more_items_than_may_be_stays_text(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("protocell.tools.values.MOST_ITEMS_OF_TEXT", 3)

    assert text_value("[1,2,3]") == [1, 2, 3]
    assert text_value("[1,2,3,4]") == "[1,2,3,4]"


@pytest.mark.parametrize(
    "value, written",
    [
        ({"a": (1, {2}), 3: None}, {"a": [1, [2]], "3": None}),
        (b"\x00", "AA=="),
        (MOMENT, "2026-01-02T03:04:05.000006"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.timedelta(days=1, seconds=2, microseconds=500_000), "P1DT2.5S"),
        (dt.timedelta(seconds=-90), "-P0DT90S"),
        (Decimal(3), 3),
        (Decimal("0.5"), 0.5),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Image(b"\x00", "image/png"), "AA=="),
        (ResourceLink("x:a"), "x:a"),
        (Resource("x:a", text="t"), "t"),
    ],
)
def test_a_tool_that_knows_json_alone_gets_this(value: Any, written: Any):
    assert as_json(value) == written


@pytest.mark.parametrize("value", [float("nan"), Decimal("sNaN"), Decimal("1E+5000"), 1j])
def test_what_json_cannot_say_is_refused(value: Any):
    with pytest.raises(UnfitError):
        as_json(value)
