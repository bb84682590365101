"""Pid 1 of a sandbox: forks contexts, ends them, measures them, holds the workspace.

Theory of operation
-------------------
Forked from the zygote with every capability over the sandbox's namespaces and none outside; not
dumpable; never runs model code.  Model code cannot signal it (pid 1 gets no signal from inside for
which it has no handler, pid_namespaces(7)), and when it ends, the kernel ends the whole namespace.

It forks the first context before it has done anything else, and leaves the building of the sandbox to
that (context.py): each page that a forked process writes is copied, so the less runs here the better.
The two run side by side; no model code runs before init has said that it is locked.

Descriptors: ``control`` (SEQPACKET to the host, which is trusted; end of file ends the sandbox), the
leaf of a cgroup if there is one, the zygote's pidfd (readable when it is gone; so is the parent-death
signal, which a zygote that dies during our set-up could miss), ``crib``, in which the first context
leaves the ``Ground``: a writable /proc attached nowhere, and the workspace folder.

A context is ended by ``kill(-1, SIGKILL)``: the kernel signals every process of the pid namespace
but the caller, and a fork that is under way fails, so nothing escapes into a new session or group.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from protocell_guest import context, jail, usage, wire
from protocell_guest.kernel import beneath, children, namespaces, process_table
from protocell_guest.template import Template

_WATCH_SECONDS = 0.05
_IDLE_SECONDS = 0.25
_NUDGE_MILLISECONDS = 20
_NUDGES = 3


@dataclass(slots=True)
class Watch:
    """What the running execution may still use; looked at only if it takes more than a moment."""

    cpu_total: float = float("inf")
    memory: int = 0  # bytes; 0 where a cgroup does it
    active: bool = False  # an execution is going on
    used: bool = False  # one has been going on: what it started may be there still
    due: float = 0.0  # when to look next (time.monotonic)


@dataclass(slots=True)
class Live:
    """The interpreter that lives now."""

    pid: int
    number: int  # of the request that it answers


class Init:
    """The loop of pid 1."""

    def __init__(self, recipe: context.Recipe, template: Template, zygote: int) -> None:
        """Made in the zygote, before the clone."""
        self._recipe = recipe
        self._control = recipe.control
        self._leaf = recipe.leaf
        self._template = template
        self._zygote = zygote
        self._crib, self._far_crib = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._watch = Watch(memory=0 if recipe.leaf else recipe.plan.limits["memory_bytes"])
        self._oom_kills = 0
        self._nudges = 0
        self._live: Live | None = None

    def close(self) -> None:
        """In the zygote, after the clone."""
        self._crib.close()
        self._far_crib.close()

    def run(self, go: context.Go) -> NoReturn:
        """Fork the first context, lock this process, serve the host until it is done."""
        pid = context.start(self._recipe, self._template, go, self._far_crib)
        self._live = Live(pid, 0)
        self._last_pid = pid
        jail.die_with_parent()
        kept = (*self._recipe.descriptors, self._zygote, self._crib.fileno(), go.reader)
        jail.close_all_but(kept)
        os.setsid()
        go.wait()
        self._lock()
        with contextlib.suppress(BrokenPipeError):  # it has failed, and told the host why
            self._crib.send(context.READY)
        self._ground = self._receive_ground()
        self._serve()
        os._exit(0)

    def _receive_ground(self) -> context.Ground:
        # At once: descriptors that wait in a socket count against all that the user has in flight,
        # other programs' included (unix(7), ETOOMANYREFS).
        ground = context.Ground.receive(self._crib)
        if ground is None:
            detail = "the first interpreter ended before the sandbox was built"
            self._tell({"event": "failed", "step": "setup", "errno": 0, "detail": detail})
            os._exit(1)
        self._crib.close()
        return ground

    def _lock(self) -> None:
        namespaces.become_inner_user()
        jail.die_with_parent()
        jail.set_dumpable(dumpable=False)

    def _tell(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        try:
            wire.send_packet(self._control, message, descriptors)
        except (BrokenPipeError, ConnectionError):
            os._exit(0)  # the host has closed the sandbox; the kernel ends the rest

    @functools.cached_property
    def _table(self) -> process_table.Table:
        return process_table.Table(self._ground.proc)

    # -- contexts ---------------------------------------------------------------------------------

    def _end_context(self, cause: str | None) -> None:
        """Kill whatever is left, reap it all, and tell the host how the context ended."""
        ending, self._live = self._live, None
        self._watch.active = self._watch.used = False
        if ending is None:
            return
        totals = self._totals(ending.pid)
        with contextlib.suppress(ProcessLookupError):  # nobody is left to kill
            os.kill(-1, signal.SIGKILL)
        status = _reap_all(ending.pid)
        report = self._report()
        if cause is None and report["oom_kills"]:
            cause = "memory"
        if cause == "memory":
            jail.clear_scratch(self._recipe.plan, self._template)
        message = {"event": "exited", "context": ending.number, "cause": cause, "status": status}
        self._tell(message | {"totals": totals} | report)

    def _restart(self, number: int) -> None:
        self._end_context("host")
        self._live = Live(context.restart(self._recipe, self._ground, number), number)
        self._last_pid = self._live.pid

    # -- measuring --------------------------------------------------------------------------------

    def _totals(self, pid: int) -> usage.Totals:
        folder = os.open(
            str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._ground.proc
        )
        try:
            return usage.read_totals(folder)
        finally:
            os.close(folder)

    def _report(self) -> dict[str, int]:
        """What the whole tree used of memory, and what was started in it, since the last report."""
        last = usage.read_last_pid(self._ground.proc)
        processes, self._last_pid = max(0, last - self._last_pid), last
        peak, self._table.peak_memory = self._table.peak_memory, 0
        if self._leaf is None:
            return {"peak_memory": peak, "oom_kills": 0, "processes": processes}
        leaf = self._leaf.usage()
        kills, self._oom_kills = leaf.oom_kills - self._oom_kills, leaf.oom_kills
        self._leaf.reset_peak()
        peak = leaf.peak_bytes or 0
        return {"peak_memory": peak, "oom_kills": kills, "processes": processes}

    def _begin_watch(self, cpu_seconds: float) -> None:
        self._watch.cpu_total = self._table.cpu_total() + cpu_seconds
        self._watch.active = self._watch.used = True
        self._watch.due = time.monotonic() + _WATCH_SECONDS

    def _interrupt(self) -> None:
        """KeyboardInterrupt in the code, also if it is just about to wait for something.

        CPython only notes the signal; a system call that begins a moment later would not end by it.
        SIGURG, to which the context has a handler that does nothing, ends that.
        """
        if self._live is not None:
            os.kill(self._live.pid, signal.SIGINT)
            self._nudges = _NUDGES

    def _nudge(self) -> None:
        if self._nudges and self._live is not None:
            self._nudges -= 1
            os.kill(self._live.pid, signal.SIGURG)

    def _pause(self) -> int | None:
        """Milliseconds until there is something to do by itself; None when nothing can happen."""
        if self._live is None:
            return None
        if self._nudges:
            return _NUDGE_MILLISECONDS
        if not self._watch.used:
            return None
        return max(0, int(1000 * (self._watch.due - time.monotonic())) + 1)

    def _look_if_due(self) -> None:
        """Not at each wake: the ends of many short processes must not wait for a look at all of them."""
        if self._live is None or not self._watch.used or time.monotonic() < self._watch.due:
            return
        used = self._table.cpu_total()
        # What an execution leaves running goes on using its time.
        if used > self._watch.cpu_total:
            self._end_context("cpu")
        elif self._watch.memory and self._table.memory() > self._watch.memory:
            self._end_context("memory")
        elif self._watch.memory:
            seconds = _WATCH_SECONDS if self._watch.active else _IDLE_SECONDS
            self._watch.due = time.monotonic() + seconds
        else:
            left = (self._watch.cpu_total - used) / (os.cpu_count() or 1)
            self._watch.due = time.monotonic() + max(_WATCH_SECONDS, left)

    # -- the loop ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        ends = children.watch()
        self._reap()  # what ended before there was a descriptor to say so
        poll = select.poll()
        for descriptor in (self._control.fileno(), ends, self._zygote):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._pause())}
            if self._zygote in ready:
                return
            if ends in ready:
                children.clear(ends)
                self._reap()
            if self._control.fileno() in ready and not self._answer():
                return
            self._look_if_due()
            self._nudge()

    def _reap(self) -> None:
        live = self._live
        ended = live is not None and process_table.has_exited(live.pid)
        if ended:
            self._end_context(None)
        process_table.reap_orphans(live.pid if live is not None and not ended else None)

    def _answer(self) -> bool:
        """One request of the host; False at end of file."""
        request, received = wire.recv_packet(self._control)
        for descriptor in received:
            os.close(descriptor)
        if request is None:
            return False
        operation = request["op"]
        if operation == "watch":
            self._begin_watch(request["cpu_seconds"])
        elif operation == "rest":
            self._watch.active = False
            self._tell({"event": "rested", "number": request["number"], **self._report()})
        elif operation == "interrupt":
            self._interrupt()
        elif operation == "kill":
            self._end_context("host")
        elif operation == "context":
            self._restart(request["number"])
        elif operation == "create":
            self._create(request)
        return True

    def _create(self, request: dict[str, Any]) -> None:
        number = {"number": request["number"]}
        try:
            descriptor = beneath.create(self._ground.workspace, request["path"])
        except OSError as error:
            reply = {"event": "refused", "errno": error.errno or 0, "detail": str(error)}
            self._tell(reply | number)
            return
        self._tell({"event": "created"} | number, [descriptor])
        os.close(descriptor)


def _reap_all(pid_of_context: int) -> int:
    """Wait until init has no child left; returns the context's wait status."""
    status = 0
    while True:
        try:
            pid, value = os.waitpid(-1, 0)
        except ChildProcessError:
            return status
        if pid == pid_of_context:
            status = value
