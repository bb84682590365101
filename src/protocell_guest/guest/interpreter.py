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
loop: what is set or opened in one cell is there in the next.
"""

from __future__ import annotations

import builtins
import contextvars
import linecache
import sys
from os import _exit, getpid, write
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from protocell_guest.guest.cells import Cells, Program, is_coroutine
from protocell_guest.guest.clipping import clip
from protocell_guest.guest.imports import ImportPolicy, install
from protocell_guest.guest.plain_tracebacks import class_name, message
from protocell_guest.guest.tracebacks import Failure, describe
from protocell_guest.plan import HOME

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

# Functions of this module keep these builtins when the code assigns to builtins.repr or the like.
globals()["__builtins__"] = dict(vars(builtins))

_modules = sys.modules
_code_of = SystemExit.__dict__["code"].__get__
_MISSING = object()


class Outcome(NamedTuple):
    """How a cell ended: with a value, an error, SystemExit, or none of these."""

    formats: dict[str, str] | None = None
    """The last expression's value as text by MIME type; None if there was none, or it was None."""
    error: Failure | None = None
    exit_code: int | None = None
    """What the shell would have seen, if SystemExit ended the cell."""


class Interpreter:
    """One namespace and the cells that ran in it. Making one takes over this process's __main__."""

    def __init__(
        self,
        *,
        deny_imports: Sequence[str] | None = None,
        allow_imports: Sequence[str] | None = None,
        workspace: str = HOME,
    ) -> None:
        self._cells = Cells()
        self._context = contextvars.copy_context()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams = (sys.stdout, sys.stderr)
        self._main = ModuleType("__main__")
        self._namespace = vars(self._main)
        _modules["__main__"] = self._main
        sys.argv = [""]  # as in an interactive interpreter
        if workspace not in sys.path:
            sys.path.append(workspace)
        policy = ImportPolicy.of(deny=deny_imports, allow=allow_imports, workspace=workspace)
        if policy is not None:
            install(policy)

    def run(self, code: str, *, result_bytes: int) -> Outcome:
        """Run one cell. Whatever the code does is in the outcome; nothing is raised.

        A child that the code forked without ending it ends here, as it would at the end of a script.
        """
        process = getpid()
        try:
            outcome = self._run(code, result_bytes)
        except BaseException as error:  # noqa: BLE001  (a signal handler can raise between our own lines)
            outcome = Outcome(error=describe(error))
        _flush(*self._streams, *map(_stream, ("stdout", "stderr")))
        if getpid() != process:
            _end_child(outcome)
        return outcome

    def _run(self, code: str, result_bytes: int) -> Outcome:
        try:
            self._repair()
            value = self._execute(code)
            return Outcome(self._context.run(_formats, value, result_bytes))
        except SystemExit as error:
            return Outcome(exit_code=_exit_code(error))
        except BaseException as error:  # noqa: BLE001  (errors of the code are data)
            self._cells.restore()
            return Outcome(error=self._context.run(describe, error))

    def _repair(self) -> None:
        """Put back what every cell needs, if it is gone or closed. What was replaced stays."""
        self._namespace.setdefault("__name__", "__main__")
        # Else exec() would give the code the builtins of this module.
        self._namespace.setdefault("__builtins__", builtins)
        # The place of a warning that was shown is remembered by line; line 1 is another one now.
        self._namespace.pop("__warningregistry__", None)
        _modules.setdefault("__main__", self._main)
        for name, descriptor, given in zip(
            ("stdout", "stderr"), (1, 2), self._streams, strict=True
        ):
            if not _is_open(_stream(name)):
                setattr(sys, name, given if _is_open(given) else _reopened(descriptor))

    def _execute(self, code: str) -> object:
        program = self._cells.compile(code)
        if program.awaits:
            return self._await(program)
        value = None
        for part in program.parts:
            value = self._context.run(eval, part, self._namespace)
        return value

    def _await(self, program: Program) -> object:
        loop = self._ready_loop()
        ending: list[tuple[object, BaseException | None]] = []
        task = loop.create_task(_settle(program, self._namespace, ending), context=self._context)
        try:
            loop.run_until_complete(task)
        except BaseException:
            # An interrupt while the loop waited, or another task's SystemExit: the cell's own
            # finally blocks still run. A second interrupt ends this too.
            if not task.done():
                task.cancel()
                loop.run_until_complete(task)
            raise
        value, error = ending.pop()
        try:
            if error is not None:
                raise error
            return value
        finally:
            del error  # its traceback holds this frame

    def _ready_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio  # noqa: PLC0415  (see above)

        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        return self._loop


async def _settle(
    program: Program, namespace: dict[str, Any], ending: list[tuple[object, BaseException | None]]
) -> None:
    """Run a cell that awaits, and put its value or exception into ``ending``.

    All of the cell runs in one task, so that what it does before its first ``await`` (make a task,
    enter a timeout) has a running loop. An exception does not leave the task: then it has no frames
    of asyncio, and it is freed with the cell (frames of its traceback lead to the task).
    """
    try:
        value = None
        for part in program.parts:
            value = eval(part, namespace)  # noqa: S307  (this is what we are for)
            if is_coroutine(part):
                value = await value
        ending.append((value, None))
    except BaseException as error:  # noqa: BLE001  (raised again by _await)
        ending.append((None, error))


# -- results -----------------------------------------------------------------------------------------


def _formats(value: object, result_bytes: int) -> dict[str, str] | None:
    if value is None:
        return None
    return {"text/plain": clip(_represented(value), result_bytes)}


def _represented(value: object) -> str:
    try:
        return str.__str__(repr(value))  # an exact str, whatever __repr__ returned
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (the code's own __repr__ can raise anything)
        name, raised = class_name(type(value)), class_name(type(error))
        return f"<{name} object whose repr raised {raised}: {message(error)}>"


def _exit_code(error: SystemExit) -> int:
    """What the shell sees, as in CPython's _Py_HandleSystemExit."""
    code = _code_of(error)
    if code is None:
        return 0
    if issubclass(type(code), int):
        number = int.__index__(code)
        return number & 0xFF if -(2**63) <= number < 2**63 else 0xFF
    try:
        sys.stderr.write(f"{code}\n")
    except BaseException:  # noqa: BLE001  (its __str__ or stream is broken; CPython says nothing either)
        return 1
    return 1


def _end_child(outcome: Outcome) -> NoReturn:
    if outcome.error is not None:
        write(2, outcome.error.traceback.encode("utf-8", "backslashreplace"))
    _exit(outcome.exit_code if outcome.exit_code is not None else int(outcome.error is not None))


# -- standard output and error -----------------------------------------------------------------------


def _stream(name: str) -> Any:
    return getattr(sys, name, None)


def _is_open(stream: Any) -> bool:
    try:
        return stream is not None and not getattr(stream, "closed", False)
    except BaseException:  # noqa: BLE001  (ValueError if detached; anything if it is the code's)
        return False


def _reopened(descriptor: int) -> Any:
    try:
        return open(
            descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
        )
    except OSError:
        return None  # the descriptor itself is closed: print() does nothing, as in plain Python


def _flush(*streams: Any) -> None:
    for stream in streams:
        try:
            stream.flush()
        except BaseException:  # noqa: BLE001, S112
            # Closed, None, or the code's own and broken: what it holds is lost, and that is the
            # code's loss alone. The cell has ended; there is nobody left to tell.
            continue


# -- before the first cell ---------------------------------------------------------------------------


def warm() -> None:
    """Compile, run, fail and print once, so that no sandbox pays for a first time. Leaves no state."""
    main, argv, path = _modules.get("__main__", _MISSING), sys.argv, list(sys.path)
    cached = dict(linecache.cache)
    interpreter = Interpreter()
    try:
        for code in ("1 + 1", "def f():\n    return 1 / 0\nf()", "1 +", "'x' * 10_000"):
            interpreter.run(code, result_bytes=1_000)
    finally:
        linecache.cache.clear()
        linecache.cache.update(cached)
        sys.argv, sys.path[:] = argv, path
        if main is _MISSING:
            del _modules["__main__"]
        else:
            _modules["__main__"] = main  # type: ignore[assignment]
