"""Copies of a live interpreter: frozen ones to go back to, and branches that go on by themselves.

Theory of operation
-------------------
A copy is a fork that is not this process's child but its sibling, so that the code's own ``os.wait()``
does not see it.  Its memory is shared with the original until one of them writes.  It has to be its own
from then on, so it first makes its descriptors its own: a regular file or a folder is opened anew, at the
same offset.  A socket, a pipe or an event descriptor is replaced by a dead one: to hold the other's end of it
would keep end of file from whoever waits for that, and what is written there would come to both.  0 to 3 are
spared: a frozen copy keeps those of the original, which it replaces when that has ended; a branch gets new
ones from the host.

A frozen copy blocks every signal and takes them one by one, until ``WAKE`` comes from init (pid 1).  Nobody
else can pretend that, where the signal came by kill(2) (rt_sigqueueinfo(2)).  Then it drops what the
original left unread, says so on the channel, and serves on.

A fork has one thread.  So a process that has started others is not copied, and the host is told.
All of this runs in the code's own process: code that tampers with it harms its own copies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import stat
from collections.abc import Callable, Sequence

WAKE = signal.SIGUSR2
STREAMS = 3  # descriptors that each branch gets: its channel, standard output, standard error

_INIT = 1
_BY_KILL = 0  # SI_USER
_LOOKS = 5
_LOOK_SECONDS = 0.001
_EPOLL = "anon_inode:[eventpoll]"
_FIRST_OWN = 4  # 0 to 2 and the channel are not the code's
_REOPENED = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK

Fork = Callable[[], int]


class NotCopyableError(Exception):
    """This process cannot be copied; the text says why."""


def freeze(fork: Fork, channel: socket.socket) -> int:
    """Leave a frozen copy; returns its pid here, and 0 in the copy when it has been woken.

    Raises:
        NotCopyableError: there are other threads, or no process can be made.
    """
    every = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, every)
    try:
        pid = _fork_apart(fork)
        if pid == 0:
            _wait_for_init(every)
            _drop_unread(channel)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _fork_apart(fork: Fork) -> int:
    """As ``_fork``; when the original goes on, the copy shares no descriptor with it any more.

    Else the original would move the copy's offsets, and would find a port or a lock held that it has let go of.
    """
    if not _descriptors():
        return _fork(fork)
    try:
        reader, writer = os.pipe()
    except OSError as error:
        raise NotCopyableError(f"no descriptor is left: {error.strerror}") from error
    with open(reader, "rb", buffering=0) as done:
        with open(writer, "wb", buffering=0):
            pid = _fork(fork)
            if pid == 0:
                own_descriptors(but=writer)
        if pid:
            done.read(1)  # end of file: the copy has closed its end as well, or has ended
    return pid


def _wait_for_init(every: set[signal.Signals]) -> None:
    # SIGKILL and SIGSTOP cannot be waited for and do what they do.
    while True:
        came = signal.sigwaitinfo(every)
        # Whoever queues a signal writes what he likes into it, but not that it came by kill(2).
        if (came.si_signo, came.si_pid, came.si_code) == (WAKE, _INIT, _BY_KILL):
            return


def _drop_unread(channel: socket.socket) -> None:
    """What was sent to the original and not read."""
    with contextlib.suppress(BlockingIOError):
        while channel.recv(1 << 16, socket.MSG_DONTWAIT):
            pass


def branch(fork: Fork, streams: Sequence[Sequence[int]]) -> tuple[list[int], int]:
    """Make a copy for each set of streams; their pids here, and in a copy its number (else -1).

    Raises:
        NotCopyableError: as ``freeze``; copies made so far have ended.
    """
    pids: list[int] = []
    for number in range(len(streams)):
        try:
            pid = _fork(fork)
        except NotCopyableError:
            for made in pids:
                os.kill(made, signal.SIGKILL)
            raise
        if pid == 0:
            _take(streams, number)
            own_descriptors()
            return [], number
        pids.append(pid)
    return pids, -1


def _take(streams: Sequence[Sequence[int]], number: int) -> None:
    channel, stdout, stderr = streams[number]
    for descriptor, place in ((channel, 3), (stdout, 1), (stderr, 2)):
        os.dup2(descriptor, place, inheritable=place != 3)
    for descriptor in (descriptor for each in streams for descriptor in each):
        os.close(descriptor)


def _fork(fork: Fork) -> int:
    if (others := _other_threads()) > 0:
        threads = "another thread" if others == 1 else f"{others} other threads"
        raise NotCopyableError(f"the code has {threads}, which no copy can have")
    try:
        pid = fork()
    except OSError as error:
        raise NotCopyableError(f"no process can be made: {error.strerror}") from error
    if pid == 0:
        os.setsid()
    return pid


def _other_threads() -> int:
    """How many; one that was just joined is there for a moment still."""
    others = len(os.listdir("/proc/self/task")) - 1
    for _ in range(_LOOKS):
        if not others:
            break
        select.select([], [], [], _LOOK_SECONDS)
        others = len(os.listdir("/proc/self/task")) - 1
    return others


def _descriptors() -> list[int]:
    """The code's own, that are open."""
    with os.scandir("/proc/self/fd") as listing:
        found = [int(entry.name) for entry in listing]
    return [
        each for each in found if each >= _FIRST_OWN and os.path.lexists(f"/proc/self/fd/{each}")
    ]


def own_descriptors(but: int = -1) -> None:
    """Share none of the code's descriptors with the original any more."""
    for descriptor in _descriptors():
        if descriptor != but:
            with contextlib.suppress(OSError):  # it cannot be had anew
                _own(descriptor)


def _own(descriptor: int) -> None:
    kind = os.fstat(descriptor).st_mode
    inheritable = os.get_inheritable(descriptor)
    if stat.S_ISCHR(kind):  # a device, which has no state
        return
    if stat.S_ISREG(kind) or stat.S_ISDIR(kind):
        new = _opened_anew(descriptor)
    elif os.readlink(f"/proc/self/fd/{descriptor}") == _EPOLL:
        new = _epoll()
    else:
        new = _dead()
    os.dup2(new, descriptor, inheritable=inheritable)
    os.close(new)


def _opened_anew(descriptor: int) -> int:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL) & _REOPENED
    try:
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        new = os.open(f"/proc/self/fd/{descriptor}", flags | os.O_CLOEXEC)
    except OSError:  # it may not be opened any more: better none than a shared offset
        return _dead()
    os.lseek(new, offset, os.SEEK_SET)
    return new


def _epoll() -> int:
    """One that waits for nothing: what the original waits for is not this process's."""
    with select.epoll() as new:
        return os.dup(new.fileno())


def _dead() -> int:
    """A socket whose other end is closed: end of file to readers, EPIPE to writers."""
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours.detach()
