"""The document about tools: the machine, every aim with what was reached, where code mode loses, and the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from samples import LIMIT, Row, Section, Spread
from tools_compare import Comparison
from tools_listing import Listing
from tools_method import HOW
from tools_play import Account
from tools_servers import Absent
from tools_tokens import Price, Recall

_HEAD = """\
# Benchmarks of tools

Written by `make bench-tools`; do not edit. Every figure is from one run on one machine. No model takes part: what a
model would write are fixed scripts, and what it would read is what real MCP servers gave. Tokens are counted by the
tokenizer named below; they are the same on every machine, as long as the servers list the same. Times are not.
"""

MOST_TOKENS_OF_A_SIGNATURE = 45
MOST_TOKENS_OF_THE_SEARCH = 300
SERVERS_OF_THE_SEARCH = 26
LEAST_RECALL = 0.95
LEAST_REQUESTS = 100
MOST_SHARE_OF_RESULTS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that was measured."""

    listings: Sequence[Listing]
    absent: Sequence[Absent]
    least: int
    prices: Sequence[Price]
    one_tool: int
    recalls: Sequence[Recall]
    not_asked: int
    comparisons: Sequence[Comparison]
    not_played: Sequence[str]
    speed: Sequence[Section] = field(default_factory=list)

    @property
    def has_enough(self) -> bool:
        """Whether as many servers are there as have to be."""
        return len(self.listings) >= self.least


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One aim, and what was reached."""

    name: str
    aim: str
    reached: str
    is_met: bool


def verdicts(found: Findings) -> Iterator[Verdict]:
    """Every aim; what was not measured misses its aim."""
    yield _servers(found)
    yield from _speeds(found)
    every = found.prices[-1]
    yield Verdict(
        name=f"one line for each tool, {every.tools} tools",
        aim=f"at most {MOST_TOKENS_OF_A_SIGNATURE} tokens a tool",
        reached=f"{every.each('compact'):.1f} tokens",
        is_met=every.each("compact") <= MOST_TOKENS_OF_A_SIGNATURE,
    )
    count, search = len(found.listings), every.levels["search"]
    yield Verdict(
        name="the search contract",
        aim=f"at most {MOST_TOKENS_OF_THE_SEARCH} tokens for {SERVERS_OF_THE_SEARCH} servers",
        reached=f"{search} tokens for {count} servers",
        is_met=search <= MOST_TOKENS_OF_THE_SEARCH and count >= SERVERS_OF_THE_SEARCH,
    )
    recall = found.recalls[-1]
    yield Verdict(
        name="recall@5 of the search",
        aim=f"at least {LEAST_RECALL} over at least {LEAST_REQUESTS} requests",
        reached=f"{recall.share:.3f} over {recall.asked} requests",
        is_met=recall.share >= LEAST_RECALL and recall.asked >= LEAST_REQUESTS,
    )
    yield from _results(found)


def _servers(found: Findings) -> Verdict:
    return Verdict(
        name="real MCP servers, started as processes",
        aim=f"at least {found.least}",
        reached=str(len(found.listings)),
        is_met=found.has_enough,
    )


def _speeds(found: Findings) -> Iterator[Verdict]:
    for row in (row for section in found.speed for row in section.rows if row.aim):
        assert row.aim is not None  # mypy does not see through the generator
        yield Verdict(
            name=row.name,
            aim=row.aim.text,
            reached=f"{_number(row.aim.value(row))} {row.unit}",
            is_met=row.aim.is_met(row),
        )


def _results(found: Findings) -> Iterator[Verdict]:
    for each in found.comparisons:
        if each.task.kind == "worked" and each.setting == "own":
            share = each.share_of_results
            yield Verdict(
                name=f"results that cross the context: {each.task.name}",
                aim=f"at most {MOST_SHARE_OF_RESULTS:.0%} of the static way",
                reached=f"{share:.2%}",
                is_met=share <= MOST_SHARE_OF_RESULTS,
            )
    for text in found.not_played:
        yield Verdict(name=text, aim="to be played", reached="nothing", is_met=False)


def document(facts: Mapping[str, str], warnings: Sequence[str], found: Findings) -> str:
    """The whole text."""
    parts = [
        _HEAD,
        *(f"> **Warning:** {text}\n" for text in warnings),
        "## The machine\n",
        *_table(["", ""], facts.items()),
        *_aims(found),
        *_losses(found),
        *_tasks(found),
        *_definitions(found),
        *_found(found),
        *(line for section in found.speed for line in _section(section)),
    ]
    return "\n".join([*parts, HOW])


def _aims(found: Findings) -> Iterator[str]:
    judged = list(verdicts(found))
    yield "## Aims\n"
    yield f"{sum(each.is_met for each in judged)} of {len(judged)} are met.\n"
    rows = (
        [each.name, each.aim, each.reached, "met" if each.is_met else "**missed**"]
        for each in judged
    )
    yield from _table(["what", "aim", "reached", ""], rows)


def _losses(found: Findings) -> Iterator[str]:
    yield "## Where code mode loses\n"
    rows = list(_shares(found))
    if not rows:
        yield "No task was played.\n"
        return
    shares = [share for _, *three in rows for share in three]
    lost = sum(share > 1 for share in shares)
    yield _LOSSES.format(lost=lost, plays=len(shares))
    heads = ["task", "its servers alone", "all servers", "all servers, but only its tools defined"]
    cells = ([name, *map(_share, three)] for name, *three in rows)
    yield from _table(heads, cells, 1)


_LOSSES = """\
What code mode costs, of what single calls cost for the same task; above 100 % it loses, which it does in {lost} of
these {plays}. What it saves are definitions and results. What it costs is a longer description of its one tool, a
program around each call, and, where the tools are not listed, a turn to look for them. So it loses where there are few
tools and few, small results, and where each step has to be read before the next: such tools are better given to the
model directly (`direct=`). The last column is the hardest: a client without code mode that has found just the right
definitions at no price, against code mode that has to search among all tools.
"""


def _shares(found: Findings) -> Iterator[tuple[str, float, float, float]]:
    """Of each task: its name, and the price of code mode in parts of the static way's, in three settings."""
    plays = {(each.task.name, each.setting): each for each in found.comparisons}
    for name in dict.fromkeys(each.task.name for each in found.comparisons):
        own, every = plays[name, "own"], plays[name, "all"]
        deferred = every.code.price / own.static.price
        yield name, own.share_of_price, every.share_of_price, deferred


def _share(share: float) -> str:
    return f"**{share:.0%}**" if share > 1 else f"{share:.1%}"


def _tasks(found: Findings) -> Iterator[str]:
    for kind, title in (
        ("worked", "Worked tasks"),
        ("small", "Small tasks"),
        ("chain", "Step by step"),
    ):
        some = [each for each in found.comparisons if each.task.kind == kind]
        if not some:
            continue
        yield f"## {title}\n"
        heads = ["task", "tools", "way", "turns", "definitions", "results", "found by search"]
        heads += ["tokens out", "tokens in", "context at the end", "price", "of static"]
        yield from _table(heads, (row for each in some for row in _both(each)), right=3)
    yield from (f"- {text}\n" for text in found.not_played)


def _both(each: Comparison) -> Iterator[list[str]]:
    yield [each.task.name, _tools(each), "static", *_account(each.static), ""]
    way = f"code mode, {each.code.level}"
    yield ["", "", way, *_account(each.code), _share(each.share_of_price)]


def _account(each: Account) -> list[str]:
    counts = (each.definitions, each.results, each.discovery, each.written, each.sent)
    return [str(len(each.turns)), *map(_count, (*counts, each.context, each.price))]


def _tools(each: Comparison) -> str:
    return f"{each.tools} of {each.servers} server{'s' * (each.servers > 1)}"


def _definitions(found: Findings) -> Iterator[str]:
    yield "## Definitions, in tokens\n"
    heads = ["server", "version", "MCP", "tools", "static specs", "full", "of static"]
    heads += ["compact", "of static", "a tool", "search", "chosen by the rule"]
    protocols = {each.server.name: each.protocol for each in found.listings}
    yield from _table(heads, (_price(row, protocols.get(row.name, "")) for row in found.prices), 3)
    yield (
        f"The one tool of code mode has {found.one_tool} tokens more around its catalogue, whatever tools there are; "
        "they are counted in the tasks.\n"
    )
    for each in found.absent:
        yield f"- **{each.server.name}** ({each.server.package} {each.server.version}) {each.why}\n"


def _price(row: Price, protocol: str) -> list[str]:
    cells = [row.name, row.about, protocol, str(row.tools), _count(row.static)]
    for level in ("full", "compact"):
        cells += [_count(row.levels[level]), f"{row.share(level):.0%}"]
    return [*cells, f"{row.each('compact'):.1f}", _count(row.levels["search"]), row.chosen]


def _found(found: Findings) -> Iterator[str]:
    yield "## Search\n"
    rows = (
        [each.name, str(each.asked), str(each.found), f"{each.share:.3f}"] for each in found.recalls
    )
    yield from _table(["requests", "asked", "found among the first five", "recall@5"], rows, 1)
    if found.not_asked:
        yield f"{found.not_asked} further requests are for tools that are not there, and were not asked.\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}\n"
    has_limit = any(LIMIT in row.rivals for row in section.rows)
    heads = ["", "unit", "protocell", *([LIMIT, "times the limit"] if has_limit else []), "n"]
    yield from _table(heads, (_speed(row, has_limit=has_limit) for row in section.rows), 2)


def _speed(row: Row, *, has_limit: bool) -> list[str]:
    limit = ["", ""] if has_limit else []
    if LIMIT in row.rivals:
        median = Spread.of(row.rivals[LIMIT]).median
        limit = [_spread(Spread.of(row.rivals[LIMIT])), _number(row.spread.median / median)]
    return [row.name, row.unit, _spread(row.spread), *limit, str(len(row.ours))]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: int = 99) -> Iterator[str]:
    yield _line(heads)
    yield _line(["---:" if number >= right else "---" for number in range(len(heads))])
    yield from map(_line, rows)
    yield ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(spread: Spread) -> str:
    text = _number(spread.median)
    if spread.count == 1:
        return text
    return f"{text} ({_number(spread.low)} to {_number(spread.high)})"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _number(value: float) -> str:
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:,.{digits}f}"
