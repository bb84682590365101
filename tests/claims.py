"""What protocell claims about safety, one entry per claim; a claim without a test fails the build, and the reverse.

A test proves an entry by `@pytest.mark.claim("files.read-outside")`. An entry with `attack=True` is proved by a program
that tries what must fail; it needs a second test, `@pytest.mark.twin("files.read-outside")`, in which the permitted
neighbour of that attack works: else a sandbox in which nothing works at all would pass. The rules are in
tests/claim_rules.py. SECURITY.md names these ids.
"""

from tests.claim import Claim
from tests.claim_lists import (
    artifacts,
    between_runs,
    conduct,
    faults,
    files,
    kernel,
    limits,
    living_state,
    network,
    output,
    processes,
    results,
    secrets,
    surface,
    tool_line,
)

__all__ = ["CLAIMS", "PROMISES", "Claim"]

CLAIMS: tuple[Claim, ...] = (
    *kernel.CLAIMS,
    *surface.CLAIMS,
    *files.CLAIMS,
    *processes.CLAIMS,
    *network.CLAIMS,
    *secrets.CLAIMS,
    *between_runs.CLAIMS,
    *limits.CLAIMS,
    *living_state.CLAIMS,
    *output.CLAIMS,
    *artifacts.CLAIMS,
    *results.CLAIMS,
    *conduct.CLAIMS,
    *faults.CLAIMS,
    *tool_line.CLAIMS,
)

# Numbered promises about safety that stand in SECURITY.md. 35 and 36 come with the network proxy.
PROMISES = frozenset(range(1, 84)) - {35, 36}
