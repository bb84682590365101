"""``protocell tools``: which commands and options there are; what they do is loaded when it is asked for."""

from __future__ import annotations

from typing import Annotated

import typer

from protocell.cli.flags import Command, Group

TOOLS = typer.Typer(
    name="tools",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Look at tools as the code of a model will find them: MCP servers, OpenAPI services, Toolsets.",
)

_ABOUT_LINT = (
    "Say what is wrong with tools as their makers describe them.\n\n"
    "Which have no output schema or no description, share a name, have thousand-character descriptions, "
    "parameters without a type, characters that nobody sees. Servers are started for it and ended; none of "
    "their tools is called."
)
_ABOUT_SHOW = (
    "Print what a model is shown of tools, and how many tokens that takes.\n\n"
    "By itself the most detailed level that is within the budget: full stubs, a line for each tool, or a "
    "count of them and how to search. Servers are started for it and ended; none of their tools is called."
)
_SOURCES = """[bold]Sources[/bold]

  --mcp 'npx -y @modelcontextprotocol/server-filesystem /data'
  --mcp git='uvx mcp-server-git' --mcp https://mcp.example.org/mcp
  --openapi shop=./openapi.yaml --base-url https://shop.example.org
  my_agent.tools:TOOLS

  A server that needs credentials or variables: put its Toolset into a module, and name that.
"""
_EXIT_OF_LINT = """
[bold]Exit codes[/bold]

  0 nothing was found, or not --strict      1 a warning, with --strict
  2 the request is wrong                    4 a server cannot be reached
"""

_OBJECTS = typer.Argument(
    metavar="MODULE:ATTRIBUTE", help="Toolset or Tools in a module that can be imported here."
)
_MCP = typer.Option(
    "--mcp",
    metavar="[NAME=]SERVER",
    help="An MCP server: the command that starts it, or its URL. Repeatable.",
)
_OPENAPI = typer.Option(
    "--openapi",
    metavar="[NAME=]SPEC",
    help="An OpenAPI service: file or URL of its document. Repeatable.",
)
_BASE_URL = typer.Option(
    "--base-url",
    metavar="[NAME=]URL",
    help="Where that service is, if its document does not say so. Repeatable.",
)
_JSON = typer.Option("--json", metavar="", help="Print nothing but one JSON object.")
_STRICT = typer.Option("--strict", metavar="", help="Exit with 1 if there is a warning.")
_LEVEL = typer.Option(
    "--level", metavar="full|compact|search", help="This much, whatever it takes."
)
_BUDGET = typer.Option("--budget", metavar="TOKENS", help="What the text may take (6000).")
_PINNED = typer.Option(
    "--pinned",
    metavar="TOOL",
    help="Show this one in any case: server.name, or a glob. Repeatable.",
)
_DIRECT = typer.Option(
    "--direct", metavar="TOOL", help="The model has this one directly as well. Repeatable."
)
_DESCRIPTION = typer.Option(
    "--description", metavar="", help="Print the whole description of the tool that runs code."
)

Objects = Annotated[list[str] | None, _OBJECTS]
Servers = Annotated[list[str] | None, _MCP]
Services = Annotated[list[str] | None, _OPENAPI]
BaseUrls = Annotated[list[str] | None, _BASE_URL]


@TOOLS.command("lint", cls=Command, help=_ABOUT_LINT, epilog=_SOURCES + _EXIT_OF_LINT)
def _lint(
    *,
    objects: Objects = None,
    mcp: Servers = None,
    openapi: Services = None,
    base_url: BaseUrls = None,
    strict: Annotated[bool, _STRICT] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    from protocell.cli.tool_reports import lint
    from protocell.cli.tool_sources import Sources

    sources = Sources.given(objects, mcp, openapi, base_url)
    raise typer.Exit(lint(sources, strict=strict, as_json=as_json))


@TOOLS.command("show", cls=Command, help=_ABOUT_SHOW, epilog=_SOURCES)
def _show(
    *,
    objects: Objects = None,
    mcp: Servers = None,
    openapi: Services = None,
    base_url: BaseUrls = None,
    level: Annotated[str | None, _LEVEL] = None,
    budget: Annotated[int | None, _BUDGET] = None,
    pinned: Annotated[list[str] | None, _PINNED] = None,
    direct: Annotated[list[str] | None, _DIRECT] = None,
    description: Annotated[bool, _DESCRIPTION] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    from protocell.cli.tool_reports import show
    from protocell.cli.tool_sources import Sources

    fields = {"level": level, "budget_tokens": budget, "pinned": pinned, "direct": direct}
    raise typer.Exit(
        show(
            Sources.given(objects, mcp, openapi, base_url),
            {name: value for name, value in fields.items() if value is not None},
            description=description,
            as_json=as_json,
        )
    )
