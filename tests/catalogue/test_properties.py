"""Whatever a stranger's schema or text is: nothing raises, nothing is longer than it may be, and stubs stay Python."""

import ast
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.entries import card
from protocell._catalogue.levels import LEVELS, view
from protocell._catalogue.lint import findings
from protocell._catalogue.schema_hints import hint
from protocell._catalogue.shapes import Shape
from protocell._catalogue.signatures import MOST_CHARACTERS, call, signature
from protocell._catalogue.stubs import stub
from protocell._catalogue.text import clean, first_sentence, one_line
from protocell._catalogue.tokens import Count, estimate
from protocell_guest.card_index import CardIndex
from tests.catalogue.checking import CodeCheck
from tests.catalogue.tools import catalogue, tool

TEXT = st.text(max_size=40) | st.sampled_from(
    ['"""', "\\", "```", "\n", "#", "'", "\u202e", "\ud800"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=6,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object", "?"])
REFERENCES = st.sampled_from(
    ["#", "#/$defs/a", "#/$defs/b", "#/properties/x", "#x", "", "http://x/"]
)
KEYS = st.sampled_from(["x", "class", "a-b", "self", "print", "é", "0", "", "Any"]) | TEXT

PIECES = [
    "s",
    ".",
    "x",
    "(",
    ")",
    "=",
    ",",
    "'a'",
    "\n",
    " ",
    "return ",
    "if 1:",
    "await ",
    "```",
    "\\n",
]


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    words: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, max_size=3) | JSON,
        "properties": st.dictionaries(KEYS, inner, max_size=4) | JSON,
        "required": st.lists(KEYS, max_size=3) | JSON,
        "items": inner,
        "prefixItems": st.lists(inner, max_size=3),
        "additionalProperties": inner | st.booleans(),
        "anyOf": st.lists(inner, max_size=3),
        "oneOf": st.lists(inner, max_size=3) | JSON,
        "allOf": st.lists(inner, max_size=3),
        "enum": st.lists(JSON, max_size=4) | JSON,
        "const": JSON,
        "default": JSON,
        "$ref": REFERENCES | JSON,
        "$defs": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2) | JSON,
        "description": TEXT | JSON,
        "title": TEXT | JSON,
        "format": TEXT | JSON,
        "nullable": st.booleans(),
        "uniqueItems": st.booleans(),
    }
    return st.fixed_dictionaries({}, optional=words)


SCHEMAS = st.recursive(JSON | st.booleans(), _schemas, max_leaves=7)
OBJECTS = st.fixed_dictionaries(
    {"properties": st.dictionaries(KEYS, SCHEMAS, max_size=5)},
    optional={
        "required": st.lists(KEYS, max_size=3),
        "$defs": st.dictionaries(st.sampled_from(["a", "b"]), SCHEMAS, max_size=2),
    },
)


def made(schema: dict[str, Any], output: Any, text: str, *, native: bool = False) -> Catalogue:
    promised = output if isinstance(output, dict) else None
    more = {"description": text * 3, "output_schema": promised, "native": native}
    return catalogue(tool(text or "x", "s", schema, **more))


FEW = settings(max_examples=30)


@FEW
@given(SCHEMAS, SCHEMAS, st.integers(3, 200))
def test_any_schema_is_a_hint_that_is_python_and_fits(schema: Any, root: Any, most: int):
    text = hint(schema, root, native=most % 2 == 0, most=most)

    assert 0 < len(text) <= most
    ast.parse(text)


@FEW
@given(OBJECTS, SCHEMAS, TEXT, st.integers(300, 3000))
def test_any_tool_has_a_stub_that_is_python_and_fits(
    schema: dict[str, Any], output: Any, text: str, most: int
):
    shown = made(schema, output, text, native=most % 2 == 0)
    found = stub(shown, shown.tools[0], most)

    assert len(found) <= most
    ast.parse(found)


@FEW
@given(OBJECTS, SCHEMAS, TEXT)
def test_any_tool_is_one_line_and_a_card_that_is_json(
    schema: dict[str, Any], output: Any, text: str
):
    shown = made(schema, output, text)
    for line in (signature(shown, shown.tools[0]), call(shown, shown.tools[0])):
        assert len(line) <= MOST_CHARACTERS
        assert len(line.splitlines()) == 1
    found = json.loads(json.dumps(card(shown, shown.tools[0])))
    assert CardIndex([found]).search(text) in ([], [found])
    assert len(findings(shown)) < 20


@FEW
@given(OBJECTS, SCHEMAS, TEXT)
def test_any_catalogue_can_be_shown_and_leaves_no_fence(
    schema: dict[str, Any], output: Any, text: str
):
    shown = made(schema, output, text)
    for level in LEVELS:
        found = view(shown, level=level, count=lambda text: Count(estimate(text), "estimate")).text
        assert found.count("```") == (0 if level == "search" else 2)


@given(st.text(), st.integers(0, 50))
def test_any_text_is_made_fit(text: str, most: int):
    for made_fit in (clean(text, most), one_line(text, most), first_sentence(text, most)):
        assert len(made_fit) <= most
        made_fit.encode()
    assert len(one_line(text, most).splitlines()) <= 1
    assert clean(clean(text)) == clean(text)


@given(st.lists(JSON, max_size=5))
def test_any_results_have_a_shape_that_is_told(values: list[Any]):
    seen = Shape()
    for value in values:
        seen.see(value)

    ast.parse(hint(seen.schema(), most=500))


@given(st.text(max_size=80) | st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_any_code_can_be_looked_at(code: str):
    CodeCheck(catalogue(tool("x", "s"))).check(code)
