"""The most memory that this process, or code inside, has had while something was done."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

MIB = 1 << 20
INSIDE = """
import resource
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
"""
"""Code that comes before the other; then ``peak() - before`` is in MiB."""


class Growth:
    """Of this process."""

    mib = 0.0


@contextlib.contextmanager
def growth() -> Iterator[Growth]:
    """How much more this process had at most than it has at the beginning of the block."""
    found = Growth()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak is now what there is now
    before = _status("VmRSS")
    yield found
    found.mib = (_status("VmHWM") - before) / MIB


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
