"""Pid 1 of a sandbox: builds it, forks contexts, ends them, measures them, holds the workspace.

Theory of operation
-------------------
Forked from the zygote with every capability over the sandbox's namespaces and none outside; not
dumpable; never runs model code.  Model code cannot signal it (pid 1 gets no signal from inside for
which it has no handler, pid_namespaces(7)), and when it ends, the kernel ends the whole namespace.

Descriptors: ``control`` (SEQPACKET to the host, which is trusted; end of file ends the sandbox),
``proc`` (a writable /proc attached nowhere), the workspace folder, the leaf of a cgroup if there is
one, the zygote's pidfd (readable when it is gone; so is the parent-death signal, which a zygote that
dies during our set-up could miss).  The ends of a context's socket and pipes go to the host and are
closed here, so that end of file on them means that no process of the context has them any more.

A context is ended by ``kill(-1, SIGKILL)``: the kernel signals every process of the pid namespace
but the caller, and a fork that is under way fails, so nothing escapes into a new session or group.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from protocell_guest import context, jail, usage, wire
from protocell_guest.context import Context
from protocell_guest.kernel import beneath, cgroups, process_table
from protocell_guest.plan import HOME, Plan, Settings
from protocell_guest.template import Template

_WATCH_MILLISECONDS = 50
_IDLE_MILLISECONDS = 250
_NUDGE_MILLISECONDS = 20
_NUDGES = 3


@dataclass(slots=True)
class Watch:
    """What the running execution may still use; looked at only if it takes more than a moment."""

    cpu_total: float = float("inf")
    memory: int = 0  # bytes; 0 where a cgroup does it
    active: bool = False  # an execution is going on
    used: bool = False  # one has been going on: what it started may be there still


class Init:
    """The loop of pid 1."""

    def __init__(
        self,
        plan: Plan,
        control: socket.socket,
        *,
        template: Template,
        inherited_data: int,
        leaf: cgroups.Leaf | None,
        zygote: int,
        warm: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._control = control
        self._leaf = leaf
        self._zygote = zygote
        self._warm = warm
        self._steps = jail.Steps(waive=frozenset(plan.waive))
        self._context: Context | None = None
        self._watch = Watch()
        self._oom_kills = 0
        self._nudges = 0
        self._template = template
        self._inherited_data = inherited_data

    def run(self) -> NoReturn:
        """Build the sandbox, start the first context, serve the host until it is done."""
        message, _ = wire.recv_packet(self._control)
        if message is None:
            os._exit(0)  # the host has changed its mind
        self._settings = Settings.from_message(message)
        try:
            self._build()
        except (jail.StepError, OSError) as error:
            self._report_failure(error)
            os._exit(1)
        self._serve()
        os._exit(0)

    def _tell(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        try:
            wire.send_packet(self._control, message, descriptors)
        except (BrokenPipeError, ConnectionError):
            os._exit(0)  # the host has closed the sandbox; the kernel ends the rest

    def _report_failure(self, error: jail.StepError | OSError) -> None:
        step = error.step if isinstance(error, jail.StepError) else "setup"
        detail = error.detail if isinstance(error, jail.StepError) else str(error)
        message = {"event": "failed", "step": step, "errno": error.errno or 0, "detail": detail}
        self._tell(message)

    def _build(self) -> None:
        self._proc = jail.enter(self._plan, self._settings, self._template, self._steps)
        self._steps.enforced.append("clean-environment")
        self._table = process_table.Table(self._proc)
        self._workspace = os.open(HOME, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._wake, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wake_writer)
        if self._leaf is None:
            self._watch.memory = self._plan.limits["memory_bytes"]
            self._steps.enforced.append("memory-watch")
        self._start_context(number=0)

    # -- contexts ---------------------------------------------------------------------------------

    def _start_context(self, *, number: int) -> None:
        recipe = context.Recipe(
            plan=self._plan,
            settings=self._settings,
            steps=self._steps,
            leaf=self._leaf,
            inherited_data=self._inherited_data,
            control=self._control,
            workspace=self._workspace,
            proc=self._proc,
            warm=self._warm,
        )
        self._context = context.start(recipe, number)

    def _end_context(self, cause: str | None) -> None:
        """Kill whatever is left, reap it all, and tell the host how the context ended."""
        ending, self._context = self._context, None
        self._watch.active = self._watch.used = False
        if ending is None:
            return
        totals = usage.read_totals(ending.folder)
        with contextlib.suppress(ProcessLookupError):  # nobody is left to kill
            os.kill(-1, signal.SIGKILL)
        status = _reap_all(ending.pid)
        os.close(ending.folder)
        report = self._report()
        if cause is None and report["oom_kills"]:
            cause = "memory"
        if cause == "memory":
            jail.clear_scratch(self._plan, self._template)
        message = {"event": "exited", "context": ending.number, "cause": cause, "status": status}
        self._tell(message | {"totals": totals} | report)

    # -- measuring --------------------------------------------------------------------------------

    def _report(self) -> dict[str, int]:
        """What the whole tree used of memory since the last report."""
        peak, self._table.peak_memory = self._table.peak_memory, 0
        if self._leaf is None:
            return {"peak_memory": peak, "oom_kills": 0}
        leaf = self._leaf.usage()
        kills, self._oom_kills = leaf.oom_kills - self._oom_kills, leaf.oom_kills
        self._leaf.reset_peak()
        return {"peak_memory": leaf.peak_bytes or 0, "oom_kills": kills}

    def _begin_watch(self, cpu_seconds: float) -> None:
        self._watch.cpu_total = self._table.cpu_total() + cpu_seconds
        self._watch.active = self._watch.used = True

    def _interrupt(self) -> None:
        """KeyboardInterrupt in the code, also if it is just about to wait for something.

        CPython only notes the signal; a system call that begins a moment later would not end by it.
        SIGURG, to which the context has a handler that does nothing, ends that.
        """
        if self._context is not None:
            os.kill(self._context.pid, signal.SIGINT)
            self._nudges = _NUDGES

    def _nudge(self) -> None:
        if self._nudges and self._context is not None:
            self._nudges -= 1
            os.kill(self._context.pid, signal.SIGURG)

    def _pause(self) -> int | None:
        """Milliseconds until the next look at the watch; None when nothing can happen."""
        if self._context is None:
            return None
        if self._nudges:
            return _NUDGE_MILLISECONDS
        if not self._watch.used:
            return None
        if self._watch.memory:
            return _WATCH_MILLISECONDS if self._watch.active else _IDLE_MILLISECONDS
        left = self._watch.cpu_total - self._table.cpu_total()
        return max(_WATCH_MILLISECONDS, int(1000 * left / (os.cpu_count() or 1)))

    def _check_watch(self) -> None:
        if self._context is None or not self._watch.used:
            return
        # What an execution leaves running goes on using its time.
        if self._table.cpu_total() > self._watch.cpu_total:
            self._end_context("cpu")
        elif self._watch.memory and self._table.memory() > self._watch.memory:
            self._end_context("memory")

    # -- the loop ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        poll = select.poll()
        for descriptor in (self._control.fileno(), self._wake, self._zygote):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._pause())}
            if self._zygote in ready:
                return
            if self._wake in ready:
                self._reap()
            if self._control.fileno() in ready and not self._answer():
                return
            self._check_watch()
            self._nudge()

    def _reap(self) -> None:
        os.read(self._wake, 4096)
        live = self._context
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
            self._end_context("host")
            self._start_context(number=request["number"])
        elif operation == "create":
            self._create(request)
        return True

    def _create(self, request: dict[str, Any]) -> None:
        number = {"number": request["number"]}
        try:
            descriptor = beneath.create(self._workspace, request["path"])
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
