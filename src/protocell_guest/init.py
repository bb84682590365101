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

from protocell_guest import jail, wire
from protocell_guest.guest import loop
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.kernel import beneath, cgroups, process_table
from protocell_guest.plan import HOME, Plan
from protocell_guest.template import Template

_OOM_SCORE_OF_CODE = b"500"


@dataclass(slots=True)
class Context:
    """The live interpreter of this sandbox, seen from its parent."""

    pid: int
    meter: process_table.Meter


@dataclass(slots=True)
class Watch:
    """What the running execution may still use; checked now and then, not at every call."""

    cpu_total: float = float("inf")
    memory: int = 0  # bytes; 0 where a cgroup does it
    active: bool = False


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
        self._oom_kills_before = 0
        self._template = template
        self._inherited_data = inherited_data

    def run(self) -> NoReturn:
        """Build the sandbox, start the first context, serve the host until it is done."""
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
        if self._leaf is not None:
            self._leaf.enter()
            self._steps.enforced.append(self._leaf.layer)
        self._proc = jail.enter(self._plan, self._template, self._steps)
        self._steps.enforced.append("clean-environment")
        self._workspace = os.open(HOME, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._wake, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wake_writer)
        if self._leaf is None:
            self._watch.memory = self._plan.limits["memory_bytes"]
            self._steps.enforced.append("memory-watch")
        self._start_context("ready")

    # -- contexts ---------------------------------------------------------------------------------

    def _start_context(self, event: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        out_reader, out_writer = os.pipe2(os.O_CLOEXEC)
        err_reader, err_writer = os.pipe2(os.O_CLOEXEC)
        # Whoever is forked from a process that is not dumpable is not either, and could then not
        # be measured; no code runs in the sandbox at this moment that could use it.
        jail.set_dumpable(dumpable=True)
        pid = os.fork()
        if pid == 0:
            self._become_context(theirs, out_writer, err_writer)
        jail.set_dumpable(dumpable=False)
        for descriptor in (out_writer, err_writer):
            os.close(descriptor)
        theirs.close()
        self._make_preferred_victim(pid)
        self._context = Context(pid, process_table.Meter(self._proc, pid))
        handles = [ours.fileno(), out_reader, err_reader, self._workspace]
        self._tell({"event": event}, handles)
        ours.close()
        os.close(out_reader)
        os.close(err_reader)

    def _make_preferred_victim(self, pid: int) -> None:
        """If memory runs out, the kernel shall end the code and not us."""
        path = f"{pid}/oom_score_adj"
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            os.write(descriptor, _OOM_SCORE_OF_CODE)
        finally:
            os.close(descriptor)

    def _become_context(self, channel: socket.socket, stdout: int, stderr: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            loop.redirect_output(stdout, stderr)
            os.environ.update(self._plan.envs)
            self._confine_and_serve(channel)
        except SystemExit:
            os._exit(0)
        except BaseException:  # noqa: BLE001  (whatever it is, it must not run init's code)
            os._exit(70)
        os._exit(0)

    def _confine_and_serve(self, channel: socket.socket) -> None:
        channel = loop.move_channel(channel)
        keep = channel.fileno()
        try:
            jail.confine(self._plan, self._steps, inherited_data=self._inherited_data, keep=keep)
        except jail.StepError as error:
            failure = {
                "event": "failed",
                "step": error.step,
                "errno": error.errno,
                "detail": error.detail,
            }
            channel.sendall(wire.encode(failure))
            return
        interpreter = Interpreter(
            deny_imports=self._plan.deny_imports, allow_imports=self._plan.allow_imports
        )
        greeting = {"event": "ready", "enforced": self._steps.enforced}
        loop.serve(channel, interpreter, greeting=greeting, idle=self._warm)

    def _end_context(self, cause: str | None) -> None:
        """Kill whatever is left, reap it all, and tell the host how the context ended."""
        context, self._context = self._context, None
        self._watch.active = False
        if context is None:
            return
        report = self._usage(context)
        with contextlib.suppress(ProcessLookupError):  # nobody is left to kill
            os.kill(-1, signal.SIGKILL)
        status = _reap_all(context.pid)
        context.meter.close()
        if cause is None and self._out_of_memory_kills():
            cause = "memory"
        wire.send_packet(
            self._control, {"event": "exited", "cause": cause, "status": status, "usage": report}
        )

    # -- measuring --------------------------------------------------------------------------------

    def _out_of_memory_kills(self) -> int:
        """Processes that the kernel ended for memory since the execution began."""
        if self._leaf is None:
            return 0
        return self._leaf.usage().oom_kills - self._oom_kills_before

    def _usage(self, context: Context) -> dict[str, Any]:
        report = context.meter.read()
        report["oom_kills"] = 0
        if self._leaf is not None:
            leaf = self._leaf.usage()
            report["oom_kills"] = leaf.oom_kills - self._oom_kills_before
            report["peak_memory"] = leaf.peak_bytes or report["peak_memory"]
        return report

    def _begin(self, request: dict[str, Any]) -> None:
        if self._context is None:
            return
        if self._leaf is not None:
            self._leaf.reset_peak()
            self._oom_kills_before = self._leaf.usage().oom_kills
        usage = self._context.meter.begin()
        self._watch.cpu_total = usage + float(request["cpu_seconds"])
        self._watch.active = True

    def _pause(self) -> int | None:
        """Milliseconds until the next look at the watch; None when nothing runs."""
        if not self._watch.active or self._context is None:
            return None
        if self._watch.memory:
            return 50
        left = self._watch.cpu_total - self._context.meter.cpu_total()
        return max(50, int(1000 * left / (os.cpu_count() or 1)))

    def _check_watch(self) -> None:
        if not self._watch.active or self._context is None:
            return
        if self._context.meter.cpu_total() > self._watch.cpu_total:
            self._end_context("cpu")
        elif self._watch.memory and self._context.meter.memory() > self._watch.memory:
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

    def _reap(self) -> None:
        os.read(self._wake, 4096)
        context = self._context
        ended = context is not None and process_table.has_exited(context.pid)
        if ended:
            self._end_context(None)
        process_table.reap_orphans(context.pid if context is not None and not ended else None)

    def _answer(self) -> bool:
        """One request of the host; False at end of file."""
        request, received = wire.recv_packet(self._control)
        for descriptor in received:
            os.close(descriptor)
        if request is None:
            return False
        operation = request["op"]
        if operation == "begin":
            self._begin(request)
        elif operation == "usage":
            self._watch.active = False
            report = self._usage(self._context) if self._context is not None else None
            self._tell({"event": "usage", "usage": report})
        elif operation == "interrupt":
            if self._context is not None:
                os.kill(self._context.pid, signal.SIGINT)
        elif operation == "kill":
            self._end_context("host")
        elif operation == "context":
            self._end_context("host")
            self._start_context("context")
        elif operation == "create":
            self._create(request)
        return True

    def _create(self, request: dict[str, Any]) -> None:
        try:
            descriptor = beneath.create(self._workspace, request["path"])
        except OSError as error:
            reply = {"event": "refused", "errno": error.errno or 0, "detail": str(error)}
            self._tell(reply)
            return
        self._tell({"event": "created"}, [descriptor])
        os.close(descriptor)


def _reap_all(context: int) -> int:
    """Wait until init has no child left; returns the context's wait status."""
    status = 0
    while True:
        try:
            pid, value = os.waitpid(-1, 0)
        except ChildProcessError:
            return status
        if pid == context:
            status = value
