"""The tasks: what is asked, and what a model would write, with every tool by itself and with code.

The scripts are fixed. Where there is a choice, they are kind to the static way: calls that do not need each other are
made in one turn, its results are what the servers sent and nothing around it, and its sums are held for right. In code
mode a model looks at two rows before it writes the program, and looks for its tools where they are not listed.
Both ways ask the servers the same, and have to come to the same answer.
"""

from __future__ import annotations

import json
from ast import literal_eval
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tools_data
from tools_play import PlayError, Static

_PAGE = 50
_SQL = "SELECT id, status, text FROM tickets"
_Play = Callable[[Static], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One of them."""

    name: str
    kind: Literal["worked", "small", "chain"]
    request: str
    servers: Sequence[str]
    searches: Sequence[str]
    """What is looked for, where the tools are not listed."""
    needed: Sequence[str]
    """Tools that have to be found so."""
    static: _Play
    """Does it with single calls, and gives the answer."""
    programs: Callable[[Path], Sequence[str]]
    """Does it with code; paths in them begin with ``/data``."""
    read: Callable[[Path, str], str]
    """The answer, from what the last program printed; it has to be the same."""
    prepare: tuple[str, str] | None = None
    """A call, with its only argument, that puts data there before: a tool and a text."""


# -- join two big results -------------------------------------------------------------------------

_ORDERS = "SELECT id, customer, cents FROM orders ORDER BY id"
_CUSTOMERS = "SELECT id, name, country FROM customers ORDER BY id"
_LOAD = "CREATE TABLE customers AS SELECT * FROM read_csv('/data/customers.csv')"


async def _join(model: Static) -> str:
    orders, customers = await model.turn(
        ("sqlite/read_query", {"query": _ORDERS}), ("duckdb/query", {"query": _CUSTOMERS})
    )
    country = {number: where for number, _, where in literal_eval(customers)}
    totals: Counter[str] = Counter()
    for order in literal_eval(orders):
        totals[country[order["customer"]]] += order["cents"]
    return ", ".join(f"{name} {cents}" for name, cents in totals.most_common())


def _as_printed(_: Path, printed: str) -> str:
    return printed.strip()


_JOINED = f"""\
from ast import literal_eval
from collections import Counter
orders = literal_eval(sqlite.read_query(query="{_ORDERS}"))
customers = literal_eval(duckdb.query(query="{_CUSTOMERS}"))
country = {{number: where for number, _, where in customers}}
totals = Counter()
for order in orders:
    totals[country[order["customer"]]] += order["cents"]
print(", ".join(f"{{name}} {{cents}}" for name, cents in totals.most_common()))"""
_JOIN_PEEK = """\
print(sqlite.read_query(query="SELECT * FROM orders LIMIT 2"))
print(duckdb.query(query="SELECT * FROM customers LIMIT 2"))"""

JOIN = Task(
    name=f"join two big results ({tools_data.ORDERS:,} and {tools_data.CUSTOMERS} rows)",
    kind="worked",
    request="Add up the orders by country, highest first. SQLite has orders(id, customer, cents), DuckDB has "
    "customers(id, name, country).",
    servers=("sqlite", "duckdb"),
    searches=("read rows of the SQLite database with SQL", "query the DuckDB database"),
    needed=("sqlite.read_query", "duckdb.query"),
    static=_join,
    programs=lambda _: (_JOIN_PEEK, _JOINED),
    read=_as_printed,
    prepare=("duckdb/query", _LOAD),
)

# -- page through 1,000 items ---------------------------------------------------------------------

_TICKETS = (
    f"Ticket ids run from 1 to {tools_data.TICKETS:,} in the SQLite table tickets(id, status, text). How many of "
    f"those that are open ask for a refund? Read them in pages of {_PAGE}"
)
_PAGE_PEEK = 'print(sqlite.read_query(query="SELECT * FROM tickets LIMIT 2"))'


async def _pages_at_once(model: Static) -> str:
    queries = [
        f"{_SQL} ORDER BY id LIMIT {_PAGE} OFFSET {offset}"
        for offset in range(0, tools_data.TICKETS, _PAGE)
    ]
    pages = await model.turn(*(("sqlite/read_query", {"query": query}) for query in queries))
    return _refunds(pages)


async def _pages_in_turn(model: Static) -> str:
    pages, last = [], 0
    for _ in range(tools_data.TICKETS // _PAGE):
        query = f"{_SQL} WHERE id > {last} ORDER BY id LIMIT {_PAGE}"
        pages += await model.turn(("sqlite/read_query", {"query": query}))
        last = literal_eval(pages[-1])[-1]["id"]
    return _refunds(pages)


def _refunds(pages: Sequence[str]) -> str:
    tickets = [ticket for page in pages for ticket in literal_eval(page)]
    if len(tickets) != tools_data.TICKETS:
        raise PlayError(f"{len(tickets)} tickets were read")
    return str(sum(each["status"] == "open" and "refund" in each["text"] for each in tickets))


_AT_ONCE = f"""\
from ast import literal_eval
from concurrent.futures import ThreadPoolExecutor
def page(offset):
    return literal_eval(sqlite.read_query(query=f"{_SQL} ORDER BY id LIMIT {_PAGE} OFFSET {{offset}}"))
with ThreadPoolExecutor() as pool:
    tickets = sum(pool.map(page, range(0, {tools_data.TICKETS}, {_PAGE})), [])
print(sum(t["status"] == "open" and "refund" in t["text"] for t in tickets))"""
_IN_TURN = f"""\
from ast import literal_eval
count = last = 0
while last < {tools_data.TICKETS}:
    page = literal_eval(sqlite.read_query(query=f"{_SQL} WHERE id > {{last}} ORDER BY id LIMIT {_PAGE}"))
    count += sum(t["status"] == "open" and "refund" in t["text"] for t in page)
    last = page[-1]["id"]
print(count)"""


def _paged(how: str, request: str, static: _Play, program: str) -> Task:
    return Task(
        name=f"page through {tools_data.TICKETS:,} items, {how}",
        kind="worked",
        request=f"{_TICKETS}{request}",
        servers=("sqlite",),
        searches=("read rows of the SQLite database with SQL",),
        needed=("sqlite.read_query",),
        static=static,
        programs=lambda _: (_PAGE_PEEK, program),
        read=_as_printed,
    )


PAGES = _paged("all pages asked for at once", " by LIMIT and OFFSET.", _pages_at_once, _AT_ONCE)
CURSOR = _paged(
    "each page after the one before",
    ", each from the last id of the one before.",
    _pages_in_turn,
    _IN_TURN,
)

# -- copy a long document between two servers -----------------------------------------------------


async def _copy(model: Static) -> str:
    uri, path = f"file://{model.data}/report.html", f"{model.data}/report.md"
    (text,) = await model.turn(("markitdown/convert_to_markdown", {"uri": uri}))
    await model.turn(("filesystem/write_file", {"path": path, "content": text}))
    return _written(Path(path))


def _written(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    path.unlink()
    if text.count("\n## ") != tools_data.PARAGRAPHS // 10:
        raise PlayError("the copy is not the whole document")
    return "The report is in /data/report.md."


_COPIED = """\
text = markitdown.convert_to_markdown(uri="file:///data/report.html")
filesystem.write_file(path="/data/report.md", content=text)
print(len(text), text[:60])"""

COPY = Task(
    name="copy a long document between two servers",
    kind="worked",
    request="Turn /data/report.html into Markdown and save it as /data/report.md.",
    servers=("markitdown", "filesystem"),
    searches=("convert an HTML file to Markdown", "write text into a file"),
    needed=("markitdown.convert_to_markdown", "filesystem.write_file"),
    static=_copy,
    programs=lambda _: (_COPIED,),
    read=lambda data, _: _written(data / "report.md"),
)

# -- where code mode has little to win ------------------------------------------------------------

_CITIES = ("Asia/Tokyo", "America/New_York", "America/Sao_Paulo")


async def _times(model: Static, cities: Sequence[str]) -> str:
    asked = {"source_timezone": "Europe/Berlin", "time": "16:30"}
    told = await model.turn(
        *(("time/convert_time", {**asked, "target_timezone": city}) for city in cities)
    )
    return ", ".join(json.loads(each)["target"]["datetime"][11:16] for each in told)


def _times_in(_: Path, printed: str) -> str:
    return ", ".join(
        literal_eval(line)["target"]["datetime"][11:16] for line in printed.splitlines()
    )


_ONE_TIME = """\
print(time_.convert_time(source_timezone="Europe/Berlin", time="16:30", target_timezone="Asia/Tokyo"))"""
_SOME_TIMES = f"""\
for city in {list(_CITIES)}:
    print(time_.convert_time(source_timezone="Europe/Berlin", time="16:30", target_timezone=city))"""


def _time_task(count: str, request: str, cities: Sequence[str], program: str) -> Task:
    return Task(
        name=f"{count} of a server with two tools",
        kind="small",
        request=f"It is 16:30 in Berlin. What time is it in {request}?",
        servers=("time",),
        searches=("convert a time to another time zone",),
        needed=("time_.convert_time",),
        static=lambda model: _times(model, cities),
        programs=lambda _: (program,),
        read=_times_in,
    )


ONE_CALL = _time_task("one call", "Tokyo", _CITIES[:1], _ONE_TIME)
THREE_CALLS = _time_task("three calls", "Tokyo, New York and São Paulo", _CITIES, _SOME_TIMES)

# -- step by step: each call depends on what a reader makes of the one before ---------------------

_TOLD = "Linus changed it from 0.19 to 0.16, in a commit that was to tidy up constants."
# The reader begins with the subjects that sound like it; which it was, only the fourth commit shows.
_LOOKED_AT = (5, 4, 2, 3)


async def _chain(model: Static) -> str:
    repo = str(model.data / "repo")
    await model.turn(("git/git_log", {"repo_path": repo}))
    found = ""
    for revision in _revisions(model.data):
        (found,) = await model.turn(("git/git_show", {"repo_path": repo, "revision": revision}))
    return _culprit(found)


def _culprit(shown: str) -> str:
    if "-RATE = 0.19" not in shown or "Linus" not in shown:
        raise PlayError("the commit is another one")
    return _TOLD


def _chained(data: Path) -> Sequence[str]:
    return (
        'print(git.git_log(repo_path="/data/repo"))',
        *(
            f'print(git.git_show(repo_path="/data/repo", revision="{revision}"))'
            for revision in _revisions(data)
        ),
    )


def _revisions(data: Path) -> list[str]:
    hashes = tools_data.commits(data)
    return [hashes[number][:12] for number in _LOOKED_AT]


CHAIN = Task(
    name="a chain of five steps, each read before the next",
    kind="chain",
    request="In the repository /data/repo, who changed the general tax rate, and what was it before?",
    servers=("git",),
    searches=("history of a git repository", "show what a commit changed"),
    needed=("git.git_log", "git.git_show"),
    static=_chain,
    programs=_chained,
    read=lambda _, printed: _culprit(printed),
)

TASKS = (JOIN, PAGES, CURSOR, COPY, ONE_CALL, THREE_CALLS, CHAIN)
