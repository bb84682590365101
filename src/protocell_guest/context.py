"""A context's first moments: forked from init, confined, announced, and then the model's code's own.

Theory of operation
-------------------
``start`` and ``restart`` run in init and fork.  The first context of a sandbox builds it (``jail.enter``)
before it gives up everything (``jail.confine``): so what a sandbox costs in copied pages is paid in one
process, and init, from which it was forked when next to nothing had run there, stays small.  What it
built it hands to init over ``crib`` (SEQPACKET between the two, closed before any code runs), and init
says there that it has locked itself.  A later context finds the place built.

Each makes its socket and its two pipes, puts the pipes on 1 and 2, its end of the socket on 3, and tells
the host itself, over init's control socket, that it is ready and what is enforced, and hands over the
host's ends; closes all descriptors but 0 to 3; and only after that reads a request.  A step that fails
is told in the same way, and the child ends.  init never has the ends of the socket and the pipes, so
that end of file on them means that no process of the context has them any more.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from protocell_guest import jail, wire
from protocell_guest.guest import copies, loop, randomness
from protocell_guest.guest.interrupts import Interrupts
from protocell_guest.kernel import children, namespaces, processes, stdio
from protocell_guest.plan import HOME
from protocell_guest.recipe import READY, Go, Ground, Recipe
from protocell_guest.template import Template

# Thousandths of the limit, added to what a process has in memory (oom_badness() in mm/oom_kill.c).
OOM_SCORE_OF_CODE = 400
OOM_SCORE_OF_COPY = 100  # between the code and init
OOM_SCORE_OF_SPENDABLE = 1000  # the first to go, but before code that has most of the memory itself
WAKE = copies.WAKE

_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h


def start(recipe: Recipe, template: Template, go: Go, crib: socket.socket) -> int:
    """Fork the first context, which waits for the id maps and builds the sandbox."""
    return fork(lambda: _First(recipe, template, go, crib).run())


def restart(recipe: Recipe, ground: Ground, number: int, *, is_branch: bool = False) -> int:
    """Fork a further context, which announces itself to the host as the answer to this request."""
    return fork(lambda: _Next(recipe, ground, number, is_branch=is_branch).run())


def fork(live: Callable[[], None]) -> int:
    """A child that does nothing but this; returns its pid."""
    pid = os.fork()
    if pid == 0:
        _run(live)
    return pid


def _run(live: Callable[[], None]) -> NoReturn:
    """Never returns into init's code, whatever happens."""
    try:
        os.setsid()
        live()
    except BaseException:  # noqa: BLE001
        os._exit(_UNEXPECTED)
    os._exit(0)


class Streams(NamedTuple):
    """What the host is to have of a process that will run code."""

    stdout: int
    stderr: int
    folder: int  # of the process, in the private /proc


class Confined:
    """A process that gives up everything before it runs code; the child's side."""

    def __init__(self, recipe: Recipe, number: int) -> None:
        self.recipe = recipe
        self.number = number
        self.steps = jail.Steps(waive=frozenset(recipe.plan.waive))

    def run(self) -> None:
        """Confine this process, announce it, and let the code have it."""
        try:
            self.settings = self.recipe.settings()
            ground = self.take_ground()
            if ground is None:
                return
            self.steps.enforced = list(ground.enforced)
            self.get_ready(ground)
        except (jail.StepError, OSError) as error:
            self._tell_failure(error)
            return
        self.go_on()

    def take_ground(self) -> Ground | None:
        """What stands when the place is built; None if init is gone."""
        raise NotImplementedError

    def get_ready(self, ground: Ground) -> None:
        """Everything up to the first line of code, the announcement to the host included."""
        raise NotImplementedError

    def go_on(self) -> None:
        """The code's part."""
        raise NotImplementedError

    def confine(self, ground: Ground) -> Streams:
        """Pipes in place of the streams, the environment, and every layer."""
        # Neither init, from which this was forked, nor who has changed ids is dumpable: then the files
        # in /proc are not this process's own.  Nobody else runs here now who could make use of it.
        jail.set_dumpable(dumpable=True)
        set_oom_score(ground.proc, os.getpid(), OOM_SCORE_OF_CODE)
        folder = folder_of(ground.proc, os.getpid())
        out_reader, out_writer = os.pipe2(os.O_CLOEXEC)
        err_reader, err_writer = os.pipe2(os.O_CLOEXEC)
        loop.redirect_output(out_writer, err_writer)
        os.environ.update(self.settings.envs)
        recipe, steps = self.recipe, self.steps
        self._enter_cgroup()
        steps.run("cgroup-namespace", namespaces.unshare_cgroup)
        jail.confine(
            recipe.plan,
            steps,
            counted=recipe.leaf is not None,
            inherited_data=recipe.inherited_data,
        )
        return Streams(out_reader, err_reader, folder)

    def _enter_cgroup(self) -> None:
        """The code and all it starts, but not init, which has to live when memory runs out."""
        leaf = self.recipe.leaf
        if leaf is not None:
            leaf.enter()
            self.steps.enforced.append(leaf.layer)

    def greet(self, event: str, far: list[int]) -> None:
        """Tell the host what is enforced, and hand over its ends."""
        self.steps.enforced.append("closed-descriptors")  # a moment later, or nothing runs here
        greeting = {"event": event, "number": self.number, "enforced": self.steps.enforced}
        wire.send_packet(self.recipe.control, greeting, far)

    def _tell_failure(self, error: jail.StepError | OSError) -> None:
        step = error.step if isinstance(error, jail.StepError) else "setup"
        detail = error.detail if isinstance(error, jail.StepError) else str(error)
        message = {"event": "failed", "number": self.number, "step": step, "detail": detail}
        wire.send_packet(self.recipe.control, message | {"errno": error.errno or 0})


class _Context(Confined):
    """One that becomes an interpreter."""

    def get_ready(self, ground: Ground) -> None:
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        streams = self.confine(ground)
        randomness.refresh()
        self._interrupts = Interrupts()
        # Imports in the template may have found that there is no such folder, which is remembered.
        sys.path_importer_cache.pop(HOME, None)
        self._interpreter = self.recipe.taste.interpreter
        self._interpreter.take_over(
            deny_imports=self.settings.deny_imports, allow_imports=self.settings.allow_imports
        )
        out, err, folder = streams
        self.greet("context", [theirs.fileno(), out, err, ground.workspace, folder])
        self._channel = loop.move_channel(channel)
        jail.close_all_above(self._channel.fileno())
        jail.limit_descriptors(self.recipe.plan)

    def go_on(self) -> None:
        doubles = loop.Doubles(processes.fork_sibling, processes.take_in_orphans, stdio.flush)
        server = loop.Server(self._channel, self._interpreter, self._interrupts, doubles)
        server.serve(idle=self.recipe.taste.rehearse)
        # init ends this process with all that it started. Who ended before that would leave its orphans to others.
        while True:
            signal.pause()


class _Next(_Context):
    """One that finds the place built."""

    def __init__(self, recipe: Recipe, ground: Ground, number: int, *, is_branch: bool) -> None:
        super().__init__(recipe, number)
        self._ground = ground
        self._is_branch = is_branch

    def take_ground(self) -> Ground:
        children.forget()
        if self._is_branch:  # what it starts is told from the rest by standing below it
            processes.take_in_orphans()
        os.fchdir(self._ground.workspace)
        return self._ground


class _First(_Context):
    """The one that builds the sandbox."""

    def __init__(self, recipe: Recipe, template: Template, go: Go, crib: socket.socket) -> None:
        super().__init__(recipe, 0)
        self._template = template
        self._go = go
        self._crib = crib

    def take_ground(self) -> Ground | None:
        os.close(self._go.writer)
        self._go.wait()
        ground = self._build(self._template)
        ground.hand_over(self._crib)
        return ground if self._crib.recv(1) == READY else None

    def _build(self, template: Template) -> Ground:
        steps = self.steps
        proc = jail.enter(self.recipe.plan, self.settings, template, steps, self.recipe.workspace)
        steps.enforced.append("clean-environment")
        if self.recipe.leaf is None:
            steps.enforced.append("memory-watch")
        workspace = os.open(HOME, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return Ground(proc, workspace, tuple(steps.enforced))


def folder_of(proc: int, pid: int) -> int:
    """A process's folder in the private /proc; its files are the process's while it is dumpable."""
    return os.open(str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)


def set_oom_score(proc: int, pid: int, score: int) -> None:
    """Whom the kernel shall end first if memory runs out: the highest."""
    path = f"{pid}/oom_score_adj"
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        os.write(descriptor, str(score).encode())
    finally:
        os.close(descriptor)
