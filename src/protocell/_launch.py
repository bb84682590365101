"""Getting a sandbox for a policy: from its zygote, a ready one if there is one, checked before use."""

from __future__ import annotations

from protocell._box import OUT_OF_DESCRIPTORS, Box, out_of_descriptors
from protocell._process_box import launch_process
from protocell._waiter import Waiter
from protocell._zygotes import ZYGOTES
from protocell.errors import SandboxDiedError, SetupError, UnsupportedError
from protocell.policy import Policy

# A ready sandbox of a zygote that was just killed; then that zygote, which is ending; then a new one.
_ATTEMPTS = 4


async def launch(policy: Policy, waiter: Waiter) -> Box:
    """A sandbox with every layer on that the policy asks for.

    Raises:
        UnsupportedError, SetupError: this machine cannot give it.
    """
    if policy.isolation == "process":
        box: Box = await launch_process(policy, waiter)
        _check_layers(box, policy)
        return box
    for _ in range(_ATTEMPTS):
        try:
            box = await _from_zygote(policy, waiter)
        except (ConnectionError, SandboxDiedError):
            continue
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                raise out_of_descriptors() from error
            message = f"cannot ask for a sandbox: {error}"
            raise SetupError(message, step="request", errno=error.errno) from error
        _check_layers(box, policy)
        return box
    message = "new sandboxes end before they can be used: what kills them, or their zygote?"
    raise SandboxDiedError(message)


async def _from_zygote(policy: Policy, waiter: Waiter) -> Box:
    zygote = ZYGOTES.get(policy.environment)
    try:
        pending = await zygote.take(policy, waiter)
    except ConnectionError:
        zygote.close()  # it is ending: its sandboxes are, too, and the next who asks gets another
        raise
    return await pending.open(waiter)


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
