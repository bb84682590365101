"""Claims about what code writes: it costs the host little, comes back safe, and obeys no terminal."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="output.floods",
        sentence="Whatever the code prints, raises, returns or names, the host's memory stays bounded.",
        source="promise 60; issue: Running code",
        attack=True,
    ),
    Claim(
        id="output.any-bytes",
        sentence="Any bytes come back, as text that can be encoded, kept and sent on.",
        source="promise 61",
        attack=True,
    ),
    Claim(
        id="output.late-writers",
        sentence="Who goes on writing after the end holds neither the host nor the next execution.",
        source="promise 62",
        attack=True,
    ),
    Claim(
        id="output.hostile-reprs",
        sentence="Values and exceptions that are hostile when shown do not hold us, and no object of theirs comes out.",
        source="promise 63",
        attack=True,
    ),
    Claim(
        id="output.no-control-characters",
        sentence="No raw control character reaches a terminal through anything of ours that is shown.",
        source="promise 64; CWE-150, CVE-2021-42574",
        attack=True,
    ),
)
