"""Whether a call may happen: allowed, asked about, refused, or decided by its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from protocell.errors import PolicyError

Decision = Literal["allow", "ask_once", "ask", "deny"]
"""From the mildest to the strictest. ``ask_once``: a yes holds for the tool until its execution ends."""
Predicate = Callable[[Mapping[str, Any]], "Decision | bool"]
"""Of the arguments, by original names; True is allow, False is deny. It runs in a thread, and may take its time."""
Rule = Decision | Predicate

DECISIONS: tuple[Decision, ...] = get_args(Decision)


class Verdict(NamedTuple):
    """What rules come to; and of one that failed, how, which is for the caller's eyes: code inside is denied."""

    decision: Decision
    fault: str = ""
    """As the end of a sentence about the rule."""
    error: BaseException | None = None


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
        return self.verdict(arguments).decision

    def verdict(self, arguments: Mapping[str, Any]) -> Verdict:
        """The same, and why, where a predicate has failed."""
        verdicts = [_verdict(rule, arguments) for rule in self.rules]
        return max(verdicts, key=lambda each: (DECISIONS.index(each.decision), each.fault != ""))

    def tightened(self, rule: Rule) -> Permission:
        """With one rule more: it can make this one stricter, never milder."""
        return Permission((*self.rules, rule))


ALLOW = Permission()


def _verdict(rule: Rule, arguments: Mapping[str, Any]) -> Verdict:
    if not callable(rule):
        return Verdict(rule)
    try:
        said: Any = rule(arguments)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's own; what cannot decide does not permit
        return Verdict("deny", f"failed ({type(error).__name__})", error)
    if isinstance(said, bool):
        return Verdict("allow" if said else "deny")
    if isinstance(said, str) and said in DECISIONS:
        return Verdict(said)
    is_word = isinstance(said, str) and len(said) <= _MOST_CHARACTERS  # and no argument, in the log
    what = repr(said) if is_word else type(said).__name__
    return Verdict("deny", f"returned {what}; allowed are {', '.join(DECISIONS)}, True and False")


_MOST_CHARACTERS = 20  # of a word that was meant to be one of these
