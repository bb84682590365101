"""What the errors of tool calls tell code: what to do next, and nothing of the host, its files or its secrets.

The code looks at everything that an error has: its text, its arguments, what it carries, and what it was caused by.
"""

import asyncio
import contextlib
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocell import Sandbox
from protocell._broker.runtime import of_this_process
from protocell.tools import Approval, Call, Question, ToolError, ToolLimits, Tools, Toolset
from tests.escape.conftest import program, told
from tests.tools.calls import DirectCall
from tests.tools.mcp_help import NEW, old, served

of_this_process()  # the one loop of the blocking face, which stays until the process ends

SECRET = "hunter2-of-the-host"
HERE = str(Path(__file__).parent)
FORBIDDEN = (SECRET, HERE, sys.prefix, "/home/", "Traceback", "site-packages", "at 0x", ".py:")

# `everything(call)` is all that code finds out about how a call fails.
_LOOK = """
def everything(call):
    try:
        return ["no error: " + repr(call())]
    except BaseException as error:
        found = []
        while error is not None:
            notes = getattr(error, "__notes__", "")
            found += [str(error), repr(error), repr(error.args), repr(vars(error)), repr(notes)]
            error = error.__cause__ or error.__context__
        return found
"""


def look(sandbox: Sandbox, *calls: str) -> list[list[str]]:
    """What is found out about each of these."""
    listed = ", ".join(f"everything(lambda: {call})" for call in calls)
    found: list[list[str]] = told(sandbox.run_code(program(f"{_LOOK}\ntell([{listed}])")))
    return found


def refuse_what_is_the_hosts(found: list[list[str]]) -> None:
    for each in found:
        assert not each[0].startswith("no error"), each[0]
        leaked = [word for word in FORBIDDEN for text in each if word in text]
        assert leaked == [], each


class OddError(Exception):
    """One that knows too much."""

    def __init__(self) -> None:
        super().__init__("it failed")
        self.password = SECRET
        self.add_note(f"the password is {SECRET}")


def chained() -> None:
    """Fail because of something else."""
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        raise RuntimeError("it failed") from error


def odd() -> None:
    """Fail with more than a text."""
    raise OddError


def missing() -> str:
    """Read what is not there."""
    return Path(HERE, "not there.txt").read_text()


def group() -> None:
    """Fail twice."""
    raise ExceptionGroup("both", [FileNotFoundError(2, "gone", f"{HERE}/a"), OddError()])


def pasted() -> None:
    """Fail with a traceback for a text."""
    try:
        missing()
    except OSError:
        raise RuntimeError(f"in {HERE}/x:\n{traceback.format_exc()}") from None


def speaking() -> None:
    """Fail with an object in its text."""
    raise ValueError(f"{object()} {pasted} in '{HERE}/my folder/x'")


def leave() -> None:
    """Want to end the host."""
    sys.exit(f"see {HERE}/log")


async def ask(call: Call) -> str:
    """Ask somebody who cannot answer."""
    return str(await call.ask(Question(text="?")))


def large() -> str:
    """Give too much."""
    return "x" * 2_000


def strange() -> object:
    """Give what cannot be sent."""
    return sys.modules["os"]


def pay(cents: int) -> None:
    """Be denied."""


def broken_rule(_arguments: Any) -> bool:
    raise RuntimeError(f"{SECRET} {HERE}")


async def broken_approve(_request: Any) -> Approval:
    raise RuntimeError(f"{SECRET} {HERE}")


async def broken_ask(_question: Question) -> Any:
    raise FileNotFoundError(2, "gone", f"{HERE}/answers")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    functions = (chained, odd, missing, group, pasted, speaking, leave, ask, large, strange, pay)
    toolset = Toolset.of(*functions, name="host")
    tools = Tools(
        toolset=toolset.permit({"host/pay": "ask", "host/odd": "allow"})
        + Toolset.of(chained, name="ruled").permit({"ruled/*": broken_rule}),
        approve=broken_approve,
        ask=broken_ask,
        limits=ToolLimits(result_bytes=1_000),
    )
    with Sandbox(tools=tools) as sandbox:
        sandbox.run_code("1")
        yield sandbox


@pytest.mark.claim("tools.errors-tell-nothing")
@pytest.mark.parametrize(
    "call",
    [
        *(f"host.{name}()" for name in ("chained", "odd", "missing", "group", "pasted")),
        *(f"host.{name}()" for name in ("speaking", "leave", "ask", "large", "strange")),
        "host.pay(1)",
        "host.pay('x')",
        "host.pay(1, 2, 3)",
        "ruled.chained()",
        "call_tool('host/nothing')",
        "call_tool('/etc/passwd')",
    ],
)
def test_no_error_of_a_function_tells_of_the_host(call: str, sandbox: Sandbox) -> None:
    refuse_what_is_the_hosts(look(sandbox, call))


@pytest.mark.claim("tools.errors-tell-nothing")
@pytest.mark.parametrize(
    "target, options",
    [
        (["sh", "-c", f"echo {SECRET} {HERE} >&2; exit 7"], {"env": {"TOKEN": SECRET}}),
        ([f"{HERE}/{SECRET}"], {}),
        (["cat", f"{HERE}/{SECRET}"], {}),
        ("http://127.0.0.1:1/mcp", {"headers": {"Authorization": f"Bearer {SECRET}"}}),
        (f"http://user:{SECRET}@127.0.0.1:1/mcp?key={SECRET}", {}),
        (f"http://{SECRET}.invalid/mcp", {"headers": {"X-Key": SECRET}}),
    ],
)
def test_a_server_that_cannot_be_started_is_told_without_its_command_and_headers(
    target: Any, options: dict[str, Any]
) -> None:
    tools = Toolset.mcp(target, name="srv", **options)
    with tools, Sandbox(tools=tools) as sandbox, pytest.raises(ToolError) as caught:
        sandbox.run_code("1")

    refuse_what_is_the_hosts([[str(caught.value), repr(caught.value.data)]])


@pytest.mark.claim("tools.errors-tell-nothing")
def test_a_server_that_fails_in_a_call_tells_nothing_of_its_command_and_variables(
    tmp_path: Path,
) -> None:
    broken = tmp_path / SECRET
    command = f"test -e {broken} && echo {SECRET} && exit 7; exec {' '.join(NEW)}"
    tools = Toolset.mcp(["sh", "-c", command], name="srv", env={"TOKEN": SECRET})
    with tools, Sandbox(tools=tools) as sandbox:
        sandbox.run_code("1")
        broken.write_text("")
        refuse_what_is_the_hosts(look(sandbox, "srv.die()", "srv.add(1, 2)"))


@pytest.mark.claim("tools.errors-tell-nothing")
def test_headers_of_a_server_behind_a_url_are_in_no_error() -> None:
    bad = ("unauthorized", "broken", "html", "large", "packed", "hung_up", "cut", "elsewhere")
    headers = {"Authorization": f"Bearer {SECRET}", "X-Key": SECRET}
    with served("mcp_bad_http.py") as (_, port):
        url = f"http://127.0.0.1:{port}/mcp?key={SECRET}"
        tools = Toolset.mcp(url, name="srv", headers=headers, answer_bytes=100_000)
        with tools, Sandbox(tools=tools) as sandbox:
            refuse_what_is_the_hosts(look(sandbox, *(f"srv.{tool}()" for tool in bad)))


SAID_BY_A_SERVER = (
    "no such file: '/usr/lib/secret place/keys.json'",
    "in /usr/lib/x/server.py: no",
    'Traceback (most recent call last):\n  File "/usr/lib/a.py", line 1\n    x\nValueError: y',
    "Error: no\n    at Object.<anonymous> (/usr/lib/server/index.js:10:5)\n    at node:internal:1:2",
)


@pytest.mark.claim("tools.errors-tell-nothing")
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_what_a_server_on_this_machine_says_goes_without_paths_and_tracebacks(
    transport: str,
) -> None:
    # As lists of numbers, so that the code does not name a path in its arguments, which would then be known.
    calls = [
        f"call_tool('srv/say_no', codes={[ord(letter) for letter in why]})"
        for why in SAID_BY_A_SERVER
    ]
    with contextlib.ExitStack() as stack:
        target: Any = NEW
        if transport == "http":
            _, port = stack.enter_context(served("mcp_new.py", "http"))
            target = f"http://127.0.0.1:{port}/mcp"
        tools = stack.enter_context(Toolset.mcp(target, name="srv"))
        found = look(stack.enter_context(Sandbox(tools=tools)), *calls)

    for each in found:
        assert each[0].startswith("srv/say_no: "), each
        for word in ("/usr/lib", "Traceback", "secret place", "    at "):
            assert all(word not in text for text in each), each


@pytest.mark.claim("tools.errors-tell-nothing")
def test_a_real_server_does_not_tell_which_folder_it_was_given(tmp_path: Path) -> None:
    folder = tmp_path / "work" / "repo"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    command = [sys.executable, "-m", "mcp_server_git", "--repository", str(folder)]
    tools = Toolset.mcp(command, name="git")
    with tools, Sandbox(tools=tools) as sandbox:
        (found,) = look(sandbox, "git.git_status(repo_path='/etc')")

    assert "Repository path '/etc' is outside" in found[0]
    assert all(str(tmp_path) not in text for text in found)


@pytest.mark.twin("tools.errors-tell-nothing")
def test_an_error_says_what_happened_and_keeps_the_paths_that_the_code_named() -> None:
    def read(path: str) -> str:
        """Read a file."""
        return Path(path).read_text()

    path = f"{HERE}/none.txt"
    tools = Toolset.of(read, name="host") + Toolset.mcp(old(), name="srv")
    with tools, Sandbox(tools=tools) as sandbox:
        ours, theirs = look(sandbox, f"host.read({path!r})", "srv.die()")

    assert ours[0] == f"host/read: FileNotFoundError: [Errno 2] No such file or directory: '{path}'"
    assert theirs[0] == (
        "the server srv ended with exit status 3 before it answered; the next call starts anew"
    )


@pytest.mark.twin("tools.errors-tell-nothing")
def test_who_runs_the_sandbox_has_the_cause_in_full() -> None:
    async def main() -> ToolError:
        (tool,) = await Toolset.of(chained, name="host").tools()
        with pytest.raises(ToolError) as caught:
            await tool.invoke({}, DirectCall())
        return caught.value

    error = asyncio.run(main())

    assert repr(error.__cause__) == "RuntimeError('it failed')"
    assert SECRET in repr(error.__cause__.__cause__)  # type: ignore[union-attr]
