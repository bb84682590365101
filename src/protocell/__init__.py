"""Run model-written Python in a sandbox that the kernel enforces, faster than starting an interpreter."""

from protocell.aio import AsyncSandbox
from protocell.environment import Environment
from protocell.errors import ProtocellError
from protocell.execution import Execution
from protocell.limits import Limits
from protocell.policy import Mount, Policy
from protocell.sandbox import Sandbox, run_code

__all__ = [
    "AsyncSandbox",
    "Environment",
    "Execution",
    "Limits",
    "Mount",
    "Policy",
    "ProtocellError",
    "Sandbox",
    "run_code",
]
