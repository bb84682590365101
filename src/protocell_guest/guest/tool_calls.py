"""What the call of a tool gives its caller: a value, or a value that is on its way.

Models write all of ``f(x)``, ``await f(x)``, ``asyncio.gather(f(x), f(y))`` and ``pool.map(f, xs)``, and mix them.
So a call gives the value, after waiting for it; but where an event loop runs in the same thread, and the caller
does anything with the result, it gives an ``UnawaitedToolCall``.  That one has been sent already; it can be awaited,
gathered and made a task of like a coroutine; and whoever uses it as the value that it will be has that value, after
waiting for it.  What becomes of it is read from the caller's code (``tool_waits``): what nobody can await, because
it is dropped, or stored under a name that is never awaited, is the value at once.
"""

from __future__ import annotations

import builtins
import opcode
import operator
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from protocell_guest.guest.tool_waits import is_awaited

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    from protocell_guest.guest.tool_line import Line
    from protocell_guest.guest.tool_reply import Reply

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_CACHE = opcode.opmap.get("CACHE", 0)
_DROPS = opcode.opmap["POP_TOP"]
_UNIT = 2  # bytes of an instruction
_MISSING = object()
_OF_COROUTINES = ("__", "_asyncio_", "cr_", "gi_", "ag_")
"""So begins what asyncio asks of them, as for the text of a task, which must not wait for the value."""


def perform(
    line: Line, tool: str, arguments: dict[str, Any], caller: FrameType, *, raw: bool = False
) -> Any:
    """Call the tool, in the way that fits what the caller does next.

    Raises:
        ToolError: the call failed, or cannot be sent.
    """
    # The call is sent last: whatever goes wrong in looking at the code, nothing has been called then.
    is_both = _has_running_loop() and _next_of(caller) != _DROPS and is_awaited(caller)
    reply = line.begin(tool, arguments, raw=raw)
    return UnawaitedToolCall(line, reply) if is_both else line.wait(reply)


def _has_running_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def _next_of(caller: FrameType) -> int:
    """What the caller does after the instruction that it is at."""
    code = caller.f_code.co_code
    place = caller.f_lasti + _UNIT
    while place < len(code) and code[place] == _CACHE:
        place += _UNIT
    return code[place] if place < len(code) else -1


class UnawaitedToolCall(Coroutine[Any, Any, Any]):
    """A call of a tool that is on its way: await it, gather it, or use it as its value."""

    __slots__ = ("_line", "_reply", "_running", "_value")

    def __init__(self, line: Line, reply: Reply) -> None:
        self._line = line
        self._reply = reply
        self._running: Coroutine[Any, Any, Any] | None = None
        self._value: Any = _MISSING

    # -- as a coroutine ---------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._line.awaited(self._reply).__await__()

    def _started(self) -> Coroutine[Any, Any, Any]:
        if self._running is None:
            self._running = self._line.awaited(self._reply)
        return self._running

    def send(self, value: Any) -> Any:
        """As a coroutine's."""
        return self._started().send(value)

    def throw(self, *error: Any) -> Any:
        """As a coroutine's."""
        return self._started().throw(*error)

    def close(self) -> None:
        """As a coroutine's; the call goes on until its execution ends."""
        if self._running is not None:
            self._running.close()

    # -- as the value -----------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith(_OF_COROUTINES):
            raise AttributeError(name)
        return getattr(_value_of(self), name)

    def __bool__(self) -> bool:
        # asyncio asks it of whatever a task runs, when the task is shown: that is not about the value.
        if sys._getframe(1).f_globals.get("__name__") == "asyncio.base_tasks":
            return True
        return bool(_value_of(self))

    def __hash__(self) -> int:
        return id(self)  # a set of tasks must not wait for them

    def __protocell_value__(self) -> Any:
        return _value_of(self)  # as an argument of another call


def _value_of(call: UnawaitedToolCall) -> Any:
    if call._value is _MISSING:
        call._value = call._line.wait(call._reply)
    return call._value


def _resolved(item: Any) -> Any:
    return _value_of(item) if type(item) is UnawaitedToolCall else item


def _one(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(call: UnawaitedToolCall, *others: Any) -> Any:
        return function(_value_of(call), *(_resolved(other) for other in others))

    return method


def _two(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda call, other: function(_resolved(other), _value_of(call))


_REVERSED = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")
_SAME = (
    *(
        "lt",
        "le",
        "gt",
        "ge",
        "ne",
        "eq",
        "neg",
        "pos",
        "abs",
        "invert",
        "index",
        "lshift",
        "rshift",
        "matmul",
    ),
    *("getitem", "setitem", "delitem", "contains"),
    *_REVERSED,
)
_BUILT_IN: dict[str, Callable[..., Any]] = {
    "str": str,
    "repr": repr,
    "format": format,
    "len": len,
    "iter": iter,
    "int": int,
    "float": float,
    "complex": complex,
    "bytes": bytes,
    "round": round,
    "reversed": reversed,
    "dir": dir,
}
for _name in _SAME:
    setattr(UnawaitedToolCall, f"__{_name}__", _one(getattr(operator, f"__{_name}__")))
for _name in _REVERSED:
    setattr(UnawaitedToolCall, f"__r{_name}__", _two(getattr(operator, f"__{_name}__")))
for _name, _function in _BUILT_IN.items():
    setattr(UnawaitedToolCall, f"__{_name}__", _one(_function))
UnawaitedToolCall.__module__ = "__main__"
