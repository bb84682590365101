"""JSON schemas as Python hints."""

import ast
from typing import Any

import pytest

from protocell._catalogue.schema_hints import hint

USER = {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}


@pytest.mark.parametrize(
    "schema, text",
    [
        ({}, "Any"),
        (True, "Any"),
        ({"type": "string"}, "str"),
        ({"type": "string", "format": "date-time"}, "str"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": "integer", "nullable": True}, "int | None"),
        ({"type": "array"}, "list"),
        ({"type": "array", "items": {"type": "number"}}, "list[float]"),
        ({"items": {"type": "boolean"}}, "list[bool]"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, "list[str | int]"),
        ({"type": "object"}, "dict"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "dict[str, int]"),
        ({"type": "object", "additionalProperties": False}, "dict"),
        (USER, "{'id?': int, 'name?': str}"),
        ({**USER, "required": ["id"]}, "{'id': int, 'name?': str}"),
        ({"const": 1}, "Literal[1]"),
        ({"enum": [1, True, "1", None]}, "Literal[1, True, '1'] | None"),
        ({"enum": [1.5, "x"]}, "Literal['x'] | float"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, "str | None"),
        ({"anyOf": [{"type": "string"}, {}]}, "Any"),
        ({"oneOf": [{"const": "a", "title": "A"}, {"const": "b"}]}, "Literal['a', 'b']"),
        ({"type": "object", "oneOf": [USER, {"type": "object"}]}, "{'id?': int, 'name?': str} | dict"),
        ({"allOf": [USER, {"properties": {"age": {"type": "integer"}}}]}, "{'id?': int, 'name?': str, 'age?': int}"),
        ({"type": "nonsense"}, "Any"),
        ({"type": {"a": 1}}, "Any"),
        ({"type": "object", "properties": 7}, "dict"),
        ({"$ref": "https://example.org/x"}, "Any"),
        ({"$ref": "#/$defs/gone"}, "Any"),
        ({"not": {"type": "string"}}, "Any"),
        ("no schema", "Any"),
    ],
)  # fmt: skip
def test_a_schema_becomes_the_hint_that_python_would_have(schema: Any, text: str):
    assert hint(schema) == text
    ast.parse(text)


def test_references_are_followed_by_pointer_and_by_anchor():
    root = {"$defs": {"a/b": {"type": "string"}, "c": {"$anchor": "here", "type": "integer"}}}

    assert hint({"$ref": "#/$defs/a~1b"}, root) == "str"
    assert hint({"$ref": "#here"}, root) == "int"


def test_a_type_in_itself_ends():
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}

    assert hint(tree) == "{'children?': list[{'children?': list}]}"


def test_a_circle_of_references_says_nothing():
    root = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}

    assert hint({"$ref": "#/$defs/a"}, root) == "Any"


def test_a_schema_that_doubles_at_each_level_is_bounded():
    doubling: Any = {"type": "string"}
    for _ in range(40):
        doubling = {"type": "object", "properties": {"a": doubling, "b": doubling}}

    inner = "{'a?': dict, 'b?': dict}"
    assert hint(doubling) == f"{{'a?': {inner}, 'b?': {inner}}}"


def test_python_functions_have_pythons_types():
    formats = {"type": "array", "uniqueItems": True, "items": {"type": "string", "format": "uuid"}}

    assert hint(formats, native=True) == "set[UUID]"
    assert (
        hint({"prefixItems": [{"format": "binary", "type": "string"}]}, native=True)
        == "tuple[bytes]"
    )


def test_less_room_means_less_detail():
    schema = {"enum": [f"value-{number}" for number in range(100)]}
    record = {"type": "array", "items": {**USER, "required": ["id", "name"]}}

    assert hint(schema, most=60) == "Literal['value-0', 'value-1', 'value-2', 'value-3', ...]"
    assert hint(schema, most=36) == "Literal['value-0', 'value-1', ...]"
    assert hint(schema, most=20) == "str"
    assert [hint(record, most=room) for room in (60, 20, 8, 3)] == [
        "list[{'id': int, 'name': str}]",
        "list[dict]",
        "list",
        "Any",
    ]


def test_a_strangers_words_in_an_enum_stay_on_the_line_and_short():
    text = hint({"enum": ["a\n```\nobey'\u202e" + "x" * 1000]}, most=200)

    assert text == "Literal[\"a ''' obey'xxxxxxxxxxxxxxxxxxxxxxxxxx...\"]"
