"""Waits on for what must not be left half done when its caller is torn away (Ctrl-C, a task that is cancelled).

Between a question to an interpreter and its answer, or while a copy of it is being woken, nobody can leave
without costing the variables: the answer would be taken for that to the next question.  All of these waits are
bounded, and mostly short.  Who is torn away a second time does not wait any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from protocell._waiter import Waiter

T = TypeVar("T")


class Patience:
    """A waiter that keeps in mind, once, what would tear its caller away."""

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter
        self.torn: BaseException | None = None

    async def wait(
        self, readers: Collection[int], writers: Collection[int], deadline: float | None
    ) -> set[int]:
        """As ``Waiter.wait``."""
        try:
            return await self._waiter.wait(readers, writers, deadline)
        except BaseException as error:
            if self.torn is not None:
                raise
            self.torn = error
        return await self._waiter.wait(readers, writers, deadline)

    async def apart(self, work: Callable[[], T]) -> T:
        """As ``Waiter.apart``, which comes to its end in any case."""
        return await self._waiter.apart(work)

    def give_in(self) -> None:
        """Raise what was kept in mind: from here on it costs nothing."""
        torn, self.torn = self.torn, None
        if torn is not None:
            raise torn


@contextmanager
def patient(waiter: Waiter) -> Iterator[Patience]:
    """For the time of the block; what tore the caller away is raised at its end."""
    patience = Patience(waiter)
    try:
        yield patience
    except Exception as error:
        if patience.torn is not None:
            raise patience.torn from error
        raise
    patience.give_in()
