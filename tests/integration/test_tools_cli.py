"""``protocell tools``: real servers as processes, what is said of their tools and what of them is shown."""

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from protocell.cli.run import INTERRUPTED
from protocell.cli.stopper import TERMINATED
from tests.integration.commands import Done, Terminal, handles_signals, protocell, started, wait_for

SERVERS = Path(__file__).parent.parent / "tools" / "servers"
MODULE = '''
from protocell.tools import Tools, Toolset

def order(number: int) -> dict[str, int]:
    """Look up one order."""
    return {"number": number}

def nothing(what) -> None:
    pass

SHOP = Toolset.of(order, name="shop")
BAD = Toolset.of(nothing, name="bad")
CHOSEN = Tools(toolset=SHOP + BAD, level="compact", direct=["shop.order"])
TEXT = "no toolset"
'''


def server(script: str, *arguments: str) -> str:
    return shlex.join([sys.executable, str(SERVERS / script), *arguments])


NEW = f"new={server('mcp_new.py', 'stdio')}"
OLD = f"old={server('mcp_old.py', '2025-06-18')}"  # is there in no time, which one made with the SDK is not
RUDE = f"rude={server('mcp_rude.py')}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_tools.py").write_text(MODULE)
    (tmp_path / "my_broken_tools.py").write_text("1 / 0")
    return tmp_path


def tools(*arguments: str, **options: Any) -> Done:
    return protocell("tools", *arguments, **options)


# -- lint --------------------------------------------------------------------------------------------


def test_findings_of_a_real_server_stand_on_a_line_each():
    done = tools("lint", "--mcp", NEW)
    lines = done.text.splitlines()

    assert done.code == 0
    assert "new/say: warning: no_output_schema: no output schema says what it gives" in lines
    assert (
        "new/get-person: note: renamed: get-person is no Python name: it is new.get_person" in lines
    )
    told = re.fullmatch(r"protocell: \d+ tools, (\d+) warnings, (\d+) notes\n", done.messages)
    assert told is not None
    assert [sum(f": {grade}: " in line for line in lines) for grade in ("warning", "note")] == [
        *map(int, told.groups())
    ]


def test_tools_of_two_servers_that_share_a_name_are_told():
    again = f"again={server('mcp_old.py', '2025-06-18')}"
    done = tools("lint", "--mcp", OLD, "--mcp", again)

    sentence = "collision: another tool is called echo too: it has no short name"
    assert {f"old/echo: warning: {sentence}", f"again/echo: warning: {sentence}"} <= {
        *done.text.splitlines()
    }


def test_for_a_server_without_a_name_one_is_found():
    assert tools("lint", "--mcp", server("mcp_rude.py")).text.startswith("rude/")


def test_two_servers_of_one_name_are_refused():
    done = tools("lint", "--mcp", OLD, "--mcp", OLD)

    assert (done.code, done.messages) == (
        2,
        "protocell: two servers are called 'old'; give one of them another name=\n",
    )


def test_strict_makes_a_warning_a_failure(folder: Path):
    good, bad = (
        tools("lint", name, "--strict", cwd=folder) for name in ("my_tools:SHOP", "my_tools:BAD")
    )

    assert (good.code, good.text) == (
        0,
        "shop/order: note: undocumented_parameter: parameters of which nothing is said: number\n",
    )
    assert bad.code == 1
    assert bad.text.splitlines()[0] == (
        "bad/nothing: warning: no_description: nothing says what it does"
    )


def test_as_json_it_is_one_object(folder: Path):
    done = tools("lint", "my_tools:BAD", "--json", "--strict", cwd=folder)
    told = json.loads(done.text)

    assert (done.code, done.err, done.text.count("\n")) == (1, b"", 1)
    assert told["tools"] == 1
    assert told["counts"]["untyped_parameter"] == 1
    assert {"grade": "warning", "kind": "untyped_parameter", "tool": "bad/nothing"}.items() <= next(
        each for each in told["findings"] if each["kind"] == "untyped_parameter"
    ).items()


def test_on_a_terminal_it_is_a_table():
    with Terminal("tools", "lint", "--mcp", OLD) as terminal:
        assert terminal.end() == 0

    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in terminal.lines]
    assert plain[0].split() == ["tool", "grade", "finding"]
    assert re.search(
        r"^old/echo +warning +no output schema says what it gives$", "\n".join(plain), re.MULTILINE
    )
    assert re.fullmatch(r"protocell: \d+ tools, \d+ warnings, \d+ notes", plain[-2])


@pytest.mark.parametrize("command", ["lint", "show"])
def test_texts_of_a_server_command_no_terminal(command: str):
    with Terminal("tools", command, "--mcp", RUDE) as terminal:
        assert terminal.end() == 0

    # What is left are our own colours.
    assert set(re.findall(rb"\x1b[^m]*m", terminal.shown)) <= {
        b"\x1b[0m",
        b"\x1b[1m",
        b"\x1b[2m",
        b"\x1b[33m",
    }
    assert b"\x1b" not in re.sub(rb"\x1b\[[0-9;]*m", b"", terminal.shown)
    assert "\u202e".encode() not in terminal.shown
    assert b"\x07" not in terminal.shown


def test_the_name_of_a_tool_cannot_make_up_a_line():
    done = tools("lint", "--mcp", RUDE)

    assert done.text.splitlines() != []
    assert all(
        line.startswith(r"rude/clear\x1b[2Jscreen\nfake/tool: ") for line in done.text.splitlines()
    )


# -- show --------------------------------------------------------------------------------------------


def test_what_a_model_is_shown_is_printed_with_its_price():
    done = tools("show", "--mcp", NEW)

    assert done.code == 0
    assert "\nnew.add(a: int, b: int = 1) -> int  # Add two numbers\n" in done.text
    assert re.fullmatch(
        r"protocell: compact, \d+ tools, (about )?\d{3} tokens \(.*\)\n", done.messages
    )


def test_the_level_can_be_asked_for_and_a_tool_be_pinned(folder: Path):
    chosen = ["--level", "search", "--pinned", "shop.order"]
    done = tools("show", "my_tools:SHOP", "my_tools:BAD", *chosen, cwd=folder)

    assert "  def order(number: int) -> dict[str, int]:\n" in done.text
    assert "search_tools(" in done.text
    assert "nothing(" not in done.text


def test_what_is_beyond_the_budget_is_said(folder: Path):
    done = tools("show", "my_tools:SHOP", "--budget", "10", cwd=folder)

    assert done.code == 0
    assert ", which is beyond the budget (" in done.messages


def test_the_whole_description_can_be_printed(folder: Path):
    done = tools("show", "my_tools:SHOP", "--description", cwd=folder)

    assert done.text.startswith("Run Python code in a sandbox.")
    assert "  def order(number: int) -> dict[str, int]:" in done.text


def test_tools_with_wishes_are_shown_as_they_wish_and_direct_ones_in_json(folder: Path):
    done = tools("show", "my_tools:CHOSEN", "--json", cwd=folder)
    told = json.loads(done.text)

    assert (told["level"], told["tools"], told["fits"]) == ("compact", 2, True)
    assert [each["name"] for each in told["direct"]] == ["shop__order"]
    assert told["text"] in told["description"]
    assert told["tokens"] > 50


def test_an_openapi_service_is_a_source_too(tmp_path: Path):
    operation = {"operationId": "listOrders", "summary": "List orders.", "responses": {}}
    document = {
        "openapi": "3.0.3",
        "info": {"title": "t", "version": "1"},
        "paths": {"/orders": {"get": operation}},
    }
    (tmp_path / "spec.json").write_text(json.dumps(document))
    spec = ["--openapi", f"shop={tmp_path / 'spec.json'}"]

    without = tools("show", *spec)
    done = tools("show", *spec, "--base-url", "shop=https://shop.example")

    assert (without.code, "give base_url=" in without.messages) == (2, True)
    assert "  def listOrders() -> Any:" in done.text


# -- what is wrong with what was typed -----------------------------------------------------------------

WRONG: Sequence[tuple[Sequence[str], str]] = [
    ([], "no tools were named; give MODULE:ATTRIBUTE, --mcp SERVER or --openapi SPEC"),
    (["my_tools"], "'my_tools' is no toolset; write MODULE:ATTRIBUTE, as in my_agent.tools:TOOLS"),
    (["my_tools:SHIP"], "there is no 'SHIP' in my_tools; did you mean 'SHOP'?"),
    (["my_tools:TEXT"], "my_tools:TEXT is of the type str; allowed are Toolset and Tools"),
    (["no_such_module:X"], "cannot import 'no_such_module': ModuleNotFoundError: "),
    (["my_broken_tools:X"], "cannot import 'my_broken_tools': ZeroDivisionError: division by zero"),
    (["my_tools:CHOSEN", "my_tools:CHOSEN"], "two of these are Tools"),
    (["--mcp", "a 'b"], '--mcp "a \'b" is no command: No closing quotation'),
    (["--openapi", "none.json"], "the OpenAPI file cannot be read: "),
    (
        ["--openapi", "a", "--openapi", "b", "--base-url", "http://x"],
        "--base-url is for one service",
    ),
    (["my_tools:SHOP", "--base-url", "a=http://x"], "--base-url a=... is for no service"),
]


@pytest.mark.parametrize("arguments, sentence", WRONG)
def test_what_cannot_be_understood_is_refused_in_a_sentence(
    arguments: Sequence[str], sentence: str, folder: Path
):
    done = tools("lint", *arguments, cwd=folder)

    assert (done.code, done.out) == (2, b"")
    assert done.messages.startswith(f"protocell: {sentence}")
    assert done.messages.count("\n") == 1


def test_a_wrong_level_and_a_wrong_name_are_refused(folder: Path):
    level = tools("show", "my_tools:SHOP", "--level", "huge", cwd=folder)
    pinned = tools("show", "my_tools:SHOP", "--pinned", "oder", cwd=folder)
    budget = tools("show", "my_tools:SHOP", "--budget", "0", cwd=folder)

    assert (level.code, pinned.code, budget.code) == (2, 2, 2)
    assert budget.messages.startswith("protocell: --budget is 0; allowed is ")
    assert level.messages.startswith(
        "protocell: --level is 'huge'; allowed are full, compact, search"
    )
    assert pinned.messages.startswith("protocell: --pinned has 'oder', and no tool is called so")


@pytest.mark.parametrize("target", ["/nonexistent/server", "http://127.0.0.1:1/mcp"])
def test_a_server_that_cannot_be_reached_is_told_with_what_to_do(target: str):
    done = tools("lint", "--mcp", target)

    assert (done.code, done.out) == (4, b"")
    assert done.messages.endswith(
        "; start the server by itself, or ask for its URL, to see what it says\n"
    )


@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)]
)
def test_a_signal_while_a_server_is_waited_for_ends_both(number: int, code: int, tmp_path: Path):
    there = tmp_path / "there"
    silent = f"import os, pathlib, sys; pathlib.Path({str(there)!r}).write_text(str(os.getpid())); sys.stdin.read()"
    command = shlex.join([sys.executable, "-c", silent])

    with started("tools", "lint", "--mcp", f"silent={command}") as process:
        wait_for(lambda: there.exists() and there.read_text() != "", "the server")
        assert handles_signals(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (code, b"", b"")
    assert not Path(f"/proc/{there.read_text()}").exists()


@pytest.mark.parametrize("most", range(6, 11))
def test_want_of_descriptors_is_told_as_that(most: int, folder: Path):
    script = f'ulimit -n {most}; exec "$0" -m protocell.cli tools show my_tools:SHOP'

    done = subprocess.run(
        ["sh", "-c", script, sys.executable],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )

    assert "cannot write" not in done.stderr
    assert (done.returncode, "(ulimit -n" in done.stderr) in {(4, True), (0, False)}, done.stderr
