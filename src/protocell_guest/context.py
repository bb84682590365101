"""A context's first moments: forked from init, confined, greeted, and then the model's code's own.

Theory of operation
-------------------
``start`` runs in init.  It makes the socket and the two pipes of the context and forks; init keeps
none of their ends but hands the host's ends out.  The child puts the pipes on 1 and 2, the socket on
3, gives up everything (``jail.confine``), greets with what is enforced, and only then reads a
request.  Init waits for that greeting, so that what the host gets is ready, on init's word.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from protocell_guest import jail, wire
from protocell_guest.guest import loop, randomness
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.kernel import cgroups, namespaces
from protocell_guest.plan import Plan, Settings

_OOM_SCORE_OF_CODE = b"500"
_MAX_GREETING_BYTES = 1 << 16
_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h


@dataclass(slots=True)
class Context:
    """The live interpreter of a sandbox, seen from init."""

    pid: int
    folder: int  # its folder in init's private /proc
    enforced: list[str]


class NotReadyError(Exception):
    """A new context did not get so far that it could run code."""

    def __init__(self, failure: dict[str, Any]) -> None:
        super().__init__(failure)
        self.failure = failure


def start(
    plan: Plan,
    settings: Settings,
    steps: jail.Steps,
    *,
    leaf: cgroups.Leaf | None,
    inherited_data: int,
    proc: int,
    warm: Callable[[], None],
    cancelled: Sequence[int],
) -> tuple[Context, list[int]]:
    """Fork a context; also the host's ends of its socket, standard output and standard error.

    Raises:
        NotReadyError: a step of the confinement failed.
        InterruptedError: one of ``cancelled`` became readable.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    out_reader, out_writer = os.pipe2(os.O_CLOEXEC)
    err_reader, err_writer = os.pipe2(os.O_CLOEXEC)
    # Whoever is forked from a process that is not dumpable is not either, and could then not be
    # measured; no code runs in the sandbox at this moment that could use it.
    jail.set_dumpable(dumpable=True)
    pid = os.fork()
    if pid == 0:
        _Child(plan, settings, steps, leaf, inherited_data, warm).run(
            theirs, out_writer, err_writer
        )
    jail.set_dumpable(dumpable=False)
    theirs.close()
    os.close(out_writer)
    os.close(err_writer)
    _make_preferred_victim(pid, proc)
    folder = os.open(str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    greeting = _greeting(ours, cancelled)
    if greeting["event"] != "ready":
        raise NotReadyError(greeting)
    return Context(pid, folder, greeting["enforced"]), [ours.detach(), out_reader, err_reader]


def _greeting(channel: socket.socket, cancelled: Sequence[int]) -> dict[str, Any]:
    """The first frame of the new context: no code of the model has run there yet."""
    frames: list[dict[str, Any]] = []
    reader = wire.FrameReader(_MAX_GREETING_BYTES)
    poll = select.poll()
    for descriptor in (channel.fileno(), *cancelled):
        poll.register(descriptor, select.POLLIN)
    while not frames:
        if any(descriptor in cancelled for descriptor, _ in poll.poll()):
            raise InterruptedError
        data = channel.recv(_MAX_GREETING_BYTES)
        if not data:
            return {"event": "failed", "step": "context", "errno": 0, "detail": "it ended at once"}
        frames = reader.feed(data)
    return frames[0]


def _make_preferred_victim(pid: int, proc: int) -> None:
    """If memory runs out, the kernel shall end the code and not init."""
    descriptor = os.open(f"{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        os.write(descriptor, _OOM_SCORE_OF_CODE)
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class _Child:
    plan: Plan
    settings: Settings
    steps: jail.Steps
    leaf: cgroups.Leaf | None
    inherited_data: int
    warm: Callable[[], None]

    def run(self, channel: socket.socket, stdout: int, stderr: int) -> NoReturn:
        """Never returns into init's code, whatever happens."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            loop.redirect_output(stdout, stderr)
            os.environ.update(self.settings.envs)
            self._confine_and_serve(loop.move_channel(channel))
        except BaseException:  # noqa: BLE001
            os._exit(_UNEXPECTED)
        os._exit(0)

    def _enter_cgroup(self) -> None:
        """The code and all it starts, but not init, which has to live when memory runs out."""
        if self.leaf is not None:
            self.leaf.enter()
            self.steps.enforced.append(self.leaf.layer)
        namespaces.unshare_cgroup()

    def _confine_and_serve(self, channel: socket.socket) -> None:
        try:
            self.steps.run("cgroup-namespace", self._enter_cgroup)
            jail.confine(
                self.plan, self.steps, inherited_data=self.inherited_data, keep=channel.fileno()
            )
        except jail.StepError as error:
            failure = {"event": "failed", "step": error.step, "errno": error.errno}
            channel.sendall(wire.encode(failure | {"detail": error.detail}))
            return
        randomness.refresh()
        interpreter = Interpreter(
            deny_imports=self.settings.deny_imports, allow_imports=self.settings.allow_imports
        )
        greeting = {"event": "ready", "enforced": self.steps.enforced}
        loop.serve(channel, interpreter, greeting=greeting, idle=self.warm)
