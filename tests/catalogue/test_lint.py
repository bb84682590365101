"""What is wrong with tools as their makers describe them."""

from typing import Any

from protocell._catalogue.lint import Finding, counts, findings
from tests.catalogue.tools import catalogue, of, real, tool


def kinds(*tools, **more) -> list[str]:
    return [finding.kind for finding in findings(catalogue(*tools, **more))]


GOOD: dict[str, Any] = {
    "description": "Does it.",
    "schema": of({"a": {"type": "string", "description": "What"}}),
    "output_schema": {"type": "string"},
}


def test_a_tool_that_says_everything_is_not_mentioned():
    assert kinds(tool("good", **GOOD)) == []


def test_each_thing_that_is_missing_is_a_finding():
    assert kinds(tool("f", schema=of({"a": {}, "b": {"type": "object"}}))) == [
        "no_description",
        "no_output_schema",
        "untyped_parameter",
        "vague_parameter",
        "undocumented_parameter",
    ]


def test_thousand_characters_are_long_and_hidden_ones_are_told():
    assert kinds(tool("f", **{**GOOD, "description": "x" * 1000})) == ["long_description"]
    assert kinds(tool("f", **{**GOOD, "description": "a\u202eb"})) == ["hidden_characters"]


def test_an_output_schema_that_says_nothing_is_vague():
    assert kinds(tool("f", **{**GOOD, "output_schema": {"type": "object"}})) == [
        "vague_output_schema"
    ]


def test_tools_of_one_name_collide():
    found = findings(catalogue(tool("read", "a", **GOOD), tool("read", "b", **GOOD)))

    assert found[0] == Finding(
        kind="collision",
        tool="a/read",
        text="another tool is called read too: it has no short name",
        others=("b/read",),
    )
    assert len(found) == 2


def test_names_that_python_cannot_write_are_told_with_what_they_became():
    schema = of({"user-id": {"type": "string", "description": "Who"}})
    found = findings(catalogue(tool("get-user", **{**GOOD, "schema": schema})))

    assert [each.text for each in found] == [
        "get-user is no Python name: it is github.get_user",
        "parameters whose names are no Python names: user-id",
    ]


def test_a_tool_that_costs_much_is_told():
    parameter = {"type": "string", "description": "It is what it is. " * 9}
    schema = of({f"parameter_{number}": parameter for number in range(60)})

    assert kinds(tool("f", **{**GOOD, "schema": schema})) == ["expensive"]


def test_what_was_learned_is_mentioned():
    made = tool("f", **{**GOOD, "output_schema": None})
    (found,) = findings(catalogue(made, seen={"github/f": {"type": "string"}}))

    assert found.text == "no output schema says what it gives (its shape has been learned)"


def test_what_leads_to_wrong_calls_or_costs_tokens_is_a_warning_and_the_rest_a_note():
    schema = of({"a-b": {"type": "string"}})
    found = findings(catalogue(tool("f", schema=schema), tool("f", "other", **GOOD)))

    assert [(each.kind, each.grade) for each in found[:5]] == [
        ("no_description", "warning"),
        ("no_output_schema", "warning"),
        ("undocumented_parameter", "note"),
        ("renamed", "note"),
        ("collision", "warning"),
    ]


def test_most_real_tools_promise_nothing():
    found = counts(findings(real()))

    assert found["no_output_schema"] == 256
    assert found["collision"] == 16
