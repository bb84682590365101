"""Getting a sandbox for a policy: from its zygote, a ready one if there is one, checked before use."""

from __future__ import annotations

from protocell._box import Box
from protocell._process_box import launch_process
from protocell._waiter import Waiter
from protocell._zygote import ZYGOTES
from protocell.errors import SandboxDiedError, UnsupportedError
from protocell.policy import Policy

_ATTEMPTS = 2  # the second with a new zygote, if the first was gone


async def launch(policy: Policy, waiter: Waiter) -> Box:
    """A sandbox with every layer on that the policy asks for.

    Raises:
        UnsupportedError, SetupError: this machine cannot give it.
    """
    if policy.isolation == "process":
        box: Box = await launch_process(policy, waiter)
        _check_layers(box, policy)
        return box
    for attempt in range(_ATTEMPTS):
        zygote = ZYGOTES.get(policy.environment)
        try:
            pending = await zygote.take(policy, waiter)
            box = await pending.open(waiter)
        except (BrokenPipeError, ConnectionError, SandboxDiedError):
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        _check_layers(box, policy)
        return box
    raise AssertionError("unreachable")


def _check_layers(box: Box, policy: Policy) -> None:
    missing = policy.require - set(box.enforced)
    if missing:
        box.close()
        names = ", ".join(sorted(missing))
        message = f"the policy requires {names}, which this machine does not give"
        raise UnsupportedError(message, missing=tuple(sorted(missing)), remedy="protocell doctor")


def prepare_next(policy: Policy) -> None:
    """Have sandboxes made for the next callers; does not wait."""
    if policy.isolation == "kernel":
        ZYGOTES.top_up(policy)
