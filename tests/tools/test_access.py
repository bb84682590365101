"""What ``Tools`` refuses, before a sandbox is made with it."""

from typing import Any

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
        ("approve", "allow", "approve is 'allow'; allowed is a function, or None"),
        ("ask", True, "ask is True; allowed is a function, or None"),
        ("on_progress", [], r"on_progress is \[\]; allowed is a function, or None"),
        ("redact", "password", r"redact is the string 'password'; write \['password'\]"),
        ("redact", [3], "redact has 3 in it; allowed are strings"),
    ],
)
def test_a_field_that_is_something_else_is_refused(field: str, value: Any, told: str):
    with pytest.raises(PolicyError, match=told):
        Tools(toolset=Toolset.of(price), **{field: value})


@pytest.mark.parametrize("given", [price, [price], "npx server"])
def test_what_is_no_toolset_is_refused_with_how_to_make_one(given: Any):
    with pytest.raises(PolicyError, match=r"^tools is .*Toolset\.of\(function, \.\.\.\)"):
        as_tools(given)
