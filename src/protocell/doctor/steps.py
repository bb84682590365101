"""Where no sandbox can be made: which steps this machine refuses, each tried by itself in a child."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass

from protocell._boxes.remedies import remedy_for
from protocell._layers import KERNEL_LAYERS
from protocell.doctor.report import Row, Trial
from protocell_guest import wire

_SECONDS = 120
# The probe needs ctypes and forks: in a process of its own it harms nobody, as the zygote's parent must not be harmed.
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from protocell_guest.kernel import probe; probe.main()"
)
_ONE_OF_THEM = ("cgroup-v1", "cgroup-v2", "memory-watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one step (as in protocell_guest.kernel.probe)."""

    layer: str
    works: bool
    step: str
    errno: int
    remedy: str
    tried: bool


def look() -> dict[str, Finding]:
    """What the probe found, by layer; ``cgroup`` if none can be had. Empty if it could not run."""
    folder = os.path.dirname(os.path.dirname(wire.__file__))
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _PROGRAM, folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=True,
        )
        findings = [Finding(**each) for each in json.loads(done.stdout)]
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    return {finding.layer: finding for finding in findings}


def rows(findings: dict[str, Finding]) -> list[Row]:
    """One row for each layer, in the table's order; of the two cgroups the one that there is."""
    shown = []
    for layer in KERNEL_LAYERS:
        if layer in findings:
            shown.append(_row(layer, findings[layer]))
        elif layer not in _ONE_OF_THEM:
            shown.append(_untried(layer, "needs a sandbox first"))
    return shown


def _untried(layer: str, why: str) -> Row:
    trial = Trial(what=why, seen="not tried", held=True)
    return Row(layer=layer, works="untried", tried=(trial,))


def _row(layer: str, finding: Finding) -> Row:
    if not finding.tried:
        return _untried(layer, finding.step)
    if finding.works:
        trial = Trial(what=finding.step, seen="done", held=True)
        return Row(layer=layer, works="yes", tried=(trial,))
    code = errno.errorcode.get(finding.errno, "")
    trial = Trial(what=finding.step, seen=code or "refused", held=False)
    remedy = finding.remedy or remedy_for(layer, finding.errno)
    return Row(layer=layer, works="no", tried=(trial,), remedy=remedy)
