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
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from protocell_guest import jail, wire
from protocell_guest.guest import loop, randomness
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.kernel import cgroups, children, namespaces
from protocell_guest.plan import HOME, NO_SETTINGS, Plan, Settings
from protocell_guest.template import Template

READY = b"!"

_OOM_SCORE_OF_CODE = b"500"
_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What init has for every context of its sandbox.

    ``letter`` is a file in memory with the settings, as the host wrote them; None where there are none.
    """

    plan: Plan
    letter: int | None
    leaf: cgroups.Leaf | None
    inherited_data: int
    control: socket.socket
    warm: Callable[[], None]

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What must stay open for it."""
        held = self.leaf.descriptors if self.leaf is not None else ()
        letter = (self.letter,) if self.letter is not None else ()
        return (self.control.fileno(), *letter, *held)

    def settings(self) -> Settings:
        """What only this sandbox may know."""
        if self.letter is None:
            return NO_SETTINGS
        text = os.pread(self.letter, os.fstat(self.letter).st_size, 0)
        return Settings.from_message(wire.decode_packet(text))


@dataclass(frozen=True, slots=True)
class Ground:
    """What the first context built: init's private /proc, the workspace, and the layers that are on."""

    proc: int
    workspace: int
    enforced: tuple[str, ...]

    def hand_over(self, crib: socket.socket) -> None:
        """Give init copies of it."""
        wire.send_packet(crib, {"enforced": self.enforced}, [self.proc, self.workspace])

    @classmethod
    def receive(cls, crib: socket.socket) -> Ground | None:
        """What the first context handed over; None if it ended before."""
        message, descriptors = wire.recv_packet(crib)
        if message is None:
            return None
        proc, workspace = descriptors
        return cls(proc, workspace, tuple(message["enforced"]))


@dataclass(frozen=True, slots=True)
class Go:
    """A pipe on which the zygote tells init and the first context that the id maps are written."""

    reader: int
    writer: int

    @classmethod
    def make(cls) -> Go:
        """A new one."""
        return cls(*os.pipe2(os.O_CLOEXEC))

    def say(self) -> None:
        """To both."""
        os.write(self.writer, 2 * READY)

    def wait(self) -> None:
        """Until it is said; ends the process if the zygote is gone. The writer must be closed here."""
        if os.read(self.reader, 1) != READY:
            os._exit(1)
        os.close(self.reader)

    def close(self) -> None:
        """Both ends."""
        os.close(self.reader)
        os.close(self.writer)


def start(recipe: Recipe, template: Template, go: Go, crib: socket.socket) -> int:
    """Fork the first context, which waits for the id maps and builds the sandbox."""
    return _fork(lambda: _First(recipe, template, go, crib).run())


def restart(recipe: Recipe, ground: Ground, number: int) -> int:
    """Fork a further context, which announces itself to the host as the answer to this request."""
    return _fork(lambda: _Next(recipe, ground, number).run())


def _fork(live: Callable[[], None]) -> int:
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


class _Context:
    """The child's side."""

    def __init__(self, recipe: Recipe, number: int) -> None:
        self._recipe = recipe
        self._number = number
        self._steps = jail.Steps(waive=frozenset(recipe.plan.waive))

    def run(self) -> None:
        """Confine this process, announce it, and serve the host until end of file."""
        try:
            self._settings = self._recipe.settings()
            ground = self._take_ground()
            if ground is None:
                return
            self._steps.enforced = list(ground.enforced)
            channel = self._get_ready(ground)
        except (jail.StepError, OSError) as error:
            self._tell_failure(error)
            return
        loop.serve(channel, self._interpreter, self._interrupts, idle=self._recipe.warm)

    def _take_ground(self) -> Ground | None:
        """What stands when the place is built; None if init is gone."""
        raise NotImplementedError

    def _get_ready(self, ground: Ground) -> socket.socket:
        """Everything up to the first request; returns the channel on which it will come."""
        # Neither init, from which this was forked, nor who has changed ids is dumpable: then the files
        # in /proc are not this process's own.  Nobody else runs here now who could make use of it.
        jail.set_dumpable(dumpable=True)
        _become_preferred_victim(ground.proc)
        folder = _own_folder(ground.proc)
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        out_reader, out_writer = os.pipe2(os.O_CLOEXEC)
        err_reader, err_writer = os.pipe2(os.O_CLOEXEC)
        loop.redirect_output(out_writer, err_writer)
        os.environ.update(self._settings.envs)
        self._confine()
        randomness.refresh()
        self._interrupts = loop.Interrupts()
        self._interpreter = Interpreter(
            deny_imports=self._settings.deny_imports, allow_imports=self._settings.allow_imports
        )
        self._greet([theirs.fileno(), out_reader, err_reader, ground.workspace, folder])
        channel = loop.move_channel(channel)
        jail.close_all_above(channel.fileno())
        jail.limit_descriptors(self._recipe.plan)
        return channel

    def _tell_failure(self, error: jail.StepError | OSError) -> None:
        step = error.step if isinstance(error, jail.StepError) else "setup"
        detail = error.detail if isinstance(error, jail.StepError) else str(error)
        message = {"event": "failed", "number": self._number, "step": step, "detail": detail}
        wire.send_packet(self._recipe.control, message | {"errno": error.errno or 0})

    def _confine(self) -> None:
        recipe, steps = self._recipe, self._steps
        steps.run("cgroup-namespace", self._enter_cgroup)
        jail.confine(
            recipe.plan,
            steps,
            counted=recipe.leaf is not None,
            inherited_data=recipe.inherited_data,
        )

    def _enter_cgroup(self) -> None:
        """The code and all it starts, but not init, which has to live when memory runs out."""
        leaf = self._recipe.leaf
        if leaf is not None:
            leaf.enter()
            self._steps.enforced.append(leaf.layer)
        namespaces.unshare_cgroup()

    def _greet(self, far: list[int]) -> None:
        self._steps.enforced.append("closed-descriptors")  # a moment later, or there is no context
        greeting = {"event": "context", "number": self._number, "enforced": self._steps.enforced}
        wire.send_packet(self._recipe.control, greeting, far)


class _Next(_Context):
    """One that finds the place built."""

    def __init__(self, recipe: Recipe, ground: Ground, number: int) -> None:
        super().__init__(recipe, number)
        self._ground = ground

    def _take_ground(self) -> Ground:
        children.forget()
        os.fchdir(self._ground.workspace)
        return self._ground


class _First(_Context):
    """The one that builds the sandbox."""

    def __init__(self, recipe: Recipe, template: Template, go: Go, crib: socket.socket) -> None:
        super().__init__(recipe, 0)
        self._template = template
        self._go = go
        self._crib = crib

    def _take_ground(self) -> Ground | None:
        os.close(self._go.writer)
        self._go.wait()
        ground = self._build(self._template)
        ground.hand_over(self._crib)
        return ground if self._crib.recv(1) == READY else None

    def _build(self, template: Template) -> Ground:
        steps = self._steps
        proc = jail.enter(self._recipe.plan, self._settings, template, steps)
        steps.enforced.append("clean-environment")
        if self._recipe.leaf is None:
            steps.enforced.append("memory-watch")
        workspace = os.open(HOME, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return Ground(proc, workspace, tuple(steps.enforced))


def _own_folder(proc: int) -> int:
    """This process's folder in the private /proc; its files are the process's while it is dumpable."""
    return os.open(str(os.getpid()), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)


def _become_preferred_victim(proc: int) -> None:
    """If memory runs out, the kernel shall end the code and not init."""
    path = f"{os.getpid()}/oom_score_adj"
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        os.write(descriptor, _OOM_SCORE_OF_CODE)
    finally:
        os.close(descriptor)
