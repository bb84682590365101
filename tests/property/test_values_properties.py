"""Values between code and tools: whatever crosses comes out as it went in, and as the hints want it."""

import asyncio
import datetime as dt
import enum
import math
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Literal, NotRequired
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from protocell.tools.functions import FunctionSource
from protocell.tools.tool import Tool
from protocell_guest.content import Audio, Image, Resource, ResourceLink
from protocell_guest.values import MOST_DEPTH, UnfitError, decode, dumps, encode, loads, plain
from tests.tools.calls import call

TEXT = st.text(max_size=8) | st.sampled_from(["$bytes", "$", '"\\', "\ud800"])
ZONES = st.none() | st.just(dt.UTC) | st.just(dt.timezone(dt.timedelta(hours=-3, minutes=-30)))
DECIMALS = st.decimals(allow_nan=False, places=4) | st.just(Decimal("-Infinity"))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**200)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary(max_size=8)
    | st.complex_numbers(allow_nan=False)
    | st.datetimes(timezones=ZONES)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | DECIMALS
    | st.uuids()
    | st.builds(Image, st.binary(max_size=4), st.just("image/png"))
    | st.builds(Audio, st.binary(max_size=4), st.just("audio/wav"))
    | st.builds(ResourceLink, TEXT, TEXT, TEXT, st.just("a/b"), st.none() | st.integers(0, 9))
    | st.builds(Resource, TEXT, st.just("a/b"), st.none() | TEXT, st.none() | st.binary(max_size=4))
)
KEYS = st.none() | st.integers() | TEXT | st.dates() | st.tuples(st.integers(), TEXT)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXT, inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.sets(KEYS, max_size=3)
        | st.frozensets(KEYS, max_size=3)
    ),
    max_leaves=8,
)


def alike(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        same_keys = sorted(map(repr, one)) == sorted(map(repr, other))
        return same_keys and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


@given(VALUES)
def test_every_value_comes_out_of_the_wire_as_it_went_in(value: Any):
    assert alike(decode(encode(value)), value)
    assert alike(loads(dumps(value)), value)
    assert alike(loads(dumps(value), most_items=None), value)


@given(VALUES)
def test_what_is_said_to_arrive_is_what_arrives(value: Any):
    assert alike(plain(value), decode(encode(value)))


@given(st.floats())
def test_every_float_crosses(number: float):
    back = loads(dumps(number))

    assert back == number or (math.isnan(back) and math.isnan(number))


@given(st.binary(max_size=60) | st.text('[]{}"$:,0123456789.eE-abdfilnopstu', max_size=60))
def test_garbage_is_a_value_or_a_refusal(body: bytes | str):
    garbage = body if isinstance(body, bytes) else body.encode("ascii")
    try:
        value = loads(garbage)
    except UnfitError:
        return
    assert alike(loads(dumps(value)), value) or "nan" in repr(value)


TAGS = [
    *(
        "$bytes",
        "$datetime",
        "$date",
        "$time",
        "$duration",
        "$decimal",
        "$uuid",
        "$complex",
        "$int",
    ),
    *("$float", "$tuple", "$set", "$frozenset", "$dict", "$image", "$audio", "$link", "$resource"),
    "$other",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(TAGS), inner),
    max_leaves=6,
)


@given(st.sampled_from(TAGS), JSON)
def test_a_forged_tag_is_a_value_or_a_refusal(tag: str, content: Any):
    try:
        value = decode({tag: content})
    except UnfitError:
        return
    encode(value)


def test_a_value_that_is_deep_is_refused_before_anything_recurses():
    inside: list[Any] = []
    inside.append(inside)

    for refused in (inside, {"a": inside}):
        with pytest.raises(UnfitError) as caught:
            encode(refused)
        assert caught.value.message == f"nested deeper than {MOST_DEPTH}, or contains itself"
    with pytest.raises(UnfitError):
        loads(b"[" * 100_000 + b"]" * 100_000)


# What the hints of a user's function make of it


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.5
    tags: frozenset[str] = frozenset()


@dataclass
class Line:
    start: Point
    end: Point | None = None
    dashes: list[int] = field(default_factory=list)


class Address(TypedDict):
    street: str
    number: NotRequired[int]


class Owner(BaseModel):
    name: str
    born: dt.date
    secret: bytes = b""


class Item(BaseModel):
    owner: Owner
    price: Decimal
    color: Color
    parts: list["Item"] = []


POINTS = st.builds(
    Point,
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.frozensets(st.text(max_size=2), max_size=2),
)
OWNERS = st.builds(Owner, name=st.text(max_size=3), born=st.dates(), secret=st.binary(max_size=3))
PRICES = st.decimals(allow_nan=False, allow_infinity=False, places=2)
COLORS = st.sampled_from(Color)
ITEMS = st.recursive(
    st.builds(Item, owner=OWNERS, price=PRICES, color=COLORS, parts=st.just([])),
    lambda inner: st.builds(
        Item, owner=OWNERS, price=PRICES, color=COLORS, parts=st.lists(inner, max_size=2)
    ),
    max_leaves=3,
)
ADDRESSES = st.fixed_dictionaries(
    {"street": st.text(max_size=3)}, optional={"number": st.integers()}
)
MOMENTS = st.datetimes(timezones=ZONES)
HINTS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "dataclass": (Point, POINTS),
    "nested dataclass": (
        Line,
        st.builds(Line, POINTS, st.none() | POINTS, st.lists(st.integers(), max_size=2)),
    ),
    "TypedDict": (Address, ADDRESSES),
    "nested models": (Item, ITEMS),
    "enum": (Color, COLORS),
    "enum of ints": (Level, st.sampled_from(Level)),
    "literal": (Literal["a", 1, None], st.sampled_from(["a", 1, None])),
    "optional": (Point | None, st.none() | POINTS),
    "union": (int | str | bytes | dt.date, st.integers() | st.text() | st.binary() | st.dates()),
    "union of classes": (Owner | Point, OWNERS | POINTS),
    "datetime": (dt.datetime, MOMENTS),
    "date": (dt.date, st.dates()),
    "time": (dt.time, st.times()),
    "timedelta": (dt.timedelta, st.timedeltas()),
    "bytes": (bytes, st.binary(max_size=9)),
    "Decimal": (Decimal, PRICES),
    "UUID": (UUID, st.uuids()),
    "set": (set[int], st.sets(st.integers(), max_size=3)),
    "frozenset of dates": (frozenset[dt.date], st.frozensets(st.dates(), max_size=3)),
    "set of dataclasses": (set[Point], st.sets(POINTS, max_size=2)),
    "tuple": (tuple[int, str, bytes], st.tuples(st.integers(), st.text(), st.binary())),
    "tuple of any length": (tuple[Color, ...], st.lists(COLORS, max_size=3).map(tuple)),
    "dict by int": (dict[int, Point], st.dictionaries(st.integers(), POINTS, max_size=2)),
    "dict by date": (dict[dt.date, bytes], st.dictionaries(st.dates(), st.binary(), max_size=2)),
    "list of lists": (list[list[Decimal]], st.lists(st.lists(PRICES, max_size=2), max_size=2)),
    "large int": (int, st.integers(min_value=-(2**300), max_value=2**300)),
}


def echo(hint: Any) -> tuple[Tool, list[Any]]:
    """A tool that gives what it gets, and the list of what it got."""
    got: list[Any] = []

    async def echo(value: Any) -> Any:
        got.append(value)
        return value

    echo.__annotations__ = {"value": hint, "return": hint}
    (tool,) = asyncio.run(FunctionSource([echo]).tools())
    return tool, got


def give(tool: Tool, value: Any) -> Any:
    """What code inside gets for what it sends; both cross the wire."""
    answer = asyncio.run(call(tool, **loads(dumps({"value": value}))))
    return loads(dumps(answer.value))


@pytest.mark.parametrize("name", HINTS)
def test_a_host_function_gets_its_own_types_and_code_gets_values(name: str):
    hint, values = HINTS[name]
    tool, got = echo(hint)

    @given(values)
    @settings(max_examples=25)
    def there_and_back(value: Any) -> None:
        inside = give(tool, value)  # as code inside writes it: a dataclass of its own, say
        assert alike(got[-1], value)
        again = give(tool, inside)  # what it was given, it can give back
        assert alike(got[-1], value)
        if name == "set of dataclasses":  # a list of dicts inside, in whatever order
            again, inside = sorted(again, key=repr), sorted(inside, key=repr)
        assert alike(again, inside)

    there_and_back()


# In JSON bytes are base64 or text, and of a union which member is meant cannot be told.
NOT_IN_JSON = {"union", "bytes", "dict by date", "tuple", "nested models", "union of classes"}


@pytest.mark.parametrize("name", sorted({*HINTS} - NOT_IN_JSON))
def test_a_host_function_gets_its_own_types_from_bare_json_too(name: str):
    hint, values = HINTS[name]
    tool, got = echo(hint)
    adapter: TypeAdapter[Any] = TypeAdapter(hint)

    @given(values)
    @settings(max_examples=15)
    def from_json(value: Any) -> None:
        written = adapter.dump_python(value, mode="json") if name != "set of dataclasses" else value
        give(tool, written)
        assert alike(got[-1], value)

    from_json()


@given(ITEMS)
@settings(max_examples=25)
def test_code_inside_gets_a_model_as_a_dict_with_dates_and_bytes_in_it(item: Item):
    tool, _ = echo(Item)

    inside = give(tool, item.model_dump())

    assert alike(
        inside["owner"],
        {"name": item.owner.name, "born": item.owner.born, "secret": item.owner.secret},
    )
    assert alike(inside["price"], item.price)
    assert inside["color"] == item.color.value


@given(POINTS)
@settings(max_examples=25)
def test_a_dataclass_of_the_codes_own_will_do(point: Point):
    @dataclass
    class Mine:
        x: int
        y: float
        tags: set[str]

    tool, got = echo(Point)
    mine = Mine(point.x, point.y, set(point.tags))

    give(tool, mine)
    give(tool, asdict(mine))

    assert alike(got, [point, point])
