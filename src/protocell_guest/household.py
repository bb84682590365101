"""All that lives in a sandbox beside init: whose each process is, what it uses, and how it is ended.

Theory of operation
-------------------
Everything runs in init's pid namespace, so orphans come to init.  A process belongs to the branch or the
command at or above which it stands; what stands below none of these is the main interpreter's, daemons
that fled into another session included.  The roots of branches and commands take in their own orphans
(PR_SET_CHILD_SUBREAPER), so theirs stay below them.

Where nobody else is to live on, a life is ended by ``kill(-1, SIGKILL)``: the kernel signals every process
of the pid namespace but the caller, and a fork that is under way fails, so nothing escapes.  Else its
processes are listed and killed, round after round, until none is left; what forks faster than it can be
listed is ended, after a bounded number of rounds, with all the rest.

Frozen copies of an interpreter (checkpoints) are children of init that wait for a signal.  Which ones there
are is the code's own word; so whoever is spared is stopped at the same moment, and runs again only when the
host asks for it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from protocell_guest.kernel import children, process_table
from protocell_guest.life import Life

_ROUNDS = 200
_ROUND_MILLISECONDS = 10
_ROUNDS_OF_COPIES = 5


@dataclass(slots=True)
class Household:
    """The lives of a sandbox; the first is the main interpreter's, and always there."""

    table: process_table.Table
    ends: int  # readable when a child has ended (kernel/children.py)
    lives: list[Life] = field(default_factory=list)
    has_unseen: bool = False  # ends of which ``ends`` does not tell any more

    @property
    def main(self) -> Life:
        """The life that everything belongs to that is nobody else's."""
        return self.lives[0]

    # -- whose is it ------------------------------------------------------------------------------

    def _roots(self) -> dict[int, Life]:
        roots = {pid: life for life in self.lives for pid in life.kept}
        return roots | {life.pid: life for life in self.lives[1:] if life.pid is not None}

    def _owners(self, processes: dict[int, process_table.Process]) -> dict[int, Life]:
        roots = self._roots()
        found = {}
        for pid in processes:
            root = process_table.root_of(pid, processes, roots)
            found[pid] = self.main if root is None else roots[root]
        return found

    def cpu(self, life: Life) -> float:
        """Processor seconds of all its processes since it began, the dead included."""
        processes = self.table.processes()
        owners = self._owners(processes)
        return life.cpu_of_dead + sum(
            process.cpu for pid, process in processes.items() if owners[pid] is life
        )

    def largest(self) -> Life:
        """The life with the most in memory; its frozen copies do not count."""
        processes = self.table.processes()
        owners = self._owners(processes)
        sizes = {id(life): 0 for life in self.lives}
        for pid, life in owners.items():
            if pid not in life.kept:
                sizes[id(life)] += self.table.resident([pid])
        return max(self.lives, key=lambda life: sizes[id(life)])

    # -- ends -------------------------------------------------------------------------------------

    def collect_dead(self, at_end: Callable[[Life], None]) -> None:
        """Collect the children that have ended; ``at_end`` is called, before that, for one that is a root."""
        self.has_unseen = False
        while (pid := process_table.ended()) is not None:
            life = next((life for life in self.lives if life.pid == pid), None)
            if life is not None:
                at_end(life)
            else:
                self._collect(pid)

    def _collect(self, pid: int) -> None:
        dead = process_table.collect(pid)
        self.main.cpu_of_dead += dead.cpu
        for life in self.lives:
            if pid in life.kept and dead.is_killed:
                life.killed_copies.append(pid)
        self.forget(pid)

    def collect_copies(self, life: Life, kills: int) -> None:
        """Collect its frozen copies that have been killed; so many processes have, which may take a moment."""
        for _ in range(_ROUNDS_OF_COPIES):
            for pid in life.kept:
                with contextlib.suppress(ChildProcessError):  # it is no copy, whatever was said
                    if process_table.has_exited(pid):
                        self._collect(pid)
            if len(life.killed_copies) >= kills or not life.kept.intersection(life.spendable):
                return
            self._wait()

    def give_up_copy(self) -> bool:
        """End a frozen copy that is spendable, to have its memory; False if there is none."""
        for life in self.lives:
            for pid in life.spendable:
                if pid in life.kept:
                    _kill(pid, signal.SIGKILL)
                    life.kept -= {pid}
                    life.fallen.append(pid)
                    self._wait_for(pid)
                    return True
        return False

    def _wait_for(self, pid: int) -> None:
        with contextlib.suppress(ChildProcessError):  # it is no copy, whatever was said
            for _ in range(_ROUNDS):
                if process_table.has_exited(pid):
                    return
                self._wait()

    def forget(self, pid: int) -> None:
        """It is nobody's frozen copy, whatever was said."""
        for life in self.lives:
            life.kept -= {pid}

    def spare(self, life: Life, kept: Iterable[int]) -> None:
        """From now on these are its frozen copies; others are ended."""
        roots = {other.pid for other in self.lives}
        wanted = frozenset(pid for pid in kept if pid > 1 and pid not in roots)
        for pid in life.kept - wanted:
            _kill(pid, signal.SIGKILL)
        life.kept = wanted

    def end(self, life: Life) -> int:
        """End all that is its but its frozen copies, collect it; returns the status of its root.

        The root may have ended and been buried before; then the status is 0.
        """
        root = life.pid
        others = any(other is not life and (other.pid or other.kept) for other in self.lives)
        try:
            if others or life.kept:
                return self._end_one(life, root)
            return self._end_all(root)
        finally:
            life.pid = None

    def bury(self, life: Life) -> int:
        """Collect a root that has ended, and stop what else is its; returns its status.

        Until the host has said what is to be spared nothing of it may go on: nobody watches what it uses.
        """
        root, life.pid = life.pid, None
        status = process_table.collect(root).status if root is not None else 0
        for _ in range(_ROUNDS):
            running = self._running(life)
            if not running:
                return status
            for pid in running:
                _kill(pid, signal.SIGSTOP)
            self._wait()
        self._kill_all()
        return status

    def _end_all(self, root: int | None) -> int:
        _kill(-1, signal.SIGKILL)
        status = 0
        while True:
            try:
                dead = process_table.collect(-1)
            except ChildProcessError:
                return status
            if dead.pid == root:
                status = dead.status

    def _end_one(self, life: Life, root: int | None) -> int:
        # A root that is stopped takes in the orphans below it until the last of them is gone.
        spared = set() if life is self.main or root is None else {root}
        for pid in (*life.kept, *spared):
            _kill(pid, signal.SIGSTOP)
        for _ in range(_ROUNDS):
            theirs = self._living(life) - spared
            if not theirs:
                if root is None:
                    return 0
                _kill(root, signal.SIGKILL)
                return process_table.collect(root).status
            for pid in theirs:
                _kill(pid, signal.SIGKILL)
            self._wait()
        return self._kill_all(root)

    def _wait(self) -> None:
        """For the end of a child, a moment at most: what is killed may be the child of another."""
        poll = select.poll()
        poll.register(self.ends, select.POLLIN)
        if poll.poll(_ROUND_MILLISECONDS):
            children.clear(self.ends)
            self.has_unseen = True

    def _kill_all(self, root: int | None = None) -> int:
        """What cannot be ended by itself goes with all the rest, which is collected as it ends."""
        for other in self.lives:
            other.kept = frozenset()
        _kill(-1, signal.SIGKILL)
        return process_table.collect(root).status if root is not None else 0

    def _living(self, life: Life) -> set[int]:
        """What is its own and no frozen copy."""
        return set(self._theirs(life)) - life.kept

    def _running(self, life: Life) -> set[int]:
        """What is its own and not stopped, what are said to be frozen copies among it."""
        return {pid for pid, process in self._theirs(life).items() if not process.is_stopped}

    def _theirs(self, life: Life) -> dict[int, process_table.Process]:
        processes = self.table.processes()
        owners = self._owners(processes)
        return {
            pid: process
            for pid, process in processes.items()
            if owners[pid] is life and not process.is_dead
        }


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.kill(pid, number)
