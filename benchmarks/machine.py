"""What a reader has to know of the machine before believing a figure."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

MOST_LOAD = 1.0
_PACKAGES = ("pandas", "numpy", "ipython", "ipykernel", "jupyter_client")


def facts(enforced: Sequence[str]) -> dict[str, str]:
    """Of the machine, the programs and the user, each in a few words."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": f"{len(os.sched_getaffinity(0))} usable of {os.cpu_count()}",
        "memory": _memory(),
        "kernel": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "transparent huge pages": _pattern(
            "/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]", "not there"
        ),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        "bubblewrap": _bwrap_version(),
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
        "cgroups": _cgroups(enforced),
        "load average at the start": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
        "enforced in every sandbox": ", ".join(enforced),
    }


def warning() -> str | None:
    """What to say when other work is going on; None on a quiet machine."""
    load = os.getloadavg()[0]
    if load <= MOST_LOAD:
        return None
    return (
        f"The load average was {load:.2f} at the start: other work shared the processors, and these figures are not "
        "to be trusted. Measure again on a quiet machine."
    )


def raise_descriptor_limit() -> None:
    """Each live sandbox takes some seven descriptors, and the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _processor() -> str:
    return _pattern("/proc/cpuinfo", r"model name\s*:\s*(.+)", platform.machine())


def _memory() -> str:
    kilobytes = int(_pattern("/proc/meminfo", r"MemTotal:\s+(\d+)", "0"))
    return f"{kilobytes / (1 << 20):.1f} GiB"


def _pattern(path: str, pattern: str, otherwise: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = None
    return found[1].strip() if found else otherwise


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return f"missing from {sys.prefix}"


def _bwrap_version() -> str:
    try:
        done = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    return done.stdout.strip()


def _cgroups(enforced: Sequence[str]) -> str:
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    mounted = "v2" if unified else "v1"
    used = next((name for name in enforced if name.startswith("cgroup-v")), None)
    return f"{mounted}; {f'{used} limits each sandbox' if used else 'none for this user, init watches memory instead'}"
