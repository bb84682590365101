"""Has commands started in a sandbox; written once for both faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protocell._running.command import Command, Order
from protocell._session import checks
from protocell._session.house import House
from protocell._session.lifecycle import OVER, kernel_box
from protocell._session.listeners import OnText
from protocell._waiter import Waiter
from protocell.errors import SandboxDiedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a caller wants for a command."""

    envs: Mapping[str, str] | None
    cwd: str | None
    timeout: float | None
    on_stdout: OnText | None
    on_stderr: OnText | None


async def start(
    house: House, command: str, wishes: Wishes, waiter: Waiter, *, background: bool
) -> Command:
    """Start one; in the background it has the time that is given or all that the sandbox has."""
    checks.check_command(command)
    checks.callback("on_stdout", wishes.on_stdout)
    checks.callback("on_stderr", wishes.on_stderr)
    limits = house.policy.limits
    endless = background and wishes.timeout is None
    seconds = None if endless else checks.seconds(wishes.timeout, limits.wall_seconds)
    order = Order(
        command=command,
        envs=house.envs | checks.variables(wishes.envs),
        cwd=checks.folder(wishes.cwd) or house.main.cwd,
        seconds=seconds,
        on_stdout=wishes.on_stdout,
        on_stderr=wishes.on_stderr,
        is_over=lambda: house.main.core.is_over,
    )
    place = await house.main.core.open()
    try:
        made = await Command.start(kernel_box(place.box, "commands"), limits, order, waiter)
    except SandboxDiedError as error:
        if house.main.core.is_over:
            raise SandboxDiedError(OVER) from error
        raise
    house.commands.add(made)
    return made
