"""Which interpreter a context gets: IPython's where it is installed, else the plain one."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Literal

from protocell_guest.guest import interpreter
from protocell_guest.guest.interpreter import Interpreter
from protocell_guest.plan import HOME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Kind = Literal["auto", "ipython", "plain"]


def make(
    kind: Kind = "auto",
    *,
    deny_imports: Sequence[str] | None = None,
    allow_imports: Sequence[str] | None = None,
    workspace: str = HOME,
    before: Callable[[], None] = interpreter.nothing,
) -> Interpreter:
    """The interpreter of this process; "auto" is IPython's where there is one.

    Raises:
        ImportError: IPython is asked for and not installed, or too old.
    """
    made = _class_for(kind)(workspace=workspace, before=before)
    made.take_over(deny_imports=deny_imports, allow_imports=allow_imports)
    return made


def prepare(kind: Kind = "auto") -> Interpreter:
    """An interpreter made in a template, for each of its forks to take over; everything it needs is warm.

    Raises:
        ImportError: as ``make``.
    """
    chosen = _class_for(kind)
    interpreter.warm(chosen)
    return chosen()


def _class_for(kind: Kind) -> type[Interpreter]:
    if kind == "plain" or (kind == "auto" and importlib.util.find_spec("IPython") is None):
        return Interpreter
    try:
        from protocell_guest.guest.notebook import Notebook  # noqa: PLC0415  (imports IPython)
    except ImportError:
        if kind == "auto":  # one that is broken or too old, which is not what was asked for
            return Interpreter
        raise
    return Notebook
