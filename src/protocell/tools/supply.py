"""One source as all toolsets made of it share it: started at first need, listed once, closed for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from protocell.errors import PolicyError
from protocell.tools.errors import ToolError
from protocell.tools.tool import Source, Tool


class Supply:
    """A source, and what it listed last."""

    def __init__(self, source: Source, *, any_loop: bool = False) -> None:
        """``any_loop``: there is nothing in it that belongs to one event loop, or that may happen only once."""
        self.source = source
        self.any_loop = any_loop
        self._listeners: list[Callable[[], None]] = []
        self._tools: tuple[Tool, ...] | None = None
        self._changes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        source.changed = self._changed

    async def tools(self) -> tuple[Tool, ...]:
        """What there is now; starts the source. Raises ToolError, and PolicyError as said below."""
        if self.any_loop:  # not even a lock may, nor is one needed
            await self.source.start()
            return await self.source.tools()
        self._take_loop()
        async with self._lock:
            if self._tools is None:
                changes = self._changes
                await self.source.start()
                found = await self.source.tools()
                if changes != self._changes:  # it changed meanwhile: true now, but not to be kept
                    return found
                self._tools = found
            return self._tools

    async def close(self) -> None:
        """Ends it; the next need starts it again."""
        if self.any_loop:
            await self.source.close()
            return
        self._take_loop()
        async with self._lock:
            self._tools = None
            await self.source.close()
            self._loop = None

    def close_from_another_thread(self) -> None:
        """As ``close``, and waits for it; not for the thread of its event loop."""
        loop = self._loop
        if loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(self.close(), loop).result()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls it whenever the list has changed; gives what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _changed(self) -> None:
        self._changes += 1
        self._tools = None
        for listener in tuple(self._listeners):
            listener()

    def _take_loop(self) -> None:
        """Connections belong to the event loop that opened them; a lock does as well."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed():
            raise PolicyError(
                f"the tools of {self.source.name} are in use in another event loop; close that "
                "toolset first, or make a second one"
            )
        self._loop, self._lock, self._tools = loop, asyncio.Lock(), None


class Found(dict[Supply, tuple[Tool, ...]]):
    """What each one lists, and why others do not."""

    def __init__(self) -> None:
        super().__init__()
        self.missing: dict[str, ToolError] = {}
        """By the name of the server; while there are any, a name that fits no tool may be one of theirs."""

    def check(self) -> None:
        """Raises the ToolError of the first that is missing."""
        for error in self.missing.values():
            raise error


async def listed(supplies: Iterable[Supply]) -> Found:
    """What there is now; starts what is not started. Raises PolicyError."""
    every, found = tuple(supplies), Found()
    asked = await asyncio.gather(*(each.tools() for each in every), return_exceptions=True)
    for supply, tools in zip(every, asked, strict=True):
        found[supply] = ()
        if isinstance(tools, ToolError):
            found.missing[supply.source.name] = tools
        elif isinstance(tools, BaseException):
            raise tools
        else:
            found[supply] = tools
    return found


def refuse_equal_names(supplies: Iterable[Supply]) -> None:
    """Raises PolicyError where two servers have one name; functions share theirs."""
    seen: dict[str, Supply] = {}
    for supply in supplies:
        other = seen.setdefault(supply.source.name, supply)
        if other is not supply and not (other.any_loop and supply.any_loop):
            raise PolicyError(
                f"two servers are called {supply.source.name!r}; give one of them another name="
            )
