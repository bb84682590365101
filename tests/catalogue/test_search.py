"""Search: what is found of real tools, by what they do and by wrong names."""

import random
from functools import cache

import pytest

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.search import Search
from protocell_guest.ranking import Ranking, nearest, stem, words
from tests.catalogue.tools import catalogue, real, requests, tool


@cache
def search() -> Search:
    return Search(real())


def recall(most: int) -> float:
    rows = requests()
    hits = [
        {each.id for each in search().find(row["request"], most)} & set(row["expected"])
        for row in rows
    ]
    return sum(map(bool, hits)) / len(rows)


def test_of_200_requests_95_in_100_find_their_tool_among_five():
    assert len(requests()) >= 200
    assert recall(5) >= 0.95


def test_and_97_in_100_among_the_eight_that_are_shown():
    assert recall(8) >= 0.97


def test_the_order_of_the_hits_depends_on_the_tools_alone():
    tools = list(real().tools)
    random.Random(3).shuffle(tools)
    other = Search(Catalogue.of(tools))

    for row in requests()[:20]:
        assert other.calls(row["request"]) == search().calls(row["request"])


def test_hits_are_calls():
    (first, *_) = search().calls("create an issue on GitHub", 3)

    assert first.startswith(
        "github.create_issue(owner=str, repo=str, title=str)  # optional: body=str"
    )


def test_one_server_can_be_searched_alone():
    found = search().find("create issue", 3, server="gitlab")

    assert found[0].id == "gitlab/create_issue"
    assert {each.server for each in found} == {"gitlab"}


@pytest.mark.parametrize(
    "name, ids",
    [
        ("github.create_issue", ["github/create_issue"]),
        ("context7/query-docs", ["context7/query-docs"]),
        ("create_issue", ["github/create_issue", "gitlab/create_issue"]),
        ("query-docs", ["context7/query-docs"]),
        ("duckdb", ["duckdb/query"]),
        ("nothing", []),
        ("", []),
    ],
)  # fmt: skip
def test_a_name_means_a_tool_or_several(name: str, ids: list[str]):
    assert [each.id for each in search().named(name)] == ids


def test_a_description_is_the_stub():
    assert search().describe("git.git_add") == (
        "def git_add(repo_path: str, files: list[str]) -> Any:\n"
        '    """Adds file contents to the staging area"""'
    )
    assert search().describe("nothing") == ""


@pytest.mark.parametrize(
    "wrong, right",
    [
        ("github.create_isue", "github.create_issue"),
        ("github/createIssue", "github.create_issue"),
        ("create_pullrequest", "github.create_pull_request"),
        ("post_message", "slack.slack_post_message"),
        ("excel.chart_create", "excel.create_chart"),
    ],
)
def test_a_wrong_name_has_a_nearest_one(wrong: str, right: str):
    assert search().nearest(wrong)[0] == right


def test_nothing_is_like_nonsense():
    assert search().nearest("xyzzy") == []
    assert search().find("xyzzy") == []


def test_names_are_split_where_people_read_a_boundary():
    assert words("getHTTPResponse_for-user42") == ["get", "http", "respons", "user42"]


@pytest.mark.parametrize(
    "forms",
    [
        "delete deleted deleting deletes deletion",
        "create created creating creates creation",
        "query queries",
        "stop stopped stopping",
        "colour color colours",
        "address addresses",
        "commit commits committed",
        "status",
    ],
)
def test_forms_of_a_word_have_one_stem(forms: str):
    assert len({stem(form) for form in forms.split()}) == 1


def test_a_long_description_takes_nothing_from_a_name_that_fits():
    long = "about many other things " * 300
    found = Ranking([("create_chart", "excel", long, ""), ("delete_chart", "excel", "short", "")])

    assert found.best("create a chart") == [0, 1]


@pytest.mark.parametrize("odd", ["", "   ", "the of and", "\ud800", "x" * 1_000_000, "🙂", "a\0b"])
def test_any_request_can_be_asked(odd: str):
    assert Ranking([("f", "s", "text", "")]).best(odd) == []


def test_an_empty_catalogue_can_be_asked():
    assert Search(catalogue()).find("anything") == []
    assert Ranking([]).best("anything") == []


def test_nearest_is_bounded_and_sorted():
    assert nearest("read_fle", ["read_file", "close"], 2) == ["read_file"]
    assert nearest("file_read", ["read_file", "close"]) == ["read_file"]
    assert nearest("x" * 1_000_000, ["x" * 100]) == ["x" * 100]
    assert nearest("", ["a"]) == []


def test_tools_with_hostile_texts_can_be_searched():
    made = tool("f", description="\x00" * 100_000 + "needle")

    assert Search(catalogue(made)).find("needle") == []
