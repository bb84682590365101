"""Our bounded check of JSON schemas against a library that is not bounded, as the oracle."""

from typing import Any

import jsonschema  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from protocell.tools.json_schema import problems

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, -2.5])
    | st.sampled_from(["", "a", "bb", "ccc"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
SMALL = st.integers(0, 3)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
    "enum": st.lists(VALUES, min_size=1, max_size=3),
    "const": VALUES,
    "minimum": st.integers(-2, 2),
    "maximum": st.integers(-2, 2),
    "exclusiveMinimum": st.integers(-2, 2),
    "exclusiveMaximum": st.integers(-2, 2),
    "multipleOf": st.sampled_from([1, 2, 0.5]),
    "minLength": SMALL,
    "maxLength": SMALL,
    "minItems": SMALL,
    "maxItems": SMALL,
    "minProperties": SMALL,
    "maxProperties": SMALL,
    "required": st.lists(NAMES, max_size=2, unique=True),
    "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2), max_size=2),
    "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b", "#anchor"]),
    "format": st.just("date"),
    "title": st.just("t"),
}


def with_inner(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    nested: dict[str, st.SearchStrategy[Any]] = {
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "additionalProperties": inner,
        "propertyNames": inner,
        "items": inner,
        "prefixItems": several,
        "contains": inner,
        "minContains": SMALL,
        "maxContains": SMALL,
        "allOf": several,
        "anyOf": several,
        "oneOf": several,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "dependentSchemas": st.dictionaries(NAMES, inner, max_size=2),
    }
    return some_of(PLAIN | nested)


def some_of(keywords: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    chosen = st.lists(st.sampled_from(sorted(keywords)), max_size=3, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({n: keywords[n] for n in names}))


SCHEMAS = st.recursive(st.booleans() | some_of(PLAIN), with_inner, max_leaves=5)
DEFINITIONS = st.fixed_dictionaries(
    {"a": st.just({"type": "integer"}), "b": st.just({"$anchor": "anchor", "minLength": 2})}
)


@given(SCHEMAS, DEFINITIONS, VALUES)
@settings(max_examples=400)
def test_a_value_fits_exactly_where_the_library_says_so(schema: Any, definitions: Any, value: Any):
    whole = {"$defs": definitions, "allOf": [schema]}
    oracle = jsonschema.Draft202012Validator(whole)

    found = problems(whole, value)

    assert (not found) == oracle.is_valid(value), [problem.wanted for problem in found]


ANYTHING = st.recursive(
    SCALARS | st.sampled_from(["#", "#/$defs", "#/a/0", "https://example.com/s"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*PLAIN, "properties", "items", "anyOf", "not"]), inner)
    ),
    max_leaves=8,
)


@given(ANYTHING, VALUES)
def test_a_schema_of_anything_at_all_raises_nothing(schema: Any, value: Any):
    problems(schema, value, most_steps=500)
