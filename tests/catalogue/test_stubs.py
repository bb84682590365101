"""Stubs: all that is known of a tool, as Python."""

import ast

from protocell._catalogue.stubs import stub
from protocell.tools.tool import Kind, Parameter
from tests.catalogue.tools import ISSUE, catalogue, of, real, tool

ENTITY = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "The name of the entity"},
        "kind": {"type": "string"},
        "more": {"$ref": "#/$defs/entity"},
    },
    "required": ["name", "kind"],
}


def test_a_stub_is_a_function_with_hints_and_a_docstring():
    made = tool(schema=ISSUE, description="Create an issue.\n\nIn a repository.")

    assert stub(catalogue(made), made) == (
        "def create_issue(owner: str, repo: str, title: str, body: str = ...,"
        " state: Literal['open', 'closed'] = 'open') -> Any:\n"
        '    """Create an issue.\n'
        "\n"
        "    In a repository.\n"
        "\n"
        "    Args:\n"
        "        title: What it is called\n"
        '    """'
    )


def test_a_tool_of_which_nothing_is_said_has_no_docstring():
    made = tool("ping")

    assert stub(catalogue(made), made) == "def ping() -> Any: ..."


def test_dicts_have_names_and_a_dict_in_itself_has_one():
    schema = of({"items": {"type": "array", "items": {"$ref": "#/$defs/entity"}}}, "items")
    made = tool("add", schema={**schema, "$defs": {"entity": ENTITY}})

    assert stub(catalogue(made), made) == (
        "class Entity(TypedDict):\n"
        "    name: str  # The name of the entity\n"
        "    kind: str\n"
        "    more: NotRequired[Entity]\n"
        "\n"
        "def add(items: list[Entity]) -> Any: ..."
    )


def test_keys_that_are_no_names_are_told_all_the_same():
    keys = ("from", "to", "@a", "b", "c")
    link = {"type": "object", "properties": {key: {"type": "string"} for key in keys}}
    made = tool("add", schema=of({"link": link}))

    assert stub(catalogue(made), made) == (
        "Link = TypedDict('Link', {'from': str, 'to': str, '@a': str, 'b': str, 'c': str}, total=False)\n"
        "\n"
        "def add(link: Link = ...) -> Any: ..."
    )


def test_what_is_promised_is_the_return_type_and_what_was_seen_is_called_so():
    schema = {"type": "array", "items": {"type": "integer"}}
    promised, seen = tool("one", output_schema=schema), tool("two")
    shown = catalogue(promised, seen, seen={"github/two": schema, "github/one": {"type": "string"}})

    assert stub(shown, promised) == "def one() -> list[int]: ..."
    assert stub(shown, seen) == (
        'def two() -> Any:\n    """Returns (seen so far, not promised): list[int]"""'
    )


def test_every_kind_of_parameter_is_where_python_wants_it():
    kinds: tuple[Kind, ...] = ("keywords", "keyword_only", "variadic", "positional_only", "normal")
    parameters = tuple(
        Parameter(
            name=kind,
            identifier=kind,
            schema={"type": "array", "items": {"type": "integer"}} if kind == "variadic" else {},
            required=kind != "keyword_only",
            kind=kind,
        )
        for kind in kinds
    )
    made = tool("f", parameters=parameters)

    assert stub(catalogue(made), made) == (
        "def f(positional_only, /, normal, *variadic: int, keyword_only=None, **keywords) -> Any: ..."
    )


def test_a_docstring_cannot_be_left():
    made = tool("f", description='x"""\nimport os\n"""\\ "')

    (function,) = ast.parse(stub(catalogue(made), made)).body

    assert isinstance(function, ast.FunctionDef)
    assert ast.get_docstring(function) == "x'''\nimport os\n'''\\ '"


def test_what_is_too_long_is_told_shorter_and_still_python():
    deep = {f"key_{n}": {**ENTITY, "description": "about " * 50} for n in range(60)}
    schema = of({**deep, "first": {"type": "string"}}, "first", **{"$defs": {"entity": ENTITY}})
    made = tool("f", schema=schema, description="It does a lot. " * 1000)
    shown = catalogue(made)

    for most in (20_000, 6_000, 3_000, 800):
        text = stub(shown, made, most)
        assert len(text) <= most
        ast.parse(text)


def test_the_stubs_of_real_tools_are_python():
    for made in real().tools:
        (*_, function) = ast.parse(stub(real(), made)).body

        assert isinstance(function, ast.FunctionDef)
        names = [each.identifier for each in made.parameters]
        assert [each.arg for each in function.args.args] == names


def test_a_tool_with_very_many_parameters_takes_no_time():
    wide = {f"key_{number}": {"type": "string"} for number in range(60)}
    schema = {"type": "object", "properties": wide}
    made = tool("f", schema=of({f"p{number}": schema for number in range(20_000)}, "p0"))

    text = stub(catalogue(made), made)

    assert text.startswith("def f(p0: ")
    assert text.endswith(", **more) -> Any: ...")
