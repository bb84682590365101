"""The fork server: one clean, prepared interpreter from which every sandbox is cloned.

Theory of operation
-------------------
Started by the host with execve and an almost empty environment, so that nothing of the host is in
its memory.  Single-threaded.  It imports what is to be preloaded, then serves one socket:
each request is a plan and one end of a control socket; the answer comes from the new sandbox's own
init, over that control socket, so requests can be sent ahead and need no order.

Rights: those of the host's user.  As root it maps an id that belongs to nobody (namespaces.py).
Descriptors: ``requests`` (SEQPACKET, from the host; end of file: the host is done), the host's pidfd
(readable when it is gone, which end of file does not tell if the host had forked), its own pidfd,
which every init inherits, and cgroup folders.  It never talks to model code and shares no
descriptor with it.

It ends when the host ends; every init has asked for SIGKILL at its end, and with init goes the
whole pid namespace.  The cgroup folders are removed by a small process of their own, forked before
anything is loaded, which waits for the zygote's end: they go even after kill -9.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from protocell_guest import jail, janitor, wire
from protocell_guest.guest import loop, warmups
from protocell_guest.init import Init
from protocell_guest.kernel import cgroups, limits, namespaces, seccomp
from protocell_guest.plan import Plan
from protocell_guest.template import Template, Templates, enter_own_tree

_REMOVE_MILLISECONDS = 20


class Zygote:
    """Forks sandboxes and reaps them."""

    def __init__(
        self,
        requests: socket.socket,
        host: int,
        group: cgroups.Group | None,
        warm: Callable[[], None],
    ) -> None:
        self._requests = requests
        self._host = host
        self._group = group
        self._warm = warm
        self._self = os.pidfd_open(os.getpid())
        self._ids = namespaces.outer_ids()
        self._templates = Templates(counted=group is not None)
        self._plans: dict[int, Plan] = {}
        self._data = limits.data_in_use()
        self._leaves: dict[int, cgroups.Leaf | None] = {}
        self._ended: list[cgroups.Leaf] = []
        self._count = 0

    def serve(self) -> None:
        """Serve until the host is gone."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        poll = select.poll()
        for descriptor in (self._requests.fileno(), self._host, reader):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll(_REMOVE_MILLISECONDS if self._ended else None)}
            if self._host in ready:
                return
            if reader in ready:
                os.read(reader, 4096)
                self._reap()
            self._remove_leaves()
            if self._requests.fileno() in ready and not self._answer():
                return

    def _answer(self) -> bool:
        request, received = wire.recv_packet(self._requests)
        if request is None:
            return False
        control = socket.socket(fileno=received[0])
        try:
            self._spawn(self._plan(request), control)
        except (OSError, ValueError, KeyError) as error:
            failure = {
                "event": "failed",
                "step": "clone",
                "errno": getattr(error, "errno", None) or 0,
                "detail": str(error),
            }
            with contextlib.suppress(OSError):  # the host does not want it any more
                wire.send_packet(control, failure)
        finally:
            control.close()
        return True

    def _plan(self, request: dict[str, Any]) -> Plan:
        """A plan comes whole once, and by its number from then on."""
        number = request["number"]
        if "plan" in request:
            self._plans[number] = Plan.from_message(request["plan"])
        return self._plans[number]

    def _spawn(self, plan: Plan, control: socket.socket) -> None:
        template = self._templates.get(plan)
        leaf = self._make_leaf(plan)
        go_reader, go_writer = os.pipe2(os.O_CLOEXEC)
        pid = -1
        try:
            pid = namespaces.clone_init()
            if pid == 0:
                self._become_init(plan, control, template, leaf, (go_reader, go_writer))
            self._leaves[pid] = leaf
            namespaces.write_id_maps(pid, *self._ids)
            os.write(go_writer, b"!")
        finally:
            os.close(go_reader)
            os.close(go_writer)
            if leaf is not None:
                leaf.close()
                if pid < 0:  # there is no init at whose end it would be removed
                    leaf.remove()

    def _make_leaf(self, plan: Plan) -> cgroups.Leaf | None:
        if self._group is None:
            return None
        self._count += 1
        return self._group.create(
            f"box-{self._count}",
            memory_bytes=plan.limits["memory_bytes"],
            processes=plan.limits["processes"],
        )

    def _become_init(
        self,
        plan: Plan,
        control: socket.socket,
        template: Template,
        leaf: cgroups.Leaf | None,
        go: tuple[int, int],
    ) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            os.setsid()
            jail.die_with_parent()
            os.close(go[1])
            if os.read(go[0], 1) != b"!":
                os._exit(1)  # the zygote ended while we waited
            self._close_all_but(control.fileno(), self._self, *(leaf.descriptors if leaf else ()))
            Init(
                plan,
                control,
                template=template,
                inherited_data=self._data,
                leaf=leaf,
                zygote=self._self,
                warm=self._warm,
            ).run()
        except BaseException:  # noqa: BLE001  (whatever it is, it must not run the zygote's loop)
            traceback.print_exc()  # to the pipe that the host reads when something went wrong
            os._exit(70)

    def _close_all_but(self, *keep: int) -> None:
        start = 3
        for descriptor in sorted(keep):
            if descriptor > start:
                os.closerange(start, descriptor)
            start = descriptor + 1
        os.closerange(start, 2**31 - 1)

    def _reap(self) -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            leaf = self._leaves.pop(pid, None)
            if leaf is not None:
                self._ended.append(leaf)

    def _remove_leaves(self) -> None:
        """Of sandboxes that have ended; the kernel lets go of a cgroup some time after its last process."""
        self._ended = [leaf for leaf in self._ended if not leaf.remove()]


def facts() -> dict[str, Any]:
    """What the host must know of this interpreter to bind the right folders."""
    return {
        "version": sys.version.split()[0],
        "executable": sys.executable,
        "prefixes": sorted({sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}),
        "paths": [path for path in sys.path if os.path.isdir(path)],
    }


def _claim_cgroup() -> cgroups.Group | None:
    """A cgroup to make leaves in, where this user can have one."""
    hierarchy = cgroups.find(movable=(os.getpid(),))
    if isinstance(hierarchy, cgroups.Absent):
        return None
    cgroups.sweep(hierarchy)
    try:
        group = cgroups.Group.claim(hierarchy)
    except OSError:
        return None  # it looked possible and was not; init watches memory instead, and says so
    janitor.fork(hierarchy)
    return group


def _raise_own_limit() -> None:
    """The host's limit on descriptors may be low; sandboxes get their own (kernel/limits.py)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end_with_host(requests: socket.socket, *, asked: bool) -> None:
    """While imports run, which may take long, end of file on the socket ends us: SIGIO (fcntl(2))."""
    fcntl.fcntl(requests, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(requests, fcntl.F_GETFL) & ~os.O_ASYNC
    fcntl.fcntl(requests, fcntl.F_SETFL, flags | (os.O_ASYNC if asked else 0))


def _preload(names: Sequence[str], requests: socket.socket) -> None:
    try:
        for name in names:
            importlib.import_module(name)
    except ImportError as error:
        detail = f"{error}; install it in {sys.prefix} or leave it out of preload"
        wire.send_packet(requests, {"event": "failed", "detail": detail})
        sys.exit(1)


def _enter_own_tree(requests: socket.socket) -> None:
    try:
        enter_own_tree()
    except OSError as error:
        failure = {"event": "failed", "step": "clone", "errno": error.errno or 0}
        wire.send_packet(requests, failure | {"detail": str(error)})
        sys.exit(1)


def main(requests_fd: int, host_pid: int, preload: Sequence[str]) -> NoReturn:
    """Prepare, say hello, serve."""
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
    group = _claim_cgroup()
    _preload(preload, requests)
    _enter_own_tree(requests)
    seccomp.prepare(counted=group is not None)  # once, here; every context finds it made
    warm = warmups.for_packages(preload)
    warm.template()
    gc.collect()
    gc.freeze()
    _end_with_host(requests, asked=False)
    wire.send_packet(requests, {"event": "hello", "facts": facts()})
    Zygote(requests, host, group, warm.context).serve()
    os._exit(0)
