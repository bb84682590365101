"""What to do when this machine refuses a layer: one table for errors and for ``protocell doctor``."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from protocell.errors import ProtocellError, SetupError, UnsupportedError

_USER_NAMESPACES = (
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor restricts user namespaces (Ubuntu 23.10 and later): install an AppArmor profile"
        " with 'userns,' for this python, as the package apparmor-profiles shows for bwrap",
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "user namespaces are off for ordinary users: sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "user namespaces are off: sysctl user.max_user_namespaces=10000",
    ),
)
_IN_CONTAINER = (
    "if this is a container, its seccomp profile refuses it: run it with a profile that allows "
    "clone, unshare, mount and pivot_root, and with an unmasked /proc "
    "(docker: --security-opt seccomp=… --security-opt systempaths=unconfined)"
)
REMEDIES = {
    "clone": "user namespaces cannot be made here",
    "user-namespace": "user namespaces cannot be used here",
    "mount-namespace": "the file tree cannot be built here",
    "new-root": "the file tree cannot be built here",
    "network-namespace": "a network of its own cannot be set up here",
    "uts-namespace": "a host name of its own cannot be set here",
    "cgroup-namespace": "a cgroup namespace cannot be made here (Linux 4.6 or later)",
    "landlock": "Landlock is not there: Linux 5.13 or later, with 'landlock' in the lsm= list",
    "seccomp": "the system call filter cannot be loaded: CONFIG_SECCOMP_FILTER is needed",
    "no-new-privileges": "no_new_privs cannot be set",
    "no-capabilities": "capabilities cannot be given up",
    "rlimits": "a resource limit cannot be set",
}
WAIVABLE_BY_NAME = ("landlock", "seccomp", "cgroup-namespace", "uts-namespace")


def user_namespace_remedy() -> str:
    """Why this machine refuses user namespaces, as far as it tells, and what to do."""
    for path, value, remedy in _USER_NAMESPACES:
        try:
            if Path(path).read_text(encoding="ascii").strip() == value and os.geteuid() != 0:
                return remedy
        except OSError:
            continue  # this kernel does not have the setting
    return _IN_CONTAINER


def remedy_for(step: str) -> str:
    """What to do about a step that was refused."""
    what = REMEDIES.get(step, f"the step {step} failed")
    if step in ("clone", "user-namespace", "mount-namespace", "new-root"):
        return f"{what}; {user_namespace_remedy()}"
    if step in WAIVABLE_BY_NAME:
        return f"{what}; to go on without it: Policy(waive={{{step!r}}})"
    return what


def explain_failure(step: str, code: int, detail: str) -> ProtocellError:
    """The exception for a step of the set-up that failed in the sandbox."""
    name = errno.errorcode.get(code, str(code))
    remedy = remedy_for(step)
    message = f"cannot enforce {step} ({name}: {detail}): {remedy}"
    if code in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOSPC):
        return UnsupportedError(message, missing=(step,), remedy=remedy)
    return SetupError(message, step=step, errno=code)
