"""``protocell tools lint`` and ``show``: tables for people, lines for pipes, JSON for programs.

What is printed here was written by the makers of the tools. Names and sentences stand on one line each, with all made
visible that a terminal would obey; the view itself has been cleaned, and on a terminal it is made visible once more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from protocell import catalogue
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.lint import Finding, counts, findings
from protocell._printable import printable, printable_line
from protocell.cli.arguments import naming_options
from protocell.cli.run import INTERRUPTED, NOBODY_READS
from protocell.cli.stopper import Stopper
from protocell.cli.streams import Screen
from protocell.cli.tool_sources import Sources
from protocell.errors import ProtocellError
from protocell.tools.access import Tools
from protocell.tools.errors import ToolError

T = TypeVar("T")
FOUND = 1
_STYLES = {"warning": "yellow", "note": "dim"}


def lint(sources: Sources, *, strict: bool, as_json: bool) -> int:
    """Look at the tools and print what was found; the exit code of the command."""

    def work(stopper: Stopper, screen: Screen) -> int:
        found = _run(stopper, sources.tools({}), _catalogue)
        told = findings(found)
        warnings = sum(each.grade == "warning" for each in told)
        if as_json:
            screen.out.write(json.dumps(_as_dict(found, told)) + "\n")
        else:
            _print(told, screen)
            others = f"{warnings} warnings, {len(told) - warnings} notes"
            screen.err.write_dim(f"protocell: {len(found.tools)} tools, {others}")
        return FOUND if strict and warnings else 0

    return _guarded(work)


def show(sources: Sources, fields: Mapping[str, Any], *, description: bool, as_json: bool) -> int:
    """Print what a model is shown; the exit code of the command."""

    def work(stopper: Stopper, screen: Screen) -> int:
        with naming_options(fields):
            view, specs = _run(stopper, sources.tools(fields), _view)
        if as_json:
            screen.out.write(json.dumps(_view_as_dict(view, specs)) + "\n")
            return 0
        screen.out.write_line(view.description if description else view.text)
        fits = "" if view.fits else ", which is beyond the budget"
        how = f"{view.level}, {len(view.digests)} tools, {view.count}{fits}"
        counted = view.count.tokenizer if view.count.is_exact else "no tokenizer is installed"
        screen.err.write_dim(f"protocell: {how} ({counted})")
        return 0

    return _guarded(work)


async def _catalogue(tools: Tools) -> Catalogue:
    return Catalogue.of(await tools.toolset.tools())


async def _view(tools: Tools) -> tuple[catalogue.View, list[catalogue.Spec]]:
    return await catalogue.show(tools), await catalogue.direct_specs(tools)


def _run(stopper: Stopper, tools: Tools, ask: Callable[[Tools], Coroutine[Any, Any, T]]) -> T:
    """What is asked of the tools; their servers are ended whatever happens."""

    async def run() -> T:
        # A signal that comes between two events is seen at once, and not with the next event.
        loop = asyncio.get_running_loop()
        loop.add_reader(stopper.wake, stopper.look_up)
        loop.set_exception_handler(_tell)
        try:
            return await ask(tools)
        finally:
            await tools.toolset.close()

    return asyncio.run(run())


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """As asyncio does; but a Ctrl-C that came in the midst of a task is raised, and need not be told as well."""
    error = context.get("exception")
    if isinstance(error, BaseExceptionGroup):
        error = error.subgroup(KeyboardInterrupt) and KeyboardInterrupt()
    if not isinstance(error, KeyboardInterrupt):
        loop.default_exception_handler(context)


def _guarded(work: Callable[[Stopper, Screen], int]) -> int:
    """What the machine has run out of, and output that cannot be written, ``main`` tells."""
    with Stopper() as stopper:
        screen = Screen(stopper)
        try:
            code = work(stopper, screen)
            screen.flush()
        except ProtocellError as error:
            screen.complain(printable(f"{error}{_remedy(error)}"))
            return error.exit_code
        except BrokenPipeError:
            return NOBODY_READS
        except KeyboardInterrupt:
            return INTERRUPTED
    return code


def _remedy(error: ProtocellError) -> str:
    if isinstance(error, ToolError) and error.kind == "transport":
        return "; start the server by itself, or ask for its URL, to see what it says"
    return ""


def _print(told: list[Finding], screen: Screen) -> None:
    if screen.out.is_terminal:
        if told:
            Console(highlight=False, markup=False).print(_table(told))
        return
    for each in told:
        what = f"{each.grade}: {each.kind}: {printable_line(each.text, 1_000)}"
        screen.out.write_line(f"{printable_line(each.tool)}: {what}")


def _table(told: list[Finding]) -> Table:
    """One row for each finding; the name of a tool stands where it changes."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("tool", "grade", "finding"):
        table.add_column(heading, no_wrap=heading == "grade", overflow="fold")
    before = ""
    for each in told:
        name = printable_line(each.tool) if each.tool != before else ""
        before = each.tool
        grade = Text(each.grade, style=_STYLES[each.grade])
        table.add_row(Text(name), grade, Text(printable_line(each.text, 1_000)))
    return table


def _as_dict(found: Catalogue, told: list[Finding]) -> dict[str, Any]:
    return {
        "tools": len(found.tools),
        "counts": counts(told),
        "findings": [{"grade": each.grade, **asdict(each)} for each in told],
    }


def _view_as_dict(view: catalogue.View, specs: list[catalogue.Spec]) -> dict[str, Any]:
    return {
        "level": view.level,
        "tools": len(view.digests),
        "tokens": view.count.tokens,
        "tokenizer": view.count.tokenizer,
        "fits": view.fits,
        "text": view.text,
        "description": view.description,
        "direct": specs,
    }
