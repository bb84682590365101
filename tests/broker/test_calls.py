"""Calls as model code writes them, over a real socket, to tools that run in the host's loop."""

import asyncio
import contextlib
import importlib
import inspect
import linecache
import pydoc
import threading
import warnings
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import CodeType
from typing import Any

import pytest

from protocell.tools.approval import Approval, ApprovalRequest
from protocell.tools.limits import ToolLimits
from protocell_guest.guest.tool_calls import UnawaitedToolCall
from protocell_guest.guest.tool_errors import ToolError
from protocell_guest.guest.tool_spaces import is_as_made
from protocell_guest.guest.toolbox import Toolbox
from tests.broker.conftest import CARDS, Open, Session


def run(session: Session, code: str) -> dict[str, Any]:
    """Run code that has the tools as globals."""
    names = dict(session.tools)
    exec(compile(code, "<cell 1>", "exec"), names)
    return names


@pytest.mark.parametrize(
    "call",
    [
        "echo(5)",
        "echo(value=5)",
        "echo({'value': 5})",
        "host.echo(5)",
        "call_tool('host/echo', {'value': 5})",
        "call_tool('host/echo', value=5)",
        "blocking(4)",
    ],
)
def test_a_call_in_any_shape_gives_the_value(open_line: Open, call: str):
    assert run(open_line(), f"x = {call}")["x"] == 5


@pytest.mark.parametrize(
    "call, error, words",
    [
        ("echo()", ValueError, "value is missing. Parameters: value*, seconds"),
        ("echo(1, 2, 3)", ValueError, "takes 2 arguments by position, 3 are given"),
        ("echo(1, secnds=2)", ValueError, "seconds"),
        ("echo(1, seconds='soon')", ValueError, "seconds"),
        ("call_tool('host/ecko')", LookupError, "host/echo"),
        ("host.ecko(1)", AttributeError, "did you mean echo"),
        ("fail('the disk is full')", RuntimeError, "the disk is full"),
        ("echo(print)", ValueError, "host/echo: value cannot be sent: builtins.builtin_function"),
        ("call_tool('host/echo', {1: 2})", ValueError, "arguments have names"),
        ("call_tool(echo, {'value': 1})", ValueError, "takes the tool's name first"),
    ],
)
def test_a_call_that_fails_raises_what_it_is(
    open_line: Open, call: str, error: type[Exception], words: str
):
    with pytest.raises(error) as raised:
        run(open_line(), call)

    assert words in str(raised.value)
    if not isinstance(raised.value, AttributeError):
        assert isinstance(raised.value, ToolError)
        assert __file__.rpartition("/tests/")[0] not in str(raised.value)
        assert "Traceback" not in str(raised.value)


def test_awaited_gathered_and_used_as_its_value_a_call_is_one_and_the_same(open_line: Open):
    session = open_line()
    code = """
import asyncio
async def main():
    awaited = await echo(1)
    gathered = await asyncio.gather(echo(2), echo(3))
    task = asyncio.create_task(echo(4))
    async with asyncio.TaskGroup() as group:
        grouped = group.create_task(echo(5))
    value = echo(6) + 1
    item = echo({"key": 8})["key"]
    text = f"{echo(9)}"
    return [awaited, *gathered, await task, grouped.result(), value, item, text, len(echo([1, 2]))]
result = asyncio.run(main())
"""

    assert run(session, code)["result"] == [1, 2, 3, 4, 5, 7, 8, "9", 2]


# More than begin at once while nobody knows how large their answers are.
@pytest.mark.parametrize("count", [8, 40])
def test_calls_of_tasks_and_of_threads_overlap_on_the_host(open_line: Open, count: int):
    meet = open_line().tools["meet"]

    async def all_of_them() -> Any:
        return await asyncio.gather(*[meet(number, count) for number in range(count)])

    assert asyncio.run(all_of_them()) == list(range(count))
    with ThreadPoolExecutor(count) as pool:
        assert list(pool.map(lambda number: meet(number, count), range(count))) == list(
            range(count)
        )


def test_a_call_that_nobody_can_await_is_made_at_once(open_line: Open):
    session = open_line()
    run(session, "import asyncio\nasync def main():\n    echo('dropped')\nasyncio.run(main())")

    assert session.world.seen == ["dropped"]


def test_a_task_that_is_cancelled_cancels_the_call_on_the_host(open_line: Open):
    session = open_line()
    code = """
import asyncio
async def main():
    try:
        await asyncio.wait_for(stay("long"), 0.05)
    except TimeoutError:
        return await echo("after")
result = asyncio.run(main())
"""

    assert run(session, code)["result"] == "after"
    session.finish()
    assert session.world.cancelled == ["long"]
    assert [call.outcome for call in session.counter.calls] == ["cancelled", "ok"]


def test_a_call_without_names_for_its_arguments_does_not_end_the_line(open_line: Open):
    session = open_line()
    with pytest.raises(ToolError):
        run(session, "call_tool('host/echo', {1: 2})")

    assert session.tools["echo"](3) == 3


def test_a_lone_dict_is_all_arguments_of_a_tool_that_names_none(open_line: Open):
    session = open_line()
    free = [card | {"open": True, "parameters": []} for card in CARDS]
    session.toolbox.put(free)

    assert session.tools["echo"]({"value": 5}) == 5


def test_a_call_that_was_given_up_says_so_to_who_awaits_it_again(open_line: Open):
    code = """
import asyncio
async def main():
    call = stay("long")
    try:
        await asyncio.wait_for(call, 0.05)
    except TimeoutError:
        await call
asyncio.run(asyncio.wait_for(main(), 30))
"""
    with pytest.raises(ConnectionError, match="gave it up: call the tool once more"):
        run(open_line(), code)


def test_a_task_is_shown_without_waiting_for_its_call(open_line: Open):
    session = open_line()
    code = """
import asyncio
async def main():
    tasks = [asyncio.create_task(stay("long")), asyncio.create_task(fail("no"))]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return repr(tasks), tasks[1].exception()
result = asyncio.run(main())
"""
    shown, _ = run(session, code)["result"]

    assert shown.count("UnawaitedToolCall") == 2


def test_threads_that_wait_for_the_same_call_all_have_its_value(open_line: Open):
    session = open_line()
    line = session.toolbox._line
    assert line is not None
    first = line.begin("host/echo", {"value": 1, "seconds": 0.2})
    last = line.begin("host/echo", {"value": 2, "seconds": 0.4})  # whose thread reads for all
    values: list[Any] = []
    threads = [
        threading.Thread(target=lambda one=one: values.append(line.wait(one)), daemon=True)
        for one in (last, first, first, first)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert values == [1, 1, 1, 2]


def test_who_reads_in_a_loop_lets_a_thread_that_waits_read_on(open_line: Open):
    session = open_line()
    line = session.toolbox._line
    assert line is not None
    reply = line.begin("host/stay", {"name": "long"})
    reply.has_thread = True  # that found the loop reading, and went to sleep
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        line._read_in_loop(loop)

    assert not reply._bell.locked()


def test_a_line_that_broke_does_not_keep_a_loop_busy(open_line: Open):
    session = open_line()
    line = session.toolbox._line
    assert line is not None

    async def listen() -> None:
        await session.tools["echo"](1)
        assert len(line._loops) == 1
        session.finish()
        session.counter._line.close()
        async with asyncio.timeout(30):
            while line._loops:  # noqa: ASYNC110  (it is the loop itself that is looked at)
                await asyncio.sleep(0)

    asyncio.run(listen())


def test_a_process_that_the_code_has_started_leaves_a_call_on_its_way_alone(
    open_line: Open, monkeypatch: pytest.MonkeyPatch
):
    session = open_line()
    line = session.toolbox._line
    assert line is not None
    reply = line.begin("host/echo", {"value": 1})
    with monkeypatch.context() as child:
        child.setattr(line, "_process", -1)
        with pytest.raises(ConnectionError, match="from the process that runs the code"):
            line.wait(reply)

    assert line.wait(reply) == 1


def without_positions(code: CodeType) -> CodeType:
    """As Python compiles it with -X no_debug_ranges."""
    inner = [
        without_positions(each) if isinstance(each, CodeType) else each for each in code.co_consts
    ]
    return code.replace(co_linetable=b"", co_consts=tuple(inner))


def test_code_that_cannot_be_read_may_await_its_calls(open_line: Open):
    names = dict(open_line().tools)
    code = """
import asyncio
async def main():
    calls = [echo(number) for number in range(3)]
    return await asyncio.gather(*calls)
result = asyncio.run(main())
"""
    with contextlib.suppress(TypeError):  # whose traceback no one could show
        exec(without_positions(compile(code, "<cell 1>", "exec")), names)

    assert names.get("result") == [0, 1, 2]


def test_in_code_with_very_many_names_a_value_is_a_value_as_well(open_line: Open):
    many = "\n".join(f"    n{number} = {number}" for number in range(300))
    code = f"""
import asyncio
async def main():
{many}
    value = echo([1])
    calls = [echo(2)]
    return type(value), await asyncio.gather(*calls)
result = asyncio.run(main())
"""

    assert run(open_line(), code)["result"] == (list, [2])


def test_a_cell_that_is_looked_at_as_a_whole_is_not_warned_of_again(
    open_line: Open, monkeypatch: pytest.MonkeyPatch
):
    source = "import asyncio\nis_odd = 1 is 2\nvalue = echo(3)\nawait asyncio.sleep(0)\n"
    lines = source.splitlines(keepends=True)
    monkeypatch.setitem(linecache.cache, "<cell 1>", (len(source), None, lines, "<cell 1>"))
    names = dict(open_line().tools)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        code = compile(source, "<cell 1>", "exec", PyCF_ALLOW_TOP_LEVEL_AWAIT)
        asyncio.run(eval(code, names))

    assert names["value"] == 3
    assert [each.category for each in told] == [SyntaxWarning]


def test_what_still_runs_at_the_end_is_cancelled_and_told(open_line: Open):
    session = open_line()
    failures: list[BaseException] = []

    def call() -> None:
        try:
            session.tools["stay"]("left")
        except ToolError as error:
            failures.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    while not session.world.begun:
        session.tools["echo"](0)
    session.finish()
    session.counter._line.close()
    thread.join(30)

    assert session.world.cancelled == ["left"]
    assert session.counter.calls[0].outcome == "cancelled"
    assert [type(failure).__name__ for failure in failures] == ["ToolTransportError"]


def test_a_call_after_the_end_of_its_execution_is_told_so(open_line: Open):
    session = open_line()
    echo = session.tools["echo"]
    session.toolbox.close()

    with pytest.raises(ConnectionError, match="while an execution runs"):
        echo(1)


def test_help_signature_and_name_read_as_those_of_a_function(open_line: Open):
    echo = open_line().tools["host"].echo

    assert str(inspect.signature(echo)) == "(value: Any, seconds: Any = ...) -> Any"
    assert (echo.__name__, echo.__qualname__, echo.__doc__) == ("echo", "host.echo", "Do echo.")
    assert "echo(value: Any, seconds: Any = ...) -> Any" in pydoc.plain(pydoc.render_doc(echo))


def test_every_call_is_in_the_log_with_what_came_of_it(open_line: Open):
    session = open_line(redact={"text"})
    with contextlib.suppress(ToolError):
        session.tools["fail"]("secret")
    session.tools["echo"]([1, 2])
    session.finish()
    failed, done = session.counter.calls

    assert (failed.number, failed.server, failed.tool, failed.outcome, failed.kind) == (
        *(1, "host", "fail", "error"),
        "tool",
    )
    assert failed.arguments == {"text": "[redacted]"}
    assert (done.outcome, done.arguments, done.approval) == ("ok", {"value": [1, 2]}, "allowed")
    assert (done.result_bytes, done.seconds >= 0) == (len("[1,2]"), True)


# -- budgets ------------------------------------------------------------------------------------------


def test_a_call_too_many_is_refused_by_its_budget(open_line: Open):
    echo = open_line(ToolLimits(calls=2)).tools["echo"]
    echo(1), echo(2)

    with pytest.raises(RuntimeError, match="may make 2 calls"):
        echo(3)


def test_arguments_and_results_that_are_too_large_are_refused(open_line: Open):
    session = open_line(ToolLimits(argument_bytes=1000, result_bytes=500))
    with pytest.raises(RuntimeError, match="at most 1000"):
        session.tools["echo"]("x" * 2000)
    with pytest.raises(RuntimeError, match="at most 500"):
        session.tools["echo"]("x" * 600)


def test_a_tool_that_takes_too_long_is_cancelled(open_line: Open):
    session = open_line(ToolLimits(call_seconds=0.05))
    with pytest.raises(TimeoutError, match=r"had not answered after 0\.05 s"):
        session.tools["stay"]("slow")

    assert session.world.cancelled == ["slow"]


def test_no_more_run_at_once_than_may(open_line: Open):
    session = open_line(ToolLimits(at_once=3))
    echo = session.tools["echo"]

    async def all_of_them() -> Any:
        return await asyncio.gather(*[echo(number, seconds=0.01) for number in range(20)])

    assert asyncio.run(all_of_them()) == list(range(20))
    assert session.world.most_at_once == 3


def test_time_that_tools_take_is_counted_apart(open_line: Open):
    session = open_line()
    session.tools["echo"](1, 0.1)

    assert 0.09 < session.counter.paused() < 5


# -- approval -----------------------------------------------------------------------------------------


def test_a_rule_that_denies_is_told_as_a_denial(open_line: Open):
    session = open_line(change=lambda tools: tools.permit({"host/echo": "deny"}))
    with pytest.raises(PermissionError, match="denies it"):
        session.tools["echo"](1)

    assert session.world.seen == []


def test_who_is_asked_may_allow_deny_and_change_the_arguments(open_line: Open):
    asked: list[ApprovalRequest] = []

    async def approve(request: ApprovalRequest) -> Approval | bool:
        asked.append(request)
        value = request.arguments["value"]
        if value == "no":
            return Approval(allowed=False, reason="not on a Sunday")
        return Approval(allowed=True, arguments={"value": "edited"}) if value == "edit" else True

    session = open_line(change=lambda tools: tools.permit({"host/echo": "ask"}), approve=approve)
    echo = session.tools["echo"]

    assert echo("yes") == "yes"
    assert echo("edit") == "edited"
    with pytest.raises(PermissionError, match="not on a Sunday"):
        echo("no")
    assert [(one.tool, one.execution, one.call) for one in asked] == [
        ("host/echo", 1, 1),
        ("host/echo", 1, 2),
        ("host/echo", 1, 3),
    ]
    session.finish()
    assert [call.approval for call in session.counter.calls] == [
        "approved",
        "approved with other arguments",
        "",
    ]


def test_asked_once_is_asked_once_in_an_execution(open_line: Open):
    asked: list[ApprovalRequest] = []

    def approve(request: ApprovalRequest) -> bool:
        asked.append(request)
        return True

    session = open_line(change=lambda tools: tools.permit({"host/*": "ask_once"}), approve=approve)
    session.tools["echo"](1), session.tools["echo"](2), session.tools["blocking"](3)

    assert [one.tool for one in asked] == ["host/echo", "host/blocking"]


def test_without_anybody_to_ask_a_call_that_has_to_be_asked_for_is_denied(open_line: Open):
    session = open_line(change=lambda tools: tools.permit({"host/echo": "ask"}))

    with pytest.raises(PermissionError, match="nobody is there"):
        session.tools["echo"](1)


def test_a_decision_that_never_comes_is_a_denial(open_line: Open):
    async def approve(_request: ApprovalRequest) -> bool:
        await asyncio.Event().wait()
        return True

    session = open_line(
        ToolLimits(approval_seconds=0.05),
        change=lambda tools: tools.permit({"host/echo": "ask"}),
        approve=approve,
    )
    with pytest.raises(PermissionError, match=r"nobody decided within 0\.05 s"):
        session.tools["echo"](1)


def test_a_call_on_its_way_shows_its_value_and_nothing_else(open_line: Open):
    session = open_line()

    async def look() -> list[str]:
        calls = [session.tools["echo"]([1])]
        assert type(calls[0]) is UnawaitedToolCall
        shown = [repr(calls[0]), str(calls[0]), f"{calls[0]}"]
        await asyncio.gather(*calls)
        return shown

    assert asyncio.run(look()) == ["[1]", "[1]", "[1]"]


def raise_one() -> Any:
    raise ZeroDivisionError("of the host's own")


@pytest.mark.parametrize(
    "decide, told",
    [
        (raise_one, r"approve= failed \(ZeroDivisionError\)"),
        (lambda: "yes", "approve= returned str"),
    ],
)
def test_an_approver_that_fails_denies_and_the_code_is_not_left_waiting(
    open_line: Open, decide: Callable[[], Any], told: str
):
    session = open_line(
        change=lambda tools: tools.permit({"host/echo": "ask"}), approve=lambda _request: decide()
    )
    with pytest.raises(PermissionError, match=told):
        session.tools["echo"](1)

    assert session.world.seen == []


def test_time_with_a_person_is_not_the_tools(open_line: Open):
    async def approve(_request: ApprovalRequest) -> bool:
        await asyncio.sleep(0.3)
        return True

    session = open_line(
        ToolLimits(call_seconds=0.2, seconds=0.2),
        change=lambda tools: tools.permit({"host/echo": "ask"}),
        approve=approve,
    )

    assert [session.tools["echo"](number) for number in range(2)] == [0, 1]
    assert session.counter.paused() > 0.5


def test_a_call_that_nobody_awaited_holds_up_no_thread_that_waits(open_line: Open):
    session = open_line()
    echo, stay = session.tools["echo"], session.tools["stay"]
    forgotten: list[Any] = []

    async def forget(*, is_wanted: bool) -> None:
        call = stay("forgotten")
        forgotten.append(call)
        if is_wanted:
            await call

    asyncio.run(forget(is_wanted=False))
    assert [type(call) for call in forgotten] == [UnawaitedToolCall]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(echo, [1, 2], [0.05, 0.2], timeout=20)) == [1, 2]


def test_an_imported_namespace_has_what_is_offered_later():
    cards = {card["name"]: card | {"space": "depot"} for card in CARDS}
    toolbox = Toolbox([cards["echo"]])
    toolbox.names()
    try:
        imported = importlib.import_module("depot")
        old = imported.echo
        toolbox.put([cards["echo"] | {"doc": "Another one."}, cards["many"]])
        offered = toolbox.names()["depot"]

        assert imported is offered
        assert is_as_made(imported)
        assert (imported.echo is old, imported.echo.__doc__) == (False, "Another one.")
        assert dir(imported) == imported.__all__ == ["echo", "many"]
    finally:
        toolbox.put([])
        toolbox.names()
    with pytest.raises(ImportError):
        importlib.import_module("depot")
