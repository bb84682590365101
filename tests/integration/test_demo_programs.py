"""The three programs of the demo, written as a model would write them, do their whole work inside a sandbox."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import protocell
from protocell import Environment, Execution, Mount, Policy

EXAMPLES = Path(__file__).parents[2] / "examples"
POLICY = Policy(
    mounts=[Mount(source=EXAMPLES / "data", target="/data")],
    environment=Environment(preload=["pandas", "openpyxl", "PIL.Image"]),
)


def run(name: str) -> Execution:
    return protocell.run_code((EXAMPLES / "programs" / f"{name}.py").read_text(), policy=POLICY)


def test_log_files_are_listed_and_filtered():
    execution = run("list_logs")

    assert (execution.status, execution.logs.stderr) == ("ok", [])
    assert execution.logs.stdout[0] == (
        "19 files, 457,073 bytes; 9 of them from the last three days\n"
    )
    assert execution.logs.stdout[-1] == (
        "tracebacks: shop.gateway.GatewayTimeout x32, decimal.InvalidOperation x28, KeyError x26\n"
    )


def test_a_spreadsheet_is_cleaned_grouped_and_written_in_four_formats():
    execution = run("clean_sheet")

    assert (execution.status, execution.logs.stderr) == ("ok", [])
    assert execution.logs.stdout[2] == (
        "left out: 145 orders without date or units, 732 returned; 2,323 remain\n"
    )
    assert list(execution.files) == ["clean.xlsx", "summary.csv", "summary.json", "summary.xml"]
    assert json.loads(execution.files["summary.json"].text())["total"] == 66191500.66
    assert execution.files["summary.csv"].text().splitlines()[1] == (
        "2025-01,Electronics,45,2478,489700.58"
    )


@pytest.mark.parametrize("kind, count", [("-thumb.webp", 8), ("-web.jpg", 8)])
def test_photos_are_resized_and_cropped_by_several_processes(kind: str, count: int):
    execution = run("resize_images")

    assert (execution.status, execution.logs.stderr) == ("ok", [])
    assert execution.text == "'8 photos, 8 thumbnails and 8 web sizes'"
    assert len([path for path in execution.files if path.endswith(kind)]) == count


def test_the_rotation_that_a_camera_only_noted_is_done():
    assert run("resize_images").logs.stdout[4] == (
        "portrait.jpg  JPEG   960x1280 Lumina X-200, f/3.8, 1/180 s, ISO 300, turned upright to 1280x960\n"
    )


def test_an_hour_in_one_sandbox_goes_as_it_is_told():
    told = subprocess.run(
        [sys.executable, EXAMPLES / "long_session.py"],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert (told.returncode, told.stderr) == (0, "")
    steps = [line.split(" s  ", 1)[1] for line in told.stdout.splitlines()]
    assert [step[:16].rstrip() for step in steps] == [
        "load",
        "plot",
        "blow the memory",
        "loop for ever",
        "fork four ways",
        "take out",
    ]
    assert steps[2].split(maxsplit=3)[3] in (
        "out_of_memory, variables kept",
        "out_of_memory, variables restored",
    )


def test_three_servers_and_two_functions_are_joined_as_the_readme_shows_it():
    told = subprocess.run(
        [sys.executable, EXAMPLES / "code_mode.py"],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert (told.returncode, told.stderr) == (0, "")
    readme = (EXAMPLES.parent / "README.md").read_text()
    shown = readme.partition("joined.\n\n    shown ")[2].partition("\n\nCode mode")[0]
    printed = [line.strip() for line in shown.splitlines() if line.startswith("    printed")]
    assert (
        printed == [line for line in told.stdout.splitlines() if line.startswith("printed")] != []
    )
    calls = re.findall(r"^    (\w+/\w+) +(\d+) ", shown, re.MULTILINE)
    assert calls == re.findall(r"^│ (\w+/\w+) +│ (\d+) ", told.stdout, re.MULTILINE)
    assert sum(int(count) for _, count in calls) == 130
    total = re.search(r"^total +([\d,]+) +([\d,]+)$", told.stdout, re.MULTILINE)
    assert total is not None
    static, code = (int(number.replace(",", "")) for number in total.groups())
    assert code < static / 5
