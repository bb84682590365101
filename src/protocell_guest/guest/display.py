"""What a cell shows, on its way out: values with their forms, and the word that clears what was shown.

An interpreter puts what it has to show on its ``Screen``; whoever runs a cell (``execution.py``) has plugged
in there what becomes of it.  The functions at the end are ``display`` and its kin for an environment
without IPython; with it, IPython's own functions come here through its display publisher.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping
from os import getpid, urandom
from typing import Any, NamedTuple

from protocell_guest.guest.formats import complain, formats_of, has_own_forms, method_of
from protocell_guest.guest.mime_bundles import texts_of
from protocell_guest.guest.representation import ENDINGS, represented

# Functions of this module keep these builtins when the code assigns to builtins.repr or the like.
globals()["__builtins__"] = dict(vars(builtins))


PLAIN = "text/plain"


class Shown(NamedTuple):
    """One value to show, by MIME type; ``files`` names the forms that were too long to be sent."""

    formats: Mapping[str, str]
    files: Mapping[str, str] = {}
    main: bool = False
    """Whether it is the value of the last expression."""
    display: str | None = None
    """The name under which the code can replace it later; it replaces what has been shown under that name."""
    update: bool = False
    """Whether it does nothing else."""


class Clear(NamedTuple):
    """Take away what was shown so far: now, or when the next value is shown."""

    wait: bool


Show = Callable[[Shown | Clear], None]


class Screen:
    """Where values go while a cell runs, and what happens to those that come at another time."""

    __slots__ = ("_process", "_show")

    def __init__(self) -> None:
        self._show: Show | None = None
        self._process = 0

    def plug(self, show: Show | None) -> None:
        """Give what is shown from now on to ``show``."""
        self._show = show
        self._process = getpid()

    def put(self, item: Shown | Clear) -> None:
        """Show it. A forked child, or a thread that outlived its cell, has a text to print and no more."""
        if self._show is not None and getpid() == self._process:
            self._show(item)
        elif isinstance(item, Shown):
            sys.stdout.write(item.formats.get(PLAIN, "") + "\n")


def forms_of(value: Any) -> dict[str, str]:
    """The forms of a value by MIME type; none if it has shown itself, by ``_ipython_display_``.

    Raises:
        KeyboardInterrupt, SystemExit: only those, of what the value's own methods may raise.
    """
    if not has_own_forms(value) and _shows_itself(value):
        return {}
    return formats_of(value)


def _shows_itself(value: Any) -> bool:
    method = method_of(value, "_ipython_display_")
    if method is None:
        return False
    try:
        method()
    except ENDINGS:
        raise
    except BaseException as error:  # noqa: BLE001  (the code's own method can raise anything)
        complain(value, "_ipython_display_", error)
        return False
    return True


def texts_of_raw(bundle: Any) -> dict[str, str]:
    """The forms that the code has made by itself, what is none left out; there is always a text, if an empty one."""
    texts = texts_of(bundle) if isinstance(bundle, dict) else {PLAIN: represented(bundle)}
    return texts if PLAIN in texts else {PLAIN: "", **texts}


# -- without IPython ---------------------------------------------------------------------------------


class DisplayHandle:
    """What ``display(..., display_id=...)`` returns: shows more under the same name, or something else there."""

    def __init__(self, screen: Screen, display_id: str) -> None:
        self._screen = screen
        self.display_id = display_id

    def __repr__(self) -> str:
        return f"<DisplayHandle display_id={self.display_id}>"

    def display(self, value: object) -> None:
        """Show one more value under this name."""
        _put(self._screen, value, self.display_id)

    def update(self, value: object) -> None:
        """Replace what was shown under this name."""
        _put(self._screen, value, self.display_id, update=True)


def displayer(screen: Screen) -> Callable[..., DisplayHandle | None]:
    """``display`` as IPython has it, for the builtins of an interpreter without IPython."""

    def display(
        *values: object,
        display_id: str | bool | None = None,
        raw: bool = False,
        clear: bool = False,
        **_ignored: object,
    ) -> DisplayHandle | None:
        """Show values with all their forms: text, HTML, pictures, whatever they have.

        ``display_id`` names what is shown, so that the handle that is returned can replace it.
        """
        name = urandom(16).hex() if display_id is True else display_id or None
        if clear:
            screen.put(Clear(wait=True))
        for value in values or ([{}] if name else []):
            _put(screen, value, name, raw=raw or not values)
        return None if name is None else DisplayHandle(screen, name)

    return display


def _put(
    screen: Screen, value: Any, name: str | None, *, update: bool = False, raw: bool = False
) -> None:
    formats = texts_of_raw(value) if raw else forms_of(value)
    if formats:
        screen.put(Shown(formats, display=name, update=update))
