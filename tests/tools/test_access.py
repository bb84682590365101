"""What ``Tools`` refuses, before a sandbox is made with it."""

from typing import Any, cast

import pytest

from protocell.errors import PolicyError
from protocell.tools import Tools, Toolset
from protocell.tools.access import as_tools


def price(item: str) -> int:
    """What it costs."""
    return len(item)


@pytest.mark.parametrize(
    "field, value, told",
    [
        ("approve", "yes", "approve is 'yes'; allowed is a function, 'allow', 'deny', or None"),
        ("ask", True, "ask is True; allowed is a function, or None"),
        ("on_progress", [], r"on_progress is \[\]; allowed is a function, or None"),
        ("redact", "password", r"redact is the string 'password'; write \['password'\]"),
        ("redact", [3], "redact has 3 in it; allowed are strings"),
    ],
)
def test_a_field_that_is_something_else_is_refused(field: str, value: Any, told: str):
    with pytest.raises(PolicyError, match=told):
        Tools(toolset=Toolset.of(price), **{field: value})


def test_a_toolset_without_its_name_and_an_unknown_field_are_refused_with_what_to_write():
    toolset, tools = Toolset.of(price), cast(Any, Tools)

    with pytest.raises(PolicyError, match=r"by name only, as in Tools\(toolset=\.\.\.\)$"):
        tools(toolset)
    with pytest.raises(PolicyError, match=r"no field 'aprove'; did you mean 'approve'\?$"):
        tools(toolset=toolset, aprove=None)
    with pytest.raises(PolicyError, match=r"^Tools needs toolset"):
        tools(limits=None)


@pytest.mark.parametrize("given", [price, [price], "npx server"])
def test_what_is_no_toolset_is_refused_with_how_to_make_one(given: Any):
    with pytest.raises(PolicyError, match=r"^tools is .*Toolset\.of\(function, \.\.\.\)"):
        as_tools(given)
