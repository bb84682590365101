"""The benchmark of tools works: a quick run on servers that are here fills every table; no figure is judged."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "tools_run.py"
OURS = ROOT / "tests" / "tools" / "servers" / "mcp_new.py"
SERVERS = {
    "time": ["{python}", "-m", "mcp_server_time"],
    "git": ["{python}", "-m", "mcp_server_git"],
    "ours": ["{python}", str(OURS), "stdio"],
    "silent": ["{python}", "-c", "raise SystemExit(3)"],
}
ROWS = [
    "round trip of one call, sync function",
    "round trip of one call, async function",
    "round trip of one call, async function, awaited",
    "calls of a sync function, 1 context",
    "calls of a sync function, 2 contexts",
    "40 calls of a sync function, a pool of 32 threads",
    "40 calls of an async function, `asyncio.gather`",
    "40 calls that wait for each other, a pool of 40 threads",
    "time inside, from the call to the value",
    "most memory of the host above what it had, the value itself not counted",
    "most memory of the context above what it had, the value included",
]
PLAYED = [
    "one call of a server with two tools",
    "three calls of a server with two tools",
    "a chain of five steps, each read before the next",
]


def listed(least: int) -> str:
    rows = [f"least = {least}"]
    for name, command in SERVERS.items():
        rows.append(f'[[server]]\nname = "{name}"\npackage = "installed:{name}"\nversion = "1"')
        rows.append(f'license = "MIT"\ncommand = {json.dumps(command)}')
    return "\n".join(rows)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], str]:
    for name in ("bpe_openai", "mcp_server_git", "mcp_server_time"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("bench")
    (folder / "servers.toml").write_text(listed(least=4))
    target = folder / "benchmarks-tools.md"
    choices = ["--servers", folder / "servers.toml", "--place", folder, "--output", target]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", *map(str, choices)],
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert target.exists(), done.stderr
    return done, target.read_text()


def cells(document: str, row: str) -> list[str]:
    """What stands beside the first line of a table that begins with this."""
    lines = [line.strip("| ").split(" | ") for line in document.splitlines()]
    return next(line[1:] for line in lines if line[0] == row and len(line) > 1)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_speed_has_a_figure(run, row: str):
    unit, ours, *_ = cells(run[1].partition("## Calls of the host's functions")[2], row)

    assert unit in {"ms", "MB", "calls/s"}
    assert re.match(r"-?[\d,]+(\.\d+)?( \(-?[\d,.]+ to -?[\d,.]+\))?$", ours)


@pytest.mark.parametrize("task", PLAYED)
def test_tasks_whose_servers_are_there_are_played_both_ways_in_three_settings(run, task: str):
    shares = cells(run[1].partition("## Where code mode loses")[2], task)

    assert [bool(re.fullmatch(r"(\*\*)?[\d.]+%(\*\*)?", share)) for share in shares] == [True] * 3


def test_tasks_whose_servers_are_not_there_are_told_and_count_as_missed(run):
    name = "join two big results (1,000 and 500 rows): not played without sqlite and duckdb"

    assert cells(run[1], name) == ["to be played", "nothing", "**missed**"]


def test_a_server_that_does_not_start_is_told_with_why(run):
    assert "- **silent** (installed:silent 1) does not start: " in run[1]
    assert "bench-tools: start 4/4: silent: does not start: " in run[0].stderr


def test_too_few_servers_fail_the_benchmark_and_it_still_writes_what_it_found(run):
    assert run[0].returncode == 1
    assert "bench-tools: 3 servers are there; at least 4 have to be" in run[0].stderr
    assert cells(run[1], "real MCP servers, started as processes")[1:] == ["3", "**missed**"]


def test_every_aim_is_said_to_be_met_or_missed(run):
    aims = run[1].partition("## Aims")[2].partition("\n## ")[0]

    assert len(re.findall(r"\| (met|\*\*missed\*\*) \|$", aims, re.MULTILINE)) == 9


def test_a_quick_run_says_that_its_times_say_nothing(run):
    assert "> **Warning:** This was a quick run" in run[1]


def test_servers_of_the_list_have_one_version_each_and_can_be_started():
    names = re.findall(r'^name = "(.+)"$', listing(), re.MULTILINE)

    assert len(names) == len(set(names)) == 26
    assert len(re.findall(r'^package = "(npm|pypi):\S+"$', listing(), re.MULTILINE)) == 26
    assert len(re.findall(r'^version = "\d\S*"$', listing(), re.MULTILINE)) == 26


def listing() -> str:
    return (ROOT / "benchmarks" / "tools_material" / "servers.toml").read_text()
