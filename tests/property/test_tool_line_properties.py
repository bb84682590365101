"""Values through the real line of a real sandbox: what a function gives is there inside, and what code passes arrives.

The values and hints are those of test_values_properties.py, where they cross an encoder alone. What is there inside is
told by a text that names every type (``shown``), which the host makes of what should be there: so two mistakes that
undo each other on the way back are seen as well.
"""

import enum
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from protocell import Sandbox
from protocell._broker.runtime import of_this_process
from protocell.tools import Toolset
from tests.property.test_values_properties import DECIMALS, HINTS, TEXT, VALUES, ZONES, alike

of_this_process()  # the one loop of the blocking face, which stays until the process ends

# Defined on both sides: texts that are equal for values that are equal and of equal types, sets in any order.
SHOWN = """
def shown(value):
    kind = type(value).__name__
    if isinstance(value, dict):
        return f"{kind}({', '.join(sorted(shown(key) + ': ' + shown(item) for key, item in value.items()))})"
    if isinstance(value, (set, frozenset)):
        return f"{kind}({', '.join(sorted(map(shown, value)))})"
    if isinstance(value, (list, tuple)):
        return f"{kind}({', '.join(map(shown, value))})"
    if kind in ("Image", "Audio"):
        return f"{kind}({value.data!r}, {value.mime_type!r})"
    if kind == "datetime" or kind == "time":
        return f"{kind}({value.isoformat()})"
    if hasattr(value, "uri"):
        fields = ("uri", "name", "description", "mime_type", "size", "text", "data")
        return f"{kind}({[getattr(value, name, None) for name in fields]!a})"
    return f"{kind}({value!a})"

def told(value):
    text = shown(value)
    return text if len(text) < 10_000 else hashlib.sha256(text.encode()).hexdigest()
"""
_here: dict[str, Any] = {"hashlib": hashlib}
exec(SHOWN, _here)
shown: Any = _here["told"]


@dataclass
class Counter:
    """Gives what it holds, and holds what it is given."""

    giving: Any = None
    taken: Any = None


HELD = Counter()


def _pair(number: int, hint: Any) -> tuple[Any, Any]:
    """Two functions with this hint: one that gives, one that takes."""

    async def give() -> Any:
        return HELD.giving

    def take(value: Any) -> None:
        HELD.taken = value

    give.__annotations__ = {"return": hint}
    take.__annotations__ = {"value": hint, "return": None}
    give.__name__, take.__name__ = f"give_{number}", f"take_{number}"
    return give, take


NAMES = ["Any", *HINTS]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    pairs = [_pair(0, Any), *(_pair(n, HINTS[name][0]) for n, name in enumerate(HINTS, 1))]
    toolset = Toolset.of(*(function for pair in pairs for function in pair), name="host")
    with Sandbox(tools=toolset) as sandbox:
        sandbox.run_code(
            f"{SHOWN}\nimport datetime, hashlib\nfrom decimal import Decimal\nfrom uuid import UUID\ninf = float('inf')"
        )
        yield sandbox


def there_and_back(sandbox: Sandbox, number: int, value: Any) -> tuple[str, Any]:
    """What is there inside, in words; and what comes back when it is passed on."""
    HELD.giving, HELD.taken = value, None
    execution = sandbox.run_code(f"it = give_{number}()\nprint(told(it))\ntake_{number}(it)")
    assert execution.error is None, execution.error
    return "".join(execution.logs.stdout)[:-1], HELD.taken


def as_inside(value: Any) -> Any:
    """What code is to find for a value of the host's: the same, with dicts for objects."""
    if isinstance(value, enum.Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "mime_type"):
        return {each.name: as_inside(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, BaseModel):
        return {name: as_inside(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {as_inside(key): as_inside(item) for key, item in value.items()}
    if isinstance(value, set | frozenset) and any(map(is_dataclass, value)):
        return [as_inside(item) for item in value]  # a dict cannot be in a set
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(as_inside(item) for item in value)
    return value


def test_any_value_is_there_inside_and_comes_back(sandbox: Sandbox) -> None:
    @given(VALUES)
    @settings(max_examples=100)
    def goes(value: Any) -> None:
        inside, back = there_and_back(sandbox, 0, value)
        assert inside == shown(value)
        assert alike(back, value)

    goes()


@pytest.mark.parametrize("name", HINTS)
def test_a_value_of_a_hint_is_there_inside_and_the_function_gets_its_own_type_back(
    name: str, sandbox: Sandbox
) -> None:
    @given(HINTS[name][1])
    @settings(max_examples=10)
    def goes(value: Any) -> None:
        inside, back = there_and_back(sandbox, NAMES.index(name), value)
        expected = shown(as_inside(value))
        if name == "set of dataclasses":  # a list of dicts inside, in whatever order
            assert sorted(re.findall(r"dict\([^()]*(?:\([^()]*\)[^()]*)*\)", inside)) == sorted(
                re.findall(r"dict\([^()]*(?:\([^()]*\)[^()]*)*\)", expected)
            )
        else:
            assert inside == expected
        assert alike(back, value)

    goes()


WRITTEN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**200)
    | st.floats(allow_nan=False)
    | TEXT
    | TEXT.map(lambda text: text * 20_000)
    | st.binary(max_size=8)
    | st.binary(max_size=8).map(lambda data: data * 20_000)
    | st.datetimes(timezones=ZONES)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | DECIMALS
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXT, inner, max_size=3)
        | st.dictionaries(st.integers() | st.dates(), inner, max_size=3)
        | st.sets(st.integers() | TEXT, max_size=3)
    ),
    max_leaves=6,
)


def test_whatever_the_code_writes_down_arrives_at_the_function(sandbox: Sandbox) -> None:
    @given(WRITTEN)
    @settings(max_examples=100)
    def arrives(value: Any) -> None:
        HELD.taken = None
        execution = sandbox.run_code(f"take_0({value!a})")
        assert execution.error is None, execution.error
        assert alike(HELD.taken, value)

    arrives()


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**18 - 1, 2**18 + 1, 2**20 + 7])
def test_what_is_large_crosses_whole_both_ways(size: int, sandbox: Sandbox) -> None:
    for value in ("ä€\U0001f600x" * (size // 4), bytes(range(256)) * (size // 256) + b"x"):
        mixed = {"large": value, "small": [1, value[:9]], "again": (value,)}
        inside, back = there_and_back(sandbox, 0, mixed)
        assert inside == shown(mixed)
        assert alike(back, mixed)
