"""OpenAPI documents of all kinds, as tools and as requests; no service is needed for that."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from protocell.errors import PolicyError
from protocell.tools import openapi_spec
from protocell.tools.errors import ToolError
from protocell.tools.openapi_operations import Operation, operations
from protocell.tools.openapi_request import Request, request_of
from protocell.tools.openapi_schema import Document
from protocell.tools.openapi_spec import load, parse
from tests.tools.openapi_help import document


def made(node: dict[str, Any], version: str = "3.0.3", **components: Any) -> Operation:
    """The only operation of a document: a POST to /a/{id}."""
    whole = document() | {"openapi": version, "components": {"schemas": components}}
    whole["paths"] = {"/a/{id}": {"post": node}}
    (only,) = operations(Document(whole))
    return only


def with_query(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"parameters": [{"name": "q", "in": "query", "schema": schema, **more}]}


def with_body(
    schema: dict[str, Any], kind: str = "application/json", **more: Any
) -> dict[str, Any]:
    return {"requestBody": {"content": {kind: {"schema": schema}}, **more}}


def asked(node: dict[str, Any], **arguments: Any) -> Request:
    return request_of(made(node), arguments)


def keys(operation: Operation) -> list[str]:
    return [argument.key for argument in operation.arguments]


RECORD = {"type": "object", "properties": {"x": {"type": "integer"}}}
JSON_TEXT = json.dumps(document(a={"get": {"operationId": "it"}}))
YAML_TEXT = """
openapi: 3.1.0
info: {title: t, version: 1.0}
servers: [{url: "https://api.example"}]
paths:
  /a:
    get:
      operationId: on
      responses:
        200: {description: 2020-01-01, content: {application/json: {schema: {type: integer}}}}
"""


def test_a_document_is_read_from_wherever_it_is(tmp_path: Path):
    path = tmp_path / "api.json"
    path.write_text(JSON_TEXT)
    for spec in (json.loads(JSON_TEXT), JSON_TEXT, path, str(path)):
        loaded = asyncio.run(load(spec, timeout=1))
        assert [operation.name for operation in operations(Document(loaded))] == ["it"]


def test_yaml_is_read_as_json_would_have_it():
    pytest.importorskip("yaml")
    whole = asyncio.run(load(YAML_TEXT, timeout=1))
    (operation,) = operations(Document(whole))
    assert whole["paths"]["/a"]["get"]["responses"]["200"]["description"] == "2020-01-01"
    assert operation.output_schema == {"type": "integer"}
    # A bare word that YAML takes for a truth value is no operationId.
    assert operation.name == "get_a"


@pytest.mark.parametrize(
    "text", ["a: [", "a: &x {b: *x}", "{" * 100_000, "!!python/object:os.x {}"]
)
def test_text_that_is_no_document_is_refused(text: str):
    with pytest.raises(PolicyError):
        parse(text)


def test_an_operation_without_a_name_gets_one_and_equal_names_are_numbered():
    item = {"get": {}, "post": {"operationId": "same"}, "delete": {"operationId": "same"}}
    found = operations(Document(document(users=item)))
    assert [(o.name, o.method) for o in found] == [
        ("get_users", "GET"),
        ("same", "POST"),
        ("same_2", "DELETE"),
    ]
    assert [(o.annotations.read_only, o.annotations.destructive) for o in found] == [
        (True, None),
        (False, None),
        (False, True),
    ]


def test_who_comes_first_keeps_the_bare_name_on_a_clash():
    node = with_body(
        {"type": "object", "properties": {"id": {}, "id_body": {}, "q": {}}}, required=True
    )
    node["parameters"] = [
        {"name": "q", "in": "header", "schema": {}},
        {"name": "q", "in": "query", "schema": {}},
        {"name": "id", "in": "path", "required": True, "schema": {}},
    ]
    operation = made(node)
    assert keys(operation) == ["id", "q", "q_header", "id_body_", "id_body", "q_body"]
    arguments = {"id": "1", "q": "2", "q_header": "3", "id_body_": 4, "id_body": 5, "q_body": 6}
    request = request_of(operation, arguments)
    assert (request.path, request.query, request.headers["q"]) == ("/a/1", [("q", "2")], "3")
    assert json.loads(request.content or b"") == {"id": 4, "id_body": 5, "q": 6}


@pytest.mark.parametrize(
    "more, value, query",
    [
        ({}, [1, "b"], [("q", "1"), ("q", "b")]),
        ({"explode": False}, [1, "b"], [("q", "1,b")]),
        ({"explode": False, "style": "pipeDelimited"}, [1, 2], [("q", "1|2")]),
        ({"explode": False, "style": "spaceDelimited"}, [1, 2], [("q", "1 2")]),
        ({}, {"a": 1, "b": True}, [("a", "1"), ("b", "true")]),
        ({"explode": False}, {"a": 1, "b": 2}, [("q", "a,1,b,2")]),
        ({"style": "deepObject"}, {"a": 1}, [("q[a]", "1")]),
        ({}, True, [("q", "true")]),
        ({}, 1.5, [("q", "1.5")]),
        ({}, "a&b", [("q", "a&b")]),
        ({}, None, []),
        ({}, [], []),
    ],
)
def test_a_value_in_the_query_is_written_in_its_style(more: Any, value: Any, query: Any):
    assert asked(with_query({}, **more), q=value).query == query


def test_a_parameter_that_is_a_document_is_sent_as_one():
    node = {
        "parameters": [
            {"name": "q", "in": "query", "content": {"application/json": {"schema": RECORD}}}
        ]
    }
    assert asked(node, q={"x": 1}).query == [("q", '{"x": 1}')]


@pytest.mark.parametrize(
    "style, explode, value, path",
    [
        ("simple", False, [1, 2], "/a/1,2"),
        ("simple", True, {"a": 1}, "/a/a%3D1"),
        ("label", False, "x", "/a/.x"),
        ("matrix", False, "x y", "/a/;id=x%20y"),
    ],
)
def test_a_value_in_the_path_is_written_in_its_style(
    style: str, explode: object, value: Any, path: str
):
    given = {"name": "id", "in": "path", "style": style, "explode": explode, "schema": {}}
    assert asked({"parameters": [given]}, id=value).path == path


def test_bodies_of_other_kinds():
    form = "application/x-www-form-urlencoded"
    assert asked(with_body(RECORD, form), x=1).form == [("x", "1")]
    parts = asked(with_body(RECORD, "multipart/form-data"), x=[1, {"a": 1}]).files
    assert parts == [
        ("x", (None, b"1", None)),
        ("x", (None, b'{"a": 1}', "application/json")),
    ]
    plain = asked(with_body({"type": "string"}, "text/plain"), body="ä")
    assert (plain.content, plain.headers["content-type"]) == ("ä".encode(), "text/plain")
    raw = asked(with_body({}, "*/*"), body="AA==")
    assert (raw.content, raw.headers["content-type"]) == (b"\0", "application/octet-stream")
    many = asked(with_body({"type": "array"}), body=[1])
    assert (many.content, many.headers["content-type"]) == (b"[1]", "application/json")
    assert asked(with_body(RECORD, required=True)).content == b"{}"
    assert asked(with_body(RECORD)).content is None


@pytest.mark.parametrize(
    "schema", [{"type": "string", "format": "binary"}, {"contentMediaType": "image/png"}]
)
def test_a_file_is_bytes_that_come_as_base64(schema: dict[str, Any]):
    fields = {"f": schema | {"description": "It."}, "g": {"type": "array", "items": schema}}
    node = with_body({"type": "object", "properties": fields}, "multipart/form-data")
    operation = made(node)
    file = {"type": "string", "contentEncoding": "base64"}
    assert operation.input_schema["properties"] == {
        "f": file | {"description": "It. Bytes, or text in base64."},
        "g": {"type": "array", "items": file, "description": "Bytes, or text in base64."},
    }
    assert request_of(operation, {"f": "AAE=", "g": ["", b"x"]}).files == [
        ("f", ("f", b"\0\1", "application/octet-stream")),
        ("g", ("g", b"", "application/octet-stream")),
        ("g", ("g", b"x", "application/octet-stream")),
    ]
    with pytest.raises(ToolError, match="f must be bytes, or text in base64"):
        request_of(operation, {"f": "not base64"})


def test_what_is_said_of_a_parameter_is_kept():
    node = with_query({"type": "integer", "description": "Of the type."}, description="Of it.")
    assert made(node).input_schema["properties"] == {
        "q": {"type": "integer", "description": "Of it."}
    }


def test_a_body_that_is_no_plain_record_is_one_argument():
    assert keys(made(with_body({"oneOf": [RECORD, {"type": "string"}]}))) == ["body"]
    assert keys(made(with_body({"type": "object", "additionalProperties": True}))) == ["body"]
    assert keys(made(with_body({**RECORD, "anyOf": [{"required": ["x"]}, {"required": []}]}))) == [
        "x"
    ]


def test_fields_of_all_parts_are_merged_and_those_that_only_come_back_left_out():
    schema = {
        "allOf": [
            {"$ref": "#/components/schemas/Base"},
            {"properties": {"b": {"$ref": "#/components/schemas/Id"}, "c": {}}, "required": ["c"]},
        ]
    }
    base = {"type": "object", "properties": {"a": {}}, "required": ["a"]}
    operation = made(
        with_body(schema, required=True), Base=base, Id={"type": "integer", "readOnly": True}
    )
    assert [(a.key, a.required) for a in operation.arguments] == [("a", True), ("c", True)]


def test_what_3_0_says_in_its_own_words_is_said_in_those_of_json_schema():
    schema = {
        "type": "integer",
        "nullable": True,
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 9,
        "exclusiveMaximum": False,
        "enum": [1, 2],
        "example": 1,
        "x-other": 1,
        "xml": {},
        "pattern": "(?<broken",
    }
    assert made(with_query(schema)).arguments[0].schema == {
        "type": ["integer", "null"],
        "exclusiveMinimum": 0,
        "maximum": 9,
        "enum": [1, 2, None],
        "examples": [1],
    }
    either = {"nullable": True, "anyOf": [{"type": "string"}]}
    assert made(with_query(either)).arguments[0].schema == {
        "anyOf": [{"anyOf": [{"type": "string"}]}, {"type": "null"}]
    }


def test_small_references_are_replaced_and_those_that_hold_themselves_kept():
    tree = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Tree"}}}
    one = {"properties": {"two": {"$ref": "#/components/schemas/Two"}}}
    two = {
        "properties": {
            "one": {"$ref": "#/components/schemas/One"},
            "id": {"$ref": "#/components/schemas/Id"},
        }
    }
    components: dict[str, Any] = {"Tree": tree, "One": one, "Two": two, "Id": {"type": "string"}}
    for name in ("Tree", "One", "Id"):
        node = with_query({"$ref": f"#/components/schemas/{name}"})
        operation = made(node, **components)
        schema = operation.input_schema
        if name == "Id":
            assert schema["properties"]["q"] == {"type": "string"}
            assert "$defs" not in schema
        else:
            assert schema["properties"]["q"] == {"$ref": f"#/$defs/{name}"}
    assert set(
        made(with_query({"$ref": "#/components/schemas/One"}), **components).input_schema["$defs"]
    ) == {"One", "Two"}


def test_references_that_lead_out_or_nowhere_allow_everything():
    for reference in (
        "other.yaml#/A",
        "https://x/y",
        "#/components/schemas/None",
        "#",
        "#/paths/%2Fa",
    ):
        operation = made(with_query({"$ref": reference}))
        assert isinstance(operation.arguments[0].schema, dict)
    for reference in ("file:///etc/passwd", "http://169.254.169.254/"):
        assert made(with_query({"$ref": reference})).arguments[0].schema == {}


def test_a_document_that_explodes_stays_small():
    doubling: dict[str, Any] = {
        f"S{n}": {"properties": {k: {"$ref": f"#/components/schemas/S{n + 1}"} for k in "abcd"}}
        for n in range(300)
    }
    operation = made(with_query({"$ref": "#/components/schemas/S0"}), **doubling)
    assert len(json.dumps(operation.input_schema)) < 100_000
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"items": deep}
    assert len(json.dumps(made(with_query(deep)).input_schema)) < 10_000


def test_in_3_1_what_stands_beside_a_reference_counts():
    node = with_query({"$ref": "#/components/schemas/Id", "description": "Of whom."})
    assert made(node, "3.1.0", Id={"type": "string"}).arguments[0].schema == {
        "type": "string",
        "description": "Of whom.",
    }
    node = with_query({"$ref": "#/components/schemas/Id", "minLength": 1})
    assert made(node, "3.1.0", Id={"type": "string"}).arguments[0].schema == {
        "allOf": [{"type": "string"}],
        "minLength": 1,
    }


def test_nonsense_in_a_document_breaks_no_other_operation():
    paths: dict[str, Any] = {
        "/a": {
            "get": {"parameters": [1, {"name": 2}, {"name": "x", "in": "moon"}], "responses": []}
        },
        "/b": 3,
        "/c": {"get": {"requestBody": {"content": {"application/json": []}}, "security": "x"}},
        "/d": {"get": {"operationId": "good", "parameters": {"$ref": "#/paths"}}},
    }
    found = operations(Document({**document(), "paths": paths}))
    assert [operation.name for operation in found] == ["get_a", "get_c", "good"]


def test_a_document_is_read_where_it_holds_up_no_other_tool(monkeypatch: pytest.MonkeyPatch):
    began, goes_on = threading.Event(), threading.Event()

    def read(_text: str) -> Any:
        began.set()
        assert goes_on.wait(20)
        return document()

    async def main() -> Any:
        loading = asyncio.ensure_future(load("{}", timeout=20))
        assert await asyncio.to_thread(began.wait, 20)
        goes_on.set()
        return await loading

    monkeypatch.setattr(openapi_spec, "parse", read)
    assert asyncio.run(main()) == document()
