"""What IPython shows, on its way to the screen: displays, values of nested cells, pages of ``?``.

IPython is imported by name here and in its neighbours, so that this package has no import of a third party
that could be mistaken for a need.
"""

from __future__ import annotations

import builtins
import re
import sys
from importlib import import_module
from typing import Any

from protocell_guest.guest.display import PLAIN, Clear, Shown, texts_of_raw
from protocell_guest.guest.formats import formats_of, formatted, has_own_forms

# Functions of this module keep these builtins when the code assigns to builtins.str or the like.
globals()["__builtins__"] = dict(vars(builtins))

_hooks: Any = import_module("IPython.core.displayhook")
_publishers: Any = import_module("IPython.core.displaypub")
_formatters: Any = import_module("IPython.core.formatters")
_inspection: Any = import_module("IPython.core.oinspect")
_find_file = _inspection.find_file

Forms = dict[str, str]


class DisplayHook(_hooks.DisplayHook):  # type: ignore[misc]
    """Values of nested cells, and of statements that show what is in them."""

    @property
    def prompt_count(self) -> int:
        """The number of the cell that runs; in older versions the counter was not ahead of it."""
        return int(self.shell.execution_count) - 1

    def __call__(self, result: object = None) -> None:
        """Show the value, if there is one."""
        self.check_for_underscore()
        if result is not None and not self.quiet():
            self.shell.show_value(result)
            self.fill_exec_result(result)


class Publisher(_publishers.DisplayPublisher):  # type: ignore[misc]
    """What ``display()`` and all that is built on it come to."""

    def publish(
        self,
        data: Any,
        metadata: Any = None,  # noqa: ARG002  (IPython's signature)
        source: Any = None,  # noqa: ARG002
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **_more: object,
    ) -> None:
        """Put a bundle on the screen."""
        name = (transient or {}).get("display_id")
        display = None if name is None else str(name)
        self.shell.screen.put(Shown(texts_of_raw(data), display=display, update=bool(update)))

    def clear_output(self, wait: bool = False) -> None:  # noqa: FBT001, FBT002  (IPython's)
        """Take away what was shown."""
        self.shell.screen.put(Clear(wait=bool(wait)))


class Formatter(_formatters.DisplayFormatter):  # type: ignore[misc]
    """All forms of a value, ours for frames and figures among them."""

    def format(
        self, obj: Any, include: Any = None, exclude: Any = None
    ) -> tuple[Forms, dict[str, Any]]:
        """Forms by MIME type, and nothing about them; none if the value has shown itself."""
        if not has_own_forms(obj) and formatted(self.ipython_display_formatter, obj):
            return {}, {}
        forms = formats_of(obj)
        if include:
            forms = {mime: text for mime, text in forms.items() if mime in include}
        return {mime: text for mime, text in forms.items() if mime not in (exclude or ())}, {}


def _file_of(value: object) -> str | None:
    """Where a value was defined; what a cell defines is in no file, and has no folder."""
    name: str | None = _find_file(value)
    return None if name is None else re.sub(r"^.*/(?=<cell \d+>$)", "", name)


_inspection.find_file = _file_of


def print_page(_shell: Any, data: Any, **_options: object) -> None:
    """What ``?`` has found, as text of the cell."""
    text = data.get(PLAIN, "") if isinstance(data, dict) else str(data)
    sys.stdout.write(text.rstrip("\n") + "\n")
