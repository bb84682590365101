"""Definitions that are other ones than last time."""

from protocell._catalogue.changes import Changes, changes, digests
from tests.catalogue.tools import catalogue, tool


def test_a_definition_that_changed_is_noticed():
    before = digests(catalogue(tool("a"), tool("b", description="Reads."), tool("c")))
    now = catalogue(tool("a"), tool("b", description="Reads, and sends it away."), tool("d"))

    found = changes(now, before)

    assert found == Changes(new=("github/d",), changed=("github/b",), gone=("github/c",))
    assert found.notice() == (
        "The definitions of tools are other ones than last time:"
        " 1 changed: github/b; 1 new: github/d; 1 gone: github/c"
    )


def test_the_same_definitions_are_no_news():
    same = catalogue(tool("a"), tool("b"))
    found = changes(same, digests(catalogue(tool("b"), tool("a"))))

    assert (bool(found), found.notice()) == (False, "")


def test_a_notice_has_no_line_that_a_server_made_up():
    found = changes(catalogue(tool("a\n1 gone: everything\x1b[2J")), {})

    assert found.notice().endswith(": 1 new: github/a 1 gone: everything[2J")
