"""The token account of a real sandbox: a loop of calls wins, two calls lose and say so."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from protocell import AsyncSandbox, PolicyError, Sandbox
from protocell._broker.runtime import of_this_process
from protocell._catalogue.tokens import count
from protocell.catalogue import TokenAccount, View
from protocell.errors import ClosedError
from protocell.tools import Tool, ToolError, Tools, Toolset

of_this_process()  # the one loop of the blocking face, which stays until the process ends
LOOP = """
total = 0
for number in range(50):
    total += shop.order(number)["lines"][0]["cents"]
print(total)
"""


def order(number: int) -> dict[str, Any]:
    """Look up one order by its number."""
    return {"number": number, "lines": [{"item": "tea", "cents": 5 * number}] * 3}


async def cancel(number: int) -> str:
    """Cancel an order."""
    return f"{number} is cancelled"


SHOP = Toolset.of(order, cancel, name="shop")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(tools=Tools(toolset=SHOP, account=True)) as made:
        yield made


def account_of(sandbox: Sandbox, code: str) -> TokenAccount:
    account = sandbox.run_code(code).token_account
    assert account is not None
    return account


def test_a_loop_of_fifty_calls_costs_a_fraction_in_code(sandbox: Sandbox):
    found = account_of(sandbox, LOOP)

    assert (found.calls, found.code_mode_loses, found.better_direct) == (50, False, ())
    assert found.ratio < 0.25
    assert found.code_work < found.static_work / 20
    assert found.advice.startswith("Code mode saved ")


def test_two_calls_cost_more_in_code_and_it_says_what_to_do(sandbox: Sandbox):
    found = account_of(sandbox, "print(shop.order(1))\nprint(await shop.cancel(1))")

    assert (found.calls, found.code_mode_loses) == (2, True)
    assert found.better_direct == ("shop/cancel", "shop/order")
    assert "Tools(direct=['shop/cancel', 'shop/order'])" in found.advice


def test_the_session_as_a_whole_is_added_up(sandbox: Sandbox):
    whole = TokenAccount.total([account_of(sandbox, LOOP), account_of(sandbox, "shop.order(1)")])

    assert (whole.calls, whole.executions, whole.code_mode_loses) == (51, 2, False)


def test_each_call_is_counted_as_a_model_would_have_read_and_written_it(sandbox: Sandbox):
    execution = sandbox.run_code("shop.cancel(7)\nshop.order(number='x')")
    done, failed = execution.tool_calls

    name = count("shop/cancel").tokens
    assert done.argument_tokens == name + count('{"number":7}').tokens
    assert done.result_tokens == count("7 is cancelled").tokens
    assert failed.result_tokens == count(failed.message).tokens


def test_the_account_is_in_the_json(sandbox: Sandbox):
    told = json.loads(sandbox.run_code("shop.order(1)").to_json())

    assert told["token_account"]["calls"] == 1
    assert told["tool_calls"][0]["result_tokens"] > 10


def test_a_large_result_is_counted_by_its_beginning_and_said_to_be_an_estimate():
    def large() -> str:
        """Much."""
        return "word " * 2_000_000

    with Sandbox(tools=Tools(toolset=Toolset.of(large), account=True)) as sandbox:
        execution = sandbox.run_code("len(large())")

    (call,) = execution.tool_calls
    assert call.result_tokens == pytest.approx(2_000_000, rel=0.01)
    assert execution.token_account is not None
    assert execution.token_account.is_estimate


def test_bytes_are_no_text():
    def picture() -> bytes:
        """A picture."""
        return b"x" * 1_000_000

    with Sandbox(tools=Tools(toolset=Toolset.of(picture), account=True)) as sandbox:
        (call,) = sandbox.run_code("len(picture())").tool_calls

    assert call.result_tokens is not None
    assert call.result_tokens < 10


def test_who_does_not_ask_gets_none():
    with Sandbox(tools=SHOP) as sandbox:
        execution = sandbox.run_code("shop.order(1)")

    (call,) = execution.tool_calls
    assert (execution.token_account, call.argument_tokens, call.result_tokens) == (None, None, None)


def test_in_asyncio_it_is_the_same():
    async def main() -> TokenAccount | None:
        async with AsyncSandbox(tools=Tools(toolset=SHOP, account=True)) as sandbox:
            return (await sandbox.run_code(LOOP)).token_account

    found = asyncio.run(main())
    assert found is not None
    assert (found.calls, found.code_mode_loses) == (50, False)


def test_a_pinned_name_that_fits_nothing_is_said_before_anything_runs():
    tools = Tools(toolset=SHOP, account=True, pinned=["shop.oder"])
    with (
        Sandbox(tools=tools) as sandbox,
        pytest.raises(PolicyError, match=r"pinned has 'shop\.oder'"),
    ):
        sandbox.run_code("1")


# -- the catalogue of a sandbox ----------------------------------------------------------------------


class Growing:
    """A source whose list of tools changes."""

    def __init__(self, tools: tuple[Tool, ...]) -> None:
        self.name = "shop"
        self.changed: Any = None
        self.listed = tools

    async def start(self) -> None: ...

    async def tools(self) -> tuple[Tool, ...]:
        return self.listed

    async def close(self) -> None: ...


def test_a_sandbox_shows_its_tools_and_the_paths_are_those_inside():
    with Sandbox(tools=Tools(toolset=SHOP, direct=["shop.cancel"])) as sandbox:
        found = sandbox.catalogue()
        there = sandbox.run_code("sorted(each.name for each in tools)").text

    assert (found.level, found.direct) == ("full", {"shop__cancel": "shop/cancel"})
    assert there == "['shop.cancel', 'shop.order']"
    assert all(name in found.description for name in ("shop.cancel", "def order"))


def test_a_direct_tool_can_be_called_with_the_name_that_the_view_says():
    tools = Tools(toolset=SHOP, direct=["shop.cancel"])
    with Sandbox(tools=tools) as sandbox:
        tool_id = sandbox.catalogue().direct["shop__cancel"]

        assert (
            sandbox.run_code(f"call_tool({tool_id!r}, {{'number': 3}})").text == "'3 is cancelled'"
        )


def test_what_is_shown_stays_the_same_until_it_is_asked_for_anew():
    both = asyncio.run(SHOP.tools())
    source = Growing(both[:1])
    with Sandbox(tools=Toolset.source(source)) as sandbox:
        first = sandbox.catalogue()
        source.listed = both
        source.changed()
        same, inside = sandbox.catalogue(), sandbox.run_code("len(tools)").text
        anew = sandbox.catalogue(refresh=True)

    assert (same is first, inside) == (True, "2")
    assert anew.changes.notice() == (
        "The definitions of tools are other ones than last time: 1 new: shop/cancel"
    )
    assert "def cancel" in anew.text
    assert not first.changes


def test_both_faces_show_the_same():
    async def main() -> View:
        async with AsyncSandbox(tools=SHOP) as sandbox:
            found = await sandbox.catalogue()
            assert await sandbox.catalogue() is found
            return found

    with Sandbox(tools=SHOP) as sandbox:
        assert asyncio.run(main()) == sandbox.catalogue()


def test_a_sandbox_without_tools_and_a_closed_one_have_no_catalogue():
    with Sandbox() as sandbox, pytest.raises(PolicyError, match="has no tools to be shown"):
        sandbox.catalogue()
    with Sandbox(tools=SHOP) as closed:
        pass
    with pytest.raises(ClosedError):
        closed.catalogue()


def test_a_server_that_cannot_be_reached_is_an_error_of_the_caller():
    broken = Toolset.mcp("/nonexistent/server", name="gone")
    with Sandbox(tools=broken) as sandbox, pytest.raises(ToolError, match="could not be started"):
        sandbox.catalogue()
