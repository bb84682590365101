"""Names become identifiers in one predictable way, and none hides another."""

from dataclasses import dataclass

import pytest

from protocell.tools.names import flat, identifier, identifiers, namespaces, server_name


@dataclass(frozen=True)
class Named:
    server: str
    identifier: str


@pytest.mark.parametrize(
    "name, written",
    [
        ("read_file", "read_file"),
        ("read-file", "read_file"),
        ("repos/get commit", "repos_get_commit"),
        ("v1.list", "v1_list"),
        ("2fa", "_2fa"),
        ("class", "class_"),
        ("None", "None_"),
        ("match", "match"),
        ("id", "id"),
        ("größe", "größe"),
        ("ﬁle", "file"),
        ("a²", "a2"),
        ("x\N{SUPERSCRIPT TWO}\N{COMBINING ENCLOSING CIRCLE}", "x2_"),
        ("", "_"),
        ("💥", "_"),
        ("__class__", "x__class__"),
        ("__init", "__init"),
        ("a\nb\x1b", "a_b_"),
    ],
)
def test_a_name_is_written_so(name: str, written: str):
    assert identifier(name) == written
    assert written.isidentifier()


def test_names_that_become_the_same_are_numbered_in_the_order_of_the_original_ones():
    assert identifiers(["read file", "read.file", "read-file"]) == {
        "read file": "read_file",
        "read-file": "read_file_2",
        "read.file": "read_file_3",
    }


def test_a_name_that_is_an_identifier_already_keeps_it():
    assert identifiers(["read-file", "read_file"])["read_file"] == "read_file"
    assert identifiers(["a-b", "a_b", "a_b_2"]) == {"a-b": "a_b_3", "a_b": "a_b", "a_b_2": "a_b_2"}


def test_the_order_in_which_names_come_changes_nothing():
    names = ["b", "a-b", "a.b", "class", "class_"]

    assert identifiers(names) == identifiers(reversed(names))


def test_a_name_that_is_taken_is_given_to_nobody():
    assert identifiers(["import", "x"], taken={"x", "import_"}) == {
        "import": "import_2",
        "x": "x_2",
    }


def test_a_namespace_hides_neither_what_is_pythons_own_nor_a_reserved_name():
    assert namespaces(["list", "time", "call_tool", "github"], reserved={"call_tool"}) == {
        "list": "list_",
        "time": "time_",
        "call_tool": "call_tool_2",
        "github": "github",
    }


def test_a_namespace_that_gets_an_underscore_takes_none_from_another():
    names = ["time", "time_", "\N{FULLWIDTH LATIN SMALL LETTER T}ime"]

    assert namespaces(names) == {
        "time": "time_3",
        "time_": "time_",
        "\N{FULLWIDTH LATIN SMALL LETTER T}ime": "time_2",
    }


def test_only_what_is_unique_can_be_called_without_its_namespace():
    tools = [
        Named("github", "create_issue"),
        Named("gitlab", "create_issue"),
        Named("github", "star"),
        Named("files", "open"),
        Named("files", "github"),
        Named("files", "search_tools"),
    ]

    assert flat(tools, reserved={"search_tools"}) == {"star": tools[2]}


@pytest.mark.parametrize(
    "target, name",
    [
        ("https://mcp.linear.app/sse", "linear"),
        ("https://api.example.com/openapi.json", "example"),
        ("http://127.0.0.1:8000/mcp", "server"),
        ("http://127.0.0.1:8000/v1/sse", "server"),
        ("http://10.0.0.5/github/mcp", "github"),
        ("http://10.0.0.5/services/pet-store/v2/openapi.json?key=1", "pet_store"),
        ("http://[::1]:8000/mcp", "server"),
        ("http:///mcp", "server"),
        ("http://localhost:8000", "localhost"),
        ("npx -y @modelcontextprotocol/server-github", "github"),
        ("npx @playwright/mcp@latest", "playwright"),
        (["uvx", "mcp-server-time", "--local-timezone=UTC"], "time"),
        (["/usr/bin/python3.11", "-m", "mcp_server_sqlite"], "sqlite"),
        (["node", "/srv/excel-mcp.js"], "excel"),
        ("specs/pet-store.yaml", "pet_store"),
        (["/opt/server.py"], "server"),
        ([], "server"),
    ],
)
def test_a_server_without_a_name_gets_one_from_how_it_is_reached(target: str, name: str):
    assert server_name(target) == name
