"""A call as a function sees it that runs in a thread: what others await, it waits for."""

from __future__ import annotations

import asyncio
import concurrent.futures

from protocell.tools.tool import Call, Question, Reply


class ThreadCall:
    """One call while it goes on, for a function that is not async: see ``Call``."""

    def __init__(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._loop = loop
        self._questions: set[concurrent.futures.Future[Reply]] = set()
        self._ended = False

    @property
    def id(self) -> int:
        """Number of the call in its execution, from 1."""
        return self._call.id

    def progress(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Says how far it is, in units of the tool's own."""
        self._call.progress(text, done, total)

    def ask(self, question: Question) -> Reply:
        """Asks a person, and waits for the reply; the clock of the tool stands still.

        Raises:
            CancelledError: of ``concurrent.futures``; the call ended meanwhile.
        """
        asking = asyncio.run_coroutine_threadsafe(self._ask(question), self._loop)
        self._questions.add(asking)
        if self._ended:  # a moment ago, so that nobody else cancels this one
            asking.cancel()
        try:
            return asking.result()
        finally:
            self._questions.discard(asking)

    def end(self) -> None:
        """Ends what is still being asked; from the loop."""
        self._ended = True
        for asking in tuple(self._questions):
            asking.cancel()

    async def _ask(self, question: Question) -> Reply:
        return await self._call.ask(question)
