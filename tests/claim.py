"""The shape of a claim, in a file of its own so that lists and the manifest can both import it."""

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
