"""Getting a sandbox for a policy: from its zygote, a ready one if there is one, checked before use."""

from __future__ import annotations

import os

from protocell._boxes.box import OUT_OF_DESCRIPTORS, Box, out_of_descriptors
from protocell._boxes.process_box import launch_process
from protocell._boxes.remedies import exhausted
from protocell._boxes.zygote import Beside
from protocell._boxes.zygotes import ZYGOTES
from protocell._waiter import Waiter
from protocell.errors import SandboxDiedError, SetupError, UnsupportedError
from protocell.policy import Policy

# A ready sandbox of a zygote that was just killed; then that zygote, which is ending; then a new one.
_ATTEMPTS = 4
_CGROUPS = frozenset({"cgroup-v1", "cgroup-v2"})
_MEMORY_LAYERS = (*sorted(_CGROUPS), "memory-watch")  # one of them is on
_OR_BOOT = (
    ", or boot it with cgroup v2 alone (systemd.unified_cgroup_hierarchy=1 on the kernel's command "
    "line; 0 for v1)"
)
_NO_PROC = (
    "there is no /proc here, or something else is mounted over it: mount one "
    "(as root, mount -t proc proc /proc; in a container, leave the engine's own uncovered)"
)


async def launch(policy: Policy, waiter: Waiter, beside: Beside | None = None) -> Box:
    """A sandbox with every layer on that the policy asks for; beside another, with its workspace and limits.

    Raises:
        UnsupportedError, SetupError: this machine cannot give it.
    """
    if policy.isolation == "process":
        box: Box = await launch_process(policy, waiter)
        _check_layers(box, policy)
        return box
    for _ in range(_ATTEMPTS):
        try:
            no_cgroup = await _why_no_cgroup(policy, waiter)
            box = await _from_zygote(policy, waiter, beside)
        except (ConnectionError, SandboxDiedError):
            continue
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                raise out_of_descriptors() from error
            remedy = exhausted(error.errno)
            message = f"cannot ask for a sandbox: {error}{remedy and f'; {remedy}'}"
            raise SetupError(message, step="request", errno=error.errno) from error
        _check_layers(box, policy, no_cgroup)
        return box
    if not _has_proc():
        raise UnsupportedError(f"no sandbox can be made: {_NO_PROC}", remedy=_NO_PROC)
    message = "new sandboxes end before they can be used: what kills them, or their zygote?"
    raise SandboxDiedError(message)


def _has_proc() -> bool:
    return os.path.isdir("/proc/self/ns")


async def _why_no_cgroup(policy: Policy, waiter: Waiter) -> str:
    """As the zygote found when it started; asked for where it matters only."""
    if not policy.require & _CGROUPS:
        return ""
    return (await ZYGOTES.get(policy.environment).facts(waiter)).no_cgroup


async def _from_zygote(policy: Policy, waiter: Waiter, beside: Beside | None) -> Box:
    zygote = ZYGOTES.get(policy.environment)
    try:
        pending = await zygote.take(policy, waiter, beside)
    except ConnectionError:
        zygote.close()  # it is ending: its sandboxes are, too, and the next who asks gets another
        raise
    return await pending.open(waiter)


def _check_layers(box: Box, policy: Policy, no_cgroup: str = "") -> None:
    missing = policy.require - set(box.enforced)
    if not missing:
        return
    box.close()
    names = ", ".join(sorted(missing))
    message = f"the policy requires {names}, which this machine does not give"
    instead = [layer for layer in _MEMORY_LAYERS if layer in box.enforced]
    if missing <= _CGROUPS and no_cgroup:
        message, remedy = f"{message}: {no_cgroup}", no_cgroup
    elif missing <= set(_MEMORY_LAYERS) and instead:
        remedy = f"it gives {instead[0]} in its place: require that, or nothing{_OR_BOOT}"
        message = f"{message}; {remedy}"
    else:
        remedy = "protocell doctor"
        message = f"{message}; {remedy} says why"
    raise UnsupportedError(message, missing=tuple(sorted(missing)), remedy=remedy)


def prepare_next(policy: Policy) -> None:
    """Have sandboxes made for the next callers; does not wait."""
    if policy.isolation == "kernel":
        ZYGOTES.top_up(policy)
