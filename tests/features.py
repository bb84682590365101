"""Whether this machine's kernel can do what a test needs: the test skips at a desk and fails where it must work.

A feature has the name of its layer, as in `Policy(require=...)`; "cgroup" stands for either version.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from protocell._layers import KERNEL_LAYERS

KNOWN = frozenset([*KERNEL_LAYERS, "cgroup"])


def remedy_for(feature: str) -> str | None:
    """Return what to do about a feature that is missing here, or None where it works."""
    if feature not in KNOWN:
        raise ValueError(f"{feature!r} is no feature; there are {', '.join(sorted(KNOWN))}")
    findings = _findings()
    if feature not in findings:
        # Not something that a kernel may lack, or the other version of cgroups.
        return "boot with that version of cgroups" if feature.startswith("cgroup-v") else None
    found = findings[feature]
    refusal = f"{found['step']}: {os.strerror(found['errno'])}"
    return None if found["works"] else found["remedy"] or refusal


@functools.cache
def _findings() -> dict[str, dict[str, Any]]:
    """Try everything once, in a process of its own: what the trials do to their process cannot be undone."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", "from protocell_guest.kernel import probe; probe.main()"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    findings = {found["layer"]: found for found in json.loads(done.stdout)}
    for layer in ("cgroup-v1", "cgroup-v2"):
        if layer in findings:
            findings["cgroup"] = findings[layer]
    return findings


def require(feature: str, remedy_for: Callable[[str], str | None] = remedy_for) -> None:
    """Skip the running test unless this kernel has the feature; fail it under PROTOCELL_MUST_WORK=1."""
    remedy = remedy_for(feature)
    if remedy is None:
        return
    sentence = f"this machine lacks {feature}: {remedy}"
    if os.environ.get("PROTOCELL_MUST_WORK") == "1":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
