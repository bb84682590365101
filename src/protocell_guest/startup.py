"""From a fresh interpreter to a zygote that says hello: what is done once, so that no sandbox pays for it.

Theory of operation
-------------------
Runs in the process that the host started (boot.py), before anything is forked.  Everything here is in
the memory of every later sandbox: so nothing of the host but paths is known here, and signals, limits
and descriptors begin clean.  The order matters: the janitor is forked while the process is small; what
is preloaded may take long, and the host's end must end it; the file tree is entered when all is imported.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import importlib
import os
import resource
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from protocell_guest import janitor, wire
from protocell_guest.guest import loop, shells, signals, warmups
from protocell_guest.guest.shells import Kind
from protocell_guest.kernel import cgroups, seccomp, stdio
from protocell_guest.recipe import Taste
from protocell_guest.template import enter_own_tree
from protocell_guest.zygote import Zygote


def facts(*, no_cgroup: str) -> dict[str, Any]:
    """What the host must know of this interpreter to bind the right folders, and to say what is missing."""
    return {
        "no_cgroup": no_cgroup,
        "version": sys.version.split()[0],
        "executable": sys.executable,
        "prefixes": sorted({sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}),
        "paths": [path for path in sys.path if os.path.isdir(path)],
    }


# Of these it cannot be said that there is no cgroup here.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}


def _claim_cgroup(requests: socket.socket) -> tuple[cgroups.Group | None, str]:
    """A cgroup to make leaves in, where this user can have one, or why not.

    The janitor comes first: what is made before anybody looks after it stays, if this is killed between the two.
    """
    found = cgroups.find(movable=(os.getpid(),))
    if isinstance(found, cgroups.Absent):
        return None, f"{found.reason}; {found.remedy}"
    try:
        helper = janitor.fork(found)
    except OSError as error:
        _fail(requests, "cgroup", error)
    try:
        group = cgroups.open_group(movable=(os.getpid(), helper))
    except OSError as error:
        if error.errno in _EXHAUSTED:
            _fail(requests, "cgroup", error)
        group, refusal = None, f"it looked possible, and was refused: {error}"
    else:
        refusal = "" if group else "the place for it was taken meanwhile; start again"
    if group is None:
        # Init watches memory instead, and says so on every result.
        janitor.dismiss(helper)
    return group, refusal


def _put_programs_first() -> None:
    """``pytest``, ``pip`` and ``python`` in a shell are those of this environment, as where it is activated."""
    folder, path = os.path.dirname(sys.executable), os.environ["PATH"]
    if folder not in path.split(":"):
        os.environ["PATH"] = f"{folder}:{path}"


def _raise_own_limit() -> None:
    """The host's limit on descriptors may be low; sandboxes get their own (kernel/limits.py)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end_with_host(requests: socket.socket, *, asked: bool) -> None:
    """While imports run, which may take long, end of file on the socket ends us: SIGIO (fcntl(2))."""
    fcntl.fcntl(requests, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(requests, fcntl.F_GETFL) & ~os.O_ASYNC
    fcntl.fcntl(requests, fcntl.F_SETFL, flags | (os.O_ASYNC if asked else 0))


def _fail(requests: socket.socket, step: str, error: OSError) -> NoReturn:
    failure = {"event": "failed", "step": step, "errno": error.errno or 0, "detail": str(error)}
    wire.send_packet(requests, failure)
    sys.exit(1)


def _give_up(requests: socket.socket, detail: str) -> NoReturn:
    wire.send_packet(requests, {"event": "failed", "detail": detail})
    sys.exit(1)


def _preload(names: Sequence[str], requests: socket.socket) -> None:
    try:
        for name in names:
            importlib.import_module(name)
    except ImportError as error:
        _give_up(requests, f"{error}; install it in {sys.prefix} or leave it out of preload")
    # A fork has none of them but their locks (kernel/_libc.py, clone).
    if len(sys._current_frames()) > 1:
        _give_up(
            requests, f"a package of {', '.join(names)} starts threads; leave it out of preload"
        )


def _taste(preload: Sequence[str], shell: Kind, requests: socket.socket) -> Taste:
    """The interpreter of every context, made and warm: a fork of it needs to be let go and no more."""
    packages = warmups.for_packages(preload)
    packages.template()
    try:
        return Taste(shells.prepare(shell), packages.context)
    except ImportError as error:
        _give_up(requests, f"{error}; install ipython in {sys.prefix}, or leave shell as it was")


def _find_own_programs() -> None:
    """What is installed beside the interpreter (pytest, and python itself) is found by its name."""
    programs = os.path.join(sys.prefix, "bin")
    path = os.environ.get("PATH", "")
    if os.path.isdir(programs) and programs not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([programs, path])


def _enter_own_tree(requests: socket.socket) -> None:
    try:
        enter_own_tree()
    except OSError as error:
        _fail(requests, "clone", error)


def main(requests_fd: int, host_pid: int, preload: Sequence[str], shell: Kind) -> NoReturn:
    """Prepare, say hello, serve."""
    signals.clean_slate()
    os.umask(0o022)  # the host's may keep a sandbox's user out of the file tree that is built here
    os.environ.pop("LD_BIND_NOW", None)  # it was for this process
    _put_programs_first()
    _find_own_programs()
    requests = socket.socket(fileno=requests_fd)
    sys.argv = [""]  # as in an interactive interpreter: there is no program
    requests.set_inheritable(False)
    _raise_own_limit()
    _end_with_host(requests, asked=True)
    host = os.pidfd_open(host_pid)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    loop.prepare_streams()
    stdio.buffer_lines()
    group, no_cgroup = _claim_cgroup(requests)
    _preload(preload, requests)
    _enter_own_tree(requests)
    seccomp.prepare(counted=group is not None)  # once, here; every context finds it made
    taste = _taste(preload, shell, requests)
    gc.collect()
    gc.freeze()
    _end_with_host(requests, asked=False)
    wire.send_packet(requests, {"event": "hello", "facts": facts(no_cgroup=no_cgroup)})
    Zygote(requests, host, group, taste).serve()
    os._exit(0)
