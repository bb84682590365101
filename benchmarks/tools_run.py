"""Measures tools: what they cost a model, what code mode saves and where it loses, and how fast calls are.

make bench-tools, or: python benchmarks/tools_run.py [--quick] [--servers FILE] [--place FOLDER] [--output FILE]

Writes docs/benchmarks-tools.md. Real MCP servers are installed first, which takes minutes the first time.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import machine
import protocell
import tools_data
import tools_servers
import tools_speed
import tools_tokens
from protocell._catalogue.tokens import VOCABULARY
from samples import Section
from tools_compare import Scene, compare
from tools_listing import ask
from tools_report import Findings, document
from tools_servers import Absent, Server

DOCUMENT = tools_servers.ROOT / "docs" / "benchmarks-tools.md"
_PACKAGES = ("mcp", "pydantic", "bpe-openai")


def main() -> int:
    """Install, measure, write; 1 if too few servers are there."""
    arguments = _arguments()
    warnings = _warnings(is_quick=arguments.quick)
    for text in warnings:
        print(f"warning: {text}", file=sys.stderr)
    started = time.monotonic()
    tools_tokens.count(
        ""
    )  # before anything that takes long: without a tokenizer nothing is measured
    facts = _facts()
    servers, least = tools_servers.read(arguments.servers)
    place = arguments.place.resolve()
    installed, absent = tools_servers.install(servers, place, _say)
    speed = tools_speed.sections(tools_speed.QUICK if arguments.quick else tools_speed.FULL, _say)
    # Not in TMPDIR, which may be deep: some servers make sockets in their folder, whose names are bounded.
    with tempfile.TemporaryDirectory(prefix="protocell-bench-", dir="/tmp") as folder:
        scene = Scene(listings=[], place=place, data=Path(folder).resolve())
        tools_data.make(scene.data)
        found = asyncio.run(_found(installed, absent, least, scene, speed))
    _write(arguments.output, document(facts, warnings, found))
    _say(f"done in {time.monotonic() - started:.0f} s")
    if not found.has_enough:
        _say(f"{len(found.listings)} servers are there; at least {least} have to be")
    return 0 if found.has_enough else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure tools, and write their document.")
    parser.add_argument(
        "--quick", action="store_true", help="few samples of speed, to see that it works"
    )
    parser.add_argument(
        "--servers", type=Path, default=tools_servers.LIST, help="the list of servers"
    )
    parser.add_argument(
        "--place", type=Path, default=tools_servers.PLACE, help="where they are installed"
    )
    parser.add_argument(
        "--output", type=Path, help="write here (default: the document; of --quick: print)"
    )
    arguments = parser.parse_args()
    if arguments.output is None and not arguments.quick:
        arguments.output = DOCUMENT
    return arguments


def _warnings(*, is_quick: bool) -> list[str]:
    found = [text for text in (machine.warning(),) if text]
    if is_quick:
        found.append(
            "This was a quick run: its times show that the script works, and say nothing. Its tokens are whole."
        )
    return found


def _facts() -> dict[str, str]:
    facts = machine.facts(protocell.run_code("print(1)").enforced)
    versions = (f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return {**facts, "packages": ", ".join(versions), "node": _node(), "tokenizer": VOCABULARY}


def _node() -> str:
    try:
        done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "not there"
    return done.stdout.strip()


async def _found(
    servers: list[Server], absent: list[Absent], least: int, scene: Scene, speed: list[Section]
) -> Findings:
    listings, silent = await ask(servers, scene.place, scene.data, _say)
    comparisons, not_played = await compare(replace(scene, listings=listings), _say)
    tools = [tool for listing in listings for tool in listing.tools]
    recalls, not_asked = tools_tokens.recalls(tools)
    return Findings(
        listings=listings,
        absent=[*absent, *silent],
        least=least,
        prices=tools_tokens.prices(listings),
        one_tool=tools_tokens.words_of_the_one_tool(),
        recalls=recalls,
        not_asked=not_asked,
        comparisons=comparisons,
        not_played=not_played,
        speed=speed,
    )


def _write(output: Path | None, text: str) -> None:
    if output is None:
        print(text)
        return
    output.write_text(text, encoding="utf-8")
    _say(f"written to {output}")


def _say(text: str) -> None:
    print(f"bench-tools: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
