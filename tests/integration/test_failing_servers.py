"""MCP servers that die, hang, flood and lie, seen from the code that calls them: an error that says how, and then on.

The servers are processes and speak what real ones do, over a pipe and over HTTP, in the protocols of several years.
What the source makes of each answer is in tests/tools; here it is what arrives inside, and that the next call works.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from protocell import Limits, Policy, Sandbox
from protocell._broker import absent
from protocell._broker.runtime import of_this_process
from protocell.tools import Question, Reply, ToolError, ToolLimits, Tools, Toolset
from tests.tools.mcp_help import (
    NEW,
    NEXT,
    OVER_A_PIPE,
    OVER_HTTP,
    OVER_HTTP_SOMEHOW,
    SERVERS,
    is_gone,
    old,
    served,
)

of_this_process()  # the one loop of the blocking face, which stays until the process ends

TASKS = [sys.executable, str(SERVERS / "mcp_tasks.py")]
OLD = ["2024-11-05", "2025-06-18"]
MODES = ["auto", "legacy"]

# What a model would write around a call of which it does not know how it ends.
_TRY = """
def outcome(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except ToolError as error:
        return [error.kind, error.tool, error.server, str(error)]
"""


@contextlib.contextmanager
def sandbox(target: str | Sequence[str], **options: Any) -> Iterator[Sandbox]:
    """A sandbox that has this server's tools, as ``srv``; further options are of Tools, or of the server."""
    of_tools = {name: options.pop(name) for name in ("ask", "limits") if name in options}
    limits = of_tools.pop("limits", ToolLimits(call_seconds=20.0))
    with (
        Toolset.mcp(target, name="srv", **options) as toolset,
        Sandbox(
            Policy(limits=Limits(wall_seconds=20)),
            tools=Tools(toolset=toolset, limits=limits, **of_tools),
        ) as sandbox,
    ):
        yield sandbox


def run(sandbox: Sandbox, *calls: str) -> list[Any]:
    """What each of these comes to, one after the other in one execution."""
    listed = ", ".join(f"outcome({call})" for call in calls)
    execution = sandbox.run_code(f"{_TRY}\nimport json\nprint(json.dumps([{listed}]))")
    assert execution.error is None, execution.error
    (line,) = "".join(execution.logs.stdout).splitlines()
    found: list[Any] = json.loads(line)
    return found


def failure(kind: str, tool: str, text: str) -> list[str]:
    return [kind, tool, "srv", text]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that no test here harms."""
    with served("mcp_new.py", "http") as (_, port):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.fixture(params=["stdio", "http"])
def target(request: pytest.FixtureRequest, url: str) -> Any:
    return NEW if request.param == "stdio" else url


# -- over a pipe --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", OLD)
def test_a_server_that_fails_in_a_call_is_an_error_inside_and_works_again(version: str) -> None:
    with sandbox(old(version), answer_bytes=1_000_000) as box:
        for tool, (kind, text) in OVER_A_PIPE.items():
            # By its id, since ``break`` is no name in Python.
            assert run(box, f"call_tool, 'srv/{tool}'", "srv.echo, 'again'") == [
                failure(kind, f"srv/{tool}", text),
                "again",
            ]


@pytest.mark.parametrize("version", OLD)
def test_a_server_that_does_not_answer_is_given_up_in_time(version: str) -> None:
    with sandbox(old(version), limits=ToolLimits(call_seconds=0.5)) as box:
        for tool in ("hang", "unended"):
            hung = run(box, f"srv.{tool}")
            # What it wrote without an end belongs to the line that it writes next, which is no message then.
            after = run(box, "srv.echo, 'a'", "srv.echo, 'b'", "srv.echo, 'c'")

            text = f"srv/{tool} had not answered after 0.5 s; was cancelled"
            assert hung == [failure("timeout", f"srv/{tool}", text)]
            assert after[-1] == "c"


def test_a_hundred_megabytes_on_standard_error_are_nobodys_concern(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with sandbox(old()) as box:
        assert run(box, "srv.flood, times=1600", "srv.echo, 'again'") == ["flooded", "again"]

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("mode", MODES)
def test_a_server_made_with_the_sdk_that_dies_is_started_again(mode: str) -> None:
    with sandbox(NEW, mode=mode) as box:
        before, failed, after = run(box, "srv.whoami", "srv.die", "srv.whoami")

    assert failed == failure(
        "transport", "srv/die", f"the server srv ended with exit status 3 {NEXT}"
    )
    assert before != after


def test_calls_beside_the_one_that_kills_the_server_fail_and_one_process_takes_over() -> None:
    code = f"""{_TRY}
import asyncio
others = await asyncio.gather(srv.hang(), srv.hang(), srv.die(), return_exceptions=True)
kinds = [getattr(each, "kind", each) for each in others]
pids = await asyncio.gather(*(srv.child() for _ in range(4)))
kinds, len({{leader for leader, _ in pids}})
"""
    with sandbox(old()) as box:
        execution = box.run_code(code)

    assert execution.text == "(['transport', 'transport', 'transport'], 1)", execution.error


def test_a_server_that_cannot_be_started_any_more_is_an_error_until_it_can(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    command = f"test -e {broken} && exit 7; exec {' '.join(old())}"
    with sandbox(["sh", "-c", command]) as box:
        assert run(box, "srv.echo, 'a'") == ["a"]
        broken.write_text("")
        first, second = run(box, "srv.die", "srv.echo, 'b'")
        broken.unlink()
        third = run(box, "srv.echo, 'c'")

    assert first[0] == second[0] == "transport"
    assert second == failure("transport", "srv/echo", "the server srv ended with exit status 7")
    assert third == ["c"]


def test_the_other_servers_can_be_used_while_one_is_gone_whose_list_had_changed(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken"
    command = f"test -e {broken} && exit 7; exec {' '.join(NEW)}"
    gone = Toolset.mcp(["sh", "-c", command], name="gone")
    here = Toolset.mcp(old(), name="here")
    with gone, here, Sandbox(tools=gone + here) as box:
        pid = int(str(box.run_code("gone.whoami()").text))
        box.run_code("gone.grow()")
        broken.write_text("")
        os.kill(pid, signal.SIGKILL)
        assert is_gone(pid)
        during = run(box, "here.echo, 'a'", "gone.add, 1, 2")
        broken.unlink()
        after = run(box, "here.echo, 'b'", "gone.add, 1, 2")

    assert during[0] == "a"
    assert during[1][:3] == ["transport", "gone/add", "gone"]
    assert after == ["b", 3]


def test_a_server_that_does_not_start_at_all_is_told_to_the_host_before_any_code_runs() -> None:
    with sandbox(["sh", "-c", "exit 7"]) as box, pytest.raises(ToolError) as caught:
        box.run_code("1")

    assert (str(caught.value), caught.value.kind) == (
        "the server srv ended with exit status 7",
        "transport",
    )


CALLS_OF_GONE = [
    "gone.add, 1, 2",
    "call_tool, 'gone/add', {'a': 1}",
    "gone.add.raw, a=1",
    "__import__('gone').add, 1",
]


@pytest.mark.parametrize("call", CALLS_OF_GONE)
def test_a_server_that_does_not_start_costs_its_own_tools_alone(
    call: str, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Toolset.mcp(["sh", "-c", "echo NO KEY >&2; exit 7"], name="gone")
    here = Toolset.mcp(old(), name="here")
    why = "the server gone ended with exit status 7"
    with gone, here, Sandbox(tools=gone + here) as box:
        found = run(box, "here.echo, 'a'", call)
        execution = box.run_code("here.echo('b')")
        shown = box.run_code("gone")
        known = box.run_code(
            "dir(gone), search_tools('anything that gone has')[0].id, gone.__doc__"
        )

    assert found == ["a", ["transport", "gone/add", "gone", f"gone/add cannot be called: {why}"]]
    assert (execution.text, shown.text) == ("'b'", "<0 tools of gone: >")
    assert shown.tool_calls == []
    assert f"{why}; it is started with sh; the end of its standard error:\nNO KEY" in caplog.text
    assert execution.warnings == [f"gone is not there, so that calls of its tools fail: {why}."]
    assert " ".join(str(known.text).split()).startswith("([], 'gone/*', 'The tools of gone:")


def test_a_server_that_starts_later_has_its_tools_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("")
    command = f"test -e {broken} && exit 7; exec {' '.join(old())}"
    gone, here = Toolset.mcp(["sh", "-c", command], name="gone"), Toolset.of(len, name="here")
    monkeypatch.setattr(absent, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(absent, "_TIMES", 0.0)
    with gone, Sandbox(tools=gone + here) as box:
        first = box.run_code("here.len('abc')")
        during = run(box, "gone.echo, 'a'")
        broken.unlink()
        called = box.run_code("gone.echo(text='b')")
        later = box.run_code("'echo' in dir(gone), gone.echo('c')")

    assert (first.text, len(first.warnings)) == ("3", 1)
    assert during[0][:3] == ["transport", "gone/echo", "gone"]
    assert (called.text, called.warnings) == ("'b'", [])
    assert later.text == "(True, 'c')"


def test_a_server_that_did_not_start_is_not_tried_again_at_once(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    command = f"echo once >> {tries}; exit 7"
    gone, here = Toolset.mcp(["sh", "-c", command], name="gone"), Toolset.of(len, name="here")
    with gone, Sandbox(tools=gone + here) as box:
        for _ in range(3):
            assert box.run_code("here.len('abc')").text == "3"
            run(box, "gone.echo, 'a'")

    assert tries.read_text().splitlines() == ["once"]


def test_rules_and_choices_hold_for_a_server_that_did_not_start_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("")
    command = f"test -e {broken} && exit 7; exec {' '.join(old())}"
    gone, here = Toolset.mcp(["sh", "-c", command], name="gone"), Toolset.of(len, name="here")
    tools = (gone + here).permit({"gone/echo": "deny"}).without("gone/die")
    monkeypatch.setattr(absent, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(absent, "_TIMES", 0.0)
    with gone, Sandbox(tools=Tools(toolset=tools, pinned=["gone/echo"])) as box:
        shown = box.catalogue()
        assert box.run_code("here.len('abc')").text == "3"
        broken.unlink()
        denied = run(box, "gone.echo, 'a'")
        known = box.run_code("dir(gone)")

    assert shown.text.endswith(
        "gone is not there, so that calls of its tools fail: the server gone ended with exit status 7."
    )
    assert denied[0][:3] == ["denied", "gone/echo", "gone"]
    assert ("'echo'" in str(known.text), "'die'" in str(known.text)) == (True, False)


# -- over HTTP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_server_behind_a_url_that_dies_in_a_call_is_found_again_when_it_is_back(
    mode: str,
) -> None:
    with (
        served("mcp_new.py", "http") as (first, port),
        sandbox(f"http://127.0.0.1:{port}/mcp", mode=mode) as box,
    ):
        died = run(box, "srv.die")[0]
        first.wait()
        gone = run(box, "srv.add, 1, 2")
        with served("mcp_new.py", "http", str(port)):
            assert run(box, "srv.add, 1, 2") == [3]

    assert died[:3] == ["transport", "srv/die", "srv"]
    assert gone == [
        failure("transport", "srv/add", "the server srv cannot be reached (ConnectError)")
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_call_over_http_that_hangs_is_given_up_in_time(mode: str, url: str) -> None:
    with sandbox(url, mode=mode, limits=ToolLimits(call_seconds=1.0)) as box:
        hung, fine = run(box, "srv.wait, '/dev/null', '/dev/null'", "srv.add, 1, 2")

    text = "srv/wait had not answered after 1 s; was cancelled"
    assert (hung, fine) == (failure("timeout", "srv/wait", text), 3)


def test_an_answer_over_http_that_is_none_fails_its_call_alone() -> None:
    bad = (*OVER_HTTP, *OVER_HTTP_SOMEHOW)
    with (
        served("mcp_bad_http.py") as (_, port),
        sandbox(f"http://127.0.0.1:{port}/mcp", answer_bytes=100_000) as box,
    ):
        for tool in bad:
            failed, fine = run(box, f"srv.{tool}", "srv.fine")
            kind, text = OVER_HTTP.get(tool, ("transport", failed[3]))

            assert failed == failure(kind, f"srv/{tool}", text)
            assert len(failed[3]) < 500
            assert fine == "x" * 100


# -- what takes more than one answer ------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_list_that_changes_in_the_middle_is_there_for_the_next_call(
    target: Any, mode: str
) -> None:
    with sandbox(target, mode=mode) as box:
        before = int(str(box.run_code("len(tools)").text))
        box.run_code("srv.grow()")
        # The news may come after the answer: until then the tool is not found, and may be asked for again.
        code = f"""{_TRY}
import time
until = time.monotonic() + 10
while True:
    found = outcome(call_tool, "srv/newcomer_{before}")
    if found == "1" or time.monotonic() > until: break
found
"""
        called = box.run_code(code)
        after = box.run_code(f"len(tools), srv.newcomer_{before}()")

    assert (called.text, after.text) == ("'1'", f"({before + 1}, '1')"), called.error


def test_a_tool_that_has_to_be_a_task_is_a_call_like_any_other() -> None:
    asked: list[Question] = []

    async def ask(question: Question) -> Reply:
        asked.append(question)
        return Reply(action="accept", content={"sure": True})

    with sandbox(old("2025-11-25"), ask=ask) as box:
        of_old = run(box, "srv.study", "srv.echo, 'again'")
    with sandbox(TASKS, ask=ask) as box:
        of_new = run(box, "srv.finish", "srv.fail", "srv.stop", "srv.refuse")

    said = {"action": "accept", "content": {"sure": True}}
    assert of_old == [said, "again"]
    assert of_new == [
        {"q": said},
        failure("tool", "srv/fail", "srv/fail: it broke"),
        failure("tool", "srv/stop", "srv/stop: the server cancelled the task"),
        failure("tool", "srv/refuse", "srv/refuse: no"),
    ]
    assert [question.text for question in asked] == ["Really?", "Go on?"]


def test_a_task_that_takes_too_long_is_cancelled_and_the_server_can_be_used() -> None:
    with sandbox(TASKS, limits=ToolLimits(call_seconds=0.5)) as box:
        late, refused = run(box, "srv.never", "srv.refuse")

    text = "srv/never had not answered after 0.5 s; was cancelled"
    assert late == failure("timeout", "srv/never", text)
    assert refused == failure("tool", "srv/refuse", "srv/refuse: no")


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_asks_is_answered_by_the_host_and_not_by_the_code(
    target: Any, mode: str
) -> None:
    async def ask(question: Question) -> Reply:
        await asyncio.sleep(1.2)  # longer than a call may take: it is not the call's time
        return Reply(action="accept", content={"size": "small"})

    with sandbox(target, mode=mode, ask=ask, limits=ToolLimits(call_seconds=1.0)) as box:
        assert run(box, "srv.order, 'tea'") == ["small tea"]


def test_a_server_that_asks_where_nobody_is_there_is_declined_and_goes_on(
    url: str,
) -> None:
    with sandbox(url) as box:
        declined, fine = run(box, "srv.order, 'tea'", "srv.add, 1, 2")

    assert declined[:3] == ["tool", "srv/order", "srv"]
    assert fine == 3


@pytest.mark.parametrize("version, said", [("2024-11-05", -32601), ("2025-06-18", "accept")])
def test_an_old_server_is_answered_if_its_protocol_has_questions(version: str, said: Any) -> None:
    async def ask(_question: Question) -> Reply:
        return Reply(action="accept", content={"sure": True})

    with sandbox(old(version), ask=ask) as box:
        (found,) = run(box, "srv.ask")

    assert said in found.values()
