"""What to do when this machine refuses a layer: one table for errors and for ``protocell doctor``.

A refusal is an errno, and EPERM has many fathers.  So the likely causes are looked at in the order
in which the kernel would ask them, and the first for which there is evidence is named.  What an
advice opens is kept small: a profile for one program comes before a switch for the whole machine.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from protocell.errors import ProtocellError, SetupError, UnsupportedError
from protocell_guest.plan import NOT_HERE

_CALLS = (
    "clone, unshare, mount, umount2, pivot_root, open_tree, move_mount, fsopen, fsconfig, fsmount, "
    "mount_setattr and sethostname"
)
_NO_SUCH_KERNEL = "this kernel has no user namespaces: use one built with CONFIG_USER_NS=y"
_LIMIT_IS_REACHED = (
    "{limit}: as root, sysctl -w user.max_{kind}_namespaces=15000, and the same line in a file in "
    "/etc/sysctl.d; inside a container or a user namespace the limit of the machine around it "
    "counts as well"
)
_FILTER_REFUSES = (
    "a system call filter is on this process, so it is a container's seccomp profile or a "
    f"service's that refuses: use the same profile with {_CALLS} allowed "
    "(docker and podman: --security-opt seccomp=PROFILE.json; Kubernetes: seccompProfile of type "
    "Localhost; systemd: no RestrictNamespaces= and SystemCallFilter= in the unit)"
)
_APPARMOR_RESTRICTS = (
    "AppArmor keeps user namespaces from programs that have no profile (Ubuntu 23.10 and later): "
    "as root, write into /etc/apparmor.d/protocell\n"
    "    abi <abi/4.0>,\n"
    "    include <tunables/global>\n"
    "    profile protocell {python} flags=(unconfined) {{ userns, }}\n"
    "and run apparmor_parser -r /etc/apparmor.d/protocell; that is for all programs of this "
    "Python: to keep it to one environment, make that with python3 -m venv --copies"
)
_DEBIAN_RESTRICTS = (
    "user namespaces are for root alone here: as root, "
    "sysctl -w kernel.unprivileged_userns_clone=1, and the same line in a file in /etc/sysctl.d"
)
_PROFILE_CONFINES = (
    "the AppArmor profile {profile} is on this process and does not allow it: a container wants "
    "one with userns, mount, umount and pivot_root (docker: --security-opt apparmor=NAME, or "
    "apparmor=unconfined)"
)
_PROC_IS_COVERED = (
    "parts of /proc are covered here ({covered}), and then the kernel gives no new one: run the "
    "container with an unmasked /proc (docker: --security-opt systempaths=unconfined; podman: "
    "--security-opt unmask=ALL; Kubernetes: procMount: Unmasked)"
)
_UNKNOWN = (
    "no setting that is known to forbid it is on: look for a refusal of a security module in the "
    "kernel's log (journalctl -k, dmesg), and know that a chroot never gets user namespaces"
)

WHAT_FAILED = {
    "clone": "user namespaces cannot be made here",
    "user-namespace": "user namespaces cannot be made here",
    "pid-namespace": "a pid namespace cannot be made here",
    "mount-namespace": "the file tree cannot be built here",
    "new-root": "the file tree cannot be built here",
    "mounts": (
        "a folder or file that the policy mounts is not there or cannot be reached, or is one of "
        "which the kernel makes no view (an overlay): give copies of such files with files="
    ),
    "network-namespace": "a network of its own cannot be set up here",
    "ipc-namespace": "an IPC namespace cannot be made here",
    "uts-namespace": "a host name of its own cannot be set here",
    "cgroup-namespace": "a cgroup namespace cannot be made here (Linux 4.6 or later)",
    "landlock": "Landlock is not there: Linux 5.13 or later, with 'landlock' in the lsm= list",
    "seccomp": "the system call filter cannot be loaded: CONFIG_SECCOMP_FILTER is needed",
    "no-new-privileges": "no_new_privs cannot be set",
    "no-capabilities": "capabilities cannot be given up",
    "rlimits": "a resource limit cannot be set",
}
# Passing errors: nothing is missing on this machine, and a layer is not waived because of them.
_EXHAUSTED = {
    errno.EMFILE: (
        "as many files are open as one process may have: close sandboxes, or raise the limit on "
        "open files (ulimit -n; LimitNOFILE= in a systemd unit)"
    ),
    errno.ENFILE: (
        "as many files are open as this machine allows: end what holds them, or as root raise "
        "fs.file-max (sysctl)"
    ),
    errno.ENOMEM: (
        "there is no memory left: end something, or raise the limit on memory (ulimit -v; that of "
        "the container or the systemd unit, MemoryMax=)"
    ),
    errno.EAGAIN: (
        "as many processes are there as this user may have: end some, or raise the limit on "
        "processes (ulimit -u; that of the container, pids-limit, or of the systemd unit, TasksMax=)"
    ),
}
_NAMESPACES = {step for step in WHAT_FAILED if step.endswith("-namespace")} | {"clone", "new-root"}
_WAIVABLE = ("landlock", "seccomp", "cgroup-namespace", "uts-namespace")
_KINDS = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
# A container's /proc has these too, and they are empty folders, which the kernel does not mind.
_HARMLESS_COVERS = {"/proc/sys/fs/binfmt_misc"}
_REFUSALS = NOT_HERE - {errno.EINVAL}
_REFUSALS_OF_NAMESPACES = _REFUSALS | {errno.ENOSPC, errno.EUSERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where evidence is looked for; another ``root`` than "/" is for tests."""

    root: str = "/"
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)
    python: str = field(default_factory=lambda: os.path.realpath(sys.executable))

    def read(self, path: str) -> str:
        """The content of a small file; empty if there is none, or not for us."""
        try:
            return Path(self.root, path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return Path(self.root, path).exists()


def _no_such_kernel(machine: Machine, _step: str, _code: int) -> str:
    return "" if machine.has("proc/self/ns/user") else _NO_SUCH_KERNEL


def _limit_is_reached(machine: Machine, step: str, code: int) -> str:
    for kind in _KINDS:
        if machine.read(f"proc/sys/user/max_{kind}_namespaces") == "0":
            limit = f"user.max_{kind}_namespaces is 0 here"
            return _LIMIT_IS_REACHED.format(limit=limit, kind=kind)
    # EUSERS: before Linux 4.9, and for the 33rd level of nesting (user_namespaces(7)).
    if code in (errno.ENOSPC, errno.EUSERS) and step != "new-root":
        return _LIMIT_IS_REACHED.format(limit="as many as may be are in use", kind="user")
    return ""


def _filter_refuses(machine: Machine, _step: str, code: int) -> str:
    # EPERM or ENOSYS is what profiles answer; an EACCES is a security module's.
    filtered = re.search(r"^Seccomp:\s*2$", machine.read("proc/self/status"), re.MULTILINE)
    return _FILTER_REFUSES if filtered and code != errno.EACCES else ""


def _apparmor_restricts(machine: Machine, _step: str, _code: int) -> str:
    setting = machine.read("proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if machine.is_root or setting in ("", "0"):
        return ""
    return _APPARMOR_RESTRICTS.format(python=machine.python)


def _debian_restricts(machine: Machine, _step: str, _code: int) -> str:
    setting = machine.read("proc/sys/kernel/unprivileged_userns_clone")
    return _DEBIAN_RESTRICTS if setting == "0" and not machine.is_root else ""


def _profile_confines(machine: Machine, _step: str, _code: int) -> str:
    # The first is AppArmor's own since 5.8; the old one is whichever module's came first.
    for path in ("proc/self/attr/apparmor/current", "proc/self/attr/current"):
        profile = machine.read(path).rstrip("\0")
        if profile.endswith("(enforce)"):
            return _PROFILE_CONFINES.format(profile=profile.removesuffix("(enforce)").strip())
    return ""


def _proc_is_covered(machine: Machine, step: str, code: int) -> str:
    points = [line.split(" ")[4] for line in machine.read("proc/self/mountinfo").splitlines()]
    covered = {point for point in points if point.startswith("/proc/")} - _HARMLESS_COVERS
    if step != "new-root" or code != errno.EPERM or not covered:
        return ""
    return _PROC_IS_COVERED.format(covered=", ".join(sorted(covered)[:3]))


_CAUSES: tuple[Callable[[Machine, str, int], str], ...] = (
    _proc_is_covered,
    _no_such_kernel,
    _limit_is_reached,
    _filter_refuses,
    _apparmor_restricts,
    _debian_restricts,
    _profile_confines,
)


def namespace_remedy(step: str, code: int, machine: Machine | None = None) -> str:
    """Why this machine refuses namespaces or mounts in them, as far as it tells, and what to do."""
    here = machine or Machine()
    remedies = (cause(here, step, code) for cause in _CAUSES)
    return next((remedy for remedy in remedies if remedy), _UNKNOWN)


def remedy_for(step: str, code: int, machine: Machine | None = None) -> str:
    """What to do about a step that was refused, or for which something had run out."""
    if code in _EXHAUSTED:
        return _EXHAUSTED[code]
    if step in _WAIVABLE and code and not (_is_refusal(step, code) or code in NOT_HERE):
        return f"the step {step} failed; nothing says that this machine does not have it"
    what = WHAT_FAILED.get(step, f"the step {step} failed")
    if step in _NAMESPACES and (step != "cgroup-namespace" or code == errno.ENOSPC):
        what = f"{what}; {namespace_remedy(step, code, machine)}"
    if step in _WAIVABLE and (code in NOT_HERE or not code):
        return f"{what}; to go on without it: Policy(waive={{{step!r}}}), or --waive {step}"
    return what


def _is_refusal(step: str, code: int) -> bool:
    if step in _NAMESPACES:
        # clone(2): EINVAL is for a kind of namespace that the kernel was built without.
        return code in _REFUSALS_OF_NAMESPACES or (step, code) == ("clone", errno.EINVAL)
    return step in WHAT_FAILED and code in _REFUSALS


def exhausted(code: int | None) -> str:
    """What has run out, and what to do; empty if such an errno says nothing of that kind."""
    return _EXHAUSTED.get(code or 0, "")


def explain_failure(step: str, code: int, detail: str) -> ProtocellError:
    """The exception for a step of the set-up that failed in the sandbox."""
    layer = "user-namespace" if step == "clone" else step
    name = errno.errorcode.get(code, str(code))
    remedy = remedy_for(step, code)
    if code in _EXHAUSTED:
        message = f"cannot make a sandbox, the step {step} failed ({name}: {detail}): {remedy}"
        return SetupError(message, step=step, errno=code)
    message = f"cannot enforce {layer} ({name}: {detail}): {remedy}"
    if _is_refusal(step, code):
        return UnsupportedError(message, missing=(layer,), remedy=remedy)
    return SetupError(message, step=step, errno=code)
