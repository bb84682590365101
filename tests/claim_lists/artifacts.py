"""Claims about files that come out of a sandbox."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="artifacts.no-links",
        sentence="Symbolic links are never followed, not even one that takes a file's place meanwhile.",
        source="promise 65; CVE-2025-31133",
        attack=True,
    ),
    Claim(
        id="artifacts.hard-links",
        sentence="A hard link brings nothing out that is not the code's own, and counts like a file.",
        source="promise 65",
        attack=True,
    ),
    Claim(
        id="artifacts.odd-files",
        sentence="FIFOs, sockets, sparse, many, deep, unreadable, moving and oddly named files do no harm.",
        source="promise 66",
        attack=True,
    ),
    Claim(
        id="artifacts.archives-stay-closed",
        sentence="Nothing that comes out is unpacked, imported, parsed or run.",
        source="promise 67",
        attack=True,
    ),
    Claim(
        id="artifacts.downloads-land-in-the-folder",
        sentence="What is downloaded lands as regular files below the given folder, none executable, or not at all.",
        source="issue: Files; CVE-2025-31133",
        attack=True,
    ),
    Claim(
        id="artifacts.events-are-bounded",
        sentence="What code does in a watched folder takes a bounded part of the host, and what is lost is told.",
        source="issue: Files",
        attack=True,
    ),
)
