"""A catalogue as the maker of a sandbox wants it shown, and what is new in it since somebody looked last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from protocell._catalogue import known
from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.changes import Changes, changes, digests
from protocell._catalogue.levels import View, view
from protocell.tools.access import Tools


def shown(
    catalogue: Catalogue,
    tools: Tools,
    before: Mapping[str, str] | None = None,
    *,
    strict: bool = True,
) -> View:
    """The view of these tools. May take long: the file of known definitions is read, and written if it is not there.

    ``before`` are the digests of an earlier view, which count where no file was given.

    Raises:
        PolicyError: a pinned or direct one fits no tool, if it is ``strict``; the file is another one.
        FileError: the file cannot be read or written.
    """
    found = view(
        catalogue,
        budget_tokens=tools.budget_tokens,
        pinned=tools.pinned,
        direct=tools.direct,
        level=tools.level,
        strict=strict,
    )
    now = digests(catalogue)
    if tools.known is not None:
        before = known.read(tools.known)
        if before is None:
            known.write(tools.known, now)
    news = Changes() if before is None else changes(catalogue, before)
    return replace(found, digests=now, changes=news)
