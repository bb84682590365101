"""The warm interpreter that sandboxes are forked from, as a frozen setting: one zygote each."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from protocell._fields import Converted, Settings, keep, names, quoted
from protocell.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_READY = 64
MOST_PRELOADS = 200


Shell = Literal["auto", "ipython", "plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment(Settings):
    """An interpreter with its packages, warm; equal environments of one process share a zygote.

    Raises:
        PolicyError: the interpreter is not there, or a name is not the name of a module.
    """

    python: Converted[str | os.PathLike[str] | None, str | None] = Converted(None)
    """Interpreter on the host, with its site-packages; None is the one that runs this process."""
    preload: Converted[Iterable[str], tuple[str, ...]] = Converted(())
    """Modules that the zygote imports once, in this order, as in ``("pandas", "openpyxl")``."""
    shell: Shell = "auto"
    """What runs the code: "ipython", as in a notebook; "plain"; or IPython where it is installed."""
    ready: int = 2
    """Sandboxes kept waiting ahead of demand; 0 makes each one when it is asked for."""

    def __post_init__(self) -> None:
        keep(self, "python", None if self.python is None else _interpreter(self.python))
        keep(self, "preload", module_names("preload", self.preload))
        if len(self.preload) > MOST_PRELOADS:
            raise PolicyError(f"preload has {len(self.preload)} modules; at most {MOST_PRELOADS}")
        if self.shell not in get_args(Shell):
            allowed = ", ".join(map(repr, get_args(Shell)))
            raise PolicyError(f"shell is {quoted(self.shell)}; allowed is {allowed}")
        if type(self.ready) is not int or not 0 <= self.ready <= MOST_READY:
            raise PolicyError(f"ready is {quoted(self.ready)}; allowed is 0 to {MOST_READY}")

    def __str__(self) -> str:
        loaded = ", ".join(self.preload) or "nothing"
        return f"{self.python or 'this Python'}, {loaded} preloaded, {self.ready} kept ready"


def module_names(field: str, given: object) -> tuple[str, ...]:
    """The given names of modules, in order and each once.

    Raises:
        PolicyError: one of them is not a dotted name, or all of them are one bare string.
    """
    kept = names(field, given)
    for name in kept:
        if len(name) > 200 or not all(part.isidentifier() for part in name.split(".")):
            raise PolicyError(f"{field} has {quoted(name)} in it; allowed are names as 'json.tool'")
    return kept


def _interpreter(given: object) -> str:
    if not isinstance(given, str | os.PathLike) or not isinstance(os.fspath(given), str):
        raise PolicyError(f"python is {quoted(given)}; allowed is a path, or None for this Python")
    text = os.fspath(given)
    # A link is kept as it is: which environment a venv's python belongs to is told by where the
    # link lies (pyvenv.cfg beside it), not by what it points to.
    found = None if "\0" in text else shutil.which(os.path.expanduser(text))
    if found is None or not Path(found).is_file():
        raise PolicyError(f"python is {quoted(text)}; there is no such program to be run")
    return os.path.abspath(found)
