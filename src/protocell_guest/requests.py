"""What the host asks of init, and what init reports: one method for each request.

Requests about a life come over its control socket, those about the whole sandbox over a door.  The host is
trusted; names of files and numbers of processes in its requests may come from the code, and are taken as such.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from protocell_guest import command, context, jail, workshop
from protocell_guest.household import Household
from protocell_guest.kernel import beneath, mounts
from protocell_guest.life import IDLE_SECONDS, WATCH_SECONDS, Life
from protocell_guest.meter import Meter
from protocell_guest.plan import HOME
from protocell_guest.recipe import Ground, Recipe
from protocell_guest.template import Template

# The host stops what takes too long; where nobody waits for a command, init does, a little later.
_GRACE_SECONDS = 2.0
_Message = dict[str, Any]
_Reply = tuple[_Message, Sequence[int]]


class Requests:
    """Answers the host."""

    def __init__(
        self,
        recipe: Recipe,
        ground: Ground,
        template: Template,
        household: Household,
    ) -> None:
        self._recipe = recipe
        self._ground = ground
        self._template = template
        self._household = household
        self._memory = 0 if recipe.leaf else recipe.plan.limits["memory_bytes"]
        self._meter = Meter(ground.proc, household, recipe.leaf)
        self.doors: list[socket.socket] = []
        self.deadline: float | None = None  # of time.monotonic

    # -- about a life -----------------------------------------------------------------------------

    def of_life(self, life: Life, request: _Message, descriptors: Sequence[int]) -> None:
        """Do what is asked; raises ConnectionError if the host has let go meanwhile."""
        handlers: dict[str, Callable[[Life, _Message], None]] = {
            "watch": self._watch,
            "rest": self._rest,
            "interrupt": lambda life, _request: life.interrupt(),
            "kill": self._kill,
            "context": self._restart,
            "resume": self._resume,
            "deadline": self._set_deadline,
            "careful": self._be_careful,
            "end": lambda life, _request: life.tell_end(),
            "spare": self._spare,
        }
        if request["op"] == "door":
            self.doors += [socket.socket(fileno=descriptor) for descriptor in descriptors]
            return
        for descriptor in descriptors:
            os.close(descriptor)
        handlers[request["op"]](life, request)

    def _watch(self, life: Life, request: _Message) -> None:
        self._household.spare(life, request["kept"])
        life.watch.cpu_total = self._household.cpu(life) + request["cpu_seconds"]
        self._meter.begin(life)
        life.watch.active = life.watch.used = True
        life.watch.due = time.monotonic() + WATCH_SECONDS

    def _rank(self, life: Life) -> None:
        """Who goes first if memory runs out: spendable copies, then the code, the other copies last."""
        for pid in life.kept:
            spendable = pid in life.spendable
            score = context.OOM_SCORE_OF_SPENDABLE if spendable else context.OOM_SCORE_OF_COPY
            with contextlib.suppress(OSError):  # it has gone
                context.set_oom_score(self._ground.proc, pid, score)

    def _spare(self, life: Life, request: _Message) -> None:
        self._household.spare(life, request["kept"])
        life.spendable = tuple(request["spendable"])
        self._rank(life)

    def _rest(self, life: Life, request: _Message) -> None:
        life.watch.active = False
        life.nudges = 0  # they are for the execution that has ended
        life.tell({"event": "rested", "number": request["number"], **self._meter.report(life)})

    def _kill(self, life: Life, request: _Message) -> None:
        self._household.spare(life, request["kept"])
        self._end_rest(life)

    def _restart(self, life: Life, request: _Message) -> None:
        self._household.spare(life, request["kept"])
        self._end_rest(life)
        number = request["number"]
        recipe = replace(self._recipe, control=life.control)
        is_branch = life is not self._household.main
        life.begin(context.restart(recipe, self._ground, number, is_branch=is_branch), number)
        self._meter.is_made_by_init(life.pid or 0)
        self._household.forget(life.pid or 0)

    def _resume(self, life: Life, request: _Message) -> None:
        """Let a frozen copy go on in place of the one that has ended."""
        pid, number = request["pid"], request["number"]
        self._household.spare(life, request["kept"])
        self._end_rest(life)
        folder = self._folder(pid) if pid in life.kept else -1
        if folder < 0:
            life.tell({"event": "lost", "number": number})
            return
        life.kept -= {pid}
        life.begin(pid, number)
        with contextlib.suppress(OSError):
            context.set_oom_score(self._ground.proc, pid, context.OOM_SCORE_OF_CODE)
        self.wake(life)
        try:
            life.tell({"event": "resumed", "number": number}, [folder])
        finally:
            os.close(folder)

    def wake(self, life: Life) -> None:
        """Let a frozen copy go on; later, if the code has sent it the same signal and it did not take that yet.

        Of two that wait only one is delivered (signal(7)), and it would not be the one that is init's.
        """
        life.is_waking = False
        if life.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):  # then its end is told
            if self._household.table.has_pending(life.pid, context.WAKE):
                life.is_waking = True
            else:
                os.kill(life.pid, context.WAKE)
            os.kill(life.pid, signal.SIGCONT)

    def _be_careful(self, life: Life, _request: _Message) -> None:
        life.is_careful = True

    def _set_deadline(self, _life: Life, request: _Message) -> None:
        seconds = request["seconds"]
        self.deadline = None if seconds is None else time.monotonic() + seconds

    def _folder(self, pid: int) -> int:
        try:
            return context.folder_of(self._ground.proc, pid)
        except OSError:  # it has ended
            return -1

    # -- ends -------------------------------------------------------------------------------------

    def end(self, life: Life, cause: str | None) -> None:
        """Kill what is left of it but its frozen copies, and tell the host how it ended."""
        if life.pid is None:
            return
        life.watch.active = life.watch.used = False
        totals = self._meter.totals(life.pid)
        by_itself = cause is None and life.is_careful
        status = self._household.bury(life) if by_itself else self._household.end(life)
        kills_before = self._meter.oom_kills
        report = self._meter.report(life)
        kills = self._meter.oom_kills - kills_before - len(report["fallen"])
        if cause is None and kills > 0 and _is_killed(status):
            cause = "memory"
        if cause == "memory" and len(self._household.lives) == 1:
            jail.clear_scratch(self._recipe.plan, self._template)
        message: _Message = {
            "event": "exited",
            "context": life.number,
            "cause": cause,
            "status": status,
        }
        message |= {"totals": totals, "kept": sorted(life.kept)} | report
        life.end = message
        with contextlib.suppress(ConnectionError):  # end of file on its socket comes next
            life.tell_end()

    def _end_rest(self, life: Life) -> None:
        """As ``end``, also where the interpreter has gone before and has left others."""
        if life.pid is None:
            self._household.end(life)
        self.end(life, "host")

    def drop(self, life: Life) -> None:
        """The host has let go of a branch or a command: it ends."""
        self._household.spare(life, ())
        self._end_rest(life)
        self._household.lives.remove(life)
        life.control.close()

    def look_at(self, life: Life) -> None:
        """End it if it has used what it may; what an execution leaves running goes on using its time."""
        if time.monotonic() >= life.ends_at:
            self.end(life, "wall")
            return
        used = self._household.cpu(life)
        if used > life.watch.cpu_total:
            self.end(life, "cpu")
        elif self._memory and self._is_too_much():
            self._end_largest()
        elif self._memory:
            life.watch.due = time.monotonic() + (
                WATCH_SECONDS if life.watch.active else IDLE_SECONDS
            )
        else:
            left = (life.watch.cpu_total - used) / (os.cpu_count() or 1)
            life.watch.due = time.monotonic() + max(WATCH_SECONDS, left)

    def _is_too_much(self) -> bool:
        """Whether more memory is in use than may be, when spendable copies have gone."""
        while self._household.table.memory() > self._memory:
            if not self._household.give_up_copy():
                return True
        return False

    def _end_largest(self) -> None:
        largest = self._household.largest()
        if largest.pid is None:  # it has ended before, and left others
            self._household.end(largest)
        self.end(largest, "memory")

    # -- about the house --------------------------------------------------------------------------

    def of_house(self, request: _Message, descriptors: Sequence[int]) -> _Reply:
        """Do what is asked and say how it went."""
        try:
            if request["op"] == "command":
                return self._command(request, descriptors)
            if request["op"] == "adopt":
                return self._adopt(request, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            if request["op"] == "share":
                return {"event": "shared"}, [mounts.take(HOME)]
            return workshop.perform(self._ground.workspace, request, beneath.open_below)
        except OSError as error:
            return {"event": "refused", "errno": error.errno or 0, "detail": str(error)}, ()

    def close_door(self, door: socket.socket) -> None:
        """The host needs it no more."""
        self.doors.remove(door)
        door.close()

    def _command(self, request: _Message, descriptors: Sequence[int]) -> _Reply:
        """Start a command; it announces itself on a control socket of its own."""
        control = socket.socket(fileno=descriptors[0])
        life = Life(control, is_command=True)
        recipe = replace(self._recipe, control=control)
        if request["seconds"] is not None:
            life.ends_at = time.monotonic() + request["seconds"] + _GRACE_SECONDS
        order = command.Order(request["command"], request["envs"], request["cwd"])
        self._begin(life, command.start(recipe, self._ground, order))
        return {"event": "started"}, ()

    def _begin(self, life: Life, pid: int) -> None:
        life.begin(pid, 0)
        self._household.forget(pid)
        self._household.lives.append(life)

    def _adopt(self, request: _Message, descriptors: Sequence[int]) -> _Reply:
        """A copy of an interpreter, which that has made, is a life of its own from now on."""
        life, pid = Life(socket.socket(fileno=descriptors[0])), request["pid"]
        process = self._household.table.processes().get(pid)
        lives = {other.pid for other in self._household.lives}
        if process is None or process.parent != 1 or pid in lives:
            life.control.close()
            return {"event": "refused", "errno": 0, "detail": "there is no such copy"}, ()
        self._begin(life, pid)
        return {"event": "adopted"}, [context.folder_of(self._ground.proc, pid)]


def _is_killed(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
