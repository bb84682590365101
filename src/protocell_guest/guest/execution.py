"""One request from beginning to end: the code runs with its variables of the environment, its events go out.

Theory of operation
-------------------
Events leave as they come, each in one write and after standard output has been flushed, so that whoever
reads "done" finds all output in the pipes.  No interrupt and no signal handler of the code's runs in the
midst of one: half an event would break the protocol, and the host would end the sandbox.  (A handler can
still run there if the kernel gives its signal to another thread; then only an event that is longer than the
socket's buffer can be torn.)
"""

from __future__ import annotations

import builtins
import os
import signal

# Not from signal, whose own makes an enum of each of the 62 numbers that come back: 500 calls in every execution.
from _signal import pthread_sigmask  # type: ignore[import-not-found]
from _thread import RLock
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from protocell_guest.guest import streams
from protocell_guest.guest.budget import Budget
from protocell_guest.guest.display import Clear, Shown
from protocell_guest.guest.outcome import Outcome
from protocell_guest.guest.tracebacks import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from protocell_guest.guest.interpreter import Interpreter
    from protocell_guest.guest.interrupts import Interrupts

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_environ = os.environ
_signals = signal.valid_signals()


def execute(
    interpreter: Interpreter,
    request: Mapping[str, Any],
    interrupts: Interrupts,
    send: Callable[[dict[str, Any]], None],
) -> None:
    """Run what is asked for, and send what comes of it: results, an error if there is one, "done"."""
    number: int = request["id"]
    budget = Budget(
        number,
        item_bytes=request["result_bytes"],
        all_bytes=request.get("results_bytes", 8 * request["result_bytes"]),
        folder=interpreter.workspace,
    )
    outlet = _Outlet(number, budget, interrupts, send)
    outlet.end(_run(interpreter, request, interrupts, outlet))


def _run(
    interpreter: Interpreter,
    request: Mapping[str, Any],
    interrupts: Interrupts,
    outlet: _Outlet,
) -> Outcome:
    before = _set(request.get("envs") or {})
    try:
        interrupts.begin()
        outcome = interpreter.run(request["code"], show=outlet.show, number=request["id"])
        interrupts.end()
    except (
        KeyboardInterrupt
    ) as late:  # before the code began, or between its end and the line above
        interrupts.end()
        outcome = Outcome(error=describe(late))
    _set(before)
    return outcome


def _set(envs: Mapping[str, str | None]) -> dict[str, str | None]:
    """Set these variables, or remove them where there is no value; what they were before."""
    before = {name: _environ.get(name) for name in envs}
    for name, value in envs.items():
        if value is not None:
            _environ[name] = value
        else:
            _environ.pop(name, None)
    return before


class _Outlet:
    """Sends what a cell shows, from whatever thread it comes."""

    def __init__(
        self,
        number: int,
        budget: Budget,
        interrupts: Interrupts,
        send: Callable[[dict[str, Any]], None],
    ) -> None:
        self._number = number
        self._budget = budget
        self._interrupts = interrupts
        self._send = send
        self._lock = RLock()
        self._ended = False

    def show(self, item: Shown | Clear) -> None:
        """Send it, if there is room for it."""
        streams.flush()
        with self._undisturbed():
            self._put(item)
            waits = isinstance(item, Clear) and item.wait
            streams.before_text(self._clear_for_text if waits else None)

    def _clear_for_text(self) -> None:
        """What is printed takes the place of what was to be cleared, as a value does."""
        with self._undisturbed():
            self._put(Clear(wait=False))

    def _put(self, item: Shown | Clear) -> None:
        if not self._ended and (event := self._event(item)) is not None:
            self._send({**event, "id": self._number})

    def end(self, outcome: Outcome) -> None:
        """Send how it ended; what a thread of the code shows after that is nobody's."""
        with self._undisturbed():
            self._ended = True
            streams.before_text(None)
            if outcome.error is not None:
                self._send({"event": "error", "id": self._number} | outcome.error._asdict())
            done = {"exit_code": outcome.exit_code, "left_out": self._budget.left_out}
            said = {"warnings": outcome.warnings} if outcome.warnings else {}
            self._send({"event": "done", "id": self._number} | done | said)

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        with self._lock, self._interrupts:
            blocked = pthread_sigmask(signal.SIG_BLOCK, _signals)
            try:
                yield
            finally:
                pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _event(self, item: Shown | Clear) -> dict[str, Any] | None:
        if isinstance(item, Clear):
            return {"event": "clear", "wait": item.wait} if self._budget.clears(item) else None
        fitted = self._budget.fit(item)
        return None if fitted is None else {"event": "result", **fitted._asdict()}
