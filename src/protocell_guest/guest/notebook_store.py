"""What IPython would keep in its user's profile (``%store``, bookmarks of ``%cd``), for one session."""

from __future__ import annotations

import fnmatch
from typing import Any


class Store(dict[str, Any]):
    """As much of pickleshare's PickleShareDB as magics use, in memory."""

    def keys(self, globpat: str | None = None) -> list[str]:  # type: ignore[override]
        """All keys, or those that match."""
        return [key for key in self if globpat is None or fnmatch.fnmatchcase(key, globpat)]
