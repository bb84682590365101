"""What the results of an execution are, as they come: shown, replaced, cleared away, and never too many.

An honest context counts as this does and sends no more (``protocell_guest.guest.budget``).
"""

from __future__ import annotations

from dataclasses import replace

from protocell._running.messages import SLACK_BYTES, ClearMessage, ResultMessage
from protocell.errors import ProtocolError

MOST_RESULTS = 100
"""That stand at once, beside that of the last expression."""


class Board:
    """Where values stand until the code replaces them or clears them away."""

    __slots__ = ("_clear_next", "_results_bytes", "_sizes", "results")

    def __init__(self, results_bytes: int) -> None:
        self.results: list[ResultMessage] = []
        self._sizes: list[int] = []
        self._results_bytes = results_bytes
        self._clear_next = False

    def take(self, message: ResultMessage | ClearMessage) -> None:
        """Do what the message says.

        Raises:
            ProtocolError: no honest context shows so much.
        """
        if isinstance(message, ClearMessage):
            self._clear(wait=message.wait)
            return
        if self._clear_next:
            self._clear(wait=False)
        self._put(message, message.size)
        if len(self.results) > MOST_RESULTS + message.main:
            raise ProtocolError(f"more than {MOST_RESULTS} results at once")
        if sum(self._sizes) > self._results_bytes + len(self._sizes) * SLACK_BYTES:
            raise ProtocolError(
                f"results of {sum(self._sizes)} bytes; at most {self._results_bytes} are allowed"
            )

    def _clear(self, *, wait: bool) -> None:
        self._clear_next = wait
        if not wait:
            self.results.clear()
            self._sizes.clear()

    def _put(self, message: ResultMessage, size: int) -> None:
        places = [
            place
            for place, one in enumerate(self.results)
            if message.display is not None and one.display == message.display
        ]
        for place in places:
            self.results[place] = replace(message, main=self.results[place].main)
            self._sizes[place] = size
        # A value that is shown in place of one of an earlier execution is new to this one.
        if not message.update or not places:
            self.results.append(message)
            self._sizes.append(size)
