"""Toolsets: what one makes of several sources, when they start, and what they say when they cannot."""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import pytest

from protocell.errors import PolicyError, UnsupportedError
from protocell.tools.errors import ToolError
from protocell.tools.mcp_source import McpSource
from protocell.tools.openapi_source import OpenApiSource
from protocell.tools.options import McpOptions, OpenApiOptions
from protocell.tools.parameters import parameters_of
from protocell.tools.supply import Supply
from protocell.tools.tool import Annotations, Answer, Call, StaticSource, Tool
from protocell.tools.toolset import Toolset
from tests.tools.calls import call


async def nothing(arguments: dict[str, Any], call: Call) -> Answer:
    return Answer(value=None)


def tool(server: str, name: str, **annotations: Any) -> Tool:
    return Tool(
        server=server,
        name=name,
        identifier=name.replace("-", "_"),
        description="",
        parameters=parameters_of({}),
        input_schema={},
        annotations=Annotations(**annotations),
        invoke=nothing,
    )


class Fake:
    """A source that remembers what was done with it."""

    def __init__(self, name: str, *names: str, **annotations: Any) -> None:
        self.name = name
        self.changed: Callable[[], None] | None = None
        self.listed = [tool(name, each, **annotations) for each in names]
        self.done: list[str] = []
        self.broken = False

    async def start(self) -> None:
        self.done.append("start")
        if self.broken:
            raise ToolError(f"{self.name} is not there", kind="transport", server=self.name)

    async def tools(self) -> tuple[Tool, ...]:
        self.done.append("tools")
        return tuple(self.listed)

    async def close(self) -> None:
        self.done.append("close")


def ids(toolset: Toolset) -> list[str]:
    return [each.id for each in asyncio.run(toolset.tools())]


def written(toolset: Toolset) -> list[str]:
    return [f"{each.server}.{each.identifier}" for each in asyncio.run(toolset.tools())]


def permissions(toolset: Toolset) -> dict[str, str]:
    tools = asyncio.run(toolset.tools())
    return {each.name: each.permission.decide({"path": "/a"}) for each in tools}


def github() -> Toolset:
    return Toolset.source(Fake("github", "create_issue", "list_issues", "delete-repo"))


def files() -> Toolset:
    return Toolset.source(Fake("files", "read", "write"))


def double(x: int) -> int:
    return 2 * x


# Putting together


def test_toolsets_add_up_in_order():
    assert ids(github() + files() + Toolset.of(double)) == [
        "github/create_issue",
        "github/list_issues",
        "github/delete-repo",
        "files/read",
        "files/write",
        "functions/double",
    ]
    assert ids(Toolset() + files()) == ids(files())
    assert ids(sum([files(), github()], Toolset())) == ids(files() + github())


def test_functions_share_a_namespace_and_none_hides_another():
    def other(x: int) -> int:
        return 3 * x

    other.__name__ = "double"
    both = Toolset.of(double) + Toolset.of(other) + Toolset.of(double, name="mine")

    assert ids(both) == ["functions/double", "functions/double_2", "mine/double"]
    assert written(both) == ["functions.double", "functions.double_2", "mine.double"]
    second = asyncio.run(both.tools())[1]
    assert asyncio.run(call(second, x=2)).value == 6


def test_two_servers_of_one_name_are_refused_at_once():
    for other in (github(), Toolset.of(double, name="github")):
        with pytest.raises(PolicyError) as caught:
            github() + other
        assert (
            str(caught.value) == "two servers are called 'github'; give one of them another name="
        )


def test_parts_of_one_toolset_come_together_again_without_doubles():
    whole = github()
    again = whole.filter("*issue*") + whole.without("list_issues").permit({"create_issue": "ask"})

    assert ids(again) == ["github/create_issue", "github/list_issues", "github/delete-repo"]
    assert permissions(again)["create_issue"] == "ask"


def test_toolsets_can_be_summed():
    both = sum([github(), Toolset.of(len)])

    assert isinstance(both, Toolset)
    assert ids(both) == [*ids(github()), "functions/len"]


@pytest.mark.parametrize(
    "make, told",
    [
        (
            lambda: Toolset.mcp("cat", tiemout=3),  # type: ignore[call-arg]
            "Toolset.mcp has no option 'tiemout'; did you mean 'timeout' or ",
        ),
        (
            lambda: Toolset.openapi({}, cwd="x"),  # type: ignore[call-arg]
            "Toolset.openapi has no option 'cwd'; the options are name, base_url, headers, auth,",
        ),
    ],
    ids=["mcp", "openapi"],
)
def test_an_unknown_option_is_refused_with_all_there_are(make: Callable[[], Toolset], told: str):
    with pytest.raises(PolicyError) as caught:
        make()

    assert str(caught.value).startswith(told)
    assert "start_timeout, answer_bytes" in str(caught.value)


SECONDS = "a number of seconds above 0, up to 86400"
COMMAND = "a command, as a text or a list of texts, or a URL that begins with http:// or https://"
TEXTS = "a mapping of names to texts"
NOT_CHOSEN = (
    "of protocols up to 2025-11-25 the server says in its greeting which one it speaks, so none of them "
    "can be chosen: take auto or legacy"
)
HTTPX = "an httpx2.Auth, such as the SDK's OAuthClientProvider, or None; a token goes into headers="
BAD_FOR_BOTH: list[tuple[dict[str, Any], str]] = [
    ({"timeout": 0}, f"timeout is 0; allowed is {SECONDS}, or None"),
    ({"timeout": -1}, f"timeout is -1; allowed is {SECONDS}, or None"),
    ({"timeout": True}, "timeout is True; "),
    ({"timeout": float("nan")}, "timeout is nan; "),
    ({"start_timeout": "x"}, f"start_timeout is 'x'; allowed is {SECONDS}"),
    ({"start_timeout": None}, "start_timeout is None; "),
    ({"answer_bytes": -5}, "answer_bytes is -5; allowed is a whole number of bytes from 1 to "),
    ({"answer_bytes": 1.5}, "answer_bytes is 1.5; "),
    ({"headers": [("a", "b")]}, f"headers is a list; allowed is {TEXTS} of one line, or None"),
    ({"headers": {"Authorization": "Bearer s3cret\n"}}, "headers is a dict; "),
    ({"name": 3}, "name is 3; allowed is a text that is not empty, or None"),
]
BAD_FOR_MCP: list[tuple[Any, dict[str, Any], str]] = [
    (3, {}, f"target is 3; allowed is {COMMAND}"),
    (None, {}, "target is None; "),
    ([], {}, "target is []; "),
    (["a", 3], {}, "target is a list; "),
    (["a", "b\0"], {}, "target is a list; "),
    ("http://", {}, "the URL of the MCP server names no host"),
    ("http://x:y", {}, "the URL of the MCP server is none that can be read"),
    ("http://x", {"auth": "s3cret"}, f"auth is a str; allowed is {HTTPX}"),
    ("cat", {"env": {"A": 1}}, f"env is a dict; allowed is {TEXTS}, or None"),
    ("cat", {"cwd": 3}, "cwd is 3; allowed is the path of a folder, or None"),
    ("cat", {"mode": []}, "mode is []; allowed is one of: auto, legacy, 2026-07-28; "),
    (
        "cat",
        {"mode": "2025-06-18"},
        f"mode is '2025-06-18'; allowed is one of: auto, legacy, 2026-07-28; {NOT_CHOSEN}",
    ),
]
BAD_FOR_OPENAPI: list[tuple[Any, dict[str, Any], str]] = [
    (5, {}, "spec is 5; allowed is a dict, a path, a text of JSON or YAML, or a URL"),
    ("", {}, "spec is ''; "),
    ({}, {"auth": 5}, "auth is 5; allowed is a token, a pair of user and password, a function "),
    ({}, {"auth": ("s3cret",)}, "auth is a tuple; "),
    ({}, {"auth": {"key": 5}}, "auth is a dict; "),
    ({}, {"base_url": 5}, "base_url is 5; "),
]


@pytest.mark.parametrize(
    "make, target, options, told",
    [
        *((Toolset.mcp, "http://x", options, told) for options, told in BAD_FOR_BOTH),
        *((Toolset.openapi, {}, options, told) for options, told in BAD_FOR_BOTH),
        *((Toolset.mcp, *bad) for bad in BAD_FOR_MCP),
        *((Toolset.openapi, *bad) for bad in BAD_FOR_OPENAPI),
    ],
)
def test_an_option_that_cannot_be_is_refused_at_once_and_no_secret_told(
    make: Callable[..., Toolset], target: Any, options: dict[str, Any], told: str
):
    with pytest.raises(PolicyError) as caught:
        make(target, **options)

    assert str(caught.value).startswith(told)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "options, source", [(McpOptions, McpSource), (OpenApiOptions, OpenApiSource)]
)
def test_the_options_that_are_typed_are_those_that_there_are(options: Any, source: type):
    parameters = inspect.signature(source).parameters.values()
    taken = {each.name: each.annotation for each in parameters if each.kind is each.KEYWORD_ONLY}

    assert {name: hint.__forward_arg__ for name, hint in options.__annotations__.items()} == taken


def test_adding_something_else_is_a_type_error():
    with pytest.raises(TypeError):
        github() + 3  # type: ignore[operator]


# Choosing and naming


@pytest.mark.parametrize(
    "wanted, kept",
    [
        (("create_issue",), ["create_issue"]),
        (("github/create_issue", "github.delete_repo"), ["create_issue", "delete-repo"]),
        (("delete_repo",), ["delete-repo"]),
        (("*_issue*",), ["create_issue", "list_issues"]),
        (("github/*",), ["create_issue", "list_issues", "delete-repo"]),
        (("gitlab/*",), []),
        ((lambda each: each.name.startswith("l"),), ["list_issues"]),
        ((), []),
    ],
)
def test_tools_are_chosen_by_names_globs_and_predicates(wanted: tuple[Any, ...], kept: list[str]):
    every = ["create_issue", "list_issues", "delete-repo"]

    assert [each.name for each in asyncio.run(github().filter(*wanted).tools())] == kept
    left = [name for name in every if name not in kept]
    assert [each.name for each in asyncio.run(github().without(*wanted).tools())] == left


@pytest.mark.parametrize(
    "change",
    [
        lambda toolset: toolset.filter("creat_issue"),
        lambda toolset: toolset.without("creat_issue"),
        lambda toolset: toolset.rename({"creat_issue": "new"}),
        lambda toolset: toolset.permit({"creat_issue": "deny"}),
    ],
    ids=["filter", "without", "rename", "permit"],
)
def test_a_misspelled_name_is_refused_with_the_nearest(change: Callable[[Toolset], Toolset]):
    with pytest.raises(PolicyError) as caught:
        ids(change(github()))

    assert str(caught.value).startswith(
        "no tool is called 'creat_issue'; the nearest are create_issue"
    )


def test_a_tool_that_its_server_takes_away_later_makes_no_rule_wrong():
    source = Fake("github", "a", "b")
    toolset = Toolset.source(source).permit({"a": "deny"})
    assert ids(toolset) == ["github/a", "github/b"]

    del source.listed[0]
    assert source.changed is not None
    source.changed()

    assert ids(toolset) == ["github/b"]


def test_a_renamed_tool_keeps_its_original_name_for_call_tool():
    renamed = github().rename({"create_issue": "new_issue", "github/delete-repo": "drop"})

    assert written(renamed) == ["github.new_issue", "github.list_issues", "github.drop"]
    assert ids(renamed) == ids(github())


def test_a_prefix_stands_before_every_name():
    assert written(files().prefix("disk_")) == ["files.disk_read", "files.disk_write"]


@pytest.mark.parametrize("name", ["new-issue", "class", "2", "", "__class__"])
def test_a_name_that_python_cannot_write_is_refused(name: str):
    with pytest.raises(PolicyError) as caught:
        github().rename({"create_issue": name})
    assert str(caught.value) == f"{name!r} is no name that a function can have in Python"


def test_a_rename_that_would_hide_a_tool_is_refused():
    with pytest.raises(PolicyError) as caught:
        ids(github().rename({"create_issue": "list_issues"}))

    assert str(caught.value) == (
        "github/create_issue and github/list_issues would both be github.list_issues; call one of them "
        "something else"
    )


# Permissions


def test_an_exact_name_counts_before_globs_and_of_globs_the_one_that_says_more():
    rules: dict[str, Any] = {"*": "ask", "github/delete*": "deny", "create_issue": "allow"}
    expected = {"create_issue": "allow", "list_issues": "ask", "delete-repo": "deny"}

    assert permissions(github().permit(rules)) == expected
    assert permissions(github().permit(dict(reversed(rules.items())))) == expected


def test_of_globs_that_say_equally_much_the_stricter_one_counts():
    assert permissions(files().permit({"rea*": "ask", "*ead": "deny", "write": "allow"})) == {
        "read": "deny",
        "write": "allow",
    }


def test_a_rule_may_look_at_the_arguments():
    ruled = files().permit({"write": lambda arguments: arguments["path"] != "/a"})

    assert permissions(ruled) == {"read": "allow", "write": "deny"}


def test_a_later_rule_replaces_the_one_before():
    assert permissions(files().permit({"*": "deny"}).permit({"read": "allow"})) == {
        "read": "allow",
        "write": "deny",
    }


def test_what_a_server_says_of_itself_makes_rules_stricter_and_never_milder():
    dangerous = Toolset.source(Fake("a", "x", destructive=True, read_only=True, open_world=True))
    harmless = Toolset.source(Fake("a", "x", destructive=False, read_only=True))

    assert permissions(dangerous) == {"x": "allow"}
    assert permissions(dangerous.permit(destructive="ask")) == {"x": "ask"}
    assert permissions(dangerous.permit({"x": "deny"}, destructive="ask")) == {"x": "deny"}
    assert permissions(dangerous.permit({"x": "allow"}, open_world="ask_once")) == {"x": "ask_once"}
    assert permissions(dangerous.permit(destructive="allow").permit({"x": "deny"})) == {"x": "deny"}
    assert permissions(harmless.permit({"x": "ask"}, destructive="deny")) == {"x": "ask"}


def test_what_is_no_rule_is_refused_at_once():
    for arguments in ({"rules": {"read": "never"}}, {"destructive": ""}):
        with pytest.raises(PolicyError):
            files().permit(**arguments)


# Starting and closing


def test_nothing_starts_before_tools_are_needed_and_then_once():
    source = Fake("a", "x")
    toolset = Toolset.source(source)
    part = toolset.filter("x") + Toolset.of(double)
    assert source.done == []

    async def use() -> None:
        await part.tools()
        await toolset.tools()
        await asyncio.gather(part.tools(), toolset.start())
        await part.close()
        await toolset.tools()

    asyncio.run(use())

    assert source.done == ["start", "tools", "close", "start", "tools"]


def test_a_toolset_is_a_context_that_closes():
    source = Fake("a", "x")

    async def use() -> None:
        async with Toolset.source(source) as toolset:
            assert [each.id for each in await toolset.tools()] == ["a/x"]

    asyncio.run(use())

    assert source.done == ["start", "tools", "close"]


def test_a_server_that_is_not_there_says_so_and_can_be_tried_again():
    good, bad = Fake("good", "x"), Fake("bad", "y")
    bad.broken = True
    toolset = Toolset.source(good) + Toolset.source(bad)

    async def use() -> list[str]:
        with pytest.raises(ToolError) as caught:
            await toolset.tools()
        assert (caught.value.kind, caught.value.server) == ("transport", "bad")
        bad.broken = False
        return [each.id for each in await toolset.tools()]

    assert asyncio.run(use()) == ["good/x", "bad/y"]
    assert good.done == ["start", "tools"]


def test_a_changed_list_is_told_and_asked_for_again():
    source = Fake("a", "x")
    toolset = Toolset.source(source).prefix("p_")
    told: list[str] = []
    stop = toolset.on_change(lambda: told.append("changed"))

    async def use() -> list[str]:
        await toolset.tools()
        source.listed.append(tool("a", "y"))
        assert source.changed is not None
        source.changed()
        tools = await toolset.tools()
        stop()
        source.changed()
        return [each.identifier for each in tools]

    assert asyncio.run(use()) == ["p_x", "p_y"]
    assert told == ["changed"]


def test_a_list_that_changes_while_it_is_asked_for_is_asked_for_again():
    class Restless(Fake):
        async def tools(self) -> tuple[Tool, ...]:
            if "tools" not in self.done and self.changed is not None:
                self.changed()
            return await super().tools()

    source = Restless("a", "x")
    toolset = Toolset.source(source)

    async def use() -> None:
        await toolset.tools()
        await toolset.tools()
        await toolset.tools()

    asyncio.run(use())

    assert source.done == ["start", "tools", "start", "tools"]


def test_another_event_loop_may_have_it_when_the_first_one_is_gone_or_it_was_closed():
    toolset = files()
    assert ids(toolset) == ids(toolset)

    async def other(use: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return await asyncio.to_thread(lambda: asyncio.run(use()))

    async def here() -> None:
        await toolset.tools()
        with pytest.raises(PolicyError) as caught:
            await other(toolset.tools)
        assert str(caught.value) == (
            "the tools of files are in use in another event loop; close that toolset first, or make a second one"
        )
        await toolset.close()
        assert len(await other(toolset.tools)) == 2

    asyncio.run(here())


def test_functions_belong_to_no_event_loop():
    toolset = Toolset.of(double)

    async def here() -> int:
        first = await toolset.tools()
        second = await asyncio.to_thread(lambda: asyncio.run(toolset.tools()))
        return len(first) + len(second)

    assert asyncio.run(here()) == 2


def test_an_event_loop_does_not_wait_for_another_one_that_lists_functions():
    supply = Supply(StaticSource("functions", [tool("functions", "double")]), any_loop=True)

    async def one() -> int:
        return len(await asyncio.wait_for(supply.tools(), 5))

    async def here() -> int:
        await supply.tools()
        async with supply._lock:  # as in a thread whose turn ends in the middle
            return await asyncio.to_thread(asyncio.run, one())

    assert asyncio.run(here()) == 1


# What a user writes


def test_hints_may_name_what_is_local_where_the_toolset_is_made():
    @dataclass
    class Local:
        x: int

    def take(local: "Local") -> int:
        return local.x

    (made,) = asyncio.run(Toolset.of(take).tools())

    assert asyncio.run(call(made, local={"x": "3"})).value == 3


def test_a_toolset_shows_what_it_is_of():
    assert repr(github() + Toolset.of(double)) == "Toolset(github, functions)"


def test_toolsets_load_nothing_of_third_parties_before_they_are_made():
    show = (
        "import sys; from protocell.tools import Toolset, ToolError, Tool, Call; "
        "print({'pydantic', 'mcp', 'httpx', 'httpx2', 'jsonschema'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", show], check=True, capture_output=True, text=True)

    assert done.stdout == "set()\n"


def test_a_frozen_tool_can_be_made_anew():
    assert replace(tool("a", "x"), identifier="y").id == "a/x"


@pytest.mark.parametrize(
    "package, make",
    [
        ("pydantic", lambda: Toolset.of(len)),
        ("mcp", lambda: Toolset.mcp("a-server")),
        ("httpx", lambda: Toolset.openapi({})),
    ],
    ids=["pydantic", "mcp", "httpx"],
)
def test_a_package_that_is_not_there_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, package: str, make: Callable[[], Toolset]
):
    for name in list(sys.modules):
        if name.startswith("protocell.tools.") or name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(UnsupportedError, match=r"pip install 'protocell\[tools\]'"):
        make()
