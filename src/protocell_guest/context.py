"""A context's first moments: forked from init, confined, announced, and then the model's code's own.

Theory of operation
-------------------
``start`` runs in init.  It makes the socket and the two pipes of the context and forks; init keeps
none of their ends.  The child puts the pipes on 1 and 2, its end of the socket on 3, and gives up
everything (``jail.confine``).  Then it tells the host itself, over init's control socket, that it is
ready, what is enforced, and hands over the host's ends; closes all descriptors but 0 to 3; and only
after that reads a request.  A step that fails is told in the same way, and the child ends.  Telling
the host from here and not from init saves a turn of the scheduler, which is half a millisecond.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from protocell_guest import jail, wire
from protocell_guest.guest import loop, randomness
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.kernel import cgroups, namespaces
from protocell_guest.plan import Plan, Settings

_OOM_SCORE_OF_CODE = b"500"
_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h


@dataclass(slots=True)
class Context:
    """The live interpreter of a sandbox, seen from init."""

    pid: int
    folder: int  # its folder in init's private /proc
    number: int  # of the request that it answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What init has for every context of its sandbox."""

    plan: Plan
    settings: Settings
    steps: jail.Steps
    leaf: cgroups.Leaf | None
    inherited_data: int
    control: socket.socket
    workspace: int
    proc: int
    warm: Callable[[], None]


def start(recipe: Recipe, number: int) -> Context:
    """Fork a context, which announces itself to the host as the answer to this request."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    out_reader, out_writer = os.pipe2(os.O_CLOEXEC)
    err_reader, err_writer = os.pipe2(os.O_CLOEXEC)
    # Whoever is forked from a process that is not dumpable is not either, and could then not be
    # measured; no code runs in the sandbox at this moment that could use it.
    jail.set_dumpable(dumpable=True)
    pid = os.fork()
    if pid == 0:
        far = [ours.fileno(), out_reader, err_reader, recipe.workspace]
        _Child(recipe, number, far).run(theirs, out_writer, err_writer)
    jail.set_dumpable(dumpable=False)
    for end in (ours, theirs):
        end.close()
    for descriptor in (out_reader, out_writer, err_reader, err_writer):
        os.close(descriptor)
    _make_preferred_victim(pid, recipe.proc)
    return Context(pid, _folder(pid, recipe.proc), number)


def _folder(pid: int, proc: int) -> int:
    return os.open(str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)


def _make_preferred_victim(pid: int, proc: int) -> None:
    """If memory runs out, the kernel shall end the code and not init."""
    descriptor = os.open(f"{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        os.write(descriptor, _OOM_SCORE_OF_CODE)
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class _Child:
    recipe: Recipe
    number: int
    far: list[int]  # what the host gets

    def run(self, channel: socket.socket, stdout: int, stderr: int) -> NoReturn:
        """Never returns into init's code, whatever happens."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            self.far.append(_folder(os.getpid(), self.recipe.proc))
            loop.redirect_output(stdout, stderr)
            os.environ.update(self.recipe.settings.envs)
            self._confine_and_serve(channel)
        except BaseException:  # noqa: BLE001
            os._exit(_UNEXPECTED)
        os._exit(0)

    def _enter_cgroup(self) -> None:
        """The code and all it starts, but not init, which has to live when memory runs out."""
        leaf = self.recipe.leaf
        if leaf is not None:
            leaf.enter()
            self.recipe.steps.enforced.append(leaf.layer)
        namespaces.unshare_cgroup()

    def _confine_and_serve(self, channel: socket.socket) -> None:
        recipe, steps = self.recipe, self.recipe.steps
        try:
            steps.run("cgroup-namespace", self._enter_cgroup)
            jail.confine(
                recipe.plan,
                steps,
                counted=recipe.leaf is not None,
                inherited_data=recipe.inherited_data,
            )
        except jail.StepError as error:
            failure = {"event": "failed", "number": self.number, "step": error.step}
            detail = {"errno": error.errno, "detail": error.detail}
            wire.send_packet(recipe.control, failure | detail)
            return
        randomness.refresh()
        interpreter = Interpreter(
            deny_imports=recipe.settings.deny_imports, allow_imports=recipe.settings.allow_imports
        )
        steps.enforced.append("closed-descriptors")  # by the lines below, or there is no context
        greeting = {"event": "context", "number": self.number, "enforced": steps.enforced}
        wire.send_packet(recipe.control, greeting, self.far)
        channel = loop.move_channel(channel)
        jail.close_all_above(channel.fileno())
        loop.serve(channel, interpreter, greeting=None, idle=recipe.warm)
