"""x."""

from tests.claim import Claim

CLAIMS: tuple[Claim, ...] = ()
