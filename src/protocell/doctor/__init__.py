"""Whether this machine can enforce the default policy, found out by trying it: what ``protocell doctor`` shows."""

from __future__ import annotations

import os
import platform
from dataclasses import replace

from protocell._layers import KERNEL_LAYERS, NEVER_WAIVED
from protocell.doctor import packages, steps
from protocell.doctor.bait import Bait, laid_out
from protocell.doctor.report import PROTECTS, Report, Row, Trial
from protocell.doctor.sandboxes import MEMORY_LAYERS, try_all
from protocell.errors import ProtocellError, UnsupportedError

__all__ = ["PROTECTS", "Report", "Row", "Trial", "examine"]


def examine() -> Report:
    """Try every layer for real; takes a second or two.

    What can be waived and is missing is reported and waived for the rest of the examination.
    """
    findings = steps.look()
    missing: dict[str, Row] = {}
    with laid_out() as bait:
        while True:
            try:
                rows = _try_all(bait, missing)
                report = _report(_with_memory_remedy(rows, findings))
                return replace(report, note=packages.unreadable(frozenset(missing)))
            except UnsupportedError as error:
                new = {layer: _missing(layer, error) for layer in error.missing}
                if not new or new.keys() & (NEVER_WAIVED.keys() | missing.keys()):
                    return _refused(error, findings)
                missing |= new
            except ProtocellError as error:
                return _refused(error, findings)


def _try_all(bait: Bait, missing: dict[str, Row]) -> list[Row]:
    works = {row.layer: row for row in try_all(bait, frozenset(missing))}
    every = works | missing
    return [every[layer] for layer in KERNEL_LAYERS if layer in every]


def _missing(layer: str, error: UnsupportedError) -> Row:
    trial = Trial(what="make a sandbox with it", seen=str(error).split(": ")[0], held=False)
    return Row(layer=layer, works="no", tried=(trial,), remedy=error.remedy)


def _report(rows: list[Row]) -> Report:
    works = all(row.works == "yes" for row in rows)
    return Report(
        machine=_machine(),
        rows=tuple(rows),
        exit_code=0 if works else UnsupportedError.exit_code,
    )


def _with_memory_remedy(rows: list[Row], findings: dict[str, steps.Finding]) -> list[Row]:
    """Say how a cgroup could be had where the weaker stand-in works: it is no failure."""
    cgroup = findings.get("cgroup")
    if cgroup is None:
        return rows
    better = (
        f"enough for the default policy; a cgroup would be better: {cgroup.step}; {cgroup.remedy}"
    )
    return [replace(row, remedy=better) if row.layer == MEMORY_LAYERS[-1] else row for row in rows]


def _refused(error: ProtocellError, findings: dict[str, steps.Finding]) -> Report:
    rows = steps.rows(findings)
    named = error.missing if isinstance(error, UnsupportedError) else ()
    # What the sandbox itself was refused counts, whatever the step did by itself.
    told = [
        _missing(row.layer, error)
        if row.layer in named and row.works != "no" and isinstance(error, UnsupportedError)
        else row
        for row in rows
    ]
    return Report(machine=_machine(), rows=tuple(told), error=str(error), exit_code=error.exit_code)


def _machine() -> dict[str, str]:
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else f"ordinary user ({os.geteuid()})",
    }
