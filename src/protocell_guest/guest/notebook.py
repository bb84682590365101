"""Cells as in a notebook: the plain interpreter's life, and around it what IPython has.

Theory of operation
-------------------
A cell that is Python is run as the plain interpreter runs it, in the same way and as fast; IPython is asked
for the rest: what a line with ``%``, ``!`` or ``?`` means, how a value looks, what is remembered (``_``,
``Out``, ``In``), and who wants to know when a cell begins and ends.

What the code breaks of IPython by accident costs it IPython's services and no more.
"""

from __future__ import annotations

import builtins
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from protocell_guest.guest.cells import KEPT_BYTES
from protocell_guest.guest.event_loop import EventLoop
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.guest.notebook_cells import NotebookCells
from protocell_guest.guest.notebook_loan import borrowed, rehearsing
from protocell_guest.guest.notebook_shell import Shell, UsageError, failure_of
from protocell_guest.guest.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from protocell_guest.guest.cells import Cells
    from protocell_guest.guest.imports import ImportPolicy
    from protocell_guest.guest.tracebacks import Failure

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_BUILTINS = {name: value for name, value in vars(builtins).items() if value is not None}
_core: Any = sys.modules["IPython.core.interactiveshell"]
_shells: list[Shell] = []


def the_shell() -> Shell:
    """The only shell of this process, which a fork inherits."""
    if not _shells:
        _shells.append(Shell.instance())
    return _shells[0]


class Notebook(Interpreter):
    """An interpreter whose cells may be what IPython understands."""

    warm_cells = ("%pwd", "x = 1\n%time x\nx")

    @classmethod
    @contextmanager
    def beside(cls) -> Iterator[None]:
        """For an interpreter beside the live one."""
        with super().beside(), borrowed(the_shell()):
            yield

    def _make_cells(self) -> Cells:
        self._shell = the_shell()
        self._caught: BaseException | None = None
        return NotebookCells(self._shell, self._reader)

    def _make_loop(self) -> EventLoop:
        return EventLoop(self._context, tell=self._shell.share_loop)

    def _make_display(self) -> Callable[[object], Any]:
        self._shell.adopt(self._main, self._screen)
        return self._shell.enter_builtins()

    def take_over(
        self,
        *,
        deny_imports: Sequence[str] | None = None,
        allow_imports: Sequence[str] | None = None,
    ) -> None:
        """As the plain one."""
        super().take_over(deny_imports=deny_imports, allow_imports=allow_imports)
        self._shell.begin_here()

    def _obey(self, policy: ImportPolicy) -> None:
        super()._obey(policy)
        self._shell.policy = policy

    def _known(self) -> dict[str, Any]:
        return {**self._shell.user_ns_hidden, **super()._known()}

    def rehearse(self) -> None:
        """As the plain one."""
        with rehearsing(self._shell):
            super().rehearse()

    # -- a cell -----------------------------------------------------------------------------------

    def _run(self, code: str, number: int | None) -> Outcome:
        outcome = super()._run(code, number)
        self._try(self._tell_end, code, outcome)
        self._caught = None
        if outcome == Outcome() and self._shell.failure is not None:
            return Outcome(error=self._shell.failure)
        return outcome

    def _repair(self) -> None:
        super()._repair()
        world = vars(builtins)  # of which IPython has no copy
        if None in map(world.get, _BUILTINS):
            world |= {name: what for name, what in _BUILTINS.items() if world.get(name) is None}
        if "_oh" not in self._namespace:
            self._shell.init_user_ns()

    def _execute(self, code: str, number: int | None) -> None:
        shell = self._shell
        number = self._cells.count + 1 if number is None else number
        shell.execution_count = number + 1  # IPython counts before it runs
        shell.failure = None
        self._try(self._tell, "pre_execute")
        meant = code
        try:
            program = self._cells.compile(code, number)
            meant = program.source
        finally:
            self._try(self._remember, number, meant, code)
        if self._is_wanted("pre_run_cell"):
            self._try(self._tell, "pre_run_cell", _info(code, meant))
        self._perform(program)

    def _finish(self) -> None:
        self._try(self._tell, "post_execute")
        super()._finish()

    def _tell_end(self, code: str, outcome: Outcome) -> None:
        shell = self._shell
        shell.last_execution_succeeded = outcome.error is None
        if self._is_wanted("post_run_cell"):
            result = _core.ExecutionResult(_info(code, code))
            result.execution_count = shell.execution_count - 1
            result.error_in_exec = self._caught
            self._tell("post_run_cell", result)

    def _tell(self, event: str, *arguments: object) -> None:
        """As IPython's ``trigger``, which takes an interrupt for a failure of who is told, and goes on."""
        for callback in list(self._shell.events.callbacks[event]):
            try:
                callback(*arguments)
            except Exception:  # noqa: BLE001  (the code's own can raise anything)
                sys.stdout.write(
                    f"Error in callback {callback} (for {event}), "
                    f"with arguments args {arguments},kwargs {{}}:\n"
                )
                self._shell.showtraceback()

    def _is_wanted(self, event: str) -> bool:
        callbacks = getattr(self._shell.events, "callbacks", None)
        return type(callbacks) is dict and bool(callbacks.get(event))

    def _show(self, value: object, *, main: bool) -> None:
        if value is not None:
            self._shell.show_value(value, main=main)

    def _failure(self, error: BaseException) -> Failure:
        self._shell.last_failure = failure = failure_of(error)
        if type(error) is UsageError:
            sys.stderr.write(failure.traceback)
        if self._shell.takes(error):
            failure = failure._replace(traceback=f"{failure.name}: {failure.value}\n")
        if self._is_wanted("post_run_cell"):
            self._caught = error  # else its frames would live on
        return failure

    def _remember(self, number: int, meant: str, code: str) -> None:
        """In ``In`` and ``_i``."""
        history = self._shell.history_manager
        for inputs in (history.input_hist_parsed, history.input_hist_raw):
            inputs.extend([""] * (number - len(inputs)))
        if len(code) > KEPT_BYTES:
            meant = code = f"# {len(code):,} characters"
        history.store_inputs(number, meant, code)
        history.db_input_cache.clear()

    def _try(self, step: Callable[..., object], *arguments: object) -> None:
        """Something of IPython's, which the code may have broken."""
        try:
            self._context.run(step, *arguments)
        except Exception as error:  # noqa: BLE001  (it can be anything)
            failure = failure_of(error)
            sys.stderr.write(f"IPython is damaged: {failure.name}: {failure.value}\n")


def _info(code: str, meant: str) -> Any:
    """What IPython tells those who want to know of a cell; its constructor differs between versions."""
    info = object.__new__(_core.ExecutionInfo)
    vars(info).update(raw_cell=code, transformed_cell=meant, store_history=True, silent=False)
    vars(info).update(shell_futures=True, cell_id=None, cell_meta=None)
    return info
