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

import atexit
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

from protocell._kernel_box import Pending
from protocell._plan import Facts, make_plan, make_settings
from protocell._remedies import explain_failure
from protocell._waiter import Waiter
from protocell.environment import Environment
from protocell.errors import SetupError
from protocell.policy import Policy
from protocell_guest import wire

START_SECONDS = 60.0  # importing what is to be preloaded may be slow on a cold disk
_POOLS_KEPT = 4
_PLANS_KEPT = 64
_BOOT = os.path.join(os.path.dirname(wire.__file__), "boot.py")
# No thread may live in a process that forks: the number libraries know how to be told.
_CLEAN_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/home/user",
    "USER": "user",
    "LOGNAME": "user",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "/tmp/matplotlib",
}


class Zygote:
    """One running fork server."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._facts: Facts | None = None
        self._lock = threading.Lock()
        self._sending = threading.Lock()  # a number must not overtake its plan
        self._numbers: OrderedDict[Policy, int] = OrderedDict()
        self._plan_count = 0
        self._pools: OrderedDict[Policy, deque[Pending]] = OrderedDict()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors, errors_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        python = environment.python or sys.executable
        theirs_fd = theirs.fileno()
        try:
            self._process = subprocess.Popen(
                [python, "-I", "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors_writer,
                pass_fds=[theirs.fileno()],
                env=_CLEAN_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            self._requests.close()
            os.close(self._errors)
            message = f"cannot start the interpreter {python!r}: {error}; set Environment(python=…)"
            raise SetupError(message, step="zygote", errno=error.errno) from error
        finally:
            theirs.close()
            os.close(errors_writer)
        self._end = os.pidfd_open(self._process.pid)
        self._send_program(theirs_fd)

    def _send_program(self, requests: int) -> None:
        """Say what to run by standard input: a command line can be read from inside a sandbox."""
        arguments = (requests, os.getpid(), list(self.environment.preload))
        program = Path(_BOOT).read_text(encoding="utf-8") + f"\nboot({_BOOT!r}, {arguments!r})\n"
        stdin = self._process.stdin
        try:
            if stdin is not None:
                with stdin:
                    stdin.write(program.encode())
        except BrokenPipeError:
            return  # it has ended already: whoever waits for its greeting finds out why

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
            deadline = time.monotonic() + START_SECONDS
            if not await waiter.wait([self._requests.fileno()], [], deadline):
                self.close()
                raise SetupError(f"the zygote did not start in {START_SECONDS:g} s", step="zygote")
            self._facts = self._read_greeting()
        return self._facts

    def _read_greeting(self) -> Facts:
        try:
            data = self._requests.recv(wire.MAX_PACKET_BYTES, socket.MSG_PEEK)
        except OSError:
            data = b""
        greeting: dict[str, Any] = json.loads(data) if data else {"event": "failed", "detail": ""}
        if greeting["event"] != "hello":
            detail = str(greeting["detail"]) or self._said()
            self.close()
            if "step" in greeting:
                raise explain_failure(greeting["step"], greeting["errno"], detail)
            raise SetupError(f"the zygote could not start: {detail}", step="zygote")
        return Facts.from_message(greeting["facts"])

    def _said(self) -> str:
        try:
            text = os.read(self._errors, 1 << 16).decode(errors="replace").strip()
        except BlockingIOError:
            text = ""
        return text.rpartition("\n")[2] or f"it ended with status {self._process.poll()}"

    async def take(self, policy: Policy, waiter: Waiter) -> Pending:
        """A sandbox for this policy, ready or on its way.

        Raises:
            BrokenPipeError: the zygote is gone; use a new one.
        """
        facts = await self.facts(waiter)
        pool = self._pools.get(policy)
        while pool:
            pending = pool.popleft()
            if pending.is_usable():
                return pending
            pending.close()
        return self._request(policy, facts)

    def top_up(self, policy: Policy) -> None:
        """Ask for as many sandboxes as are to be kept ready; does not wait."""
        if self._facts is None or not self.environment.ready:
            return
        with self._lock:
            self._fill(policy, self._facts)

    def _fill(self, policy: Policy, facts: Facts) -> None:
        pool = self._pools.setdefault(policy, deque())
        self._pools.move_to_end(policy)
        while len(self._pools) > _POOLS_KEPT:
            _, oldest = self._pools.popitem(last=False)
            for pending in oldest:
                pending.close()
        try:
            while len(pool) < self.environment.ready:
                pool.append(self._request(policy, facts))
        except OSError:
            return  # it is gone; whoever needs it next starts another

    def _message(self, policy: Policy, facts: Facts) -> dict[str, Any]:
        """A policy's plan the first time, its number from then on (the zygote keeps the plans)."""
        number = self._numbers.get(policy)
        if number is not None:
            self._numbers.move_to_end(policy)
            return {"number": number}
        plan = make_plan(policy, facts).to_message()
        number = len(self._numbers)
        if number == _PLANS_KEPT:
            _, number = self._numbers.popitem(last=False)
        self._numbers[policy] = number
        return {"number": number, "plan": plan}

    def _request(self, policy: Policy, facts: Facts) -> Pending:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pending = Pending(ours)
        try:
            # Past the zygote, whose memory is every later sandbox's: it waits in the socket for init.
            wire.send_packet(ours, make_settings(policy).to_message())
            with self._sending:
                wire.send_packet(self._requests, self._message(policy, facts), [theirs.fileno()])
        except BaseException:
            pending.close()
            raise
        finally:
            theirs.close()
        return pending

    def close(self, timeout: float = 5.0) -> None:
        """End the zygote and every sandbox that came from it."""
        with contextlib.suppress(OSError):  # for every copy of the socket, a forked child's too
            self._requests.shutdown(socket.SHUT_RDWR)
        if not select.select([self._end], [], [], timeout)[0]:
            self._process.kill()
        self._process.wait()
        self.forget()

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


class Zygotes:
    """The running zygotes of this process, one for each environment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_environment: dict[Environment, Zygote] = {}

    def get(self, environment: Environment) -> Zygote:
        """The zygote of an environment, started if there is none or it has died."""
        with self._lock:
            zygote = self._by_environment.get(environment)
            if zygote is None or not zygote.is_alive():
                if zygote is not None:
                    zygote.close()
                zygote = Zygote(environment)
                self._by_environment[environment] = zygote
            return zygote

    def top_up(self, policy: Policy) -> None:
        """Fill the ready sandboxes of a policy, if its zygote runs."""
        zygote = self._by_environment.get(policy.environment)
        if zygote is not None:
            zygote.top_up(policy)

    def close(self) -> None:
        """End them all; the next call starts anew."""
        with self._lock:
            zygotes = list(self._by_environment.values())
            self._by_environment.clear()
        for zygote in zygotes:
            zygote.close()

    def after_fork(self) -> None:
        """In a forked child: the zygotes are the parent's."""
        self._lock = threading.Lock()
        for zygote in self._by_environment.values():
            zygote.forget()
            zygote._process.returncode = 0  # not our child: nothing to wait for
        self._by_environment.clear()


ZYGOTES = Zygotes()
atexit.register(ZYGOTES.close)
os.register_at_fork(after_in_child=ZYGOTES.after_fork)
