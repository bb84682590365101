"""Host processes of their own, for tests that measure one, kill it, or change what the kernel allows it."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import protocell

# In front of every host program: `tell(value)` hands a value to the test; `grown(function)` gives what the function
# gives and by how many bytes the most memory that this process ever had is more than what it had before.
_PRELUDE = """
import json, os, sys
import protocell
from protocell import Environment, Limits, Policy, Sandbox

def tell(value):
    print("TOLD " + json.dumps(value), flush=True)

def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))

def grown(function):
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before = memory("VmRSS")
    value = function()
    return value, memory("VmHWM") - before
"""


def start(program: str) -> "subprocess.Popen[str]":
    """Start a host process that runs this program."""
    folder = str(Path(protocell.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", _PRELUDE + textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": folder},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(program: str, *, timeout: float = 90) -> Any:
    """Run a host program to its end and return what it told."""
    with start(program) as host:
        try:
            output, errors = host.communicate(timeout=timeout)
        finally:
            host.kill()
    for line in output.splitlines():
        if line.startswith("TOLD "):
            return json.loads(line[5:])
    raise AssertionError(f"the host told nothing and ended with {host.returncode}:\n{errors}")


def first_told(host: "subprocess.Popen[str]") -> Any:
    """Return what a running host tells first."""
    assert host.stdout is not None
    for line in host.stdout:
        if line.startswith("TOLD "):
            return json.loads(line[5:])
    raise AssertionError(f"the host ended with {host.wait()} and told nothing")
