"""The names of the protections, and which of them a policy can do without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from protocell._fields import names, nearest, quoted
from protocell.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping

Isolation = Literal["kernel", "process"]

_WITHOUT = "the sandbox is built out of it"
_EVERY_KERNEL = "every kernel that can build the sandbox has it"

KERNEL_LAYERS = (
    "user-namespace",
    "pid-namespace",
    "mount-namespace",
    "network-namespace",
    "ipc-namespace",
    "uts-namespace",
    "cgroup-namespace",
    "new-root",
    "no-capabilities",
    "no-new-privileges",
    "seccomp",
    "landlock",
    "cgroup-v1",
    "cgroup-v2",
    "memory-watch",
    "rlimits",
    "clean-environment",
    "closed-descriptors",
    "no-core-dumps",
)
PROCESS_LAYERS = (
    "isolated-mode",
    "session",
    "rlimits",
    "clean-environment",
    "temporary-directory",
)
LAYERS: Mapping[Isolation, tuple[str, ...]] = {"kernel": KERNEL_LAYERS, "process": PROCESS_LAYERS}
# A line of a policy that is printed: what of its limits is not what it says.
LIMITS_IN_TRUTH: Mapping[Isolation, tuple[str, ...]] = {
    "kernel": (),
    "process": (
        (
            "not enforced: processes, workspace, tmp; memory, CPU, open files and file size hold for "
            "each process alone"
        ),
    ),
}

NEVER_WAIVED: Mapping[str, str] = {
    "user-namespace": _WITHOUT,
    "pid-namespace": "the end of its init is what ends everything inside",
    "mount-namespace": _WITHOUT,
    "network-namespace": "without it the code stands in the host's network: loopback services, LAN",
    "new-root": "without it the host's files are readable",
    "no-capabilities": _EVERY_KERNEL,
    "no-new-privileges": "without it set-user-id programs and unprivileged seccomp go wrong",
    "rlimits": _EVERY_KERNEL,
    "clean-environment": "without it the host's secrets are readable",
    "closed-descriptors": "without it the host's open files and sockets are reachable",
    "no-core-dumps": _EVERY_KERNEL,
}


def checked_layers(field: str, given: object, isolation: Isolation) -> frozenset[str]:
    """The given names of layers; ``field`` is ``waive`` or ``require``."""
    kept = frozenset(names(field, given))
    for layer in sorted(kept):
        if layer not in LAYERS[isolation]:
            known = nearest(layer, LAYERS[isolation])
            raise PolicyError(
                f"{field} has {quoted(layer)}, which isolation={isolation!r} does not have; {known}"
            )
        if field == "waive" and layer in NEVER_WAIVED:
            raise PolicyError(f"{layer} cannot be waived: {NEVER_WAIVED[layer]}")
    return kept


def check_layers_agree(waive: frozenset[str], require: frozenset[str]) -> None:
    """Refuses a layer that may be missing and must not be missing."""
    both = sorted(waive & require)
    if both:
        raise PolicyError(f"{both[0]} is in waive and in require; decide for one")
