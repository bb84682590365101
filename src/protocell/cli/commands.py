"""Which commands and options there are; what a command does is loaded when it is asked for."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from protocell.cli.flags import Command, Group
from protocell.cli.tool_commands import TOOLS

APP = typer.Typer(
    name="protocell",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a bug of ours shall show a plain traceback to be reported
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

APP.add_typer(TOOLS)

# Not docstrings: a line's end in one is kept as it is, whatever the width of the terminal.
_ABOUT_RUN = (
    "Run a file of Python code in a fresh sandbox.\n\n"
    "What it prints comes as it is printed, the value of the last expression at the end. Nothing of "
    "this machine can be read or changed from inside but what --file and --mount give, and there is "
    "no network. Ctrl-C interrupts the code, a second one ends it."
)
_ABOUT_DOCTOR = (
    "Try every layer of protection on this machine, for real.\n\n"
    "Makes a sandbox and lets code in it attempt harmless escapes. Exit code 0 means that the "
    "default policy can be enforced here; else the table says what is missing and what to do."
)
_EXAMPLES = """[bold]Examples[/bold]

  protocell run script.py
  echo 'sum(range(10))' | protocell run -
  protocell run report.py --file sales.xlsx --preload pandas --out results
  protocell run scan.py --mount /var/log:/data --timeout 60 --json

[bold]Exit codes[/bold]

  0 the code ended well          1 it raised, or gave an exit code
  2 the request is wrong         3 this machine cannot enforce the sandbox
  124 out of time                20 out of memory      21 too much output
  22 killed                      130 interrupted       143 terminated

  All of them are in docs/cli.md.
"""

_CODE = typer.Argument(metavar="FILE", help="Python source to run; - is standard input.")
_FILE = typer.Option(
    "--file",
    metavar="[NAME=]PATH",
    help="Copy a file of this machine into the workspace, as NAME or its own name. Repeatable.",
)
_MOUNT = typer.Option(
    "--mount",
    metavar="HOST:TARGET",
    help="Show a folder or file of this machine inside at TARGET, read-only. Repeatable.",
)
_TIMEOUT = typer.Option("--timeout", metavar="SECONDS", help="Time on the clock (30).")
_CPU = typer.Option("--cpu", metavar="SECONDS", help="Processor time of all processes (60).")
_MEMORY = typer.Option("--memory", metavar="SIZE", help="Memory, as in 512MiB (1GiB).")
_PRELOAD = typer.Option(
    "--preload", metavar="NAMES", help="Modules to load beforehand: pandas,numpy. Repeatable."
)
_DENY = typer.Option(
    "--deny-import", metavar="NAMES", help="Modules that the code may not import. Repeatable."
)
_ALLOW = typer.Option(
    "--allow-import", metavar="NAMES", help="The only modules that it may import. Repeatable."
)
_ISOLATION = typer.Option(
    "--isolation",
    metavar="kernel|process",
    help="process is for machines without Linux: far weaker, never chosen by itself.",
)
_WAIVE = typer.Option(
    "--waive",
    metavar="LAYER",
    help="Go on without this layer if the machine cannot give it. Repeatable.",
)
_OUT = typer.Option("--out", metavar="DIR", help="Save the files that the code made or changed.")
# Flags: without this they would be said to take a value.
_OVERWRITE = typer.Option(
    "--overwrite", metavar="", help="Let --out replace files that are there already."
)
_JSON = typer.Option(
    "--json", metavar="", help="Print nothing but one JSON object: all that came of it."
)
_QUIET = typer.Option(
    "--quiet", "-q", metavar="", help="No line about status, time and files at the end."
)


def _show_version(*, wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("protocell")
    except PackageNotFoundError:
        number = "(not installed)"
    python = ".".join(map(str, sys.version_info[:3]))
    typer.echo(f"protocell {number}, Python {python}")
    raise typer.Exit


@APP.callback()
def _protocell(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            is_eager=True,
            callback=lambda value: _show_version(wanted=value),
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Run model-written Python in a sandbox that the kernel enforces."""
    del version  # its callback has ended the command


@APP.command("run", cls=Command, help=_ABOUT_RUN, epilog=_EXAMPLES)
def _run(
    *,
    code: Annotated[str, _CODE],
    file: Annotated[list[str] | None, _FILE] = None,
    mount: Annotated[list[str] | None, _MOUNT] = None,
    timeout: Annotated[float | None, _TIMEOUT] = None,
    memory: Annotated[str | None, _MEMORY] = None,
    cpu: Annotated[float | None, _CPU] = None,
    preload: Annotated[list[str] | None, _PRELOAD] = None,
    isolation: Annotated[str, _ISOLATION] = "kernel",
    waive: Annotated[list[str] | None, _WAIVE] = None,
    deny_import: Annotated[list[str] | None, _DENY] = None,
    allow_import: Annotated[list[str] | None, _ALLOW] = None,
    out: Annotated[str | None, _OUT] = None,
    overwrite: Annotated[bool, _OVERWRITE] = False,
    as_json: Annotated[bool, _JSON] = False,
    quiet: Annotated[bool, _QUIET] = False,
) -> None:
    from protocell.cli.run import Request, run

    request = Request(
        source=code,
        files=tuple(file or ()),
        mounts=tuple(mount or ()),
        timeout=timeout,
        memory=memory,
        cpu=cpu,
        preload=tuple(preload or ()),
        isolation=isolation,
        waive=tuple(waive or ()),
        deny_imports=None if deny_import is None else tuple(deny_import),
        allow_imports=None if allow_import is None else tuple(allow_import),
        out=out,
        overwrite=overwrite,
        as_json=as_json,
        quiet=quiet,
    )
    raise typer.Exit(run(request))


@APP.command("doctor", cls=Command, help=_ABOUT_DOCTOR)
def _doctor(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print one JSON object.")
    ] = False,
) -> None:
    from protocell.cli.doctor import show

    raise typer.Exit(show(as_json=as_json))
