"""What protocell claims about safety, one entry per claim; a claim without a test fails the build, and the reverse.

A test proves an entry by `@pytest.mark.claim("files.read-outside")`. An entry with `attack=True` is proved by a program
that tries what must fail; it needs a second test, `@pytest.mark.twin("files.read-outside")`, in which the permitted
neighbour of that attack works: else a sandbox in which nothing works at all would pass. The rules are in
tests/claim_rules.py. SECURITY.md names these ids.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One sentence that a user may rely on."""

    id: str
    """`family.what`, in kebab-case: `files.read-outside`."""
    sentence: str
    source: str
    """Where it comes from: `promise 14`, `CVE-2019-5736`, `issue: Running code`."""
    needs: tuple[str, ...] = ()
    """Kernel features; without them its tests skip at a desk and fail under PROTOCELL_MUST_WORK=1."""
    attack: bool = False
    """Proved by an attack, and therefore in need of a positive twin."""


CLAIMS: tuple[Claim, ...] = ()

# Numbered promises about safety that stand in SECURITY.md. 35 and 36 come with the network proxy, 80 with host tools.
PROMISES = frozenset(range(1, 84)) - {35, 36, 80}
