"""A session's calls on file: which tools there were, what was asked of them, what they gave. Played again offline.

What code does depends on what its tools give; with a recording it runs again without their servers, for a test, a
demonstration or a search for a fault. The file is JSON lines: a head, the tools, the calls. It is read as data of
somebody unknown: sizes and shapes are checked, and no code is run. What the caller redacts is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from threading import Lock
from typing import Any, Self

from protocell.calls import ToolCall
from protocell.errors import FileError, PolicyError
from protocell.tools.call_log import CallLog
from protocell.tools.errors import ToolError
from protocell.tools.tool import MISSING, Annotations, Answer, Call, Parameter, Tool
from protocell_guest import values

_HEAD = {"protocell": "recording of tool calls", "version": 1}
MOST_BYTES = 256 << 20


class Recording:
    """Calls of the sandboxes that were given it as ``Tools(record=...)``; any thread may add to it."""

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        """``most_bytes`` of answers; calls beyond are there without what they gave, and cannot be played."""
        self.room = most_bytes
        self._calls: list[ToolCall] = []
        self._tools: dict[str, Tool] = {}
        self._lock = Lock()

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """In the order in which their executions ended."""
        return tuple(self._calls)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """As they were; calling one says that it was not called so in the recording."""
        return tuple(_as_played(tool) for tool in self._tools.values())

    def add(self, tools: Mapping[str, Tool], calls: Sequence[ToolCall]) -> None:
        """What one execution has called, and what it could have called."""
        with self._lock:
            self._tools.update(tools)
            for call in calls:
                size = len(call.body or b"")
                fits = size <= self.room
                self.room -= size if fits else 0
                self._calls.append(call if fits else replace(call, body=None))

    def log(self) -> CallLog:
        """To be played once."""
        return CallLog(self._calls)

    def save(self, path: str | Path) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        with Path(path).open("w", encoding="ascii") as file:
            file.writelines(
                json.dumps(line, separators=(",", ":")) + "\n" for line in self._lines()
            )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the file.

        Raises:
            FileError: it is no recording, or one that cannot be read.
        """
        recording = cls()
        try:
            with Path(path).open(encoding="ascii") as file:
                lines = (json.loads(line) for line in file)
                if next(lines, None) != _HEAD:
                    raise FileError(f"{path} is no recording of this version")
                for line in lines:
                    recording._take(line)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise FileError(f"{path} cannot be read as a recording: {what}") from error
        return recording

    def _lines(self) -> Iterator[dict[str, Any]]:
        yield _HEAD
        for tool in self._tools.values():
            yield {"tool": _definition(tool)}
        for call in self._calls:
            answer = {}
            if call.body is not None:
                answer["answer"] = values.encode(values.loads(call.body, most_items=None))
            yield {"call": call.to_dict()} | answer

    def _take(self, line: Mapping[str, Any]) -> None:
        if "tool" in line:
            tool = _tool(line["tool"])
            self._tools[tool.id] = tool
        else:
            body = values.dumps(values.decode(line["answer"])) if "answer" in line else None
            self.add({}, [_call(line["call"], body)])


class RecordedSource:
    """The tools of one server as they were in a recording; there is no server."""

    def __init__(self, name: str, tools: Iterable[Tool]) -> None:
        self.changed: Callable[[], None] | None = None
        self._name = name
        self._tools = tuple(tools)

    @property
    def name(self) -> str:
        """The server's."""
        return self._name

    async def start(self) -> None:
        """There is nothing to start."""

    async def tools(self) -> tuple[Tool, ...]:
        """As they were."""
        return self._tools

    async def close(self) -> None:
        """There is nothing to end."""


def sources(recording: Recording) -> list[RecordedSource]:
    """One for each server that had tools."""
    servers: dict[str, list[Tool]] = {}
    for tool in recording.tools:
        servers.setdefault(tool.server, []).append(tool)
    return [RecordedSource(name, tools) for name, tools in servers.items()]


def _as_played(tool: Tool) -> Tool:
    # What a function's own check refused is in the recording as well.
    check = (lambda _: None) if tool.native else None
    return replace(tool, invoke=_unplayed(tool.id), check=check)


def _unplayed(tool: str) -> Callable[[dict[str, Any], Call], Awaitable[Answer]]:
    async def invoke(_arguments: dict[str, Any], _call: Call) -> Answer:
        raise ToolError(
            f"{tool} was not called with these arguments in the recording, or not so often; "
            "there is no server to ask",
            kind="transport",
        )

    return invoke


def _definition(tool: Tool) -> dict[str, Any]:
    return {
        "server": tool.server,
        "name": tool.name,
        "identifier": tool.identifier,
        "description": tool.description,
        "parameters": [_parameter(each) for each in tool.parameters],
        "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
        "annotations": asdict(tool.annotations),
        "native": tool.native,
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    told = {name: getattr(parameter, name) for name in Parameter.__slots__}
    if parameter.default is MISSING:
        del told["default"]
    else:
        told["default"] = values.encode(parameter.default)
    return told


def _tool(told: Mapping[str, Any]) -> Tool:
    parameters = tuple(
        Parameter(
            **each | ({"default": values.decode(each["default"])} if "default" in each else {})
        )
        for each in told["parameters"]
    )
    return Tool(
        **{**told, "parameters": parameters, "annotations": Annotations(**told["annotations"])},
        invoke=_unplayed(f"{told['server']}/{told['name']}"),
    )


def _call(told: Mapping[str, Any], body: bytes | None) -> ToolCall:
    decoded = {
        name: values.decode(told[name])
        for name in ("arguments", "approved_arguments")
        if told[name] is not None
    }
    return ToolCall(**{**told, **decoded, "body": body})


def refuse_no_recording(what: str, given: object) -> None:
    """Raises PolicyError."""
    if given is not None and not isinstance(given, Recording):
        raise PolicyError(f"{what} is {given!r:.60}; allowed is a Recording")
