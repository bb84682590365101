"""Calls that were made before, found by what was asked: for a retry that repeats nothing, and to play a session again.

What counts is which tool was called with which arguments, not when: code that calls side by side never calls in the
same order twice. A call is given once for each time that it was made, so that what is asked twice and was made once
is made for the second time.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from protocell.calls import ToolCall
from protocell_guest import values

Key = tuple[str, str, bool]


class CallLog:
    """Calls, each to be given once. Any thread may ask."""

    def __init__(self, calls: Iterable[ToolCall]) -> None:
        """Of calls whose answer was not kept, nothing can be given; but that a tool has run, and must not again."""
        self._waiting: dict[Key, deque[ToolCall]] = {}
        self._lock = Lock()
        for call in calls:
            if call.body is not None or call.outcome == "withheld":
                key = _key(f"{call.server}/{call.tool}", call.arguments, raw=call.raw)
                self._waiting.setdefault(key, deque()).append(call)

    def take(self, tool: str, arguments: Mapping[str, Any], *, raw: bool) -> ToolCall | None:
        """The first such call that was not given yet; arguments as the log has them (redacted)."""
        with self._lock:
            waiting = self._waiting.get(_key(tool, arguments, raw=raw))
            return waiting.popleft() if waiting else None


def _key(tool: str, arguments: Mapping[str, Any], *, raw: bool) -> Key:
    return tool, json.dumps(values.encode(dict(arguments)), sort_keys=True), raw
