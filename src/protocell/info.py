"""What is known of a sandbox of this process without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from protocell._session.house import House


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxInfo:
    """A sandbox, as ``Sandbox.list()`` has it."""

    sandbox_id: str
    metadata: Mapping[str, str]
    started_at: datetime
    end_at: datetime | None
    """When its time is over; None: it has no end of its own."""
    contexts: int
    is_running: bool


def info_of(house: House) -> SandboxInfo:
    """The info of a sandbox."""
    return SandboxInfo(
        sandbox_id=house.id,
        metadata=dict(house.metadata),
        started_at=house.started_at,
        end_at=house.ends_at,
        contexts=len(house.members()),
        is_running=house.is_running,
    )
