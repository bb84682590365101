"""Cards: what goes into a sandbox."""

import json

from protocell._catalogue.entries import card, cards
from protocell_guest.card_index import stub_of
from tests.catalogue.tools import ISSUE, catalogue, of, real, tool


def test_a_card_has_all_that_code_can_know():
    made = tool("create-issue", schema=ISSUE, description="Create an issue.")
    found = card(catalogue(made), made)

    parameters = found.pop("parameters")
    assert found == {
        "id": "github/create-issue",
        "space": "github",
        "name": "create_issue",
        "open": False,
        "flat": True,
        "call": (
            "github.create_issue(owner=str, repo=str, title=str)"
            "  # optional: body=str, state=Literal['open', 'closed']; Create an issue"
        ),
        "head": (
            "def create_issue(owner: str, repo: str, title: str, body: str = ...,"
            " state: Literal['open', 'closed'] = 'open') -> Any:"
        ),
        "doc": "Create an issue.\n\nArgs:\n    title: What it is called",
        "returns": "Any",
    }
    assert parameters[-1] == {
        "name": "state",
        "identifier": "state",
        "kind": "normal",
        "required": False,
        "hint": "Literal['open', 'closed']",
        "default": "open",
    }


def test_a_long_default_stays_outside():
    schema = of({"a": {"default": "x" * 1000}, "b": {"default": float("nan")}, "c": {"default": None}})  # fmt: skip
    made = tool("f", schema=schema)

    found = card(catalogue(made), made)["parameters"]

    assert ["default" in each for each in found] == [False, False, True]


def test_a_name_of_two_servers_is_in_no_flat_place():
    found = cards(catalogue(tool("read", "a"), tool("read", "b"), tool("write", "b")))

    assert [each["flat"] for each in found] == [False, False, True]


def test_a_server_cannot_take_a_name_that_code_needs():
    found = cards(catalogue(tool("f", "tools"), tool("g", "print"), tool("describe", "x")))

    assert [(each["space"], each["flat"]) for each in found] == [
        ("print_", True),
        ("tools_2", True),
        ("x", False),
    ]


def test_backslashes_stay_what_they_are_in_the_docstring_and_are_escaped_in_code():
    made = tool("f", description=r"A path like C:\new")
    found = card(catalogue(made), made)

    assert found["doc"] == r"A path like C:\new"
    assert stub_of(found) == 'def f() -> Any:\n    """A path like C:\\\\new"""'


def test_all_cards_of_300_real_tools_are_a_few_hundred_kilobytes():
    said = json.dumps(cards(real()), separators=(",", ":"))

    assert len(real().tools) == 292
    assert len(said) < 400_000
