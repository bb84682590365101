"""Budgets and redaction name tools as rules do, and what fits nothing is refused: it would bound, and hide, nothing."""

import asyncio
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from protocell import Sandbox
from protocell._broker.desk import Desk
from protocell._broker.redaction import Redaction
from protocell._broker.runtime import Runtime
from protocell.errors import PolicyError
from protocell.tools import Answer, Budget, Call, Parameter, Recording, Tool, Tools, Toolset
from protocell.tools.errors import ToolError
from tests.broker.conftest import Open
from tests.broker.test_desk import Server


def a(x: int = 0) -> int:
    """Give it back."""
    return x


def login(form: dict[str, Any], password: str = "") -> str:
    """Log in."""
    return f"{len(form)} {len(password)}"


def one_call_of(name: str) -> Tools:
    return Tools(toolset=Toolset.of(a, name="n"), budgets={name: Budget(calls=1)})


def known(tools: Tools) -> dict[str, Tool]:
    async def main() -> dict[str, Tool]:
        return dict(await Desk(tools, Runtime.here()).tools())

    return asyncio.run(main())


@pytest.mark.parametrize("name", ["n/a", "n.a", "a", "a*", "n/*", "n.?"])
def test_a_budget_names_its_tool_as_a_rule_does(open_line: Open, name: str):
    session = open_line(change=lambda _: Toolset.of(a, name="n"), budgets={name: Budget(calls=1)})
    call = session.tools["call_tool"]
    assert call("n/a", {"x": 4}) == 4

    with pytest.raises(RuntimeError, match="n/a may make 1 calls"):
        call("n/a", {"x": 4})


def test_of_two_budgets_that_say_as_much_the_smaller_bounds_count(open_line: Open):
    budgets = {"n/a": Budget(calls=5, at_once=1), "a": Budget(calls=1)}
    session = open_line(change=lambda _: Toolset.of(a, name="n"), budgets=budgets)
    session.tools["call_tool"]("n/a")

    with pytest.raises(RuntimeError, match="n/a may make 1 calls"):
        session.tools["call_tool"]("n/a")


@pytest.mark.parametrize("name", ["nope", "n/b", "m.a", "m/*", "b*"])
def test_a_budget_that_fits_no_tool_is_refused_as_a_rule_is(name: str):
    with pytest.raises(PolicyError, match=r"^budgets: no tool is called"):
        known(one_call_of(name))
    with (
        pytest.raises(PolicyError, match=r"^budgets: no tool is called"),
        Sandbox(tools=one_call_of(name)) as sandbox,
    ):
        sandbox.run_code("1")


@pytest.mark.parametrize(
    "options, is_kept",
    [
        ({"budgets": {"gone/x": Budget(calls=1)}}, True),
        ({"budgets": {"gone/*": Budget(calls=1)}}, True),
        ({"budgets": {"here/bb": Budget(calls=1)}}, False),
        ({"redact": ["gone/x:key"]}, True),
        ({"redact": ["key"]}, True),
        ({"redact": ["here/bb:key"]}, False),
        ({"redact": ["here/b:key"]}, False),
    ],
)
def test_what_may_be_of_a_server_that_is_missing_is_not_refused(
    options: dict[str, Any], *, is_kept: bool
):
    async def main() -> None:
        gone, here = Server("gone", ["x"]), Server("here", ["b"])
        gone.fault = ToolError("it is not there", kind="transport")
        tools = Tools(toolset=Toolset.source(gone) + Toolset.source(closed(here)), **options)
        await Desk(tools, Runtime.here()).tools()

    if is_kept:
        asyncio.run(main())
    else:
        with pytest.raises(PolicyError, match=r"^(budgets|redact): "):
            asyncio.run(main())


def closed(server: Server) -> Server:
    """Its tools take nothing."""
    listed = server.tools

    async def tools() -> tuple[Tool, ...]:
        return tuple(made(each.name, server.name) for each in await listed())

    server.tools = tools  # type: ignore[method-assign]
    return server


async def nothing(_arguments: dict[str, Any], _call: Call) -> Answer:
    return Answer(value=None)


def made(name: str, server: str, *parameters: Parameter) -> Tool:
    schema = {"properties": {}, "additionalProperties": False}
    return Tool(
        server=server,
        name=name,
        identifier=name,
        description="",
        parameters=parameters,
        input_schema=schema,
        invoke=nothing,
    )


@pytest.mark.parametrize("name", ["n/a:x", "n.a:x", "a:x", "a*:x", "x", "*:x", "[x]"])
def test_an_argument_is_redacted_under_any_name_of_its_tool(name: str):
    with Sandbox(tools=Tools(toolset=Toolset.of(a, name="n"), redact=[name])) as sandbox:
        execution = sandbox.run_code("n.a(x=4)")

    assert [call.arguments for call in execution.tool_calls] == [{"x": "[redacted]"}]


@pytest.mark.parametrize(
    "name, told",
    [
        ("pasword", "no field that any tool has is called 'pasword'; the nearest are password"),
        ("n/login:pasword", "no field that n/login has is called 'pasword'; the nearest are"),
        ("n/a:password", "no field that n/a has is called 'password'"),
        ("n/logn:password", "no tool is called 'n/logn'; the nearest are"),
        ("m*:password", r"no tool is called 'm\*'"),
    ],
)
def test_a_redaction_that_fits_no_tool_or_none_of_its_fields_is_refused(name: str, told: str):
    toolset = Toolset.of(a, login, name="n")

    with pytest.raises(PolicyError, match=f"^redact: {told}"):
        known(Tools(toolset=toolset, redact=[name]))


def test_a_name_redacts_at_any_depth_and_nobody_has_the_secret(tmp_path: Path):
    recording = Recording()
    tools = Tools(
        toolset=Toolset.of(login, name="n"), redact=["password", "tok*"], record=recording
    )
    with Sandbox(tools=tools) as sandbox:
        execution = sandbox.run_code(
            "inner = {'password': 'S3cret', 'of': [({'token': 'S3cret', 'user': 'ann'},)]}\n"
            "login(inner, password='S3cret')\n"
            "try: call_tool('n/logni', {'form': inner, 'password': 'S3cret'})\n"
            "except ToolError: pass\n"
            "1 / 0"
        )
    recording.save(tmp_path / "file")

    hidden = "[redacted]"
    assert execution.tool_calls[0].arguments == {
        "form": {"password": hidden, "of": [({"token": hidden, "user": "ann"},)]},
        "password": hidden,
    }
    for told in (
        str(execution.tool_calls),
        execution.tool_calls_note,
        (tmp_path / "file").read_text(),
    ):
        assert hidden in told
        assert "S3cret" not in told


def test_what_nests_too_deep_to_look_at_is_left_out_as_a_whole():
    value: Any = {"password": "secret"}
    for _ in range(200):
        value = [value]
    redaction = Redaction(["password"])

    assert "secret" not in str(redaction.redacted(None, {"value": value}))


def test_what_may_come_under_two_names_is_redacted_under_both():
    parameter = Parameter(name="pass-word", identifier="pass_word", schema={}, required=True)
    tool = made("login", "n", parameter)
    redaction = Redaction(["n/login:pass-word"])
    redaction.check([tool], ())

    assert redaction.redacted(tool, {"pass_word": 1, "pass-word": 2, "x": 3}) == {
        "pass_word": "[redacted]",
        "pass-word": "[redacted]",
        "x": 3,
    }


def test_a_call_with_a_redacted_field_inside_of_an_argument_is_made_again():
    seen: list[Any] = []

    def enter(form: dict[str, Any], password: str = "") -> None:
        """Log in."""
        seen.append(form["password"])

    tools = Tools(toolset=Toolset.of(enter, name="n"), redact=["password"])
    with Sandbox(tools=tools) as sandbox:
        failed = sandbox.run_code("enter(form={'password': 'one'}); 1 / 0")
        sandbox.run_code("enter(form={'password': 'other'})", retry_of=failed)

    assert seen == ["one", "other"]


@dataclass
class Form:
    password: str


def test_what_a_person_put_in_place_is_redacted_in_objects_of_the_hosts_too():
    redaction = Redaction(["password"])

    assert redaction.redacted(None, {"form": Form("secret"), "day": date(2026, 1, 2)}) == {
        "form": {"password": "[redacted]"},
        "day": date(2026, 1, 2),
    }
