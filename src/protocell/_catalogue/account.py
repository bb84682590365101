"""What an execution cost in tokens, and what the same calls had cost without code: every user's own measurement.

Counted is what a model reads and writes, each thing once. With static tools that is the definition of every tool, and
each call with its arguments and its result; in code mode the description of the one tool with the catalogue in it, the
program, and what came back. What is left out favours static tools, and so the saving is not told larger than it is:
each request sends again what was there before, and a chain of calls takes more of them; a call has a frame around it;
pictures and sounds in results count nothing. Definitions are sent with every request, and the caches of prompts make
them cheap: so what the calls alone cost is told beside the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from protocell._catalogue import tokens, weight
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.description import execute_spec
from protocell._catalogue.levels import View
from protocell._catalogue.specs import spec, text_of
from protocell._catalogue.tokens import Count
from protocell.tools.skill_tool import SkillTool

if TYPE_CHECKING:
    from protocell.execution import Execution

FEW_CALLS = 5
"""Of one execution: up to here calling the tools directly is often cheaper."""
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Tokens of what is sent whether anything is called or not."""

    definitions: Mapping[str, int]
    """Of each tool, given statically; by id."""
    description: int
    """Of the one tool that runs code."""
    direct: frozenset[str]
    """Ids of tools that the model is given directly in code mode too."""
    is_estimate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAccount:
    """Tokens of one execution, or of several, in code mode and with static tools."""

    static_definitions: int
    static_arguments: int
    """Of all calls, with the names of their tools."""
    static_results: int
    code_definitions: int
    """The description of the one tool with the catalogue in it, and the definitions of direct tools."""
    code_written: int
    """The program."""
    code_output: int
    """What came back: printed text, results as text, the error."""
    calls: int
    called: tuple[str, ...] = ()
    """Ids of tools that were called, and that the model does not have directly."""
    executions: int = 1
    is_estimate: bool
    """Whether no tokenizer counted, or something was too large to be counted whole."""

    @classmethod
    def total(cls, accounts: Iterable[Self]) -> Self:
        """Of a session: definitions once, as in the last account, all else together.

        Raises:
            ValueError: there is no account.
        """
        every = list(accounts)
        if not every:
            raise ValueError("there is no account to add up")
        added = ("static_arguments", "static_results", "code_written", "code_output")
        sums = {
            name: sum(getattr(each, name) for each in every)
            for name in (*added, "calls", "executions")
        }
        return cls(
            static_definitions=every[-1].static_definitions,
            code_definitions=every[-1].code_definitions,
            called=tuple(sorted({name for each in every for name in each.called})),
            is_estimate=any(each.is_estimate for each in every),
            **sums,
        )

    @property
    def static_total(self) -> int:
        """With static tools."""
        return self.static_definitions + self.static_work

    @property
    def static_work(self) -> int:
        """The calls alone."""
        return self.static_arguments + self.static_results

    @property
    def code_total(self) -> int:
        """In code mode."""
        return self.code_definitions + self.code_work

    @property
    def code_work(self) -> int:
        """The program and its output alone."""
        return self.code_written + self.code_output

    @property
    def saved(self) -> int:
        """Tokens that code mode saved; below 0 where it lost."""
        return self.static_total - self.code_total

    @property
    def ratio(self) -> float:
        """Of code mode to static tools: 0.1 is a tenth."""
        return self.code_total / max(1, self.static_total)

    @property
    def code_mode_loses(self) -> bool:
        """Whether static tools had cost less, all together."""
        return self.calls > 0 and self.saved < 0

    @property
    def better_direct(self) -> tuple[str, ...]:
        """Ids of tools for ``Tools(direct=...)``: few calls, and these were dearer in code."""
        is_few = 0 < self.calls <= FEW_CALLS * self.executions
        return self.called if is_few and self.static_work < self.code_work else ()

    @property
    def advice(self) -> str:
        """One to three sentences: who won, why, and what to do."""
        if not self.calls:
            return "No tool was called: there is nothing to compare."
        return " ".join(filter(None, (self._verdict(), self._reason(), self._remedy())))

    def _verdict(self) -> str:
        if self.code_mode_loses:
            return f"Code mode lost: it cost {-self.saved:,} tokens more than static tools."
        return f"Code mode saved {self.saved:,} tokens ({1 - self.ratio:.0%})."

    def _reason(self) -> str:
        compared = f"({self.code_work:,} tokens, {self.static_work:,} if called directly)"
        if self.static_work < self.code_work:
            return f"The calls alone were dearer in code {compared}."
        if self.code_mode_loses:
            return (
                f"The calls alone were cheaper in code {compared}: what is dearer is the description "
                "of the one tool, which is sent whatever is called."
            )
        return ""

    def _remedy(self) -> str:
        if self.better_direct:
            names = ", ".join(map(repr, self.better_direct[:_MOST_NAMED]))
            more = ", ..." if len(self.better_direct) > _MOST_NAMED else ""
            return (
                f"Where so few calls are usual, give these directly: Tools(direct=[{names}{more}])."
            )
        if self.static_work < self.code_work:
            return "Printing less of what they gave would have made it cheaper."
        return ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the numbers, and what follows from them."""
        derived = ("static_total", "code_total", "saved", "ratio", "code_mode_loses", "advice")
        told = asdict(self) | {name: getattr(self, name) for name in derived}
        return told | {"called": list(self.called), "better_direct": list(self.better_direct)}

    def __str__(self) -> str:
        rows = (
            ("tokens", "static tools", "code mode"),
            ("definitions", self.static_definitions, self.code_definitions),
            ("calls, or code", self.static_arguments, self.code_written),
            ("results, or output", self.static_results, self.code_output),
            ("total", self.static_total, self.code_total),
        )
        lines = [f"{name:<20}{_number(one):>14}{_number(other):>14}" for name, one, other in rows]
        how = "These numbers are estimates." if self.is_estimate else ""
        return "\n".join(filter(None, (*lines, self.advice, how)))


def prices(catalogue: Catalogue, view: View) -> Prices:
    """What is sent of these tools in either way."""
    definitions = {
        tool.id: tokens.count(text_of([spec(catalogue, tool)])).tokens
        for tool in catalogue.tools
        if not isinstance(tool, SkillTool)  # there are none without code
    }
    description = tokens.count(text_of([execute_spec(view.description)]))
    return Prices(
        definitions=definitions,
        description=description.tokens,
        direct=frozenset(view.direct.values()),
        is_estimate=not description.is_exact,
    )


def account(prices: Prices, code: str, execution: Execution) -> TokenAccount:
    """The account of an execution whose calls were counted."""
    calls = [call for call in execution.tool_calls if call.argument_tokens is not None]
    called = {f"{call.server}/{call.tool}" for call in calls} & prices.definitions.keys()
    written = weight.weigh_text(json.dumps({"code": code}, ensure_ascii=False))
    output = _output(execution)
    # A result that was larger than what is looked at was counted by its beginning.
    is_large = any(
        max(call.result_bytes, call.argument_bytes) > weight.MOST_BYTES for call in calls
    )
    return TokenAccount(
        static_definitions=sum(prices.definitions.values()),
        static_arguments=sum(call.argument_tokens or 0 for call in calls),
        static_results=sum(call.result_tokens or 0 for call in calls),
        code_definitions=prices.description
        + sum(prices.definitions.get(each, 0) for each in prices.direct),
        code_written=written.tokens,
        code_output=output.tokens,
        calls=len(calls),
        called=tuple(sorted(called - prices.direct)),
        is_estimate=prices.is_estimate or is_large or not (written.is_exact and output.is_exact),
    )


def _output(execution: Execution) -> Count:
    told = [*execution.logs.stdout, *execution.logs.stderr]
    told += [result.text for result in execution.results if result.text]
    if execution.error is not None:
        told.append(execution.error.traceback or str(execution.error))
    told += [*execution.warnings, execution.tool_calls_note]
    return weight.weigh_text("".join(told))


def _number(value: str | int) -> str:
    return value if isinstance(value, str) else f"{value:,}"
