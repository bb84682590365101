"""Python functions as tools: each is read once, and called with what its hints want."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from protocell.tools.callables import Callee, read
from protocell.tools.errors import ToolError, known_paths, told, without_host
from protocell.tools.hints import Arguments, Result, problems_of
from protocell.tools.names import identifiers
from protocell.tools.thread_call import ThreadCall
from protocell.tools.tool import Answer, Call, StaticSource, Tool
from protocell.tools.validation import refusal
from protocell_guest.values import UnfitError, plain

_Outcome = tuple[Any, BaseException | None]


class FunctionSource(StaticSource):
    """Functions that a user handed over."""

    def __init__(
        self,
        functions: Sequence[Callable[..., Any]],
        *,
        name: str = "functions",
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """``names`` are those that hints may use beside their module's.

        Raises:
            PolicyError: one of them can be no tool; the message says why.
        """
        super().__init__(name, _tools_of([read(function, names) for function in functions], name))


def _tools_of(callees: Sequence[Callee], server: str) -> tuple[Tool, ...]:
    names: list[str] = []
    for callee in callees:
        names.append(_free(callee.name, names))
    written = identifiers(names)
    return tuple(
        _Function(callee, server=server, name=name).tool(written[name])
        for callee, name in zip(callees, names, strict=True)
    )


def _free(name: str, used: Sequence[str]) -> str:
    number, free = 1, name
    while free in used:
        number += 1
        free = f"{name}_{number}"
    return free


class _Function:
    """One of them: checks, calls, and tells what came of it."""

    def __init__(self, callee: Callee, *, server: str, name: str) -> None:
        self._callee = callee
        self._server = server
        self._name = name
        self._arguments = Arguments(callee, identifiers(each.name for each in callee.formals))
        self._result = Result(callee)

    def tool(self, identifier: str) -> Tool:
        return Tool(
            server=self._server,
            name=self._name,
            identifier=identifier,
            description=self._callee.description,
            parameters=self._arguments.parameters,
            input_schema=self._arguments.schema,
            output_schema=self._result.schema,
            native=True,
            check=self.check,
            shown=self.shown,
            invoke=self.invoke,
        )

    def check(self, arguments: dict[str, Any]) -> None:
        self._ready(arguments)

    def shown(self, arguments: dict[str, Any]) -> dict[str, Any]:
        # Hints make 13 of "13" and a text of bytes: a rule has to see what the function will.
        return self._arguments.shown(self._ready(arguments))

    async def invoke(self, arguments: dict[str, Any], call: Call) -> Answer:
        positional, named = self._arguments.bound(self._ready(arguments))
        value, failure = await self._outcome(positional, named, call)
        if failure is not None:
            raise self._failed(failure, arguments) from failure
        return Answer(value=value)

    def _ready(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._arguments.validated(arguments)
        except ValidationError as odd:
            found = problems_of(odd, arguments)
            parameters = self._arguments.parameters
            raise refusal(self._server, self._name, parameters, found) from None
        except Exception as odd:  # a validator of the user's raised what pydantic does not take
            raise self._failed(odd, arguments) from odd

    async def _outcome(self, positional: list[Any], named: dict[str, Any], call: Call) -> _Outcome:
        name, function = self._callee.call, self._callee.function
        if self._callee.is_async:
            given = named if name is None else {**named, name: call}
            return await self._awaited(functools.partial(function, *positional, **given))
        here = ThreadCall(call, asyncio.get_running_loop())
        given = named if name is None else {**named, name: here}
        work = functools.partial(function, *positional, **given)
        try:
            value, failure = await call.run_sync(functools.partial(self._in_a_thread, work))
        finally:
            here.end()
        if inspect.isawaitable(value):
            return await self._awaited(lambda: value)
        return value, failure

    async def _awaited(self, start: Callable[[], Any]) -> _Outcome:
        try:
            return self._written(await start()), None
        except asyncio.CancelledError as odd:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None, odd  # nobody cancels this call: something that the function awaited was
        except (Exception, SystemExit) as odd:  # noqa: BLE001 - told as data, whatever it is
            return None, odd

    def _in_a_thread(self, work: Callable[[], Any]) -> _Outcome:
        """What came of it as data: a future takes not every exception, and an exit is not the host's."""
        try:
            value = work()
            return (value if inspect.isawaitable(value) else self._written(value)), None
        except BaseException as odd:  # noqa: BLE001 - see above
            return None, odd

    def _written(self, value: Any) -> Any:
        try:
            return self._result.written(value)
        except UnfitError as odd:
            where = f"result{odd}" if odd.path else str(odd)
            raise ToolError(
                f"{self._server}/{self._name} ran, but what it gave cannot be sent: {where}"
            ) from odd

    def _failed(self, error: BaseException, arguments: Mapping[str, Any]) -> ToolError:
        """The error as the code may see it; the one that the function raised stays its cause."""
        label = f"{self._server}/{self._name}"
        if not isinstance(error, ToolError):
            return ToolError(
                f"{label}: {told(error, arguments)}",
                tool=self._name,
                server=self._server,
                data={"type": type(error).__name__},
            )
        try:
            data = plain(error.data)
        except UnfitError:
            data = None
        return ToolError(
            without_host(str(error), known_paths(arguments)),
            kind=error.kind,
            tool=error.tool or self._name,
            server=error.server or self._server,
            data=data,
        )
