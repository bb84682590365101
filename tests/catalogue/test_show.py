"""The public door: what a model is shown of a toolset, its one tool's description, and its direct tools."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocell import catalogue
from protocell._catalogue.choice import chosen
from protocell._catalogue.specs import spec, spec_name
from protocell.catalogue import View, accept, description, direct_specs, execute_spec
from protocell.errors import FileError, PolicyError
from protocell.tools import Tool, Tools, Toolset
from tests.catalogue import tools as made
from tests.catalogue.tools import ISSUE, of, real, some, tool


def order(number: int) -> dict[str, int]:
    """Look up one order."""
    return {"number": number}


def cancel(number: int) -> str:
    """Cancel an order."""
    return f"{number} is cancelled"


SHOP = Toolset.of(order, cancel, name="shop")


class Listed:
    """A source of tools that are only shown."""

    def __init__(self, *tools: Tool) -> None:
        self.name = tools[0].server
        self.changed: Callable[[], None] | None = None
        self.listed = tools

    async def start(self) -> None: ...

    async def tools(self) -> tuple[Tool, ...]:
        return self.listed

    async def close(self) -> None: ...


def everything() -> Toolset:
    """The tools of all real servers."""
    found = Toolset()
    for name in made.servers():
        found += Toolset.source(Listed(*made.servers()[name]))
    return found


def tools_with(fields: dict[str, Any]) -> Tools:
    return Tools(toolset=SHOP, **fields)


def show(tools: Toolset | Tools, **more: Any) -> View:
    return asyncio.run(catalogue.show(tools, **more))


def test_few_functions_are_shown_as_stubs():
    found = show(SHOP)

    assert (found.level, found.fits, found.direct) == ("full", True, {})
    assert "  def order(number: int) -> dict[str, int]:" in found.text
    assert str(found) == found.text


def test_the_same_tools_give_the_same_text():
    again = Toolset.of(cancel, order, name="shop")

    assert show(SHOP) == show(again)


def test_what_is_given_to_show_counts_before_what_the_tools_say():
    tools = Tools(toolset=everything(), level="full", pinned=["github/create_issue"])
    found = show(tools, level="search", pinned=["git.git_add"])

    assert found.level == "search"
    assert "  def create_issue(" in found.text
    assert "  def git_add(" in found.text


def test_the_budget_decides():
    found = show(everything())

    assert (found.level, found.fits) == ("search", True)
    assert show(everything(), budget_tokens=1_000_000).level == "compact"
    assert show(Tools(toolset=everything(), budget_tokens=1_000_000)).level == "compact"


@pytest.mark.parametrize("field", ["pinned", "direct"])
def test_a_name_that_fits_no_tool_is_refused_with_the_nearest(field: str):
    with pytest.raises(PolicyError) as caught:
        show(tools_with({field: ["shop.oder"]}))

    assert str(caught.value) == (
        f"{field} has 'shop.oder', and no tool is called so; the nearest are shop.order, "
        "shop/order, shop.cancel"
    )


@pytest.mark.parametrize(
    "patterns, found",
    [
        (["git/git_add"], ["git.git_add"]),
        (["git.git_d*"], ["git.git_diff", "git.git_diff_staged", "git.git_diff_unstaged"]),
        (["git/*_log", "git.git_show"], ["git.git_log", "git.git_show"]),
    ],
)
def test_tools_are_named_by_ids_paths_and_globs(patterns: list[str], found: list[str]):
    shown = some("git")

    assert [shown.path(each) for each in chosen(shown, "direct", patterns)] == found


def test_a_name_with_brackets_means_itself():
    shown = made.catalogue(tool("a[1]"), tool("a1"))

    assert [each.name for each in chosen(shown, "direct", ["github/a[1]"])] == ["a1", "a[1]"]


def test_what_is_not_there_any_more_can_be_let_pass():
    assert chosen(some("git"), "direct", ["git.gone"], strict=False) == []


# -- the one tool ------------------------------------------------------------------------------------


def test_the_description_is_our_words_and_then_the_catalogue():
    view = show(SHOP)

    assert view.description == description(view)
    assert view.description.endswith(f"\n\n{view.text}")
    words = view.description.removesuffix(view.text)
    for told in ("State is kept", "ToolError", "Print the few lines", "Run Python code"):
        assert told in words
    assert len(words) < 900


def test_the_one_tool_takes_code():
    spec = execute_spec(show(SHOP), name="run")

    assert (spec["name"], spec["input_schema"]["required"]) == ("run", ["code"])
    assert spec["description"].startswith("Run Python code in a sandbox.")


# -- direct tools ------------------------------------------------------------------------------------


def test_direct_tools_have_static_specs_and_stay_in_the_view():
    tools = Tools(toolset=SHOP, direct=["shop.c*"])
    view, specs = show(tools), asyncio.run(direct_specs(tools))

    assert specs == [
        {
            "name": "shop__cancel",
            "description": "Cancel an order.",
            "input_schema": {
                "type": "object",
                "properties": {"number": {"type": "integer"}},
                "required": ["number"],
                "additionalProperties": False,
            },
        }
    ]
    assert view.direct == {"shop__cancel": "shop/cancel"}
    assert "one call is all that there is to do: shop__cancel is shop.cancel\n" in view.text
    # The model has its definition already: one line is enough.
    assert "\nshop.cancel(number: int) -> str  # Cancel an order\n" in view.text
    assert "  def order(number: int)" in view.text


def test_no_two_direct_tools_have_one_name():
    shown = made.catalogue(tool("b", "a__x"), tool("x__b", "a"), tool("_y", "c"), tool("y", "c_"))

    names = {spec_name(shown, each): shown.path(each) for each in shown.tools}

    assert sorted(names.values()) == ["a.x__b", "a__x.b", "c._y", "c_.y"]
    assert [name for name, path in names.items() if name == path.replace(".", "__")] == [
        "a__x__b",
        "c___y",
    ]


def test_among_many_a_direct_tool_is_named_and_not_listed():
    view = show(Tools(toolset=everything(), direct=["github/create_issue"]))

    assert (view.level, view.direct) == ("search", {"github__create_issue": "github/create_issue"})
    assert view.text.count("create_issue") == 2


def test_names_of_specs_are_what_interfaces_of_models_take_and_differ():
    long = [tool("x" * 80 + str(number)) for number in range(3)]
    odd = [tool("größe"), tool("get-user"), tool("grosse")]
    shown = made.catalogue(*long, *odd)
    names = [spec(shown, each)["name"] for each in shown.tools]

    assert len(set(names)) == 6
    assert all(len(name) <= 64 and name.isascii() for name in names)
    assert all(set(name) <= set("_-0123456789abcdefghijklmnopqrstuvwxyz") for name in names)


def test_all_real_tools_have_different_names():
    names = {spec(real(), each)["name"] for each in real().tools}

    assert len(names) == len(real().tools)


def test_texts_of_a_spec_are_clean_and_its_values_are_left():
    schema = of(
        {
            "description": {"type": "string", "description": "a\u202eb\x1b", "title": "t\u200b"},
            "default": {"type": "string", "default": "x\u202ey", "enum": ["a\x00"]},
        }
    )
    shown = made.catalogue(tool("f", schema=schema, description="Do.\x1b[2J"))
    found = spec(shown, shown.tools[0])

    assert found["description"] == "Do.[2J"
    properties = found["input_schema"]["properties"]
    assert properties["description"] == {"type": "string", "description": "ab", "title": "t"}
    assert properties["default"] == {"type": "string", "default": "x\u202ey", "enum": ["a\x00"]}


def test_a_schema_without_end_and_no_schema_are_specs():
    deep: dict[str, Any] = {}
    deep["items"] = deep
    shown = made.catalogue(tool("deep", schema=deep), tool("none"))
    found = {each["name"]: each for each in (spec(shown, one) for one in shown.tools)}

    assert found["github__none"]["input_schema"] == {"type": "object"}
    assert len(json.dumps(found["github__deep"])) < 1_000


# -- definitions that change -------------------------------------------------------------------------


def test_the_first_look_is_trusted_and_kept(tmp_path: Path):
    file = tmp_path / "known.json"
    first = show(Tools(toolset=SHOP, known=file))
    again = show(Tools(toolset=SHOP, known=str(file)))

    assert not first.changes
    assert not again.changes
    assert json.loads(file.read_text())["digests"] == dict(first.digests)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_change_is_told_until_it_is_accepted(tmp_path: Path):
    file = tmp_path / "known.json"
    source = Listed(tool("create_issue", schema=ISSUE, description="Create."), tool("old"))
    tools = Tools(toolset=Toolset.source(source), known=file)
    before = show(tools)
    source.listed = (
        tool("create_issue", schema=ISSUE, description="Create, and send."),
        tool("new"),
    )
    tools = Tools(toolset=Toolset.source(source), known=file)

    found = [show(tools), show(tools)]
    accept(found[-1], file)

    for each in found:
        assert each.changes.notice() == (
            "The definitions of tools are other ones than last time: 1 changed: github/create_issue; "
            "1 new: github/new; 1 gone: github/old"
        )
    assert before.text != found[0].text
    assert not show(tools).changes
    assert os.listdir(tmp_path) == ["known.json"]


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1]", '{"about": "other"}', "\xff", "[" * 100_000, '{"digests": {"a": 1}}'],
)
def test_another_file_is_neither_believed_nor_overwritten(content: str, tmp_path: Path):
    file = tmp_path / "known.json"
    file.write_bytes(content.encode("latin-1"))

    with pytest.raises(PolicyError, match="is no file of known tools; name another one"):
        show(Tools(toolset=SHOP, known=file))
    assert file.read_bytes() == content.encode("latin-1")


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path):
    with pytest.raises(FileError, match="cannot be written") as caught:
        show(Tools(toolset=SHOP, known=tmp_path / "none" / "known.json"))

    assert caught.value.path == str(tmp_path / "none" / "known.json")


def test_a_folder_is_no_file_of_known_tools(tmp_path: Path):
    with pytest.raises(FileError, match="cannot be read"):
        show(Tools(toolset=SHOP, known=tmp_path))


# -- fields of Tools ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"budget_tokens": 0}, "budget_tokens is 0; allowed is a whole number of tokens from 1"),
        ({"budget_tokens": 1.5}, "budget_tokens is 1.5; allowed is a whole number"),
        ({"budget_tokens": True}, "budget_tokens is True; allowed is a whole number"),
        ({"level": "huge"}, "level is 'huge'; allowed are full, compact, search, and None"),
        ({"pinned": "a.b"}, "pinned is the string 'a.b'; write ['a.b']"),
        ({"direct": [1]}, "direct has 1 in it; allowed are strings"),
        ({"known": 3}, "known is 3; allowed is the path of a file, or None"),
        ({"account": 1}, "account is 1; allowed are True and False"),
    ],
)
def test_a_wrong_field_is_refused_in_a_sentence(fields: dict[str, Any], sentence: str):
    with pytest.raises(PolicyError) as caught:
        tools_with(fields)

    assert str(caught.value).startswith(sentence)


def test_arguments_of_show_are_checked_as_the_fields_are():
    with pytest.raises(PolicyError, match="level is 'huge'"):
        show(SHOP, level="huge")
    with pytest.raises(PolicyError, match="pinned is the string"):
        show(SHOP, pinned="shop.order")
