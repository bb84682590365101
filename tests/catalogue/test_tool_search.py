"""What code inside finds out about its tools."""

import json

import pytest

from protocell._catalogue.entries import cards
from protocell_guest.guest.tool_search import names
from tests.catalogue.tools import some

CARDS = json.loads(json.dumps(cards(some("github", "gitlab", "time", "context7"))))
INSIDE = names(CARDS)
search_tools, describe, tools = INSIDE["search_tools"], INSIDE["describe"], INSIDE["tools"]

CREATE = (
    "gitlab.create_issue(project_id=str, title=str)  # optional: description=str, assignee_ids=list[float],"
    " labels=list[str], milestone_id=float; Create a new issue in a GitLab project"
)


def test_a_search_shows_calls_ready_to_paste():
    found = search_tools("create an issue in GitLab", limit=1)

    assert repr(found) == str(found) == CREATE
    assert found[0].call == CREATE


def test_a_hit_can_be_asked():
    (hit,) = search_tools("create an issue in GitLab", limit=1)

    assert (hit.name, hit.id, hit.server) == (
        "gitlab.create_issue",
        "gitlab/create_issue",
        "gitlab",
    )
    assert hit.parameters[:3] == ["project_id*", "title*", "description"]
    assert hit.doc.startswith("Create a new issue in a GitLab project\n\nArgs:\n    project_id: ")


def test_a_search_that_finds_nothing_says_what_there_is():
    assert repr(search_tools("xyzzy")) == (
        "no tool answers 'xyzzy'; there are context7 (2), github (26), gitlab (9), time_ (2)"
    )
    assert list(search_tools("issue", limit=0)) == []


def test_one_server_can_be_searched():
    assert {each.server for each in search_tools("issue", server="gitlab")} == {"gitlab"}


def test_a_description_says_how_to_call_and_shows_as_text():
    shown = describe("time_.get_current_time")

    assert repr(shown).startswith(
        "# call it as time_.get_current_time(...)\n"
        "class GetCurrentTimeResult(TypedDict):\n"
    )  # fmt: skip
    assert "\ndef get_current_time(timezone: str) -> GetCurrentTimeResult:\n" in shown


def test_a_tool_can_be_described_by_itself_its_id_or_its_hit():
    def function() -> None:
        """A tool's function has its path as its name."""

    function.__qualname__ = "context7.query_docs"
    (hit,) = search_tools("query docs", limit=1)

    shown = describe("context7/query-docs")
    assert shown == describe(function) == describe(hit) == describe("query_docs")


def test_several_are_described_by_their_calls():
    assert describe("create_issue").split("\n")[1] == CREATE
    assert len(describe("gitlab").split("\n")) == 9


def test_a_wrong_name_teaches():
    assert describe("github.create_isue") == (
        "# there is no tool 'github.create_isue'; did you mean "
        "github.create_issue or github.get_issue or github.update_issue?"
    )
    assert describe("zzz") == (
        "# there is no tool 'zzz'; search_tools(...) finds tools by what they do"
    )


def test_the_catalogue_can_be_looped_over():
    reading = [each.name for each in tools if each.server == "time"]

    assert reading == ["time_.convert_time", "time_.get_current_time"]
    assert len(tools) == 39
    assert "github.create_issue" in tools
    assert "github.nothing" not in tools
    assert tools["gitlab.create_issue"].call == CREATE
    assert tools.search("convert time", 1)[0].name == "time_.convert_time"
    assert repr(tools) == "39 tools: context7 (2), github (26), gitlab (9), time_ (2)"


def test_a_name_that_is_none_or_not_one_is_a_key_error():
    with pytest.raises(KeyError, match=r"create_issue: several tools"):
        tools["create_issue"]
    with pytest.raises(KeyError, match=r"did you mean github.create_issue"):
        tools["github.create_isue"]


def test_without_tools_it_says_so():
    inside = names([])

    assert repr(inside["tools"]) == "0 tools: none"
    assert repr(inside["search_tools"]("x")) == "no tool answers 'x'; there are none"
