"""What many live sandboxes cost: memory of each, and whether a call takes longer when others are there.

Pandas is preloaded and nothing is kept ready, so that every sandbox that is there is one that was asked for. Each is
looked at after its idle warm-up, which makes its pages its own: what is measured is what it holds while it waits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import memory
from latency import Contest, call, live_sandbox
from protocell import Environment, Policy, ProtocellError, Sandbox
from protocell._zygote import ZYGOTES
from quiet import children, inits, running_zygotes
from rivals import Program, bwrap_command, naive_command
from samples import BWRAP, LIMIT, NAIVE, Aim, Row, Section

POLICY = Policy(environment=Environment(preload=["pandas"], ready=0))
_PSS_AIM = Aim("at most 8 MB", 8, "at most")


@dataclass(slots=True)
class Findings:
    """What is found out on the way, in the units of the rows."""

    alone: float | None = None  # PSS of the only sandbox
    each: list[float] = field(default_factory=list)  # PSS of each of many
    added: float | None = None  # PSS of everything, zygote included, per sandbox
    machine: float = 0.0  # MemAvailable, per sandbox
    opening: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    same: list[float] = field(default_factory=list)
    in_turn: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    wanted: int = 0
    stopped: str = ""
