"""The host's handle on a zygote: starts it, asks it for sandboxes ahead of demand, ends it.

Theory of operation
-------------------
One zygote serves one ``Environment`` in one process.  The request socket (SEQPACKET) is only
written to, apart from the zygote's greeting, which everybody reads with MSG_PEEK and nobody takes
away.  A request carries one end of a new control socket; whatever comes back, a sandbox or a
failure, comes over that.  So requests need no order, no lock and no thread: a sandbox kept ready is
a control socket whose answer is waiting in it.

The zygote ends at end of file on the request socket or when this process is gone.  A child forked
from this process inherits the sockets: it closes them without a word and starts its own zygote.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from protocell._boxes.pending import Pending
from protocell._boxes.plan import Facts, Mounted, make_plan, make_settings, mounted
from protocell._boxes.remedies import explain_failure
from protocell._boxes.spawn import STARTED, spawn
from protocell._waiter import Waiter
from protocell.environment import Environment
from protocell.errors import ProtocellError, SetupError
from protocell.policy import Policy
from protocell_guest import wire
from protocell_guest.plan import NO_SETTINGS, Settings

START_SECONDS = 60.0  # importing what is to be preloaded may be slow on a cold disk
_END_SECONDS = 5.0
_POOLS_KEPT = 4
_PLANS_KEPT = 64
_Key = tuple[Policy, Mounted]


class Beside(NamedTuple):
    """A sandbox whose workspace and limits another is to share."""

    name: int
    workspace: int  # a detached mount of it


class Zygote:
    """One running fork server."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._facts: Facts | None = None
        self._failure: tuple[str, int, str] | None = None  # step, errno, detail
        self._lock = threading.RLock()  # held for moments only, never while something is waited for
        self._numbers: OrderedDict[_Key, int] = OrderedDict()
        self._free_numbers = list(range(_PLANS_KEPT))
        self._pools: OrderedDict[_Key, deque[Pending]] = OrderedDict()
        self._count = 0  # of the sandboxes asked for: each has its number as its name
        spawned = spawn(
            environment.python or sys.executable, environment.preload, environment.shell
        )
        self._process, self._requests = spawned.process, spawned.requests
        self._errors, self._end = spawned.errors, spawned.end

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    async def facts(self, waiter: Waiter) -> Facts:
        """What the zygote's interpreter says of itself; waits for its start.

        Raises:
            SetupError: it did not start; the message holds what it said.
        """
        if self._facts is None:
            greeted = await self._wait(waiter, START_SECONDS, select.POLLIN)
            self._read_greeting(in_time=greeted)
        if self._facts is None:
            raise self._failed()
        return self._facts

    async def _wait(self, waiter: Waiter, seconds: float, event: int) -> bool:
        """Until the request socket can be read or written.

        On a copy: others may wait here too, and an event loop has one callback for each descriptor.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failed()
            if self._requests.fileno() < 0:
                raise BrokenPipeError("the zygote was ended meanwhile")
            copies = [os.dup(self._requests.fileno())]
        try:
            readers, writers = (copies, []) if event == select.POLLIN else ([], copies)
            return bool(await waiter.wait(readers, writers, time.monotonic() + seconds))
        finally:
            os.close(copies[0])

    def _read_greeting(self, *, in_time: bool) -> None:
        with self._lock:
            if self._facts is None and self._failure is None:
                self._take_greeting(in_time=in_time)

    def _take_greeting(self, *, in_time: bool) -> None:
        data = b""
        if in_time:
            with contextlib.suppress(OSError):  # it went without having read all of ours
                data = self._requests.recv(wire.MAX_PACKET_BYTES, socket.MSG_PEEK)
        greeting: dict[str, Any] = json.loads(data) if data else {"event": "failed"}
        if greeting["event"] == "hello":
            self._facts = Facts.from_message(greeting["facts"])
            return
        self._stop(_END_SECONDS if in_time else 0)
        detail = greeting.get("detail") or (
            self._last_words() if in_time else f"it was not ready in {START_SECONDS:g} s"
        )
        self._failure = greeting.get("step", ""), greeting.get("errno", 0), str(detail)
        self.forget()

    def _last_words(self) -> str:
        try:
            text = os.read(self._errors, 1 << 16).decode(errors="replace").strip()
        except BlockingIOError:
            text = ""
        begun, said = text.startswith(STARTED), text.removeprefix(STARTED)
        words = said.rpartition("\n")[2] or f"it ended with status {self._process.returncode}"
        if begun:
            return words
        program = repr(self.environment.python or sys.executable)
        return f"{words}; {program} does not run Python: set Environment(python=…) to one that does"

    def _failed(self) -> ProtocellError:
        step, code, detail = self._failure or ("", 0, "")
        if step:
            return explain_failure(step, code, detail)
        return SetupError(f"the zygote could not start: {detail}", step="zygote")

    async def take(self, policy: Policy, waiter: Waiter, beside: Beside | None = None) -> Pending:
        """A sandbox for this policy, ready or on its way; or one that shares another's workspace.

        Raises:
            BrokenPipeError: the zygote is gone; use a new one.
        """
        facts = await self.facts(waiter)
        key = policy, mounted(policy)
        while True:
            try:
                with self._lock:
                    ready = self._take_ready(key) if beside is None else None
                    return ready or self._request(key, facts, beside)
            except BlockingIOError:
                if not await self._wait(waiter, START_SECONDS, select.POLLOUT):
                    message = "the zygote does not take requests; was it stopped?"
                    raise SetupError(message, step="zygote") from None

    def _take_ready(self, key: _Key) -> Pending | None:
        pool = self._pools.get(key)
        while pool:
            pending = pool.popleft()
            if pending.is_usable():
                return pending
            pending.close()
        return None

    def top_up(self, policy: Policy) -> None:
        """Ask for as many sandboxes as are to be kept ready; does not wait."""
        if self._facts is None or not self.environment.ready:
            return
        with self._lock:
            self._fill(policy, self._facts)

    def _fill(self, policy: Policy, facts: Facts) -> None:
        key = policy, mounted(policy)
        pool = self._pools.setdefault(key, deque())
        self._pools.move_to_end(key)
        while len(self._pools) > _POOLS_KEPT:
            _, oldest = self._pools.popitem(last=False)
            for pending in oldest:
                pending.close()
        try:
            while len(pool) < self.environment.ready:
                pool.append(self._request(key, facts))
        except OSError:
            return  # gone, or busy: whoever needs a sandbox next asks for it
        for pending in pool:
            pending.prepare()

    def _request(self, key: _Key, facts: Facts, beside: Beside | None = None) -> Pending:
        if self._requests.fileno() < 0:
            raise BrokenPipeError("the zygote was ended meanwhile")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._count += 1
        pending = Pending(ours, self._count)
        shared = {} if beside is None else {"workspace": beside.workspace}
        try:
            with _letter(make_settings(key[0])) as letter:
                given = shared | letter
                message = {
                    "name": self._count,
                    "beside": None if beside is None else beside.name,
                    "given": [*given],
                }
                self._send_request(key, facts, message, [theirs.fileno(), *given.values()])
        except BaseException:
            pending.close()
            raise
        finally:
            theirs.close()
        return pending

    def _send_request(
        self, key: _Key, facts: Facts, message: dict[str, Any], descriptors: list[int]
    ) -> None:
        """With the policy's plan the first time, with its number from then on: the zygote keeps it."""
        number = self._numbers.get(key)
        if number is not None:
            self._numbers.move_to_end(key)
            wire.send_packet(self._requests, message | {"number": number}, descriptors)
            return
        plan = make_plan(key[0], facts).to_message()
        if self._free_numbers:
            number = self._free_numbers.pop()
        else:
            _, number = self._numbers.popitem(last=False)
        try:
            wire.send_packet(
                self._requests, message | {"number": number, "plan": plan}, descriptors
            )
        except BaseException:
            self._free_numbers.append(number)
            raise
        self._numbers[key] = number

    def close(self) -> None:
        """End the zygote and every sandbox that came from it."""
        with self._lock:
            # One that is still starting has no sandboxes, and may be busy with imports for long.
            self._stop(_END_SECONDS if self._facts is not None else 0)
            self.forget()

    def _stop(self, patience: float) -> None:
        if self._end < 0:
            return
        with contextlib.suppress(OSError):  # for every copy of the socket, a forked child's too
            self._requests.shutdown(socket.SHUT_RDWR)
        poll = select.poll()  # not select(2), which takes no descriptor above 1023
        poll.register(self._end, select.POLLIN)
        if not poll.poll(patience * 1000):
            self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Close this process's descriptors of it."""
        for pool in self._pools.values():
            for pending in pool:
                pending.close()
        self._pools.clear()
        self._requests.close()
        for name in ("_errors", "_end"):
            descriptor = getattr(self, name)
            setattr(self, name, -1)
            if descriptor >= 0:
                os.close(descriptor)

    def disown(self) -> None:
        """In a forked child: it is the parent's, and so are its sandboxes."""
        self._lock = threading.RLock()  # the parent's may have been held at that moment
        self.forget()
        self._process.returncode = 0  # not our child: nothing to wait for


@contextlib.contextmanager
def _letter(settings: Settings) -> Iterator[dict[str, int]]:
    """A file in memory that the zygote passes on unread: its memory is every later sandbox's."""
    if settings == NO_SETTINGS:
        yield {}
        return
    with open(os.memfd_create("settings", os.MFD_CLOEXEC), "wb") as file:
        file.write(wire.encode_packet(settings.to_message()))
        file.flush()
        yield {"letter": file.fileno()}
