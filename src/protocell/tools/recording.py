"""A session's calls on file: which tools there were, what was asked of them, what they gave. Played again offline.

What code does depends on what its tools give; with a recording it runs again without their servers, for a test, a
demonstration or a search for a fault. The file is JSON lines: a head, the tools, the calls. It is read as data of
somebody unknown: sizes and shapes are checked, and no code is run. What the caller redacts is not in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from threading import Lock
from typing import Any, Self, get_args

from protocell.calls import CallOutcome, ToolCall
from protocell.errors import FileError, PolicyError
from protocell.tools.call_log import CallLog
from protocell.tools.errors import ToolError
from protocell.tools.tool import (
    MISSING,
    Annotations,
    Answer,
    Call,
    Kind,
    Parameter,
    StaticSource,
    Tool,
)
from protocell_guest import values

_HEAD = {"protocell": "recording of tool calls", "version": 1}
MOST_BYTES = 256 << 20
MOST_FILE_BYTES = 4 * MOST_BYTES


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
        return self._now()[1]

    @property
    def tools(self) -> tuple[Tool, ...]:
        """As they were; calling one says that it was not called so in the recording."""
        return tuple(map(_as_played, self._now()[0]))

    def add(self, tools: Mapping[str, Tool], calls: Sequence[ToolCall]) -> None:
        """What one execution has called, and what it could have called."""
        with self._lock:
            self._tools.update(tools)
            for call in calls:
                size = len(call.body or b"")
                # What was kept from the code is not to be had from a file either.
                fits = size <= self.room and call.outcome != "withheld"
                self.room -= size if fits else 0
                self._calls.append(call if fits else replace(call, body=None))

    def log(self) -> CallLog:
        """To be played once."""
        return CallLog(self.calls)

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
                if (size := os.fstat(file.fileno()).st_size) > MOST_FILE_BYTES:
                    raise FileError(
                        f"{path} has {size:,} bytes; at most {MOST_FILE_BYTES:,} are read"
                    )
                lines = (json.loads(line) for line in file)
                if next(lines, None) != _HEAD:
                    raise FileError(f"{path} is no recording of this version")
                for line in lines:
                    recording._take(line)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise FileError(f"{path} cannot be read as a recording: {what}") from error
        return recording

    def _now(self) -> tuple[tuple[Tool, ...], tuple[ToolCall, ...]]:
        """What there is, whoever adds to it meanwhile."""
        with self._lock:
            return tuple(self._tools.values()), tuple(self._calls)

    def _lines(self) -> Iterator[dict[str, Any]]:
        tools, calls = self._now()
        yield _HEAD
        for tool in tools:
            yield {"tool": _definition(tool)}
        for call in calls:
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


def sources(recording: Recording) -> list[StaticSource]:
    """One for each server that had tools, which are as they were; there is no server."""
    servers: dict[str, list[Tool]] = {}
    for tool in recording.tools:
        servers.setdefault(tool.server, []).append(tool)
    return [StaticSource(name, tools) for name, tools in servers.items()]


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


def _tool(told: Any) -> Tool:
    _check(told, _OF_A_TOOL)
    _check(told["annotations"], _OF_ANNOTATIONS)
    return Tool(
        **{
            **told,
            "parameters": tuple(map(_parameter_of, told["parameters"])),
            "annotations": Annotations(**told["annotations"]),
        },
        invoke=_unplayed(f"{told['server']}/{told['name']}"),
    )


def _parameter_of(told: Any) -> Parameter:
    _check(told, _OF_A_PARAMETER)
    default = {"default": values.decode(told["default"])} if "default" in told else {}
    return Parameter(**told | default)


def _call(told: Any, body: bytes | None) -> ToolCall:
    _check(told, _OF_A_CALL)
    decoded = {
        name: values.decode(told[name])
        for name in ("arguments", "approved_arguments")
        if told[name] is not None
    }
    _check(decoded, _OF_A_CALL)  # a dict may stand for something else
    return ToolCall(**{**told, **decoded, "body": body})


def _check(told: Any, shape: _Shape) -> None:
    """Raises TypeError or ValueError where that has other fields, or other things in them."""
    if type(told) is not dict:
        raise TypeError(f"{type(told).__name__} in place of an object")
    for name, value in told.items():
        allowed = shape[name]
        if type(value) not in allowed and value not in allowed:
            raise ValueError(f"{name} is {value!r:.60}")
    if "identifier" in told and not told["identifier"].isidentifier():
        raise ValueError(f"identifier is {told['identifier']!r:.60}")


_Shape = Mapping[str, tuple[Any, ...]]  # by name of the field: classes, or values
_TEXTS: _Shape = dict.fromkeys(("server", "name", "identifier", "description"), (str,))
_OF_A_TOOL: _Shape = {
    **_TEXTS,
    "parameters": (list,),
    "input_schema": (dict,),
    "output_schema": (dict, None),
    "annotations": (dict,),
    "native": (bool,),
}
_FLAGS = ("read_only", "destructive", "idempotent", "open_world")
_OF_ANNOTATIONS: _Shape = {"title": (str,), **dict.fromkeys(_FLAGS, (bool, None))}
_OF_A_PARAMETER: _Shape = {
    **dict.fromkeys(("name", "identifier", "description"), (str,)),
    "schema": (dict,),
    "required": (bool,),
    "default": (type(None), bool, int, float, str, list, dict),
    "kind": get_args(Kind),
}
_OF_A_CALL: _Shape = {
    **dict.fromkeys(("server", "tool", "kind", "message", "approval"), (str,)),
    **dict.fromkeys(("number", "argument_bytes", "result_bytes"), (int,)),
    **dict.fromkeys(("argument_tokens", "result_tokens"), (int, None)),
    **dict.fromkeys(("seconds", "asked_seconds"), (int, float)),
    **dict.fromkeys(("served", "raw", "ran"), (bool,)),
    "arguments": (dict,),
    "approved_arguments": (dict, None),
    "outcome": get_args(CallOutcome),
}


def refuse_no_recording(what: str, given: object) -> None:
    """Raises PolicyError."""
    if given is not None and not isinstance(given, Recording):
        raise PolicyError(f"{what} is {given!r:.60}; allowed is a Recording")
