"""Pid 1 of a sandbox: forks contexts and commands, ends them, measures them, holds the workspace.

Theory of operation
-------------------
Forked from the zygote with every capability over the sandbox's namespaces and none outside; not
dumpable; never runs model code.  Model code cannot signal it (pid 1 gets no signal from inside for
which it has no handler, pid_namespaces(7)), and when it ends, the kernel ends the whole namespace.

It forks the first context before it has done anything else, and leaves the building of the sandbox to
that (context.py): each page that a forked process writes is copied, so the less runs here the better.
The two run side by side; no model code runs before init has said that it is locked.

Descriptors: the control sockets of its lives (SEQPACKET to the host, which is trusted; end of file on
the first ends the sandbox, on another that life), ``doors`` for what concerns no life (SEQPACKET, made by
the host when it needs one), the leaf of a cgroup if there is one, the zygote's pidfd (readable when it is
gone; so is the parent-death signal, which a zygote that dies during our set-up could miss), ``crib``, in
which the first context leaves the ``Ground``: a writable /proc attached nowhere, and the workspace folder.

How what lives here is told apart and ended is in household.py.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from protocell_guest import context, jail, wire
from protocell_guest.household import Household
from protocell_guest.kernel import children, namespaces, process_table
from protocell_guest.life import Life
from protocell_guest.recipe import READY, Go, Ground, Recipe
from protocell_guest.requests import Requests
from protocell_guest.template import Template


class Init:
    """The loop of pid 1."""

    def __init__(self, recipe: Recipe, template: Template, zygote: int) -> None:
        """Made in the zygote, before the clone."""
        self._recipe = recipe
        self._template = template
        self._zygote = zygote
        self._crib, self._far_crib = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._main = Life(recipe.control)

    def close(self) -> None:
        """In the zygote, after the clone."""
        self._crib.close()
        self._far_crib.close()

    def run(self, go: Go) -> NoReturn:
        """Fork the first context, lock this process, serve the host until it is done."""
        pid = context.start(self._recipe, self._template, go, self._far_crib)
        self._main.begin(pid, 0)
        jail.die_with_parent()
        kept = (*self._recipe.descriptors, self._zygote, self._crib.fileno(), go.reader)
        jail.close_all_but(kept)
        os.setsid()
        go.wait()
        self._lock()
        with contextlib.suppress(BrokenPipeError):  # it has failed, and told the host why
            self._crib.send(READY)
        ground = self._receive_ground()
        household = Household(process_table.Table(ground.proc), children.watch(), [self._main])
        self._requests = Requests(self._recipe, ground, self._template, household)
        self._household = household
        self._serve()
        os._exit(0)

    def _receive_ground(self) -> Ground:
        # At once: descriptors that wait in a socket count against all that the user has in flight,
        # other programs' included (unix(7), ETOOMANYREFS).
        ground = Ground.receive(self._crib)
        if ground is None:
            detail = "the first interpreter ended before the sandbox was built"
            failure = {"event": "failed", "step": "setup", "errno": 0, "detail": detail}
            with contextlib.suppress(ConnectionError):
                self._main.tell(failure)
            os._exit(1)
        self._crib.close()
        return ground

    def _lock(self) -> None:
        namespaces.become_inner_user()
        jail.die_with_parent()
        jail.set_dumpable(dumpable=False)

    # -- the loop ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        self._collect_dead()  # what ended before there was a descriptor to say so
        while True:
            ready = self._wait()
            if self._zygote in ready:
                return
            if self._household.ends in ready:
                children.clear(self._household.ends)
                self._collect_dead()
            if not self._answer(ready):
                return
            self._look_after()
            if self._household.has_unseen:
                self._collect_dead()

    def _wait(self) -> set[int]:
        """Descriptors that can be read; none when there is something to do by itself."""
        poll = select.poll()
        lines = [life.control.fileno() for life in self._household.lives]
        doors = [door.fileno() for door in self._requests.doors]
        for descriptor in (self._household.ends, self._zygote, *lines, *doors):
            poll.register(descriptor, select.POLLIN)
        return {descriptor for descriptor, _ in poll.poll(self._pause())}

    def _pause(self) -> int | None:
        pauses = [life.pause() for life in self._household.lives]
        if self._requests.deadline is not None:
            left = self._requests.deadline - time.monotonic()
            pauses.append(max(0, int(1000 * left) + 1))
        return min((pause for pause in pauses if pause is not None), default=None)

    def _collect_dead(self) -> None:
        self._household.collect_dead(lambda life: self._requests.end(life, None))

    def _answer(self, ready: set[int]) -> bool:
        """What the host asks; False when it is done with the sandbox."""
        for life in list(self._household.lives):
            if life.control.fileno() in ready and not self._answer_one(life):
                if life is self._main:
                    return False
                self._requests.drop(life)
        for door in list(self._requests.doors):
            if door.fileno() in ready:
                self._answer_door(door)
        return self._main in self._household.lives

    def _answer_one(self, life: Life) -> bool:
        """One request about a life; False when the host has let go of it."""
        request, descriptors = wire.recv_packet(life.control)
        if request is None:
            return False
        try:
            self._requests.of_life(life, request, descriptors)
        except ConnectionError:
            return False
        return True

    def _answer_door(self, door: socket.socket) -> None:
        request, descriptors = wire.recv_packet(door)
        if request is None:
            self._requests.close_door(door)
            return
        reply, given = self._requests.of_house(request, descriptors)
        _send(door, reply, given)

    def _look_after(self) -> None:
        if self._requests.deadline is not None and time.monotonic() >= self._requests.deadline:
            os._exit(0)  # the sandbox's own time is up; the kernel ends the rest
        for life in list(self._household.lives):
            # Not at each wake: the ends of many short processes must not wait for a look at all of them.
            if life.is_due():
                self._requests.look_at(life)
            life.nudge()
            if life.is_waking:
                self._requests.wake(life)


def _send(door: socket.socket, reply: dict[str, Any], descriptors: Sequence[int]) -> None:
    with contextlib.suppress(ConnectionError):  # nobody waits for it any more
        wire.send_packet(door, reply, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
