"""What a user hands over, put together: functions, MCP servers and OpenAPI services, chosen and named."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from protocell.errors import UnsupportedError
from protocell.tools import selection
from protocell.tools.errors import ToolError
from protocell.tools.names import server_name
from protocell.tools.options import McpOptions, OpenApiOptions, refuse_bad, refuse_unknown
from protocell.tools.permission import Permission, Rule
from protocell.tools.selection import Pattern, Patterns
from protocell.tools.supply import Found, Supply, listed, refuse_equal_names
from protocell.tools.tool import Source, Tool

if TYPE_CHECKING:
    from protocell.tools.openapi_spec import Spec


class Toolset:
    """Tools for the code to call. Make one with ``of``, ``mcp`` or ``openapi``, and add them up.

    Nothing is started before the tools are needed. What the methods give is another toolset on the
    same servers; closing any of them closes these. A toolset belongs to one event loop at a time,
    unless it has functions only.
    """

    def __init__(
        self,
        supplies: Iterable[Supply] = (),
        choose: Callable[[Found], tuple[Tool, ...]] = lambda _: (),
    ) -> None:
        """Use the class methods; without arguments it is an empty one."""
        self._supplies = tuple(dict.fromkeys(supplies))
        self._choose = choose

    @classmethod
    def of(cls, *functions: Callable[..., Any], name: str = "functions") -> Toolset:
        """Python functions: sync or async, methods, partials, instances that can be called.

        The schema comes from the type hints, the description from the docstring. A parameter hinted
        as ``Call`` (``ThreadCall``, if it is not async) gets the call, for progress and questions,
        and is not shown. ``name`` is their namespace.

        Raises:
            PolicyError: one of them can be no tool; the message says why.
            UnsupportedError: pydantic is not installed; so with ``mcp`` and ``openapi`` and their packages.
        """
        caller = sys._getframe(1)  # hints may name what is local where they are written
        home: Any = _loaded("functions")  # with pydantic
        source = home.FunctionSource(functions, name=name, names=caller.f_locals)
        return cls._on(Supply(source, any_loop=True))

    @classmethod
    def mcp(
        cls,
        target: str | Sequence[str],
        *,
        name: str | None = None,
        **options: Unpack[McpOptions],
    ) -> Toolset:
        """An MCP server: the command that starts it, or its URL.

        ``name`` is its namespace; if it is left out, it is taken from the command or the URL. What
        ``options`` there are, ``protocell.tools.mcp_source.McpSource`` says.

        Raises:
            PolicyError: the target or an option is wrong.
        """
        home: Any = _loaded("mcp_source")  # with the SDK
        refuse_unknown("mcp", options, McpOptions)
        refuse_bad(
            target=target, name=name
        )  # before a name is made of it; the rest is the source's
        return cls._on(Supply(home.McpSource(name or server_name(target), target, **options)))

    @classmethod
    def openapi(
        cls, spec: Spec, *, name: str | None = None, **options: Unpack[OpenApiOptions]
    ) -> Toolset:
        """An OpenAPI service (3.0, 3.1): its document as a dict, a path or a URL.

        ``name`` is its namespace; if it is left out, it is taken from the path or the URL. What
        ``options`` there are, ``protocell.tools.openapi_source.OpenApiSource`` says.

        Raises:
            PolicyError: the document or an option is wrong.
        """
        home: Any = _loaded("openapi_source")  # with httpx
        refuse_unknown("openapi", options, OpenApiOptions)
        refuse_bad(spec=spec, name=name)
        called = name or server_name(spec if isinstance(spec, str) else "service")
        return cls._on(Supply(home.OpenApiSource(called, spec, **options)))

    @classmethod
    def source(cls, source: Source) -> Toolset:
        """Tools of a source of one's own."""
        return cls._on(Supply(source))

    @classmethod
    def _on(cls, supply: Supply) -> Toolset:
        return cls((supply,), lambda found: found[supply])

    def __add__(self, other: Toolset) -> Toolset:
        """Both.

        Raises:
            PolicyError: two servers have one name. (Functions share a namespace; a name that is there
                twice gets a number.)
        """
        if not isinstance(other, Toolset):
            return NotImplemented
        supplies = dict.fromkeys((*self._supplies, *other._supplies))
        refuse_equal_names(supplies)
        return Toolset(
            supplies,
            lambda found: selection.merged((*self._choose(found), *other._choose(found))),
        )

    def __radd__(self, other: int) -> Toolset:
        """For ``sum``, which begins with 0."""
        return self if other == 0 else NotImplemented

    def filter(self, *wanted: Pattern) -> Toolset:
        """Those that fit one of these: names, ``server/name``, globs, or predicates on the ``Tool``."""
        patterns = Patterns(wanted)
        return self._with(lambda tools: selection.kept(tools, patterns), patterns)

    def without(self, *unwanted: Pattern) -> Toolset:
        """Those that fit none of these, which are as for ``filter``."""
        patterns = Patterns(unwanted)
        return self._with(lambda tools: selection.dropped(tools, patterns), patterns)

    def rename(self, names: Mapping[str, str]) -> Toolset:
        """With other identifiers: from names as for ``filter``, to what the code shall write.

        ``call_tool`` finds them under the original names still. That two get one name is a
        ``PolicyError`` of ``tools()``.

        Raises:
            PolicyError: a new name is no Python identifier.
        """
        for new in names.values():
            selection.refuse_bad_identifier(new)
        given, patterns = dict(names), Patterns(names)
        return self._with(lambda tools: selection.renamed(tools, patterns, given), patterns)

    def prefix(self, prefix: str) -> Toolset:
        """With this before each identifier.

        Raises:
            PolicyError: no Python identifier begins so.
        """
        selection.refuse_bad_identifier(f"{prefix}x")
        return self._with(lambda tools: selection.prefixed(tools, prefix))

    def permit(
        self,
        rules: Mapping[str, Rule] | None = None,
        *,
        destructive: Rule | None = None,
        open_world: Rule | None = None,
    ) -> Toolset:
        """With rules for each call: allow, ask, ask_once, deny, or a function of the arguments.

        ``rules`` has names and globs as for ``filter``, in any order: an exact name counts before
        globs, and of globs the one that says more (``delete_*`` before ``*``); what it says replaces
        the rule that was. Without any rule a tool may be called.
        ``destructive`` and ``open_world`` are for tools that their server calls so. They come on top:
        the stricter one counts, since what a server says of itself can make nothing milder.

        Raises:
            PolicyError: a rule is none of these.
        """
        given = dict(rules or {})
        every = (*given.values(), destructive, open_world)
        Permission(tuple(rule for rule in every if rule is not None))  # refuses what is no rule
        patterns, permitted = Patterns(given), self
        if given:
            permitted = permitted._with(
                lambda tools: selection.permitted(tools, patterns, given), patterns
            )
        if destructive is not None:
            permitted = permitted._tightened(destructive, lambda tool: tool.annotations.destructive)
        if open_world is not None:
            permitted = permitted._tightened(open_world, lambda tool: tool.annotations.open_world)
        return permitted

    async def start(self) -> None:
        """Starts every server now, not at first need. Raises ToolError, kind ``transport``."""
        (await listed(self._supplies)).check()

    async def tools(self) -> tuple[Tool, ...]:
        """What there is now, in the order of adding; starts what is not started.

        Raises:
            ToolError: a server cannot be reached (``transport``); the others stay started.
            PolicyError: a name that was given fits no tool, or two tools would have one name.
        """
        found = await listed(self._supplies)
        found.check()
        return selection.unambiguous(self._choose(found))

    async def reachable(self) -> tuple[tuple[Tool, ...], Mapping[str, ToolError]]:
        """The tools of those servers that can be reached; and of the others, by name, why they cannot.

        Raises:
            PolicyError: as ``tools``; a name that fits none is no error while a server is missing.
        """
        found = await listed(self._supplies)
        return selection.unambiguous(self._choose(found)), found.missing

    async def close(self) -> None:
        """Ends every server of it; calls that go on fail. It can be used again, and starts anew."""
        await asyncio.gather(*(supply.close() for supply in self._supplies))

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls it, in the event loop, when a server's list has changed; gives what ends that."""
        stops = [supply.listen(listener) for supply in self._supplies]

        def stop() -> None:
            for each in stops:
                each()

        return stop

    def __enter__(self) -> Self:
        """For the blocking face; servers start at the first need."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for supply in self._supplies:
            supply.close_from_another_thread()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Toolset({', '.join(supply.source.name for supply in self._supplies)})"

    def _with(
        self, step: Callable[[tuple[Tool, ...]], tuple[Tool, ...]], named: Patterns | None = None
    ) -> Toolset:
        def choose(found: Found) -> tuple[Tool, ...]:
            tools = self._choose(found)
            if named is not None:
                named.check(tools, found.missing)
            return step(tools)

        return Toolset(self._supplies, choose)

    def _tightened(self, rule: Rule, of_those: Callable[[Tool], bool | None]) -> Toolset:
        return self._with(
            lambda tools: selection.tightened(tools, rule, lambda tool: of_those(tool) is True)
        )


def _loaded(name: str) -> ModuleType:
    try:
        return import_module(f"protocell.tools.{name}")
    except ModuleNotFoundError as error:
        remedy = "pip install 'protocell[tools]'"
        raise UnsupportedError(
            f"tools of this kind need the package {error.name}; {remedy}",
            missing=(error.name or name,),
            remedy=remedy,
        ) from error
