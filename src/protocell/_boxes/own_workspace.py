"""A workspace that the host changes itself, because no mount namespace keeps it out and no init is there to ask.

The host does what an init would do, with the same functions, and without a link being followed (``workshop.py``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from protocell.errors import ClosedError, UnsupportedError
from protocell_guest import workshop


class OwnWorkspace:
    """A folder descriptor of the workspace; asked from any thread, also while another one closes it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.RLock()  # a signal handler may close in the middle

    def ask(
        self, request: dict[str, Any], descriptors: Sequence[int] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        """Change the workspace; there is nothing else that could be asked.

        Raises:
            ClosedError: it was closed.
            UnsupportedError: it is a question that only an init can answer.
        """
        if request["op"] != "file" or descriptors:
            message = f"{request['op']} needs isolation='kernel'"
            raise UnsupportedError(message, missing=("init",), remedy="use isolation='kernel'")
        with self._lock:
            if self._descriptor < 0:
                raise ClosedError("this sandbox was closed or killed; make a new one")
            workspace = os.dup(self._descriptor)
        try:
            return workshop.perform(workspace, request)
        finally:
            os.close(workspace)

    def close(self) -> None:
        """Let go of it; may be called twice."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)
