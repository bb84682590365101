"""Environments: which interpreter and which modules are accepted, and what a refusal says."""

import os
import sys
from pathlib import Path

import pytest

from protocell.environment import Environment
from protocell.errors import PolicyError


def refusal(**fields: object) -> str:
    with pytest.raises(PolicyError) as caught:
        Environment(**fields)  # type: ignore[arg-type]
    return str(caught.value)


def test_the_default_is_this_python_with_nothing_preloaded():
    default = Environment()

    assert (default.python, default.preload, default.ready) == (None, (), 2)
    assert str(default) == "this Python, nothing preloaded, 2 kept ready"


def test_environments_are_one_key_if_they_are_equal():
    given = Environment(preload=["pandas", "openpyxl", "pandas"], ready=0)

    assert given.preload == ("pandas", "openpyxl")
    assert len({given, Environment(preload=("pandas", "openpyxl"), ready=0)}) == 1
    assert str(given) == "this Python, pandas, openpyxl preloaded, 0 kept ready"


def test_an_interpreter_is_kept_as_an_absolute_path_with_its_links(tmp_path: Path):
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    relative = os.path.relpath(link)

    assert Environment(python=relative).python == str(link)
    assert Environment(python=link).python == str(link)


def test_an_interpreter_that_is_not_there_is_refused(tmp_path: Path):
    folder, text = tmp_path / "folder", tmp_path / "text"
    folder.mkdir()
    text.write_text("")
    text.chmod(0o644)

    for path in (tmp_path / "none", folder, text, "no-such-python", "a\0b"):
        shown = repr(str(path)).replace("\\x00", "\\x00")
        assert refusal(python=str(path)) == (
            f"python is {shown}; there is no such program to be run"
        )


@pytest.mark.parametrize("value", [3, b"python", True, ["python"]])
def test_an_interpreter_is_a_path(value: object):
    assert refusal(python=value) == (
        f"python is {value!r}; allowed is a path, or None for this Python"
    )


@pytest.mark.parametrize("name", ["", "a b", "a.", ".a", "os;x", "1a", "a-b", "x" * 201, "a\n"])
def test_a_module_has_a_dotted_name(name: str):
    assert refusal(preload=[name]).endswith("in it; allowed are names as 'json.tool'")


def test_a_bare_string_is_no_list_of_modules():
    assert refusal(preload="pandas") == "preload is the string 'pandas'; write ['pandas']"


@pytest.mark.parametrize("value", [3, None, b"os", {"os": 1}])
def test_modules_are_a_sequence(value: object):
    assert refusal(preload=value) == f"preload is {value!r}; allowed is a sequence of names"


def test_a_module_is_named_by_text():
    assert refusal(preload=[3]) == "preload has 3 in it; allowed are strings"
    assert refusal(preload=[["os"]]) == "preload has ['os'] in it; allowed are strings"


def test_modules_are_counted():
    assert refusal(preload=[f"m{i}" for i in range(201)]) == "preload has 201 modules; at most 200"


@pytest.mark.parametrize("value", [-1, 65, 1.0, True, None])
def test_ready_sandboxes_are_counted(value: object):
    assert refusal(ready=value) == f"ready is {value!r}; allowed is 0 to 64"


def test_an_unknown_field_is_named_with_the_nearest():
    assert refusal(preloads=[]) == "Environment has no field 'preloads'; did you mean 'preload'?"
