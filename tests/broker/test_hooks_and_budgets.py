"""What the caller of a sandbox says about its calls: who approves, who hears of them, how much there is of each."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from protocell.calls import ToolCall
from protocell.errors import PolicyError
from protocell.tools import (
    Approval,
    ApprovalRequest,
    Budget,
    CallNumber,
    Question,
    Reply,
    ThreadCall,
    ToolError,
    ToolLimits,
    Tools,
    Toolset,
)
from tests.broker.conftest import Open


def asking(toolset: Toolset) -> Toolset:
    return toolset.permit({"host/echo": "ask"})


def test_a_rule_can_stand_in_place_of_a_person(open_line: Open):
    assert open_line(change=asking, approve="allow").tools["echo"](1) == 1

    with pytest.raises(PermissionError, match="all that is asked about is denied"):
        open_line(change=asking, approve="deny").tools["echo"](1)


def test_who_approves_in_a_thread_holds_up_no_other_call(open_line: Open):
    asked, decided = threading.Event(), threading.Event()

    def approve(_request: ApprovalRequest) -> bool:
        asked.set()
        return decided.wait(20)

    session = open_line(change=asking, approve=approve)
    values: list[int] = []
    waiting = threading.Thread(target=lambda: values.append(session.tools["echo"](1)))
    waiting.start()
    assert asked.wait(20)
    assert session.tools["blocking"](4) == 5
    decided.set()
    waiting.join(20)

    assert values == [1]


def test_a_person_in_a_thread_has_a_time_limit_too(open_line: Open):
    over = threading.Event()

    def approve(_request: ApprovalRequest) -> bool:
        return over.wait(20)

    limits = ToolLimits(approval_seconds=0.05)
    try:
        with pytest.raises(PermissionError, match=r"nobody decided within 0\.05 s"):
            open_line(limits, change=asking, approve=approve).tools["echo"](1)
    finally:
        over.set()


def test_hooks_hear_of_each_call(open_line: Open):
    heard: list[tuple[str, Any]] = []

    def before(request: ApprovalRequest) -> None:
        heard.append((request.tool, dict(request.arguments)))

    async def after(call: ToolCall) -> None:
        await asyncio.sleep(0)
        heard.append((call.tool, call.outcome))

    session = open_line(before=before, after=after)
    session.tools["echo"](1)
    with pytest.raises(RuntimeError, match="the disk is full"):
        session.tools["fail"]("the disk is full")

    assert heard == [
        ("host/echo", {"value": 1}),
        ("echo", "ok"),
        ("host/fail", {"text": "the disk is full"}),
        ("fail", "error"),
    ]


def test_a_hook_before_can_keep_a_call_from_being_made(open_line: Open):
    def before(_request: ApprovalRequest) -> None:
        raise ToolError("not on a Sunday", kind="denied")

    session = open_line(before=before)
    with pytest.raises(PermissionError, match="not on a Sunday"):
        session.tools["echo"](1)

    assert session.world.seen == []


def test_a_hook_after_can_keep_an_answer_from_the_code(open_line: Open):
    def after(call: ToolCall) -> None:
        if call.result_bytes > 10:
            raise ToolError("that is a secret", kind="denied")

    session = open_line(after=after)
    assert session.tools["echo"]("x") == "x"
    with pytest.raises(PermissionError, match="that is a secret"):
        session.tools["echo"]("a secret of some length")
    session.finish()

    assert [(call.outcome, call.ran) for call in session.counter.calls] == [
        ("ok", True),
        ("withheld", True),
    ]


@pytest.mark.parametrize("name", ["before", "after"])
def test_a_hook_that_fails_denies_and_tells_nothing(open_line: Open, name: str):
    def hook(_about: Any) -> None:
        raise ZeroDivisionError("of the host's own")

    ran = "host/echo has run, and its answer is withheld: " if name == "after" else ""
    with pytest.raises(PermissionError, match=rf"^{ran}{name}= failed \(ZeroDivisionError\)$"):
        open_line(**{name: hook}).tools["echo"](1)


def test_a_tool_has_a_budget_of_calls(open_line: Open):
    session = open_line(budgets={"host/echo": Budget(calls=2)})
    session.tools["echo"](1)
    session.tools["echo"](2)
    with pytest.raises(
        RuntimeError, match=r"^host/echo may make 2 calls, and this is one more; do"
    ):
        session.tools["echo"](3)

    assert session.tools["blocking"](4) == 5
    assert session.world.seen == [1, 2]


def test_an_id_counts_before_globs_and_each_tool_has_its_own(open_line: Open):
    session = open_line(budgets={"host/*": Budget(calls=1), "host/echo": Budget(calls=2)})
    for _ in range(2):
        session.tools["echo"](1)
    session.tools["blocking"](1)
    with pytest.raises(RuntimeError, match="host/blocking may make 1 calls"):
        session.tools["blocking"](1)


def test_a_tool_has_a_budget_of_bytes_and_so_has_the_execution(open_line: Open):
    session = open_line(budgets={"host/echo": Budget(total_bytes=1_000)})
    session.tools["echo"]("x" * 900)
    with pytest.raises(RuntimeError, match="host/echo has been given 1804 bytes by its calls"):
        session.tools["echo"]("x" * 900)

    whole = open_line(ToolLimits(total_bytes=1_000))
    whole.tools["blocking"](1)
    with pytest.raises(RuntimeError, match="this execution has been given"):
        whole.tools["echo"]("x" * 1_000)


def test_a_tool_has_a_time_of_its_own(open_line: Open):
    session = open_line(budgets={"host/stay": Budget(call_seconds=0.05)})
    with pytest.raises(
        TimeoutError, match=r"host/stay had not answered after 0\.05 s; was cancelled"
    ):
        session.tools["stay"]("one")

    assert session.world.cancelled == ["one"]


def test_calls_of_one_tool_wait_for_each_other(open_line: Open):
    session = open_line(budgets={"host/echo": Budget(at_once=1)})

    async def main() -> None:
        await asyncio.gather(*(session.tools["echo"](n, seconds=0.01) for n in range(4)))

    asyncio.run(main())

    assert session.world.most_at_once == 1


def test_what_nobody_can_cancel_is_told_as_that(open_line: Open):
    over = threading.Event()

    def slow() -> bool:
        """Take some time."""
        return over.wait(20)

    def with_slow(toolset: Toolset) -> Toolset:
        return toolset + Toolset.of(slow, name="more")

    session = open_line(ToolLimits(call_seconds=0.05), change=with_slow)
    try:
        with pytest.raises(TimeoutError, match="it goes on, and may still have its effect"):
            session.tools["call_tool"]("more/slow")
    finally:
        over.set()


@pytest.mark.parametrize("budgets", [5, {"x": 5}, {5: Budget()}, [Budget()]])
def test_what_is_no_budget_is_refused(budgets: Any):
    with pytest.raises(PolicyError, match="allowed is a mapping of tools to Budget"):
        Tools(toolset=Toolset(), budgets=budgets)


@pytest.mark.parametrize(
    "field", [{"calls": 0}, {"seconds": "1"}, {"at_once": True}, {"calls": 1.5}]
)
def test_what_is_no_bound_is_refused(field: dict[str, Any]):
    with pytest.raises(PolicyError, match="allowed is a number above 0, or None"):
        Budget(**field)


def test_an_approval_with_other_arguments_is_in_the_log(open_line: Open):
    async def approve(_request: ApprovalRequest) -> Approval:
        return Approval(allowed=True, arguments={"value": 2})

    session = open_line(change=asking, approve=approve)
    assert session.tools["echo"](1) == 2
    session.finish()

    (call,) = session.counter.calls
    assert (call.arguments, call.approved_arguments) == ({"value": 1}, {"value": 2})


def test_a_rule_that_takes_its_time_holds_up_no_other_call(open_line: Open):
    asked, decided = threading.Event(), threading.Event()

    def rule(_arguments: Mapping[str, Any]) -> bool:
        asked.set()
        return decided.wait(20)

    session = open_line(change=lambda tools: tools.permit({"host/echo": rule}))
    values: list[int] = []
    waiting = threading.Thread(target=lambda: values.append(session.tools["echo"](1)))
    waiting.start()
    assert asked.wait(20)
    assert session.tools["blocking"](4) == 5
    decided.set()
    waiting.join(20)

    assert values == [1]


@pytest.mark.parametrize("who", ["rule", "before", "after"])
def test_who_never_comes_to_an_end_denies_after_a_time(open_line: Open, who: str):
    over = threading.Event()

    def wait(_about: Any) -> bool:
        return over.wait(20)

    limits = ToolLimits(approval_seconds=0.05)
    late = "its rule had not decided" if who == "rule" else f"{who}= had not returned"
    if who == "rule":
        session = open_line(limits, lambda tools: tools.permit({"host/echo": wait}))
    else:
        session = open_line(limits, **{who: wait})
    try:
        with pytest.raises(PermissionError, match=rf"{late} within 0\.05 s"):
            session.tools["echo"](1)
    finally:
        over.set()


@pytest.mark.parametrize("error", [SystemExit, StopIteration])
@pytest.mark.parametrize("who", ["rule", "approve", "before", "after"])
def test_no_exception_of_the_callers_functions_ends_the_loop_of_all_tools(
    open_line: Open, who: str, error: type[BaseException]
):
    def fail(_about: Any) -> bool:
        raise error

    if who == "rule":
        session = open_line(change=lambda tools: tools.permit({"host/echo": fail}))
    else:
        change = asking if who == "approve" else lambda tools: tools
        session = open_line(ToolLimits(approval_seconds=20), change, **{who: fail})
    with pytest.raises(PermissionError):
        session.tools["echo"](1)
    if who in ("rule", "approve"):
        assert session.tools["blocking"](4) == 5


@pytest.mark.parametrize("error", [SystemExit, ValueError])
def test_who_fails_to_ask_a_person_costs_that_call_alone(
    open_line: Open, error: type[BaseException]
):
    def work(call: ThreadCall) -> str:
        """Ask."""
        return call.ask(Question(text="Really?")).action

    async def ask(_question: Question) -> Reply:
        raise error("of the host's own")

    session = open_line(change=lambda _: Toolset.of(work, len, name="host"), ask=ask)
    with pytest.raises(PermissionError, match=rf"^ask= failed \({error.__name__}\)$"):
        session.tools["call_tool"]("host/work")

    assert session.tools["call_tool"]("host/len", {"obj": "abc"}) == 3


def test_a_hook_sees_what_the_function_gets(open_line: Open):
    def read(path: str, times: int = 1) -> str:
        """Read a file."""
        return path * times

    heard: list[Any] = []
    toolset = Toolset.of(read, name="host")
    session = open_line(
        change=lambda _: toolset, before=lambda request: heard.append(dict(request.arguments))
    )
    assert session.tools["call_tool"]("host/read", {"path": b"/etc", "times": "2"}) == "/etc/etc"

    assert heard == [{"path": "/etc", "times": 2}]


def test_a_hook_sees_what_the_function_gets_of_what_a_person_put_in_place(open_line: Open):
    def double(number: int) -> int:
        """Twice as much."""
        return 2 * number

    heard: list[Any] = []
    toolset = Toolset.of(double, name="host").permit({"double": "ask"})
    session = open_line(
        change=lambda _: toolset,
        approve=lambda _: Approval(allowed=True, arguments={"number": "4"}),
        before=lambda request: heard.append(dict(request.arguments)),
    )
    assert session.tools["call_tool"]("host/double", {"number": 1}) == 8

    assert heard == [{"number": 4}]


def test_calls_beside_each_other_that_are_asked_about_once_wait_for_one_answer(open_line: Open):
    asked: list[int] = []

    async def approve(request: ApprovalRequest) -> bool:
        asked.append(request.call)
        await asyncio.sleep(0.05)
        return True

    session = open_line(
        change=lambda tools: tools.permit({"host/echo": "ask_once"}), approve=approve
    )

    async def main() -> list[int]:
        return list(await asyncio.gather(*(session.tools["echo"](n) for n in range(5))))

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]
    assert len(asked) == 1


def test_where_nobody_answers_those_that_wait_for_one_answer_do_not_wait_one_after_the_other(
    open_line: Open,
):
    asked: list[int] = []

    async def approve(request: ApprovalRequest) -> bool:
        asked.append(request.call)
        await asyncio.Event().wait()
        return True

    session = open_line(
        ToolLimits(approval_seconds=0.2),
        change=lambda tools: tools.permit({"host/echo": "ask_once"}),
        approve=approve,
    )

    async def main() -> list[Any]:
        calls = [session.tools["echo"](n) for n in range(20)]
        return await asyncio.gather(*calls, return_exceptions=True)

    assert {str(error) for error in asyncio.run(main())} == {
        "host/echo was not called: nobody decided within 0.2 s"
    }
    assert len(asked) <= 2


def test_what_waits_for_a_thread_when_its_time_is_up_was_cancelled(open_line: Open):
    over = threading.Event()
    ran: list[int] = []

    def stay(number: int) -> int:
        """Until it is let go."""
        ran.append(number)
        over.wait(20)
        return number

    session = open_line(
        ToolLimits(at_once=1, call_seconds=0.05),
        change=lambda _: Toolset.of(stay, name="host"),
    )
    try:
        with pytest.raises(TimeoutError, match="it goes on"):
            session.tools["call_tool"]("host/stay", {"number": 1})
        with pytest.raises(TimeoutError, match="was cancelled"):
            session.tools["call_tool"]("host/stay", {"number": 2})
    finally:
        over.set()

    assert ran == [1]


def test_who_hears_of_progress_knows_whose_it_is(open_line: Open):
    def work(call: ThreadCall) -> None:
        """Take a while."""
        call.progress("half of it", 1, 2)

    heard: list[Any] = []

    def hear(call: CallNumber, text: str, done: float | None, total: float | None) -> None:
        heard.append((call, call.tool, call.execution, text, done, total))

    session = open_line(change=lambda _: Toolset.of(work, name="host"), on_progress=hear)
    session.tools["call_tool"]("host/work")

    assert heard == [(1, "host/work", 1, "half of it", 1, 2)]


def test_what_an_error_brings_along_counts_as_a_value_does(open_line: Open):
    def refuse(size: int) -> None:
        """Say no, at length."""
        raise ToolError("no " * 10_000, data="x" * size)

    limits = ToolLimits(result_bytes=40_000, total_bytes=60_000)
    session = open_line(limits, change=lambda _: Toolset.of(refuse, name="host"))
    found = []
    for size in (30_000, 50_000, 30_000, 10):
        with pytest.raises(RuntimeError) as caught:
            session.tools["call_tool"]("host/refuse", {"size": size})
        data: Any = getattr(caught.value, "data", None)
        found.append((len(str(caught.value)) <= 8_000, data and len(data)))

    assert found == [(True, 30_000), (True, None), (True, None), (True, None)]


def failing_rule(_arguments: Mapping[str, Any]) -> bool:
    raise KeyError("of the host's own")


@pytest.mark.parametrize(
    "rule, how",
    [
        (failing_rule, "its rule failed (KeyError)"),
        (lambda _: "alow", "its rule returned 'alow'; allowed are allow, ask_once, ask, deny"),
        (lambda _: 5, "its rule returned int; allowed are"),
    ],
)
def test_a_rule_that_fails_is_told_the_host_and_to_the_code_it_is_a_denial(
    open_line: Open, caplog: pytest.LogCaptureFixture, rule: Any, how: str
):
    session = open_line(change=lambda tools: tools.permit({"host/echo": rule}))
    with pytest.raises(PermissionError) as caught:
        session.tools["echo"](1)
    session.finish()

    assert str(caught.value) == (
        "host/echo was not called: a rule of this sandbox denies it with these arguments"
    )
    (call,) = session.counter.calls
    assert call.message.startswith(f"host/echo was not called: {how}")
    (told,) = caplog.records
    assert (told.name, told.levelname) == ("protocell.tools", "ERROR")
    assert "a rule of permit() " in told.getMessage()
    assert bool(told.exc_info and told.exc_info[1]) == (rule is failing_rule)


@pytest.mark.parametrize("who", ["approve", "before", "after", "ask"])
def test_who_fails_is_in_the_hosts_log_with_its_traceback(
    open_line: Open, caplog: pytest.LogCaptureFixture, who: str
):
    def fail(_about: Any) -> Any:
        raise ZeroDivisionError("of the host's own")

    def work(call: ThreadCall) -> str:
        """Ask."""
        return call.ask(Question(text="Really?")).action

    rule = "ask" if who == "approve" else "allow"
    session = open_line(
        change=lambda _: Toolset.of(work, name="host").permit({"work": rule}),  # type: ignore[dict-item]
        **{who: fail},
    )
    with pytest.raises(PermissionError) as caught:
        session.tools["call_tool"]("host/work")

    assert "of the host's own" not in str(caught.value)
    told = caplog.records[0]
    assert (told.name, told.levelname) == ("protocell.tools", "ERROR")
    assert f"{who}= failed (ZeroDivisionError)" in told.getMessage()
    assert "of the host's own" in caplog.text


@pytest.mark.parametrize("said, is_allowed", [("allow", True), ("deny", False)])
def test_who_approves_may_say_it_in_the_words_of_rules(
    open_line: Open, said: str, *, is_allowed: bool
):
    session = open_line(change=asking, approve=lambda _: said)
    if is_allowed:
        assert session.tools["echo"](1) == 1
    else:
        with pytest.raises(PermissionError, match="it was asked for and denied"):
            session.tools["echo"](1)


def test_who_is_asked_by_tools_may_be_a_plain_function_that_waits(open_line: Open):
    def work(call: ThreadCall) -> str:
        """Ask."""
        return call.ask(Question(text="Really?")).action

    def ask(_question: Question) -> Reply:
        assert threading.current_thread() is not threading.main_thread()
        return Reply(action="accept")

    # With one thread for tools, which is that of the one who asks.
    session = open_line(
        ToolLimits(at_once=1, approval_seconds=20),
        change=lambda _: Toolset.of(work, name="host"),
        ask=ask,
    )
    assert session.tools["call_tool"]("host/work") == "accept"


def test_what_is_no_reply_is_told_as_that(open_line: Open):
    def work(call: ThreadCall) -> str:
        """Ask."""
        return call.ask(Question(text="Really?")).action

    session = open_line(change=lambda _: Toolset.of(work, name="host"), ask=lambda _: "yes")
    with pytest.raises(PermissionError, match=r"^ask= returned str; allowed is Reply"):
        session.tools["call_tool"]("host/work")


class Listener:
    async def __call__(self, *_about: Any) -> None:
        """Never awaited."""


async def listen(*_about: Any) -> None:
    """Never awaited."""


@pytest.mark.parametrize("listener", [listen, Listener()])
def test_who_hears_of_progress_is_no_coroutine_function(listener: Any):
    with pytest.raises(PolicyError, match=r"^on_progress is the coroutine function .* awaits"):
        Tools(toolset=Toolset(), on_progress=listener)


@pytest.mark.parametrize("edited", [{"value": 1, "seconds": "soon"}, {}, ["value"]])
def test_for_arguments_of_a_person_that_do_not_fit_the_code_is_not_blamed(
    open_line: Open, caplog: pytest.LogCaptureFixture, edited: Any
):
    session = open_line(change=asking, approve=lambda _: Approval(allowed=True, arguments=edited))
    told = "the arguments that the person who approved it put in place of the code's are invalid"
    with pytest.raises(PermissionError, match=f"^host/echo was not called: {told}"):
        session.tools["echo"](1)
    session.finish()

    (call,) = session.counter.calls
    assert (call.outcome, call.kind, call.ran) == ("error", "denied", False)
    assert told in caplog.records[0].getMessage()
    assert session.world.seen == []
