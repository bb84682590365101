"""Whether a call may happen: the strictest rule counts, and a rule that fails permits nothing."""

from collections.abc import Mapping
from typing import Any

import pytest

from protocell.errors import PolicyError
from protocell.tools.permission import ALLOW, Permission, Rule


@pytest.mark.parametrize("rule", ["allow", "ask", "ask_once", "deny"])
def test_a_rule_in_words_decides_whatever_the_arguments_are(rule: Rule):
    assert Permission((rule,)).decide({"a": 1}) == rule


@pytest.mark.parametrize(
    "said, decided",
    [
        (True, "allow"),
        (False, "deny"),
        ("ask", "ask"),
        ("perhaps", "deny"),
        (None, "deny"),
        (1, "deny"),
    ],
)
def test_a_predicate_decides_by_the_arguments(said: Any, decided: str):
    seen: list[Mapping[str, Any]] = []

    def rule(arguments: Mapping[str, Any]) -> Any:
        seen.append(arguments)
        return said

    assert Permission((rule,)).decide({"path": "/etc"}) == decided
    assert seen == [{"path": "/etc"}]


def test_a_predicate_that_fails_permits_nothing():
    assert Permission((lambda arguments: arguments["absent"],)).decide({}) == "deny"


@pytest.mark.parametrize(
    "first, second, decided",
    [
        ("allow", "ask", "ask"),
        ("deny", "allow", "deny"),
        ("ask_once", "ask", "ask"),
        ("ask", "ask_once", "ask"),
        (lambda _: False, "ask", "deny"),
    ],
)
def test_a_further_rule_can_make_it_stricter_and_never_milder(
    first: Rule, second: Rule, decided: str
):
    assert Permission((first,)).tightened(second).decide({}) == decided


def test_without_any_rule_a_tool_may_be_called():
    assert ALLOW.decide({}) == "allow"


def test_what_is_no_rule_is_refused_at_once():
    with pytest.raises(PolicyError) as caught:
        Permission(("never",))  # type: ignore[arg-type]

    assert str(caught.value) == (
        "'never' is no permission; allowed are allow, ask_once, ask, deny or a function of the arguments "
        "that returns one of them, True or False"
    )


def test_a_rule_that_nobody_would_await_is_refused_at_once():
    async def rule(_arguments: Mapping[str, Any]) -> bool:
        return True

    with pytest.raises(PolicyError, match="is a coroutine function, which no rule awaits"):
        Permission((rule,))  # type: ignore[arg-type]
