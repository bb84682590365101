"""What init and the zygote hand to a context: how it is to be, where it is to stand, when it may begin."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from protocell_guest import wire
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.kernel import cgroups
from protocell_guest.plan import NO_SETTINGS, Plan, Settings

READY = b"!"


class Taste(NamedTuple):
    """The interpreter of a context as the zygote made it, and what else it runs while it waits for its first code."""

    interpreter: Interpreter
    warm: Callable[[], None]

    def rehearse(self) -> None:
        """Touch what a first cell touches, while nobody waits. Leaves no state."""
        self.interpreter.rehearse()
        self.warm()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What init has for every context of its sandbox.

    ``letter`` is a file in memory with the settings, as the host wrote them; None where there are none.
    ``workspace`` is a detached mount of another sandbox's workspace, where that is to be this one's too.
    """

    plan: Plan
    letter: int | None
    workspace: int | None
    leaf: cgroups.Leaf | None
    inherited_data: int
    control: socket.socket
    taste: Taste

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What must stay open for it."""
        held = self.leaf.descriptors if self.leaf is not None else ()
        given = [item for item in (self.letter, self.workspace) if item is not None]
        return (self.control.fileno(), *given, *held)

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
