"""Whether a call may happen: allowed, asked about, refused, or decided by its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from protocell.errors import PolicyError

Decision = Literal["allow", "ask_once", "ask", "deny"]
"""From the mildest to the strictest. ``ask_once``: a yes holds for the tool until its execution ends."""
Predicate = Callable[[Mapping[str, Any]], "Decision | bool"]
"""Of the arguments, by original names; True is allow, False is deny. It runs in a thread, and may take its time."""
Rule = Decision | Predicate

DECISIONS: tuple[Decision, ...] = get_args(Decision)


@dataclass(frozen=True, slots=True)
class Permission:
    """One or more rules, of which the strictest counts."""

    rules: tuple[Rule, ...] = ("allow",)

    def __post_init__(self) -> None:
        for rule in self.rules:
            if not callable(rule) and rule not in DECISIONS:
                raise PolicyError(
                    f"{rule!r} is no permission; allowed are {', '.join(DECISIONS)} or a function "
                    "of the arguments that returns one of them, True or False"
                )
            if inspect.iscoroutinefunction(rule):
                raise PolicyError(
                    f"{rule!r:.80} is a coroutine function, which no rule awaits; it may block, since it runs "
                    "in a thread, or be approve= of Tools, with the rule 'ask'"
                )

    @property
    def asks_a_function(self) -> bool:
        """Whether a function of the user's decides, which may take long."""
        return any(map(callable, self.rules))

    def decide(self, arguments: Mapping[str, Any]) -> Decision:
        """What is to be done with a call with these arguments; a predicate that fails means deny."""
        return max((_decision(rule, arguments) for rule in self.rules), key=DECISIONS.index)

    def tightened(self, rule: Rule) -> Permission:
        """With one rule more: it can make this one stricter, never milder."""
        return Permission((*self.rules, rule))


ALLOW = Permission()


def _decision(rule: Rule, arguments: Mapping[str, Any]) -> Decision:
    if not callable(rule):
        return rule
    try:
        said = rule(arguments)
    except (Exception, SystemExit):  # noqa: BLE001 - the user's own; what cannot decide does not permit
        return "deny"
    if isinstance(said, bool):
        return "allow" if said else "deny"
    return said if said in DECISIONS else "deny"
