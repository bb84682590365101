"""What an execution tells while it runs, one event after the other; the last one is the execution itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from protocell.execution import Execution, ExecutionError
from protocell.result import Result


@dataclass(frozen=True, slots=True)
class Output:
    """Text that the code wrote; in pieces as they came, not in lines."""

    stream: Literal["stdout", "stderr"]
    text: str


Event = Output | Result | ExecutionError | Execution
