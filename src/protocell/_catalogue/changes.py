"""Which definitions are other ones than last time: a server that was approved may say something else tomorrow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Ids of tools, sorted."""

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)

    def notice(self) -> str:
        """What is to be told to whoever trusts these tools; no text where nothing changed."""
        told = [
            f"{len(ids)} {what}: {_listed(ids)}"
            for what, ids in (("changed", self.changed), ("new", self.new), ("gone", self.gone))
            if ids
        ]
        return (
            f"The definitions of tools are other ones than last time: {'; '.join(told)}"
            if told
            else ""
        )


def _listed(ids: tuple[str, ...]) -> str:
    """Names are text of third parties: safe to be shown, and few."""
    return ", ".join([one_line(each, 100) for each in ids[:10]] + ["..."] * (len(ids) > 10))


def digests(catalogue: Catalogue) -> dict[str, str]:
    """What to keep until next time: the digest of each tool, by id."""
    return {tool.id: tool.digest for tool in catalogue.tools}


def changes(catalogue: Catalogue, known: Mapping[str, str]) -> Changes:
    """What is different from what ``digests`` gave last time."""
    now = digests(catalogue)
    return Changes(
        new=tuple(sorted(now.keys() - known.keys())),
        changed=tuple(sorted(each for each in now if known.get(each, now[each]) != now[each])),
        gone=tuple(sorted(known.keys() - now.keys())),
    )
