"""One large value from a host's function into the code: seconds, and the most memory on both sides; prints JSON.

    python benchmarks/tools_large.py BYTES

In a process of its own: VmHWM, the most that a process ever had in memory, belongs to its memory and never goes down.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from protocell import Sandbox
from protocell.tools import Toolset

_CODE = """\
import re
from time import perf_counter
def memory(field):
    return int(re.search(rf"^{field}:\\s+(\\d+) kB", open("/proc/self/status").read(), re.M)[1])
before = memory("VmRSS")
start = perf_counter()
text = large()
taken = perf_counter() - start
print(len(text), taken, before, memory("VmHWM"))"""
_KILOBYTE = 1024 / 1_000_000


def main() -> None:
    """Measure once."""
    size = int(sys.argv[1])
    text = "x" * size

    def large() -> str:
        """Much."""
        return text

    with Sandbox(tools=Toolset.of(large)) as sandbox:
        sandbox.run_code("1")
        before = _memory("VmRSS")
        execution = sandbox.run_code(_CODE, timeout=120)
        after = _memory("VmHWM")
    if execution.error is not None:
        raise RuntimeError(f"{execution.error.name}: {execution.error.value}")
    length, taken, low, high = "".join(execution.logs.stdout).split()
    if int(length) != size:
        raise RuntimeError(f"{length} characters came, not {size}")
    found = {
        "time inside, from the call to the value": float(taken) * 1000,
        "most memory of the host above what it had, the value itself not counted": after - before,
        "most memory of the context above what it had, the value included": (int(high) - int(low))
        * _KILOBYTE,
    }
    print(json.dumps(found))


def _memory(field: str) -> float:
    """Of this process, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None  # Linux writes both
    return int(found[1]) * _KILOBYTE


if __name__ == "__main__":
    main()
