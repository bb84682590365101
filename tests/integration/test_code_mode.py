"""Tools as functions inside a real sandbox: called, raced, refused, cancelled, and there again after a restore."""

import asyncio
import gc
import itertools
import os
import re
import resource
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import protocell
from protocell import AsyncSandbox, Limits, Policy, Sandbox
from protocell._broker.runtime import of_this_process
from protocell.errors import SetupError, UnsupportedError
from protocell.tools import (
    Approval,
    ApprovalRequest,
    Call,
    Question,
    Reply,
    ToolLimits,
    Tools,
    Toolset,
)
from tests.integration.running import fine, output

of_this_process()  # the one loop of the blocking face, which stays until the process ends
SERVER = Path(__file__).parent.parent / "tools" / "servers" / "mcp_new.py"


class Orders:
    """A host's own code, with state."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.begun = threading.Event()
        self.cancelled = threading.Event()

    def order(self, number: int) -> dict[str, Any]:
        """One order by its number."""
        self.asked.append(number)
        return {"number": number, "total": number * 10}

    async def wait(self) -> None:
        """Wait for ever."""
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    async def pause(self, seconds: float) -> str:
        """Take some time."""
        await asyncio.sleep(seconds)
        return "rested"


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.fixture
def toolset(orders: Orders) -> Toolset:
    return Toolset.of(orders.order, orders.wait, orders.pause, name="shop")


def test_code_loops_over_a_tool_and_prints_what_matters(toolset: Toolset, orders: Orders):
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code("print(sum(order(n)['total'] for n in range(1, 101)))")

    assert execution.logs.stdout == ["50500\n"]
    assert orders.asked == list(range(1, 101))
    assert [call.outcome for call in execution.tool_calls] == ["ok"] * 100


def test_top_level_await_and_gather_work_as_in_a_notebook(toolset: Toolset):
    code = "import asyncio\nawait asyncio.gather(*[shop.order(n) for n in (1, 2)])"
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(code)

    assert execution.text == "[{'number': 1, 'total': 10}, {'number': 2, 'total': 20}]"


def test_tools_are_found_from_inside_in_the_same_program(toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(
            "hit = search_tools('order by number')[0]\n"
            "print(hit.id, 'One order' in str(describe('shop.order')), len(tools))"
        )

    assert execution.logs.stdout == ["shop/order True 3\n"]


def test_a_call_that_fails_is_an_error_of_the_code_with_its_own_frames_alone(toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code("def total(n):\n    return order(n)\ntotal('x')")

    assert execution.status == "error"
    assert execution.error is not None
    assert execution.error.name == "ToolValidationError"
    assert execution.error.traceback.count("File ") == 2
    assert [(call.outcome, call.kind) for call in execution.tool_calls] == [("error", "validation")]


def test_tools_are_there_after_a_restore_in_a_branch_and_in_a_further_context(toolset: Toolset):
    with Sandbox(tools=toolset, checkpoints=True) as sandbox:
        sandbox.run_code("before = order(1)")
        killed = sandbox.run_code("order(2)\nimport os; os._exit(1)")
        restored = sandbox.run_code("before['total'], order(3)['total']")
        (branch,) = sandbox.context.fork(1)
        further = sandbox.create_code_context()
        texts = [one.run_code("order(4)['total']").text for one in (branch, further)]

    assert (killed.state, len(killed.tool_calls)) == ("restored", 1)
    assert (restored.text, texts) == ("(10, 30)", ["40", "40"])


def test_variables_tell_what_the_code_made_and_not_the_tools(toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        sandbox.run_code("mine = order(1)")

        assert [variable.name for variable in sandbox.context.variables()] == ["mine"]


def test_the_time_that_a_tool_takes_is_not_the_codes(toolset: Toolset):
    policy = Policy(limits=Limits(wall_seconds=0.4))
    with Sandbox(policy, tools=toolset) as sandbox:
        rested = sandbox.run_code("pause(1.0)")
        busy = sandbox.run_code("pause(0.5)\nwhile True: pass")

    assert (rested.status, rested.text) == ("ok", "'rested'")
    assert busy.status == "timeout"


def test_code_that_computes_beside_a_call_uses_up_its_processor_time(toolset: Toolset):
    policy = Policy(limits=Limits(wall_seconds=0.2, cpu_seconds=0.5))
    code = "import threading\nthreading.Thread(target=wait, daemon=True).start()\n"
    with Sandbox(policy, tools=toolset) as sandbox:
        execution = sandbox.run_code(code + "pause(0.1)\nwhile True: pass")

    assert execution.status == "timeout"
    assert "cpu_seconds" in execution.reason


def test_an_interrupt_ends_the_wait_for_a_tool_and_the_tool(toolset: Toolset, orders: Orders):
    with Sandbox(tools=toolset) as sandbox:
        stopper = threading.Thread(target=lambda: orders.begun.wait(30) and sandbox.interrupt())
        stopper.start()
        execution = sandbox.run_code("x = 1\nwait()")
        stopper.join()

        assert execution.error is not None
        assert (execution.error.name, execution.state) == ("KeyboardInterrupt", "kept")
        assert orders.cancelled.wait(30)
        assert [call.outcome for call in execution.tool_calls] == ["cancelled"]
        assert sandbox.run_code("x, order(1)['number']").text == "(1, 1)"


def test_code_that_is_killed_in_a_call_takes_the_call_along(toolset: Toolset, orders: Orders):
    code = "import os, threading, time\nthreading.Thread(target=wait, daemon=True).start()\n"
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(code + "pause(0.1)\nos.kill(os.getpid(), 9)")

        assert execution.status == "killed"
        assert orders.cancelled.wait(30)
        assert sorted(call.outcome for call in execution.tool_calls) == ["cancelled", "ok"]


def test_a_process_that_the_code_starts_cannot_call(toolset: Toolset):
    code = """
import os
reader, writer = os.pipe()
if os.fork() == 0:
    try:
        order(1)
    except ConnectionError as error:
        os.write(writer, str(error).encode())
    os._exit(0)
os.wait()
os.read(reader, 1000).decode()[:60]
"""
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(code)

    assert execution.text == "'tools are called from the process that runs the code, not fr'"


@pytest.mark.parametrize("tool", ["order", "shop.order"])
def test_a_pool_of_processes_is_told_that_they_cannot_call(toolset: Toolset, tool: str):
    code = f"from concurrent.futures import ProcessPoolExecutor as Pool\nlist(Pool(1).map({tool}, [1]))"
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(code)

    assert execution.error is not None
    assert execution.error.name == "ToolTransportError"
    assert execution.error.value.startswith("tools are called from the process that runs the code")


def test_what_was_still_going_on_at_the_end_of_the_code_is_told(toolset: Toolset, orders: Orders):
    wait = (
        "import asyncio\n"
        "async def w(): await shop.wait()\n"
        "t, s = asyncio.create_task(w()), asyncio.create_task(w())\n"
        "await asyncio.sleep(0)\n"
        "shop.order(1)\n"
    )
    with Sandbox(tools=toolset) as sandbox:
        left = sandbox.run_code(f"{wait}2")
        given_up = sandbox.run_code(
            f"{wait}t.cancel(), s.cancel()\nawait asyncio.wait([t, s])\norder(2)['number']"
        )

    assert (left.status, left.text) == ("ok", "2")
    assert left.warnings == [
        (
            "2 calls of tools were still going on when the code ended, and were cancelled: "
            "shop.wait (2 times). Wait for calls whose effect or value matters."
        )
    ]
    assert [call.outcome for call in given_up.tool_calls] == [
        "cancelled",
        "cancelled",
        "ok",
        "ok",
    ]
    assert (given_up.text, given_up.warnings) == ("2", [])


def test_who_approves_is_asked_while_the_sandbox_lives(toolset: Toolset):
    asked: list[ApprovalRequest] = []

    async def approve(request: ApprovalRequest) -> Approval:
        asked.append(request)
        await asyncio.sleep(0.6)
        return Approval(allowed=request.arguments["number"] != 2, reason="two is private")

    policy = Policy(limits=Limits(wall_seconds=0.5))
    tools = Tools(toolset=toolset.permit({"shop/order": "ask"}), approve=approve)
    with Sandbox(policy, tools=tools) as sandbox:
        allowed = sandbox.run_code("order(1)['total']")
        denied = sandbox.run_code("order(2)")

    assert allowed.text == "10"
    assert denied.error is not None
    assert (denied.error.name, "two is private" in denied.error.value) == ("ToolDeniedError", True)
    assert [one.arguments["number"] for one in asked] == [1, 2]


def test_budgets_hold_for_each_execution_anew(toolset: Toolset):
    tools = Tools(toolset=toolset, limits=ToolLimits(calls=2))
    code = "done = []\nfor n in range(4): done.append(order(n))"
    with Sandbox(tools=tools) as sandbox:
        first, second = sandbox.run_code(code), sandbox.run_code(code)

    for execution in (first, second):
        assert execution.error is not None
        assert execution.error.name == "ToolBudgetError"
        assert [call.outcome for call in execution.tool_calls] == ["ok", "ok", "error"]


def test_in_asyncio_tools_run_in_the_callers_loop():
    async def main() -> tuple[str | None, bool]:
        loop, seen = asyncio.get_running_loop(), []

        async def here() -> str:
            """Where am I?"""
            seen.append(asyncio.get_running_loop() is loop)
            return "here"

        async with AsyncSandbox(tools=Toolset.of(here)) as sandbox:
            execution = await sandbox.run_code("here()")
        return execution.text, all(seen)

    assert asyncio.run(main()) == ("'here'", True)


def test_a_real_mcp_server_is_a_namespace():
    server = Toolset.mcp([sys.executable, str(SERVER), "stdio"], name="remote")
    with server as toolset, Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(
            "person = remote.get_person('Ada')\n"
            "remote.add(a=2, b=3), type(person).__name__, 'get_person' in dir(remote)"
        )
        failed = sandbox.run_code("remote.fail(why='no paper')")

    assert execution.text == "(5, 'dict', True)"
    assert failed.error is not None
    assert "no paper" in failed.error.value


def test_without_the_kernel_there_are_no_tools(toolset: Toolset):
    with (
        Sandbox(Policy(isolation="process"), tools=toolset) as sandbox,
        pytest.raises(UnsupportedError, match="tools"),
    ):
        sandbox.run_code("1")


def test_what_is_no_toolset_is_refused():
    with pytest.raises(protocell.PolicyError, match="allowed is a Toolset"):
        Sandbox(tools=[print])  # type: ignore[arg-type]


def test_a_variable_of_the_code_is_not_lost_to_a_tool_of_its_name():
    def price(item: str):
        """A price; nothing is promised of its type."""
        return {"item": item, "cents": 5}

    with Sandbox(tools=Toolset.of(price, name="shop")) as sandbox:
        # What was learned of its value has the tools told anew before the next execution.
        sandbox.run_code("mine = price('tea'); price = 7")

        assert sandbox.run_code("price, shop.price('tea')['cents']").text == "(7, 5)"


def test_a_sandbox_used_once_has_tools_too(toolset: Toolset, orders: Orders):
    execution = protocell.run_code("[order(n)['total'] for n in range(3)]", tools=toolset)

    assert execution.text == "[0, 10, 20]"
    assert orders.asked == [0, 1, 2]
    assert [call.tool for call in execution.tool_calls] == ["order"] * 3


def test_a_question_of_a_tool_stops_its_clock(toolset: Toolset):
    async def ask(_question: Question) -> Reply:
        await asyncio.sleep(0.5)
        return Reply(action="accept", content={"size": "large"})

    async def choose(call: Call) -> str:
        """Ask a person."""
        reply = await call.ask(Question(text="Which size?"))
        return str((reply.content or {})["size"])

    tools = Tools(toolset=Toolset.of(choose), ask=ask, limits=ToolLimits(call_seconds=0.3))
    with Sandbox(tools=tools) as sandbox:
        execution = sandbox.run_code("choose()")

    assert execution.text == "'large'"
    assert execution.tool_calls[0].asked_seconds > 0.4


@pytest.mark.parametrize("policy", [Policy(), Policy(allow_imports=["json"])])
def test_a_namespace_of_tools_can_be_imported(toolset: Toolset, policy: Policy):
    with Sandbox(policy, tools=toolset) as sandbox:
        code = "import shop\nfrom shop import order\nimport shop as s\n"
        first = sandbox.run_code(
            f"{code}[each['total'] for each in (shop.order(1), order(2), s.order(3))]"
        )
        later = sandbox.run_code(
            "import sys\ns is shop, s.order(4)['total']"
            if policy == Policy()
            else "s.order(4)['total']"
        )

    assert first.text == "[10, 20, 30]"
    assert later.text == ("(True, 40)" if policy == Policy() else "40")


def test_a_module_of_the_name_of_a_namespace_is_what_is_imported(toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        sandbox.files.write("shop.py", "mine = 1")
        execution = sandbox.run_code(
            "import shop\nshop.mine, call_tool('shop/order', number=1)['total']"
        )

    assert execution.text == "(1, 10)"


def test_help_tells_of_tools_and_of_nothing_else(toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        text = output(fine(sandbox.run_code("help(shop)\nhelp(shop.order.raw)\nhelp(call_tool)")))

    assert "order(number: int) -> dict" in text
    assert "  # One order by its number." in text
    assert "As shop.order, with all that the tool gave" in text
    assert "Help on function call_tool in module __main__" in text
    assert not {"protocell_guest", "toolbox", "_made", "*args"} & set(re.split(r"[ \n.(]", text))


def take_descriptors_but(count: int) -> list[int]:
    """All but so many, taken."""
    taken: list[int] = []
    with pytest.raises(OSError, match="Too many open files"):
        taken.extend(os.dup(0) for _ in itertools.count())
    for _ in range(count):
        os.close(taken.pop())
    return taken


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_descriptors")
def test_calls_that_get_no_line_for_want_of_descriptors_leave_nothing_open(toolset: Toolset):
    with Sandbox(tools=toolset) as sandbox:
        fine(sandbox.run_code("shop.order(1)"))
        before = len(os.listdir("/proc/self/fd"))
        for free in (1, 2):
            taken = take_descriptors_but(free)
            try:
                with pytest.raises(SetupError):
                    sandbox.run_code("shop.order(2)")
            finally:
                for descriptor in taken:
                    os.close(descriptor)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before
        fine(sandbox.run_code("shop.order(3)"))
