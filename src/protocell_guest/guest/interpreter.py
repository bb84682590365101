"""The live namespace in which model-written code runs, cell after cell, as in a notebook.

Theory of operation
-------------------
The namespace is that of a real module, ``__main__`` in sys.modules, so that pickling, forked
workers, dataclasses and type hints find what the code defines. If the last statement of a cell is
an expression, its value is the result. Each cell has a file name of its own, ``<cell 3>``.

The code shares this process, so it can break whatever it wants to; what it breaks by accident must
not break later cells. Hence everything is imported before the first cell, the modules of this
package have builtins of their own, and what a cell needs is looked at before it starts.

asyncio is the exception. In the zygote it would cost 20 to 40 ms once, 7 MB, and 0.2 to 0.8 ms at
every fork, asked for or not. So the first cell that awaits imports it, before that cell starts. The
workspace is last in sys.path for this reason too: a ``queue.py`` of the code's is not what the
standard library gets. ``Environment(preload=("asyncio",))`` is for those who use it all the time.

All cells run in one ``contextvars.Context``, those that await included, and those on one event
loop (``event_loop.py``): what is set or opened in one cell is there in the next.
"""

from __future__ import annotations

import builtins
import contextvars
import io
import linecache
import sys
from contextlib import contextmanager, suppress
from os import getpid
from types import ModuleType
from typing import TYPE_CHECKING, Any

from protocell_guest.guest import (
    event_loop,
    figures,
    interactive,
    printing,
    questions,
    streams,
    variables,
)
from protocell_guest.guest.cells import Cells, Program
from protocell_guest.guest.display import Clear, Screen, Show, Shown, displayer, forms_of
from protocell_guest.guest.event_loop import EventLoop
from protocell_guest.guest.imports import ImportPolicy, install
from protocell_guest.guest.offered import Offered
from protocell_guest.guest.outcome import Outcome, end_child, left_with
from protocell_guest.guest.reading import Reader
from protocell_guest.guest.tracebacks import Failure, describe
from protocell_guest.plan import HOME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# Functions of this module keep these builtins when the code assigns to builtins.repr or the like.
globals()["__builtins__"] = dict(vars(builtins))

_modules = sys.modules
_MISSING = object()


def nothing() -> None:
    """What is done before a cell unless somebody wants something."""


class Interpreter:
    """One namespace and the cells that ran in it; one that was made in a template is as good in each fork.

    ``before`` is called before each cell, as if the cell did it.
    """

    warm_cells: tuple[str, ...] = ()
    """What to warm up beside the usual."""

    def __init__(self, *, workspace: str = HOME, before: Callable[[], None] = nothing) -> None:
        self._main = ModuleType("__main__")
        self._namespace = vars(self._main)
        self._offered = Offered(self._namespace)
        self._reader = Reader(self._offered)
        self._cells = self._make_cells()
        self._context = contextvars.copy_context()
        self._loop = self._make_loop()
        self._streams = (sys.stdout, sys.stderr)
        self._screen = Screen()
        self._before = before
        self.workspace = workspace
        self._display = self._make_display()

    def take_over(
        self,
        *,
        deny_imports: Sequence[str] | None = None,
        allow_imports: Sequence[str] | None = None,
    ) -> None:
        """Be this process's __main__, with these rules for imports; once, before the first cell."""
        _modules["__main__"] = self._main
        sys.argv = [""]  # as in an interactive interpreter
        if self.workspace not in sys.path:
            sys.path.append(self.workspace)
        questions.refuse()
        printing.install()
        policy = ImportPolicy.of(deny=deny_imports, allow=allow_imports, workspace=self.workspace)
        if policy is not None:
            self._obey(policy)

    def _obey(self, policy: ImportPolicy) -> None:
        install(policy)

    @classmethod
    @contextmanager
    def beside(cls) -> Iterator[None]:
        """For an interpreter beside the live one: what one takes over is given back."""
        main, argv, path = _modules.get("__main__", _MISSING), sys.argv, list(sys.path)
        cached, world = dict(linecache.cache), dict(vars(builtins))
        stdout, sys.stdout = sys.stdout, io.StringIO()
        try:
            yield
        finally:
            sys.stdout = stdout
            vars(builtins).update(world)
            linecache.cache.clear()
            linecache.cache.update(cached)
            sys.argv, sys.path[:] = argv, path
            if main is _MISSING:
                del _modules["__main__"]
            else:
                _modules["__main__"] = main  # type: ignore[assignment]

    def _make_cells(self) -> Cells:
        return Cells(self._reader)

    def _make_loop(self) -> EventLoop:
        return EventLoop(self._context)

    def _make_display(self) -> Callable[[object], Any]:
        """Put ``display`` into the builtins."""
        display = displayer(self._screen)
        vars(builtins)["display"] = display
        return display

    def run(self, code: str, *, show: Show, number: int | None = None) -> Outcome:
        """Run one cell, and show what it shows. Whatever the code does is in the outcome; nothing is raised.

        ``number`` is what the cell is called by, one more than the last one's by default. A child that
        the code forked without ending it ends here, as it would at the end of a script.
        """
        process = getpid()
        try:
            self._reader.warnings.clear()
            self._screen.plug(show)
            outcome = self._run(code, number)
        except BaseException as error:  # noqa: BLE001  (a signal handler can raise between our own lines)
            outcome = Outcome(error=describe(error))
        self._screen.plug(None)
        with suppress(KeyboardInterrupt):  # the cell has ended
            streams.flush(*self._streams)
        if getpid() != process:
            end_child(outcome)
        return outcome._replace(warnings=tuple(self._reader.warnings))

    def rehearse(self) -> None:
        """Run a cell that leaves nothing behind, so that its pages are this process's before somebody waits."""
        cells, names, lines = self._cells, dict(self._namespace), dict(linecache.cache)
        self._cells = self._make_cells()
        self.run(_WARM_CELLS[0], show=_ignore)
        sys.stdout.write("")
        self._cells = cells
        for found, before in ((self._namespace, names), (linecache.cache, lines)):
            found.clear()
            found.update(before)

    def become_copy(self) -> None:
        """Go on in a fork of the process in which this was made: the event loop is the original's."""
        self._loop.become_copy()

    def variables(self, most: int = 200) -> tuple[list[dict[str, Any]], int]:
        """What the code has made last: names, types, shapes, sizes; and how much there is before that."""
        return variables.describe(self._namespace, hidden=self._known(), most=most)

    def offer(self, names: Mapping[str, Any], cards: Sequence[Mapping[str, Any]] = ()) -> None:
        """Let the code find these in place of what it found before; ``cards`` are of the tools among them."""
        self._offered.replace(names)
        self._reader.know(cards)

    def _known(self) -> dict[str, Any]:
        """Names that were there before the code, with what they meant."""
        return self._offered.names

    def _run(self, code: str, number: int | None) -> Outcome:
        ended = self._outcome_of(lambda: self._begin(code, number))
        after = self._outcome_of(self._finish)
        return after if ended == Outcome() else ended

    def _outcome_of(self, step: Callable[[], None]) -> Outcome:
        try:
            step()
        except SystemExit as error:
            return left_with(error)
        except BaseException as error:  # noqa: BLE001  (errors of the code are data)
            self._cells.restore()
            return Outcome(error=self._context.run(self._failure, error))
        return Outcome()

    def _begin(self, code: str, number: int | None) -> None:
        self._repair()
        event_loop.install(self._loop)
        self._loop.go_on()
        self._before()
        figures.install(self._display)
        interactive.install(self._display)
        self._execute(code, number)

    def _finish(self) -> None:
        """What is done after a cell, however it ended: its tasks begin, figures that are left open are shown."""
        self._loop.go_on()
        for figure in figures.take_open():
            self._context.run(self._display, figure)

    def _failure(self, error: BaseException) -> Failure:
        return describe(error)

    def _repair(self) -> None:
        """Put back what every cell needs, if it is gone or closed. What was replaced stays."""
        self._namespace.setdefault("__name__", "__main__")
        # Else exec() would give the code the builtins of this module.
        self._namespace.setdefault("__builtins__", builtins)
        # The place of a warning that was shown is remembered by line; line 1 is another one now.
        self._namespace.pop("__warningregistry__", None)
        if type(getattr(sys, "modules", None)) is not dict:
            sys.modules = _modules
        _modules.setdefault("__main__", self._main)
        streams.repair(self._streams)

    def _execute(self, code: str, number: int | None) -> None:
        self._perform(self._cells.compile(code, number))

    def _perform(self, program: Program) -> None:
        if program.awaits:
            self._await(program)
            return
        for part in program.parts:
            value = self._context.run(eval, part.code, self._namespace)
            if part.shown:
                self._context.run(self._show, value, main=part is program.parts[-1])

    def _show(self, value: object, *, main: bool) -> None:
        """Show the value of an expression."""
        if value is not None and (formats := forms_of(value)):
            self._screen.put(Shown(formats, main=main))

    def _await(self, program: Program) -> None:
        ending: list[BaseException | None] = []
        self._loop.run(self._settle(program, ending))
        error = ending.pop()
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback holds this frame

    async def _settle(self, program: Program, ending: list[BaseException | None]) -> None:
        """Run a cell that awaits, and put its exception, if any, into ``ending``.

        All of the cell runs in one task, so that what it does before its first ``await`` (make a task,
        enter a timeout) has a running loop. An exception does not leave the task: then it has no frames
        of asyncio, and it is freed with the cell (frames of its traceback lead to the task).
        """
        try:
            for part in program.parts:
                value = eval(part.code, self._namespace)  # noqa: S307  (this is what we are for)
                if part.awaits:
                    value = await value
                if part.shown:
                    self._show(value, main=part is program.parts[-1])
            ending.append(None)
        except BaseException as error:  # noqa: BLE001  (raised again by _await)
            ending.append(error)


# -- before the first cell ---------------------------------------------------------------------------


def _ignore(_item: Shown | Clear) -> None:
    """What the warming up shows is for nobody."""


_WARM_CELLS = ("1 + 1", "def f():\n    return 1 / 0\nf()", "1 +", "'x' * 10_000")


def warm(kind: type[Interpreter] = Interpreter) -> None:
    """Compile, run, fail and print once, so that no sandbox pays for a first time. Leaves no state."""
    with kind.beside():
        interpreter = kind()
        interpreter.take_over()
        for code in (*_WARM_CELLS, *interpreter.warm_cells):
            interpreter.run(code, show=_ignore)
