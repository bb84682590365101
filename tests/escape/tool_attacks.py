"""What attacks by the line of tool calls share: a program that has the line in its hands, and tools that know."""

import asyncio
import textwrap
from dataclasses import dataclass, field
from typing import Any

from tests.escape.conftest import program

# In front of every attack: `line` is the socket itself, `request(...)` a frame as the toolbox would send it.
ATTACK = """
import gc, socket, threading, time
from protocell_guest import parcels
from protocell_guest.parcels import HEAD
from protocell_guest.guest.tool_line import Line

def the_line():
    return next(each for each in gc.get_objects() if type(each) is Line and each._is_open)

def on_their_way():
    return len(the_line()._replies._waiting)

def spoil(**values):
    for name, value in values.items():
        assert hasattr(the_line(), name), name
        setattr(the_line(), name, value)

def frame(number, kind, body):
    return HEAD.pack(len(body), number, kind) + body

def request(which, tool="shop/order", raw=False, **arguments):
    body = {"tool": tool, "arguments": arguments, "raw": raw}
    return frame(which, b"c", json.dumps(body).encode())

def answer():
    size, number, kind = HEAD.unpack(line.recv(HEAD.size, socket.MSG_WAITALL))
    return number, kind.decode(), json.loads(line.recv(size, socket.MSG_WAITALL))

def outcome(function, *arguments, **named):
    try:
        return function(*arguments, **named)
    except ToolError as error:
        return type(error).__name__

line = socket.socket(fileno=os.dup(the_line()._line.fileno()))
"""


def attack(code: str) -> str:
    """Return a program that has the line in its hands."""
    return program("") + ATTACK + textwrap.dedent(code)


@dataclass
class Shop:
    """The host's own code, which knows what it was asked for."""

    orders: list[int] = field(default_factory=list)
    secrets: int = 0
    paid: list[Any] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def order(self, number: int) -> dict[str, int]:
        """One order by its number."""
        self.orders.append(number)
        return {"number": number, "total": number * 10}

    async def secret(self) -> str:
        """What nobody may ask for."""
        self.secrets += 1
        return "the secret"

    def pay(self, to: str, cents: int = 0, tags: list[str] | None = None) -> str:
        """Pay somebody."""
        self.paid.append((to, cents, tags))
        return f"paid {to} {cents}"

    async def stay(self, name: str) -> None:
        """Never end."""
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append(name)
