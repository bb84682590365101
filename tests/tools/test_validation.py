"""Arguments are refused before anything happens, in words that help the next try; hostile schemas are bounded."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from protocell.tools.errors import (
    ToolError,
    data_without_host,
    known_paths,
    told,
    without_host,
)
from protocell.tools.json_schema import MOST_PROBLEMS, problems
from protocell.tools.parameters import parameters_of
from protocell.tools.tool import Answer, Call, Tool
from protocell.tools.validation import not_found, prepare, takes_any_name

ISSUE = {
    "type": "object",
    "properties": {
        "owner": {"type": "string"},
        "issue-title": {"type": "string", "minLength": 1},
        "labels": {"type": "array", "items": {"$ref": "#/$defs/label"}},
        "state": {"enum": ["open", "closed"]},
        "due": {"type": ["string", "null"]},
        "size": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    },
    "required": ["owner", "issue-title"],
    "$defs": {"label": {"type": "object", "properties": {"name": {"type": "string"}}}},
}
SIGNATURE = "Parameters: owner*, issue_title*, labels, state, due, size (* = required)."


async def nothing(arguments: dict[str, Any], call: Call) -> Answer:
    return Answer(value=None)


def tool(schema: Mapping[str, Any] = ISSUE, name: str = "create_issue") -> Tool:
    return Tool(
        server="github",
        name=name,
        identifier=name,
        description="",
        parameters=parameters_of(schema),
        input_schema=schema,
        invoke=nothing,
    )


def refused(arguments: dict[str, Any], schema: Mapping[str, Any] = ISSUE) -> ToolError:
    with pytest.raises(ToolError) as caught:
        prepare(tool(schema), arguments)
    assert caught.value.kind == "validation"
    assert (caught.value.server, caught.value.tool) == ("github", "create_issue")
    return caught.value


GOOD = {"owner": "me", "issue_title": "x"}


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"owner": "me"}, "issue_title is missing"),
        ({**GOOD, "titel": 1}, "titel is no parameter"),
        ({**GOOD, "label": 1}, "label is no parameter, did you mean labels?"),
        ({**GOOD, "issue-titel": 1}, "issue-titel is no parameter, did you mean issue_title?"),
        ({**GOOD, "issue-title": "y"}, "issue_title is given twice"),
        ({"owner": 1, "issue_title": "x"}, "owner should be a string, is an integer"),
        ({**GOOD, "labels": "bug"}, "labels should be a list, is a string"),
        ({**GOOD, "labels": [{"name": 3}]}, "labels[0].name should be a string, is an integer"),
        ({**GOOD, "state": "shut"}, 'state should be one of "open", "closed"'),
        ({**GOOD, "size": 0.5}, "size should be an integer or a string, is a number"),
        ({**GOOD, "issue_title": ""}, "issue_title should have at least 1 characters, has 0"),
        (
            {**GOOD, "size": 1j},
            "size cannot be sent to this tool: complex is nothing that JSON can say",
        ),
        ({**GOOD, "due": True}, "due should be a string or None, is True"),
    ],
)
def test_a_refusal_names_the_field_and_what_it_should_be_and_the_parameters(
    arguments: dict[str, Any], said: str
):
    dot = "" if said.endswith("?") else "."
    assert str(refused(arguments)) == f"github/create_issue: {said}{dot} {SIGNATURE}"


def test_a_refusal_has_the_same_as_data():
    error = refused({"owner": 3, "ownr": 4})

    assert error.data == {
        "problems": [
            {"field": "ownr", "problem": "is no parameter, did you mean owner?"},
            {"field": "issue_title", "problem": "is missing"},
        ],
        "parameters": ["owner*", "issue_title*", "labels", "state", "due", "size"],
    }


def test_arguments_come_out_under_the_original_names_and_as_json():
    given = {
        "issue_title": "x",
        "owner": "me",
        "due": dt.date(2026, 1, 2),
        "labels": ({"name": "a"},),
    }

    assert prepare(tool(), given) == {
        "issue-title": "x",
        "owner": "me",
        "due": "2026-01-02",
        "labels": [{"name": "a"}],
    }


def test_none_for_what_need_not_be_given_and_cannot_be_none_counts_as_not_given():
    assert prepare(tool(), {**GOOD, "labels": None, "state": None, "due": None}) == {
        "owner": "me",
        "issue-title": "x",
        "due": None,
    }
    assert str(refused({**GOOD, "owner": None})).startswith(
        "github/create_issue: owner should be a string, is None."
    )


def test_a_tool_without_parameters_says_so():
    error = refused({"a": 1}, {"type": "object", "properties": {"b": {}}})
    assert str(error).endswith("Parameters: b (* = required).")

    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    assert str(refused({"a": 1}, closed)) == (
        "github/create_issue: a is no parameter. It takes no parameters."
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"properties": {"a": {}}, "additionalProperties": True},
        {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
        {"properties": {"a": {}}, "patternProperties": {"^x": {}}},
        {"properties": {"a": {}}, "anyOf": [{"properties": {"anything": {}}}]},
    ],
)
def test_names_that_the_schema_leaves_open_are_passed_on(schema: Mapping[str, Any]):
    assert takes_any_name(tool(schema))
    assert prepare(tool(schema), {"anything": 3}) == {"anything": 3}


def test_hostile_names_are_shown_on_one_line_and_cut():
    error = refused({**GOOD, "\x1b[2J\n" + "x" * 5000: 1})

    assert "\x1b" not in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 2_500


def test_a_flood_of_unknown_names_is_answered_as_shortly_as_one():
    error = refused({f"owner{n}": n for n in range(100_000)})

    assert len(error.data["problems"]) < 30
    assert len(str(error)) < 2_500


def test_a_name_that_is_no_text_is_refused():
    assert str(refused({**GOOD, 3: 4})) == (  # type: ignore[dict-item]
        f"github/create_issue: every parameter has a name that is text. {SIGNATURE}"
    )


def test_an_unknown_tool_is_answered_with_the_nearest():
    tools = [tool(name="create_issue"), tool(name="list_issues"), tool(name="star")]

    error = not_found("github/creat_issue", tools)

    assert error.kind == "not_found"
    assert str(error) == (
        "there is no tool 'github/creat_issue'; the nearest are github/create_issue, github/list_issues"
    )
    assert str(not_found("create_isue", tools)).endswith("; the nearest are github/create_issue")
    assert str(not_found("zzz", tools)) == "there is no tool 'zzz'; search_tools() finds some"


# Schemas by strangers


def doubling(levels: int) -> dict[str, Any]:
    each = {f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/l0", "$defs": {**each, f"l{levels}": {"type": "string"}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        doubling(40),
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/nowhere"},
        {"$ref": "#nowhere"},
        {"$ref": 3},
        {"type": 3},
        {"properties": 3},
        {"properties": {"a": 3}},
        {"minimum": "3", "type": "object", "required": 3},
        {"pattern": "(a+)+$"},
        {"propertyNames": {"pattern": "(a+)+$"}},
        {"patternProperties": {"(a+)+$": False}, "additionalProperties": False},
        {"not": {"pattern": "a"}},
        {"unevaluatedProperties": False},
        3,
        "x",
        None,
    ],
    ids=repr,
)
def test_a_schema_that_cannot_be_followed_checks_nothing_and_ends(schema: Any):
    assert problems(schema, {"a": "a" * 50 + "!"}) == []


def test_a_schema_inside_cannot_change_who_checks_it():
    draft = {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "(a+)+$"}

    assert problems({"properties": {"a": draft}}, {"a": "a" * 50 + "!"}) == []


def test_a_large_value_is_looked_at_as_far_as_there_are_steps():
    schema = {"items": {"type": "string"}}

    assert len(problems(schema, [1] * 1_000)) == MOST_PROBLEMS
    assert problems(schema, [1] * 1_000, most_steps=500) == []


@pytest.mark.parametrize(
    "schema, fits, wrong",
    [
        ({"type": "integer", "nullable": True}, None, "a"),
        ({"minimum": 3, "exclusiveMinimum": True}, 3, 2),
        ({"items": [{"type": "string"}]}, ["a", 1], [1]),
        ({"dependencies": {"a": ["b"]}}, {"b": 1}, {"a": 1}),
        ({"definitions": {"x": {"type": "null"}}, "$ref": "#/definitions/x"}, None, 1),
        ({"multipleOf": 0.1}, 0.3, 0.35),
        ({"enum": [1, [0]]}, 1, True),
        ({"const": {"a": [False]}}, {"a": [False]}, {"a": [0]}),
    ],
)
def test_what_older_schemas_say_is_understood(schema: Any, fits: Any, wrong: Any):
    assert problems(schema, fits) == []
    assert problems(schema, wrong) != []


def test_of_several_forms_the_one_that_was_meant_is_explained():
    forms = [
        {"type": "string"},
        {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
    ]

    (problem,) = problems({"anyOf": forms}, {"id": "x"})
    assert problem.path == ("id",)
    assert problem.wanted == "should be an integer, is a string"


# What errors say


@pytest.mark.parametrize(
    "text, shown",
    [
        ("no file '/home/me/my files/a.txt'", "no file '.../a.txt'"),
        ("in /usr/lib/python3/x.py: line 3", "in .../x.py: line 3"),
        ("file:///tmp/a/b.json,", "file://.../b.json,"),
        ("https://api.example.com/home/me", "https://api.example.com/home/me"),
        ("GET /v1/users/3 gave 404", "GET /v1/users/3 gave 404"),
        ("<X object at 0x7fbeef>", "<X object>"),
        (
            'Traceback (most recent call last):\n  File "/a.py", line 1\n    x\nValueError: y',
            "ValueError: y",
        ),
        (
            "  + Exception Group Traceback (most recent call last):\n  |   File 'a'\n  +----\nboth",
            "both",
        ),
        (
            "Error: no\n    at f (/home/me/index.js:10:5)\n    at node:internal/x:1:2\nmore",
            "Error: no\nmore",
        ),
    ],
)
def test_an_error_tells_nothing_of_this_machine(text: str, shown: str):
    assert without_host(text) == shown


def test_a_path_that_the_code_named_itself_stays_readable():
    error = FileNotFoundError(2, "no such file", "/home/me/a.txt")

    assert told(error, {"paths": ["/home/me/a.txt"]}) == (
        "FileNotFoundError: [Errno 2] no such file: '/home/me/a.txt'"
    )
    assert (
        told(error, {"paths": ["/home/me"]})
        == "FileNotFoundError: [Errno 2] no such file: '.../a.txt'"
    )


def test_a_folder_of_a_path_that_the_code_named_is_known_and_what_is_in_it_is_not():
    known = known_paths({"paths": ["/home/me/work/a.txt", "relative/b.txt", 7]})

    assert without_host("/home/me/work, /home/me/ and /home/me/b", known) == (
        "/home/me/work, /home/me/ and .../b"
    )
    assert without_host("/home/me/a.txt", known_paths(["/", "/home"])) == ".../a.txt"


def test_data_of_an_error_is_told_without_paths_up_to_a_size():
    data = {"/home/me/a": ["/home/me/b", 1, None, {"ok": "/home/me/c"}]}

    assert data_without_host(data) == {".../a": [".../b", 1, None, {"ok": ".../c"}]}
    assert data_without_host("/home/me/b", {"/home/me/b"}) == "/home/me/b"
    assert data_without_host(["x" * 300_000]) is None
    assert data_without_host([0] * 300_000) is None
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    assert data_without_host(deep) is None


def test_of_a_group_the_leaves_are_told():
    group = ExceptionGroup("several", [ValueError("a"), ExceptionGroup("inner", [KeyError("b")])])

    assert told(group) == "ValueError: a; KeyError: 'b'"


def test_an_exception_that_cannot_say_what_it_is_is_told_by_its_type():
    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert told(OddError()) == "OddError"
    assert told(ValueError()) == "ValueError"
    assert len(told(ValueError("x" * 10_000))) == 4_000


def test_a_definition_that_changed_has_another_digest():
    before = tool()

    assert tool().digest == before.digest
    assert replace(before, identifier="other").digest == before.digest
    assert replace(before, description="now with instructions").digest != before.digest
    assert replace(before, input_schema={}).digest != before.digest
